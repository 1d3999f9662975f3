"""The bot's money in a backtest: its ledger, its limits, and what becomes of pairs and winners.

The production ledger, the production inventory rules and the production loss limits; only the ways
onto the chain are short: a merge or a redemption takes the time they usually take, and does not
fail.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from polybot.config import Config
from polybot.domain.ledger import Ledger
from polybot.domain.market import Market, Outcome
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import TradeSeen
from polybot.domain.units import USD
from polybot.exchange.model import Refused
from polybot.exchange.server import DEMO_FUNDS
from polybot.execution.desk import Desk
from polybot.execution.firewall import Admission
from polybot.execution.inventory import Capital, Operation, Place, Setbacks, SubmitBudget, plan
from polybot.lab.backtest_time import Timeline
from polybot.lab.backtest_venue import WALLET, Venue
from polybot.risk.checks import Standing
from polybot.risk.exposure import OpenBids
from polybot.risk.losses import LossLimits, Standing as Losses
from polybot.wallet_standing import SPLITS, WalletStanding

ROUND_MS = 2_000  # between two looks at what is due (inventory.py)
MINED_MS, BOOKED_MS = 2_200, 4_000  # from the submission to the block, and until it is known
LOOK_MS = 1_000  # between two looks at the losses (loss_watch.py)


@attrs.define(eq=False)
class Wallet(WalletStanding):
    """`fair` is what a share of Up is worth in a market now, 10⁻⁴; None where nobody can say."""

    config: Config
    venue: Venue
    timeline: Timeline
    admission: Admission
    fair: Callable[[str, int], int | None]
    ledger: Ledger = attrs.field(factory=Ledger)
    reserved: dict[str, int] = attrs.field(factory=dict)
    bids: dict[str, OpenBids] = attrs.field(factory=dict)
    pledges: dict[str, dict[str, int]] = attrs.field(factory=dict)
    coming: dict[str, dict[str, int]] = attrs.field(factory=dict)
    claims: dict[str, int] = attrs.field(factory=dict)
    unmergeable: dict[str, str] = attrs.field(factory=dict)
    day_loss: int = 0
    desks: dict[str, Desk] = attrs.field(factory=dict)  # by condition id, until their markets end
    changed: Callable[[str, int], None] = lambda *_: None  # told whose holdings have moved, when
    _limits: LossLimits = attrs.field(init=False)
    _budget: SubmitBudget = attrs.field(init=False)
    _setbacks: Setbacks = attrs.field(factory=Setbacks)
    _moving: set[str] = attrs.field(factory=set)
    _worth: dict[str, int] = attrs.field(factory=dict)  # Up's last fair price, by market
    _standings: dict[str, Standing] = attrs.field(factory=dict)  # until anything moves

    def __attrs_post_init__(self) -> None:
        params = self.config.inventory
        self.ledger.deposit(DEMO_FUNDS, "the backtest's funds")
        self._limits = LossLimits(self.config.risk)
        self._budget = SubmitBudget(params.submits_per_minute, params.submits_per_day)

    def begin(self, now_ms: int) -> None:
        self.timeline.at(now_ms, self._round)
        self.timeline.at(now_ms, self._look)

    def standing(self, condition_id: str) -> Standing:
        """Reckoned anew when anything has moved: it is asked for with every decision."""
        found = self._standings.get(condition_id)
        if found is None:
            self._read_desks()
            found = self._standings[condition_id] = super().standing(condition_id)
        return found

    def acted(self) -> None:
        """A desk's orders have changed: of no consequence where it is the only one."""
        if len(self.desks) > 1:
            self.moved()

    def _read_desks(self) -> None:
        """What every market's orders may still spend and sell."""
        for key, desk in self.desks.items():
            promised = desk.promised
            if self.bids.get(key) is not promised.bids:
                self.reserved[key], self.bids[key] = promised.reserved, promised.bids
                tokens = {desk.market.token(one): promised.pledged(one) for one in Outcome}
                self.pledges[key] = tokens

    def moved(self) -> None:
        """The ledger, or what a standing is read from beside it, has changed."""
        self._standings.clear()

    def book(self, trade: TradeSeen) -> bool:
        """What a trade message says; False when it says nothing new."""
        if self.ledger.knows(trade):
            return False
        self.moved()
        return self.ledger.book(trade)

    def resolve(self, condition_id: str, up_payout: int) -> None:
        self.moved()
        self.ledger.resolve(condition_id, up_payout)

    # --- pairs and winners -------------------------------------------------------------------

    def _round(self, now_ms: int) -> None:
        self.timeline.at(now_ms + ROUND_MS, self._round)
        ledger = self.ledger
        self._read_desks()
        free = ledger.cash - ledger.promised - sum(self.reserved.values())
        room = self.config.risk.max_total_usd * USD - self.at_risk - self.reserved.get(SPLITS, 0)
        found = plan(
            self.config.inventory, [self._place(books, now_ms) for books in ledger.books.values()],
            Capital(ledger.equity, free, room), busy=frozenset(self._moving),
            setbacks=self._setbacks, obstacle=self._budget.obstacle(now_ms), batches=True,
            now_ms=now_ms,
        )  # fmt: skip
        self.claims = dict(found.claims) | {
            key: shares for key, shares in self.claims.items() if key in self._moving
        }
        self.moved()
        if found.operations:
            self._budget.spend(now_ms)
        for operation in found.operations:
            self._submit(operation, now_ms)

    def _place(self, books: MarketBooks, now_ms: int) -> Place:
        market, key = books.market, books.market.condition_id
        return Place(
            condition_id=key,
            held=books.holdings(),
            up_payout=books.up_payout,
            open=now_ms < market.end_ms,
            settled=not books.unsettled(),
            fresh=not books.transactions and not self.reserved.get(key),
            room=self.room_to_split(key, self.config.risk),
            pledged_up=self.pledged(market.up_token),
            pledged_down=self.pledged(market.down_token),
        )

    def _submit(self, operation: Operation, now_ms: int) -> None:
        key = operation.condition_id
        self._moving.add(key)
        if operation.kind == "merge":
            self.claims[key] = operation.shares
        self._splitting(operation, operation.shares)
        self.timeline.at(now_ms + MINED_MS, lambda at_ms: self._mine(operation, at_ms))

    def _splitting(self, operation: Operation, more: int) -> None:
        """What splits take no bid may spend."""
        if operation.kind == "split":
            self.reserved[SPLITS] = self.reserved.get(SPLITS, 0) + more

    def _mine(self, operation: Operation, at_ms: int) -> None:
        """The chain does it; what it refuses is tried again later, as by the bot."""
        market = self.venue.engine.markets[operation.condition_id]
        engine = self.venue.engine
        if operation.kind == "merge":
            done = engine.merge(WALLET, market, operation.shares, at_ms)
        elif operation.kind == "split":
            done = engine.split(WALLET, market, operation.shares, at_ms)
        else:
            done = engine.redeem(WALLET, market, at_ms)
        known_ms = at_ms + BOOKED_MS - MINED_MS
        if isinstance(done, Refused):
            self.timeline.at(known_ms, lambda now_ms: self._failed(operation, now_ms))
        else:
            self.timeline.at(known_ms, lambda now_ms: self._book(operation, now_ms))

    def _failed(self, operation: Operation, now_ms: int) -> None:
        self._moving.discard(operation.condition_id)
        self.claims.pop(operation.condition_id, None)
        self._splitting(operation, -operation.shares)
        self._setbacks.failed(operation.condition_id, now_ms)

    def _book(self, operation: Operation, now_ms: int) -> None:
        key, kind = operation.condition_id, operation.kind
        self._moving.discard(key)
        self.claims.pop(key, None)
        self._splitting(operation, -operation.shares)
        self.moved()
        self._setbacks.cleared(key)
        if kind == "merge":
            self.ledger.merge(key, operation.shares, kind, now_ms)
        elif kind == "split":
            self.ledger.split(key, operation.shares, kind, now_ms)
        else:
            self.ledger.redeem(key, kind, now_ms)
        self.changed(key, now_ms)

    def settled(self, market: Market) -> bool:
        """Whether nothing of a resolved market is left to be done."""
        key = market.condition_id
        books = self.ledger.books[key]
        held = books.holdings()
        gone = held.up == held.down == 0 and key not in self._moving
        return books.up_payout is not None and gone and not books.unsettled()

    def forget(self, market: Market) -> None:
        key = market.condition_id
        self.moved()
        self.ledger.close(key)
        del self.desks[key]
        for kept in (self.reserved, self.bids, self.pledges, self.claims, self._worth):
            kept.pop(key, None)

    # --- losses ------------------------------------------------------------------------------

    def _look(self, now_ms: int) -> None:
        """As the loss watch: the day's loss shrinks the limits, and too much of it stops us."""
        self.timeline.at(now_ms + LOOK_MS, self._look)
        day = datetime.fromtimestamp(now_ms // 1000, UTC).date().isoformat()
        now = Losses(day, self.equity(now_ms), self.ledger.capital)
        verdict = self._limits.look(now)
        day_loss = max(0, -self._limits.today(now))
        if day_loss != self.day_loss:
            self.day_loss = day_loss
            self.moved()
        if verdict.halt is not None:
            self.admission.stop(f"{verdict.halt[0].value}: {verdict.halt[1]}")

    def equity(self, now_ms: int) -> int:
        """Cash, and everything held at fair, or at cost where it never had a price (marks.py)."""
        total = self.ledger.cash
        for key, books in self.ledger.books.items():
            fair = self.fair(key, now_ms)
            if fair is not None:
                self._worth[key] = fair
            held = books.holdings()
            if not held.net or books.up_payout is not None:
                total += books.worst_value
            elif key in self._worth:
                total += books.marked(self._worth[key])
            else:
                total += held.cost
        return total
