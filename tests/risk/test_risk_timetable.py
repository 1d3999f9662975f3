"""Clocks, countdowns, cutoffs by v·√latency, the ratchet, and the machine of a market."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st
from risk_kit import FIVE, HOUR, START, STRANGE, TABLE, TIMES

from polybot.domain.market import Market
from polybot.domain.market_states import (
    ALLOWED,
    TRANSITIONS,
    Action,
    Happened,
    MarketState,
    allowed,
    next_market_state,
)
from polybot.risk.timetable import (
    PPM,
    Known,
    MarketMachine,
    Moved,
    Times,
    Timetable,
    stop_by_latency_ms,
)

S, H, A = MarketState, Happened, Action
READY = Known(book=True, strike=True)


# --- the time model -------------------------------------------------------------------------------


def test_three_countdowns_of_an_averaged_window() -> None:
    """The averaging begins a look-back before the end, less the oracle's lag (strategy.md 13)."""
    table = Timetable.of(FIVE, TIMES, oracle_lag_ms=3_000)

    assert table.ahead == (
        ("cutoff", START + 240_000),
        ("averaging", START + 300_000 - 60_000 - 3_000),
        ("payout", START + 300_000 + 86_000),
    )


def test_a_candle_is_fixed_at_its_end() -> None:
    """A candle's fixing is the end itself (strategy.md 13)."""
    assert Timetable.of(HOUR, TIMES).fixing_ms == HOUR.end_ms


def test_a_stop_later_than_the_cutoff_is_the_cutoff() -> None:
    """Reducing after everything has been withdrawn would be a contradiction (strategy.md 6.3)."""
    table = Timetable.of(FIVE, Times(stop_ms=10_000, cutoff_ms=60_000))

    assert table.stop_ms == table.cutoff_ms == FIVE.end_ms - 60_000


def fair_vol(market: Market, tau_s: float) -> float:
    """v at the money, straight from the table of strategy.md 2.3."""
    density = 1 / math.sqrt(2 * math.pi)
    if market is HOUR:
        return density / math.sqrt(tau_s)
    return density * (1 / math.sqrt(tau_s - 40) if tau_s >= 60 else math.sqrt(3 / tau_s))


@pytest.mark.parametrize(
    ("market", "latency_ms", "expected_ms"),
    [(FIVE, 250, 103_700), (HOUR, 250, 63_700), (FIVE, 150, 78_200)],
)
def test_the_stop_of_the_reference(market: Market, latency_ms: int, expected_ms: int) -> None:
    """2.5 c at the money: under 120 s for averages, about 60 s for candles (strategy.md 6.3)."""
    assert stop_by_latency_ms(market, latency_ms, 25_000) == pytest.approx(expected_ms, abs=50)


@given(st.sampled_from([FIVE, HOUR]), st.integers(10, 5_000), st.integers(5_000, 400_000))
def test_at_the_stop_the_move_is_what_was_allowed(
    market: Market, latency_ms: int, move_ppm: int
) -> None:
    """v(τ)·√L at the stop is the configured move: before it less, after it more (6.3, 2.3)."""
    stop_s = stop_by_latency_ms(market, latency_ms, move_ppm) / 1000
    root = math.sqrt(latency_ms / 1000)

    if stop_s > 0.05:  # the stop is rounded up to the millisecond
        assert fair_vol(market, stop_s) * root <= move_ppm / PPM * 1.0001
        assert fair_vol(market, stop_s - 0.002) * root >= move_ppm / PPM * 0.97


@pytest.mark.parametrize(("latency_ms", "move_ppm"), [(0, 1), (-5, 1), (1, 0), (1, -1)])
def test_no_latency_is_no_figure(latency_ms: int, move_ppm: int) -> None:
    """A stop cannot be reckoned from nothing."""
    with pytest.raises(ValueError, match="positive"):
        stop_by_latency_ms(FIVE, latency_ms, move_ppm)


@pytest.mark.parametrize(
    ("before_cutoff_s", "part"), [(200, 1.0), (90, 1.0), (45, 0.5), (18, 0.2), (1, 0.2), (-5, 0.2)]
)
def test_the_ratchet(before_cutoff_s: int, part: float) -> None:
    """Limits shrink over the last 0.3 of the window, to a fifth (strategy.md 14)."""
    now_ms = TABLE.cutoff_ms - before_cutoff_s * 1000

    assert TABLE.ratchet_ppm(now_ms) == part * PPM


@given(st.integers(START - 10**6, START + 10**6), st.integers(0, 10**6))
def test_the_ratchet_never_loosens(now_ms: int, later_ms: int) -> None:
    """Time only tightens the limits."""
    assert TABLE.ratchet_ppm(now_ms + later_ms) <= TABLE.ratchet_ppm(now_ms)


