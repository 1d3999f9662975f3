"""What a new journal waits for, beside trades, before it reads the balance that it begins with.

A run whose journal is lost, or was moved away, may have a merge, a split or a redemption under way.
Its dollars and shares come after that balance, nobody can explain them, and trading would halt for
a drift. Whoever asked for it – another program of the same wallet may have – the relayer lists it.
"""

from __future__ import annotations

import trio
from loguru import logger

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.in_flight import GRACE_S
from polybot.venue.relayer import Way

POLL_S = 2.0  # the chain makes a block in that time


async def all_ended(way: Way | None, clock: Clock, patience_s: float) -> bool:
    """Wait until no transaction of the wallet is on its way; whether any was. What does not end, or
    cannot be read, is told and left: trading may then halt for it, and an operator knows why.
    """
    left: int | Failure = 0
    waited = False
    with trio.move_on_after(patience_s):
        while way is not None and (left := await _on_their_way(way, clock)) != 0:
            if isinstance(left, Failure) and left.refused:
                break  # that will not pass by itself
            if isinstance(left, int) and not waited:
                logger.info("a new journal begins when {} transactions have ended", left)
                waited = True
            await trio.sleep(POLL_S)
    if left != 0:
        why = left.what if isinstance(left, Failure) else f"{left} have no end"
        logger.warning("the journal begins; transactions of before may change its cash: {}", why)
    return waited


async def _on_their_way(way: Way, clock: Clock) -> int | Failure:
    """What was signed so long ago that it cannot be mined any more does not count: the relayer may
    never give it an end.
    """
    return await way.unended(clock.now_ms() - round(GRACE_S * 1000))
