"""An operator's `stop --now` in a simulated life: beside a bot that lives, or after its death.

The command is the production one, in a task in place of a process: its requests go over the same
network in memory, the engine is told by a real signal, and the halt is written into the real
journal. The machine's clock is as wrong as the bot's was when it started.
"""

from __future__ import annotations

import io
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import attrs
import httpx

from polybot.clock import Clock
from polybot.lab.memory_net import OWNER
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_life import Process
from polybot.launch import demo_site
from polybot.operator.access import Access
from polybot.operator.stop import EXIT_CLEAN, EXIT_ORDERS_LIVE, halt, stop_now
from polybot.purse import Purse
from polybot.venue.clob import ClobClient
from polybot.venue.secret import Credentials, Secret

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation

OPERATOR = "operator"


@attrs.frozen(kw_only=True)
class Desk(Access):
    """What the operator knows of the wallet, on a machine with this clock."""

    clock: Clock
    purse: Purse

    async def client(self, http: httpx.AsyncClient, timeout_s: float) -> ClobClient:
        assert self.credentials is not None, "the simulation gives them"
        return ClobClient(
            http, self.site, self.credentials, self.clock, funder=self.purse.funder,
            signature_type=self.purse.signature_type, timeout_s=timeout_s,
        )  # fmt: skip


async def empty(sim: Simulation, process: Process) -> bool:
    """Run the command. What it says must be so: that nothing rests, and that the next start is
    halted. Returns whether it has said that nothing rests, nor can come.
    """
    desk, said = _desk(sim, process), io.StringIO()
    owner = OWNER.set(OPERATOR)
    with redirect_stdout(said), redirect_stderr(said):
        code = await stop_now(desk, desk.clock.now_ms, _tell)
        if process.killed and desk.journal != process.heir:
            # It left at the second signal: the journal as it lay then is another file here.
            halt(attrs.evolve(desk, journal=process.heir), desk.clock.now_ms())
    OWNER.reset(owner)
    words = said.getvalue().replace(str(os.getpid()), "N")  # a seed is one hash in any process
    sim.trace.note(f"stop --now ends with {code}: {words}")
    _judge(sim, code, words)
    return code == EXIT_CLEAN


def _judge(sim: Simulation, code: int, said: str) -> None:
    live = sim.watch.live()
    if code == EXIT_CLEAN and live:
        sim.watch.break_("S15", f"{len(live)} orders rest after a stop --now that says none does")
    elif code == EXIT_ORDERS_LIVE and sim.lives.untroubled() and not _cut_off(sim):
        sim.watch.break_("L4", f"stop --now without any fault: {said}")
    elif code not in (EXIT_CLEAN, EXIT_ORDERS_LIVE):
        sim.watch.break_("S12", f"stop --now ended with {code}: {said}")


def _cut_off(sim: Simulation) -> bool:
    """Whether anything was wrong with a link, and may be; or the venue is further away than an
    operator waits (brief seed 9204).
    """
    links = not sim.rules.calm and any(what.startswith("link ") for what in sim.counts)
    return links or sim.case.far


def _desk(sim: Simulation, process: Process) -> Desk:
    wallet, terms = sim.exchange.wallet, sim.case.clock
    clock = WrongClock.beside(sim.exchange.clock, terms.skew_ms, terms.drift_ppm)
    secret, phrase = Secret(wallet.api_secret), Secret(wallet.passphrase)
    return Desk(
        config=sim.config,
        site=demo_site(sim.urls),
        private_key=Secret(wallet.private_key),
        credentials=Credentials(wallet.address, wallet.api_key, secret, phrase),
        journal=process.heir,
        owner="simulation",
        clock=clock,
        purse=Purse.of_kind(sim.case.means.signature_type, sim.address, ""),
    )


def _tell(_: int, number: signal.Signals) -> None:
    signalled(number)


def signalled(number: signal.Signals) -> bool:
    """Send it to this process, where the bot listens to it: at its very end it does no more, and
    the process with all its bots would go.
    """
    heard = signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    if heard:
        os.kill(os.getpid(), number)
    return heard
