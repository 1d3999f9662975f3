"""What must be true of the living bot beside the venue's own books (reliability.md 3).

The watch judges by what the venue saw. These rules need a look into the bot, or at its wire and its
connections: a few times a second, and whenever something is sent or decided. Looking changes
nothing, not even what the bot would have found out by itself a moment later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import attrs

from polybot.app import Bot
from polybot.core_tape import quote_of
from polybot.domain.accounts import PAID, RESULTS, Kind
from polybot.domain.market import Outcome
from polybot.exchange.model import Market, Order
from polybot.exchange.modes import Mode
from polybot.exchange.server import Exchange
from polybot.lab.memory_net import Network
from polybot.lab.simulation_approvals import Approvals
from polybot.lab.simulation_departures import PLACING
from polybot.lab.simulation_endings import Endings
from polybot.lab.simulation_grid import HeardGrid, resting_orders, too_short
from polybot.lab.simulation_limits import Limits
from polybot.lab.simulation_losses import Losses
from polybot.lab.simulation_pairing import Pairing
from polybot.lab.simulation_prices import QuotedPrices
from polybot.lab.simulation_ranks import Ranks
from polybot.lab.simulation_refusals import Refusals
from polybot.lab.simulation_settings import said_why
from polybot.lab.simulation_streams import Streams
from polybot.lab.simulation_strikes import ToldStrikes
from polybot.lab.simulation_told import ToldOrders
from polybot.lab.standstill import Standstill
from polybot.market_scope import MarketScope
from polybot.venue.book_state import BookState
from polybot.venue.market_book import MarketBook

# Seconds, each from when the state that must not last began.
UNVERIFIED_MOST_S = 8.0  # S10: a POST waits for the disk, and its bytes for the wire
BACKLOG_MOST_S = 2.0  # L6
TOLD_WITHIN_S = 1.0  # L10
# L4, in a living bot: a flatten of so long is one that fails, and a beat so soon after one that the
# venue took keeps it from doing its work.
WITHDRAWN_WITHIN_S, HOLDS_OFF_S = 18.0, 10.0
BEATING = b"POST /v1/heartbeats\n"
LISTS_LIE = ("stale_reply", "orders_lag")  # who reads that nothing rests may believe it
HALTED_MOST_S = 6.0  # S12: what was on its way when the halt came is there
QUOTED_WITHIN_S = 60.0  # L7, in the quiet at the end
UNTOLD_MOST_S = 7.0  # S9: three in which the word may come, and a request takes some more
REDEEMED_WITHIN_S = 600.0  # L5, without a fault of the chain
DISPUTED = "Gamma says"  # how the reason begins why what is disputed is not redeemed
CHAIN_FAULTS = ("transaction", "resolution", "winner", "balances", "closed")
TAKING = (Mode.NORMAL, Mode.POST_ONLY)  # modes in which the venue takes orders that rest


@attrs.define(eq=False)
class Since:
    """Since when something has been so, by key. `lasts` tells for how long at each look."""

    now_s: Callable[[], float]
    _began: dict[str, float] = attrs.field(factory=dict)

    def lasts(self, key: str, so: bool) -> float:  # noqa: FBT001 - the state itself
        if not so:
            self._began.pop(key, None)
            return 0.0
        return self.now_s() - self._began.setdefault(key, self.now_s())

    def forget(self) -> None:
        self._began.clear()


def doubted_s(book: MarketBook, outcome: Outcome, key: str, since: Since) -> float:
    """For how long a book has not been what its hash says, as last judged, or else not what its
    twin says. Each by itself: a snapshot that REST brings proves a book that had none, though its
    twin has moved meanwhile.
    """
    unproven = since.lasts(f"book {key}", book.judged_state(outcome) is not BookState.VALID)
    return max(unproven, since.lasts(f"mirror {key}", not book.mirrored))


@attrs.define(eq=False)
class Rules:
    """`bot` is the one that is alive; `ports` are those of the streams, by name. `calm`: no fault
    is in force, and none has been for long.
    """

    exchange: Exchange
    address: str
    network: Network
    ports: Mapping[str, int]
    bot: Callable[[], tuple[str, Bot] | None]
    break_: Callable[[str, str], None]
    now_s: Callable[[], float]
    taken_back: Callable[[str], int]  # shares of a market that a block had and has no more
    still: Standstill
    usual: bool = True  # settings, money and the crowd are as ever
    strange: frozenset[str] = frozenset()  # markets traded under a journal that was lost
    calm: bool = False
    halted_at: float = math.inf
    written: frozenset[str] = frozenset()  # orders whose intent was durable at the halt
    told: bool = False  # the operator has been shown the halt
    refusals: Refusals = attrs.field(init=False)
    approvals: Approvals = attrs.field(init=False)
    _since: Since = attrs.field(init=False)
    _strikes: ToldStrikes = attrs.field(init=False)
    _grid: HeardGrid = attrs.field(init=False)
    _told: ToldOrders = attrs.field(init=False)
    limits: Limits = attrs.field(init=False)
    _losses: Losses = attrs.field(init=False)
    _endings: Endings = attrs.field(init=False)
    _ranks: Ranks = attrs.field(init=False)
    _pairing: Pairing = attrs.field(init=False)
    _streams: Streams = attrs.field(init=False)
    _prices: QuotedPrices = attrs.field(init=False)
    _secrets: tuple[bytes, bytes, bytes] = attrs.field(init=False)
    _owner: str = ""
    _said: set[tuple[str, str]] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self._since, self._strikes = Since(self.now_s), ToldStrikes(self.now_s)
        self._grid, self._told = HeardGrid(self.exchange, self.now_s), ToldOrders(self.now_s)
        self.approvals = Approvals(self.exchange, self.address, self.now_s, self.once)
        gone = lambda: self.approvals.gone_of_late  # noqa: E731
        self.refusals = Refusals(self.exchange, self.address, self.break_, self.now_s, gone)
        judging = (self.exchange, self.now_s, self.once, self._since.lasts)
        self.limits, self._losses = Limits(*judging), Losses(*judging)
        self._endings, self._ranks = Endings(*judging), Ranks(self.exchange, self.once)
        self._pairing = Pairing(self.exchange, self.address, self.once, self._since.lasts)
        self._streams = Streams(self.network, self.ports, self.exchange, *judging[2:])
        self._prices = QuotedPrices(self.exchange, self._strikes, self.once)
        wallet = self.exchange.wallet
        key = wallet.private_key.removeprefix("0x").encode()
        self._secrets = (key, wallet.api_secret.encode(), wallet.passphrase.encode())

    def once(self, rule: str, key: str, what: str) -> None:
        """Say it the first time only: what lasts is seen at every look."""
        if (rule, key) not in self._said:
            self._said.add((rule, key))
            self.break_(rule, what)

    def rearmed(self) -> None:
        """An operator has looked at a halt; or the journal is lost, and all that it was for."""
        self.halted_at = math.inf
        self._losses.forget()

    # --- at every look ---------------------------------------------------------------------------

    def look(self) -> None:
        self.approvals.look()
        self.refusals.look()  # of a bot that has died since, too: what excuses them passes
        alive = self.bot()
        if alive is None or alive[1].ctx.stopping or not alive[1].ready or self.still.whose:
            self._begin_anew()
            return
        owner, bot = alive
        if owner != self._owner:
            self._owner = owner
            self._begin_anew()
            self.limits.begin_anew()
        self._books(bot)
        self._endings.look(bot, calm=self.calm)
        self._backlog(bot)
        self._money(bot)
        self._unwithdrawn(bot)
        self._halt(bot)
        self._streams.look(owner, bot)
        self.limits.look(bot, self.live())
        self._losses.look(bot)
        self._ranks.look(bot)
        self._pairing.look(bot, self.live())
        self._redeemed(bot)
        if self.calm:
            self._quoted(bot)

    def _begin_anew(self) -> None:
        self._since.forget()
        self.approvals.forget()
        self._ranks.forget()
        self._losses.another()

    def _books(self, bot: Bot) -> None:
        """S10: since when a market's books are not verified, or not each other's mirrors."""
        for scope in bot.supervisor.scopes.values():
            self._judge_books(scope)

    def _judge_books(self, scope: MarketScope) -> dict[Outcome, float]:
        """For how long each of a market's books has been in doubt."""
        book, slug = scope.feed.book, scope.market.slug
        return {o: doubted_s(book, o, f"{slug} {o.value}", self._since) for o in Outcome}

    def _backlog(self, bot: Bot) -> None:
        """L6: what is private is taken at once, also behind a burst."""
        waits = bot.ctx.account.waiting > 0
        if self._since.lasts("backlog", waits) > BACKLOG_MOST_S and self.calm:
            self.once("L6", "", f"{bot.ctx.account.waiting} private events wait")

    def _money(self, bot: Bot) -> None:
        """S6, S22: nothing is held that was not bought, and every micro-dollar has its other side:
        cash and cost are capital and results. Where a block has been undone, whose shares had been
        merged or sold, others stand in for them that the chain has and has not confirmed yet.
        """
        ledger = bot.ctx.account.ledger
        for key, books in ledger.books.items():
            held = books.holdings()
            owing = -min(held.up_confirmed, held.down_confirmed)
            if min(held.up, held.down) < 0 or 0 < owing > self.taken_back(key):
                self.once("S6", books.market.slug, f"{books.market.slug}: {held}")
        parts = (Kind.CASH, Kind.COST, Kind.CAPITAL, *RESULTS, *PAID)
        if over := ledger.accounts.total(*parts):
            self.once("S22", "", f"{over} micro-dollars have no other side")

    def _halt(self, bot: Bot) -> None:
        """L10: a halt is on the operator's screen. L7: it ends when he re-arms."""
        if not bot.ctx.health.halted:
            self._since.lasts("untold", so=False)
            return
        if self.halted_at == math.inf:
            self.once("L7", "re-armed", f"halted: {bot.ctx.health.trouble}, and was re-armed")
        state = bot.snapshot().state
        shown = any(name in state for name in bot.ctx.health.halted)
        if self._since.lasts("untold", not shown) > TOLD_WITHIN_S:
            self.once("L10", "", f"halted, and the screen says {state!r}")

    def _unwithdrawn(self, bot: Bot) -> float:
        """L4: for how long a market has been flattened in vain: orders of it rest all the same, and
        neither is the engine away nor does the list of orders lie.
        """
        struck, now_ms = self.exchange.faults.struck, self.exchange.clock.now_ms()
        away = self.exchange.clob.modes.at(now_ms) is Mode.RESTARTING
        lies = sum(struck[name] for name in LISTS_LIE)
        ours = (order for order in self.live() if order.id not in self.exchange.acts.foreign)
        resting, lasts_s = {order.market.slug for order in ours}, [0.0]
        for slug, scope in bot.supervisor.scopes.items():
            so = bool(scope.state) and slug in resting and not away
            lasts_s.append(self._since.lasts(f"unwithdrawn {slug} after {lies}", so))
        return max(lasts_s)

    def _holding_off(self, bot: Bot) -> None:
        """L4: who cannot withdraw what rests does not beat either, and so lets the venue do it."""
        exchange = self.exchange
        beat_ms = exchange.clob.heartbeats.beat_ms(exchange.wallet.api_key)
        held_off = beat_ms is not None and exchange.clock.now_ms() < beat_ms + HOLDS_OFF_S * 1000
        lasts_s = self._unwithdrawn(bot)
        if lasts_s > WITHDRAWN_WITHIN_S and held_off:
            self.once("L4", "held off", f"a heartbeat, and what rests does so for {lasts_s:.1f} s")

    def _redeemed(self, bot: Bot) -> None:
        """L5: what has won is paid out, or the bot says why not."""
        struck = self.exchange.faults.struck
        faults = sum(n for name, n in struck.items() if name.startswith(CHAIN_FAULTS))
        wallet, accounts = self.address, self.exchange.engine.accounts
        conflicts = bot.inventory.results.conflicts
        for market in self.exchange.engine.markets.values():
            if market.payouts is None:  # as of nearly all: they are listed a day ahead
                continue
            shares = [accounts.shares(wallet, token) for token in market.tokens]
            won = any(held and paid for held, paid in zip(shares, market.payouts, strict=True))
            parked = market.condition_id in bot.ctx.account.unmergeable
            disputed = conflicts.get(market.condition_id, "").startswith(DISPUTED)
            unpaid = won and not (parked or disputed or market.condition_id in self.strange)
            lasts_s = self._since.lasts(f"unpaid {market.slug} after {faults}", unpaid)
            if lasts_s > REDEEMED_WITHIN_S:
                self.once("L5", market.slug, f"{market.slug}: {shares} are not redeemed")

    def _quoted(self, bot: Bot) -> None:
        """L7: with everything well, a market that others quote on both sides has an order of ours,
        from its strike to its stop. A mode that began with the last fault outlasts it.
        """
        live = {order.market.condition_id for order in self.live()}
        takes = self.exchange.clob.modes.at(self.exchange.clock.now_ms()) in TAKING
        for market in self._quotable(bot):
            absent = takes and market.condition_id not in live | self.strange
            bare = absent and (self.usual or not said_why(bot, market))
            if self._since.lasts(f"bare {market.slug}", bare) > QUOTED_WITHIN_S:
                self.once("L7", market.slug, f"{market.slug}: no order for {QUOTED_WITHIN_S:g} s")

    def _quotable(self, bot: Bot) -> Iterator[Market]:
        now_ms = self.exchange.clock.now_ms()
        for market in self.exchange.engine.markets.values():
            if not market.start_ms + 30_000 <= now_ms < market.end_ms - 150_000:
                continue
            mine = market.series.key in bot.series and market.strike_published_ms is not None
            if mine:
                bid, ask = self.exchange.engine.best(market.tokens[0])
                if bid is not None and ask is not None and bid > 1_500 and ask < 8_500:
                    yield market

    def live(self) -> list[Order]:
        return self.exchange.engine.live_orders(self.exchange.wallet.api_key)

    def sent(self, stream: str, body: bytes) -> None:
        """What is handed to a client is within its sender's budgets (S13), an order within the
        collar, and lives long enough to be taken (S2).
        """
        alive = self.bot()
        if alive is None:
            return
        self.limits.sent(stream, body)
        self._told.sent(stream, body)
        if body.startswith(BEATING) and not alive[1].ctx.stopping:
            self._holding_off(alive[1])
        if stream != "rest clob" or not body.startswith(PLACING):
            return
        self.limits.handed(alive[1], body)
        config = alive[1].ctx.config
        # A clock that has just been set ahead says of a good order that it is none.
        now_ms = min(alive[1].ctx.clock.now_ms(), self.exchange.clock.now_ms())
        for what in (*too_short(body, now_ms), *self.limits.beyond_the_collar(body, config)):
            self.break_("S2", what)

    def leaving(self, body: bytes) -> None:
        """An order is about to be put on a wire. S12: none when all is halted. S9: none while the
        user stream keeps back the word of another. S2: on the grid. S10: of a verified book.
        """
        alive = self.bot()
        if alive is None:
            return
        if self.now_s() > self.halted_at:
            self.once("S12", "sent", "an order sent after a halt")
        self._losses.sent()
        self.approvals.sent()
        if self._told.owing_s > UNTOLD_MOST_S:
            self.break_("S9", f"an order {self._told.owing_s:.1f} s after one that nobody told of")
        self._verified(alive[1], body)
        for what in self._grid.off(body):
            self.break_("S2", what)

    # --- when something is sent, decided, or taken by the venue ----------------------------------

    def heard_by(self, where: str, body: bytes) -> None:
        """S17: no secret is in what anybody keeps."""
        self._strikes.heard(where, body)
        if (alive := self.bot()) is not None:
            self._told.belongs_to(alive[0])
            self._grid.belongs_to(alive[0])
            self._grid.heard(where, body)
        self._told.heard(where, body)
        self.approvals.heard(where, body)
        key, secret, phrase = self._secrets
        if key in body or secret in body or phrase in body:
            self.once("S17", where, f"a secret is on {where}")

    def decided(self, stream: str, body: bytes) -> None:
        """What the bot's own log says of a quoter's turn."""
        if not stream.startswith("quote "):
            return
        fair, decision = quote_of(body)
        slug = stream.removeprefix("quote ")
        self.limits.decided(slug, decision["fair"])
        alive = self.bot()
        scope = alive[1].supervisor.scopes.get(slug) if alive is not None else None
        if scope is not None:  # it has just judged its books, for the next look perhaps too early
            self._judge_books(scope)
        if decision["quotes"]:
            self._prices.judge(slug, fair)

    def placed(self, order: Order) -> None:
        """S2, S11, S12: what an order that the venue has taken says of its sender."""
        self._halted(order)
        if not order.post_only and order.kind.value in ("GTC", "GTD"):
            self.break_("S2", f"{order.market.slug}: a resting order that may take")
        alive = self.bot()
        scopes = alive[1].supervisor.scopes if alive is not None else {}
        if (scope := scopes.get(order.market.slug)) is not None:
            self._identity(scope, order)

    def _verified(self, bot: Bot, body: bytes) -> None:
        """S10: when an order is sent its token's book has been verified of late; S2: and there is
        one. It may come as much later as the links like.
        """
        for order, _ in resting_orders(body):
            market = self.exchange.engine.by_token.get(order["tokenId"])
            if market is None or bot.ctx.clock.now_ms() > market.end_ms:
                self.break_("S2", f"an order for a book that is not there: {order['tokenId']}")
                continue
            scope = bot.supervisor.scopes.get(market.slug)
            if scope is None:
                continue
            outcome = scope.market.outcome_of(order["tokenId"])
            if self._judge_books(scope)[outcome] > UNVERIFIED_MOST_S:
                self.break_("S10", f"{scope.market.slug}: an order without a verified book")

    def _halted(self, order: Order) -> None:
        """A request that the venue's faults have held up comes as late as they like."""
        late = self.now_s() - self.halted_at > HALTED_MOST_S
        if late and order.id not in self.written:
            self.break_("S12", f"{order.market.slug}: an order after a halt")

    def _identity(self, scope: MarketScope, order: Order) -> None:
        """S11: tokens, window and market are what the bot takes them for."""
        ours, theirs = scope.market, order.market
        named = (ours.condition_id, ours.up_token, ours.down_token, ours.start_ms, ours.end_ms)
        true = (theirs.condition_id, *theirs.tokens, theirs.start_ms, theirs.end_ms)
        if named != true:
            self.once("S11", theirs.slug, f"{theirs.slug} is taken for another market")
