"""`python -m polybot stop --now`: nothing of this wallet rests any more, whatever the engine does.

Works with the engine running, hanging or dead. A running engine is told to stop (and told again,
which it cannot ignore); meanwhile this process cancels everything itself and reads back until the
venue shows nothing. Then it halts the wallet, so that nothing trades before an operator has
re-armed it. Orders of the engine's last minute that the venue does not know may come yet, from an
edge that holds them back (F18): they are waited for last, and withdrawn.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import attrs
import httpx
import trio

from polybot.clock import system_ms
from polybot.config_read import ConfigError
from polybot.console.outlet import put
from polybot.domain.halts import Halt
from polybot.domain.orders import EDGE_S, Failure, OrderRow, OrderSeen
from polybot.journal import spare
from polybot.journal.entries import Halted, Intent
from polybot.journal.lock_file import holder
from polybot.journal.recovery import recover
from polybot.journal.store import JournalCorrupt, JournalFailed, Stamped, Store
from polybot.operator.access import Access, parser
from polybot.venue.clob import ClobClient
from polybot.venue.rest import http_client
from polybot.venue_time import VenueTime

EXIT_CLEAN, EXIT_CONFIG, EXIT_ORDERS_LIVE, EXIT_STORAGE = 0, 2, 3, 4
REQUEST_S = 2.0
PATIENCE_S = 20.0  # to see nothing rest, twice
POLITE_S = 10.0  # a graceful stop takes so long at most (G8); then the engine is told again
LEAVES_S = 3.0  # told again it leaves within half a second (G9)
PAUSE_S = 0.25
ROUNDS = 3  # for engines that a service manager starts meanwhile, one after the other
AGAIN_S = 2.0  # between two looks for orders that got no answer, and two tries for credentials
ENDED = (OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED)


def main(words: Sequence[str]) -> int:
    made = parser("stop", "Cancel everything of a wallet at once and halt it.")
    made.add_argument("--now", action="store_true", required=True, help="really do it")
    said = made.parse_args(words)
    try:
        access = Access.of(said)
    except (ConfigError, ValueError) as error:
        put(sys.stderr, f"{error}\n")
        return EXIT_CONFIG
    # Whoever is called at night may lose his connection in the middle of it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return trio.run(stop_now, access)


@attrs.define
class Outcome:
    empty: bool = False
    said: str = "the venue gives no answer"


async def stop_now(
    access: Access,
    now_ms: Callable[[], int] = system_ms,
    tell: Callable[[int, signal.Signals], object] | None = None,
) -> int:
    """Empty the wallet and halt it; the exit code. `now_ms` is the machine's clock, `tell` sends a
    signal to a process.
    """
    for _ in range(ROUNDS):
        known, outcome = holder(access.journal), Outcome()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_engine, access.journal, tell or os.kill)
            with trio.move_on_after(PATIENCE_S):
                await _empty(access, outcome)
        if holder(access.journal) in (None, known):
            break
        # A service manager has started one meanwhile: it may have placed something since.
    if not outcome.empty:
        put(sys.stderr, f"ORDERS MAY STILL BE LIVE: {outcome.said}. Look at the venue now.\n")
    else:
        put(sys.stdout, "no order rests, the venue says\n")
    halted, unanswered = halt(access, now_ms())
    if outcome.empty and unanswered:
        await _outwait(access, unanswered, outcome)
    return EXIT_ORDERS_LIVE if not outcome.empty else halted


async def _empty(access: Access, outcome: Outcome) -> None:
    """Cancel all and read back, until two reads in a row show nothing."""
    async with http_client() as http:
        await _empty_by(await _client(access, http, outcome), outcome)


async def _client(access: Access, http: httpx.AsyncClient, outcome: Outcome) -> ClobClient:
    """However often it takes: a way that stumbles once is no reason to leave orders behind."""
    while True:
        try:
            client = await access.client(http, REQUEST_S)
        except TimeoutError as error:
            client = Failure(str(error))
        if not isinstance(client, Failure):
            return client
        outcome.said = client.what
        await trio.sleep(AGAIN_S)


async def _empty_by(client: ClobClient, outcome: Outcome) -> None:
    clean = 0
    while clean < 2:
        clean = clean + 1 if await _look(client, outcome) else 0
        await trio.sleep(PAUSE_S)
    outcome.empty = True


async def _outwait(access: Access, unanswered: Sequence[str], outcome: Outcome) -> None:
    """Watch for orders of the last minute until none of them can come any more."""
    outcome.empty = False
    async with http_client() as http:
        with trio.move_on_after(EDGE_S + PATIENCE_S):
            await outwait(await _client(access, http, outcome), unanswered, outcome)
    if not outcome.empty:
        put(sys.stderr, f"ORDERS MAY STILL COME: {outcome.said}. Look at the venue now.\n")


async def outwait(client: ClobClient, unanswered: Sequence[str], outcome: Outcome) -> None:
    """Look each up until the venue knows its end, or the edge has given it up; what has come is
    withdrawn.
    """
    left, until = set(unanswered), trio.current_time() + EDGE_S
    told = False
    while left:
        for order_id in sorted(left):
            row = await client.order(order_id)
            kind = row.kind if isinstance(row, OrderRow) else None
            if kind is OrderSeen.Kind.LIVE:
                await client.cancel_all()
            elif kind in ENDED or (row is None and trio.current_time() > until):
                left.discard(order_id)
        if left and not told:
            told = True
            put(
                sys.stdout,
                f"{len(left)} orders got no answer and may come to rest yet: watching for them, "
                f"{EDGE_S} s at most\n",
            )
        await trio.sleep(AGAIN_S if left else 0)
    await _empty_by(client, outcome)
    if told:
        put(sys.stdout, "none of them rests, nor can any come\n")


async def _look(client: ClobClient, outcome: Outcome) -> bool:
    answer = await client.cancel_all()
    rows = await client.open_orders()
    if isinstance(rows, Failure):
        outcome.said = answer.failure or rows.what
        if rows.refused:
            await _agree_on_time(client)
        return False
    outcome.said = f"{len(rows)} orders are shown as open"
    return not rows


async def _agree_on_time(client: ClobClient) -> None:
    """Go by the venue's time, where ours is off: each request is signed with it, and an engine that
    has set its own clock trades on (F49). Asked for only after a refusal: a stop is in a hurry.
    """
    clock = client.rest.clock
    asked_ms = clock.now_ms()
    venue_s = await client.server_time()
    if isinstance(venue_s, Failure):
        return
    offset = VenueTime().heard(asked_ms, venue_s, clock.now_ms())
    if offset.off:
        clock.set_right(-offset.middle)
        put(sys.stdout, f"the clock is {offset.middle / 1000:+.0f} s off the venue's: set\n")


async def _end_engine(journal: Path, tell: Callable[[int, signal.Signals], object]) -> None:
    """Tell the process that has the journal to stop, and once more if it does not. One that is
    still leaving keeps the halt out of the journal, so it is waited for.
    """
    pid = holder(journal)
    if pid is None:
        return
    put(sys.stdout, f"stopping the engine, process {pid}\n")
    for patience_s in (POLITE_S, LEAVES_S):
        try:
            tell(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        except OSError as error:  # another user's: that is no reason to cancel nothing
            put(sys.stderr, f"the engine was not told, process {pid}: {error.strerror}\n")
            return
        with trio.move_on_after(patience_s):
            while holder(journal) == pid:  # noqa: ASYNC110 - another process: nobody tells us
                await trio.sleep(PAUSE_S)
            return


def halt(access: Access, at_ms: int) -> tuple[int, list[str]]:
    """Leave a halt in the journal; an engine that still has it must be ended by hand. Also tells
    which orders of its last minute nobody has seen the end of. Where there is no journal an engine
    may have another: it has not been told, and trades on.
    """
    code, unanswered = EXIT_CLEAN, list[str]()
    try:
        if not access.journal.exists():
            code = EXIT_STORAGE
            put(
                sys.stderr,
                f"no engine was told: {access.journal} is new. Is this the engine's "
                "configuration?\n",
            )
        store = Store.open(access.journal, access.owner)
        with closing(store):
            try:
                unanswered = _unanswered(list(store.live()))
            except JournalCorrupt as error:  # the halt is not for this reading to prevent
                put(sys.stderr, f"orders of the last minute are not watched for: {error}\n")
                code = EXIT_STORAGE
            store.append([_stopped(at_ms)])
    except (JournalFailed, OSError) as error:  # a folder that is another user's
        put(sys.stderr, f"not halted: {error}\n")
        _halt_the_next(access.journal, at_ms)
        return EXIT_STORAGE, unanswered
    put(sys.stdout, "halted until `python -m polybot rearm`\n")
    return code, unanswered


def _stopped(at_ms: int) -> tuple[int, Halted]:
    return at_ms, Halted(Halt.STOPPED.value, "python -m polybot stop --now")


def _halt_the_next(journal: Path, at_ms: int) -> None:
    """Leave the halt beside the journal, where the next opening takes it in: an engine that hangs
    with the journal is ended and started again by its service manager.
    """
    try:
        spare.keep(journal, [_stopped(at_ms)])
    except OSError as error:
        put(sys.stderr, f"nor will the next start be: {error}\n")
    else:
        put(sys.stderr, "the next start will be, until `python -m polybot rearm`\n")


def _unanswered(entries: Sequence[Stamped]) -> list[str]:
    """Before the last minute of the journal's own time they have come, or never will."""
    sent = {one.entry.order_id: one.at_ms for one in entries if isinstance(one.entry, Intent)}
    found = recover(entries)
    since_ms = found.last_ms - EDGE_S * 1000
    return [one.order_id for one in found.doubtful if sent[one.order_id] >= since_ms]
