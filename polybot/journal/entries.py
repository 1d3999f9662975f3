"""What the journal holds: the facts a restart cannot do without, one frozen value each.

An entry is written once and never changed. Together, in order, they are enough to rebuild which
orders may live, what the wallet holds and what it cost, and why trading is halted:

Session     the program started (or ended): version, wallet, venue, settings, cash
Known       a market we may trade; its rule and terms, so that a restart needs no metadata
Entered     a market came into another state of its life, and by what; a later run goes on from it
Intent      an order, signed and about to be sent. Durable *before* its POST leaves
Answered    what the POST came to; for the record, a restart looks the order up in any case
Told        a private event of the venue (order or trade), durable before it influences a quote
Ended       an order that will match no more, and by what evidence
Moved       a merge, split or redemption: asked for, sent, done, or failed
Paid        money in or out that no trade explains: deposits, rebates, rewards
Carried     the wallet's accounts as they stand, in place of everything earlier about the wallet
Resolved    who won, and who said so
Closed      a market's books, closed: its result
Halted      trading stopped until an operator has looked; Rearmed is that operator
Certified   the dead-man switch was tried and did its work
TradesRead  until when the venue's trades are all in here; the next start reads on from there
Baseline    the equity that the loss limits are measured from
Earned      what the calls of the signals were worth, by which they may act

Bodies are JSON, so that any tool can read them; money stays integer (10⁻⁶), prices 10⁻⁴.
"""

from __future__ import annotations

import base64
from typing import Any, Union

import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.strategies import configure_tagged_union

from polybot.domain.baseline import Baseline
from polybot.domain.earned import Earned
from polybot.domain.market import Market, Outcome, Rule, Side
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.orders import (
    OrderSeen,
    PostResult,
    PrivateEvent,
    SignedOrder,
    TimeInForce,
    TradeSeen,
)


@attrs.frozen
class Session:
    """A start (`what` "start") or an orderly end ("end")."""

    what: str
    version: str
    config_digest: str


@attrs.frozen
class Known:
    market: Market


@attrs.frozen
class Entered:
    """States only go forward, also across a restart: what has been cut off stays so, whatever the
    new run's configuration says (domain/market_states.py).
    """

    condition_id: str
    state: MarketState
    before: MarketState
    cause: Happened


@attrs.frozen
class Intent:
    """An order we are about to send, with the exact bytes; `cause` is why it exists."""

    order_id: str
    condition_id: str
    outcome: Outcome
    side: Side
    price: int
    size: int
    tif: TimeInForce
    expires_s: int
    post_only: bool
    level: int
    cause: str
    body: bytes

    @classmethod
    def of(cls, signed: SignedOrder) -> Intent:
        order = signed.order
        return cls(
            order_id=signed.id,
            condition_id=order.market.condition_id,
            outcome=order.outcome,
            side=order.side,
            price=order.price,
            size=order.size,
            tif=order.tif,
            expires_s=order.expires_s,
            post_only=order.post_only,
            level=order.level,
            cause=order.cause,
            body=signed.body,
        )


@attrs.frozen
class Answered:
    condition_id: str
    result: PostResult


@attrs.frozen
class Told:
    """`condition_id` is that of the market that owns the order, also where the event lacks it."""

    condition_id: str
    event: PrivateEvent


ABSENT = "absent"  # the state of an order whose end we have inferred (`lifecycle.State`)


@attrs.frozen
class Ended:
    condition_id: str
    order_id: str
    state: str


_AGAIN = " again"


@attrs.frozen
class Moved:
    """`kind` split | merge | redeem, `step` asked | sent | done | failed; `shares` 10⁻⁶, `paid`
    dollars.

    `operation_id` is ours, the same for all steps; `evidence` the venue's: a transaction's id or
    hash, or the balances that decided.
    """

    condition_id: str
    kind: str
    step: str
    operation_id: str
    shares: int
    paid: int = 0
    evidence: str = ""

    @property
    def submission(self) -> str:
        """The name of the transaction it went out in, perhaps with others."""
        return self.operation_id.rpartition(".")[0]

    @property
    def again(self) -> bool:
        """Whether the chain has it once more than it was asked for."""
        return self.operation_id.endswith(_AGAIN)

    def done_again(self, evidence: str) -> Moved:
        """The same, once more."""
        return attrs.evolve(self, operation_id=self.operation_id + _AGAIN, evidence=evidence)


