"""A live run from its keys to its end, before a venue that is ours: what nobody may find out first
with his own money.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import attrs
import httpx
import pytest
import trio
from live_kit import ANY_TIME, live_config, run
from py_clob_client_v2.http_helpers import helpers
from shell_kit import HOUR_MS, scene
from tls_kit import Certificate, front
from venue_bent import answer

from polybot import launch, summary
from polybot.app import Bot
from polybot.clock import Clock
from polybot.console.log import bot_log
from polybot.domain.orders import Failure
from polybot.journal.store import live_journal_place
from polybot.patient_clock import PatientClock
from polybot.program import main
from polybot.summary import Summary
from polybot.venue import lean_http, sockets
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet
from polybot.venue.site import Site
from polybot.watchdog import READY

SHORT_MS = 20_000


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Where the log goes is asked once in a process, and here it is to be on this test's stderr."""
    bot_log.cache_clear()
    yield
    bot_log.cache_clear()


SHORT_MS = 20_000


async def test_from_a_key_alone(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], manager: socket.socket,
) -> None:  # fmt: skip
    """Credentials are derived, the venue is examined, its switch tried, both sides quoted; at the
    end nothing rests. The next run believes the switch, and goes on with the same books.
    """
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        config = live_config(it, tmp_path)
        first, code = await run(it, config, monkeypatch)
        tried, *placed = (event.order for event in it.venue.placed())
        again, code_again = await run(it, config, monkeypatch, SHORT_MS)
        later = [event.order for event in it.venue.placed()][1 + len(placed) :]
        equity = it.venue.engine.equity(it.venue.demo_wallets.deposit)

    assert (code, code_again) == (0, 0)
    assert manager.recv(100) == READY
    assert (first.mode, first.exit_reason, first.live_orders_at_exit) == ("live", "time is up", 0)
    assert (tried.price, tried.post_only, tried.matched) == (tried.market.tick, True, 0)
    assert len(placed) > 2, "and then it quoted"
    assert (first.quoted_share or 0) > 0.5
    assert later
    assert all(order.price > order.market.tick for order in later), "the switch is believed"
    assert again.equity_bot == equity
    assert live_journal_place(tmp_path, it.venue.wallet.address)[0].exists()
    said = "".join(capfd.readouterr())
    assert "dead-man switch certified" in said
    assert "ERROR" not in said, "there is a key already, which is none"
    assert it.venue.wallet.private_key.removeprefix("0x") not in said


