"""Both books of one market, believed only while their hashes say so (feeds.md 2.4, 3).

There is no sequence number on the wire. What there is: a SHA-1 of the whole book in every change.
As long as ours gives the same hash, nothing was lost, doubled or misread; when it does not, the
book is a rumour and says so. Pure and synchronous: every frame is applied in one call.

A hash speaks of the whole book, so the newest one says all that those before it said. It is held
against ours when somebody wants to know (`judge`), which the quoter does at the beginning of each
turn: no decision is made on a book that has not been proven since its last change, and a burst
of a hundred changes costs two hashes instead of two hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.domain import units
from polybot.domain.book import Book
from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.venue import fields
from polybot.venue.book_hash import HashedBook
from polybot.venue.book_state import BookCounts, BookState
from polybot.venue.fields import price_of_text
from polybot.venue.last_trade import LastTradeBelief
from polybot.venue.market_messages import (
    Bad,
    BestBidAsk,
    BookMessage,
    Change,
    LastTrade,
    MarketMessage,
    PriceChange,
    Resolved,
    TickSize,
)

Changed = Sequence[Outcome]
_BOTH: Changed = tuple(Outcome)
_KNOWN = (BookState.VALID, BookState.MISMATCH, BookState.TICK_CHANGED)  # changes apply to these


def _across(price: int | None) -> int | None:
    """A best price as the other outcome's book shows it."""
    return None if price is None else units.ONE - price


@attrs.define(eq=False)
class _Token:
    outcome: Outcome
    hashed: HashedBook
    state: BookState = BookState.AWAITING_SNAPSHOT
    snapshot_ms: int = 0
    latest_ms: int = 0
    told: PriceChange | BookMessage | None = None  # what the venue last said of this book …
    changes: list[Change] = attrs.field(factory=list)  # … what of it was applied …
    judged: bool = True  # … and whether its hash has been held against ours, by all we know

    @property
    def tops(self) -> list[int]:
        book = self.hashed.book
        return [price for price in (book.best_bid, book.best_ask) if price is not None]


