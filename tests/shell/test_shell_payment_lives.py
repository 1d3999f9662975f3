"""Random lives of a wallet that is paid, deposited to and withdrawn from, by an index that lags."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from polybot.domain.ledger import Ledger
from polybot.domain.orders import Failure
from polybot.domain.units import USD
from polybot.journal.entries import UNKNOWN_ORIGIN, Entry, Paid
from polybot.journal.recovery import Recovered, apply, carried, recover
from polybot.journal.store import Stamped
from polybot.payments import Payments
from polybot.restart import Restart
from polybot.venue.rest import Rest

AHEAD_S, DEAF = 60, Failure("503")
LIVES = 150
BEGAN_S = 1_800_000_000
LAGS_S = (0, 0, 300, 4_000, 9_000)  # of the index, and of the transaction in its rows
SETTLED_S = 20_000


class Life:
    """A wallet, what the index will tell of it, and the journal of its runs."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s, self.cash = BEGAN_S, 1_000 * USD
        self.paid, self.brought = 0, self.cash
        self.rows: list[tuple[int, int, dict[str, Any]]] = []  # when told, and when wholly
        self.journal: list[tuple[int, Entry]] = []
        self.ledger = Ledger()
        self.payments: Any = None  # of the run under way

    def now_ms(self) -> int:
        return self.now_s * 1000

    def now_ns(self) -> int:
        return self.now_s * 10**9

    def index(self, request: httpx.Request) -> httpx.Response:
        since_s = int(request.url.params["start"])
        told = [
            row | {"transaction_hash": row["transaction_hash"] if self.now_s >= whole_s else ""}
            for told_s, whole_s, row in self.rows
            if row["timestamp"] >= since_s and told_s <= self.now_s
        ]
        return httpx.Response(200, json={"data": told, "pagination": {"has_more": False}})

    async def learn(self, *facts: Entry) -> None:
        for fact in facts:
            self.journal.append((self.now_ms(), fact))
            apply(self.ledger, fact, self.now_ms())

    async def start(self, http: httpx.AsyncClient) -> None:
        """As `Restart` does it, with balances that follow at once."""
        found = recover(Stamped(n, at_ms, it) for n, (at_ms, it) in enumerate(self.journal))
        self.ledger, first = found.ledger, found.since_s is None
        clock: Any = SimpleNamespace(now_ms=self.now_ms, now_ns=self.now_ns)
        account: Any = SimpleNamespace(learn=self.learn)
        made = self.payments = Payments(
            Rest(http, "http://data", clock), account, "0xwallet", found.payments,
            unexplained=found.unexplained, found_s=found.found_s,
        )  # fmt: skip
        made.since_s = self.now_s if found.since_s is None else found.since_s
        if not first:
            await made.read()
        change = self.cash - self.ledger.cash
        if change:
            await self.learn(Paid("deposit", change, "at first" if first else UNKNOWN_ORIGIN))
        made.found(0 if first else change, self.now_s)
        sums = (made.since_s, made.recent(), made.unexplained, made.found_s)
        self.journal.append((self.now_ms(), carried(self.ledger, *sums)))

    def pay(self) -> None:
        """A payment, or a deposit that the index lists."""
        dollars, kind = self.rng.randint(1, 20), self.rng.choice(("REWARD", "DEPOSIT"))
        self.move(dollars, of_program=kind == "REWARD")
        told_s = self.now_s + self.rng.choice(LAGS_S)
        row = {
            "type": kind, "transaction_hash": f"0x{len(self.rows)}", "timestamp": self.now_s,
            "usdc_size": float(dollars), "condition_id": "",
        }  # fmt: skip
        self.rows.append((told_s, told_s + self.rng.choice(LAGS_S), row))

    def move(self, dollars: int, *, of_program: bool = False) -> None:
        self.cash += dollars * USD
        self.paid += dollars * USD * of_program
        self.brought += dollars * USD * (not of_program)

    async def step(self, http: httpx.AsyncClient) -> None:
        self.now_s += self.rng.choice((60, 600, 3_600, 7_200))
        chosen, down = self.rng.random(), self.payments is None
        if chosen < 0.35:
            self.pay()
        elif chosen < 0.7 and down:
            self.move(self.rng.randint(-100, 50))  # nobody tells of it
        elif chosen > 0.8 and down:
            await self.start(http)
        elif chosen > 0.8:
            self.payments = None
        elif not down:
            await self.payments.read()

    async def run(self) -> None:
        transport = httpx.MockTransport(self.index)
        async with httpx.AsyncClient(transport=transport) as http:
            await self.start(http)
            for _ in range(self.rng.randint(5, 40)):
                await self.step(http)
            self.now_s += SETTLED_S
            if self.payments is None:
                await self.start(http)
            await self.payments.read()
            await self.payments.read()


async def test_what_was_paid_and_what_was_brought_are_told_apart() -> None:
    """Whatever was down when, and whenever the index told what of a row: at the end cash, payments
    and capital are to the micro-dollar what they are.
    """
    for seed in range(LIVES):
        life = Life(seed)
        await life.run()
        found = life.ledger.cash, life.ledger.received(), life.ledger.capital
        assert found == (life.cash, life.paid, life.brought), seed


