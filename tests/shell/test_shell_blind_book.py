"""A market stream that answers PINGs and tells nothing, and books that REST cannot tell."""

from __future__ import annotations

import pytest
import trio
from shell_kit import playing
from venue_bent import Act, answer, silence

from polybot.market_feed import UNREAD_S
from polybot.patient_clock import PatientClock

A_LITTLE_S = 8.0  # for the requests that are under way, and a dial


@pytest.mark.parametrize("act", [answer(503), silence], ids=["refused", "hangs"])
async def test_a_silent_stream_whose_books_cannot_be_read(
    act: Act, fast_clock: PatientClock
) -> None:
    """Then nobody knows whether the market is quiet or the stream is dead (F01, F03): a fresh
    connection tells, and costs a moment. It is not quoted from for the rest of its window.
    """
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        await trio.sleep(5)
        opened = line.opened
        it.venue.bend("GET", "/book", act=act)
        line.stall()
        await it.until(lambda: line.opened > opened, "it is dialled again", UNREAD_S + A_LITTLE_S)
        await it.until(lambda: not it.venue.live, "nothing rests by a book of before", 10)
