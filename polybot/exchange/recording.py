"""Recorded markets as a world: the exchange's book shows what was recorded, our orders stand in it.

Recorded liquidity is mirrored, see `outside_book`: recorded trades and level decreases consume the
queue ahead of our orders, then fill them. Where only snapshots after trades were recorded, each
trade is inferred from what is missing at the touch. Recordings of prices alone are traded by the
synthetic crowd. When a recording ends before its market does, the book empties.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path

from polybot.exchange import recording_formats
from polybot.exchange.calendar import by_spot, end_of
from polybot.exchange.crowd import Crowd
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Snapshot
from polybot.exchange.model import (
    BUY,
    SELL,
    UP,
    Event,
    Market,
    MarketListed,
    MarketResolved,
    Series,
)
from polybot.exchange.oracle import Oracle, PriceSource
from polybot.exchange.outside import Outside
from polybot.exchange.outside_book import OutsideBook
from polybot.exchange.queue_models import AHEAD_FIRST, QueueModel
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_model import Recording, Tape, window_of
from polybot.exchange.recording_prices import (
    NOMINAL_PRICE,
    InferredPrices,
    RecordedPrices,
    agreeing,
)

NOMINAL_MOVE = 1e-4  # where only the winner is known, the final price is this far from the strike
FINE_TICK = 10
QUIET_MS = 5_000  # after the last beat of a tape that ends early


def inferred_prints(before: Snapshot, after: Snapshot) -> Iterator[Print]:
    """The trade between two snapshots that both follow trades: what is missing at the touch.

    From the old best level on, until one is left with something. When both sides lost volume at
    the touch one of them was cancelled, and nothing says which: no trade then.
    """
    sold = list(_missing(before.bids, after.bids, falling=True))
    bought = list(_missing(before.asks, after.asks, falling=False))
    if bool(sold) == bool(bought):
        return
    side = SELL if sold else BUY
    for price, shares in sold or bought:
        yield Print(after.at_ms, UP, side, price, shares)


def _missing(
    before: dict[int, int], after: dict[int, int], *, falling: bool
) -> Iterator[tuple[int, int]]:
    for price in sorted(before, reverse=falling):
        left = after.get(price, 0)
        if left < before[price]:
            yield price, before[price] - left
        if left:
            return


class _Player:
    """One tape being played into its market."""

    def __init__(self, tape: Tape) -> None:
        self.tape, self._end_ms = tape, tape.end_ms
        self._book: OutsideBook | None = None
        self._engine: Engine | None = None
        self._beats: Iterator[Beat] | None = None  # opened when its time comes
        self._next: Beat | None = None
        self._shown: Snapshot | None = None

    def enter(self, engine: Engine, book: OutsideBook) -> None:
        self._engine, self._book = engine, book

    def advance(self, at_ms: int, inferred: InferredPrices | None) -> int | None:
        """Play what is due; returns when there is more to do, None after the end."""
        if self._beats is None:
            self._beats = self.tape.beats()
            self._next = next(self._beats, None)
        beat = self._next
        if beat is None or at_ms >= self._end_ms:
            if self._book is not None:
                self._book.clear(at_ms)
            return None
        if beat.at_ms <= at_ms:
            self._play(beat, at_ms)
            if inferred is not None and isinstance(beat, Snapshot):
                inferred.learn(beat, self._end_ms)
            beat = self._next = next(self._beats, None)
        return min(at_ms + QUIET_MS if beat is None else beat.at_ms, self._end_ms)

    def _play(self, beat: Beat, at_ms: int) -> None:
        book, engine = self._book, self._engine
        if book is None or engine is None:
            return
        match beat:
            case Snapshot():
                self._tick([*beat.bids, *beat.asks], at_ms)
                book.replace(beat.bids, beat.asks, at_ms)
                if self.tape.infer_prints and self._shown is not None:
                    for one in inferred_prints(self._shown, beat):
                        book.traded(book.market.tokens[UP], one.side, one.price, one.shares, at_ms)
                self._shown = beat
            case Changes():
                self._tick([price for _, price, _ in beat.changes], at_ms)
                book.change(beat.changes, at_ms)
            case Print():
                token = book.market.tokens[beat.outcome]
                book.traded(token, beat.side, beat.price, beat.shares, at_ms)
            case NewTick() if beat.tick != book.market.tick:
                engine.change_tick(book.market, beat.tick, at_ms)

    def _tick(self, prices: list[int], at_ms: int) -> None:
        """The change to the fine tick was not recorded everywhere: a fine price shows it."""
        book, engine = self._book, self._engine
        if book is None or engine is None:
            return
        tick = book.market.tick
        if any(map(tick.__rmod__, prices)):
            engine.change_tick(book.market, FINE_TICK, at_ms)

    def settled(self, inferred: InferredPrices | None) -> tuple[float, float]:
        """(strike, final) as far as they are known."""
        tape = self.tape
        if tape.strike is not None and tape.final is not None:
            return tape.strike, tape.final
        winner = tape.winner
        if winner is None and inferred is not None:
            winner = UP if inferred.chainlink("btc", tape.end_ms) >= NOMINAL_PRICE else 1 - UP
        move = NOMINAL_MOVE if winner in {None, UP} else -NOMINAL_MOVE
        return NOMINAL_PRICE, NOMINAL_PRICE * (1 + move)


def _read_off(oracle: Oracle, tape: Tape, *, up: bool) -> tuple[float, float]:
    """(strike, final) of a market of which only the winner was told, from its recorded prices: a
    nominal strike beside them would make a certainty of every market.
    """
    asset = tape.series.asset
    told = oracle.spot if by_spot(tape.series, tape.start_ms) else oracle.twap
    strike = told(asset, tape.start_ms)
    return strike, agreeing(strike, told(asset, tape.end_ms), up=up)


class RecordedWorld:
    """Replays what a path holds in its own time."""

    def __init__(
        self, path: Path | Recording, model: QueueModel = AHEAD_FIRST, *, seed: int = 1,
        intensity: float = 0.1,
    ) -> None:  # fmt: skip
        """What a path holds, or has been read already. ValueError with the remedy when the path
        holds no usable recording.

        `seed` and `intensity` are the crowd's, where one is needed.
        """
        recording = recording_formats.read(path) if isinstance(path, Path) else path
        self._recording = recording
        self._inferred = InferredPrices() if recording.prices is None else None
        self.source: PriceSource = recording.prices or self._inferred or InferredPrices()
        self.series: tuple[Series, ...] = recording.series
        self.start_ms = recording.start_ms
        self.end_ms: int | None = recording.end_ms
        self._seed, self._intensity, self._model = seed, intensity, model
        self._players = {tape.slug: _Player(tape) for tape in recording.tapes}
        self._order = list(self._players.values())
        first = (max(tape.first_ms, self.start_ms) for tape in recording.tapes)
        self._due = [(at_ms, place) for place, at_ms in enumerate(first)]
        heapq.heapify(self._due)
        self._read: dict[str, tuple[float, float]] = {}  # settlements that nobody told, by slug
        self._outside: Outside | None = None
        self._crowd: Crowd | None = None
        self._named = path.name if isinstance(path, Path) else "read before"

    @property
    def name(self) -> str:
        """What it is, what of it is real, and what is wrong with it as far as it was read."""
        told = f"recording {self._named}: {self._recording.told}"
        return "; ".join([told, *self.warnings])

    @property
    def warnings(self) -> Warnings:
        """What is wrong with it, as far as it was read."""
        return self._recording.warnings

    def attach(self, engine: Engine, oracle: Oracle, lifecycle: Lifecycle) -> None:
        """Fund the outside and find the markets by their slugs. Call once."""
        if isinstance(self.source, RecordedPrices):
            oracle.knows = self.source.knows
        for slug, (strike, final) in self._fixed(oracle):
            series, start_ms = window_of(slug)
            if series.rule == "twap":  # a candle is the exchange's: no average is fixed by it
                oracle.fixings[series.asset, start_ms] = strike
                oracle.fixings[series.asset, end_of(series, start_ms)] = final
        if self._recording.crowded:
            self._crowd = Crowd(
                engine, self.source, seed=self._seed, start_ms=self.start_ms,
                intensity=self._intensity, series=self.series,
            )  # fmt: skip
            return
        self._outside = Outside(engine)
        for market in engine.markets.values():
            self._recognise(market)
        engine.listen(self._hear, MarketListed, MarketResolved)

    def advance(self, now_ms: int) -> None:
        """Play every beat due by now, in order."""
        if self._crowd is not None:
            self._crowd.advance(now_ms)
        while self._due and self._due[0][0] <= now_ms:
            at_ms, place = heapq.heappop(self._due)
            due_ms = self._order[place].advance(at_ms, self._inferred)
            if due_ms is not None:
                heapq.heappush(self._due, (max(at_ms, due_ms), place))

    def next_due_ms(self) -> int | None:
        if self._crowd is not None:
            return self._crowd.next_due_ms()
        return self._due[0][0] if self._due else None

    def settlement(self, market: Market) -> tuple[float, float] | None:
        """(strike, final) of a recorded market: they give its outcome, whatever the rule."""
        player = self._players.get(market.slug)
        if player is not None and self._recording.prices is None:
            return player.settled(self._inferred)
        if player is not None and player.tape.strike is not None:
            return player.settled(None)
        return self._read.get(market.slug) or self._recording.outcomes.get(market.slug)

    def _fixed(self, oracle: Oracle) -> Iterator[tuple[str, tuple[float, float]]]:
        """What the price streams must agree with: the settlements known from the beginning."""
        yield from self._recording.outcomes.items()
        for slug, player in self._players.items():
            tape = player.tape
            if tape.strike is None and tape.winner is not None and self._recording.prices:
                if tape.series.rule == "twap":
                    self._read[slug] = _read_off(oracle, tape, up=tape.winner == UP)
                    yield slug, self._read[slug]
            elif tape.strike is not None or tape.winner is not None:
                yield slug, player.settled(None)

    def _recognise(self, market: Market) -> None:
        player = self._players.get(market.slug)
        if player is not None and self._outside is not None:
            player.enter(self._outside.engine, OutsideBook(self._outside, market, self._model))

    def _hear(self, event: Event) -> None:
        if isinstance(event, MarketListed):
            self._recognise(event.market)
        elif isinstance(event, MarketResolved) and self._outside is not None:
            self._outside.engine.redeem(self._outside.account, event.market, event.at_ms)
