"""S10: for how long a book has been in doubt, which is where an order may not come from."""

from __future__ import annotations

from market_kit import BTC_5M

from polybot.domain.market import UP
from polybot.lab.simulation_rules import Since, doubted_s
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import BookMessage, WireLevel


def snapshot(token: str, stamp: int, bid: str, ask: str) -> BookMessage:
    """One level each side; without a hash it proves itself."""
    bids, asks = (WireLevel(bid, "100"),), (WireLevel(ask, "100"),)
    return BookMessage(BTC_5M.condition_id, token, str(stamp), bids, asks)


class Watched:
    """A market's books, and a judge of Up's."""

    def __init__(self) -> None:
        self.now_s, self.book = 0.0, MarketBook(BTC_5M)
        self._since = Since(lambda: self.now_s)

    def doubted_at(self, now_s: float) -> float:
        self.now_s = now_s
        return doubted_s(self.book, UP, "up", self._since)


def test_a_snapshot_ends_the_doubt_of_a_book_that_had_none() -> None:
    """Its twin had moved meanwhile, and the two sorts of doubt were added up: of a token that the
    stream was silent about, REST had told just now (seed 1341, six minutes).
    """
    it = Watched()
    it.book.apply(snapshot(BTC_5M.down_token, 1, "0.45", "0.46"))
    assert it.doubted_at(0.0) == 0.0
    assert it.doubted_at(7.5) == 7.5
    it.book.apply(snapshot(BTC_5M.up_token, 2, "0.53", "0.55"))
    assert it.doubted_at(8.5) == 0.0, "but it is not its twin's mirror"
    assert it.doubted_at(17.0) == 8.5, "which lasts"
    it.book.apply(snapshot(BTC_5M.up_token, 3, "0.54", "0.55"))
    assert it.doubted_at(18.0) == 0.0
