"""A market stream whose first books come late, or never."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import orjson
import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock

from polybot import market_feed
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.domain.market import Outcome
from polybot.market_feed import MarketFeed
from polybot.venue.book_state import BookState
from polybot.venue.market_messages import BookMessage
from polybot.venue.sockets import SocketPhase, SocketState

BOOKS = orjson.dumps(
    [
        {
            "event_type": "book", "market": MARKET.condition_id, "asset_id": token,
            "timestamp": "1", "bids": [], "asks": [],
        }
        for token in (MARKET.up_token, MARKET.down_token)
    ]
).decode()  # fmt: skip


@attrs.define
class Line:
    """Connections that open at once and bring the books after so many seconds."""

    books_s: float
    dialled: list[float] = attrs.field(factory=list)

    async def run(
        self,
        _url: str,
        *,
        on_text: Callable[[str, int], None],
        on_state: Callable[[SocketState], None],
        **_: object,
    ) -> None:
        self.dialled.append(trio.current_time())
        on_state(SocketState(SocketPhase.OPEN))
        await trio.sleep(self.books_s)
        on_text(BOOKS, 1)
        await trio.sleep_forever()


async def as_ever(token: str) -> BookMessage:
    await trio.lowlevel.checkpoint()
    return BookMessage(MARKET.condition_id, token, "1", (), ())


def feed_over(line: Line, monkeypatch: pytest.MonkeyPatch) -> MarketFeed:
    monkeypatch.setattr(market_feed, "run_socket", line.run)
    anything: Any = SimpleNamespace(
        fed=lambda _message: None, note_bad=lambda _what: None, look_at_stamps=lambda: None
    )
    ctx: Any = SimpleNamespace(
        core=anything, records=anything, reconciler=SimpleNamespace(time=anything),
        site=SimpleNamespace(market_ws="ws://nowhere"), client=SimpleNamespace(book=as_ever),
        clock=Clock(0.0), rng=None, tape=None,
    )  # fmt: skip
    return MarketFeed(ctx, MARKET, Bell(), lambda _trade, _at_ms: None)


@pytest.mark.parametrize("books_s", [2, 4, 8])
async def test_books_that_come_late_are_quoted_from(
    books_s: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a slow link, or from a venue that has much to do, each connection was left half a second
    before it had brought them, and the market was never quoted.
    """
    feed = feed_over(Line(books_s), monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(20)
        assert {feed.book.state(outcome) for outcome in Outcome} == {BookState.VALID}
        nursery.cancel_scope.cancel()


async def test_what_brings_none_is_dialled_ever_more_rarely(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For hours it may bring none (feeds.md 2.6): seventeen dials a minute for each market are what
    a venue in trouble refuses a machine for, and its other streams with it.
    """
    line = Line(10_000)
    feed = feed_over(line, monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(600)
        nursery.cancel_scope.cancel()

    first, second, third = (line.dialled[n + 1] - line.dialled[n] for n in range(3))
    assert first < 4 < second < 7 < third < 13
    assert len(line.dialled) < 60


async def test_one_that_has_brought_them_is_waited_for_as_ever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later connection that brings none is left after three seconds again."""
    line = Line(8)
    feed = feed_over(line, monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(30)
        dials = len(line.dialled)
        feed._connection.cancel()
        await trio.sleep(4.5)
        assert len(line.dialled) == dials + 2
        nursery.cancel_scope.cancel()
