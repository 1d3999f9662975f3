"""The doctor's checks of this machine: secrets, whose key it is, journal, disk, halts; and of what
the wallet holds beside the journal.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import trio

from polybot.config_read import Fault
from polybot.domain.halts import what_to_do
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.journal.lock_file import holder
from polybot.journal.recovery import recover
from polybot.journal.store import JournalCorrupt, JournalFailed, Store
from polybot.operator.findings import Check, Finding, failed, ok, warning
from polybot.operator.patient import Patient
from polybot.secrets_file import read_file
from polybot.venue.data_reads import positions
from polybot.venue.derived import NAMES, wallets

MEGABYTE = 1_000_000
DISK_LEAST = 100 * MEGABYTE  # some three hours of a busy series' journal
DISK_GOOD = 1_000 * MEGABYTE
WORTH_LEAST = 10_000  # 10⁻⁶ dollars: a cent
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SHOWN = 3  # markets, in a finding of one line
UNTAKEN = (
    "what another version wrote needs that one; else a start puts it aside and halts: see "
    "docs/operations.md"
)


async def configuration(patient: Patient) -> Finding:
    """What was read: a configuration with faults never comes this far."""
    where = "Polymarket" if patient.live else patient.site.clob
    series = ", ".join(patient.config.bot.series)
    return ok(f"{series} on {where}, settings {patient.config.digest[:12]}")


async def secrets_file(patient: Patient) -> Finding:
    path = patient.secrets_file
    if path is None:
        return ok("no file named: keys come from the environment" if patient.live else "not needed")
    faults: list[Fault] = []
    read_file(path, faults)
    if faults:
        return failed(str(faults[0]), f"chmod 600 {path}, owned by the user who runs the bot")
    return ok(f"{path} is ours alone")


async def proxies(_patient: Patient) -> Finding:
    return proxies_of(os.environ)


def proxies_of(environment: Mapping[str, str]) -> Finding:
    """An operator behind a proxy learns here that none is used: connections are our own, each
    counted and timed, and a detour that holds them up is no way to the venue. The venue's own
    package, which is asked for the API key alone, takes it.
    """
    named = [name for name in PROXIES for name in (name, name.lower()) if environment.get(name)]
    if not named:
        return ok("none named")
    return warning(
        f"{', '.join(named)}: not used but to ask for the API key, all else goes straight",
        "where only a proxy leads out, let this machine out by itself: by a route, or a tunnel",
    )


async def key_and_funder(patient: Patient) -> Finding:
    """The money must be where this key's orders may take it (clob.md 3.3, onchain.md 5)."""
    kind, address = patient.signature_type, patient.wallet.address
    derived = [one.lower() for one in wallets(address, kind)]
    if patient.funder.lower() not in derived:
        return failed(
            f"{patient.funder} is not {NAMES[kind]} of {address}",
            f"its own would be {' or '.join(wallets(address, kind))}; check live.funder and "
            "live.signature_type",
        )
    if patient.credentials.address.lower() != address.lower():
        return failed("the API key belongs to another wallet", "derive the API key from this one")
    return ok(f"{address} signs for {NAMES[kind]}, {patient.funder}")


async def journal(patient: Patient) -> Finding:
    """Whose it is, and that it can be written: opened as a start would, and let go."""
    assert patient.journal is not None
    return await trio.to_thread.run_sync(_journal, patient.journal, patient.owner)


def _journal(path: Path, owner: str) -> Finding:
    pid = holder(path)
    if pid is not None:
        return warning(f"{path} is in use by process {pid}", "an engine is running on this wallet")
    if not path.exists():
        return _can_begin(path)
    try:
        store = Store.open(path, owner)
    except JournalCorrupt as error:
        return failed(str(error), "the disk or a copy has damaged it: see docs/operations.md")
    except JournalFailed as error:
        return failed(str(error), "see the text; the journal of another wallet is never taken over")
    try:
        known = recover(store.live())
        state = "ended in order" if known.orderly else "did not end by itself"
        doubtful = len(known.doubtful)
        return ok(f"{path}: the last run {state}, {doubtful} orders to look up")
    except JournalFailed as error:
        return failed(str(error), UNTAKEN)
    finally:
        store.close()


async def shares(patient: Patient) -> Finding:
    """What the wallet holds and no journal knows – of a journal that is gone, or bought by hand –
    is nobody's to redeem, and windows of which it holds any are skipped.
    """
    assert patient.journal is not None
    known = await trio.to_thread.run_sync(_known, patient.journal, patient.owner)
    if known is None:
        return ok("not looked at: the journal cannot be read now")
    held = await positions(patient.rest(patient.site.data), patient.funder)
    if isinstance(held, Failure):
        return warning(held.what, "the venue's site shows what the wallet holds")
    strange = [one for one in held if one.value >= WORTH_LEAST and one.condition_id not in known]
    if not strange:
        return ok("the journal knows all that the wallet holds")
    worth = amount_text(sum(one.value for one in strange))
    slugs = sorted({one.slug for one in strange})
    more = f" and {len(slugs) - SHOWN} more" if len(slugs) > SHOWN else ""
    return warning(
        f"shares worth {worth} dollars that the journal does not know: "
        f"{', '.join(slugs[:SHOWN])}{more}",
        "redeem or sell them on the venue's site; windows under way that hold any are skipped",
    )


def _known(path: Path, owner: str) -> frozenset[str] | None:
    """The markets of a journal; None where it cannot be opened."""
    if not path.exists():
        return frozenset()
    try:
        store = Store.open(path, owner)
        try:
            return frozenset(recover(store.live()).markets)
        finally:
            store.close()
    except JournalFailed:
        return None


def _can_begin(path: Path) -> Finding:
    """Nothing is created: the nearest folder that exists must let us."""
    folder = next(one for one in path.absolute().parents if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return failed(f"{folder} cannot be written", "chown the folder, or name another: [journal]")
    return ok(f"{path} will be begun by the first run")


async def disk_space(patient: Patient) -> Finding:
    place, free = await trio.to_thread.run_sync(_free, Path(patient.config.journal.folder))
    found = f"{free // MEGABYTE:,} MB free at {place}"
    remedy = "make room: a journal that cannot be written stops trading (exit code 4)"
    if free < DISK_LEAST:
        return failed(found, remedy)
    return ok(found) if free >= DISK_GOOD else warning(found, remedy)


def _free(folder: Path) -> tuple[Path, int]:
    whole = folder.absolute()
    place = next(one for one in (whole, *whole.parents) if one.exists())
    return place, shutil.disk_usage(place).free


async def halts(patient: Patient) -> Finding:
    """Halts of earlier runs. With the journal in use its owner knows them better."""
    assert patient.journal is not None
    return await trio.to_thread.run_sync(_halts, patient.journal, patient.owner)


def _halts(path: Path, owner: str) -> Finding:
    if not path.exists():
        return ok("none: no journal yet")
    try:
        store = Store.open(path, owner)
        try:
            found = recover(store.live()).halts
        finally:
            store.close()
    except JournalFailed:
        return warning(
            "not known: the journal cannot be opened now", "see the check of the journal"
        )
    if not found:
        return ok("none")
    name, why = next(iter(found.items()))
    return failed(f"{name}: {why}", f"{what_to_do(name)} Then `python -m polybot rearm`.")


CHECKS = (
    Check("configuration", configuration),
    Check("secrets file", secrets_file),
    Check("proxies", proxies),
    Check("key and funder", key_and_funder, preflight=True),
    Check("journal", journal),
    Check("halts", halts),
    Check("shares", shares),
    Check("disk space", disk_space, preflight=True),
)
