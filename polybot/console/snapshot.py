"""What the operator sees, as one immutable value: whoever owns a fact publishes it here, views only
read.

Prices of quotes and books are integers of 10⁻⁴, shares and dollars of 10⁻⁶; spot, strike and fair
value are the model's floats. Times are venue milliseconds.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class QuoteLine:
    """One of our resting orders, or several at the same price: bids, or asks on shares we hold."""

    price: int
    size: int
    asks: bool = False


@attrs.frozen
class LostLine:
    """What one reason took of one side's quotable time in this window so far, as parts of one."""

    side: str
    why: str
    withheld: float
    reduced: float


@attrs.frozen
class MarketSnapshot:
    """One market scope. `state` is its word for what it does; `reasons` say why it does not quote
    more now, `lost` what has cost most of the window so far, by side, the gravest first.
    """

    slug: str
    state: str
    start_ms: int
    end_ms: int
    spot: float | None = None
    strike: float | None = None
    fair: float | None = None  # probability of Up
    bid: int | None = None  # of the Up book, ours included
    ask: int | None = None
    up_quotes: tuple[QuoteLine, ...] = ()  # orders for this token, best bid and best ask first
    down_quotes: tuple[QuoteLine, ...] = ()
    up: int = 0  # shares held, provisional ones included
    down: int = 0
    fills: int = 0
    realised: int = 0
    unrealised: int | None = None  # at fair; None while there is no fair price
    unrealised_worst: int = 0  # if every single share loses
    reasons: tuple[str, ...] = ()
    lost: tuple[LostLine, ...] = ()
    signals: tuple[str, ...] = ()  # what the signals say, acting or not
    ahead: tuple[tuple[str, int], ...] = ()  # what comes when, Unix ms: cutoff, averaging, payout
    rewards: str = ""  # what liquidity rewards are quoted for, empty where they are not

    @property
    def pairs(self) -> int:
        """Shares held of both outcomes: worth a dollar each, whatever happens."""
        return min(self.up, self.down)


@attrs.frozen
class Event:
    """Something worth a line: a fill, a halt, a settlement.
    `number` grows by one with each event.
    """

    number: int
    at_ms: int
    text: str


@attrs.frozen
class Snapshot:
    """The whole bot at one moment. `events` are the last few, oldest first."""

    mode: str
    world: str
    now_ms: int
    speed: float
    uptime_s: float  # venue seconds
    state: str  # of the bot: "starting", "running", "waiting: …", "halted: …", "stopping"
    markets: tuple[MarketSnapshot, ...] = ()
    equity: int = 0
    cash: int = 0
    realised: int = 0  # of settled and open markets together
    unrealised: int | None = None  # of all open markets at fair, None while one has no value
    unrealised_worst: int = 0
    today: int | None = None  # profit since midnight UTC, unrealised included
    heartbeat_lag_s: float | None = None  # how long the last beat's answer took; None: not beating
    fills: int = 0
    open_orders: int = 0
    intervals_settled: int = 0
    events: tuple[Event, ...] = ()