async def test_a_summary_that_breaks(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The exit code outlives it: 3 became 1, or 2 where it was a ValueError, after which no service
    manager starts us again.
    """

    def broken(_bot: Bot) -> Summary:
        raise ValueError("cannot convert float NaN to integer")

    monkeypatch.setattr(Bot, "summary", broken)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        config = live_config(it, tmp_path)
        monkeypatch.setattr(launch, "run_watched", watched_by_nobody)
        told, code = await run(it, config, monkeypatch)

    assert code == launch.EXIT_ORDERS_LIVE
    assert (told.mode, told.exit_reason) == ("live", "error: Bug; the summary broke")


async def watched_by_nobody(bot: Bot) -> int:
    """A run that has ended badly."""
    bot.exit_reason = "error: Bug"
    await trio.lowlevel.checkpoint()
    return launch.EXIT_ORDERS_LIVE


async def test_orders_that_cannot_be_read_at_the_end(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody knows whether any rest: the code says so, and the summary claims no number."""
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it, trio.open_nursery() as nursery:
        config, found = live_config(it, tmp_path), list[tuple[Summary, int]]()

        async def live() -> None:
            found.append(await run(it, config, monkeypatch))

        nursery.start_soon(live)
        await it.quoting()
        it.venue.bend("GET", "/data/orders", act=answer(500))
        await it.until(lambda: bool(found), "the end", 400)
        ((summary, code),) = found

    assert code == launch.EXIT_ORDERS_LIVE
    assert summary.live_orders_at_exit is None


async def test_one_reading_that_fails_at_the_end(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bot has proven that nothing rests: an answer that is missing afterwards makes no code 3,
    on which a service manager would start a run again that was meant to end.
    """
    watched = launch.run_watched

    async def and_then(bot: Bot) -> int:
        code = await watched(bot)
        it.venue.bend("GET", "/data/orders", act=answer(500), times=2)
        return code

    monkeypatch.setattr(launch, "run_watched", and_then)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        summary, code = await run(it, live_config(it, tmp_path), monkeypatch)

    assert (code, summary.live_orders_at_exit) == (0, 0)


async def test_figures_that_cannot_be_drawn_up(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bug in the summary of a night: the code still says that orders may be live, which was lost
    to it, and the summary whatever else is known.
    """

    async def unproven(bot: Bot) -> int:
        bot.exit_reason = "signal"
        return launch.EXIT_ORDERS_LIVE

    def broken(_: Bot) -> Summary:
        raise KeyError("figures")

    monkeypatch.setattr(launch, "run_watched", unproven)
    async with scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it:
        monkeypatch.setattr(Bot, "summary", broken)
        summary, code = await run(it, live_config(it, tmp_path), monkeypatch)

    assert code == launch.EXIT_ORDERS_LIVE
    told = (summary.mode, summary.world, summary.exit_reason)
    assert told == ("live", "Polymarket", "signal; the summary broke")
    assert summary.live_orders_at_exit == 0


@asynccontextmanager
async def behind_tls(site: Site, certificate: Certificate) -> AsyncGenerator[Site]:
    """The same venue, spoken to as the real one is: every service by https or wss."""
    async with AsyncExitStack() as stack:
        found: dict[str, str] = {}
        for name, url in attrs.asdict(site).items():
            if not url:
                continue
            parts = urlsplit(url)
            port = await stack.enter_async_context(front(parts.port or 80, certificate))
            found[name] = urlunsplit((f"{parts.scheme}s", f"localhost:{port}", *parts[2:]))
        yield attrs.evolve(site, **found)


@pytest.fixture
def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


@pytest.fixture
def official(trusting: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(verify=trusting) as client:
        yield client


async def test_over_tls(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    certificate: Certificate, trusting: ssl.SSLContext, official: httpx.Client,
) -> None:  # fmt: skip
    """Requests, streams, both official clients: as on the day itself, but for who has signed."""
    monkeypatch.setattr(lean_http, "_tls_context", lambda: trusting)
    monkeypatch.setattr(sockets, "tls_context", lambda: trusting)
    # What the official clients read: one of them when it is imported, the other for each wallet.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setattr(helpers, "_http_client", official)
    async with (
        scene(at_ms=HOUR_MS + 10_000, terms=ANY_TIME) as it,
        behind_tls(it.bot.ctx.site, certificate) as site,
    ):
        it.bot.ctx.site = site
        summary, code = await run(it, live_config(it, tmp_path), monkeypatch)

    assert (code, summary.live_orders_at_exit) == (0, 0)
    assert (summary.quoted_share or 0) > 0.5
    assert summary.equity_bot == it.venue.engine.equity(it.venue.demo_wallets.deposit)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A command line of a live run, with all that its configuration needs. Its clock is right."""

    async def right(*_: object) -> Clock:
        return Clock.from_system()

    monkeypatch.setattr(launch, "punctual", right)
    wallet = Wallet(Secret(f"0x{'11' * 32}"))
    file = tmp_path / "live.toml"
    file.write_text(f'[bot]\nmode = "live"\n[live]\nwallet = "{wallet.address}"\n')
    monkeypatch.setenv("PM_PRIVATE_KEY", f"0x{'11' * 32}")
    return ["--config", str(file), "--mode", "live", "--summary", str(tmp_path / "summary.json")]


def test_a_fault_of_a_live_run_is_no_bad_configuration(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A ValueError that nobody foresaw was told as a start that cannot be, with the code on which a
    service manager never starts the program again. What it left at the venue nobody knows, which
    was said, and not by the code.
    """

    async def strange(*_: object) -> Failure:
        raise ValueError("a strange body")

    monkeypatch.setattr(launch, "derive_credentials", strange)

    assert main(words) == launch.EXIT_ORDERS_LIVE

    said = capsys.readouterr().err
    assert "cannot start" not in said
    assert "ORDERS MAY STILL BE LIVE" in said
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["world"], told["exit_reason"]) == ("Polymarket", "error: ValueError")


def test_what_the_preflight_forbids_is_told_in_a_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the code on which it is not started again: only an operator can mend it."""

    async def forbidden(*_: object) -> Failure:
        raise launch.StartRefused("the preflight found: an approval is missing")

    monkeypatch.setattr(launch, "derive_credentials", forbidden)

    assert main(words) == launch.EXIT_CONFIG
    said = "cannot start: the preflight found: an approval is missing\n"
    assert capsys.readouterr().err == said


def test_a_summary_that_cannot_be_written_down_costs_no_code(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in it that JSON has no word for."""

    def broken(*_: object) -> None:
        raise TypeError("no JSON")

    async def refused(*_: object) -> Failure:
        return Failure("no API credentials: HTTP 401", refused=True)

    monkeypatch.setattr(launch, "derive_credentials", refused)
    monkeypatch.setattr(summary, "write", broken)

    assert main(words) == launch.EXIT_STORAGE


def test_no_credentials(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The reason in a line, no traceback; the summary has it as well."""

    async def refused(*_: object) -> Failure:
        return Failure("no API credentials: HTTP 401", refused=True)

    monkeypatch.setattr(launch, "derive_credentials", refused)

    code = main(words)

    assert code == launch.EXIT_OTHER
    said = capsys.readouterr().err
    assert said.startswith("cannot start: no API credentials: HTTP 401\nno order was sent;")
    assert "LIVE" not in said
    assert "error: no API credentials: HTTP 401" in (tmp_path / "summary.json").read_text()
