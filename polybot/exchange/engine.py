"""The embedded exchange's engine: markets, orders, positions, time. Pure and synchronous.

Every act first brings the engine up to its own time, so that what was due before it happens before
it, stamped with its due time. State is complete before any listener hears of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial

from polybot.exchange import positions
from polybot.exchange.accounts import Accounts
from polybot.exchange.agenda import Agenda
from polybot.exchange.book import Book, Levels
from polybot.exchange.desk import Desk, Done
from polybot.exchange.model import (
    DOWN,
    UP,
    Market,
    MarketListed,
    MarketResolved,
    Move,
    Moved,
    Order,
    OrderEvent,
    Paid,
    Phase,
    Refused,
    Status,
)
from polybot.exchange.modes import Modes
from polybot.exchange.money import ONE
from polybot.exchange.outbox import Listener, Outbox
from polybot.exchange.resting import TickRule
from polybot.exchange.settlement import FINAL, ClearingPolicy

PAYOUTS: dict[int | None, tuple[int, int]] = {UP: (1, 0), DOWN: (0, 1), None: (1, 1)}
GRACE_MS = 600_000  # how long a resolved market's orders and trades can still be read


class Engine:
    """One exchange. Times are Unix milliseconds and never run backwards from call to call."""

    def __init__(
        self,
        *,
        rng: random.Random,
        policy: ClearingPolicy | None = None,
        auto_tick: bool = True,
        tick_rule: TickRule = TickRule(),
    ) -> None:
        self.accounts = Accounts()
        self.markets: dict[str, Market] = {}  # by condition id
        self.by_token: dict[str, Market] = {}
        self._outbox, self._agenda = Outbox(), Agenda()
        self.clearing_policy = policy or ClearingPolicy()  # may be changed at any time
        self.desk = Desk(
            self.accounts,
            self._agenda,
            self._outbox,
            rng,
            self.clearing_policy,
            tick_rule=tick_rule if auto_tick else None,
        )
        self.orders, self.trades = self.desk.orders, self.desk.trades
        self.listeners: list[Listener] = self._outbox.listeners  # who hear everything
        self.listen = self._outbox.listen  # for who hears some kinds of events
        self.listen(self._drop_unread, OrderEvent)
        # Owners, and their accounts, who never ask about an order again, as the crowd: theirs are
        # dropped when they die, or an hour of them would fill the memory.
        self.unread: set[str] = set()
        # By owner among them: who hears of every death of a resting order, as it happens.
        self.ends: dict[str, Callable[[Order], None]] = {}
        # The venue's trading mode. The engine itself obeys anybody, as recorded liquidity needs;
        # whoever enters orders asks first: the CLOB's door for its clients, the crowd's hands.
        self.modes = Modes()
        self._now_ms = 0
        self.accounts.approvals.now_ms = lambda: self._now_ms

    # --- markets ---------------------------------------------------------------------

    def list_market(self, market: Market, now_ms: int) -> None:
        """Make a market known. Splitting is possible from now on; trading waits for the opening."""
        assert market.condition_id not in self.markets, "a market is listed once"
        self.advance(now_ms)
        market.phase = Phase.LISTED
        self.markets[market.condition_id] = market
        self.by_token.update(dict.fromkeys(market.tokens, market))
        self.desk.resting.books[market.condition_id] = Book()
        self._outbox.tell(MarketListed(market, now_ms))

    def open_market(self, market: Market, now_ms: int) -> None:
        assert market.phase is Phase.LISTED, "only a listed market opens"
        self.advance(now_ms)
        market.phase = Phase.OPEN

    def close_market(self, market: Market, now_ms: int) -> None:
        """Take no more orders. What rests stays until it is cancelled or the market resolves."""
        assert market.phase is Phase.OPEN, "only an open market closes"
        self.advance(now_ms)
        market.phase = Phase.CLOSED

    def resolve_market(
        self,
        market: Market,
        winner: int | None,
        now_ms: int,
        *,
        payouts: tuple[int, int] | None = None,
        ends: Status = Status.CANCELED_MARKET_RESOLVED,
    ) -> None:
        """Publish the result; what still rests dies with the status `ends`.

        `winner` None is a void: half a dollar for every share. `payouts` is the chain's vector
        where it disagrees with the winner that the venue's services tell (reliability.md F37).
        """
        assert market.phase is not Phase.RESOLVED, "a market resolves once"
        self.advance(now_ms)
        market.phase, market.winner, market.resolved_ms = Phase.RESOLVED, winner, now_ms
        market.payouts = payouts or PAYOUTS[winner]
        resting = self.desk.resting.books[market.condition_id].orders()
        self.desk.resting.drop_all(resting, ends, now_ms)
        self._outbox.tell(MarketResolved(market, now_ms))

    def change_tick(self, market: Market, tick: int, now_ms: int) -> None:
        """Change the tick; resting orders stay where they are, on the new grid or not."""
        self.advance(now_ms)
        self.desk.resting.change_tick(market, tick, now_ms)

    def clear_books(self, now_ms: int) -> None:
        """Cancel whatever rests, of everybody: what a restart does where orders do not survive."""
        self.advance(now_ms)
        resting = [order for mine in self.desk.resting.live.values() for order in mine.values()]
        self.desk.resting.drop_all(resting, Status.CANCELED, now_ms)

    def forget(self, market: Market) -> None:
        """Drop a resolved market's orders and trades once it has been resolved for `GRACE_MS`.

        Before that it does nothing. The market itself stays: its shares can still be redeemed. A
        trade that is still on its way stays too, and is dropped when it has had as long again.
        """
        if market.resolved_ms is not None and self._now_ms - market.resolved_ms >= GRACE_MS:
            self._drop_records(market, self._now_ms)

    def _drop_records(self, market: Market, now_ms: int) -> None:
        trades = [trade for trade in self.trades.values() if trade.market is market]
        if any(trade.status not in FINAL for trade in trades):
            self._agenda.add(now_ms + GRACE_MS, partial(self._drop_records, market))
            return
        for order_id in [key for key, order in self.orders.items() if order.market is market]:
            del self.orders[order_id]
        for trade in trades:
            del self.trades[trade.id]

    def _drop_unread(self, event: OrderEvent) -> None:
        order = event.order
        if order.status is Status.LIVE or order.status is Status.DELAYED:
            return
        if order.owner in self.unread:
            self.orders.pop(order.id, None)
            ended = self.ends.get(order.owner)
            if ended is not None:
                ended(order)

    # --- time ------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, now_ms: int) -> None:
        """Do everything due by now: GTD expiries, ends of holds, trade statuses."""
        self._agenda.run(now_ms)
        self._now_ms = max(self._now_ms, now_ms)

    def next_due_ms(self) -> int | None:
        """When `advance` next has something to do. May name the expiry of an order already dead."""
        return self._agenda.next_due_ms()

    # --- orders ----------------------------------------------------------------------

    def place(self, order: Order, now_ms: int, done: Done) -> None:
        """Accept or refuse an order; `done` hears which, after the listeners have.

        A marketable order of a market with a taker delay is held: `done` is called when the hold
        ends. In every other case it is called before this returns. A refused order leaves no
        trace and its id may come again, except for one that was held or killed (FOK, FAK).
        """
        self.advance(now_ms)
        self.desk.place(order, now_ms, done)

    def cancel(self, order_id: str, owner: str, now_ms: int) -> str | None:
        """Cancel a resting order of this API key. None when done, else the venue's reason."""
        self.advance(now_ms)
        return self.desk.cancel(order_id, owner, now_ms)

    def cancel_where(
        self,
        owner: str,
        now_ms: int,
        *,
        condition_id: str | None = None,
        token: str | None = None,
    ) -> list[str]:
        """Cancel all resting orders of this API key, of one market or token if given."""
        self.advance(now_ms)
        chosen = [
            order
            for order in self.live_orders(owner)
            if condition_id in {None, order.market.condition_id} and token in {None, order.token}
        ]
        return self.desk.resting.drop_all(chosen, Status.CANCELED, now_ms)

    def held_orders(self, owner: str) -> list[Order]:
        """The orders of one API key that wait for the taker delay to end: not cancellable yet."""
        return [held.order for held in self.desk.held.values() if held.order.owner == owner]

    def live_orders(self, owner: str) -> list[Order]:
        """The resting orders of one API key, oldest first."""
        return list(self.desk.resting.live.get(owner, {}).values())

    def resting_orders(self, market: Market) -> list[Order]:
        """Everybody's resting orders of one market."""
        return self.desk.resting.books[market.condition_id].orders()

    # --- programs --------------------------------------------------------------------

    def pay_rebate(self, account: str, amount: int, now_ms: int) -> None:
        """Pay a maker out of the collected fees (clob.md 6.2)."""
        self.advance(now_ms)
        self.accounts.rebate(account, amount)
        self._outbox.tell(Paid("MAKER_REBATE", account, amount, now_ms))

    def pay_reward(self, account: str, amount: int, now_ms: int) -> None:
        """Pay a maker out of the venue's purse, which is new money here (clob.md 6.3)."""
        self.advance(now_ms)
        self.accounts.deposit(account, amount)
        self._outbox.tell(Paid("REWARD", account, amount, now_ms))

    # --- the book --------------------------------------------------------------------

    def levels(self, token: str) -> tuple[Levels, Levels]:
        """(bids ascending, asks descending) of one token as (price, shares): best last."""
        market = self.by_token[token]
        return self.desk.resting.books[market.condition_id].levels(market.outcome_of(token))

    def best(self, token: str) -> tuple[int | None, int | None]:
        """(best bid, best ask) of one token."""
        market = self.by_token[token]
        bid, ask = self.desk.resting.books[market.condition_id].best()
        if market.outcome_of(token) == UP:
            return bid, ask
        return None if ask is None else ONE - ask, None if bid is None else ONE - bid

    # --- holdings --------------------------------------------------------------------

    def settled_cash(self, account: str) -> int:
        """The pUSD that the chain shows: the books without trades that no block holds yet."""
        return self.desk.clearing.settled(account, None)

    def settled_shares(self, account: str, token: str) -> int:
        """The shares of `token` that the chain shows."""
        return self.desk.clearing.settled(account, token)

    def deposit(self, account: str, amount: int, now_ms: int) -> None:
        """Bring pUSD into the exchange, and say so."""
        self.advance(now_ms)
        self.accounts.deposit(account, amount)
        self._outbox.tell(Moved(Move.DEPOSIT, account, None, (0, 0), amount, now_ms))

    def split(
        self, account: str, market: Market, shares: int, now_ms: int, *, tx_hash: str = ""
    ) -> Refused | int:
        """Turn pUSD into pairs; BUY orders it leaves without funds are cancelled."""
        self.advance(now_ms)
        moved = positions.split(self.accounts, self.desk.clearing.movable, account, market, shares)
        if not isinstance(moved, Refused):
            self._moved(Move.SPLIT, account, market, (moved, moved), -moved, tx_hash)
        return moved

    def merge(
        self, account: str, market: Market, shares: int, now_ms: int, *, tx_hash: str = ""
    ) -> Refused | int:
        """Turn pairs into pUSD; SELL orders it leaves without shares are cancelled."""
        self.advance(now_ms)
        moved = positions.merge(self.accounts, self.desk.clearing.movable, account, market, shares)
        if not isinstance(moved, Refused):
            self._moved(Move.MERGE, account, market, (-moved, -moved), moved, tx_hash)
        return moved

    def redeem(
        self,
        account: str,
        market: Market,
        now_ms: int,
        burn: tuple[int, int] | None = None,
        *,
        tx_hash: str = "",
    ) -> Refused | int:
        """Burn settled shares of a resolved market for their payout, which is returned.

        See `positions.redeem` for what `burn` names.
        """
        self.advance(now_ms)
        burnt = positions.redeem(self.accounts, self.desk.clearing.movable, account, market, burn)
        if isinstance(burnt, Refused):
            return burnt
        paid = positions.payout(market, burnt)
        self._moved(Move.REDEEM, account, market, (-burnt[UP], -burnt[DOWN]), paid, tx_hash)
        return paid

    def _moved(
        self, move: Move, account: str, market: Market, shares: tuple[int, int], cash: int,
        tx_hash: str,
    ) -> None:  # fmt: skip
        cause = Moved(move, account, market, shares, cash, self._now_ms, tx_hash)
        self.desk.shed([account], self._now_ms, cause)

    def shed(self, accounts: Iterable[str], now_ms: int) -> None:
        """Cancel what these accounts can no longer pay: the chain moved their money or approvals.

        Approvals and plain transfers happen in `accounts` without the engine; call this after them.
        """
        self.advance(now_ms)
        self.desk.shed(accounts, now_ms)

    def equity(self, account: str) -> int:
        """The account's sure worth in 10⁻⁶ pUSD, see `positions.equity`."""
        return positions.equity(self.accounts, account, self.by_token)
