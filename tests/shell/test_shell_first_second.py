"""What is paid about the second in which a new journal reads its first balance, or a later start
finds that dollars have gone: stamps are whole seconds, balances trail the chain, and the index of
payments trails both. It is booked just once.
"""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from polybot.balances import Balances
from polybot.domain.ledger import Ledger
from polybot.domain.units import USD
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.journal.entries import Entry, Paid
from polybot.journal.recovery import apply
from polybot.payments import Payments
from polybot.restart import Restart
from polybot.venue.rest import Rest

BEGAN_S = 1_800_000_000
HAD = 40 * USD
LOOK_S, LOOKED_S = 20.0, 700.0


@attrs.define(eq=False)
class World:
    """A wallet that is paid so much at such times, as seconds after the first balance is asked for.
    A balance shows it `lag_s` later, and the index `index_s`; each answer takes `way_s`, half of it
    there and half of it back. `phase`: the part of a second in which it all begins. `gone`: what
    was taken out since the last run, which the journal does not know; None: it is a new one.
    """

    paid: tuple[tuple[float, int], ...]
    phase: float = 0.0
    lag_s: float = 0.0
    index_s: float = 0.0
    way_s: float = 0.0
    gone: int | None = None
    ledger: Ledger = attrs.field(factory=Ledger)
    booked: list[Paid] = attrs.field(factory=list)
    drifts: list[object] = attrs.field(factory=list)
    began: float = attrs.field(factory=trio.current_time)
    payments: Any = None

    def passed(self) -> float:
        return trio.current_time() - self.began

    def now_ms(self) -> int:
        return round((BEGAN_S + self.phase + self.passed()) * 1000)

    def now_ns(self) -> int:
        return self.now_ms() * 1_000_000

    async def balance(self, _: object) -> int:
        await trio.sleep(self.way_s / 2)
        shown = HAD + sum(much for at_s, much in self.paid if self.passed() >= at_s + self.lag_s)
        await trio.sleep(self.way_s / 2)
        return shown

    async def server_time(self) -> int:
        await trio.sleep(self.way_s / 2)
        now_s = self.now_ms() // 1000
        await trio.sleep(self.way_s / 2)
        return now_s

    async def refresh(self, _: object) -> None:
        await trio.sleep(self.way_s)

    def index(self, request: httpx.Request) -> httpx.Response:
        rows: list[dict[str, Any]] = [
            {
                "type": "DEPOSIT", "transaction_hash": f"0x{number}", "usdc_size": much / USD,
                "timestamp": int(BEGAN_S + self.phase + at_s), "condition_id": "",
            }
            for number, (at_s, much) in enumerate(self.paid)
            if self.passed() >= at_s + self.index_s
        ]  # fmt: skip
        rows = [row for row in rows if row["timestamp"] >= int(request.url.params["start"])]
        page = {"has_more": False, "next_cursor": None}
        return httpx.Response(200, json={"data": rows, "pagination": page})

    async def learn(self, *facts: Entry) -> None:
        for fact in facts:
            self.booked += [fact] if isinstance(fact, Paid) else []
            apply(self.ledger, fact, self.now_ms())

    async def live(self) -> None:
        """A start, and looks of the reconciler for ten minutes."""
        clock: Any = SimpleNamespace(now_ms=self.now_ms, now_ns=self.now_ns)
        account: Any = SimpleNamespace(
            ledger=self.ledger, learn=self.learn, health=Health(Admission()), moving=set(),
            overdue={}, placed_in=lambda _: False, since_s=BEGAN_S, read=trio.lowlevel.checkpoint,
        )  # fmt: skip
        client: Any = SimpleNamespace(
            balance=self.balance, server_time=self.server_time, refresh=self.refresh
        )
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.index)) as http:
            payments = Payments(Rest(http, "http://data", clock), account, "0xwallet")
            if self.gone is not None:
                self.ledger.deposit(HAD + self.gone, "the last run")
                payments.since_s = BEGAN_S - 10_000
            ctx: Any = SimpleNamespace(
                clock=clock, account=account, client=client, tell=lambda _: None,
                recovered=SimpleNamespace(since_s=self.gone, markets={}),
                reconciler=SimpleNamespace(
                    payments=payments, read_trades=account.read, moved_again=account.read
                ),
            )  # fmt: skip
            await Restart(ctx, trio.sleep_forever)._agree_on_cash()
            balances = Balances(client, clock, account)
            while self.passed() < LOOKED_S:
                self.drifts += await balances.compare(doubt=payments.doubt_s > 0)
                await payments.look(surplus=balances.surplus, more=balances.more)
                await trio.sleep(LOOK_S)
        self.payments = payments


def right(world: World) -> bool:
    """Every dollar is in the books once, with its row where it came behind the first balance."""
    had = HAD + sum(much for _, much in world.paid)
    return world.ledger.cash == had and not world.drifts and not world.payments.doubt_s


TIMES = (-40.0, -31.0, -1.0, -0.3, 0.0, 0.05, 0.15, 0.25, 0.35, 0.7, 1.2, 40.0)


@pytest.mark.parametrize(
    "gone", [None, 0, USD, 100 * USD], ids=["a first balance", "none gone", "less gone", "gone"]
)
@pytest.mark.parametrize("lag_s", [0.0, 2.0, 29.0])
@pytest.mark.parametrize("index_s", [0.0, 45.0, 400.0])
async def test_a_payment_about_a_start(
    lag_s: float, index_s: float, gone: int | None, autojump_clock: MockClock
) -> None:
    """Before, while and after it is read, in each part of a second, shown at once or late: what
    was paid in that very second, or not shown yet, was never booked, and halted as drift; where
    dollars had gone meanwhile, it was booked once more (brief seed 10596).
    """
    for at_s, phase, way_s in itertools.product(TIMES, (0.0, 0.6), (0.0, 0.2)):
        world = World(((at_s, 3 * USD),), phase, lag_s, index_s, way_s, gone)
        await world.live()
        assert right(world), world


async def test_payments_one_after_the_other(autojump_clock: MockClock) -> None:
    """Some are in the first balance and some are not, and the index tells them in any order."""
    for seed in range(200):
        rng = random.Random(seed)
        times = (rng.choice((-20.0, -1.0, 0.0, 0.5, 1.0, 20.0)) + rng.random() for _ in range(3))
        world = World(
            tuple((at_s, rng.choice((1, 10_000, 2 * USD, 5 * USD))) for at_s in times),
            rng.random(), rng.choice((0.0, 5.0, 25.0)), rng.choice((0.0, 20.0, 200.0)),
            rng.choice((0.0, 0.1, 0.6)),
        )  # fmt: skip
        await world.live()
        assert right(world), (seed, world)
