"""The feed task of a market scope: market socket → verified book → "something changed".

The reader only decodes and applies: no await between the socket and the book. Silence is judged by
asking, not by waiting: a quiet market is normal (F03), so after some quiet the REST books are
compared, and a difference condemns the connection (F01); so does it that nobody could tell for
long. Where only one of the two tokens has fallen silent, its twin tells: their books are mirrors.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.context import Context
from polybot.core_tape import InTime, Mended, Restarted
from polybot.domain.book import Book
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import Failure
from polybot.lateness import Lateness
from polybot.venue.book_state import BookState
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import (
    BookMessage,
    LastTrade,
    PriceChange,
    decode_market,
    market_greeting,
)
from polybot.venue.sockets import SocketPhase, SocketState, run_socket

CHECK_EVERY_S = 0.5
# A stream that is dead in either way is replaced within eight seconds (L3): what tells nothing is
# found out by REST, what answers nothing by its PONGs. The venue asks for a PING every ten seconds
# (feeds.md 2.2) and names no cadence that is too quick; three PONGs are missing then.
QUIET_S = 6.0
PING_S = 2.0
SOCKET_SILENCE_S = 7.0
UNREAD_S = 10.0  # of quiet in which its books could not be read by REST either
LATE_QUIET_S = 1.0  # after which a stream that was late is compared as well
MEND_AFTER = 2  # checks: most mismatches heal with the next message (feeds.md 3)
MENDS_MOST = 6  # checks that a broken book is given before it costs the connection
SNAPSHOT_S = 3.0  # F05
# Times that, after connections in a row that brought none: they may come late over a slow link, or
# not at all for hours, and to dial helps against neither.
PATIENCE_MOST = 4
_MENDABLE = (BookState.MISMATCH, BookState.TICK_CHANGED)


@attrs.define(eq=False)
class MarketFeed:
    ctx: Context
    market: Market
    changed: Bell
    printed: Callable[[LastTrade, int], None]
    book: MarketBook = attrs.field(init=False)
    # Trio's time, which no step of the clock moves: a change, a dial, a look whether all is well.
    heard_at: float = 0.0
    lateness: Lateness = attrs.field(factory=Lateness)
    _stamp_ms: int = 0  # of the last change, and Trio's time when it came
    _stamped_at: float = 0.0
    _open: bool = False
    _bad: int = 0  # unreadable messages that have been noted
    _broken_for: int = 0  # checks in a row that found a book broken …
    _awaited_for: int = 0  # … and that found one without a snapshot on an open connection
    _patience: int = 1  # times the usual, as long as no connection brings a snapshot
    _behind: object = None  # what the last check found last told of a book that is not its twin's …
    _answers: dict[Outcome, BookMessage] = attrs.field(factory=dict)  # … and what REST told of each
    _connection: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        self.book = MarketBook(self.market)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                self.heard_at = trio.current_time()
                with trio.CancelScope() as self._connection:
                    await self._connect()
                self.dropped()

    async def _connect(self) -> None:
        tokens = (self.market.up_token, self.market.down_token)
        await run_socket(
            self.ctx.site.market_ws,
            greet=lambda: [market_greeting(tokens)],
            on_text=self.on_text,
            on_state=self._on_state,
            ping=("PING", PING_S),
            silence_s=SOCKET_SILENCE_S,
            clock=self.ctx.clock,
            rng=self.ctx.rng,
            tap=self.ctx.tape,
            name=self.name,
        )

    def _on_state(self, state: SocketState) -> None:
        self._open = state.phase is SocketPhase.OPEN
        self._awaited_for = 0  # each connection has its own three seconds (seed 1065)
        if not self._open:
            self.dropped()
        if state.why:
            # Counted without the peer's words, of which there may be any number of kinds.
            self.ctx.records.note_bad("market stream: connection lost")
            logger.warning("{}: connection lost: {}", self.name, state.why)
        self.heard_at = trio.current_time()

    def dropped(self) -> None:
        """A connection that is gone takes the books with it."""
        self.ctx.core.fed(Restarted(self.name))
        self.book.restart()
        self._answers.clear()
        self.changed.ring()

    @property
    def name(self) -> str:
        """The stream, on the tape."""
        return f"market {self.market.slug}"

    def on_text(self, text: str, at_ms: int) -> None:
        """Take a frame."""
        book = self.book
        for message in decode_market(text):
            if type(message) is LastTrade:
                self.printed(message, at_ms)
            if book.apply(message):
                self.heard_at = trio.current_time()
                if isinstance(message, PriceChange):
                    self._stamp_ms, self._stamped_at = book.changed_ms, self.heard_at
                    self.lateness.changed(at_ms - self._stamp_ms, at_ms)
                self.changed.ring()
        if book.counts.bad != self._bad:
            self._bad = book.counts.bad
            self.ctx.records.note_bad("market stream: unreadable message")

    async def _watch(self) -> None:
        """Mend a book that fails its hash; condemn a connection that
        brings none, or missed a change.
        """
        while True:
            await trio.sleep(CHECK_EVERY_S)
            self._watch_stamps()
            broken = [o for o in Outcome if self.book.judged_state(o) in _MENDABLE]
            self._broken_for = self._broken_for + 1 if broken else 0
            # By a time of its own: the other book may be heard of all the while (seed 812).
            missing = self._missing()
            if len(missing) < len(Outcome):
                self._patience = 1
            self._awaited_for = self._awaited_for + 1 if self._open and missing else 0
            behind = self._left_behind()
            if not self._open:
                continue  # dialling: `run_socket` has its own patience
            if self._broken_for > MENDS_MOST:
                self._redial("book stays broken")
            elif self._broken_for >= MEND_AFTER:
                await self._mend(broken)
            elif self._awaited_for * CHECK_EVERY_S > SNAPSHOT_S * self._patience:
                if len(missing) == len(Outcome):
                    self._patience = min(2 * self._patience, PATIENCE_MOST)
                    self._redial("no snapshot")  # who has told nothing may go on telling nothing
                else:
                    await self._mend(missing)
            elif behind is not None:
                await self._catch_up(behind)
            elif self.lateness.lasts(self.ctx.clock.now_ms()):
                self._redial("its changes come late")
            else:
                await self._judge_silence()

    def _watch_stamps(self) -> None:
        """Stamps are witnesses of the venue's time; a look now and then is enough for that. By
        those of all streams, for this one may bring nothing that can be read (brief seed 367).
        """
        if self._stamp_ms:
            self.ctx.reconciler.time.stamps.heard("market", self._stamp_ms, self._stamped_at)
        self.ctx.reconciler.time.look_at_stamps()

    def _missing(self) -> list[Outcome]:
        book = self.book
        return [o for o in Outcome if book.judged_state(o) is BookState.AWAITING_SNAPSHOT]

    def _left_behind(self) -> Outcome | None:
        """The book that has not followed its twin, and of which nothing has come since the last
        check found that: between the frames of one event they differ for a moment.
        """
        book = self.book
        older = min(Outcome, key=book.stamp_ms)
        before, self._behind = self._behind, None if book.mirrored else book.told(older)
        return older if before is not None and self._behind is before else None

    async def _catch_up(self, behind: Outcome) -> None:
        """Ask for a book that was left behind, but once: of one that has been asked for, and was
        not heard of since, the subscription is dead (feeds.md 2.6).
        """
        if self.book.told(behind) is self._answers.get(behind):
            self._redial("silent about one of two tokens")
        else:
            await self._mend([behind])

    async def _mend(self, broken: list[Outcome]) -> None:
        """Ask for a snapshot of each broken or missing book. An answer that outlasts the connection
        it was asked for would be believed with no stream to keep it true.
        """
        epoch = self.book.epoch
        for outcome in broken:
            answer = await self.ctx.client.book(self.market.token(outcome))
            if self.book.epoch != epoch:
                return
            if isinstance(answer, Failure):
                self._redial("book broken and no snapshot to be had")
                return
            self.ctx.core.fed(Mended(self.market.slug, answer))
            self._answers[outcome] = answer
            if self.book.apply(answer):
                self.ctx.records.note_bad("market stream: book mended from REST")
                self.changed.ring()

    async def _judge_silence(self) -> None:
        """A stream that tells nothing may have nothing to tell; the venue knows. One that was late
        is judged sooner, and only to be believed again: what differs may still be under way.
        """
        quiet_s = trio.current_time() - self.heard_at
        doubtful = self.lateness.unproven and not self.lateness.held(self.ctx.clock.now_ms())
        if quiet_s <= (LATE_QUIET_S if doubtful else QUIET_S):
            return
        same = await self._compare()
        if same:
            self.heard_at = trio.current_time()
            if self.lateness.unproven:
                self.ctx.core.fed(InTime(self.market.slug))
                self.lateness.in_time()
                self.changed.ring()
        elif same is False and quiet_s > QUIET_S:
            self._redial("silent while the book moved")
        elif same is None and trio.current_time() - self.heard_at > UNREAD_S:
            self._redial("silent, and its books cannot be read")  # a fresh one tells them

    async def _compare(self) -> bool | None:
        """Whether the venue's own books are ours; None: it does not say, or a change has come. Only
        a change proves life meanwhile: a dead subscription may still bring prints, or frames that
        mean nothing (F01, F10).
        """
        before, same = self.heard_at, True
        for outcome in Outcome:
            answer = await self.ctx.client.book(self.market.token(outcome))
            if isinstance(answer, Failure) or self.heard_at != before:
                return None
            same = same and _same(self.book.book(outcome), answer)
        return same

    def _redial(self, why: str) -> None:
        self.ctx.records.note_bad(f"market stream: {why}")
        logger.warning("{}: dialled again: {}", self.name, why)
        self.heard_at = trio.current_time()
        self._connection.cancel()


def _same(book: Book, answer: BookMessage) -> bool:
    bids = {level.price: level.size for level in answer.bids}
    asks = {level.price: level.size for level in answer.asks}
    return dict(book.levels(Side.BUY)) == bids and dict(book.levels(Side.SELL)) == asks