# --- the table ------------------------------------------------------------------------------------

ORDER = list(MarketState)


def test_every_state_is_in_both_tables() -> None:
    """No state without its row of transitions and its row of what it allows."""
    assert set(TRANSITIONS) == set(ALLOWED) == set(MarketState)


def test_states_only_move_forward() -> None:
    """Transitions are monotone (strategy.md 13)."""
    for state, row in TRANSITIONS.items():
        assert all(ORDER.index(after) > ORDER.index(state) for after in row.values())


def test_every_state_can_be_reached_and_ends_closed() -> None:
    """From the discovery every state is reached, and from every state the last one."""
    reached = {S.DISCOVERED}
    while more := {a for s in reached for a in TRANSITIONS[s].values()} - reached:
        reached |= more
    assert reached == set(MarketState)

    ends = {S.CLOSED}
    while more := {s for s, row in TRANSITIONS.items() if ends & set(row.values())} - ends:
        ends |= more
    assert ends == set(MarketState)


def test_cancelling_is_always_allowed() -> None:
    """There is no state in which an order may not be withdrawn, halted or not (strategy.md 13)."""
    for state in MarketState:
        for halted in (True, False):
            assert A.CANCEL in allowed(state, halted=halted)


def test_what_each_state_allows() -> None:
    """Quotes while quoting, the light side and completion to the cutoff, redemption when resolved
    (strategy.md 13).
    """
    assert {s for s in MarketState if A.QUOTE in ALLOWED[s]} == {S.PREOPEN, S.QUOTING}
    assert {s for s in MarketState if A.REDUCE in ALLOWED[s]} == {S.PREOPEN, S.QUOTING, S.REDUCE}
    assert {s for s in MarketState if A.COMPLETE in ALLOWED[s]} == {S.QUOTING, S.REDUCE}
    assert {s for s in MarketState if A.REDEEM in ALLOWED[s]} == {S.RESOLVED}


def test_halted_only_lowers_risk() -> None:
    """Under the lid nothing is bid for (strategy.md 13)."""
    for state in MarketState:
        bids = {A.QUOTE, A.REDUCE, A.COMPLETE}
        assert not bids & allowed(state, halted=True)


# --- the machine ----------------------------------------------------------------------------------


def test_a_whole_life() -> None:
    """From discovery to closed books, every step with its cause (strategy.md 13)."""
    machine = MarketMachine(FIVE, TABLE)
    machine.learn(Known(book=True), START - 5_000)
    machine.learn(Known(book=True), START + 10)
    machine.learn(READY, START + 2_500)
    for after_s in (180, 240):
        machine.at(START + after_s * 1000)
    machine.learn(attrs.evolve(READY, open_orders=0), START + 240_100)
    machine.at(FIVE.end_ms)
    machine.hear(H.PAYOUT, FIVE.end_ms + 86_000)
    machine.hear(H.AGREED, FIVE.end_ms + 90_000)

    assert [move.after for move in machine.moves] == ORDER[1:]
    assert [move.cause for move in machine.moves] == [
        H.KNOWN, H.STARTED, H.STRIKE, H.STOP, H.CUTOFF, H.EMPTY, H.END, H.PAYOUT, H.AGREED,
    ]  # fmt: skip
    assert machine.ignored == 0


@pytest.mark.parametrize(
    ("at_s", "state"),
    [
        (-0.001, S.PREOPEN),
        (0, S.QUOTING),
        (179.999, S.QUOTING),
        (180, S.REDUCE),
        (239.999, S.REDUCE),
        (240, S.CUTOFF),
        (299.999, S.CUTOFF),
        (300, S.ENDED),
    ],
)
def test_found_late_it_is_where_the_clock_is(at_s: float, state: MarketState) -> None:
    """A market first seen at any moment goes there without opening a door on its way (6.3)."""
    machine = MarketMachine(FIVE, TABLE, known=READY)

    assert machine.at(START + int(at_s * 1000)) is state
    assert not any(move.after is S.QUOTING for move in machine.moves) or state is S.QUOTING


def test_without_a_strike_time_goes_on() -> None:
    """A strike that never comes does not keep a market from its cutoff."""
    machine = MarketMachine(FIVE, TABLE, known=Known(book=True))

    assert machine.at(START + 1) is S.AWAIT_STRIKE
    assert not machine.allows(A.QUOTE, START + 1, halted=False)
    assert machine.at(START + 180_000) is S.REDUCE
    assert machine.at(START + 240_000) is S.CUTOFF


