"""Two runs over the same market time: each dollar of the gap has a cause, and the right one."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from backtest_kit import config, models, recording
from hypothesis import given, strategies as st
from market_kit import BTC_5M

from polybot.core_tape import INPUTS, Input, Learnt, Restarted, ScopeBegan
from polybot.domain.market import Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.journal.entries import Told
from polybot.journal.recorder import CORE
from polybot.journal.tape import Event, Header, Kind, Writer
from polybot.lab.backtest_run import Play
from polybot.lab.divergence import CAUSES, Window, compare, main
from polybot.lab.run_record import Filled, MarketRun, Run, Span, of_tape, read, save
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep

UP, DOWN = Outcome.UP, Outcome.DOWN
START, END = 1_000_000, 1_300_000
MID = START + 100_000
SLUG = "btc-updown-5m-1000"


def fill(
    at_ms: int = MID, price: int = 4800, shares: int = 10, toward: Outcome = UP, fee: int = 0
) -> Filled:
    return Filled(at_ms, toward, price, shares * SHARE, fee)


def run(name: str, *fills: Filled, up: int | None = SHARE, **more: object) -> Run:
    market = MarketRun(SLUG, START, END, up, list(fills))
    for key, value in more.items():
        setattr(market, key, value)
    return Run(name, START - 1, END + 1, {SLUG: market})


def only(a: Run, b: Run) -> Window:
    (window,) = compare(a, b).windows
    assert sum(window.causes.values()) == window.gap
    return window


def causes(window: Window) -> dict[str, int]:
    """In micro-dollars, those that are not nought."""
    return {name: value // 10**6 for name, value in window.causes.items() if value}


def test_a_run_beside_itself() -> None:
    """No gap, and all trust."""
    one = run("a", fill(), fill(MID + 10_000, 5100, toward=DOWN))
    assert causes(only(one, one)) == {}
    assert compare(one, one).trust == 1.0


def test_a_fill_that_the_other_bid_for_is_the_queues() -> None:
    """It bid as much at that time and was not reached."""
    resting = Span(UP, 4800, 10 * SHARE, MID - 5_000, MID + 5_000)
    window = only(run("a", fill()), run("b", spans=[resting]))

    assert causes(window) == {"queue": 5_200_000}
    assert window.gap == window.profit_a


def test_a_bid_that_came_too_late_or_left_too_soon() -> None:
    """Within two seconds it is latency; later it is another wish."""
    late = Span(UP, 4800, SHARE, MID + 1_500, MID + 9_000)
    gone = Span(UP, 4900, SHARE, MID - 9_000, MID - 1_500)
    never = Span(UP, 4800, SHARE, MID + 2_500, MID + 9_000)
    lower = Span(UP, 4700, SHARE, MID - 9_000, MID + 9_000)
    other = Span(DOWN, 4800, SHARE, MID - 9_000, MID + 9_000)

    assert causes(only(run("a", fill()), run("b", spans=[late]))) == {"latency": 5_200_000}
    assert causes(only(run("a", fill()), run("b", spans=[gone]))) == {"latency": 5_200_000}
    model = causes(only(run("a", fill()), run("b", spans=[never, lower, other])))
    assert model == {"model": 5_200_000}


def test_what_the_other_did_not_hear() -> None:
    """A gap in its data comes before every other cause."""
    resting = Span(UP, 4800, SHARE, MID - 5_000, MID + 5_000)
    deaf = run("b", spans=[resting], gaps=[(MID - 8_000, MID + 1)])

    assert causes(only(run("a", fill()), deaf)) == {"missing data": 5_200_000}
    assert causes(only(deaf, run("a", fill()))) == {"missing data": -5_200_000}


def test_better_prices_fees_and_other_results() -> None:
    """Matched fills differ by price and fee, and by what their runs were paid."""
    a = run("a", fill(price=4700))
    b = run("b", fill(MID + 1_000, price=4800, fee=50_000), up=0)

    assert causes(only(a, b)) == {"price improvement": 150_000, "settlement": 10_000_000}


def test_rebates_count_as_fees_do() -> None:
    """A maker's is a part of what a fill came to; half of a fill has half of it."""
    a = run("a", attrs.evolve(fill(), rebate=80_000))
    window = only(a, run("b", fill()))

    assert window.profit_a == window.profit_b + 80_000 * SHARE
    assert causes(window) == {"price improvement": 80_000}
    assert causes(only(a, run("b", fill(shares=5)))) == {
        "price improvement": 40_000, "model": 2_640_000,
    }  # fmt: skip