@pytest.mark.parametrize("off_s", [-30, 0, 30], ids=["behind", "right", "ahead"])
@pytest.mark.parametrize("paid_at", [3, 50, 65])
async def test_what_comes_while_a_journal_begins(
    paid_at: int, off_s: int, autojump_clock: MockClock
) -> None:
    """A first start has the time, and waits a minute for what is on its way. What is paid meanwhile
    is in the balance that it then reads, whatever its clock says and though its row is read later,
    also by the next start; it was booked twice (brief seeds 230, 992). What comes after is new.
    """
    journal: list[Entry] = []
    ledger = Ledger()

    def now_s() -> int:
        return BEGAN_S + int(trio.current_time() - began)

    async def balance(_: object) -> int:
        return (12 if now_s() >= BEGAN_S + paid_at else 9) * USD

    async def time() -> int | Failure:
        return now_s()

    async def nothing(*_: object) -> None:
        return None

    async def learn(*facts: Entry) -> None:
        for fact in facts:
            journal.append(fact)
            apply(ledger, fact, now_s() * 1000)

    def index(request: httpx.Request) -> httpx.Response:
        row = {
            "type": "DEPOSIT", "transaction_hash": "0x1", "timestamp": BEGAN_S + paid_at,
            "usdc_size": 3.0, "condition_id": "",
        }  # fmt: skip
        page = {"has_more": False, "next_cursor": None}
        return httpx.Response(200, json={"data": [row], "pagination": page})

    began = trio.current_time()
    clock: Any = SimpleNamespace(
        now_ms=lambda: (now_s() + off_s) * 1000, now_ns=lambda: (now_s() + off_s) * 10**9
    )
    account: Any = SimpleNamespace(
        ledger=ledger, learn=learn, since_s=0, journal=SimpleNamespace(note=lambda *_: None)
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(index)) as http:
        rest = Rest(http, "http://data", clock)
        payments = Payments(rest, account, "0xwallet")
        ctx: Any = SimpleNamespace(
            clock=clock, account=account, tell=lambda _: None,
            client=SimpleNamespace(refresh=nothing, balance=balance, server_time=time),
            recovered=Recovered(), reconciler=SimpleNamespace(payments=payments),
        )  # fmt: skip
        start = Restart(ctx, nothing)  # type: ignore[arg-type]  # nothing to resolve
        account.since_s = await start._first_second()
        await trio.sleep(60)
        await start._agree_on_cash()
        sums = payments.recent(), payments.unexplained, payments.found_s, payments.since_s
        journal.append(carried(ledger, account.since_s, *sums))
        await trio.sleep(120)
        await payments.read()
        found = recover(Stamped(n, 0, it) for n, it in enumerate(journal))
        again = Payments(rest, account, "0xwallet", found.payments)
        again.since_s = found.paid_s
        await again.read()

    assert ledger.cash == 12 * USD
    assert account.since_s <= BEGAN_S


@pytest.mark.parametrize(("deaf", "venue_s", "shown", "found"), [
    (None, BEGAN_S, 9, (0, BEGAN_S)),
    (None, BEGAN_S, 7, (-2 * USD, BEGAN_S)),
    (DEAF, BEGAN_S, 9, None),
    (DEAF, BEGAN_S, 7, (-2 * USD, BEGAN_S)),
    (None, DEAF, 9, None),
    (None, DEAF, 7, (-2 * USD, BEGAN_S + AHEAD_S)),
])  # fmt: skip
async def test_a_start_compares_what_the_venue_has_just_looked_up(
    deaf: Failure | None,
    venue_s: int | Failure,
    shown: int,
    found: tuple[int, int] | None,
    autojump_clock: MockClock,
) -> None:
    """Its figure may not follow what was paid until it is told to look (clob.md 5.1): what agreed
    with such a one would be taken for cash that has the payment in it. So would what is paid next,
    by a clock that is ahead.
    """
    asked: list[str] = []
    told: list[tuple[int, int]] = []

    async def refresh(_: object) -> Failure | None:
        asked.append("look")
        return deaf

    async def balance(_: object) -> int:
        asked.append("balance")
        return shown * USD

    async def time() -> int | Failure:
        return venue_s

    async def nothing(*_: object) -> None:
        return None

    ledger = Ledger()
    ledger.deposit(9 * USD, "a test")
    payments = SimpleNamespace(read=nothing, known={}, found=lambda *those: told.append(those))
    ctx: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: (BEGAN_S + AHEAD_S) * 1000),
        client=SimpleNamespace(refresh=refresh, balance=balance, server_time=time),
        recovered=SimpleNamespace(since_s=BEGAN_S, markets={}),
        account=SimpleNamespace(ledger=ledger, learn=nothing),
        reconciler=SimpleNamespace(payments=payments, read_trades=nothing, moved_again=nothing),
        tell=lambda _: None,
    )
    await Restart(ctx, nothing)._agree_on_cash()  # type: ignore[arg-type]  # nothing to resolve

    assert asked[:2] == ["look", "balance"]
    assert told == ([found] if found else [])
