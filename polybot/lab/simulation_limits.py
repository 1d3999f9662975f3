"""What an order, a wallet, a minute of requests and a life may come to at most (S2, S7, S13, S20).

Held against what the operator has set and the venue documents: prices by what is on the wire,
orders by the venue's own list, what is held by a ledger that S5 and L2 hold against the venue's.
"""

from __future__ import annotations

import gc
import types
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from polybot.app import Bot
from polybot.config import Config
from polybot.domain.market_books import Holdings, MarketBooks
from polybot.domain.orders import TradeStatus
from polybot.exchange.ip_limits import CLOB_RULES, GAMMA_RULES, Rule
from polybot.exchange.model import BUY, Market, Order
from polybot.exchange.money import ONE
from polybot.exchange.server import Exchange
from polybot.lab.simulation_grid import resting_orders

USD = 1_000_000
DECIDED_WITHIN_S = 4.0  # an order waits for the disk, and a request for the one before it
OVER_MOST_S = 8.0  # an order that the edge held back is cancelled within this time
WINDOW_S = 10.0
PART = 2  # half of what the venue documents (reliability.md 4, G19)
# Of the relayer's requests all that it documents (onchain.md 7.4): an operator may set the bot to
# as many. Its client is not ours, asks again by itself, and has a wire of its own.
SUBMITTING, SUBMITS_MOST, MINUTE_S = b"POST /submit ", 25, 60.0
RULES = {"rest clob": CLOB_RULES, "rest gamma": GAMMA_RULES}
HELD_MOST = 150_000  # a bot of three series holds some thirty thousand objects
HELD_EVERY_S = 240.0
_PASSED_OVER = (
    type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType,
    types.CodeType, types.FrameType, types.GeneratorType, types.CoroutineType, types.CellType,
)  # fmt: skip
_OURS = ("builtins", "polybot", "collections")
_NOT_OURS = ("polybot.exchange", "polybot.lab")


@attrs.frozen
class _Exposure:
    """One market's: dollars at risk with all that rests filled; the worst it may cost then, and by
    what is held alone, less what it has earned, for a merge takes pairs away that were the profit
    and adds nothing; how many of its trades were undone.
    """

    asset: str
    at_risk: int
    worst: int
    held: int
    undone: int