def test_half_of_a_fill_is_matched() -> None:
    """The smaller decides; the rest has a cause of its own."""
    window = only(run("a", fill(shares=10)), run("b", fill(shares=4)))

    assert window.matched == 1
    assert causes(window) == {"model": 3_120_000}
    assert compare(run("a", fill(shares=10)), run("b", fill(shares=4))).trust == 0.4


def test_fills_far_apart_are_two() -> None:
    """Three seconds are one event; more are not."""
    window = only(run("a", fill()), run("b", fill(MID + 3_001)))

    assert window.matched == 0
    assert window.gap == 0
    assert window.causes == {"model": 0}


def test_how_long_both_bid_alike() -> None:
    """The best bids, a tick apart at most, over all time in which either bid."""
    a = run("a", spans=[Span(UP, 4800, 1, MID, MID + 100), Span(UP, 4500, 1, MID, MID + 300)])
    b = run("b", spans=[Span(UP, 4700, 1, MID + 50, MID + 200)])
    window = only(a, b)

    assert window.quoted_ms == 300
    assert window.agreed_ms == 50
    assert compare(a, b).trust == pytest.approx(50 / 300)


def test_only_the_common_time_counts() -> None:
    """What one did before the other was there says nothing of the other."""
    early = Span(UP, 4800, 1, START, MID)
    a = run("a", fill(START + 10), fill(), spans=[early])
    b = attrs.evolve(run("b", fill(), spans=[early]), from_ms=START + 20)

    assert only(a, b).fills_a == 1
    assert compare(a, b).trust == 1.0


def test_windows_that_cannot_be_compared_are_named() -> None:
    """Missing, never at the same time, not resolved: left out, with the reason."""
    one = run("a", fill())
    assert compare(one, Run("b")).left_out == {SLUG: "not in b"}
    late = attrs.evolve(run("late"), from_ms=END)
    assert compare(one, late).left_out == {SLUG: "at no time in both"}
    open_ = run("open", fill(), up=None)
    assert compare(open_, open_).left_out == {SLUG: "resolved in neither"}
    assert compare(one, open_).trust == 1.0, "the result is the other's"
    assert compare(one, Run("b")).trust is None


