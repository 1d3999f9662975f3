"""Our own tapes as recordings: what a run has heard becomes a `*.beats.zst` file a window.

Books and prints come from the market streams, prices from the price streams, tokens, strikes and
results from Gamma's answers; every frame is read by the exchange's own reader of the public wire,
or, for prices, by the bot's. A stamp is the venue's own; one that runs behind what was heard before
it counts as that, for prints speak of a match some 80 ms ago (feeds.md 3).

A tape begins and ends within windows. What it holds only a part of is no fault of the tape: it is
told, and played where its end is known.

What it cannot mend: the books hold what the bot itself had resting, and the prints its own fills.
A tape of a bot that traded is therefore kinder to a second one than the market was; a tape of a bot
that watched (limits of nothing) is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson

from polybot.domain.prices import Feed, PriceUpdate
from polybot.exchange import recording_beats
from polybot.exchange.calendar import end_of
from polybot.exchange.mirror_gamma import Published, read_market, read_published
from polybot.exchange.mirror_messages import Beat, Resolution, Snapshot, read_frame
from polybot.exchange.model import UP
from polybot.exchange.recording_beats import Window
from polybot.exchange.recording_model import paid_ms, window_of
from polybot.exchange.recording_prices import Point, agreeing
from polybot.journal.recorder import SUFFIX
from polybot.journal.tape import (
    Event,
    Kind,
    Reader,
    TapeError,
    gap,
    lost_after,
    lost_before,
)
from polybot.lab.tape import tapes
from polybot.venue.price_messages import PolyBolt, decode_binance, decode_rtds
from polybot.venue.secret import Credentials, Secret

BEFORE_MS = 300_000  # prices that go with a window from before its start
AFTER_MS = 100_000  # after everybody has been paid nothing more is said of it
LATE_MS = 30_000  # a book that begins, or ends, so far within its window is missing a part
DEAF_MS = 5_000  # of silences before a subscription: shorter ones hide no market
NOBODY = Credentials("", "", Secret(""), Secret(""))


@attrs.define
class Brought:
    """Paths that are all recordings now, what is wrong with the tapes, and what is good to know."""

    paths: list[Path] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)


def with_tapes(paths: Sequence[Path], folder: Path) -> Brought:
    """The paths with every tape among them brought into a recording below `folder`."""
    brought = Brought()
    for number, path in enumerate(paths):
        if not _is_tape(path):
            brought.paths.append(path)
            continue
        if path.is_dir() and any(path.glob("*.zst")):
            brought.faults.append(
                f"{path} mixes recordings with tapes: only the tapes are played; name the "
                "recordings one by one"
            )
        place = folder / str(number)
        place.mkdir()
        try:
            with tapes(path) as files:
                bring(files, place, brought)
        except (TapeError, OSError, ValueError) as error:
            brought.faults.append(str(error))
        if any(place.iterdir()):
            brought.paths.append(place)
    return brought


def _is_tape(path: Path) -> bool:
    return path.name.endswith(SUFFIX) or (path.is_dir() and any(path.glob(f"*{SUFFIX}")))


def bring(files: Sequence[Path], folder: Path, brought: Brought) -> None:
    """Write every window of one run's tapes into `folder`; what is wrong is told, what can be read
    is written. Raises TapeError, or OSError, where not even a header can be.
    """
    bringer = Bringer(folder, brought)
    try:
        brought.faults += _take(files, bringer)
    finally:
        bringer.finish()


def _take(files: Sequence[Path], bringer: Bringer) -> Iterator[str]:
    """Take every event up to what is missing: a book that missed its changes is another book. Tells
    what is wrong.
    """
    before: Reader | None = None
    for path in files:
        try:
            reader = Reader(path)
        except TapeError as error:
            if before is None:
                raise
            yield f"{error}; only what is before it is used"
            return
        with reader:
            why = None if before is None else gap(before, reader)
            if why is not None:
                yield f"{path.name}: {why}; only what is before it is used"
                return
            if before is None and (why := lost_before(reader.header)) is not None:
                yield f"{path.name}: {why}"
            for event in reader.events():
                bringer.take(event)
        yield from _damage(reader)
        before = reader
    if before is not None and (why := lost_after(before)) is not None:
        yield f"{before.path.name}: {why}"


def _damage(reader: Reader) -> Iterator[str]:
    name, found = reader.path.name, reader.damage
    if reader.backwards:
        yield f"{name}: the clock went back {reader.backwards} times; the order of the tape stands"
    if reader.repeated:
        yield f"{name}: {reader.repeated} blocks came twice and were read once"
    for said in reader.told:
        yield f"{name}: it says of itself: {said}"
    if found is not None:
        what = "cut" if found.cut else "damaged"
        yield (
            f"{name}: {what} at byte {found.at_byte}: {found.why}; "
            f"only the {reader.events_read} events before it are used"
        )


@attrs.define
class _Heard:
    """What has been heard of one window."""

    slug: str
    start_ms: int
    end_ms: int
    over_ms: int  # what comes later is none of it
    beats: list[Beat] = attrs.field(factory=list)
    winner: int | None = None
    strike: float | None = None
    final: float | None = None
    first_book_ms: int | None = None
    last_ms: int = 0
    deaf_ms: int = 0  # of the window, between one subscription and the next

    def take(self, beat: Beat) -> None:
        if isinstance(beat, Resolution):
            self.winner = beat.winner
            return
        if isinstance(beat, Snapshot):
            self._deaf_until(beat)
            self.first_book_ms = beat.at_ms if self.first_book_ms is None else self.first_book_ms
        self.last_ms = max(self.last_ms, beat.at_ms)
        self.beats.append(attrs.evolve(beat, at_ms=self.last_ms))

    def _deaf_until(self, book: Snapshot) -> None:
        """A book with a tick begins a subscription: what was said since the last word is not here,
        and the book of a player stands still meanwhile. Without one it was only quiet.
        """
        if book.tick is None or self.first_book_ms is None:
            return
        silence_ms = min(book.at_ms, self.end_ms) - max(self.last_ms, self.start_ms)
        self.deaf_ms += silence_ms if silence_ms > DEAF_MS else 0

    def part(self) -> str | None:
        """Why only a part of the window could be played, and so none is: the rest is not here."""
        if self.first_book_ms is None:
            return "no book of it was heard: left out"
        if self.last_ms < self.end_ms - LATE_MS:
            left_s = (self.end_ms - max(self.last_ms, self.start_ms)) // 1000
            return f"nothing was heard of it in its last {left_s} s: left out"
        if self.deaf_ms > LATE_MS:
            return f"nothing was heard of it for {self.deaf_ms // 1000} s: left out"
        return None

    def lacks(self) -> Iterator[str]:
        """What is not here of a window that can be played."""
        late_ms = 0 if self.first_book_ms is None else self.first_book_ms - self.start_ms
        if late_ms > LATE_MS:
            yield f"begins {late_ms // 1000} s late"
        if self.deaf_ms:
            deaf_s = self.deaf_ms // 1000
            yield f"nothing was heard of it for {deaf_s} s: its book stands still there"

    def window(self, prices: dict[str, list[Point]]) -> Window:
        strike, final = self.strike, self.final
        if strike is not None and self.winner is not None:
            final = agreeing(strike, final or strike, up=self.winner == UP)
        told = "books, prints and prices of a tape"
        known = strike is not None and final is not None
        return Window(
            self.slug, told, self.winner, strike if known else None, final if known else None,
            chainlink=tuple(prices.get("chainlink", ())), binance=tuple(prices.get("binance", ())),
        )  # fmt: skip


@attrs.define
class Bringer:
    """Sorts a run's events by window, and writes each window when nothing more is said of it."""

    folder: Path
    brought: Brought
    _windows: dict[str, _Heard] = attrs.field(factory=dict)
    _outcomes: dict[str, tuple[str, int]] = attrs.field(factory=dict)  # by token
    _prices: dict[tuple[str, str], deque[Point]] = attrs.field(factory=dict)  # (asset, feed)
    _polybolt: PolyBolt = PolyBolt(NOBODY, ())
    _swept_ms: int = 0

    def take(self, event: Event) -> None:
        if event.kind is not Kind.HEARD:
            return
        at_ms, stream, text = event.at_ns // 1_000_000, event.stream, event.body.decode()
        try:
            if stream.startswith("market "):
                for beat in read_frame(text, self._outcomes):
                    self._windows[beat.market].take(beat)
            elif stream == "rest gamma":
                self._gamma(text)
            elif stream == "prices polybolt":
                self._priced(self._polybolt.decode(text).updates)
            elif stream == "prices binance":
                self._priced(decode_binance(text, at_ms).updates)
            elif stream == "prices rtds":
                self._priced(decode_rtds(text).updates)
        except ValueError as error:
            self._fault(f"{stream}: a frame that cannot be read ({error}): left out")
        if at_ms > self._swept_ms + BEFORE_MS // 10:
            self._swept_ms = at_ms
            self._sweep(at_ms)

    def _gamma(self, text: str) -> None:
        """An answer of status 200: market objects, alone or in a list (feeds.md 8.4)."""
        head, _, body = text.partition("\n")
        if not head.startswith("200 ") or "/markets" not in head:
            return
        decoded = orjson.loads(body)
        for raw in decoded if isinstance(decoded, list) else [decoded]:
            self._published(raw, read_published(raw))

    def _published(self, raw: dict[str, Any], said: Published) -> None:
        heard = self._windows.get(said.slug)
        if heard is None:
            try:
                series, start_ms = window_of(said.slug)
            except ValueError as error:
                self._note(str(error))
                return
            end_ms, over_ms = end_of(series, start_ms), paid_ms(series, start_ms) + AFTER_MS
            heard = _Heard(said.slug, start_ms, end_ms, over_ms)
            self._windows[said.slug] = heard
            for outcome, token in enumerate(read_market(raw, series, 0).tokens):
                self._outcomes[token] = said.slug, outcome
        heard.strike = heard.strike if said.strike is None else said.strike
        heard.final = heard.final if said.final is None else said.final
        if said.closed:
            heard.winner = said.winner

    def _priced(self, updates: Sequence[PriceUpdate]) -> None:
        for update in updates:
            feed = {Feed.CHAINLINK: "chainlink", Feed.BINANCE: "binance"}.get(update.feed)
            if feed is None:
                continue  # averages are reckoned anew
            asset = update.symbol.lower().removesuffix("t").removesuffix("usd")
            points = self._prices.setdefault((asset, feed), deque())
            if not points or update.stamp_ms > points[-1][0]:
                points.append((update.stamp_ms, update.value))

    def _sweep(self, now_ms: int) -> None:
        for heard in list(self._windows.values()):
            if heard.over_ms <= now_ms:
                self._write(heard)
        oldest_ms = min((one.start_ms for one in self._windows.values()), default=now_ms)
        for points in self._prices.values():
            while points and points[0][0] < oldest_ms - BEFORE_MS:
                points.popleft()

    def finish(self) -> None:
        """The run's tapes have ended."""
        for heard in list(self._windows.values()):
            self._write(heard)

    def _write(self, heard: _Heard) -> None:
        del self._windows[heard.slug]
        self._outcomes = {token: of for token, of in self._outcomes.items() if of[0] != heard.slug}
        why = heard.part()
        for told in heard.lacks() if why is None else [why]:
            self._note(f"{heard.slug}: {told}")
        if why is not None:
            return
        recording_beats.write(self.folder, heard.window(self._of(heard)), heard.beats)

    def _fault(self, text: str) -> None:
        if text not in self.brought.faults:
            self.brought.faults.append(text)

    def _note(self, text: str) -> None:
        if text not in self.brought.notes:
            self.brought.notes.append(text)

    def _of(self, heard: _Heard) -> dict[str, list[Point]]:
        asset = window_of(heard.slug)[0].asset
        return {
            feed: [
                point
                for point in self._prices.get((asset, feed), ())
                if heard.start_ms - BEFORE_MS <= point[0] <= heard.over_ms
            ]
            for feed in ("chainlink", "binance")
        }
