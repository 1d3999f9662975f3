"""What of the core goes on the tape: all it was handed, and all it decided, so that it can be run
again.

The core is what decides: price board, books, signals, ledger, quoter, desks. Between two awaits it
is a function of its state, an input and one reading of the clock, so a tape of inputs and readings
is enough to repeat every decision exactly, whatever tasks, sockets and threads did in between. The
frames of the market and price streams are on the tape as they were heard; this module has the rest:
what came by REST or from the disk, what others own and the core reads, and when each of its turns
was taken. A turn reads the clock once and hands the reading on.

Rejected: to record the network alone and run the whole program again on it. What a task sees
depends on when it was woken, and that is nowhere but in the run itself; the simulation, which owns
the scheduler, does it that way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgpack
import msgspec
import orjson

from polybot.clock import Clock
from polybot.config import Config
from polybot.domain.market import Market, Outcome
from polybot.domain.market_states import MarketState
from polybot.domain.orders import SignedOrder
from polybot.execution.actions import Action, Cancel, Post
from polybot.journal.entries import Entry, encode
from polybot.journal.store import Stamped
from polybot.journal.values import Values
from polybot.order_messages import Message
from polybot.pricing.fair import Fair, NoFair
from polybot.pricing.season import Season
from polybot.quoting.model import Decision
from polybot.venue.market_messages import BookMessage
from polybot.venue.tap import Tap


@attrs.frozen
class Began:
    """A run begins: its settings, secrets left out, as JSON, and what its seasons' file said."""

    settings: bytes
    seasons: dict[str, Season]


@attrs.frozen
class Kept:
    """An entry that the journal held at the start."""

    at_ms: int
    kind: str
    body: str


@attrs.frozen
class Restarted:
    """A stream begins anew: what was held or counted of it is void."""

    stream: str


@attrs.frozen
class Struck:
    """The venue tells its price to beat."""

    market: Market
    value: float


@attrs.frozen
class Doubted:
    """The venue tells other terms of a market than when it was admitted; None: the same again."""

    condition_id: str
    why: str | None


@attrs.frozen
class ScopeBegan:
    market: Market
    state: MarketState


@attrs.frozen
class ScopeEnded:
    slug: str


@attrs.frozen
class WindowClosed:
    """A scope has lived to its window's end."""

    slug: str


@attrs.frozen
class Closing:
    """The market's orders are withdrawn, whatever is wished."""

    slug: str


@attrs.frozen
class Stepped:
    """The quoter takes a turn."""

    slug: str


@attrs.frozen
class Applied:
    """The orders task takes this from its inbox."""

    slug: str
    message: Message


@attrs.frozen
class Acted:
    """The desk has taken a turn; `ids` are what its new orders were signed as."""

    slug: str
    ids: tuple[str, ...]


@attrs.frozen
class Mended:
    """A book came by REST in place of a broken one."""

    slug: str
    book: BookMessage


@attrs.frozen
class InTime:
    """The books of a stream that was late are the venue's, by REST."""

    slug: str


@attrs.frozen
class Scored:
    """What the venue has said of our orders and liquidity rewards."""

    slug: str
    asked: int
    scored: int
    unscored: tuple[Outcome, ...]


# The same as a turn reads it: of most turns nothing is to be told.
Seen = tuple[str | None, int, int, str | None]


@attrs.frozen
class Outside:
    """What a market's turn reads of facts that others own: why nothing may be placed, what today
    has cost, which pairs a merge claims, and why none could be merged. Written before the turn when
    it is not what it was.
    """

    slug: str
    closed_because: str | None
    day_loss: int
    claimed: int
    unmergeable: str | None


@attrs.frozen
class AnsweredFor:
    """What orders that no desk knows may cost, the shares they bind by token, and those they may
    bring toward its outcome.
    """

    who: str
    dollars: int
    shares: dict[str, int]
    coming: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Learnt:
    """Facts that are durable, about to be booked."""

    facts: tuple[Entry, ...]


@attrs.frozen
class Settled:
    condition_id: str
    up_payout: int


@attrs.frozen
class Emptied:
    """A market is proven to have no open order."""

    condition_id: str


