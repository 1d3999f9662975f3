"""Another venue's public feeds as a world: what was heard, acted on in order, on our clock.

The pure half of `live-feeds`. A reader (`mirror_feed`) puts facts into a bounded inbox with the
time they were heard; `advance` consumes them: markets are listed with the same identities, books
mirrored (`outside_book`), prints told, prices, strikes, ticks and results taken over. When the
stream is lost the books empty until a snapshot comes; when the inbox overflows everything is lost.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.mirror_gamma import Published
from polybot.exchange.mirror_life import MirroredLife
from polybot.exchange.mirror_messages import (
    Beat,
    Changes,
    NewTick,
    Print,
    Resolution,
    Snapshot,
    Totals,
)
from polybot.exchange.mirror_prices import HeardPrices
from polybot.exchange.model import BUY, Event, Market, MarketResolved, Phase, Series
from polybot.exchange.oracle import Oracle
from polybot.exchange.outside import Outside
from polybot.exchange.outside_book import OutsideBook
from polybot.exchange.queue_models import AHEAD_FIRST, QueueModel

MOST_WAITING = 20_000  # facts: half a minute of the busiest stream seen (feeds.md 2.2)
MOST_RECENT = 1_000  # changes of a book, for a snapshot that is older: of seconds at the busiest
MISSES = 3  # messages in a row whose best prices are not ours: one alone happens on the venue


@attrs.frozen
class Price:
    """One published value; `feed` is "binance", "chainlink" or "twap60"."""

    feed: str
    asset: str
    stamp_ms: int
    value: float


@attrs.frozen
class Lost:
    """The market stream is gone: nothing it told is known to hold."""

    why: str


Fact = Beat | Market | Published | Price | Lost


class MirrorWorld:
    """Consumes the facts of one other venue. Times are Unix milliseconds on our clock."""

    def __init__(
        self, series: Sequence[Series], start_ms: int, told: str, model: QueueModel = AHEAD_FIRST,
        relayed: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """`relayed`: feeds told tick by tick, which the oracle publishes as they are heard."""
        self.series: tuple[Series, ...] = tuple(series)
        self.start_ms = start_ms
        self.end_ms: int | None = None
        self.name = f"live feeds of {told}: outside liquidity mirrored, our orders by queue"
        self.assets = tuple(dict.fromkeys(one.asset for one in series))
        self.source = HeardPrices(self.assets)
        self.doubtful: set[str] = set()  # condition ids whose book needs a snapshot
        self.lost = 0  # how often the mirror was given up
        self._model = model
        self._inbox: deque[tuple[int, Fact]] = deque()
        self._books: dict[str, OutsideBook] = {}
        self._misses: dict[str, int] = {}
        # By condition id, since the stream began: the newest snapshot's stamp, and changes.
        self._held_ms: dict[str, int] = {}
        self._recent: dict[str, deque[Changes]] = {}
        self.relayed = relayed
        self._oracle: Oracle | None = None
        self._life: MirroredLife | None = None
        self._outside: Outside | None = None

    # --- the reader's side -----------------------------------------------------------

    def hear(self, fact: Fact, at_ms: int) -> None:
        """Queue one fact. Prices of the past count at once: the oracle asks for them first."""
        if isinstance(fact, Price) and self._life is None:
            self.source.hear(fact.feed, fact.asset, fact.stamp_ms, fact.value)
            return
        if len(self._inbox) >= MOST_WAITING:
            self._inbox = deque(one for one in self._inbox if isinstance(one[1], Market))
            self._inbox.append((at_ms, Lost("more was heard than could be acted on")))
        self._inbox.append((at_ms, fact))

    def watched(self) -> list[Market]:
        """Markets whose end is not settled."""
        life = self._life
        if life is None:
            return []
        return [one for one in life.by_slug.values() if one.phase is not Phase.RESOLVED]

    def knows(self, slug: str) -> bool:
        return self._life is not None and slug in self._life.by_slug

    # --- the exchange's side ---------------------------------------------------------

    def make_life(
        self, engine: Engine, oracle: Oracle, rng: random.Random, start_ms: int
    ) -> MirroredLife:
        """The life cycle to serve in place of the venue's own."""
        self._life = MirroredLife(engine, oracle, self.series, rng, start_ms)
        return self._life

    def attach(self, engine: Engine, oracle: Oracle, _lifecycle: Lifecycle) -> None:
        self._outside, self._oracle = Outside(engine), oracle
        engine.listen(self._on_event, MarketResolved)

    def settlement(self, _market: Market) -> tuple[float, float] | None:
        """Strikes and results come as they are published."""
        return None

    def next_due_ms(self) -> int | None:
        return self._inbox[0][0] if self._inbox else None

    def advance(self, now_ms: int) -> None:
        """Act on everything heard by now."""
        while self._inbox and self._inbox[0][0] <= now_ms:
            at_ms, fact = self._inbox.popleft()
            self._act(fact, at_ms)

    def _act(self, fact: Fact, at_ms: int) -> None:
        assert self._life is not None, "facts are acted on in an exchange"
        match fact:
            case Price():
                self._price(fact, at_ms)
            case Market():
                self._life.list_market(fact, at_ms)
                if self._outside is not None and self.knows(fact.slug):
                    book = OutsideBook(self._outside, fact, self._model)
                    self._books.setdefault(fact.condition_id, book)
            case Published():
                self._life.hear(fact, at_ms)
            case Lost():
                self._lose(at_ms)
            case _:
                self._on_beat(fact, at_ms)

    def _price(self, fact: Price, at_ms: int) -> None:
        if fact.feed != "twap60":
            self.source.hear(fact.feed, fact.asset, fact.stamp_ms, fact.value)
        if fact.feed in self.relayed and self._oracle is not None:
            self._oracle.publish(fact.feed, fact.asset, fact.value, fact.stamp_ms, at_ms)

    def shows(self, snapshot: Snapshot) -> bool:
        """Whether the mirror has this very book: then silence is quiet, and no stall."""
        book = self._books.get(snapshot.market)
        return book is not None and book.valid and book.told() == (snapshot.bids, snapshot.asks)

    def _on_beat(self, beat: Beat, at_ms: int) -> None:
        book = self._books.get(beat.market)
        if book is None:
            return
        match beat:
            case Snapshot() if beat.at_ms >= self._held_ms.get(beat.market, 0):
                self._held_ms[beat.market] = beat.at_ms
                if beat.tick is not None:
                    self._turn(book.market, beat.tick, at_ms)
                if beat.last_trade is not None:
                    book.market.last_trade_price = beat.last_trade
                book.replace(*self._up_to_date(beat), at_ms)
                self.doubtful.discard(beat.market)
            case Changes() if book.valid:
                book.change(beat.changes, at_ms)
                recent = self._recent.setdefault(beat.market, deque(maxlen=MOST_RECENT))
                recent.append(beat)
                self._doubt(beat, book)
            case Print() if book.valid:
                token = book.market.tokens[beat.outcome]
                book.traded(token, beat.side, beat.price, beat.shares, at_ms)
            case NewTick():
                self._turn(book.market, beat.tick, at_ms)
            case Resolution() if self._life is not None:
                self._life.resolve(book.market, beat.winner, at_ms)

    def _up_to_date(self, beat: Snapshot) -> tuple[Totals, Totals]:
        """A snapshot with what the stream has told since: the book of a resync races with it, and
        to drop every one that loses would leave a busy book in doubt.
        """
        bids, asks = dict(beat.bids), dict(beat.asks)
        for later in self._recent.get(beat.market, ()):
            if later.at_ms > beat.at_ms:
                for side, price, size in later.changes:
                    (bids if side == BUY else asks)[price] = size
        return bids, asks

    def _doubt(self, beat: Changes, book: OutsideBook) -> None:
        """Ask for a snapshot when the best prices are not what the sender says, again and again."""
        wrong = beat.best is not None and beat.best != book.told_best()
        misses = self._misses[beat.market] = self._misses.get(beat.market, 0) + 1 if wrong else 0
        if misses >= MISSES:
            self.doubtful.add(beat.market)

    def _turn(self, market: Market, tick: int, at_ms: int) -> None:
        if market.tick != tick and self._outside is not None and market.phase is Phase.OPEN:
            self._outside.engine.change_tick(market, tick, at_ms)

    def _lose(self, at_ms: int) -> None:
        self.lost += 1
        self._held_ms.clear()
        self._recent.clear()
        for book in self._books.values():
            if book.valid:
                book.clear(at_ms)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, MarketResolved) and self._outside is not None:
            self._books.pop(event.market.condition_id, None)
            self._misses.pop(event.market.condition_id, None)
            self._held_ms.pop(event.market.condition_id, None)
            self._recent.pop(event.market.condition_id, None)
            self.doubtful.discard(event.market.condition_id)
            self._outside.engine.redeem(self._outside.account, event.market, event.at_ms)
