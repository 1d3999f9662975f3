"""Discovery: which windows there are, what they settle by, and what they start from.

Looks one window ahead in every series, so that a rollover never waits for metadata. A market is
offered only when two sources agree about it: Gamma for rule and window, the CLOB for tokens, tick
and size. Windows that do not check out are skipped with a reason, never guessed (F52–F55). That two
windows have ids in common neither source would notice: the CLOB is asked by the id that Gamma has
told. Then nobody knows whose they are, and neither is quoted.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.clock import NS
from polybot.context import Context
from polybot.core_tape import Doubted, Struck
from polybot.domain.market import Market, Outcome, RewardPool, UnknownRule
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.pricing.strikes import StrikeCorrection
from polybot.venue import slugs
from polybot.venue.clob import ClobClient
from polybot.venue.clob_reads import ClobMarket
from polybot.venue.gamma import MarketMeta, Refusal, market_by_slug
from polybot.venue.rest import Rest

LOOK_EVERY_S = 5.0
STRIKE_AGAIN_S = 15.0  # a published price to beat may still be put right (F57)
NOT_ACCEPTING = "not accepting orders"
AHEAD = 2  # windows per series: the current and the next


@attrs.define(eq=False)
class Discovery:
    ctx: Context
    series: tuple[str, ...]
    markets: dict[tuple[str, int], Market] = attrs.field(factory=dict)  # (series, start) → market
    skipped: dict[str, str] = attrs.field(factory=dict)  # slug → why
    _struck: dict[str, float] = attrs.field(factory=dict)  # slug → when its strike was read
    _told: dict[str, Market] = attrs.field(factory=dict)  # slug → as Gamma has told it last
    _found: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        """Each series by itself: one of which nothing is answered takes no other's time."""
        async with trio.open_nursery() as nursery:
            for series in self.series:
                nursery.start_soon(self._run_series, series, name=f"discovery {series}")

    async def _run_series(self, series: str) -> None:
        while True:
            for window in slugs.windows_from(series, self.ctx.clock.now_ms(), AHEAD):
                await self._look(series, window.start_ms)
            self._forget(self.ctx.clock.now_ms())
            await trio.sleep(LOOK_EVERY_S)

    async def wait(self, series: str, start_ms: int) -> Market:
        """Wait until a window is known and checked."""
        while (series, start_ms) not in self.markets:
            await self._found.wait()
        return self.markets[series, start_ms]

    async def _look(self, series: str, start_ms: int) -> None:
        known = self.markets.get((series, start_ms))
        slug = slugs.slug(series, start_ms)
        if slug is None or (known is not None and self._just_struck(slug)):
            return
        meta = await market_by_slug(self.ctx.gamma, series, slug)
        if meta is None or isinstance(meta, Failure):
            return  # not listed yet, or Gamma is slow: the next look is soon
        if isinstance(meta, MarketMeta):
            self._note_told(meta.market)
        if known is None:
            if not isinstance(meta, MarketMeta):
                self._skip(slug, meta.text)
                return
            if not await self._admit(meta, start_ms):
                return
            known = meta.market
        if meta.slug == slug and meta.rule is not None and self._as_admitted(meta, known):
            self._strike(known, meta.price_to_beat)

    async def _admit(self, meta: MarketMeta, start_ms: int) -> bool:
        market = meta.market
        terms = await self.ctx.client.clob_market(market.condition_id)
        if isinstance(terms, Failure):
            return False
        why = mismatch(market, start_ms, terms) or self._shared(market)
        if why is not None:
            self._skip(market.slug, why)
            return False
        self.skipped.pop(market.slug, None)
        pool = await self._pool(market, terms)
        self.markets[market.series, start_ms] = attrs.evolve(
            market, tick=terms.tick, min_size=terms.min_size, rewards=pool
        )
        self._found.set()
        self._found = trio.Event()
        return True

    async def _pool(self, market: Market, terms: ClobMarket) -> RewardPool | None:
        """The market's liquidity rewards, of the days that are left of it: it is asked about before
        it begins, which may be the day before. One that cannot be read is quoted without, and said.
        """
        if not self.ctx.config.rewards.enabled:
            return None
        pool = await self.ctx.client.reward_pool(
            market.condition_id,
            max(market.start_ms, self.ctx.clock.now_ms()),
            market.end_ms,
            terms.reward_age_s,
        )
        if isinstance(pool, Failure):
            self.ctx.records.note_bad("liquidity rewards not read")
            return None
        if pool is not None:
            per_day = amount_text(pool.per_day)
            self.ctx.tell(f"{market.slug}: a pool of {per_day} dollars a day for liquidity")
        return pool

    def _skip(self, slug: str, why: str) -> None:
        if self.skipped.get(slug) != why:
            self.skipped[slug] = why
            self.ctx.tell(f"{slug}: skipped, {why}")
            logger.warning("{} skipped: {}", slug, why)

    def _just_struck(self, slug: str) -> bool:
        read = self._struck.get(slug)
        return read is not None and trio.current_time() < read + STRIKE_AGAIN_S

    def _as_admitted(self, meta: MarketMeta | Refusal, known: Market) -> bool:
        """Whether Gamma still tells the terms that the market was admitted by. While it does not,
        nothing is priced, and its strike may be that of another rule.
        """
        why = other_terms(meta, known) or self._shared(known)
        self._judge(known, why)
        return why is None

    def _judge(self, known: Market, why: str | None) -> None:
        if self._doubt(known, why):
            for ring in self.ctx.on_price:
                ring()
            told = f"told otherwise than before: {why}" if why else "told as before"
            self.ctx.tell(f"{known.slug}: {told}")
            logger.warning("{}: {}", known.slug, told)

    def _note_told(self, market: Market) -> None:
        """Whoever is quoted under an id of this one is withdrawn in the same step."""
        self._told[market.slug] = market
        for known in self.markets.values():
            if known.slug != market.slug and _ids(known) & _ids(market):
                self._judge(known, f"{market.slug} has ids of it")

    def _shared(self, market: Market) -> str | None:
        """Which other window has an id of this one, by what Gamma tells or by our books."""
        booked = (books.market for books in self.ctx.account.ledger.books.values())
        for other in (*self._told.values(), *booked):
            if other.slug != market.slug and _ids(other) & _ids(market):
                return f"{other.slug} has ids of it"
        return None

    def _doubt(self, market: Market, why: str | None) -> bool:
        news = self.ctx.board.doubt(market.condition_id, why)
        if news:
            self.ctx.core.fed(Doubted(market.condition_id, why))
        return news

    def _strike(self, market: Market, price: float | None) -> None:
        """Hand the official price to beat to the board. A correction is told, and every quoter
        woken in the same step: what was quoted against the old strike must go.
        """
        if price is None:
            return
        self._struck[market.slug] = trio.current_time()
        at_ns = self.ctx.clock.now_ns()
        self.ctx.core.fed(Struck(market, price), at_ns)
        answer = self.ctx.board.official_strike(market, price, at_ns // NS)
        if isinstance(answer, StrikeCorrection):
            for ring in self.ctx.on_price:
                ring()
            self.ctx.tell(f"{market.slug}: strike corrected by {answer.basis_points:.2f} bp")

    def _forget(self, now_ms: int) -> None:
        for key, market in list(self.markets.items()):
            if market.end_ms <= now_ms:
                del self.markets[key]
                self._doubt(market, None)
        alive = {market.slug for market in self.markets.values()}
        self._struck = {slug: at for slug, at in self._struck.items() if slug in alive}
        looked_at = {
            slugs.slug(series, window.start_ms)
            for series in self.series
            for window in slugs.windows_from(series, now_ms, AHEAD)
        }
        self._told = {slug: told for slug, told in self._told.items() if slug in looked_at}


async def current_market(client: ClobClient, gamma: Rest, series: str, now_ms: int) -> Market | str:
    """The window under way in a series, with the CLOB's terms, or why it may not be traded."""
    start_ms = slugs.window_at(series, now_ms).start_ms
    slug = slugs.slug(series, start_ms)
    if slug is None:
        return "no market in the hour that New York's clocks repeat"
    meta = await market_by_slug(gamma, series, slug)
    if isinstance(meta, Failure):
        return meta.what
    if not isinstance(meta, MarketMeta):
        return f"{slug} is not listed" if meta is None else meta.text
    terms = await client.clob_market(meta.market.condition_id)
    if isinstance(terms, Failure):
        return terms.what
    why = mismatch(meta.market, start_ms, terms)
    if why is not None:
        return f"{slug}: {why}"
    return attrs.evolve(meta.market, tick=terms.tick, min_size=terms.min_size)


def other_terms(meta: MarketMeta | Refusal, known: Market) -> str | None:
    """What a description says otherwise than when its market was admitted: another rule (F55),
    other fees (F56), that it is another market (F53, F54), or that it takes no orders (F51). Of one
    that lacks something the rule is known, and whether orders are taken, and they count.
    """
    rule = meta.rule
    if rule != known.rule:
        return rule.why if isinstance(rule, UnknownRule) else f"settles by {rule}"
    other = _otherwise(meta.market, known) if isinstance(meta, MarketMeta) else meta.strange
    return other if other or meta.accepting else NOT_ACCEPTING


def _otherwise(told: Market, known: Market) -> str | None:
    if told.fees != known.fees:
        rate, back = (f"{ppm / 1e4:g} %" for ppm in (told.fees.rate_ppm, told.fees.rebate_ppm))
        return f"a fee of {rate}, exponent {told.fees.exponent}, {back} of it returned"
    named = ("condition_id", "up_token", "down_token", "start_ms", "end_ms")
    other = [name for name in named if getattr(told, name) != getattr(known, name)]
    return f"another {', '.join(other)}" if other else None


def mismatch(market: Market, start_ms: int, terms: ClobMarket) -> str | None:
    """Why this market must not be traded, or None: identity first, then rule, then terms."""
    if market.start_ms != start_ms:
        return f"starts at {market.start_ms}, its slug says {start_ms}"
    if isinstance(market.rule, UnknownRule):
        return f"settlement rule not understood: {market.rule.why}"
    tokens = {(token, label) for token, label in terms.tokens}
    ours = {(market.token(outcome), outcome.value) for outcome in Outcome}
    if tokens != ours or _padded(terms.condition_id) != _padded(market.condition_id):
        return "Gamma and the CLOB disagree about its tokens"
    if (terms.version, terms.neg_risk) != (market.version, market.neg_risk):
        return "Gamma and the CLOB disagree about its exchange"
    charged, told = terms.fees, market.fees
    if (charged.rate_ppm, charged.exponent) != (told.rate_ppm, told.exponent):
        return "Gamma and the CLOB disagree about its fees"
    if not terms.accepting:
        return NOT_ACCEPTING
    return None


def _ids(market: Market) -> set[str]:
    """What orders and money of a window go by."""
    return {_padded(market.condition_id), market.up_token, market.down_token}


def _padded(condition_id: str) -> str:
    """Protocol V2 ids are a byte shorter and come with and without padding (clob.md 3.2)."""
    return condition_id.lower().ljust(66, "0")
