"""The beginning of a live run: what it waits for, and what is heard of it meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from live_kit import ANY_TIME, RUN_MS, live_config, run
from shell_kit import HOUR_MS, scene
from venue_bent import answer

from polybot import launch
from polybot.clock import Clock
from polybot.console.log import bot_log
from polybot.domain.orders import Failure
from polybot.journal.store import Store
from polybot.operator.preflight import AGAIN_S
from polybot.options import BotOptions
from polybot.patient_clock import PatientClock
from polybot.restart import StartFailed
from polybot.venue.keys import derive_credentials
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site
from polybot.watchdog import READY


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Where the log goes is asked once in a process, and here it is to be on this test's stderr."""
    bot_log.cache_clear()
    yield
    bot_log.cache_clear()


async def test_a_journal_that_takes_long_to_open(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each page of it is looked at, of a year of trading as well, and the service manager ends who
    is silent for a minute, at every start anew: the loop turns meanwhile.
    """
    opened, turned = launch.open_journal, list[bool]()

    def slow(path: Path, owner: str) -> Store:
        with suppress(RuntimeError):  # who holds up the loop cannot ask it for anything
            trio.from_thread.run_sync(turned.append, True)
        return opened(path, owner)

    monkeypatch.setattr(launch, "open_journal", slow)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        it.venue.clob.geoblock.country = "US"
        with pytest.raises(launch.StartRefused, match=r"(?s)preflight found.*geoblock"):
            await run(it, live_config(it, tmp_path), monkeypatch)
    assert turned == [True]


async def test_a_start_while_the_venue_is_away(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], manager: socket.socket,
) -> None:  # fmt: skip
    """Neither keys nor anything else can be asked for: the start waits, says so once, and the
    service manager hears meanwhile that it is alive. Then it trades.
    """
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        away = [
            it.venue.bend(*ask, act=answer(503), times=3)
            for ask in (("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key"),
                        ("GET", "/auth/api-keys"), ("GET", "/time"))
        ]  # fmt: skip
        summary, code = await run(it, live_config(it, tmp_path), monkeypatch)
        assert all(one.met == one.times for one in away)
        assert len(it.venue.placed()) > 1

    assert (code, summary.live_orders_at_exit) == (0, 0)
    assert manager.recv(100) == READY
    said = "".join(capfd.readouterr())
    assert said.count("the start waits: API credentials: /auth/api-keys: HTTP 503") == 1


async def test_a_clock_that_is_set_after_the_boot(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a machine without a battery, whose network comes up late as well: the time service sets
    the machine's clock, not ours, which was read before. A start that waited for ours did so in
    vain; and by a wrong one a venue gives no keys, which ends a start at once, five times an hour.
    """
    monkeypatch.setattr("polybot.operator.preflight.PASSES_WITHIN_S", 60.0)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        set_at, asked = trio.current_time() + 3 * AGAIN_S, list[float]()

        def from_system() -> Clock:
            read = it.venue.clock.copy()
            read.set_right(0 if trio.current_time() >= set_at else -3_600_000)
            return read

        async def keys(site: Site, key: Secret) -> Credentials | Failure:
            asked.append(trio.current_time())
            return await derive_credentials(site, key)

        it.venue.bend("GET", "/time", act=answer(503), times=1)
        monkeypatch.setattr(launch, "POLYMARKET", it.bot.ctx.site)
        monkeypatch.setattr(launch, "derive_credentials", keys)
        monkeypatch.setattr(Clock, "from_system", from_system)
        options = BotOptions(Path("config.toml"), run_ms=RUN_MS)
        summary, code = await launch.run_live(live_config(it, tmp_path), options)
        assert len(it.venue.placed()) > 1

    assert (code, summary.live_orders_at_exit) == (0, 0)
    assert len(asked) == 1
    assert asked[0] >= set_at, "they are asked for by the machine's time"


async def test_a_start_that_waits_in_vain(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It ends as a start that may be made again, which is what a service manager does; and the
    journal is let go.
    """
    monkeypatch.setattr("polybot.operator.preflight.PASSES_WITHIN_S", 12.0)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        it.venue.bend("GET", "/balance-allowance", act=answer(502))
        for _ in range(2):
            with pytest.raises(StartFailed, match=r"(?s)preflight found.*HTTP 502"):
                await run(it, live_config(it, tmp_path), monkeypatch)
        assert not it.venue.placed()


async def test_no_credentials_in_time(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same for the keys; those that are refused are not asked for again."""
    monkeypatch.setattr("polybot.operator.preflight.PASSES_WITHIN_S", 12.0)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        for status, least in ((503, 2), (401, 1)):
            asked = len(it.venue.asked("GET", "/auth/derive-api-key"))
            it.venue.bend("POST", "/auth/api-key", act=answer(status))
            it.venue.bend("GET", "/auth/derive-api-key", act=answer(status))
            with pytest.raises(StartFailed, match=f"no API credentials: HTTP {status}"):
                await run(it, live_config(it, tmp_path), monkeypatch)
            tries = len(it.venue.asked("GET", "/auth/derive-api-key")) - asked
            assert tries >= least
            assert (tries == 1) is (status == 401)