@attrs.define(eq=False)
class MarketBook:
    """The verified books of `market`'s two tokens.

    `epoch` counts connections: whoever keeps something derived from a book compares epochs. `tick`
    follows the venue. `changed_ms` is the venue's stamp of the changes that were applied last. A
    MISMATCH heals by itself when a later hash matches; its owner gives it about 250 ms (feeds.md 3)
    and then asks for a snapshot.
    """

    market: Market
    epoch: int = attrs.field(default=0, init=False)
    tick: int = attrs.field(init=False)
    changed_ms: int = attrs.field(default=0, init=False)
    winner: Outcome | None = attrs.field(default=None, init=False)
    counts: BookCounts = attrs.field(factory=BookCounts, init=False)
    _tick_ms: int = attrs.field(default=0, init=False)  # since when it is, as far as we were told
    _tokens: dict[str, _Token] = attrs.field(init=False)
    _belief: LastTradeBelief = attrs.field(factory=LastTradeBelief, init=False)

    def __attrs_post_init__(self) -> None:
        self.tick = self.market.tick
        self._tokens = {
            self.market.token(outcome): _Token(outcome, self._fresh(outcome)) for outcome in Outcome
        }

    def _fresh(self, outcome: Outcome) -> HashedBook:
        market = self.market
        return HashedBook(
            market.condition_id,
            market.token(outcome),
            units.amount_text(market.min_size),
            units.price_text(market.tick),
            market.neg_risk,
        )

    def restart(self) -> None:
        """A new connection: nothing held is believed until the next snapshot of each token."""
        self.epoch += 1
        self._tick_ms = 0
        for token in self._tokens.values():
            token.snapshot_ms = token.latest_ms = 0
            token.told, token.judged = None, True
            if token.state is not BookState.RESOLVED:
                token.state = BookState.AWAITING_SNAPSHOT

    def book(self, outcome: Outcome) -> Book:
        """The book of one outcome, to be read only while its state is VALID."""
        return self._tokens[self.market.token(outcome)].hashed.book

    def state(self, outcome: Outcome) -> BookState:
        self.judge()
        return self.judged_state(outcome)

    def judged_state(self, outcome: Outcome) -> BookState:
        """What the last judgement came to, for those who must not make one: what is learnt by it
        depends on its time, and a replay has the quoter's turns only.
        """
        return self._tokens[self.market.token(outcome)].state

    @property
    def valid(self) -> bool:
        """Whether both books are verified."""
        self.judge()
        return all(token.state is BookState.VALID for token in self._tokens.values())

    @property
    def mirrored(self) -> bool:
        """Whether each book's best prices are those of the other, seen from its outcome; true where
        one of them is not believed.
        """
        up, down = (self._tokens[self.market.token(outcome)] for outcome in (UP, DOWN))
        if up.state is not BookState.VALID or down.state is not BookState.VALID:
            return True
        ours, theirs = up.hashed.book, down.hashed.book
        mirror = (_across(theirs.best_ask), _across(theirs.best_bid))
        return (ours.best_bid, ours.best_ask) == mirror

    def told(self, outcome: Outcome) -> object:
        """What the venue last told of a book: another object whenever a level may have changed."""
        return self._tokens[self.market.token(outcome)].told

    def stamp_ms(self, outcome: Outcome) -> int:
        """The venue's stamp of the last message applied to a book, 0 before the first."""
        return self._tokens[self.market.token(outcome)].latest_ms

    def apply(self, message: MarketMessage) -> Changed:
        """Take one message; returns the outcomes whose book or state may be different now.

        Never raises; what is not for this market, or cannot be read, is counted and left alone. Of
        changes with an unreadable one among them the first were made: the next hash judges them.
        """
        try:
            if isinstance(message, PriceChange):
                return self._price_change(message)
            if isinstance(message, BookMessage):
                return self._snapshot(message)
            return self._rest(message)
        except ValueError:
            self.counts.bad += 1
            return ()

    def _rest(self, message: MarketMessage) -> Changed:
        if isinstance(message, LastTrade):
            return self._trade(message)
        if isinstance(message, TickSize):
            return self._tick_size(message)
        if isinstance(message, BestBidAsk):
            return self._top(message)
        if isinstance(message, Resolved):
            return self._resolved(message)
        self.counts.bad += isinstance(message, Bad)
        return ()

    # --- deltas ----------------------------------------------------------------------------

    def _price_change(self, message: PriceChange) -> Changed:
        stamp = message.timestamp_ms
        tokens, counts, perhaps = self._tokens, self.counts, self._belief.perhaps
        changed: list[Outcome] = []
        for change in message.entries:
            token = tokens.get(change.asset)
            if token is None or token.state not in _KNOWN or stamp < token.snapshot_ms:
                self._leave_out(token)
                continue
            if token.told is not message:
                if not change.hash:
                    self._settle(token)  # what proves less must not hide what was told before it
                token.told, token.changes, token.judged = message, [], False
                if stamp > token.latest_ms:
                    token.latest_ms = stamp
                self.changed_ms = stamp
                changed.append(token.outcome)
            token.changes.append(change)
            shrunk = token.hashed.apply(change)
            if shrunk is not None:
                perhaps(shrunk)
            counts.deltas += 1
        return changed

    def _leave_out(self, token: _Token | None) -> None:
        """Count a change that must not be applied: not ours, or before the snapshot, in either
        sense.
        """
        if token is None:
            self.counts.foreign += 1
        elif token.state not in _KNOWN:
            self.counts.early += 1
        else:
            self.counts.late += 1

    # --- hashes ----------------------------------------------------------------------------

    def judge(self) -> None:
        """Hold what the venue last told of each book against ours, where that is not done yet."""
        for token in self._tokens.values():
            self._settle(token)

    def _settle(self, token: _Token) -> None:
        if not token.judged and token.told is not None:
            token.judged = True
            self._judge(token, token.told)

    def _judge(self, token: _Token, told: PriceChange | BookMessage) -> None:
        """Several changes of one token in one message may each carry the final hash or that of a
        step on the way; the final state equals the last step, so any that fits proves the book.
        """
        if isinstance(told, BookMessage):
            self._passes(token, proven=self._proven(token, told.timestamp, {told.hash}))
            return
        last = token.changes[-1]
        agrees = self._agrees(token.hashed.book, last)
        self.counts.top_differs += not agrees
        hashes = {change.hash for change in token.changes if change.hash}
        if hashes:
            self._passes(token, proven=self._proven(token, told.timestamp, hashes))
        elif not agrees:
            self._passes(token, proven=False)

    @staticmethod
    def _agrees(book: Book, told: Change | BestBidAsk) -> bool:
        """Whether the best prices are those told; 0 and 1 stand for an empty bid and ask side."""
        bid, ask = told.bid_text, told.ask_text
        try:
            if bid and price_of_text(bid) != (book.best_bid or 0):
                return False
            return not ask or price_of_text(ask) == (book.best_ask or units.ONE)
        except ValueError:
            return False

    def _proven(
        self, token: _Token, timestamp: str, hashes: set[str], tops: Sequence[int] = ()
    ) -> bool:
        """Whether our book has one of these hashes, with the last trade believed or another."""
        ours = token.hashed.hashes(timestamp)
        if ours(self._belief.text) in hashes:
            self.counts.verified += 1
            return True
        for text in self._belief.candidates(tops or token.tops):
            if ours(text) in hashes:
                self._belief.believe(text)
                self.counts.learned += 1
                return True
        return False

    def _passes(self, token: _Token, *, proven: bool) -> None:
        self.counts.mismatches += not proven
        if proven and token.state is BookState.MISMATCH:
            token.state = BookState.VALID
        elif not proven and token.state is BookState.VALID:
            token.state = BookState.MISMATCH

    # --- everything else -------------------------------------------------------------------

    def _snapshot(self, message: BookMessage) -> Changed:
        """Most snapshots say what we hold, and their hash proves it: then no level is read."""
        token = self._tokens.get(message.asset)
        if token is None or token.state is BookState.RESOLVED:
            self.counts.foreign += token is None
            return ()
        stamp = message.timestamp_ms
        if stamp < token.latest_ms or self._of_an_older_tick(message):
            self.counts.late += 1
            return ()
        self._terms(message, token)
        tops, hashes = token.tops, {message.hash}
        proven = bool(message.hash) and self._proven(token, message.timestamp, hashes, tops)
        if not proven:
            token.hashed.replace(message.bids, message.asks)
            proven = not message.hash or self._proven(token, message.timestamp, hashes, tops)
        token.snapshot_ms = token.latest_ms = stamp
        token.state = BookState.VALID
        token.told, token.judged = message, True
        self.counts.snapshots += 1
        self._passes(token, proven=proven)
        return (token.outcome,)

    def _of_an_older_tick(self, message: BookMessage) -> bool:
        """Whether a book was read before its tick changed, and its answer came after the news: no
        level need differ, so only its tick and stamp can tell (brief seed 4205). A book that was
        read since may be stamped as early, with its last change, but it has the new tick.
        """
        if message.timestamp_ms >= self._tick_ms or not message.tick_text:
            return False
        try:
            return fields.tick_of_text(message.tick_text) != self.tick
        except ValueError:
            return False

    def _terms(self, message: BookMessage, token: _Token) -> None:
        """The tick and the last trade of a dump; later snapshots leave them out."""
        if message.tick_text:
            try:
                self.tick = fields.tick_of_text(message.tick_text)
            except ValueError:
                self.counts.bad += 1
            else:
                token.hashed.tick_text = message.tick_text
        if message.last_trade_text is not None:
            self._belief.believe(message.last_trade_text)

    def _trade(self, message: LastTrade) -> Changed:
        """A hash that did not match may do with a trade price that we know now."""
        if message.asset not in self._tokens:
            self.counts.foreign += 1
            return ()
        self._belief.perhaps(message.price)
        doubted = [t for t in self._tokens.values() if t.state is BookState.MISMATCH]
        for token in doubted:
            token.judged = False
        return tuple(token.outcome for token in doubted)

    def _tick_size(self, message: TickSize) -> Changed:
        token = self._tokens.get(message.asset)
        if token is None:
            self.counts.foreign += 1
            return ()
        if token.hashed.tick_text == message.new or token.state is BookState.RESOLVED:
            return ()  # told twice
        if message.timestamp_ms < self._tick_ms:
            self.counts.late += 1
            return ()
        self.tick, self._tick_ms = message.tick, message.timestamp_ms
        token.hashed.tick_text = message.new
        if token.state is not BookState.AWAITING_SNAPSHOT:
            token.state = BookState.TICK_CHANGED
        return (token.outcome,)

    def _top(self, message: BestBidAsk) -> Changed:
        """Only counted: the hash of the next change says more, and
        stamps of the two do not order them.
        """
        token = self._tokens.get(message.asset)
        if token is None:
            self.counts.foreign += 1
        elif not self._agrees(token.hashed.book, message):
            self.counts.top_differs += 1
        return ()

    def _resolved(self, message: Resolved) -> Changed:
        token = self._tokens.get(message.winning_asset)
        if token is None:
            self.counts.foreign += 1
            return ()
        self.winner = token.outcome
        for each in self._tokens.values():
            each.state = BookState.RESOLVED
        return _BOTH
