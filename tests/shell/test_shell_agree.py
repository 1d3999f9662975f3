"""What a start takes for granted of the wallet and what it does not: cash, shares, trades."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock

from polybot.domain.halts import Halt
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import Failure, FillLeg, OrderRow, OrderSeen, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, USD
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.journal.entries import UNKNOWN_ORIGIN, Paid
from polybot.restart import (
    AGREE_S,
    ANSWER_S,
    BEFORE_S,
    LISTED_S,
    OPERATIONS_S,
    SETTLING_S,
    Restart,
    StartFailed,
)

KEY, TEN, NOW_S = MARKET.condition_id, 10 * SHARE, 1_795_201_110
SILENT = Failure("GET: HTTP 503")
CONFIRMED, MATCHED = TradeStatus.CONFIRMED, TradeStatus.MATCHED


def bought(status: TradeStatus = CONFIRMED, at_ms: int = 0, trade_id: str = "t1") -> TradeSeen:
    leg = FillLeg("0x1", MARKET.up_token, Side.BUY, 5000, TEN, maker=True)
    return TradeSeen(trade_id, KEY, status, (leg,), at_ms)


def row(order_id: str) -> OrderRow:
    kind = OrderSeen.Kind.LIVE
    return OrderRow(order_id, KEY, MARKET.up_token, Side.BUY, 4000, TEN, 0, kind, "LIVE")


@attrs.define(eq=False)
class Scene:
    """Books with a hundred dollars, five of which became ten Up, and a venue that agrees."""

    first: bool = False
    there: dict[str | None, Any] = attrs.field(factory=dict)
    shown: dict[str | None, Any] = attrs.field(factory=dict)  # after it looked at the chain
    listed: list[Any] = attrs.field(factory=lambda: [[]])  # trades; the last ones for ever
    after_s: int = 0
    venue_s: Any = NOW_S
    learnt: list[Any] = attrs.field(factory=list)
    told: list[str] = attrs.field(factory=list)
    found: list[tuple[int, int]] = attrs.field(factory=list)
    read: list[str] = attrs.field(factory=list)
    compared: list[tuple[Outcome, int]] = attrs.field(factory=list)
    ledger: Ledger = attrs.field(factory=Ledger)
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    ctx: Any = None

    def __attrs_post_init__(self) -> None:
        me: Any = self
        if not self.first:
            self.ledger.deposit(100 * USD, "a test")
            self.ledger.open(MARKET)
            self.ledger.book(bought())
        self.there = {None: 95 * USD, MARKET.up_token: TEN, MARKET.down_token: 0}
        payments = SimpleNamespace(
            since_s=0, known={}, found=lambda *those: self.found.append(those)
        )
        payments.begin = lambda _, since_s: setattr(payments, "since_s", since_s)
        payments.read = self._step("payments")
        reconciler = SimpleNamespace(
            payments=payments, read_until_s=0, read_trades=self._read_trades,
            moved_again=self._step("moved again"),
            balances=SimpleNamespace(found=lambda _, *those: self.compared.append(those)),
        )  # fmt: skip
        recovered = SimpleNamespace(
            since_s=None if self.first else NOW_S - 3_600, paid_s=NOW_S - 60,
            read_until_s=NOW_S - 30, markets={} if self.first else {KEY: MARKET}, doubtful=[],
        )  # fmt: skip
        self.ctx = SimpleNamespace(
            account=SimpleNamespace(ledger=self.ledger, learn=self._learn, since_s=0, begun_s=0),
            client=me, clock=SimpleNamespace(now_ms=lambda: (NOW_S + 5) * 1000 + 999),
            health=self.health, reconciler=reconciler, recovered=recovered, tell=self.told.append,
        )  # fmt: skip

    @property
    def start(self) -> Restart:
        return Restart(self.ctx, self._resolved)

    def _step(self, name: str) -> Any:
        async def step(*_: object) -> None:
            await trio.lowlevel.checkpoint()
            self.read.append(name)

        return step

    async def _resolved(self) -> bool:
        await trio.lowlevel.checkpoint()
        self.read.append("operations")
        return len(self.read) > 2

    async def _read_trades(self) -> Failure | None:
        answer = await self.trades(after_s=0)
        if isinstance(answer, Failure):
            return answer
        self.read.append("trades")
        for trade in answer:
            self.ledger.book(trade)
        return None

    async def _learn(self, *facts: object) -> None:
        await trio.lowlevel.checkpoint()
        self.learnt += facts

    async def trades(self, *, after_s: int) -> Any:
        await trio.lowlevel.checkpoint()
        self.after_s = after_s
        shown = self.listed[0]
        if len(self.listed) > 1:
            del self.listed[0]
        return shown

    async def balance(self, token: str | None) -> Any:
        await trio.lowlevel.checkpoint()
        return self.there[token]

    async def refresh(self, _: str | None) -> None:
        await trio.lowlevel.checkpoint()
        self.there |= self.shown

    async def server_time(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self.venue_s


# --- cash ------------------------------------------------------------------------------------


async def test_cash_that_agrees_is_no_payment(autojump_clock: MockClock) -> None:
    """Payments of before are in it, and told to who looks for them."""
    it = Scene()
    await it.start._agree_on_cash()
    assert (it.learnt, it.told, it.found) == ([], [], [(0, NOW_S)])
    assert it.read == ["payments"]
    assert it.ctx.account.begun_s == 0


@pytest.mark.parametrize("dollars", [7 * USD, -7 * USD])
async def test_cash_that_came_or_went_is_booked_and_told(
    autojump_clock: MockClock, dollars: int
) -> None:
    """After what is owed to the venue's own delay, and with the venue's time, not ours."""
    it, began = Scene(), trio.current_time()
    it.there[None] += dollars
    await it.start._agree_on_cash()

    assert it.learnt == [Paid("deposit", dollars, UNKNOWN_ORIGIN)]
    assert it.found == [(dollars, NOW_S)]
    assert len(it.told) == 1
    assert trio.current_time() - began >= AGREE_S
    assert {"trades", "moved again"} <= {*it.read}, "it may have been traded, or merged twice"


async def test_a_first_start_begins_with_what_there_is(autojump_clock: MockClock) -> None:
    """Once the venue has looked at the chain; it knows of nothing to wait for, and tells nobody."""
    it = Scene(first=True, shown={None: 60 * USD})
    await it.start._agree_on_cash()

    assert it.learnt == [Paid("deposit", 60 * USD, "balance at the start")]
    assert (it.told, it.found) == ([], [(0, NOW_S)])
    assert it.ctx.account.begun_s == it.ctx.reconciler.payments.since_s == NOW_S
    assert "payments" not in it.read


@pytest.mark.parametrize("change", [0, USD])
async def test_a_venue_without_a_time_has_not_looked(
    autojump_clock: MockClock, change: int
) -> None:
    """What is found counts by our clock; what is not is none that was found."""
    it = Scene(venue_s=SILENT)
    it.there[None] += change
    await it.start._agree_on_cash()
    assert it.found == ([(change, NOW_S + 5)] if change else [])


async def test_a_balance_that_follows_late_is_waited_for(autojump_clock: MockClock) -> None:
    """Its answer may fail on the way; one that fails for ever ends the start."""
    it = Scene()
    it.there[None] = SILENT
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.start._agree_on_cash)
        await trio.sleep(ANSWER_S - 1)
        it.there[None] = 90 * USD
        await trio.sleep(AGREE_S - 1)
        it.there[None] = 95 * USD
    assert it.learnt == []

    it.there[None] = SILENT
    with pytest.raises(StartFailed, match="503"):
        await it.start._agree_on_cash()


# --- both sides of a trade -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "patient"),
    [
        ({}, False),
        ({MARKET.up_token: TEN + 4 * SHARE}, True),
        ({MARKET.down_token: SHARE}, True),
        ({MARKET.down_token: SILENT}, True),
        ({MARKET.up_token: TEN - 4 * SHARE}, False),
    ],
)
async def test_dollars_that_a_trade_may_have_taken_are_waited_for(
    autojump_clock: MockClock, others: dict[str | None, Any], *, patient: bool
) -> None:
    """Where shares have come for them, or nobody knows: for as long as a trade may be listed late.
    They were booked as gone, and once more when it was.
    """
    it, began = Scene(), trio.current_time()
    it.there |= {None: 93 * USD, **others}
    await it.start._agree_on_cash()
    assert (trio.current_time() - began >= LISTED_S) is patient
    assert it.learnt == [Paid("deposit", -2 * USD, UNKNOWN_ORIGIN)]

    it = Scene()
    it.there |= {None: 90 * USD, **others}
    it.listed = [[]] * 30 + [[bought(trade_id="t2")], []]
    await it.start._agree_on_cash()
    assert (it.learnt == []) is patient, "it is listed within that time"


async def test_shares_that_a_trade_may_have_brought_are_waited_for(
    autojump_clock: MockClock,
) -> None:
    """The other side is the cash."""
    it = Scene()
    it.there |= {None: 90 * USD, MARKET.up_token: 2 * TEN}
    it.listed = [[]] * 30 + [[bought(trade_id="t2")], []]
    await it.start._agree_on_shares(MARKET)
    assert it.health.halted == {}


# --- shares ----------------------------------------------------------------------------------


async def test_shares_that_nobody_explains_halt(autojump_clock: MockClock) -> None:
    """Of either outcome; what was read is handed on, and not read again at once."""
    for token in (MARKET.up_token, MARKET.down_token):
        it = Scene()
        await it.start._agree_on_shares(MARKET)
        assert it.health.halted == {}
        assert it.compared == [(Outcome.UP, TEN), (Outcome.DOWN, 0)]
        it.there[token] += SHARE
        await it.start._agree_on_shares(MARKET)
        assert [*it.health.halted] == [Halt.SHARES_DIFFER.value]


async def test_what_has_lost_and_is_not_held_is_nobodys_business(
    autojump_clock: MockClock,
) -> None:
    """It lies in the wallet, where somebody has redeemed the others, and is worth nothing."""
    it = Scene()
    it.ledger.resolve(KEY, SHARE)
    it.there[MARKET.down_token] = TEN
    await it.start._agree_on_shares(MARKET)
    assert it.compared == [(Outcome.UP, TEN)]
    assert it.health.halted == {}


# --- trades ----------------------------------------------------------------------------------


async def test_trades_are_read_from_where_the_last_run_was(autojump_clock: MockClock) -> None:
    """Asked for until they are answered; who cannot read them cannot start."""
    it = Scene()
    it.listed = [SILENT, SILENT, []]
    await it.start._catch_up()
    assert it.read == ["trades"]
    assert it.ctx.account.since_s == NOW_S - 3_600
    assert it.ctx.account.begun_s == it.ctx.reconciler.payments.since_s == NOW_S - 60
    assert it.ctx.reconciler.read_until_s == NOW_S - 30

    it.listed = [SILENT]
    with pytest.raises(StartFailed):
        await it.start._catch_up()


@pytest.mark.parametrize(
    ("trades", "waits"),
    [
        ([], False),
        ([bought(CONFIRMED, (NOW_S - 61) * 1000)], False),
        ([bought(MATCHED, (NOW_S - 61) * 1000)], True),
        ([bought(CONFIRMED, (NOW_S - 60) * 1000)], True),
    ],
)
async def test_a_new_journal_waits_for_trades_of_before(
    autojump_clock: MockClock, trades: list[TradeSeen], *, waits: bool
) -> None:
    """Until they have settled, and for the first minute whatever those of the minute before say:
    others may not be listed yet. The earlier of both clocks counts, and what trails them is waited
    for.
    """
    it, began = Scene(first=True), trio.current_time()
    it.listed = [trades, trades, [bought(CONFIRMED, 0)]]
    await it.start._catch_up()
    assert it.ctx.account.since_s == NOW_S
    assert it.after_s == NOW_S - BEFORE_S
    assert (trio.current_time() - began >= AGREE_S) is waits

    it = Scene(first=True, venue_s=NOW_S + 60)
    await it.start._catch_up()
    assert it.ctx.account.since_s == NOW_S + 5, "by our own clock, if it is behind"


async def test_trades_of_the_minute_before_count_for_a_minute(autojump_clock: MockClock) -> None:
    """And those that never settle end the start, as do those that cannot be read."""
    it, began = Scene(first=True), trio.current_time()
    it.listed = [[bought(CONFIRMED, NOW_S * 1000)]]
    await it.start._catch_up()
    assert LISTED_S <= trio.current_time() - began < LISTED_S + 2 * AGREE_S

    for trades, why in (([bought(MATCHED)], "have not settled"), (SILENT, "could not be read")):
        it, began = Scene(first=True), trio.current_time()
        it.listed = [trades]
        with pytest.raises(StartFailed, match=why):
            await it.start._catch_up()
        assert trio.current_time() - began >= SETTLING_S - 1


async def test_a_time_that_is_not_told_is_asked_for_again(autojump_clock: MockClock) -> None:
    """From when on trades count cannot be guessed."""
    it = Scene(first=True, venue_s=SILENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.start._catch_up)
        await trio.sleep(60)
        it.venue_s = NOW_S
    assert it.ctx.account.since_s == NOW_S

    it.venue_s = SILENT
    with pytest.raises(StartFailed, match="time"):
        await it.start._catch_up()


# --- what the last run has asked for ---------------------------------------------------------


async def test_transactions_of_the_last_run_are_followed_to_their_end(
    autojump_clock: MockClock,
) -> None:
    """Trades are read beside them; one without an end is for the operator."""
    it = Scene()
    await it.start._resolve_operations()
    assert it.read == ["operations", "trades", "operations"]

    async def never() -> bool:
        await trio.lowlevel.checkpoint()
        return False

    began = trio.current_time()
    with pytest.raises(StartFailed):
        await Restart(it.ctx, never)._resolve_operations()
    assert trio.current_time() - began >= OPERATIONS_S - 1


# --- the whole of it -------------------------------------------------------------------------


async def test_a_start_takes_its_steps_in_their_order(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is believed of money while an order of ours may rest, and its record comes last."""
    it = Scene()
    for name in ("_catch_up", "_resolve_operations", "_agree_on_cash", "_agree_on_shares"):
        monkeypatch.setattr(Restart, name, it._step(name))
    monkeypatch.setattr(Restart, "_write_start", lambda _: it.read.append("record"))
    rows: dict[str, Any] = {"0x1": SILENT, "0x2": None, "0x3": row("0x3")}
    doubtful = [SimpleNamespace(order_id=one, condition_id=KEY) for one in rows]

    async def order(order_id: str) -> Any:
        await trio.lowlevel.checkpoint()
        return rows[order_id]

    async def found(_: object, one: OrderRow) -> None:
        await trio.lowlevel.checkpoint()
        it.read.append(one.order_id)

    async def emptied() -> bool:
        await trio.lowlevel.checkpoint()
        it.read.append("emptied")
        return True

    it.ctx.client = SimpleNamespace(order=order)
    it.ctx.recovered.intents, it.ctx.recovered.orderly = {}, True
    it.ctx.recovered.doubtful = doubtful
    it.ctx.reconciler.adrift = SimpleNamespace(found=found, look_after=len)
    it.ctx.reconciler.cancel_everything = emptied
    await it.start.run()
    assert it.read == [
        "emptied", "0x3", "_catch_up", "_resolve_operations", "moved again",
        "_agree_on_cash", "_agree_on_shares", "record",
    ]  # fmt: skip

    it.ctx.reconciler.cancel_everything = trio.sleep_forever
    with pytest.raises(StartFailed, match="open orders"):
        await it.start._agree()
    assert it.read[-1] == "record", "and nothing else was done"
