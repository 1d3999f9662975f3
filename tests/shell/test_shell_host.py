"""An exchange that somebody else has started: what its answers are worth, and how a guest ends."""

from __future__ import annotations

from pathlib import Path

import attrs
import httpx
import pytest
from shell_kit import HOUR_MS, Scene, scene, shell_config

from polybot import guest, launch
from polybot.app import Bot
from polybot.config import JournalParams
from polybot.host import Host, ask_exchange
from polybot.options import BotOptions
from polybot.patient_clock import PatientClock
from polybot.venue.secret import Credentials, Secret

STATE = {"now_ms": 1, "live_orders": 0, "invalid_orders": 0, "equity": 5}


@pytest.mark.parametrize(
    ("status", "body", "taken"),
    [
        (200, STATE, True),
        (500, STATE, False),
        (404, {"detail": "Not Found"}, False),
        (200, {"detail": "Not Found"}, False),
        (200, {**STATE, "live_orders": None}, False),
        (200, [STATE], False),
        (200, None, False),
    ],
)
async def test_only_books_are_taken_for_books(status: int, body: object, taken: bool) -> None:
    """Another program may have the port by now: what it says ended the run's last lines in a
    KeyError, and the code that tells of orders was lost.
    """
    reply = httpx.Response(status, json=body)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: reply)) as http:
        assert await ask_exchange(http, "http://exchange/admin", "0x1") == (
            STATE if taken else None
        )


def host(it: Scene) -> Host:
    wallet, demo = it.venue.wallet, it.venue.demo_wallets
    return Host(
        it.bot.ctx.site, it.urls.admin, Secret(wallet.private_key),
        Credentials(
            wallet.address, wallet.api_key, Secret(wallet.api_secret), Secret(wallet.passphrase)
        ),
        demo.deposit, Secret(demo.relayer_api_key), it.bot.speed,
    )  # fmt: skip


@pytest.mark.parametrize(("answers", "code"), [(True, 0), (False, launch.EXIT_ORDERS_LIVE)])
async def test_a_guest_whose_host_does_not_answer_says_so(
    answers: bool, code: int, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The report tells of orders that may be live, and so does the code: it was 0."""

    async def over(_: Bot) -> int:
        return 0

    async def silent(*_: object) -> None:
        return None

    monkeypatch.setattr(guest, "run_watched", over)
    if not answers:
        monkeypatch.setattr(guest, "ask_exchange", silent)
    config = attrs.evolve(shell_config(), journal=JournalParams(str(tmp_path)))
    async with scene(at_ms=HOUR_MS + 10_000) as it:
        summary, ended = await guest.run_guest(config, BotOptions(Path("c.toml")), host(it))

    assert ended == code
    assert summary.live_orders_at_exit == (0 if answers else None)
