"""Paper on an exchange that somebody else started: `--world exchange:FILE`.

The exchange outlives the bot, so the journal is kept as in a live run: this is how deaths and
restarts are rehearsed.
"""

from __future__ import annotations

from pathlib import Path

from polybot.composition import build
from polybot.config import Config
from polybot.host import Host, ask_exchange, clock_of
from polybot.launch import EXIT_ORDERS_LIVE, judged, open_journal, run_watched, summary_of
from polybot.options import BotOptions
from polybot.purse import Purse
from polybot.summary import Summary
from polybot.taping import tape_of, taping
from polybot.venue.rest import http_client


async def run_guest(config: Config, options: BotOptions, host: Host) -> tuple[Summary, int]:
    """Trade as a guest. Call inside `trio.run`, on a clock of the host's speed."""
    store = open_journal(host.journal_path(Path(config.journal.folder)), host.owner)
    async with http_client() as http:
        clock = await clock_of(http, host)
        wallet = host.credentials.address
        tape = tape_of(config, clock, wallet=wallet, speed=host.speed)
        bot = build(
            config, options, clock, host.site, host.private_key, host.credentials,
            Purse.deposit(host.deposit, host.relayer_key.reveal()), http, store,
            world=host.site.clob, speed=host.speed, tape=tape,
        )  # fmt: skip
        async with taping(tape):
            code = await run_watched(bot)
        verdict = await ask_exchange(http, host.admin, host.deposit)
        summary = judged(summary_of(bot), verdict)
    store.close()
    return summary, code if summary.live_orders_at_exit == 0 else EXIT_ORDERS_LIVE
