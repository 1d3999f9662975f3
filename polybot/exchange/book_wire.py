"""A market's two books as the wire shows them: level texts, hash, snapshots and deltas.

Source: feeds.md 2.3 and 3. The two tokens' books are one book seen from two sides (BUY Up at p ⇔
SELL Down at 1 - p), in the same order: Up's bids ascending are Down's asks descending. So each
level is kept once, with its ready-made JSON text for either token, and a hash costs a join.

Spacing is the wire's (checked against captured frames): snapshots on subscribing and REST books are
compact; later frames have a space after each comma and none after colons.
"""

from __future__ import annotations

import functools
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from polybot.exchange.model import BUY, DOWN, SELL, UP, Market
from polybot.exchange.money import ONE, UNIT, decimal_text

Best = tuple[int | None, int | None]
Change = tuple[str, str, int, int]  # (token, side, price, new total), as in LevelChanged


@functools.cache
def price_text(price: int) -> str:
    return decimal_text(price, ONE)


def size_text(size: int) -> str:
    return decimal_text(size, UNIT)


def last_trade_text(price: int | None) -> str:
    """Three decimals, as in snapshots and hashes; a fourth only when the price has one."""
    if price is None:
        return ""
    return f"0.{price:04d}" if price % 10 else f"0.{price // 10:03d}"


class _Levels:
    """One side of the market in Up's terms, worst level first, with both tokens' level texts."""

    def __init__(self, sign: int) -> None:
        self._sign = sign  # bids sort by price, asks by falling price
        self._keys: list[int] = []
        self._texts: tuple[list[str], list[str]] = ([], [])  # (Up's, Down's), beside the keys
        self._joined: list[str | None] = [None, None]  # until the next change

    def set(self, price: int, size: int) -> None:
        key = price * self._sign
        at = bisect_left(self._keys, key)
        known = at < len(self._keys) and self._keys[at] == key
        up, down = self._texts
        self._joined = [None, None]
        if not size:
            if known:
                del self._keys[at], up[at], down[at]
            return
        if not known:
            self._keys.insert(at, key)
            up.insert(at, "")
            down.insert(at, "")
        tail = f'","size":"{size_text(size)}"}}'
        up[at] = f'{{"price":"{price_text(price)}{tail}'
        down[at] = f'{{"price":"{price_text(ONE - price)}{tail}'

    def best(self) -> int | None:
        """Up's best price on this side."""
        return self._keys[-1] * self._sign if self._keys else None

    def texts(self, outcome: int) -> str:
        joined = self._joined[outcome]
        if joined is None:
            joined = self._joined[outcome] = ",".join(self._texts[outcome])
        return joined


