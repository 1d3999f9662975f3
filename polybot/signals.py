"""Signals: the first one stops gracefully, the second one leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import trio


async def stop_on_signals(
    stop: Callable[[str], None],
    *,
    leave: Callable[[int], None] = os._exit,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `stop` with the first SIGINT or SIGTERM; on the second leave with 128 + its number.

    Must live outside everything `stop` cancels, or nobody hears the second. By then a cancel-all is
    on the wire: `stop` sends it before anything else.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as arrivals:
        task_status.started()
        stopping = False
        async for number in arrivals:
            if stopping:
                leave(128 + number)
            stopping = True
            stop(signal.Signals(number).name)
