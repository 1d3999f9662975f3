"""Orders that rest: in a book, on their owner's list, with a claim on the account's funds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import attrs

from polybot.exchange import rules
from polybot.exchange.accounts import Accounts, resting_claim
from polybot.exchange.agenda import Agenda
from polybot.exchange.book import Book
from polybot.exchange.model import Kind, Market, Order, Status, TickChanged
from polybot.exchange.money import ONE
from polybot.exchange.outbox import Act, Outbox

COARSE_TICK, FINE_TICK = 100, 10


@attrs.frozen
class TickRule:
    """When the tick follows the price; thresholds are of Up's midpoint, 10⁻⁴ (clob.md 3.8).

    At `fine` or beyond, or one minus it, the coarse tick turns fine; back at `coarse`, which lies
    nearer the middle, so that a price that hovers does not make the tick flicker.
    """

    fine: int = 9_600
    coarse: int = 9_000


class Resting:
    """The books of all markets and the live orders in them."""

    def __init__(
        self,
        accounts: Accounts,
        agenda: Agenda,
        outbox: Outbox,
        tick_rule: TickRule | None,
    ) -> None:
        self.books: dict[str, Book] = {}  # by condition id
        self.live: dict[str, dict[str, Order]] = {}  # by owner, then by order id
        self._accounts, self._agenda, self._outbox = accounts, agenda, outbox
        self._tick_rule = tick_rule
        self._fined: set[str] = set()  # condition ids whose tick the rule has turned fine

    def act(self, market: Market, now_ms: int) -> Act:
        """Begin an act on a market; `publish` ends it."""
        return Act(market, self.books[market.condition_id], now_ms)

    def publish(self, act: Act) -> None:
        """Tell what an act changed, and follow the price with the tick."""
        self._outbox.tell(*act.events())
        if self._tick_rule is not None:
            self._follow(act.market, self._tick_rule, act.now_ms)

    def _follow(self, market: Market, rule: TickRule, now_ms: int) -> None:
        """Only what the rule turned fine does it turn back: a tick set by hand stays."""
        fined = market.condition_id in self._fined
        if market.tick != COARSE_TICK and not fined:
            return
        low, high = _middle(*self.books[market.condition_id].best())
        fine, coarse = 2 * rule.fine, 2 * rule.coarse
        if market.tick == COARSE_TICK and (low >= fine or high <= 2 * ONE - fine):
            self.change_tick(market, FINE_TICK, now_ms)
            self._fined.add(market.condition_id)
        elif fined and low >= 2 * ONE - coarse and high <= coarse:
            self.change_tick(market, COARSE_TICK, now_ms)

    def change_tick(self, market: Market, tick: int, now_ms: int) -> None:
        """Resting orders stay where they are: what happens to them is open (clob.md 3.8)."""
        self._fined.discard(market.condition_id)
        old, market.tick = market.tick, tick
        self._outbox.tell(TickChanged(market, old, tick, now_ms))

    def add(self, order: Order, act: Act) -> None:
        """Rest what is left of an order, last in its price's queue."""
        act.book.add(order)
        act.touch(order)
        self._accounts.claim(order, resting_claim(order))
        self.live.setdefault(order.owner, {})[order.id] = order
        if order.kind is Kind.GTD:
            due_ms = order.expiration_s * 1000 - rules.GTD_EARLY_MS
            self._agenda.add(due_ms, partial(self._expire, order))

    def squeeze_in(self, order: Order, before: Order, act: Act) -> None:
        """Rest an order in front of another one of its level: see `outside_book`."""
        act.book.squeeze_in(order, before)
        act.touch(order)
        self._accounts.claim(order, resting_claim(order))
        self.live.setdefault(order.owner, {})[order.id] = order

    def resize(self, order: Order, change: int, act: Act) -> None:
        """Change what an order has left; it keeps its place, and goes when nothing remains.

        No client can do this. It is how outside liquidity follows its origin, and silent: an order
        that stands for a level is nobody's, so only the level is told.
        """
        order.size += change
        act.book.resize(order, change)
        act.touch(order)
        self._accounts.claim(order, resting_claim(order))
        if order.remaining == 0:
            order.status = Status.CANCELED
            del self.live[order.owner][order.id]

    def fill(self, maker: Order, shares: int, trade_id: str, act: Act) -> None:
        """Count a match of a resting order, which leaves when nothing of it remains."""
        maker.matched += shares
        maker.trades.append(trade_id)
        act.book.take(maker, shares)
        act.touch(maker)
        self._accounts.claim(maker, resting_claim(maker))
        if maker.remaining == 0:
            maker.status = Status.MATCHED
            del self.live[maker.owner][maker.id]
        act.order("UPDATE", maker, maker.status.value, maker.matched)

    def drop_all(self, orders: Iterable[Order], status: Status, now_ms: int) -> list[str]:
        """Take resting orders out of the book, one act per market. Returns their ids."""
        acts: dict[Market, Act] = {}
        dropped: list[str] = []
        for order in orders:
            act = acts.get(order.market)
            if act is None:
                act = acts[order.market] = self.act(order.market, now_ms)
            self._drop(order, status, act)
            dropped.append(order.id)
        for act in acts.values():
            self.publish(act)
        return dropped

    def _drop(self, order: Order, status: Status, act: Act) -> None:
        act.book.remove(order)
        act.touch(order)
        self._accounts.claim(order, 0)
        del self.live[order.owner][order.id]
        order.status = status
        act.order("CANCELLATION", order, status.value, order.matched)

    def _expire(self, order: Order, now_ms: int) -> None:
        if order.status is Status.LIVE:
            self.drop_all([order], Status.CANCELED_EXPIRED_ORDER, now_ms)

    def shed(self, account: str, now_ms: int) -> None:
        """Cancel, newest first, orders that the account can no longer pay."""
        if not self._accounts.overclaimed(account):
            return
        mine = [order for orders in self.live.values() for order in orders.values()]
        unpaid = uncovered(self._accounts, account, mine)
        self.drop_all(unpaid, Status.CANCELED_NOT_ENOUGH_BALANCE, now_ms)


def _middle(bid: int | None, ask: int | None) -> tuple[int, int]:
    """Twice the midpoint, at least and at most: of an empty side it is only known that whoever
    comes will be beyond the touch. Late in a window a sure winner is often asked by nobody.
    """
    if bid is not None and ask is not None:
        return bid + ask, bid + ask
    return 2 * (bid or 0), 2 * (ONE if ask is None else ask)


def uncovered(accounts: Accounts, account: str, orders: Iterable[Order]) -> Iterator[Order]:
    """The account's orders whose claims exceed its holdings or approvals, newest first.

    Lazily: an order that is dropped frees its claim, which may cover the next one.
    """
    mine = [order for order in orders if order.account == account]
    for order in sorted(mine, key=lambda order: order.sequence, reverse=True):
        if accounts.uncovered(order):
            yield order
