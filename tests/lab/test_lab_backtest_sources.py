"""Where a profit came from: integers that add up, and what prices did after fills."""

from __future__ import annotations

from hypothesis import given, strategies as st

from polybot.domain.market import Outcome
from polybot.domain.units import ONE, SHARE, USD
from polybot.lab.backtest_sources import (
    AFTER_MS,
    BUCKETS_S,
    Fill,
    Markout,
    MidTrack,
    Sources,
    bucket,
    markouts,
    sources,
)

END_MS = 300_000
TEN = 10 * SHARE


def bought(at_ms: int, outcome: Outcome, price: int, shares: int = TEN, fee: int = 0) -> Fill:
    cash = -(price * shares // ONE)
    return Fill(at_ms, outcome, price, shares, cash, fee, 1_000, maker=not fee)


def track(*points: tuple[int, int, int]) -> MidTrack:
    mids = MidTrack()
    for at_ms, bid, ask in points:
        mids.note(at_ms, bid, ask)
    return mids


def test_one_fill_taken_apart() -> None:
    """Ten Up at 0.49 against a mid of 0.50 that falls to 0.47 in ten seconds, ends at 0.60 and
    wins: a cent of spread, three lost to whoever knew, thirteen by holding, forty by the result.
    """
    mids = track((0, 4900, 5100), (AFTER_MS, 4600, 4800), (200_000, 5900, 6100))

    parts = sources([bought(0, Outcome.UP, 4900)], mids, END_MS, SHARE)

    assert parts == Sources(100_000, -300_000, 1_300_000, 4_000_000, 0, 1_000)
    assert parts.total == TEN - 4_900_000 + 1_000


def test_down_is_the_other_way_round() -> None:
    """Down's mid is one less Up's, and Up's payout is what Down does not get."""
    mids = track((0, 4900, 5100))

    parts = sources([bought(0, Outcome.DOWN, 4800, fee=7)], mids, END_MS, SHARE)

    assert parts == Sources(200_000, 0, 0, -5_000_000, -7, 1_000)


FILLS = st.lists(
    st.builds(
        Fill,
        at_ms=st.integers(0, END_MS + 5_000),
        outcome=st.sampled_from(Outcome),
        price=st.integers(1, ONE - 1),
        shares=st.integers(-100 * SHARE, 100 * SHARE),
        cash=st.integers(-100 * USD, 100 * USD),
        fee=st.integers(0, USD),
        rebate=st.integers(0, USD),
        maker=st.booleans(),
    ),
    max_size=20,
)
POINTS = st.lists(st.tuples(st.integers(0, END_MS), st.integers(0, ONE), st.integers(0, ONE)))


@given(FILLS, POINTS, st.sampled_from((0, SHARE)))
def test_the_parts_are_the_whole(
    fills: list[Fill], points: list[tuple[int, int, int]], payout: int
) -> None:
    """Whatever the fills and the mids: the parts add up to cash, payout, fees and rebates."""
    mids = track(*sorted(points))
    whole = 0
    for fill in fills:
        pays = payout if fill.outcome is Outcome.UP else SHARE - payout
        whole += fill.cash + fill.shares * pays // SHARE - fill.fee + fill.rebate

    assert sources(fills, mids, END_MS, payout).total == whole


def test_an_empty_book_says_nothing() -> None:
    """A side that is gone counts as the edge; with both gone the last mid stands."""
    mids = MidTrack()
    assert mids.at(0, Outcome.UP) == ONE, "even, before anything is known"
    mids.note(10, 9_000, None)
    mids.note(20, None, None)

    assert mids.at(30, Outcome.UP) == 19_000
    assert mids.at(30, Outcome.DOWN) == 1_000


def test_parts_of_the_window() -> None:
    """Each fill counts where its time to the end puts it, the bounds in the later part."""
    assert [bucket(left_s * 1000) for left_s in (900, 300, 240, 239, 60, 10, 1, 0, -3)] == [
        0, 0, 1, 1, 4, 6, 6, 6, 6,
    ]  # fmt: skip


def test_markouts_end_with_the_window() -> None:
    """Five seconds before the end a horizon of thirty is five; shares and dollars are sums."""
    mids = track((0, 4900, 5100), (296_000, 5900, 6100), (301_000, 9_000, 9_200))
    fills = [bought(295_000, Outcome.UP, 5000), bought(295_500, Outcome.UP, 5000)]

    parts = markouts(fills, mids, END_MS)

    assert len(parts) == len(BUCKETS_S) - 1
    assert parts[-1] == Markout(2, 2 * TEN, (2_000_000, 2_000_000, 2_000_000, 2_000_000))
    assert not any(part.fills for part in parts[:-1])