# Evidence of deposits: dollars that a start finds and nobody explains, and that are explained now.
UNKNOWN_ORIGIN = "found at the start, of unknown origin"
ORIGIN_KNOWN = "of unknown origin no more: "


@attrs.frozen
class Paid:
    """`account` deposit | rebate | reward; `amount` signed, 10⁻⁶ dollars.

    `at_s`: the second of a payment that the venue lists, whose row may be read again; else 0.
    """

    account: str
    amount: int
    evidence: str
    at_s: int = 0


@attrs.frozen
class Resolved:
    """`up_payout` is what one Up share pays, 10⁻⁶ dollars: 1 000 000, 0, or 500 000 for a void."""

    condition_id: str
    up_payout: int
    evidence: str


@attrs.frozen
class Closed:
    """A market's books are closed: its result, the fees in it, and the rebate we expect."""

    condition_id: str
    realised: int
    fees: int
    rebates_due: int


@attrs.frozen
class Carried:
    """Sums over everything before, markets still open left out; dollars 10⁻⁶.

    `since_s`: trades before this Unix second were in the wallet before its first journal, `paid_s`:
    payments until then were; 0 where a journal of before does not tell them apart. `payments` are
    those of late, (evidence, second): their rows may be read again. `unexplained` dollars of
    unknown origin were found at starts. `found_s`: when one last compared all dollars.
    """

    capital: int
    realised: int
    fees: int
    rebates_due: int
    rebates: int
    rewards: int
    since_s: int
    payments: tuple[tuple[str, int], ...] = ()
    unexplained: int = 0
    found_s: int = 0
    paid_s: int = 0


@attrs.frozen
class Certified:
    """The dead-man switch has cancelled an order of ours, so long after the last beat."""

    took_ms: int


@attrs.frozen
class TradesRead:
    """The venue's trades were read at this Unix second, and what they said is written down before
    this. No other entry tells: a failed start, a halt and its end are written while nobody reads.
    """

    until_s: int


@attrs.frozen
class Halted:
    name: str
    why: str


@attrs.frozen
class Rearmed:
    by: str


Entry = Union[  # noqa: UP007 - cattrs reads the union at run time
    Session, Known, Entered, Intent, Answered, Told, Ended, Moved, Paid, Resolved, Closed, Carried,
    Halted, Rearmed, Baseline, Certified, Earned, TradesRead,
]  # fmt: skip


def market_of(entry: Entry) -> str:
    """The condition id an entry belongs to; "" for those of the wallet as a whole."""
    if isinstance(entry, Known):
        return entry.market.condition_id
    return getattr(entry, "condition_id", "")


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(bytes, lambda raw: base64.b64encode(raw).decode())
    converter.register_structure_hook(bytes, lambda text, _: base64.b64decode(text))
    # Left out before anything is written; so an older version reads what this one writes.
    told = make_dict_unstructure_fn(TradeSeen, converter, elsewhere=override(omit=True))
    converter.register_unstructure_hook(TradeSeen, told)
    for union in (Rule, PrivateEvent, PostResult, Entry):
        configure_tagged_union(union, converter, tag_name="is")
    # A nested enum's name is not enough for cattrs under postponed annotations.
    converter.register_structure_hook(OrderSeen.Kind, lambda text, _: OrderSeen.Kind(text))
    return converter


_CONVERTER = _make_converter()


def encode(entry: Entry) -> tuple[str, str]:
    """(kind, body): the class's name and its fields as JSON."""
    fields: dict[str, Any] = _CONVERTER.unstructure(entry, unstructure_as=Entry)
    return fields.pop("is"), orjson.dumps(fields).decode()


def decode(kind: str, body: str) -> Entry:
    """The entry again. Raises ValueError for what this version cannot read."""
    try:
        fields = {**orjson.loads(body), "is": kind}
        entry: Entry = _CONVERTER.structure(fields, Entry)  # type: ignore[arg-type]  # a union
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"journal entry of kind {kind!r} cannot be read: {error}") from error
    return entry
