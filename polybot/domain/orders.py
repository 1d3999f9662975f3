"""Orders as the bot means them, and the private facts the venue tells about them.

An order is known by its hash, which exists before it is sent. Everything the venue later says –
ack, fill, cancel, absence – is one of the frozen events below, whatever wire it came by, so that
one owner can apply them in order and replay can apply them again.
"""

from __future__ import annotations

import enum

import attrs

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.units import ONE, notional

EDGE_S = 60  # a request held back at the edge has appeared by then, or never will (F18: 30 s)


class TimeInForce(enum.Enum):
    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    FAK = "FAK"


_TAKING = (TimeInForce.FOK, TimeInForce.FAK)


def as_bid(outcome: Outcome, side: Side, price: int) -> tuple[Outcome, int]:
    """The bid that has this order's place in the book: selling Up at p is bidding 1 − p for Down.

    The venue's two books are one (feeds.md 2.3), and both move the position the same way by the
    same shares for the same edge. So caps, pairs, the net position and a cross with ourselves are
    judged by this bid; only what an order binds differs, dollars or shares.
    """
    return (outcome, price) if side is Side.BUY else (outcome.other, ONE - price)


@attrs.frozen
class NewOrder:
    """What we want to send. Price 10⁻⁴, size 10⁻⁶ shares (whole lots), expiry Unix seconds or 0.

    `toward`: the outcome that its fills make us hold more of, net; `bid_price`: its price as a bid
    for that (`as_bid`). Kept, for the desk asks for them a hundred times a second.
    """

    market: Market
    outcome: Outcome
    side: Side
    price: int
    size: int
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = True
    expires_s: int = 0
    level: int = 0
    cause: str = "quote"
    selling: bool = attrs.field(init=False, eq=False, repr=False)
    toward: Outcome = attrs.field(init=False, eq=False, repr=False)
    bid_price: int = attrs.field(init=False, eq=False, repr=False)

    @selling.default
    def _sells(self) -> bool:
        return self.side is Side.SELL

    @toward.default
    def _leans(self) -> Outcome:
        return self.outcome.other if self.selling else self.outcome

    @bid_price.default
    def _stands_at(self) -> int:
        return ONE - self.price if self.selling else self.price

    @property
    def token(self) -> str:
        return self.market.token(self.outcome)

    @property
    def taking(self) -> bool:
        """Now or never: it never rests, and as a buy it spends dollars rather than takes shares."""
        return self.tif in _TAKING


@attrs.frozen
class SignedOrder:
    """A NewOrder with its hash (the venue's orderID) and the exact JSON bytes to POST."""

    id: str
    order: NewOrder
    body: bytes


# --- what the venue says -----------------------------------------------------------------


@attrs.frozen
class OrderSeen:
    """The state of one of our orders, by ack, user stream or REST.

    `kind`: LIVE (resting or accepted), DELAYED (held, uncancellable), DEAD (will never match again:
    cancelled, expired, rejected after acceptance), MATCHED (wholly filled). `matched` is
    cumulative, 10⁻⁶.
    """

    class Kind(enum.Enum):
        LIVE = "live"
        DELAYED = "delayed"
        MATCHED = "matched"
        DEAD = "dead"

    order_id: str
    kind: Kind
    matched: int
    text: str  # the venue's word, for the log
    at_ms: int


@attrs.frozen
class FillLeg:
    """One of our orders' part in one trade, in that order's own token, side and price.

    `dust`: what it moved in dollars beyond price × shares rounded down, in 10⁻⁶. A maker moves
    none; a taker who mints or merges makes up what its makers' amounts leave of a whole dollar a
    pair (clob.md 3.2), and one with several makers at one price moves each one's amount.
    """

    order_id: str
    token: str
    side: Side
    price: int
    shares: int
    maker: bool
    dust: int = 0

    @property
    def dollars(self) -> int:
        """What it moved without fees, 10⁻⁶."""
        return notional(self.price, self.shares) + self.dust


class TradeStatus(enum.IntEnum):
    """Rank grows with finality; a lower rank arriving late is a no-op. FAILED reverses."""

    MATCHED = 0
    RETRYING = 1
    MINED = 2
    CONFIRMED = 3
    FAILED = 4


@attrs.frozen
class TradeSeen:
    """A trade with the legs of it that are ours. The same (id, status) may come many times.

    `elsewhere`: those orders among them whose row names another wallet of our key. Whoever knows
    which orders we placed leaves them out before anything is booked. `matched_s` is the Unix second
    of the match, where it is told (0): `at_ms` is that of the latest word.
    """

    trade_id: str
    condition_id: str
    status: TradeStatus
    legs: tuple[FillLeg, ...]
    at_ms: int
    source: str = ""  # which wire told us, for the evidence
    elsewhere: tuple[str, ...] = ()
    matched_s: int = 0


PrivateEvent = OrderSeen | TradeSeen


# --- what a request came to ----------------------------------------------------------------


class Reject(enum.Enum):
    """Why the venue refused an order, typed from its texts (clob.md 3.6), or never heard of it."""

    POST_ONLY_CROSSES = "post-only would cross"
    NOT_ENOUGH_BALANCE = "not enough balance or allowance"
    TICK = "breaks the tick"
    SIZE = "below the minimum size"
    MARKETABLE_MINIMUM = "marketable below $1"
    EXPIRATION = "invalid expiration"
    DUPLICATE = "duplicated"
    NO_MATCH = "nothing to match (FOK or FAK)"
    MARKET_CLOSED = "book does not exist or market not ready"
    SIGNATURE = "invalid signature or order version"
    NOT_AUTHORISED = "credentials, owner or signer refused"
    RATE_LIMITED = "rate limited"
    RESTARTING = "engine restarting"
    POST_ONLY_MODE = "venue in post-only mode"
    CANCEL_ONLY = "venue cancel-only or disabled"
    GEOBLOCKED = "region refused"
    UNREACHABLE = "no connection to the venue"
    OTHER = "other refusal"


@attrs.frozen
class Acked:
    order_id: str
    status: str  # live | matched | delayed | unmatched
    making: int
    taking: int
    trade_ids: tuple[str, ...]


@attrs.frozen
class Rejected:
    """A definite refusal: the order does not and will not exist."""

    order_id: str
    reason: Reject
    text: str


@attrs.frozen
class Unknown:
    """No definite answer: the order may live. Never re-posted; resolved by its id."""

    order_id: str
    why: str


PostResult = Acked | Rejected | Unknown


@attrs.frozen
class CancelResult:
    """`cancelled` and `refused` (id → text) are the venue's word; ids in neither are unknown."""

    cancelled: frozenset[str]
    refused: dict[str, str]
    failure: str | None = None  # transport trouble or an HTTP error: nothing is known
    away: bool = False  # the venue has answered that its engine takes no cancels now


@attrs.frozen
class OrderRow:
    """One order as a REST read shows it."""

    order_id: str
    condition_id: str
    token: str
    side: Side
    price: int
    size: int
    matched: int
    kind: OrderSeen.Kind
    text: str
    trade_ids: tuple[str, ...] = ()


@attrs.frozen
class Failure:
    """A read that did not answer: transport, timeout, HTTP error or a body we cannot read.

    `refused`: the venue says that we may not ask (401, 403), which will not pass by itself.
    `unsent`: not a byte of the request has left; only of one that had a leave to take is it known.
    """

    what: str
    refused: bool = False
    unsent: bool = False