class BookText:
    """Both books of one market, kept up to date by `apply`; the last trade is read live.

    `tick` is what subscribers have been told: the engine's own can be ahead of events under way.
    """

    def __init__(
        self,
        market: Market,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        changed_ms: int,
    ) -> None:
        """`bids` and `asks`: the Up token's levels (price 10⁻⁴, size 10⁻⁶), in any order."""
        self.market = market
        self.changed_ms = changed_ms
        self.tick = market.tick
        self._sides = {BUY: _Levels(1), SELL: _Levels(-1)}
        self._version = 0  # of the levels
        self._hashed: tuple[object, ...] = ()  # the state that the hashes are of
        self._hashes: list[str | None] = [None, None]
        for side, levels in ((BUY, bids), (SELL, asks)):
            for price, size in levels:
                self._sides[side].set(price, size)
        self._heads = tuple(
            f'{{"market":"{market.condition_id}","asset_id":"{token}","timestamp":"'
            for token in market.tokens
        )

    def apply(self, changes: Sequence[Change], at_ms: int) -> None:
        """Take over the changes of one engine act, which are in Up's terms."""
        self.changed_ms = at_ms
        self._version += 1
        for _, side, price, size in changes:
            self._sides[side].set(price, size)

    def best(self, outcome: int) -> Best:
        """(best bid, best ask) of one token; None for an empty side."""
        bid, ask = self._sides[BUY].best(), self._sides[SELL].best()
        if outcome == UP:
            return bid, ask
        return (None if ask is None else ONE - ask), (None if bid is None else ONE - bid)

    def _levels(self, outcome: int) -> tuple[str, str]:
        up_bids, up_asks = self._sides[BUY].texts(outcome), self._sides[SELL].texts(outcome)
        return (up_bids, up_asks) if outcome == UP else (up_asks, up_bids)

    def summary(self, outcome: int, book_hash: str = "") -> str:
        """The REST book without its hash: what is hashed (feeds.md 3); with it: what is sent."""
        market = self.market
        bids, asks = self._levels(outcome)
        return (
            f'{self._heads[outcome]}{self.changed_ms}","hash":"{book_hash}","bids":[{bids}],'
            f'"asks":[{asks}],"min_order_size":"{size_text(market.min_size)}",'
            f'"tick_size":"{price_text(self.tick)}",'
            f'"neg_risk":{"true" if market.neg_risk else "false"},'
            f'"last_trade_price":"{last_trade_text(market.last_trade_price)}"}}'
        )

    def hash(self, outcome: int) -> str:
        """SHA-1 of one token's whole book as of its last change. One change is told in several
        messages: each hash is reckoned once.
        """
        state = self._version, self.changed_ms, self.tick, self.market.last_trade_price
        if state != self._hashed:
            self._hashed, self._hashes = state, [None, None]
        found = self._hashes[outcome]
        if found is None:
            text = self.summary(outcome).encode()
            found = hashlib.sha1(text, usedforsecurity=False).hexdigest()
            self._hashes[outcome] = found
        return found

    def rest(self, outcome: int) -> str:
        """`GET /book`; Protocol V2 markets carry their version (clob.md 3.2)."""
        text = self.summary(outcome, self.hash(outcome))
        return text if self.market.version == "v1" else text[:-1] + ',"version":"v2"}'

    def dump(self, outcome: int) -> str:
        """One `book` of the array sent on subscribing."""
        bids, asks = self._levels(outcome)
        return (
            f'{self._heads[outcome]}{self.changed_ms}","hash":"{self.hash(outcome)}",'
            f'"bids":[{bids}],"asks":[{asks}],"tick_size":"{price_text(self.tick)}",'
            f'"event_type":"book",'
            f'"last_trade_price":"{last_trade_text(self.market.last_trade_price)}"}}'
        )

    def after_trade(self, outcome: int) -> str:
        """The `book` frame that follows a trade: other keys, other order, spaced."""
        bids, asks = (side.replace(",", ", ") for side in self._levels(outcome))
        return (
            f'{{"market":"{self.market.condition_id}", "asset_id":"{self.market.tokens[outcome]}", '
            f'"bids":[{bids}], "asks":[{asks}], "hash":"{self.hash(outcome)}", '
            f'"timestamp":"{self.changed_ms}", "event_type":"book"}}'
        )

    def price_change(self, changes: Sequence[Change], outcomes: Sequence[int] = (UP, DOWN)) -> str:
        """The delta for changes already applied: per change one entry for Up, one for Down.

        All entries of a token carry the hash of its book after the whole message; which state the
        venue's intermediate entries refer to is not known (feeds.md 2.3).
        """
        tails = {outcome: self._entry_tail(outcome) for outcome in outcomes}
        up, down = self.market.tokens
        entries = []
        for _, side, price, size in changes:
            if UP in tails:
                entries.append(_entry(up, price, size, side) + tails[UP])
            if DOWN in tails:
                mirrored = SELL if side == BUY else BUY
                entries.append(_entry(down, ONE - price, size, mirrored) + tails[DOWN])
        return (
            f'{{"market":"{self.market.condition_id}", "price_changes":[{", ".join(entries)}], '
            f'"timestamp":"{self.changed_ms}", "event_type":"price_change"}}'
        )

    def _entry_tail(self, outcome: int) -> str:
        bid, ask = self.best(outcome)
        return (
            f'"hash":"{self.hash(outcome)}", "best_bid":"{price_text(bid or 0)}", '
            f'"best_ask":"{price_text(ONE if ask is None else ask)}"}}'
        )

    def best_bid_ask(self, outcome: int) -> str:
        """The custom-feature message; an empty side is "" here (feeds.md 2.3)."""
        bid, ask = self.best(outcome)
        spread = "" if bid is None or ask is None else price_text(ask - bid)
        return (
            f'{{"market":"{self.market.condition_id}", "asset_id":"{self.market.tokens[outcome]}", '
            f'"best_bid":"{"" if bid is None else price_text(bid)}", '
            f'"best_ask":"{"" if ask is None else price_text(ask)}", "spread":"{spread}", '
            f'"timestamp":"{self.changed_ms}", "event_type":"best_bid_ask"}}'
        )


def _entry(token: str, price: int, size: int, side: str) -> str:
    return (
        f'{{"asset_id":"{token}", "price":"{price_text(price)}", "size":"{size_text(size)}", '
        f'"side":"{side}", '
    )
