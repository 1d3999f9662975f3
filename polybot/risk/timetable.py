"""The time model: three clocks, the countdowns of a market, and its machine (strategy.md 13, 6.3).

Three clocks tell three different things, and none stands in for another. *Venue time* (the wall
clock, corrected for the venue's offset) dates windows, signatures and expirations; every `*_ms`
here is of it. *Monotonic time* measures ages and time-outs; it belongs to the shell, which never
compares it with a stamp. *Oracle time* is in the payload of a price: the fixing is made of values
stamped up to the end, so it is over, for whoever reads the stream, a lag later. Only the countdown
to the fixing may use that lag.

Milliseconds, and seconds where a formula has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from polybot.domain.market import Candle, Market, TwapPair
from polybot.domain.market_states import (
    TRANSITIONS,
    Action,
    Happened,
    MarketState,
    allowed,
    next_market_state,
)

# A payout is on chain 54 to 87 s after the end of an interval, and half of them by then
# (strategy.md 13): a countdown for the operator, not a deadline.
PAYOUT_MS = 86_000

RATCHET_PART = 3  # tenths of the window in which the limits shrink (strategy.md 14)
RATCHET_LEAST_PPM = 200_000
PPM = 1_000_000

_DENSITY = 1 / math.sqrt(2 * math.pi)  # φ(0): at the money, where the fair price moves most


def stop_by_latency_ms(market: Market, latency_ms: int, most_move_ppm: int) -> int:
    """Milliseconds before the end from when on an even fair price moves more than `most_move_ppm`
    (of a dollar) within one standard deviation of our latency: v(τ)·√L (strategy.md 6.3, 2.3).

    v is φ(0)/√(τ − 2w/3) before the averaging window of w seconds, φ(0)·√(3/τ) inside it and
    φ(0)/√τ for a candle. At 250 ms and 2.5 c: 103.7 s for a 60 s average, 63.7 s for a candle.
    Raises ValueError unless both are positive.
    """
    if latency_ms <= 0 or most_move_ppm <= 0:
        raise ValueError(f"expected positive figures, were {latency_ms} and {most_move_ppm}")
    diffusion_s = (_DENSITY * PPM / most_move_ppm) ** 2 * latency_ms / 1000
    if not isinstance(market.rule, TwapPair):
        return math.ceil(diffusion_s * 1000)
    window_s = market.rule.lookback_s
    ahead_s = diffusion_s + 2 * window_s / 3
    return math.ceil((ahead_s if ahead_s >= window_s else 3 * diffusion_s) * 1000)


@attrs.frozen
class Times:
    """How long before the end a market stops, is cut off, and how long before its start it opens;
    milliseconds. The operator's figures: `of` raises the stop where our latency demands it.
    """

    stop_ms: int
    cutoff_ms: int
    preopen_ms: int = 0


@attrs.frozen
class Timetable:
    """When each part of a market's life begins, in venue milliseconds."""

    opens_ms: int
    start_ms: int
    stop_ms: int
    cutoff_ms: int
    fixing_ms: int
    end_ms: int

    @classmethod
    def of(cls, market: Market, times: Times, oracle_lag_ms: int = 0) -> Timetable:
        """The figures of one window; the averaging of a TWAP market begins a look-back before its
        end. A stop later than the cutoff is the cutoff.
        """
        cutoff_ms = market.end_ms - times.cutoff_ms
        averaged_ms = market.rule.lookback_s * 1000 if isinstance(market.rule, TwapPair) else 0
        return cls(
            opens_ms=market.start_ms - times.preopen_ms,
            start_ms=market.start_ms,
            stop_ms=min(market.end_ms - times.stop_ms, cutoff_ms),
            cutoff_ms=cutoff_ms,
            fixing_ms=market.end_ms - averaged_ms - oracle_lag_ms,
            end_ms=market.end_ms,
        )

    @property
    def ahead(self) -> tuple[tuple[str, int], ...]:
        """The three times that a window counts down to, in words and Unix ms: nothing rests from
        the cutoff on, the averaging begins (of an averaged one), and it pays out as a rule.
        """
        averaged = (("averaging", self.fixing_ms),) if self.fixing_ms < self.end_ms else ()
        return ("cutoff", self.cutoff_ms), *averaged, ("payout", self.end_ms + PAYOUT_MS)

    def turns(self, after_ms: int, until_ms: int) -> bool:
        """Whether less is allowed at the second time than at the first: a stop or cutoff between
        them.
        """
        return any(after_ms < turn <= until_ms for turn in (self.stop_ms, self.cutoff_ms))

    def ratchet_ppm(self, now_ms: int) -> int:
        """The part of a market's limits that is left so near its close: the time to the cutoff over
        0.3 of the window, between a fifth and all (strategy.md 14).
        """
        last = max(1, (self.end_ms - self.start_ms) * RATCHET_PART // 10)
        left = (self.cutoff_ms - now_ms) * PPM // last
        return min(max(left, RATCHET_LEAST_PPM), PPM)


@attrs.frozen
class Known:
    """What the scope has noticed of its market, for the machine's next step."""

    book: bool = False  # both books have been verified at some time
    strike: bool = False
    open_orders: int = 1  # that may still match; until told otherwise something may rest


def understood(market: Market) -> bool:
    """Whether we know what the market settles by: nothing else is ever quoted."""
    return isinstance(market.rule, (Candle, TwapPair))


@attrs.frozen
class Moved:
    """One transition, for log and journal."""

    before: MarketState
    after: MarketState
    cause: Happened
    at_ms: int


@attrs.define(eq=False)
class MarketMachine:
    """One market's place in the table of `domain/market_states.py`, driven by clock and facts.

    `on_move` hears every transition once, whoever's question made it: the firewall asks, too.
    """

    market: Market
    table: Timetable
    state: MarketState = MarketState.DISCOVERED
    known: Known = Known()
    on_move: Callable[[Moved], None] = lambda _: None
    moves: list[Moved] = attrs.field(factory=list)  # ten states: it stays short
    ignored: int = 0  # what meant nothing where it was heard

    def learn(self, known: Known, now_ms: int) -> MarketState:
        """Take what was noticed and go as far as it and the clock lead."""
        self.known = known
        return self.at(now_ms)

    def at(self, now_ms: int) -> MarketState:
        """The state at `now_ms`, by the clock and what is known. A clock that went back moves
        nothing: states only go forward.
        """
        while (happened := self._next(now_ms)) is not None:
            self._move(happened, now_ms)
        return self.state

    def hear(self, happened: Happened, now_ms: int) -> MarketState:
        """Take a fact that others establish: the payout, the agreement of the balances."""
        self.at(now_ms)
        if next_market_state(self.state, happened) is None:
            self.ignored += 1
        else:
            self._move(happened, now_ms)
        return self.state

    def allows(self, action: Action, now_ms: int, *, halted: bool) -> bool:
        """Whether the action may be asked of the venue now; quotes before the start only once the
        timetable has opened.
        """
        state = self.at(now_ms)
        if state is MarketState.PREOPEN and action in (Action.QUOTE, Action.REDUCE):
            return now_ms >= self.table.opens_ms and not halted
        return action in allowed(state, halted=halted)

    def _move(self, happened: Happened, now_ms: int) -> None:
        after = next_market_state(self.state, happened)
        assert after is not None, f"{happened} in {self.state}"  # its callers have looked
        moved = Moved(self.state, after, happened, now_ms)
        self.moves.append(moved)
        self.state = after
        self.on_move(moved)

    def _next(self, now_ms: int) -> Happened | None:
        """The first fact that is true and moves the present state; the table has the clock's
        first, the latest of them foremost.
        """
        for happened in TRANSITIONS[self.state]:
            if self._is_so(happened, now_ms):
                return happened
        return None

    def _is_so(self, happened: Happened, now_ms: int) -> bool:
        match happened:
            case Happened.END:
                return now_ms >= self.table.end_ms
            case Happened.CUTOFF:
                return now_ms >= self.table.cutoff_ms
            case Happened.STOP:
                return now_ms >= self.table.stop_ms
            case Happened.KNOWN:
                return self.known.book and understood(self.market)
            case Happened.STARTED:
                return now_ms >= self.table.start_ms
            case Happened.STRIKE:
                return self.known.strike
            case Happened.EMPTY:
                return self.known.open_orders == 0
            case _:
                return False  # the payout and the agreement of the balances are told by `hear`
