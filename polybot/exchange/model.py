"""The exchange's nouns: markets, orders, trades, and the events its engine emits.

Prices are integers of 10⁻⁴, shares and pUSD of 10⁻⁶, times Unix milliseconds on the injected clock.
"""

from __future__ import annotations

import enum

import attrs

from polybot.exchange.money import ONE

BUY, SELL = "BUY", "SELL"
UP, DOWN = 0, 1  # outcome indices, as in Gamma's arrays


class Phase(enum.Enum):
    """A market's life. Trading is possible in OPEN only."""

    LISTED = "listed"  # known to Gamma, book not there yet
    OPEN = "open"
    CLOSED = "closed"  # past its end, result not published, no new orders
    RESOLVED = "resolved"


@attrs.frozen
class Series:
    """A family of interval markets: `btc-5m` → asset btc, 300 s, settled by a TWAP pair."""

    asset: str  # "btc"
    name: str  # "5m" | "15m" | "1h" | "4h" | "daily"
    length_s: int  # of an ordinary window: New York's clocks may change in a long one
    # "twap" | "candle" (open and close of the hour) | "noon" (closes of two minutes) | "operator":
    # decided by whoever runs the exchange | "point": one print of Chainlink at either end, as until
    # August 2026; no series has it any more, the lab measures the crowd under it
    rule: str

    @property
    def key(self) -> str:
        return f"{self.asset}-{self.name}"


# The series of markets that belong to none: about anything, without windows or prices.
STANDING = Series("", "standing", 0, "operator")


@attrs.define(eq=False)
class Market:
    condition_id: str
    question_id: str
    gamma_id: str
    slug: str
    question: str
    series: Series
    tokens: tuple[str, str]  # (Up, Down), decimal strings; position ids on protocol v2
    listed_ms: int
    start_ms: int
    end_ms: int
    tick: int = 100
    min_size: int = 5_000_000
    neg_risk: bool = False
    version: str = "v1"
    other_ids: tuple[str, str] | None = None  # of the protocol it does not trade in; no book
    fee_rate_ppm: int = 70_000
    rebate_percent: int | None = None  # the makers' share of its fees; None: the venue's usual
    fee_exponent: int = 1
    taker_delay_ms: int = 150  # the reply to a marketable order waits for it
    seconds_delay: int = 0  # the older, longer hold: the reply says `delayed` at once
    outcomes: tuple[str, str] = ("Up", "Down")  # the labels, in the order of `tokens`
    description: str = ""  # of a standing market; interval markets tell their series' rule
    phase: Phase = Phase.LISTED
    last_trade_price: int | None = None  # one value per market, in the taker token's terms
    strike: float | None = None  # what the rule reads at the start and end
    final: float | None = None
    strike_published_ms: int | None = None
    winner: int | None = None  # UP | DOWN, as the venue's services tell it; None also for a void
    payouts: tuple[int, int] | None = None  # the chain's: (1, 0), (0, 1), or (1, 1) for a void
    resolved_ms: int | None = None
    listed_tick: int = attrs.field(init=False)  # `tick` as it was when the market was made

    def __attrs_post_init__(self) -> None:
        self.listed_tick = self.tick

    def outcome_of(self, token: str) -> int:
        return self.tokens.index(token)


class Kind(enum.Enum):
    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    FAK = "FAK"


class Status(enum.Enum):
    """Order states as the REST and user stream spell them."""

    LIVE = "LIVE"
    DELAYED = "DELAYED"
    MATCHED = "MATCHED"
    CANCELED = "CANCELED"
    CANCELED_EXPIRED_ORDER = "CANCELED_EXPIRED_ORDER"
    CANCELED_MARKET_RESOLVED = "CANCELED_MARKET_RESOLVED"
    CANCELED_NOT_ENOUGH_BALANCE = "CANCELED_NOT_ENOUGH_BALANCE"
    INVALID = "INVALID"


