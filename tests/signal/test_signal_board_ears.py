"""What reaches which signal of the board: the right side of a book, with the right sign, in time.

Each of these could be turned round without a test that failed (lines changed at random).
"""

from __future__ import annotations

import pytest
from signal_kit import DOWN, MARKET, START, UP, depth, mirrored, printed

from polybot.domain.market import Outcome, Side
from polybot.signal.board import Look, SignalBoard, SignalMemory
from polybot.signal.inputs import Depth, Priced
from polybot.signal.params import SignalParams
from polybot.signal.texts import words

PRICED = Priced(0.5, 0.0247, 100_000.0, 8e-5)
CADENCE_MS = 100


def board(*acting: str) -> SignalBoard:
    params = SignalParams(acting=acting, earn_calls=0.0, shadow_every_s=CADENCE_MS / 1000)
    return SignalMemory(params).board(MARKET, 0.15)


def look(made: SignalBoard, at_ms: int, up: Depth, own: dict[Outcome, int] | None = None) -> None:
    made.look(Look(START + at_ms, PRICED, up, mirrored(up), own or {}))
    made.decided(0.5, 0.01, START + at_ms)


@pytest.mark.parametrize(
    ("outcome", "side", "price", "after", "counts"),
    [
        (UP, Side.SELL, 4900, (4800, 5200), True),
        (DOWN, Side.BUY, 5100, (4800, 5200), True),
        (DOWN, Side.BUY, 4900, (4800, 5200), False),
        (UP, Side.BUY, 4900, (4800, 5200), False),
        (DOWN, Side.SELL, 5100, (4800, 5200), False),
        (DOWN, Side.SELL, 4800, (4900, 5300), True),
        (UP, Side.BUY, 5200, (4900, 5300), True),
    ],
)
def test_a_print_takes_from_the_bids_it_was_matched_with(
    outcome: Outcome, side: Side, price: int, after: tuple[int, int], counts: bool
) -> None:
    """Up sold at 0.49 and Down bought at 0.51 are the same bid for Up, Down sold at 0.48 and Up
    bought at 0.52 the same for Down: each is gone, and comes back.
    """
    made, before = board(), depth(4900, 5200)
    look(made, 0, before)
    made.printed(printed(outcome, side, price), START + 50)
    look(made, 100, depth(*after))
    look(made, 200, before)
    look(made, 1_300, before)

    assert made.readings.rivals.refill == (1.0 if counts else None)


def test_rivals_see_our_own_best_bid() -> None:
    """A bid of ours above all others that somebody goes above is one improvement undercut."""
    made = board()
    look(made, 0, depth(4900, 5200), {UP: 4900})
    look(made, 100, depth(4900, 5200), {UP: 4910})
    look(made, 200, depth(4920, 5200), {UP: 4910})
    look(made, 1_300, depth(4920, 5200), {UP: 4900})

    assert (made.readings.rivals.improvements, made.readings.rivals.undercut) == (1, 1.0)


def test_books_are_looked_at_on_the_cadence_of_the_shadow() -> None:
    """At once, then not before it is over, and again where the clock was set back; a signal that
    reads them and acts looks at every decision, toxicity does not read them.
    """
    made = board("toxicity")
    assert made.due(START)
    look(made, 0, depth())

    assert not made.due(START)
    assert not made.due(START + CADENCE_MS - 1)
    assert made.due(START + CADENCE_MS)
    assert made.due(START - 1)
    acting = board("flow")
    look(acting, 0, depth())
    assert acting.due(START)


@pytest.mark.parametrize(
    ("outcome", "fair", "hits"), [(UP, 0.53, 1), (UP, 0.47, 0), (DOWN, 0.47, 1), (DOWN, 0.53, 0)]
)
def test_flow_calls_the_way_it_flows(outcome: Outcome, fair: float, hits: int) -> None:
    """Takers who buy Down call a lower price of Up (strategy.md 11)."""
    made = board()
    for n in range(50):
        made.printed(printed(outcome), START + 100 * n)
    look(made, 5_000, depth())
    look(made, 5_050, depth())
    made.decided(fair, 0.01, START + 20_060)

    score = made.memory.summary()["flow"]
    assert (score.calls, score.hits) == (1, hits)


@pytest.mark.parametrize(("prints", "told"), [(50, True), (2, False)])
def test_a_flow_that_may_be_chance_is_not_told(prints: int, told: bool) -> None:
    """One that is significant is, with its sign."""
    made = board()
    for n in range(prints):
        made.printed(printed(DOWN), START + 100 * n)
    look(made, 5_000, depth())

    assert made.readings.flow is not None
    assert any(text.startswith("flow -1.00 (n ") for text in words(made.readings)) == told
