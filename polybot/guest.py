"""Paper on an exchange that somebody else started: `--world exchange:FILE`.

FILE holds the JSON line of `python -m polybot exchange`: URLs, a funded wallet, the speed of its
clock. The exchange outlives the bot, so the journal is kept as in a live run: this is how deaths
and restarts are rehearsed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import trio

from polybot.clock import Clock
from polybot.config import Config
from polybot.exchange.server import DemoWallet, Urls
from polybot.launch import (
    EXIT_ORDERS_LIVE,
    ask_exchange,
    build,
    demo_site,
    http_client,
    judged,
    open_journal,
    run_watched,
)
from polybot.options import BotOptions
from polybot.summary import Summary
from polybot.venue.secret import Credentials, Secret

KIND = "exchange:"
QUESTIONS = 20
PROMPT_S = 0.5  # of the exchange's time: an answer that came within it dates the clock well


@attrs.frozen
class Host:
    """A running exchange, as its JSON line describes it."""

    urls: Urls
    wallet: DemoWallet
    speed: float

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> Host:
        """Raises KeyError when something is missing; more than we know is fine."""
        urls = {field.name: line[field.name] for field in attrs.fields(Urls)}
        wallet = {field.name: line["wallet"][field.name] for field in attrs.fields(DemoWallet)}
        return cls(Urls(**urls), DemoWallet(**wallet), float(line["speed"]))

    @property
    def credentials(self) -> Credentials:
        wallet = self.wallet
        return Credentials(
            wallet.address, wallet.api_key, Secret(wallet.api_secret), Secret(wallet.passphrase)
        )

    def journal_path(self, folder: Path) -> Path:
        return folder / f"{self.wallet.address.lower()}.sqlite3"

    @property
    def owner(self) -> str:
        return f"{self.wallet.address.lower()} on {self.urls.clob}"


def host_of(world: str) -> Host | None:
    """The exchange a world text names; None for other worlds. Raises ValueError with the remedy."""
    if not world.startswith(KIND):
        return None
    path = Path(world.removeprefix(KIND))
    try:
        return Host.of_line(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        remedy = "give a file with the JSON line that `python -m polybot exchange` prints"
        raise ValueError(f"{path}: no running exchange ({error}); {remedy}") from None


async def run_guest(config: Config, options: BotOptions, host: Host) -> tuple[Summary, int]:
    """Trade as a guest. Call inside `trio.run`, on a clock of the host's speed."""
    store = open_journal(host.journal_path(Path(config.journal.folder)), host.owner)
    async with http_client() as http:
        clock = await clock_of(http, host)
        bot = build(
            config, options, clock, demo_site(host.urls), Secret(host.wallet.private_key),
            host.credentials, http, store, world=host.urls.clob, speed=host.speed,
        )  # fmt: skip
        code = await run_watched(bot)
        verdict = await ask_exchange(http, host.urls.admin, host.wallet.address)
        summary = judged(bot.summary(), verdict)
    store.close()
    return summary, EXIT_ORDERS_LIVE if summary.live_orders_at_exit else code


async def clock_of(http: httpx.AsyncClient, host: Host) -> Clock:
    """A clock that agrees with the exchange's, to half a round trip; both run at one rate.

    The first question may find the exchange busy with its own beginning; the answer to the second
    has come at once. Raises TimeoutError when none comes promptly.
    """
    for _ in range(QUESTIONS):
        asked = trio.current_time()
        state = await ask_exchange(http, host.urls.admin, host.wallet.address)
        if state is not None and trio.current_time() - asked < PROMPT_S * host.speed:
            return Clock(state["now_ms"] - (asked + trio.current_time()) / 2 * 1000)
    raise TimeoutError("the exchange does not answer promptly")
