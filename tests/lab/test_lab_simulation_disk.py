"""The disk fails under a simulated bot: real files, real errors, and what must follow (F66)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from unittest import mock

import attrs
import pytest
from simulation_kit import all_of, broken, calm, sound

from polybot import disk_watch, orders_task
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import SignedOrder, TimeInForce
from polybot.journal.entries import Closed, Ended, Intent, Rearmed
from polybot.journal.store import JournalFailed
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import FILES, Ail, Case, DiskTrouble, End, Life, Where
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_disk import SickDisk, WitnessedStore, files_of, intents_in
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.orders_task import OrdersTask


def ailing(file: str, ail: Ail, *, wait_s: float = 3.0, for_s: float = 20.0) -> Case:
    trouble = DiskTrouble(30.0, file, ail, for_s, wait_s, bytes=700)
    return attrs.evolve(calm(length_s=60.0), disks=(trouble,))


@pytest.mark.parametrize("ail", [Ail.FULL, Ail.BROKEN, Ail.SHORT])
def test_a_journal_that_cannot_be_written(ail: Ail) -> None:
    """Nothing rests, the exit code says it, no confirmed intent is lost, and the next start goes on
    (S15, S16, F66).
    """
    outcome = sound(ailing("journal", ail))

    assert outcome.seen[f"disk journal {ail.value}"] >= 1
    assert outcome.seen["ended by its disk"] >= 1
    assert outcome.seen["TRADE"] > 0


def test_a_tape_that_cannot_be_written() -> None:
    """The tape ends, readable to its last whole block, and the bot trades on."""
    outcome = sound(ailing("tape", Ail.SHORT))

    assert outcome.seen["tape ended by its disk"] == 1
    assert "ended by its disk" not in outcome.seen


@pytest.mark.parametrize("ail", [Ail.BROKEN, Ail.SHORT])
def test_a_halt_that_the_journal_cannot_take(ail: Ail) -> None:
    """Somebody else's order is found while the disk fails: the next start is halted all the same
    (S12; brief seed 156 traded on).
    """
    trouble = DiskTrouble(22.05, "journal", ail, 20.0, 3.0, bytes=40)
    case = attrs.evolve(calm(length_s=110.0), disks=(trouble,), foreign_s=22.0, quiet_s=0.0)
    outcome = sound(case)

    assert outcome.seen["foreign order"] == 1
    assert outcome.seen["stop"] >= 3


def test_a_slow_journal() -> None:
    """Orders that the disk has held up are not sent; the bot goes on (S9)."""
    outcome = sound(ailing("journal", Ail.SLOW))

    assert outcome.seen["disk journal slow"] == 1
    assert "ended by its disk" not in outcome.seen


def test_what_the_dead_write_is_nobodys() -> None:
    """Killed while more waits for a slow disk than what it has just written: what its tasks hand
    to the file after that is no promise to anybody (S16).
    """
    slow = DiskTrouble(20.0, "journal", Ail.SLOW, 30.0, 1.5, bytes=0)
    lives = (Life(25.0, End.KILL, 5.0, where=Where.WRITTEN), Life(5.0, End.STOP, 0.0))
    case = attrs.evolve(calm(length_s=40.0), disks=(slow,), lives=lives, quiet_s=0.0)
    outcome = sound(case)

    assert outcome.seen["kill"] == 1
    assert outcome.seen["disk journal slow"] == 1


def patient_with_the_disk() -> AbstractContextManager[object]:
    """However long the disk has taken, the order leaves: as we did it until this was tried."""
    return all_of(
        mock.patch.object(orders_task, "LEAVES_WITHIN_S", 1e9),
        mock.patch.object(disk_watch, "SLOW_S", 1e9),
    )


def writing_afterwards() -> AbstractContextManager[object]:
    """The intent is handed over and not waited for."""

    async def write_down(self: OrdersTask, orders: Sequence[SignedOrder]) -> None:
        self.account.journal.note(*map(Intent.of, orders))

    return mock.patch.object(OrdersTask, "_write_down", write_down)


def trading_without_a_journal() -> AbstractContextManager[object]:
    """A failed write is shrugged off: the next one may do."""
    run = SickDisk.run

    async def shrugging(self: SickDisk, work: Callable[[], None]) -> None:
        with suppress(JournalFailed):
            await run(self, work)

    return mock.patch.object(SickDisk, "run", shrugging)


@pytest.mark.parametrize(
    ("bug", "ail", "rule"),
    [
        (patient_with_the_disk, Ail.SLOW, "S9"),
        (writing_afterwards, Ail.SLOW, "S16"),
        (trading_without_a_journal, Ail.BROKEN, "S16"),
    ],
)
def test_a_planted_bug_is_found(bug: object, ail: Ail, rule: str) -> None:
    """Each by the rule that forbids it, and by no other."""
    with bug():  # type: ignore[operator]  # one of those above
        outcome = simulate(ailing("journal", ail), until=rule)

    assert broken(outcome) == {rule}


def test_the_limit_is_the_kernels_own(tmp_path: Path) -> None:
    """A write past it is cut short, the next one fails; after the body all is as it was."""
    with (tmp_path / "file").open("wb", buffering=0) as file:
        with files_of(10):
            assert file.write(b"x" * 16) == 10
            with pytest.raises(OSError, match="File too large") as failed:
                file.write(b"x")
        assert failed.value.errno == errno.EFBIG
        assert file.write(b"x" * 16) == 16


def an_intent(number: int) -> Intent:
    fields = (Outcome.UP, Side.BUY, 5_300, 10_000_000, TimeInForce.GTC, 0)
    return Intent(f"0x{number:064x}", "0xmarket", *fields, True, 1, "quote", b"{}")


def test_what_a_journal_forgets_is_witnessed(tmp_path: Path) -> None:
    """Every intent that goes, and none that stays: of those that are missing at the end of a life
    only these are excused (S16).
    """
    path, ids = tmp_path / "journal", {an_intent(number).order_id for number in range(7)}
    store = WitnessedStore.open(path, "simulation")
    assert isinstance(store, WitnessedStore)
    store.clock = mock.Mock(WrongClock, passed_s=lambda _: 0.0)
    store.confirmed, store.forgotten = {}, set()
    for number in range(7):
        ended = Ended("0xmarket", an_intent(number).order_id, "cancelled")
        store.append([(100 + number, an_intent(number)), (100 + number, ended)])
    store.append([(200, Closed("0xmarket", 0, 0, 0))])
    assert not store.forgotten

    store.keep_orders_ms = 0
    for _ in range(4):  # of four that go two are intents
        store.append([(200, Rearmed("somebody"))])
        assert store.forgotten == ids - intents_in(path) != set()
    assert store.forgotten == ids == store.confirmed.keys()
    store.close()


def test_disks_are_drawn_apart() -> None:
    """Every file and every ail comes up, and ends in time for the bot to be started again."""
    drawn = [trouble for seed in range(200) for trouble in draw(seed, 1.0).disks]

    assert {(one.file, one.ail) for one in drawn} == {(f, a) for f in FILES for a in Ail}
    assert all(one.at_s + one.for_s <= 3600 - 60 for one in drawn)
    assert Keep(disks=False).of(draw(7, 1.0)).disks == ()
