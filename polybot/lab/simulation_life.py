"""One life of the simulated bot, as its operating system has it: program, files, connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from polybot.app import Bot
from polybot.clock import Clock
from polybot.composition import build
from polybot.journal.recorder import Recorder, TapeParams
from polybot.journal.tape import Header, Kind, Reader, TapeError
from polybot.lab.lockstep import Lockstep
from polybot.lab.simulation_case import DiskTrouble
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_disk import SickDisk, WitnessedStore, paced, tape_size
from polybot.lab.simulation_trace import LifeTrace
from polybot.launch import demo_site
from polybot.options import BotOptions
from polybot.purse import Purse
from polybot.venue.lean_http import LeanClient
from polybot.venue.relayer import SdkWay
from polybot.venue.secret import Credentials, Secret

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation


@attrs.define(eq=False)
class Process:
    """`heir` is the journal that the next life begins with; `code` that of an end of its own."""

    owner: str
    bot: Bot
    http: httpx.AsyncClient
    store: WitnessedStore
    tape: Recorder
    heir: Path
    clock: WrongClock
    trace: LifeTrace
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    code: int | None = None
    killed: bool = False

    @property
    def journal(self) -> Path:
        return self.store.path

    def tape_faults(self) -> Iterator[str]:
        """What is wrong with the tape as it lies: all that was handed to the disk is there."""
        read, why = 0, "no file"
        for path in self.tape.files():
            try:
                with Reader(path) as tape:
                    read += sum(event.kind is not Kind.TOLD for event in tape.events())
                    why = tape.damage.why if tape.damage is not None else "whole"
            except TapeError as error:
                why = str(error)
        if read < self.tape.written:
            yield f"{self.tape.written} events were written and {read} can be read: {why}"


def put_together(simulation: Simulation, owner: str, journal: Path) -> Process:
    """A bot that has not begun, by the program's own composition root."""
    store = WitnessedStore.open(journal, "simulation")
    assert isinstance(store, WitnessedStore)
    terms = simulation.case.clock
    clock = WrongClock.beside(simulation.exchange.clock, terms.skew_ms, terms.drift_ppm)
    store.confirmed, store.forgotten = simulation.confirmed, simulation.forgotten
    store.clock = clock
    tape = _tape(simulation, owner, clock)
    trace = LifeTrace(simulation.trace, tape)
    if simulation.tapes is not None:
        trace.tape = []
        simulation.tapes.append(trace.tape)
    bot = _bot(simulation, store, clock, http := LeanClient(), trace)
    disk = _disk(simulation, "journal")
    disk.store = store
    disk.pace = paced(f"pace {simulation.case.seed} {owner}", simulation.case.pace_ms)
    bot.ctx.account.journal.disk = disk
    return Process(owner, bot, http, store, tape, journal, clock, trace)


def _disk(simulation: Simulation, file: str) -> SickDisk:
    ours: tuple[DiskTrouble, ...] = tuple(t for t in simulation.case.disks if t.file == file)
    return SickDisk(ours, simulation.now_s, simulation.counts)


def _tape(simulation: Simulation, owner: str, clock: Clock) -> Recorder:
    run = owner.replace(" ", "-")
    header = Header(run, 0, clock.now_ms(), "", {})
    disk = _disk(simulation, "tape")
    folder = simulation.folder / "tapes"
    tape = Recorder(clock, TapeParams(), folder, header, disk=disk)
    disk.size = lambda: tape_size(tape)
    return tape


def _bot(
    simulation: Simulation,
    store: WitnessedStore,
    clock: Clock,
    http: httpx.AsyncClient,
    trace: LifeTrace,
) -> Bot:
    wallet, relayer_key = (
        simulation.exchange.wallet,
        simulation.exchange.demo_wallets.relayer_api_key,
    )
    secret, phrase = Secret(wallet.api_secret), Secret(wallet.passphrase)
    bot = build(
        simulation.config,
        BotOptions(Path("config.toml")),
        clock,
        demo_site(simulation.urls),
        Secret(wallet.private_key),
        Credentials(wallet.address, wallet.api_key, secret, phrase),
        Purse.of_kind(simulation.case.means.signature_type, simulation.address, relayer_key),
        http,
        store,
        world="simulation",
        speed=simulation.config.paper.speed,
        certify=simulation.case.certify,
        tape=trace,
    )
    way = bot.inventory.way
    assert isinstance(way, SdkWay)
    way.run_sync = Lockstep(http).run_sync
    bot.ctx.health.on_halt.append(simulation.halts.halted)
    return bot