@attrs.define(eq=False)
class Limits:
    """`once` tells of a breach by rule, key and text, `lasts` how long something has been so."""

    exchange: Exchange
    now_s: Callable[[], float]
    once: Callable[[str, str, str], None]
    lasts: Callable[[str, bool], float]
    _fairs: defaultdict[str, deque[tuple[float, float]]] = attrs.field(
        factory=lambda: defaultdict(deque)
    )  # by slug: when, what Up was thought to be worth
    _requests: defaultdict[str, deque[float]] = attrs.field(factory=lambda: defaultdict(deque))
    _handed: list[tuple[float, float]] = attrs.field(factory=list)  # orders, by both clocks
    _equity: int = 0  # the most that there has been
    _held_at: float = 0.0

    # --- prices -------------------------------------------------------------------------------

    def decided(self, slug: str, fair: float | None) -> None:
        """A decision's fair price of Up."""
        if fair is not None:
            fairs = self._fairs[slug]
            fairs.append((self.now_s(), fair))
            while fairs[0][0] < self.now_s() - DECIDED_WITHIN_S:
                fairs.popleft()

    def beyond_the_collar(self, body: bytes, config: Config) -> Iterator[str]:
        """S2: the orders of a request that stand further above the fair price than the collar
        allows, as bids, whichever was decided last.
        """
        late, by_token = self.now_s() - DECIDED_WITHIN_S, self.exchange.engine.by_token
        for order, price in resting_orders(body):
            market = by_token.get(order["tokenId"])
            slug = market.slug if market is not None else ""
            fairs = [fair for at, fair in self._fairs.get(slug, ()) if at >= late]
            if market is None or not fairs:
                continue
            up, bid = order["tokenId"] == market.tokens[0], float(price)
            if order["side"] != BUY:
                up, bid = not up, 1 - bid
            fair = max(fairs) if up else 1 - min(fairs)
            if bid > fair + config.risk.price_collar + 1 / ONE:
                yield f"{slug}: a bid of {bid:g} where {fair:.4f} is fair, beyond the collar"

    # --- the wallet -----------------------------------------------------------------------------

    def look(self, bot: Bot, orders: list[Order]) -> None:
        """To be called a few times a second, with what rests of ours."""
        self._exposed(bot, orders)
        if self.now_s() - self._held_at >= HELD_EVERY_S:
            self._held_at = self.now_s()
            if (held := objects_held(bot)) > HELD_MOST:
                self.once("S20", "memory", f"the bot holds {held} objects")

    def _exposed(self, bot: Bot, orders: list[Order]) -> None:
        """S7: over all markets, with all that rests filled at its worst, no more is risked than the
        limits allow, measured by the most that the wallet has ever had. Where a trade was undone
        that had balanced others, nothing that rests may add to it.
        """
        risk = bot.ctx.config.risk
        self._equity = max(self._equity, bot.ctx.account.ledger.equity)
        percent = self._equity // 100
        dollars, sums = 0, defaultdict[str, Counter[str]](Counter)
        for one in self._by_market(bot, orders):
            dollars += one.at_risk
            for name in ("all", one.asset):
                sums[name].update(worst=one.worst, held=one.held, undone=one.undone)
        most = dict.fromkeys(sums, risk.max_cluster_loss_percent * percent)
        most["all"] = risk.max_total_loss_percent * percent
        over = {
            f"{name} may lose": it["worst"] - most[name]
            if it["worst"] > it["held"] or not it["undone"]
            else 0
            for name, it in sums.items()
        }
        over["all risk"] = dollars - risk.max_total_usd * USD
        for name, excess in over.items():
            if self.lasts(f"over {name}", excess > 0) > OVER_MOST_S:
                self.once("S7", name, f"{name} {excess / USD:.2f} dollars more than the limit")

    def _by_market(self, bot: Bot, orders: list[Order]) -> Iterator[_Exposure]:
        """Of each market that is not decided."""
        books, resting = bot.ctx.account.ledger.books, defaultdict[str, list[Order]](list)
        for order in orders:
            resting[order.market.condition_id].append(order)
        for key in sorted(books.keys() | resting.keys()):
            market, here = self.exchange.engine.markets[key], books.get(key)
            if here is None or here.up_payout is None:
                yield _exposure(market, here, resting[key])

    # --- requests -------------------------------------------------------------------------------

    def sent(self, stream: str, body: bytes) -> None:
        """S13: of every class of requests no more than a part of what the venue takes."""
        rules = RULES.get(stream)
        if rules is None:
            return
        method, _, target = body.partition(b"\n")[0].decode().partition(" ")
        path = target.partition("?")[0]
        for rule in rules:
            if rule.covers(method, path):
                self._count(stream, rule)

    def _count(self, stream: str, rule: Rule) -> None:
        seen = self._lately(f"{stream} {rule.name}", WINDOW_S)
        if seen * PART > rule.per_10_s:
            self.once("S13", rule.name, f"{seen} requests of {rule.name} in {WINDOW_S:g} s")

    def begin_anew(self) -> None:
        """Another bot's budget of orders is a new one, perhaps another."""
        self._handed.clear()

    def handed(self, bot: Bot, body: bytes) -> None:
        """S13: of orders no more than the operator has allowed."""
        per_s, own_s = bot.ctx.config.orders.orders_per_s, bot.ctx.clock.now_ms() / 1000
        # A clock that is set ahead fills the budget up, once (seed 1049).
        late = (self.now_s() - WINDOW_S, own_s - WINDOW_S)
        self._handed = [at for at in self._handed if at[0] > late[0] and at[1] > late[1]]
        # Not those that take, which wait for no budget: one at a time, that is S3.
        orders = body.count(b'"salt"') - body.count(b'"orderType":"F')
        self._handed += [(self.now_s(), own_s)] * orders
        if len(self._handed) > per_s * (WINDOW_S + 1):
            self.once("S13", "", f"{len(self._handed)} orders sent within {WINDOW_S:g} s")

    def submitted(self) -> None:
        """S13: a transaction goes to the relayer."""
        seen = self._lately("submit", MINUTE_S)
        if seen > SUBMITS_MOST:
            self.once("S13", "submit", f"{seen} transactions for the relayer in {MINUTE_S:g} s")

    def _lately(self, name: str, within_s: float) -> int:
        """One more request; how many there have been of late."""
        now_s = self.now_s()
        seen = self._requests[name]
        seen.append(now_s)
        while seen[0] <= now_s - within_s:
            seen.popleft()
        return len(seen)


def _exposure(market: Market, books: MarketBooks | None, orders: list[Order]) -> _Exposure:
    held = books.holdings() if books is not None else Holdings()
    paid, given = [0, 0], [0, 0]  # by outcome: for bids, and away by asks should it win
    for order in orders:
        outcome = market.tokens.index(order.token)
        worth = order.price * order.remaining // ONE
        if order.side == BUY:
            paid[outcome] += worth
        else:
            given[outcome] += order.remaining - worth
    spent = held.cost - max(0, books.realised if books is not None else 0)
    worst = max(0, spent + paid[1] + given[0] - held.up, spent + paid[0] + given[1] - held.down)
    trades = books.trades.values() if books is not None else ()
    return _Exposure(
        market.series.key.partition("-")[0],
        held.cost + sum(paid),
        worst,
        max(0, spent - min(held.up, held.down)),
        sum(one.status is TradeStatus.FAILED for one in trades),
    )


def objects_held(root: object) -> int:
    """How many objects hang on one, itself counted: ours, collections, and what is in them; neither
    the exchange's nor the laboratory's, nor code, nor the keys of plain dicts.
    """
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for other in gc.get_referents(one):
            module = type(other).__module__
            if isinstance(other, _PASSED_OVER) or module.startswith(_NOT_OURS):
                continue
            if module.startswith(_OURS):
                waiting.append(other)
    return len(seen)
