"""Signals: the first one stops gracefully, the second one leaves at once.

A terminal that is closed, or whose connection is lost, hangs up: that is a first signal like any
other, or a night's orders would be left to the venue's switch. Kernel and shell both send it, so it
is never a second one; and it stays unheard where whoever started us had it ignored (`nohup`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import trio

LEAVE_S = 0.4  # G9 in reliability.md: gone within half a second, and the cancel-all sent


async def stop_on_signals(
    stop: Callable[[str], None],
    *,
    withdrawn: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    leave: Callable[[int], None] = os._exit,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `stop` with the first signal; on the second leave with 128 + its number.

    Must live outside everything `stop` cancels, or nobody hears the second. `withdrawn` waits until
    the cancel-all of the first is answered: two signals may come in one step, before a byte of it
    is on the wire. It is not waited for longer than `LEAVE_S`.
    """
    with trio.open_signal_receiver(*_heard()) as arrivals:
        task_status.started()
        stopping = False
        async for number in arrivals:
            if stopping and number == signal.SIGHUP:
                continue
            if stopping:
                with trio.move_on_after(LEAVE_S):
                    await withdrawn()
                leave(128 + number)
            stopping = True
            stop(signal.Signals(number).name)


def _heard() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
