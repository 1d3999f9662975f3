"""A book mended from REST is one that a stream keeps true."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock, wait_all_tasks_blocked

from polybot.channels import Bell
from polybot.domain.market import DOWN, UP
from polybot.domain.orders import Failure
from polybot.market_feed import MarketFeed
from polybot.venue.book_state import BookState
from polybot.venue.market_messages import BookMessage

SNAPSHOT = BookMessage(MARKET.condition_id, MARKET.up_token, "1", (), ())


class Venue:
    """Answers when it is let."""

    def __init__(self, answer: BookMessage | Failure) -> None:
        self.answer, self.let, self.asked = answer, trio.Event(), 0

    async def book(self, _token: str) -> BookMessage | Failure:
        self.asked += 1
        await self.let.wait()
        return self.answer


def feed_on(venue: Venue) -> MarketFeed:
    core: Any = SimpleNamespace(fed=lambda _message: None)
    records: Any = SimpleNamespace(note_bad=lambda _what: None)
    ctx: Any = SimpleNamespace(client=venue, core=core, records=records)
    return MarketFeed(ctx, MARKET, Bell(), lambda _trade, _at_ms: None)


@pytest.mark.parametrize("lost", [False, True], ids=["open", "lost meanwhile"])
async def test_a_mended_book_is_of_this_connection(
    autojump_clock: MockClock, *, lost: bool
) -> None:
    """Where the connection is lost while REST is asked, what it answers is not quoted from: until
    the next one is there, half a minute later perhaps, no change of it would be heard.
    """
    venue = Venue(SNAPSHOT)
    feed = feed_on(venue)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed._mend, [UP, DOWN])
        await wait_all_tasks_blocked()
        if lost:
            feed.dropped()
        venue.let.set()

    assert feed.book.state(UP) is (BookState.AWAITING_SNAPSHOT if lost else BookState.VALID)
    assert venue.asked == (1 if lost else 2)


async def test_a_connection_is_not_blamed_for_the_one_before(autojump_clock: MockClock) -> None:
    """Nor is the next connection left because a mend of the last one had no answer."""
    venue = Venue(Failure("no answer"))
    feed = feed_on(venue)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed._mend, [UP])
        await wait_all_tasks_blocked()
        feed.dropped()
        venue.let.set()

    assert not feed._connection.cancel_called
