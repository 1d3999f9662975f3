"""The first cancel-all of a stop or a halt: its only purpose is to be on the wire at once."""

from __future__ import annotations

from collections.abc import Callable

import trio
from loguru import logger

from polybot.clock import wall_seconds
from polybot.venue.clob import ClobClient

AGAIN_S = 0.05  # until one that has failed is sent again, then twice as long


async def cancel_at_once(
    client: ClobClient, since: float, what: str, nothing_rests: Callable[[], bool]
) -> None:
    """Cancel all, of what was asked for at `since`. One that reached nobody is sent again until
    something proves that nothing rests: whoever leaves at a second signal sends no other (G9). Less
    and less often: the venue takes fewer of these than of anything else (clob.md 7.1).
    """
    pause_s = AGAIN_S
    while True:
        answer = await client.cancel_all()
        took_ms = (wall_seconds() - since) * 1000
        said = answer.failure or f"{len(answer.cancelled)} orders cancelled"
        logger.info("cancel-all answered {:.0f} ms after {}: {}", took_ms, what, said)
        if answer.failure is None or nothing_rests():
            return
        await trio.sleep(pause_s)
        pause_s *= 2