@attrs.frozen
class Released:
    """A settled market's orders are forgotten."""

    condition_id: str


Input = (
    Began
    | Kept
    | Restarted
    | Struck
    | Doubted
    | ScopeBegan
    | ScopeEnded
    | WindowClosed
    | Closing
    | Stepped
    | Applied
    | Acted
    | Mended
    | InTime
    | Scored
    | Outside
    | AnsweredFor
    | Learnt
    | Settled
    | Emptied
    | Released
)

INPUTS = Values(Input)
# What the quoter made of its turn is written by field names, without those of its types: a few
# hundred bytes twenty times a second, of which only the fair price is ever wanted back as it was.
_quote = msgspec.msgpack.Encoder().encode
_quote_of = msgspec.msgpack.Decoder(tuple[Fair | NoFair, dict[str, Any]]).decode


def quote_of(body: bytes) -> tuple[Fair | NoFair, dict[str, Any]]:
    """What the quoter decided, from its record: the fair price, and the decision's fields as plain
    values. Raises ValueError for what is none.
    """
    try:
        return _quote_of(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a decision of ours: {error}") from error


@attrs.define(eq=False)
class CoreTape:
    """Puts the core's inputs and decisions on a tape. Costs nothing where nobody listens."""

    tape: Tap
    clock: Clock
    _outside: dict[str, Seen] = attrs.field(factory=dict)  # by slug, as last told
    _quoted: dict[str, bytes] = attrs.field(factory=dict)

    def began(self, config: Config, seasons: Mapping[str, Season], entries: list[Stamped]) -> None:
        """What everything that follows rests on."""
        if not self.tape.on:
            return
        settings = attrs.asdict(config, filter=lambda field, _: field.name != "keys")
        self.fed(Began(orjson.dumps(settings), dict(seasons)))
        for one in entries:
            self.fed(Kept(one.at_ms, *encode(one.entry)))

    def fed(self, value: Input, at_ns: int | None = None) -> None:
        """An input, handed over now or at the time that the core is told."""
        if self.tape.on:
            self.tape.fed(INPUTS.pack(value), self.clock.now_ns() if at_ns is None else at_ns)

    def outside(self, slug: str, seen: Seen, at_ns: int) -> None:
        """What a turn is about to see."""
        if self.tape.on and seen != self._outside.get(slug):
            self._outside[slug] = seen
            self.fed(Outside(slug, *seen), at_ns)

    def quoted(self, slug: str, fair: Fair | NoFair, decision: Decision, at_ns: int) -> None:
        """What the quoter made of its turn, where it differs from the turn before."""
        if not self.tape.on:
            return
        body = _quote((fair, decision))
        if body != self._quoted.get(slug):
            self._quoted[slug] = body
            self.tape.decided(f"quote {slug}", body, at_ns)

    def acted(self, slug: str, actions: Sequence[Action], at_ns: int) -> None:
        """A turn of the desk: what its orders were signed as, which no replay can sign again, and
        what is to leave.
        """
        if not self.tape.on:
            return
        if not actions:
            self.fed(Acted(slug, ()), at_ns)
            return
        posts = [action for action in actions if isinstance(action, Post)]
        ids = tuple([order.id for post in posts for order in post.orders])
        self.fed(Acted(slug, ids), at_ns)
        self.tape.decided(f"orders {slug}", msgpack.packb([*map(_plain, actions)]), at_ns)

    def forget(self, slug: str) -> None:
        """A scope ends: the next of its market tells everything anew."""
        self._outside.pop(slug, None)
        self._quoted.pop(slug, None)


def _plain(action: Action) -> list[object]:
    match action:
        case Post(orders):
            return ["post", *map(_terms, orders)]
        case Cancel(ids, cause):
            return ["cancel", cause, *ids]
    return [type(action).__name__, *attrs.astuple(action)]


def _terms(signed: SignedOrder) -> list[object]:
    order = signed.order
    return [
        signed.id, order.outcome.value, order.side.value, order.price, order.size, order.tif.value,
        order.expires_s, order.post_only, order.level, order.cause,
    ]  # fmt: skip