def test_what_is_left_out_is_told_by_the_code_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trust is that of the windows compared: it was told with code 0, though half of what both
    runs went through was in none of it. A window that the end of a run cuts is no fault.
    """
    one, both = run("a", fill()), run("b", fill())
    later, cut = MarketRun("later", START, END, SHARE), MarketRun("cut", MID, END + 2, None)
    both.markets |= {"later": later}
    one.markets |= {"cut": cut}
    assert compare(one, both).missed == ("later",)
    unresolved = run("open", fill(), up=None)
    assert compare(unresolved, unresolved).missed == (SLUG,)
    save(one, tmp_path / "a.json")
    save(both, tmp_path / "b.json")

    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    said = capsys.readouterr().out
    assert "later: left out, not in a, and both went through it\n" in said
    assert "cut: left out, not in b\n" in said
    assert "trust: 1.00, of a part only: 1 of the windows of both left out\n" in said

    del both.markets["later"]
    save(both, tmp_path / "b.json")
    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0


class Counted(int):
    """A time that counts what is asked of it."""

    asked = 0

    def __lt__(self, other: int) -> bool:
        Counted.asked += 1
        return int(self) < int(other)

    def __le__(self, other: int) -> bool:
        Counted.asked += 1
        return int(self) <= int(other)

    def __sub__(self, other: int) -> int:
        Counted.asked += 1
        return int(self) - int(other)


def work(count: int) -> int:
    """What so many fills and bids cost, ten seconds apart."""
    begin, end = Counted(0), Counted(10_000 * count)
    runs = []
    for name in ("a", "b"):
        market = MarketRun(SLUG, begin, end, SHARE)
        for n in range(count):
            at_ms = Counted(10_000 * n)
            market.fills.append(fill(at_ms))
            market.spans.append(Span(UP, 4700, 1, at_ms, Counted(10_000 * n + 5_000)))
        runs.append(Run(name, begin, end, {SLUG: market}))
    Counted.asked = 0
    assert only(*runs).matched == count
    return Counted.asked


def test_twice_as_much_costs_little_more_than_twice() -> None:
    """Each fill was held against each, again for every pair that was found, and each bid against
    every change of one.
    """
    assert work(100) < 2.5 * work(50)


fills = st.lists(
    st.builds(
        Filled,
        st.integers(START, START + 9_000),
        st.sampled_from(Outcome),
        st.integers(1, 9_999),
        st.integers(1, 20_000_000),
        st.integers(0, 50_000),
        st.integers(0, 50_000),
    ),
    max_size=6,
)
payouts = st.sampled_from([0, SHARE // 2, SHARE])


@given(fills, fills, payouts, payouts)
def test_the_causes_always_add_up(a: list[Filled], b: list[Filled], up_a: int, up_b: int) -> None:
    """Whatever was filled and paid: the causes are the gap; turned round they are its opposite."""
    one, other = run("a", *a, up=up_a), run("b", *b, up=up_b)
    there, back = only(one, other), only(other, one)

    assert there.gap == -back.gap
    assert there.filled_in_both <= there.filled
    assert compare(one, one).trust in (None, 1.0)


# --- from backtests and tapes ---------------------------------------------------------------------


def test_a_backtests_profit_is_its_own() -> None:
    """Rebates included, to a micro-dollar a fill, which cash is rounded to."""
    play = Play(recording(1), config(), models("touch"))
    (told,) = play.run()
    market = play.record.done().markets[told.slug]
    assert market.up_payout is not None
    profit = sum(fill.profit(market.up_payout) for fill in market.fills)

    assert told.sources.rebates > 100 * told.fills
    assert abs(profit - told.profit * SHARE) <= told.fills * SHARE


@pytest.fixture(scope="module")
def lived() -> list[Event]:
    """A life in which our orders were taken, from the middle of a window until it is resolved."""
    lives: list[list[Event]] = []
    case = Keep(deaths=False, series=False, revoked=False).of(draw(3, 0.1))
    one = (Life(225.0, End.STOP, 0.0),)
    simulate(attrs.evolve(case, lives=one, later_s=135, quiet_s=0.0, sniped=0.5), lives)
    return lives[0]


def test_a_run_is_read_from_its_tape(lived: list[Event]) -> None:
    """Fills, spans and results as the run had them."""
    found = of_tape("a", lived)
    fills = [one for market in found.markets.values() for one in market.fills]
    spans = [one for market in found.markets.values() for one in market.spans]

    assert fills
    assert all(0 < one.price < 10_000 and one.shares > 0 for one in fills)
    assert all(one.from_ms <= one.to_ms for one in spans)
    assert any(market.up_payout is not None for market in found.markets.values())
    for market in found.markets.values():
        for one in market.fills:
            near = [s for s in market.spans if s.toward is one.toward and s.price >= one.price]
            assert any(s.from_ms - 2_000 <= one.at_ms <= s.to_ms + 2_000 for s in near)


@pytest.mark.parametrize(
    ("source", "heard_ms", "at_ms"),
    [
        ("user stream", 20_000, 20_000),
        ("REST", 20_000, 1_000),
        ("REST", -5_000, -5_000),
        ("user stream", 900_000, 240_000),
    ],
)
def test_when_a_fill_was(source: str, heard_ms: int, at_ms: int) -> None:
    """A fill that the stream missed and a later look found was when the venue says, not when it was
    found; none was before it was heard, nor after its window. Else its dollars would be nowhere.
    """
    begun = BTC_5M.start_ms + 60_000
    leg = FillLeg("0xabc", BTC_5M.up_token, Side.BUY, 4800, SHARE, maker=True)
    trade = TradeSeen("t1", BTC_5M.condition_id, TradeStatus.MATCHED, (leg,), begun + 1_000, source)
    values: tuple[tuple[int, Input], ...] = (
        (-9_000, ScopeBegan(BTC_5M, MarketState.QUOTING)),
        (heard_ms, Learnt((Told(BTC_5M.condition_id, trade),))),
    )
    events = [
        Event((begun + ms) * 10**6, Kind.FED, CORE, INPUTS.pack(value)) for ms, value in values
    ]
    (found,) = of_tape("a", events).markets[BTC_5M.slug].fills

    assert found.at_ms == begun + at_ms


def test_silence_is_a_gap(lived: list[Event]) -> None:
    """Five seconds without a frame of a book, also around a reconnection."""
    market = next(event for event in lived if event.stream.startswith("market "))
    slug = market.stream.removeprefix("market ")
    begin = market.at_ns + 20 * 10**9
    end = begin + 9 * 10**9
    quiet = [
        event for event in lived if event.stream != market.stream or not begin < event.at_ns < end
    ]
    place = next(n for n, event in enumerate(quiet) if event.at_ns >= end)
    quiet.insert(place, Event(end, Kind.FED, CORE, INPUTS.pack(Restarted(market.stream))))

    gaps = of_tape("a", quiet).markets[slug].gaps

    assert any(f <= begin // 10**6 + 1_000 and t >= end // 10**6 - 1_000 for f, t in gaps)


def written(path: Path, rows: list[Event]) -> Path:
    writer = Writer(path, Header("run-1", 0, 0, "", {}, {}))
    writer.write([(row.at_ns, int(row.kind), row.stream, row.body) for row in rows])
    writer.close()
    return path


def test_the_command(
    lived: list[Event], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tape beside the JSON of the same run: alike; beside one without some fills: told."""
    tape = written(tmp_path / "a-0000.tape", lived)
    whole, _ = read(tape)
    save(whole, tmp_path / "same.json")
    assert main([str(tape), str(tmp_path / "same.json")]) == 0
    assert "trust: 1.00" in capsys.readouterr().out

    for market in whole.markets.values():
        del market.fills[::2]
    save(whole, tmp_path / "other.json")
    assert main([str(tape), str(tmp_path / "other.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["trust"] < 1
    assert set(told["windows"][0]["causes"]) == set(CAUSES)


def test_a_run_that_was_played_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file says so: what the backtest had told was forgotten by the next command."""
    window = MarketRun("m", 0, 300_000, SHARE, spans=[Span(Outcome.UP, 5000, 1, 0, 300_000)])
    for name, whole in (("a", True), ("b", False)):
        save(Run(name, 0, 300_000, {"m": window}, whole), tmp_path / f"{name}.json")
    a, b = (str(tmp_path / f"{name}.json") for name in "ab")

    assert main([a, a]) == 0
    assert main([a, b]) == 1
    assert f"{b}: a part of what it was played on" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"nom": 1}', "null", "1", "[]", '"a"', ""])
def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Code 2 for what cannot be read, whatever JSON it is: what was no object was a traceback."""
    (tmp_path / "a.json").write_text(text)
    assert main([str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert "not a run: give a file of `backtest --runs`, or a tape" in capsys.readouterr().err


def test_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs of nothing are read, and told with code 1."""
    save(Run("a"), tmp_path / "b.json")
    assert main([str(tmp_path / "b.json"), str(tmp_path / "b.json")]) == 1
    assert "nothing to compare" in capsys.readouterr().out
