"""How long a start takes after a death: fifty orders resting and five hundred trades, half of them
unheard (G11 in reliability.md).

The life before is a script: it signs and sends with the bot's own client and writes what a bot
would have written, up to the moment of its death. Then a bot is put before the same exchange with
that journal, and timed until venue and journal agree. At speed 1, on real sockets.
"""

from __future__ import annotations

import attrs
import trio

from polybot.app import Bot
from polybot.clock import wall_seconds
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import Acked, Failure, NewOrder, SignedOrder
from polybot.domain.units import ONE, SHARE
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.model import SELL, Market as VenueMarket
from polybot.exchange.request import Request, Response
from polybot.exchange.server import Exchange
from polybot.journal.entries import Carried, Ended, Entry, Intent, Known, Paid, Session, Told
from polybot.journal.store import Store
from polybot.lab.stage import (
    SERIES,
    Handler,
    Stage,
    Taps,
    Verdict,
    bot_before,
    lab_config,
    scratch_journal,
    serving,
)
from polybot.venue.gamma import MarketMeta, market_by_slug

INTENSITY = 0.001  # of the crowd: the book is ours
BATCH = 15
FILLED, FILLED_SIZE, TAKE = 25, 100, 5  # orders, shares of each, shares of each trade
RESTING, SIZE = 50, 5
FAR = 500  # of a price: where nobody trades
PATIENCE_S = 30.0


@attrs.frozen
class Restarted:
    """`ready_s`: wall seconds from the start until venue and journal agree."""

    ready_s: float
    resting: int  # orders of ours that the exchange had when the bot was started
    trades: int
    unheard: int  # of them, those that no journal knew
    posts_before: int  # orders sent before it was ready
    verdict: Verdict


@attrs.define(eq=False)
class _Past:
    """The life before: one market, what was done in it, and what the journal heard of it."""

    exchange: Exchange
    bot: Bot  # signs and sends; never run
    store: Store
    market: Market
    hand: Hand

    @property
    def there(self) -> VenueMarket:
        return self.exchange.engine.by_token[self.market.up_token]

    async def live(self) -> int:
        """Trade, rest and die; returns how many trades the journal did not hear of."""
        ctx, now_s = self.bot.ctx, self.exchange.clock.now_ms() // 1000
        cash = await ctx.client.balance(None)
        assert isinstance(cash, int), cash
        self.write(Known(self.market), Paid("deposit", cash, "balance at the start"))
        self.write(Carried(cash, 0, 0, 0, 0, 0, now_s - 1), Session("start", "drill", "drill"))
        _, ask = self.exchange.engine.best(self.market.up_token)
        best = (ask or ONE) - self.market.tick  # in front of everybody
        dead = await self.place(FILLED, FILLED_SIZE, best)
        trades = FILLED * FILLED_SIZE // TAKE
        await self.sell(trades // 2, best)
        heard = await ctx.client.trades()
        assert not isinstance(heard, Failure), heard
        self.write(*(Told(self.market.condition_id, trade) for trade in heard))
        await self.sell(trades, best)
        over = [order.id for order in dead if self.exchange.engine.orders[order.id].remaining == 0]
        self.write(*(Ended(self.market.condition_id, order_id, "filled") for order_id in over))
        await self.place(RESTING, SIZE, FAR)
        return trades - len(heard)

    async def place(self, count: int, shares: int, price: int) -> list[SignedOrder]:
        ctx = self.bot.ctx
        order = NewOrder(self.market, Outcome.UP, Side.BUY, price, shares * SHARE)
        made = [ctx.sign(order) for _ in range(count)]
        self.write(*map(Intent.of, made))
        for start in range(0, count, BATCH):
            results = await ctx.client.place(made[start : start + BATCH])
            refused = [result for result in results if not isinstance(result, Acked)]
            assert not refused, refused
        return made

    async def sell(self, trades: int, price: int) -> None:
        """Somebody sells into our bids, five shares at a time, until there have been so many
        trades; each is held for the taker delay.
        """
        engine, hand, there = self.exchange.engine, self.hand, self.there
        token = self.market.up_token
        hand.stock_up(there, self.exchange.clock.now_ms())
        for _ in range(trades - self.trades):
            assert engine.accounts.shares(hand.account, token) >= TAKE * SHARE, "stock"
            now_ms = self.exchange.clock.now_ms()
            hand.take(there, token, SELL, price, TAKE * SHARE, now_ms, seen=price)
        with trio.fail_after(PATIENCE_S):
            while self.trades < trades:  # noqa: ASYNC110 - nobody tells the lab
                await trio.sleep(0.05)

    @property
    def trades(self) -> int:
        return self.exchange.counters.accounts[self.exchange.demo_wallets.deposit].fills

    def write(self, *entries: Entry) -> None:
        now_ms = self.exchange.clock.now_ms()
        self.store.append([(now_ms, entry) for entry in entries])


@attrs.define(eq=False)
class _Watch:
    """Counts the orders that arrive before the bot is ready."""

    bot: Bot | None = None
    posts: int = 0

    async def around(self, request: Request, handle: Handler) -> Response:
        if self.bot is not None and not self.bot.ready and request.path in ("/order", "/orders"):
            self.posts += request.method == "POST"
        return await handle(request)


async def restart_drill(seed: int) -> Restarted:
    """Live, die, and start again, on one exchange."""
    watch = _Watch()
    taps = Taps(around=watch.around)
    with scratch_journal() as store:
        async with serving(seed=seed, intensity=INTENSITY, taps=taps) as (exchange, urls, http):
            config = lab_config(seed, 1.0)
            first = bot_before(exchange, urls, http, store, config)
            past = _Past(exchange, first, store, await _market(exchange, first), _hand(exchange))
            unheard = await past.live()
            resting = len(exchange.engine.live_orders(exchange.wallet.api_key))
            bot = watch.bot = bot_before(exchange, urls, http, store, config)
            stage = Stage(exchange, bot, urls, http, store)
            ready_s = await _until_ready(bot)
            return Restarted(
                ready_s, resting, past.trades, unheard, watch.posts, await stage.verdict()
            )


async def _until_ready(bot: Bot) -> float:
    """Start it, wait until it is ready, stop it; the time from start to ready."""
    begun = wall_seconds()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bot.run)
        with trio.fail_after(PATIENCE_S):
            while not bot.ready:  # noqa: ASYNC110 - a drill looks from outside
                await trio.sleep(0.001)
        took = wall_seconds() - begun
        bot.stop("drill")
    return took


def _hand(exchange: Exchange) -> Hand:
    return Hand.make(exchange.engine, "seller")


async def _market(exchange: Exchange, bot: Bot) -> Market:
    now_ms = exchange.clock.now_ms()
    slugs = [m.slug for m in exchange.lifecycle.by_slug.values() if m.start_ms <= now_ms < m.end_ms]
    found = await market_by_slug(bot.ctx.gamma, SERIES, slugs[0])
    assert isinstance(found, MarketMeta), found
    return found.market