def test_a_rule_not_understood_is_never_quoted() -> None:
    """An unknown rule stays discovered until the clock ends it (strategy.md 1)."""
    machine = MarketMachine(STRANGE, Timetable.of(STRANGE, TIMES), known=READY)

    assert machine.at(START + 1_000) is S.DISCOVERED
    assert not machine.allows(A.QUOTE, START + 1_000, halted=False)


@pytest.mark.parametrize("known", [Known(book=False, strike=True), Known(book=True, strike=False)])
def test_nothing_is_quoted_before_book_and_strike_are_known(known: Known) -> None:
    """The one without the other is not enough."""
    machine = MarketMachine(FIVE, TABLE, known=known)

    assert not machine.allows(A.QUOTE, START + 1_000, halted=False)
    assert not machine.allows(A.REDUCE, START + 1_000, halted=False)


def test_before_the_start_only_from_the_opening_on() -> None:
    """Quotes before the window are the operator's choice (strategy.md 13, PREOPEN)."""
    early = Timetable.of(FIVE, attrs.evolve(TIMES, preopen_ms=10_000))
    machine = MarketMachine(FIVE, early, known=READY)

    assert not machine.allows(A.QUOTE, START - 10_001, halted=False)
    assert machine.allows(A.QUOTE, START - 10_000, halted=False)
    assert not machine.allows(A.QUOTE, START - 10_000, halted=True)
    for halted in (False, True):
        assert machine.allows(A.CANCEL, START - 10_001, halted=halted)
        assert machine.allows(A.MERGE, START - 10_001, halted=halted)
    assert not MarketMachine(FIVE, TABLE, known=READY).allows(A.QUOTE, START - 1, halted=False)


def test_every_transition_is_told_once_whoever_asks() -> None:
    """The firewall's question moves a market on as the quoter's facts do, and neither is missed
    (strategy.md 13).
    """
    told: list[Moved] = []
    machine = MarketMachine(FIVE, TABLE, on_move=told.append)
    machine.learn(READY, START + 1_000)
    assert not machine.allows(A.QUOTE, FIVE.end_ms - 1, halted=False)
    machine.at(FIVE.end_ms)
    machine.hear(H.PAYOUT, FIVE.end_ms + 60_000)

    assert told == machine.moves
    assert [move.after for move in told][-3:] == [S.CUTOFF, S.ENDED, S.RESOLVED]


def test_a_market_found_further_on_stays_there() -> None:
    """What an earlier run has cut off is not opened again, whatever this one's times are."""
    late = Timetable.of(FIVE, Times(stop_ms=2_000, cutoff_ms=1_000))
    machine = MarketMachine(FIVE, late, S.CUTOFF)

    machine.learn(READY, START + 1_000)

    assert machine.state is S.CUTOFF
    assert not machine.allows(A.QUOTE, START + 1_000, halted=False)


def test_a_clock_that_goes_back_moves_nothing() -> None:
    """States only go forward, whatever a clock says."""
    machine = MarketMachine(FIVE, TABLE, known=READY)
    machine.at(START + 240_000)

    assert machine.at(START + 1_000) is S.CUTOFF


def test_what_means_nothing_is_counted() -> None:
    """A payout before the end is an event in the wrong place: counted, not obeyed."""
    machine = MarketMachine(FIVE, TABLE, known=READY)

    assert machine.hear(H.PAYOUT, START + 1) is S.QUOTING
    assert machine.ignored == 1
    assert next_market_state(S.QUOTING, H.PAYOUT) is None


FACTS = st.builds(Known, st.booleans(), st.booleans(), st.integers(0, 2))


@given(st.lists(st.tuples(st.integers(-20_000, 500_000), FACTS), max_size=12))
def test_no_history_opens_a_closed_door(history: list[tuple[int, Known]]) -> None:
    """Whatever is learnt in whatever order, a state is never left backwards, and nothing is quoted
    past the stop or before the window.
    """
    machine = MarketMachine(FIVE, TABLE)
    before, latest_ms = S.DISCOVERED, 0
    for at_ms, known in history:
        now_ms = START + at_ms
        machine.learn(known, now_ms)
        assert ORDER.index(machine.state) >= ORDER.index(before)
        before = machine.state
        latest_ms = max(latest_ms, now_ms)  # what a clock has said once stays said
        if machine.allows(A.QUOTE, now_ms, halted=False):
            assert START <= latest_ms < TABLE.stop_ms
        if machine.allows(A.REDUCE, now_ms, halted=False):
            assert START <= latest_ms < TABLE.cutoff_ms
    assert len(machine.moves) < len(MarketState)
