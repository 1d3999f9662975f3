"""Both books of one market, believed only while their hashes say so (feeds.md 2.4, 3).

There is no sequence number on the wire. What there is: a SHA-1 of the whole book in every change.
As long as ours gives the same hash, nothing was lost, doubled or misread; when it does not, the
book is a rumour and says so. Pure and synchronous: every frame is applied in one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.domain import units
from polybot.domain.book import Book
from polybot.domain.market import Market, Outcome
from polybot.venue import fields
from polybot.venue.book_hash import HashedBook
from polybot.venue.book_state import Applied, BookCounts, BookState
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

_NOTHING = Applied()


@attrs.define(eq=False)
class _Token:
    outcome: Outcome
    hashed: HashedBook
    state: BookState = BookState.AWAITING_SNAPSHOT
    snapshot_ms: int = 0
    latest_ms: int = 0
    unverified_since_ms: int | None = None
    pending: tuple[str, str] | None = None  # (timestamp, hash) that did not match


@attrs.define(eq=False)
class MarketBook:
    """The verified books of `market`'s two tokens.

    `epoch` counts connections: whoever keeps something derived from a book compares epochs. `tick`
    follows the venue. A MISMATCH heals by itself when a later hash matches; its owner gives it
    about 250 ms (feeds.md 3) and then asks for a snapshot.
    """

    market: Market
    epoch: int = attrs.field(default=0, init=False)
    tick: int = attrs.field(init=False)
    winner: Outcome | None = attrs.field(default=None, init=False)
    counts: BookCounts = attrs.field(factory=BookCounts, init=False)
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
        for token in self._tokens.values():
            token.snapshot_ms = token.latest_ms = 0
            token.unverified_since_ms = token.pending = None
            if token.state is not BookState.RESOLVED:
                token.state = BookState.AWAITING_SNAPSHOT

    def book(self, outcome: Outcome) -> Book:
        """The book of one outcome, to be read only while its state is VALID."""
        return self._tokens[self.market.token(outcome)].hashed.book

    def state(self, outcome: Outcome) -> BookState:
        return self._tokens[self.market.token(outcome)].state

    @property
    def valid(self) -> bool:
        """Whether both books are verified."""
        return all(token.state is BookState.VALID for token in self._tokens.values())

    def unverified_since_ms(self, outcome: Outcome) -> int | None:
        """The venue's stamp of the first hash that did not match, None while hashes match."""
        return self._tokens[self.market.token(outcome)].unverified_since_ms

    def stamp_ms(self, outcome: Outcome) -> int:
        """The venue's stamp of the last message applied to a book, 0 before the first."""
        return self._tokens[self.market.token(outcome)].latest_ms

    def apply(self, message: MarketMessage) -> Applied:
        """Take one message. Never raises; what is not for this market is counted and left alone."""
        if isinstance(message, PriceChange):
            return self._price_change(message)
        if isinstance(message, BookMessage):
            return self._snapshot(message)
        if isinstance(message, LastTrade):
            return self._trade(message)
        if isinstance(message, TickSize):
            return self._tick_size(message)
        if isinstance(message, BestBidAsk):
            return self._top(message)
        if isinstance(message, Resolved):
            return self._resolved(message)
        self.counts.bad += isinstance(message, Bad)
        return _NOTHING

    # --- deltas ----------------------------------------------------------------------------

    def _price_change(self, message: PriceChange) -> Applied:
        stamp = message.timestamp_ms
        touched: dict[str, list[Change]] = {}
        candidates: list[int] = []
        for change in message.entries:
            token = self._tokens.get(change.asset)
            if token is None:
                self.counts.foreign += 1
            elif self._ready(token, stamp):
                if token.hashed.apply(change):
                    candidates.append(change.price)
                token.latest_ms = max(token.latest_ms, stamp)
                touched.setdefault(change.asset, []).append(change)
        for asset, changes in touched.items():
            self._check_delta(self._tokens[asset], changes, message.timestamp, candidates)
        return Applied(tuple(self._tokens[asset].outcome for asset in touched))

    def _ready(self, token: _Token, stamp: int) -> bool:
        """Whether a delta may be applied: not before the snapshot, in neither sense."""
        if token.state in (BookState.AWAITING_SNAPSHOT, BookState.RESOLVED):
            self.counts.early += 1
            return False
        if stamp < token.snapshot_ms:
            self.counts.late += 1
            return False
        self.counts.deltas += 1
        return True

    def _check_delta(
        self, token: _Token, changes: Sequence[Change], timestamp: str, candidates: Sequence[int]
    ) -> None:
        """Verify a token after a message.

        Several changes of one token in one message may each carry the final hash or that of a step
        on the way; the final state equals the last step, so any of them that fits proves the book.
        """
        last = changes[-1]
        if not self._agrees(token.hashed.book, last.best_bid, last.best_ask):
            self.counts.top_differs += 1
            if not last.hash:
                self._fail(token, timestamp, "")
                return
        hashes = {change.hash for change in changes if change.hash}
        if hashes:
            self._verify(token, timestamp, hashes, candidates)

    @staticmethod
    def _agrees(book: Book, best_bid: int | None, best_ask: int | None) -> bool:
        bid_agrees = best_bid is None or best_bid == (book.best_bid or 0)
        return bid_agrees and (best_ask is None or best_ask == (book.best_ask or units.ONE))

    # --- hashes ----------------------------------------------------------------------------

    def _verify(
        self, token: _Token, timestamp: str, hashes: set[str], candidates: Sequence[int]
    ) -> None:
        if token.hashed.hash(timestamp, self._belief.text) in hashes:
            self.counts.verified += 1
            self._pass(token)
            return
        for text in self._belief.candidates(candidates):
            if token.hashed.hash(timestamp, text) in hashes:
                self._belief.believe(text)
                self.counts.learned += 1
                self._pass(token)
                return
        self._fail(token, timestamp, next(iter(hashes)))

    def _pass(self, token: _Token) -> None:
        token.unverified_since_ms = token.pending = None
        if token.state is BookState.MISMATCH:
            token.state = BookState.VALID

    def _fail(self, token: _Token, timestamp: str, expected: str) -> None:
        self.counts.mismatches += 1
        token.pending = (timestamp, expected)
        if token.state is BookState.VALID:
            token.state = BookState.MISMATCH
            token.unverified_since_ms = int(timestamp)

    # --- everything else -------------------------------------------------------------------

    def _snapshot(self, message: BookMessage) -> Applied:
        token = self._tokens.get(message.asset)
        if token is None or token.state is BookState.RESOLVED:
            self.counts.foreign += token is None
            return _NOTHING
        stamp = message.timestamp_ms
        if stamp < token.latest_ms:
            self.counts.late += 1
            return _NOTHING
        before = token.hashed.book
        tops = [price for price in (before.best_bid, before.best_ask) if price is not None]
        token.hashed.replace(message.bids, message.asks)
        token.snapshot_ms = token.latest_ms = stamp
        token.state = BookState.VALID
        token.unverified_since_ms = token.pending = None
        self.counts.snapshots += 1
        self._terms(message, token)
        if message.hash:
            self._verify(token, message.timestamp, {message.hash}, tops)
        return Applied((token.outcome,))

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

    def _trade(self, message: LastTrade) -> Applied:
        if message.asset not in self._tokens:
            self.counts.foreign += 1
            return _NOTHING
        texts = self._belief.printed(message.price)
        healed = [token for token in self._tokens.values() if self._heals(token, texts)]
        for token in healed:
            self._pass(token)
        return Applied(tuple(token.outcome for token in healed), message)

    def _heals(self, token: _Token, texts: Sequence[str]) -> bool:
        """Whether the hash that did not match does with a trade price we know now."""
        if token.state is not BookState.MISMATCH or token.pending is None:
            return False
        timestamp, expected = token.pending
        for text in texts:
            if token.hashed.hash(timestamp, text) == expected:
                self._belief.believe(text)
                return True
        return False

    def _tick_size(self, message: TickSize) -> Applied:
        token = self._tokens.get(message.asset)
        if token is None:
            self.counts.foreign += 1
            return _NOTHING
        if token.hashed.tick_text == message.new or token.state is BookState.RESOLVED:
            return _NOTHING  # told twice
        self.tick = message.tick
        token.hashed.tick_text = message.new
        if token.state is not BookState.AWAITING_SNAPSHOT:
            token.state = BookState.TICK_CHANGED
        return Applied((token.outcome,))

    def _top(self, message: BestBidAsk) -> Applied:
        """Only counted: the hash of the next change says more, and
        stamps of the two do not order them.
        """
        token = self._tokens.get(message.asset)
        if token is None:
            self.counts.foreign += 1
        elif not self._agrees(token.hashed.book, message.best_bid, message.best_ask):
            self.counts.top_differs += 1
        return _NOTHING

    def _resolved(self, message: Resolved) -> Applied:
        token = self._tokens.get(message.winning_asset)
        if token is None:
            self.counts.foreign += 1
            return _NOTHING
        self.winner = token.outcome
        for each in self._tokens.values():
            each.state = BookState.RESOLVED
        return Applied(tuple(Outcome))
