"""`python -m polybot lab crash-sweep`: kill the real bot at a thousand of its steps and start it
again, each time on what the dead one left on the disk.

One exchange sees a row of bots, one after another, on one wallet. Each dies at a drawn step of a
drawn kind (`deaths.Where`); a sniper takes its orders meanwhile and after its death. Of every life
is asked what a death must not cost (S3, S4, S16, F63):

- every order that has reached the exchange has its intent in the journal that survived;
- no order reached it twice;
- nothing was placed before venue and journal agreed, nor while an order of an earlier life rested;
- the file that was left is sound, and after the next start the books are the exchange's to the
  micro-dollar, explained by evidence: no money was booked as of unknown origin.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import orjson
import trio

from polybot.app import Bot
from polybot.config import Config
from polybot.exchange.model import Event, OrderEvent, Status
from polybot.exchange.net import Service, serve
from polybot.exchange.request import Request, Response
from polybot.exchange.server import Exchange, Urls
from polybot.execution.inventory import InventoryParams
from polybot.in_flight import GRACE_S
from polybot.journal.store import Store
from polybot.lab import numbers
from polybot.lab.agreement import differences
from polybot.lab.deaths import RELAYED, Fate, Killed, MortalStore, Where, take_image
from polybot.lab.places import file_place
from polybot.lab.shares import each_of
from polybot.lab.stage import (
    PLACING,
    Handler,
    Sniper,
    Taps,
    bot_before,
    lab_config,
    serving,
    until,
)
from polybot.patient_clock import PatientClock

RATE = 100.0
INTENSITY = 0.03
OWNER = "crash sweep"
LIVES = 20  # on one exchange
STEPS_MOST = 40  # a life's last step is drawn up to here
LIFE_S = 150.0  # a life whose step does not come dies anyway: its last act is then no step
START_S = 60.0
GONE_MOST_S = 15.0  # dead for so long: beyond it the venue's heartbeat has cancelled everything
SNIPED, SNIPE_WITHIN_S = 0.4, 1.0
OPEN = {Status.LIVE, Status.DELAYED}


@attrs.frozen
class Death:
    """One point of the sweep and everything wrong about it."""

    seed: int
    number: int
    where: Where
    step: int
    came: bool  # the drawn step has come
    appends: int
    wrong: tuple[str, ...] = ()


@attrs.define(eq=False)
class Row:
    """A row of lives before one exchange, and what the exchange has seen of them."""

    exchange: Exchange
    urls: Urls
    http: httpx.AsyncClient
    config: Config
    orders: dict[str, int] = attrs.field(factory=dict)  # order id → the life that placed it
    posted: Counter[str] = attrs.field(factory=Counter)  # by the order's signature
    life: int = 0
    bot: Bot | None = None
    fate: Fate | None = None
    wrong: list[str] = attrs.field(factory=list)

    @contextmanager
    def life_of(self, number: int, fate: Fate) -> Iterator[Store]:
        """The journal of a life; what happens after the block happens while nobody lives."""
        self.life, self.fate, self.wrong = number, fate, []
        store = MortalStore.under(fate, OWNER)
        try:
            yield store
        finally:
            store.close()
            self.bot, self.fate = None, None

    def hear(self, event: Event) -> None:
        """Hear of every order that the exchange accepts."""
        if not isinstance(event, OrderEvent) or event.kind != "PLACEMENT":
            return
        if event.order.account != self.exchange.demo_wallets.deposit:
            return
        if self.bot is None or not placed_by(self.bot, event.order.id):
            # It was on the wire when its bot died.
            self.orders[event.order.id] = self.life - (self.bot is not None)
            return
        self.orders[event.order.id] = self.life
        if not self.bot.ready:
            self.wrong.append(f"{event.order.id[:10]} placed before venue and journal agreed")
        older = [o for o, life in self.orders.items() if life < self.life and self._rests(o)]
        if older:
            self.wrong.append(f"placed while {len(older)} orders of an earlier life rest")

    def _rests(self, order_id: str) -> bool:
        order = self.exchange.engine.orders.get(order_id)
        return order is not None and order.status in OPEN

    async def around(self, request: Request, handle: Handler) -> Response:
        """Note every order on the wire, also those that will be refused."""
        if request.method == "POST" and request.path in PLACING:
            said = orjson.loads(request.body)
            for one in said if isinstance(said, list) else [said]:
                signature = one["order"]["signature"]
                self.posted[signature] += 1
                if self.posted[signature] > 1:
                    self.wrong.append("an order was sent twice")
        return await handle(request)

    async def sending(self, request: httpx.Request) -> None:
        if self.fate is not None:
            await self.fate.sending(request)

    async def answered(self, request: httpx.Request) -> None:
        if self.fate is not None:
            await self.fate.answered(request)

    async def relayed(self, request: Request) -> Response:
        """The door of the life under way to the relayer."""
        assert self.fate is not None
        handle = self.exchange.chain.service_relayer.http
        assert handle is not None, "a REST service answers requests"
        self.exchange.advance(self.exchange.clock.now_ms())
        return await self.fate.relayed(request, handle)

    def left(self, journal: Path) -> Iterator[str]:
        """What is wrong with the journal a death has left."""
        with sqlite3.connect(journal) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
            rows = database.execute("SELECT body FROM entries WHERE kind = 'Intent'").fetchall()
        database.close()
        if verdict != "ok":
            yield f"corrupt: {verdict}"
        intents = {orjson.loads(body)["order_id"] for (body,) in rows}
        lost = len(self.orders.keys() - intents)
        if lost:
            yield f"{lost} orders without an intent"

    def agreed(self) -> list[str]:
        """What is wrong when venue and journal have just been made to agree."""
        assert self.bot is not None
        ctx = self.bot.ctx
        unexplained = [e.text for e in ctx.events if "differs from the journal" in e.text]
        halted = [f"halted: {name}" for name in ctx.health.halted]
        return [*differences(self.bot, self.exchange), *halted, *unexplained]


def placed_by(bot: Bot, order_id: str) -> bool:
    """Whether it is this bot that has placed an order, and none before it."""
    known = bot.ctx.account.owner(order_id) is not None
    return known and order_id not in bot.ctx.recovered.intents


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="polybot lab crash-sweep", allow_abbrev=False,
        description="Kill the bot at many of its steps and start it again on what it left.",
    )  # fmt: skip
    parser.add_argument("--points", type=numbers.count, default=1000, help="deaths in all (1000)")
    parser.add_argument("--seed", type=numbers.seed, default=1)
    parser.add_argument(
        "--done", type=file_place, metavar="FILE",
        help="note finished rows there, and leave those out that it has",
    )  # fmt: skip
    said = parser.parse_args(argv)
    before = _read(said.done)
    count = -(-max(1, said.points) // LIVES)
    seeds = [said.seed + n for n in range(count) if said.seed + n not in before]
    deaths = [death for row in before.values() for death in row]
    for row in each_of(row_of_seed, seeds):
        deaths += row
        if said.done is not None:
            with said.done.open("ab") as file:
                file.write(line_of(row))
        bad = sum(bool(one.wrong) for one in deaths)
        sys.stderr.write(f"{len(deaths)} of {count * LIVES} deaths, {bad} wrong\n")
        sys.stderr.flush()
    sys.stdout.write("\n".join(report(deaths)) + "\n")
    return 1 if any(one.wrong for one in deaths) else 0


def line_of(row: Sequence[Death]) -> bytes:
    """A finished row for the file of `--done`."""
    return orjson.dumps([{**attrs.asdict(one), "where": one.where.value} for one in row]) + b"\n"


def _read(done: Path | None) -> dict[int, list[Death]]:
    """The rows an earlier, interrupted run has finished, by seed."""
    if done is None or not done.exists():
        return {}
    rows = [orjson.loads(text) for text in done.read_bytes().splitlines()]
    found = [
        [
            Death(**{**one, "where": Where(one["where"]), "wrong": tuple(one["wrong"])})
            for one in row
        ]
        for row in rows
    ]
    return {row[0].seed: row for row in found}


def row_of_seed(seed: int, lives: int = LIVES) -> list[Death]:
    """A row in this process."""
    return trio.run(row_of_lives, seed, lives, clock=PatientClock(RATE))


async def row_of_lives(seed: int, lives: int) -> list[Death]:
    """Let so many bots live and die, and a last one end in good order."""
    taps = Taps()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        row: Row | None = None

        async def around(request: Request, handle: Handler) -> Response:
            return await (handle(request) if row is None else row.around(request, handle))

        taps.around = around
        async with (
            serving(seed=seed, intensity=INTENSITY, taps=taps) as (exchange, urls, http),
            trio.open_nursery() as others,
        ):
            row = Row(exchange, urls, http, sweep_config(seed))
            http.event_hooks = {"request": [row.sending], "response": [partial(_answered, row)]}
            exchange.engine.listeners.append(row.hear)
            rng = random.Random(f"crash sweep {seed}")
            others.start_soon(Sniper.on(exchange, rng, share=SNIPED, within_s=SNIPE_WITHIN_S).run)
            deaths = [await _one_life(row, seed, number, place) for number in range(lives)]
            wrong = await _last_life(row, place / f"{lives}" / "journal")
            others.cancel_scope.cancel()
    deaths[-1] = attrs.evolve(deaths[-1], wrong=(*deaths[-1].wrong, *wrong))
    return deaths


def sweep_config(seed: int) -> Config:
    """Quotes until late in a window, and pairs merged a few at a time."""
    usual = lab_config(seed, RATE)
    late = attrs.evolve(usual.quote, stop_twap_s=20.0, stop_move=0.5, cutoff_twap_s=10.0)
    often = InventoryParams(merge_shares=5, merge_equity_percent=0)
    return attrs.evolve(usual, quote=late, inventory=often)


async def _answered(row: Row, response: httpx.Response) -> None:
    await row.answered(response.request)


async def _one_life(row: Row, seed: int, number: int, place: Path) -> Death:
    rng = random.Random(f"crash sweep {seed} {number}")
    where = rng.choice(list(Where))
    step = 1 if where in RELAYED else rng.randint(1, STEPS_MOST)
    journal, image = (place / f"{n}" / "journal" for n in (number, number + 1))
    fate = Fate(where, step, journal, image, rng)
    with row.life_of(number, fate) as store:
        try:
            await _live(row, store, fate)
        except* Killed:
            pass
        came = fate.dead
        if not came:
            fate.dead = True
            take_image(journal, image)
    await trio.sleep(rng.uniform(0, GONE_MOST_S))
    wrong = [*row.wrong, *row.left(image)]
    return Death(seed, number, where, fate.step, came, fate.appends, tuple(wrong))


async def _live(row: Row, store: Store, fate: Fate) -> None:
    """Run a bot until it is killed or its time is over; raises Killed (in a group)."""
    async with trio.open_nursery() as nursery:
        await _born(row, store, nursery, nursery)
        await trio.sleep(LIFE_S)
        fate.strike()


async def _born(row: Row, store: Store, nursery: trio.Nursery, doors: trio.Nursery) -> Bot:
    """Start a bot behind a door of its own, and see venue and journal agree."""
    door = await doors.start(serve, Service(row.relayed, None), 0)
    urls = attrs.evolve(row.urls, relayer=f"http://127.0.0.1:{door}")
    bot = row.bot = bot_before(row.exchange, urls, row.http, store, row.config)
    patience_s = START_S + (GRACE_S if bot.ctx.recovered.operations else 0)
    nursery.start_soon(bot.run)
    try:
        await until(lambda: bot.ready, every_s=0.05, within_s=patience_s)
    except trio.TooSlowError:
        row.wrong.append(f"not ready within {patience_s:g} s")
    else:
        row.wrong += row.agreed()
    return bot


async def _last_life(row: Row, journal: Path) -> list[str]:
    """A bot that ends in good order: nothing rests, and the books are the exchange's."""
    fate = Fate(Where.SENDING, 0, journal, journal.with_name("image"), random.Random(0))
    with row.life_of(row.life + 1, fate) as store:
        async with trio.open_nursery() as doors:
            async with trio.open_nursery() as nursery:
                bot = await _born(row, store, nursery, doors)
                await trio.sleep(5)
                # What the chain does after the end, the books of this run cannot know.
                await until(
                    lambda: not bot.inventory.under_way.flights, every_s=0.05, within_s=GRACE_S
                )
                bot.stop("the sweep is over")
            doors.cancel_scope.cancel()
        row.wrong += differences(bot, row.exchange)
        if not bot.empty or row.exchange.engine.live_orders(row.exchange.wallet.api_key):
            row.wrong.append("orders rest at the end")
    return row.wrong


# --- the report ---------------------------------------------------------------------------------


def report(deaths: Sequence[Death]) -> Iterator[str]:
    for where in Where:
        mine = [one for one in deaths if one.where is where]
        came = sum(one.came for one in mine)
        yield f"{where.value:40} {len(mine):5} deaths, {came} at the drawn step"
    bad = [one for one in deaths if one.wrong]
    for one in bad:
        yield f"WRONG seed {one.seed}, life {one.number}, {one.where.value}: {'; '.join(one.wrong)}"
    yield (
        f"{len(deaths)} deaths, {sum(one.appends for one in deaths)} journal steps lived through, "
        f"{len(bad)} wrong"
    )
