"""What the quoter reads and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from polybot.domain import units
from polybot.domain.market import UP, Market, Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.pricing.fair import Fair, NoFair
from polybot.quoting.completion import Take
from polybot.quoting.reasons import Reason
from polybot.risk.checks import Over, Standing
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import Timetable
from polybot.signal.advice import NEUTRAL, Advice


class BookView(Struct, frozen=True, gc=False):
    """A few levels of one outcome's book, best first, our own orders still inside.

    Levels are (price 10⁻⁴, size 10⁻⁶ shares).
    """

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class Stock(Struct, frozen=True, gc=False):
    """What is held and may be sold, and what a ladder of bids would be short of. `unmergeable` is
    why pairs of this market cannot be merged in time; `asking`: an ask of ours is open.
    """

    held_up: int
    held_down: int
    standing: Standing  # its `sellable_*` are the shares at hand
    limits: RiskParams
    unmergeable: str | None = None
    asking: bool = False

    def held(self, outcome: Outcome) -> int:
        return self.held_up if outcome is UP else self.held_down

    def sellable(self, outcome: Outcome) -> int:
        return self.standing.sellable(outcome)


class QuoteInputs(Struct, frozen=True, gc=False):
    """Everything one decision depends on. `held_*` in 10⁻⁶ shares, provisional fills included;
    `net_confirmed` is Up less Down without them. `taking`: an order that takes is under way, or
    what it came to is not booked; `post_only`: the venue takes resting orders only. `book_age_s` is
    how long ago the books last changed; `apart_since_ms` what the decision before this one told.
    Of liquidity rewards: `scoring` is the part of our orders that the venue said earned them when
    asked, `unscored` the sides it said did not, `reward_refused` whether one was refused of late,
    `rewarded` whether the decision before this one quoted for them. `over`: what is held here may
    lose more than a limit allows, and is to be paired down to it; `paired`: shares of this window
    that have found their twin, merged ones included.
    """

    market: Market
    now_ms: int
    fair: Fair | NoFair
    up: BookView | None
    down: BookView | None
    tick: int
    held_up: int
    held_down: int
    own: Mapping[tuple[Outcome, int], int]  # our resting orders, as bids: (outcome, price) → size
    net_limit: int  # net shares (10⁻⁶) that no fills of ours may exceed
    state: MarketState
    table: Timetable
    net_confirmed: int = 0
    taking: bool = False
    post_only: bool = False
    book_age_s: float = 0.0
    apart_since_ms: int | None = None
    advice: Advice = NEUTRAL  # what the acting signals ask for
    stock: Stock | None = None  # None: nothing is held that could be sold
    scoring: float = 1.0
    unscored: tuple[Outcome, ...] = ()
    reward_refused: bool = False
    rewarded: bool = False
    over: Over | None = None
    paired: int = 0

    @property
    def net(self) -> int:
        """Shares (10⁻⁶) Up less shares Down."""
        return self.held_up - self.held_down

    @property
    def net_shares(self) -> float:
        """Shares Up minus shares Down: what is not paired (strategy.md 5.1)."""
        return self.net / units.SHARE

    def book(self, outcome: Outcome) -> BookView | None:
        return self.up if outcome is UP else self.down


class Quote(NamedTuple):
    """One order we want to have, always post-only: a bid, or an ask on shares that are held. Price
    10⁻⁴, size 10⁻⁶.
    """

    outcome: Outcome
    price: int
    size: int
    level: int
    side: Side = Side.BUY

    @property
    def toward(self) -> Outcome:
        """The side that it quotes: an ask on Up stands where a bid for Down would."""
        return self.outcome if self.side is Side.BUY else self.outcome.other


class Terms(NamedTuple):
    """What quoting for liquidity rewards is expected to bring and to cost, dollars per hour, and
    the part of it per share filled that lowers the edge.
    """

    reward: float
    cost: float
    credit: float


class Decision(Struct, frozen=True, gc=False):
    """Desired quotes with the figures behind them, and why anything is missing or smaller.

    Caps are prices on the grid, 10⁻⁴: no bid of an outcome costs more than its own, no pair of bids
    more than `pair_cap`. Where bids only pair what is held `to_pair` is how much of it (10⁻⁶
    shares). `market` is what others think of Up, None where nobody looked; `apart_since_ms` is
    since when the model has been too far from it, to be given to the next decision.
    """

    quotes: tuple[Quote, ...]
    reasons: tuple[Reason, ...]
    fair: float | None = None  # blended with the market
    reservation_up: float | None = None
    edge: float | None = None
    cap_up: int | None = None
    cap_down: int | None = None
    pair_cap: int = 0
    to_pair: int | None = None
    market: float | None = None
    apart_since_ms: int | None = None
    take: Take | None = None  # beside the quotes: the missing side, now or never
    rewards: Terms | None = None  # None: not quoted for
