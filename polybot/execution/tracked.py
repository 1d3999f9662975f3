"""One order of ours, as long as we may hear of it: what was sent, what became of it, and which of
its shares are told.
"""

from __future__ import annotations

import enum

import attrs

from polybot.domain.booking import outranks
from polybot.domain.market import most_spent
from polybot.domain.orders import NewOrder, SignedOrder, TradeSeen, TradeStatus
from polybot.domain.units import LOT, ONE, notional
from polybot.execution.lifecycle import State

# Settlement arithmetic may leave up to a hundredth of a share unmatched (feeds.md 4.5): that is
# done.
DUST = LOT

# Cancels that come no further apart are one attempt. They are repeated every second while an order
# is not wanted, at most three seconds later where a look-up came between.
CANCEL_ROW_MS = 4_000

# How long an engine may say that it takes no cancels: a restart takes about 90 s (clob.md 7.3).
AWAY_MOST_MS = 150_000

# What a refused cancel says of an order of which nothing rests (clob.md 4.1).
GONE = ("already", "not found")


def says_gone(refusal: str) -> bool:
    """Whether a refused cancel says that there is nothing left to cancel."""
    return any(words in refusal.lower() for words in GONE)


class Source(enum.Enum):
    """The reads that can tell whether an order exists (doubts.py)."""

    HASH = "look-up by hash"
    LIST = "open orders"
    TRADES = "trades"


@attrs.define(eq=False)
class Tracked:
    """One order: what we sent, what state it is in, how much of it is gone (10⁻⁶ shares).

    `existed`: the venue has shown or told it at some time; `late`: it turned up after its end, so
    it serves no wish and must go. `absences`: reads that did not show it since its present doubt
    began, as (how many, when the latest began).
    """

    signed: SignedOrder
    sent_ms: int
    changed_ms: int
    state: State = State.IN_FLIGHT
    matched: int = 0  # cumulative, by order messages
    matched_ms: int = 0  # when more of it was told last
    fills: dict[str, int] = attrs.field(factory=dict)  # trade id → shares, FAILED ones 0
    paid: dict[str, int] = attrs.field(factory=dict)  # the same in dollars
    # Who told these amounts, and at which status.
    told_by: dict[str, tuple[TradeStatus, str]] = attrs.field(factory=dict)
    told: int = 0  # shares of all trades told, also of those that FAILED
    cancel_sent_ms: int | None = None
    cancel_since_ms: int | None = None  # when the attempt began to which the last cancel belongs
    away_since_ms: int | None = None  # when an engine that is away first put that attempt off
    cancel_refused: bool = False  # because nothing of it rests, it was said
    look_ups: int = 0
    looked_up_ms: int = 0
    look_up_pending: bool = False
    absences: dict[Source, tuple[int, int]] = attrs.field(factory=dict)
    existed: bool = False
    late: bool = False
    end_told_ms: int = 0  # when the venue's stream or a read first told of its end
    id: str = attrs.field(init=False)
    order: NewOrder = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.id, self.order = self.signed.id, self.signed.order

    def put_off_ms(self, now_ms: int) -> int:
        """For how long an engine that is away has put off its removal, 0 where it does not now."""
        if self.away_since_ms is None or self.cancel_sent_ms is None:
            return 0
        in_row = now_ms - self.cancel_sent_ms <= CANCEL_ROW_MS
        return now_ms - self.away_since_ms if in_row else 0

    @property
    def remaining(self) -> int:
        """Shares that may still match: size less the larger of the two counts of what is gone."""
        if not (self.matched or self.fills):
            return self.order.size
        return max(0, self.order.size - max(self.matched, sum(self.fills.values())))

    def outranked(self, trade: TradeSeen) -> bool:
        """Whether a trade that is counted is told with more authority, as the ledger has it."""
        return outranks(trade, *self.told_by[trade.trade_id])

    def ask_away(self, now_ms: int) -> None:
        """Note a cancel that leaves. Of an order that nobody has shown yet it proves nothing."""
        in_row = now_ms - (self.cancel_sent_ms or 0) <= CANCEL_ROW_MS
        if self.cancel_since_ms is None or not in_row or now_ms < self.cancel_since_ms:
            self.cancel_since_ms = now_ms if self.existed else None
            self.away_since_ms = None
        self.cancel_sent_ms = now_ms

    def await_engine(self, now_ms: int) -> None:
        """Its cancel was put off by an engine that restarts: the time until now does not count. One
        that says so for longer may say it of cancels alone, while the order is filled.
        """
        if self.cancel_since_ms is None:
            return
        if self.away_since_ms is None:
            self.away_since_ms = now_ms
        if now_ms - self.away_since_ms <= AWAY_MOST_MS:
            self.cancel_since_ms = now_ms

    def unheeded_ms(self, now_ms: int) -> int:
        """For how long its removal has been asked for in vain, 0 where it is not asked for now."""
        if self.cancel_since_ms is None or self.cancel_sent_ms is None:
            return 0
        in_row = now_ms - self.cancel_sent_ms <= CANCEL_ROW_MS
        return now_ms - self.cancel_since_ms if in_row else 0

    @property
    def reserved(self) -> int:
        """Dollars (10⁻⁶) this order may still spend: none where it sells. One that takes is filled
        by dollars, and may have got its shares for less than its limit.
        """
        order = self.order
        if order.selling:
            return 0
        if order.taking:
            left = max(0, self.worth - sum(self.paid.values()))
            return most_spent(order.market.fees, left)
        return notional(order.price, self.remaining)

    @property
    def worth(self) -> int:
        """Dollars (10⁻⁶) of the whole order at its limit, without fees."""
        return notional(self.order.price, self.order.size)

    @property
    def most_shares(self) -> int:
        """Shares (10⁻⁶) that it can get or give. One that takes is filled by dollars: at the lowest
        price for all of them.
        """
        order = self.order
        return self.worth * ONE // order.market.tick if order.taking else order.size

    @property
    def overfilled(self) -> bool:
        """Whether its trades come to more than was sent (F30)."""
        if self.order.taking:
            return sum(self.paid.values()) > self.worth + notional(self.order.price, DUST)
        return sum(self.fills.values()) > self.order.size + DUST

    @property
    def pledged(self) -> int:
        """Shares (10⁻⁶) this order may still sell."""
        return self.remaining if self.order.selling else 0

    @property
    def untold(self) -> int:
        """Shares (10⁻⁶) matched by order messages whose trades, and so the ledger, lag behind."""
        return max(0, self.matched - self.told)

    @property
    def unbooked(self) -> int:
        """Dollars (10⁻⁶) that those have spent."""
        if self.order.selling:
            return 0
        dollars = min(self.worth, notional(self.order.price, self.untold))
        return most_spent(self.order.market.fees, dollars) if self.order.taking else dollars