@attrs.define(eq=False)
class Order:
    """One order. `owner` is the API key that placed it, `account` the wallet whose funds it uses.

    For market-type BUYs (FOK/FAK) the target is dollars: `dollars` is what may be spent; elsewhere
    None. Its place in the merged book (see `book`) is in Up's terms: `is_up` whether it trades the
    Up token, `up_side` BUY for bids on Up, else SELL. It never changes, and is asked for a dozen
    times in an order's life.
    """

    id: str
    owner: str
    account: str
    market: Market
    token: str
    side: str
    price: int
    size: int
    kind: Kind
    post_only: bool = False
    expiration_s: int = 0
    created_ms: int = 0
    dollars: int | None = None
    matched: int = 0
    status: Status = Status.LIVE
    sequence: int = 0  # time priority
    trades: list[str] = attrs.field(factory=list)
    is_up: bool = attrs.field(init=False)
    up_side: str = attrs.field(init=False)
    up_price: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.is_up = self.token == self.market.tokens[UP]
        if self.is_up:
            self.up_side, self.up_price = self.side, self.price
        else:
            self.up_side, self.up_price = (SELL if self.side == BUY else BUY), ONE - self.price

    @property
    def remaining(self) -> int:
        return self.size - self.matched


@attrs.frozen
class MakerFill:
    order: Order
    shares: int
    price: int  # of the maker's own order, in its own token's terms


@attrs.define(eq=False)
class Trade:
    """One settlement: a taker order against all the makers it met, over however many levels."""

    id: str
    market: Market
    taker: Order
    shares: int  # of the taker's token
    price: int  # of the last level reached, in the taker's terms; the makers' own are exact
    fee: int  # pUSD, paid by the taker
    makers: tuple[MakerFill, ...]
    matched_ms: int
    status: str = "MATCHED"  # → MINED → CONFIRMED | RETRYING | FAILED
    tx_hash: str = ""
    updated_ms: int = 0
    broadcast_ms: int = 0  # when the venue sends the transaction off
    block_ms: int | None = None  # of the block that holds it


# --- what the engine tells its listeners, in the order it happened -------------------


@attrs.frozen
class LevelChanged:
    """The new total at one level of one token's book; the mirrored twin is the streams' business.

    All changes of one engine act (one order, one match) come in one event.
    """

    market: Market
    changes: tuple[tuple[str, str, int, int], ...]  # (token, side, price, new total size)
    at_ms: int


@attrs.frozen
class Traded:
    """A trade was matched (status MATCHED); also the moment of the public print."""

    trade: Trade
    at_ms: int


@attrs.frozen
class TradeUpdated:
    """A trade moved on: MINED, CONFIRMED, RETRYING, FAILED."""

    trade: Trade
    at_ms: int


@attrs.frozen
class OrderEvent:
    """For the user stream. kind: PLACEMENT | UPDATE | CANCELLATION."""

    kind: str
    order: Order
    status: str  # as the wire shows it at this moment
    matched: int
    at_ms: int
    trades: tuple[str, ...] = ()  # the order's at this moment


@attrs.frozen
class TickChanged:
    market: Market
    old: int
    new: int
    at_ms: int


@attrs.frozen
class MarketListed:
    market: Market
    at_ms: int


@attrs.frozen
class MarketResolved:
    market: Market
    at_ms: int


class Move(enum.Enum):
    """What moves a wallet's holdings beside trades, as the activity feed calls it."""

    SPLIT = "SPLIT"
    MERGE = "MERGE"
    REDEEM = "REDEEM"
    DEPOSIT = "DEPOSIT"


@attrs.frozen
class Moved:
    """A wallet's pUSD or pairs moved. `shares`: burnt or made, of (Up, Down); `cash`: received."""

    move: Move
    account: str
    market: Market | None  # None for what belongs to no market
    shares: tuple[int, int]
    cash: int
    at_ms: int
    tx_hash: str = ""  # of the transaction, where somebody knows it


@attrs.frozen
class Paid:
    """A program paid a wallet. kind: REWARD | MAKER_REBATE, as the Data API's activity has it."""

    kind: str
    account: str
    amount: int  # 10⁻⁶ pUSD
    at_ms: int


Event = (
    LevelChanged
    | Traded
    | TradeUpdated
    | OrderEvent
    | TickChanged
    | MarketListed
    | MarketResolved
    | Moved
    | Paid
)


# --- what a client's request comes to --------------------------------------------------


@attrs.frozen
class Accepted:
    """status: live | matched | delayed; amounts in the taker's
    units (10⁻⁶), 0 when nothing matched. `held`: it was marketable when it came and waited.
    """

    order: Order
    status: str
    making: int
    taking: int
    trades: tuple[str, ...]
    held: bool = False


@attrs.frozen
class Refused:
    """The venue's error text, verbatim from the reference, and the HTTP status it goes with."""

    error: str
    order_id: str = ""
    http_status: int = 400
