"""The life of orders: accepted or refused, held, matched, rested, cancelled, expired.

Where the reference is silent (clob.md 3.8, 3.9, 12) the desk decides: an account's own orders match
each other like any other's; a held taker shows on the user stream only when its hold ends; resting
orders stay when the tick changes; cents of a market BUY that buy less than a lot are dust.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from functools import partial

import attrs

from polybot.exchange import matching, rules
from polybot.exchange.accounts import Accounts
from polybot.exchange.agenda import Agenda
from polybot.exchange.matching import LevelMatch, Plan
from polybot.exchange.model import (
    BUY,
    Accepted,
    Event,
    Kind,
    Order,
    Phase,
    Refused,
    Status,
    Trade,
    TradeUpdated,
)
from polybot.exchange.money import ONE
from polybot.exchange.outbox import Act, Outbox
from polybot.exchange.resting import Resting, TickRule, uncovered
from polybot.exchange.settlement import Clearing, ClearingPolicy, parties

Done = Callable[[Accepted | Refused], None]


@attrs.frozen(eq=False)
class Held:
    """A marketable order waiting for the taker delay to end, and who waits for its outcome."""

    order: Order
    done: Done


class Desk:
    """All orders of all markets. `Engine` keeps the time and the markets' phases."""

    def __init__(
        self,
        accounts: Accounts,
        agenda: Agenda,
        outbox: Outbox,
        rng: random.Random,
        policy: ClearingPolicy,
        *,
        tick_rule: TickRule | None,
    ) -> None:
        self.orders: dict[str, Order] = {}
        self.trades: dict[str, Trade] = {}
        self.held: dict[str, Held] = {}
        self.resting = Resting(accounts, agenda, outbox, tick_rule)
        self._accounts, self._agenda, self._outbox, self._rng = accounts, agenda, outbox, rng
        self.clearing = Clearing(accounts, agenda, rng, policy, outbox.tell, self._failed)
        # The balance by which an order is judged: the books', or what the venue believes.
        self.known: Callable[[Order], int] = accounts.booked
        # What of the books' figure no block holds yet; nothing where the books are what counts.
        self.incoming: Callable[[Order], int] = _none
        self._sequence = 0

    # --- placing ---------------------------------------------------------------------

    def place(self, order: Order, now_ms: int, done: Done) -> None:
        """See `Engine.place`."""
        market = order.market
        book = self.resting.books.get(market.condition_id)
        crosses = book is not None and market.phase is Phase.OPEN and book.crosses(order)
        error = self._refusal(order, now_ms, crosses=crosses)
        if error is not None:
            done(Refused(error, order.id))
            return
        order.created_ms = now_ms
        self.orders[order.id] = order
        if crosses and (market.taker_delay_ms or market.seconds_delay):
            self._hold(order, now_ms, done)
        else:
            done(self._enter(order, now_ms))

    def _refusal(self, order: Order, now_ms: int, *, crosses: bool) -> str | None:
        """Checks 9 to 14 of clob.md 10, in that order."""
        marketable = (crosses or rules.is_market_kind(order)) and not order.post_only
        return (
            rules.market_refusal(order.market, order.token)
            or rules.tick_refusal(order)
            or rules.size_refusal(order)
            or (rules.dollar_refusal(order) if marketable else None)
            or rules.term_refusal(order, now_ms)
            or (f"order {order.id} is invalid. Duplicated." if order.id in self.orders else None)
            or rules.balance_refusal(
                order,
                self._accounts,
                self.known(order),
                self.incoming(order),
                marketable=marketable,
            )
            or (rules.POST_ONLY_CROSSES if order.post_only and crosses else None)
        )

    def _hold(self, order: Order, now_ms: int, done: Done) -> None:
        order.status, order.sequence = Status.DELAYED, self._next_sequence()
        self._accounts.claim(order, rules.needed(order, marketable=True))
        delay_ms = order.market.taker_delay_ms
        if order.market.seconds_delay:
            # Told at once; how it ends is for the user stream and the reads (clob.md 3.6).
            delay_ms = order.market.seconds_delay * 1000
            done(Accepted(order, "delayed", 0, 0, ()))
            done = _nobody
        self.held[order.id] = Held(order, done)
        self._agenda.add(now_ms + delay_ms, partial(self._release, order))

    def _release(self, order: Order, now_ms: int) -> None:
        """End a hold: validate once more what can have changed, then match or book."""
        held = self.held.pop(order.id, None)
        if held is None:  # rejected meanwhile, see `shed`
            return
        self._accounts.claim(order, 0)
        # Its funds are still there: `shed` rejects a held order at the moment they go.
        error = rules.market_refusal(order.market, order.token) or rules.tick_refusal(order)
        outcome = self._reject(order, error, now_ms) if error else self._enter(order, now_ms)
        held.done(outcome if isinstance(outcome, Refused) else attrs.evolve(outcome, held=True))

    def _enter(self, order: Order, now_ms: int) -> Accepted | Refused:
        """Match a checked order and rest, cancel or kill what remains."""
        book = self.resting.books[order.market.condition_id]
        plan = matching.plan(book, order) if book.crosses(order) else matching.NOTHING
        killed = _killed(order, plan)
        if killed is not None:
            return self._kill(order, killed, now_ms)
        if not self._covers(order, plan):
            return self._reject(order, rules.NO_BALANCE, now_ms)
        order.status, order.sequence = Status.LIVE, self._next_sequence()
        act = Act(order.market, book, now_ms)
        act.order("PLACEMENT", order, order.status.value, 0)
        trades = (self._trade(order, plan, act),) if plan.matches else ()
        self._finish(order, plan, act)
        self.resting.publish(act)
        making, taking = (plan.cash, plan.shares) if order.side == BUY else (plan.shares, plan.cash)
        return Accepted(order, "matched" if trades else "live", making, taking, trades)

    def _covers(self, order: Order, plan: Plan) -> bool:
        """Whether a matching BUY can pay to the micro-unit: rounding may exceed the check."""
        if order.side != BUY or not plan.matches:
            return True
        rest = 0 if rules.is_market_kind(order) else order.price * (order.size - plan.shares)
        cost = plan.cash + plan.fee - (-rest // ONE)
        return cost <= self._accounts.available_to(order)

    def _trade(self, taker: Order, plan: Plan, act: Act) -> str:
        """One settlement for everything the order takes, whatever the number of levels.

        So do the references have it: `maker_orders` is every maker hit in the settlement, one print
        has the taker's total size, and its price is a level's, not always the average (feeds.md 2.3
        and 4.3). Which level is not said: the last one reached, as a last trade price should be.
        The fee stays the sum of the levels' fees, each reckoned at its own price.
        """
        trade = Trade(
            id=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            market=taker.market,
            taker=taker,
            shares=plan.shares,
            price=plan.matches[-1].price,
            fee=plan.fee,
            makers=tuple(fill for match in plan.matches for fill in match.makers),
            matched_ms=act.now_ms,
            updated_ms=act.now_ms,
        )
        self.trades[trade.id] = trade
        act.traded(trade)
        for fill in trade.makers:
            if fill.order.sequence:  # else it never rested here: see `print_outside`
                self.resting.fill(fill.order, fill.shares, trade.id, act)
        taker.matched += trade.shares
        taker.trades.append(trade.id)
        taker.market.last_trade_price = trade.price
        self.clearing.begin(trade)
        return trade.id

    def lay(self, order: Order, act: Act, before: Order | None = None) -> None:
        """Rest an order that stands for outside liquidity: unchecked, untold, its level apart.

        It goes last in its level, or in front of `before`, whose time it then shares.
        """
        self.orders[order.id] = order
        order.created_ms = act.now_ms
        if before is None:
            order.sequence = self._next_sequence()
            self.resting.add(order, act)
        else:
            order.sequence = before.sequence - 1
            self.resting.squeeze_in(order, before, act)

    def print_outside(self, taker: Order, match: LevelMatch, act: Act) -> None:
        """A trade that happened elsewhere, with whichever resting orders here it would have met.

        Makers without a sequence stand for liquidity that has left the mirrored book already.
        """
        self._trade(taker, Plan((match,), complete=True), act)

    def _finish(self, order: Order, plan: Plan, act: Act) -> None:
        """Tell the taker's fill; then what is not matched is cancelled (FAK) or rests."""
        if plan.matches:
            act.order("UPDATE", order, "MATCHED" if plan.complete else "LIVE", order.matched)
        if plan.complete:
            order.status = Status.MATCHED
        elif rules.is_market_kind(order):
            order.status = Status.CANCELED
            act.order("CANCELLATION", order, order.status.value, order.matched)
        else:
            self.resting.add(order, act)

    def _kill(self, order: Order, text: str, now_ms: int) -> Refused:
        order.status = Status.CANCELED
        return self._unmatched(order, f"CANCELED_{text}", text, now_ms)

    def _reject(self, order: Order, text: str, now_ms: int) -> Refused:
        order.status = Status.INVALID
        return self._unmatched(order, order.status.value, text, now_ms)

    def _unmatched(self, order: Order, status: str, text: str, now_ms: int) -> Refused:
        """End an order that never reached the book, on the user stream and in the reply."""
        act = self.resting.act(order.market, now_ms)
        act.order("CANCELLATION", order, status, 0)
        self.resting.publish(act)
        return Refused(text, order.id)

    # --- ending ----------------------------------------------------------------------

    def cancel(self, order_id: str, owner: str, now_ms: int) -> str | None:
        """See `Engine.cancel`."""
        order = self.orders.get(order_id)
        if order is None or order.owner != owner:
            return rules.NOT_CANCELABLE
        if order.status is Status.DELAYED:
            return rules.DELAYED
        if order.status is not Status.LIVE:
            return rules.NOT_CANCELABLE
        self.resting.drop_all([order], Status.CANCELED, now_ms)
        return None

    def _failed(self, trade: Trade, now_ms: int) -> None:
        self.shed(parties(trade), now_ms, TradeUpdated(trade, now_ms))

    def shed(self, accounts: Iterable[str], now_ms: int, *first: Event) -> None:
        """End orders that these accounts can no longer pay: resting ones first, then held ones.

        A merge, a split or a reversed trade takes what orders counted on (onchain.md 6.4). The
        events `first`, the cause of it, are told before the ends of the orders.
        """
        with self._outbox.together():
            self._outbox.tell(*first)
            rejected: list[Held] = []
            for account in accounts:
                self.resting.shed(account, now_ms)
                rejected += self._shed_held(account)
            refusals = [self._reject(held.order, rules.NO_BALANCE, now_ms) for held in rejected]
        for held, refusal in zip(rejected, refusals, strict=True):
            held.done(refusal)

    def _shed_held(self, account: str) -> list[Held]:
        shed: list[Held] = []
        for order in uncovered(
            self._accounts, account, [held.order for held in self.held.values()]
        ):
            self._accounts.claim(order, 0)
            shed.append(self.held.pop(order.id))
        return shed

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence


def _none(_: Order) -> int:
    return 0


def _nobody(_: Accepted | Refused) -> None:
    """Who waits for the outcome of an order that has been answered already."""


def _killed(order: Order, plan: Plan) -> str | None:
    """Why a market-type order dies unfilled, in the venue's words."""
    if order.kind is Kind.FOK and not plan.complete:
        return rules.FOK_KILLED
    return rules.FAK_KILLED if order.kind is Kind.FAK and not plan.matches else None
