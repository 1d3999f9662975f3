"""`python -m polybot stop --now`: nothing of this wallet rests any more, whatever the engine does.

Works with the engine running, hanging or dead. A running engine is told to stop (and told again,
which it cannot ignore); meanwhile this process cancels everything itself and reads back until the
venue shows nothing. Then it halts the wallet, so that nothing trades before an operator has
re-armed it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs
import trio

from polybot.clock import system_ms
from polybot.config_read import ConfigError
from polybot.domain.halts import Halt
from polybot.domain.orders import Failure
from polybot.journal.entries import Halted
from polybot.journal.store import JournalFailed, Store, holder
from polybot.operator.access import Access, parser
from polybot.venue.clob import ClobClient
from polybot.venue.rest import http_client

EXIT_CLEAN, EXIT_CONFIG, EXIT_ORDERS_LIVE, EXIT_STORAGE = 0, 2, 3, 4
REQUEST_S = 2.0
PATIENCE_S = 20.0  # to see nothing rest, twice
POLITE_S = 10.0  # a graceful stop takes so long at most (G8); then the engine is told again
PAUSE_S = 0.25


def main(words: Sequence[str]) -> int:
    made = parser("stop", "Cancel everything of a wallet at once and halt it.")
    made.add_argument("--now", action="store_true", required=True, help="really do it")
    said = made.parse_args(words)
    try:
        access = Access.of(said)
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    return trio.run(_stop, access)


@attrs.define
class Outcome:
    empty: bool = False
    said: str = ""


async def _stop(access: Access) -> int:
    outcome = Outcome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_engine, access.journal)
        with trio.move_on_after(PATIENCE_S):
            await _empty(access, outcome)
    if not outcome.empty:
        sys.stderr.write(f"ORDERS MAY STILL BE LIVE: {outcome.said}. Look at the venue now.\n")
    else:
        sys.stdout.write("no order rests, the venue says\n")
    halted = _halt(access)
    return EXIT_ORDERS_LIVE if not outcome.empty else halted


async def _empty(access: Access, outcome: Outcome) -> None:
    """Cancel all and read back, until two reads in a row show nothing."""
    async with http_client() as http:
        try:
            client = await access.client(http, REQUEST_S)
        except TimeoutError as error:
            client = Failure(str(error))
        if isinstance(client, Failure):
            outcome.said = client.what
            return
        clean = 0
        while True:
            clean = clean + 1 if await _look(client, outcome) else 0
            if clean == 2:
                break
            await trio.sleep(PAUSE_S)
        outcome.empty = True


async def _look(client: ClobClient, outcome: Outcome) -> bool:
    answer = await client.cancel_all()
    rows = await client.open_orders()
    if isinstance(rows, Failure):
        outcome.said = answer.failure or rows.what
        return False
    outcome.said = f"{len(rows)} orders are shown as open"
    return not rows


async def _end_engine(journal: Path) -> None:
    """Tell the process that has the journal to stop, and once more if it does not."""
    pid = holder(journal)
    if pid is None:
        return
    sys.stdout.write(f"stopping the engine, process {pid}\n")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        with trio.move_on_after(POLITE_S):
            while holder(journal) == pid:  # noqa: ASYNC110 - another process: nobody tells us
                await trio.sleep(PAUSE_S)
            return
        os.kill(pid, signal.SIGTERM)


def _halt(access: Access) -> int:
    """Leave a halt in the journal; an engine that still has it must be ended by hand."""
    try:
        store = Store.open(access.journal, access.owner)
    except JournalFailed as error:
        sys.stderr.write(f"not halted: {error}\n")
        return EXIT_STORAGE
    why = "python -m polybot stop --now"
    store.append([(system_ms(), Halted(Halt.STOPPED.value, why))])
    store.close()
    sys.stdout.write("halted until `python -m polybot rearm`\n")
    return EXIT_CLEAN
