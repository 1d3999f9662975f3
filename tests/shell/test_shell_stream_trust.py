from __future__ import annotations

import pytest
import trio
import trio.testing

from polybot.domain.orders import (
    Acked,
    OrderSeen,
    PostResult,
    Reject,
    Rejected,
    TradeSeen,
    TradeStatus,
    Unknown,
)
from polybot.stream_trust import KEPT_S, TOLD_WITHIN_S, StreamTrust

NOW_MS = 1_795_000_000_000


def live(order_id: str = "0x1") -> PostResult:
    return Acked(order_id, "live", 0, 0, ())


def word(order_id: str = "0x1") -> OrderSeen:
    return OrderSeen(order_id, OrderSeen.Kind.LIVE, 0, "LIVE", NOW_MS)


def trade(at_ms: int) -> TradeSeen:
    return TradeSeen("t1", "0xc", TradeStatus.MATCHED, (), at_ms)


async def opened() -> StreamTrust:
    """A stream that has been there for a minute."""
    stream = StreamTrust()
    stream.opens()
    await trio.sleep(60)
    return stream


async def untold_after(stream: StreamTrust, seconds: float) -> str | None:
    await trio.sleep(seconds)
    return stream.untold


async def test_an_order_must_be_told(autojump_clock: trio.testing.MockClock) -> None:
    """Within three seconds after its answer, and not sooner."""
    stream = await opened()
    stream.accepted([live()], trio.current_time())
    assert await untold_after(stream, TOLD_WITHIN_S - 0.1) is None
    assert await untold_after(stream, 0.2) == "0x1"
    stream.told(word())
    assert stream.untold is None


async def test_its_word_may_come_first(autojump_clock: trio.testing.MockClock) -> None:
    """The stream is often quicker than the POST's answer."""
    stream = await opened()
    sent_at = trio.current_time()
    await trio.sleep(0.1)
    stream.told(word())
    await trio.sleep(5)
    stream.accepted([live()], sent_at)
    assert await untold_after(stream, 60) is None


@pytest.mark.parametrize(
    "result",
    [
        Rejected("0x1", Reject.POST_ONLY_CROSSES, ""),
        Unknown("0x1", ""),
        Acked("0x1", "delayed", 0, 0, ()),
    ],
)
async def test_what_does_not_rest_is_not_owed(
    result: PostResult, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody tells of an order that was refused, and of others not the same."""
    stream = await opened()
    stream.accepted([result], trio.current_time())
    assert await untold_after(stream, 60) is None


async def test_a_session_begins_without_debts(autojump_clock: trio.testing.MockClock) -> None:
    """What was sent while another one was there, or none, may have been told to nobody."""
    stream = await opened()
    sent_at = trio.current_time()
    stream.accepted([live("0x1")], sent_at)
    stream.ends()
    stream.accepted([live("0x2")], trio.current_time())
    await trio.sleep(1)
    stream.opens()
    stream.accepted([live("0x3")], sent_at)
    assert await untold_after(stream, 60) is None


async def test_a_trade_must_be_told(autojump_clock: trio.testing.MockClock) -> None:
    """One that was read and matched in this session, whatever it came to later."""
    stream = await opened()
    stream.read(trade(NOW_MS - 57_000), NOW_MS)
    assert await untold_after(stream, TOLD_WITHIN_S - 0.1) is None
    assert await untold_after(stream, 0.2) == "t1"
    stream.told(trade(NOW_MS))
    assert stream.untold is None


async def test_a_trade_of_before(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody tells again what was matched before the stream was there, as near as seconds tell."""
    stream = await opened()
    stream.read(trade(NOW_MS - 59_000), NOW_MS)
    stream.ends()
    stream.read(trade(NOW_MS), NOW_MS)
    assert await untold_after(stream, 60) is None


async def test_words_are_kept_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    """A night of words is not kept; what is owed has come long before."""
    stream = await opened()
    for number in range(100):
        stream.told(word(f"0x{number}"))
        await trio.sleep(1)
    stream.accepted([live("0x99"), live("0x1")], trio.current_time())
    assert len(stream._told) <= KEPT_S + 1
    assert await untold_after(stream, 60) == "0x1"


async def test_each_opening_is_another_session(autojump_clock: trio.testing.MockClock) -> None:
    """By which a look that began before knows that it says nothing of this one."""
    stream = await opened()
    first = stream.sessions
    stream.ends()
    assert stream.sessions == first
    stream.opens()

    assert stream.sessions == first + 1
