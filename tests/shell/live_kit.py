"""What a live run needs in a test: a key's configuration, and the program before a venue that is
ours.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from shell_kit import Scene, shell_config

from polybot import launch
from polybot.clock import Clock
from polybot.config import BotParams, Config, JournalParams, LiveParams
from polybot.exchange.terms import Terms
from polybot.options import BotOptions
from polybot.secrets_file import LiveKeys
from polybot.summary import Summary
from polybot.venue.secret import Secret

RUN_MS = 40_000
ANY_TIME = Terms(timestamp_tolerance_s=10**9)  # the official client signs with the machine's time


def live_config(it: Scene, folder: Path) -> Config:
    """What an operator writes: his key, his wallet, and whose money it is."""
    wallet = it.venue.wallet
    return attrs.evolve(
        shell_config(),
        bot=BotParams(mode="live", series=it.bot.ctx.config.bot.series),
        live=LiveParams(
            wallet=wallet.address, funder=it.venue.demo_wallets.deposit, signature_type=3
        ),
        keys=LiveKeys(
            Secret(wallet.private_key),
            it.venue.demo_wallets.deposit,
            None,
            Secret(it.venue.demo_wallets.relayer_api_key),
        ),
        journal=JournalParams(str(folder)),
    )


async def run(
    it: Scene, config: Config, monkeypatch: pytest.MonkeyPatch, run_ms: int = RUN_MS
) -> tuple[Summary, int]:
    """As the program does it, but for where Polymarket is and what time it is."""
    monkeypatch.setattr(launch, "POLYMARKET", it.bot.ctx.site)
    monkeypatch.setattr(Clock, "from_system", it.venue.clock.copy)
    return await launch.run_live(config, BotOptions(Path("config.toml"), run_ms=run_ms))
