"""What durability costs before an order may leave: appends to the journal beside bare disk writes.

The journal writes in a thread, as it does at speed 1. The floor is the same bytes appended to a
plain file and synced by the same thread: what no journal on this disk can do without.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from polybot.clock import Clock, wall_seconds
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import TimeInForce
from polybot.journal.entries import Intent, encode
from polybot.journal.store import Store
from polybot.journal.writer import Journal

CONDITION = "0x" + "ab" * 32
BODY = b"x" * 900  # about what a signed order takes
BATCH = 4  # the first quote of a window: two levels on either side


@attrs.frozen
class Appends:
    """Milliseconds of the wall for each append, in the order they were made."""

    ours_ms: tuple[float, ...]
    floor_ms: tuple[float, ...]


def within(times_ms: Sequence[float], hundredth: int) -> float:
    """The time within which so many of a hundred had ended."""
    ranked = sorted(times_ms)
    return ranked[max(0, -(-len(ranked) * hundredth // 100) - 1)]


async def journal_drill(appends: int, orders: int = BATCH) -> Appends:
    """Append so many batches of intents, one after the other, each in turn with its floor."""
    ours, floor = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store = Store.open(Path(folder) / "journal", "drill")
        plain = os.open(Path(folder) / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        journal = Journal(store, Clock.from_system())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            for number in range(appends):
                batch = [_intent(number * orders + n) for n in range(orders)]
                begun = wall_seconds()
                await journal.append(*batch)
                ours.append((wall_seconds() - begun) * 1000)
                text = "".join(encode(entry)[1] for entry in batch).encode()
                begun = wall_seconds()
                await trio.to_thread.run_sync(partial(_synced, plain, text))
                floor.append((wall_seconds() - begun) * 1000)
            nursery.cancel_scope.cancel()
        os.close(plain)
        store.close()
    return Appends(tuple(ours), tuple(floor))


def _synced(file: int, text: bytes) -> None:
    os.write(file, text)
    os.fdatasync(file)


def _intent(number: int) -> Intent:
    return Intent(
        order_id=f"0x{number:064x}", condition_id=CONDITION, outcome=Outcome.UP, side=Side.BUY,
        price=5_300, size=10_000_000, tif=TimeInForce.GTD, expires_s=1_795_133_000, post_only=True,
        level=1, cause="quote", body=BODY,
    )  # fmt: skip
