"""More rules of the simulation, each with the bug that it forbids: those that need a life of their
own, with an end, a disk or a venue that does not do what it says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from unittest import mock

import attrs
import pytest
import trio
from msgspec.structs import replace
from simulation_kit import all_of, broken, calm, found_with, sound

from polybot import launch, market_feed, quoter, reconciler
from polybot.account import Account
from polybot.app import Bot
from polybot.domain.market import UP, Side
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import ONE, SHARE
from polybot.exchange.faults.kinds import CANCELLING, PLACING
from polybot.exchange.faults.plan import Entry, Plan
from polybot.execution.doubts import Doubts
from polybot.execution.firewall import Firewall
from polybot.execution.lifecycle import Event
from polybot.execution.reconcile import Difference, order_differences
from polybot.execution.table import OrderTable
from polybot.execution.tracked import Tracked
from polybot.execution.wish import Desired
from polybot.journal.tape import Writer
from polybot.lab import simulation_lives, simulation_settings
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Ail, Case, DiskTrouble, End, Life, Where
from polybot.lab.stage import lab_config
from polybot.orders_task import OrdersTask
from polybot.quote_task import QuoteTask
from polybot.quoter import Quoter
from polybot.reconciler import Reconciler
from polybot.risk import checks
from polybot.venue import market_messages

Patches = Iterator[None]


def the_dead_stay_dead() -> Any:
    """S4: what was cancelled by the venue's word cannot rest, whatever its lists show (F21)."""
    return mock.patch.object(Doubts, "resting")


def on_the_grid_of_before() -> Any:
    """S2: a wish is good until the next one, whatever was heard of the tick meanwhile."""
    return mock.patch.object(Firewall, "on_grid", return_value=True)


def in_another_unit() -> Any:
    """S7: the limit on the position is read in tenths of a share (poly-maker's over-sized fill)."""

    def config(*words: Any) -> Any:
        made = lab_config(*words)
        return attrs.evolve(made, risk=attrs.evolve(made.risk, max_net_shares=10))

    return all_of(
        mock.patch.object(checks, "SHARE", 10 * SHARE),
        mock.patch.object(quoter, "SHARE", 10 * SHARE),
        mock.patch.object(simulation_settings, "lab_config", config),
    )


def taking_its_word() -> Any:
    """S15: an answered cancel-all is proof enough."""

    async def cancel_everything(self: Reconciler) -> bool:
        await self.client.cancel_all()
        return True

    async def flatten(self: OrdersTask) -> None:
        self.close(self.clock.now_ms())
        await self.client.cancel_market(self.condition_id)
        self.account.emptied(self.condition_id)

    return all_of(
        mock.patch.object(Reconciler, "cancel_everything", cancel_everything),
        mock.patch.object(OrdersTask, "flatten", flatten),
    )


def leaving_as_if_all_were_well() -> Any:
    """S15: a journal that failed is no reason for another exit code."""
    return mock.patch.object(launch, "EXIT_STORAGE", launch.EXIT_CLEAN)


def leaving_at_once() -> Any:
    """S15: an account that is empty now stays so, whatever is under way to it (seed 860)."""

    async def outwait(_: Bot) -> None:
        await trio.lowlevel.checkpoint()

    return mock.patch.object(Bot, "_outwait", outwait)


def waiting_for_the_last_word() -> Any:
    """L4: the last accounts are waited for, however long they take."""

    async def last_accounts(_: Bot) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    return all_of(
        mock.patch.object(Bot, "_last_accounts", last_accounts),
        mock.patch.object(simulation_lives, "STOP_S", 20.0),
    )


def trusting_every_frame() -> Any:
    """S19: whatever the venue sends is JSON."""
    decode = market_messages.decode_market

    def trusting(text: str) -> Any:
        json.loads(text)
        return decode(text)

    return mock.patch.object(market_feed, "decode_market", trusting)


def taking_from_itself() -> Any:
    """S24: a pair is completed at the price at which our own bid for the other side rests."""
    with_take = Quoter._with_take

    def taking(self: Quoter, desired: Desired, now_ms: int) -> Desired:
        found = with_take(self, desired, now_ms)
        bids = [(price, outcome) for outcome, price in self.resting.own if outcome is UP]
        if not bids or now_ms < self._take_at_ms:
            return found
        self._takes, self._take_at_ms = self._takes + 1, now_ms + 5_000
        price, outcome = max(bids)
        order = NewOrder(
            self.market, outcome.other, Side.BUY, ONE - price, 10_000_000, TimeInForce.FAK,
            post_only=False,
        )  # fmt: skip
        return replace(found, take=order, take_number=self._takes)

    return all_of(
        mock.patch.object(Quoter, "_with_take", taking),
        *(mock.patch.object(Firewall, name, return_value=None)
          for name in ("_state", "_only_pairs", "_price")),
    )  # fmt: skip


def not_knowing_its_own() -> Any:
    """G25: whose orders the list shows nobody remembers, and takes them for somebody else's."""

    def differences(_known: Any, _ours: Any, *words: Any) -> list[Difference]:
        return order_differences([], lambda _: False, *words)

    return all_of(
        mock.patch.object(reconciler, "order_differences", differences),
        mock.patch.object(Account, "is_foreign", return_value=True),
    )


def growing_tired() -> Any:
    """S19: after a minute it has had enough, withdraws everything and is gone."""
    run = Bot.run

    async def tiring(self: Bot) -> None:
        async def tire() -> None:
            await trio.sleep(60)
            self.stop("tired")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tire)
            await run(self)
            nursery.cancel_scope.cancel()

    return mock.patch.object(Bot, "run", tiring)


def shrugging_at_the_disk() -> Any:
    """tape: what a disk has not taken counts as written."""
    put = Writer._put

    def shrugging(self: Writer, data: bytes) -> None:
        with suppress(OSError):
            put(self, data)

    return mock.patch.object(Writer, "_put", shrugging)


def as_it_is(case: Case) -> Case:
    return case


def with_plan(*entries: Entry) -> Callable[[Case], Case]:
    return lambda case: attrs.evolve(case, plan=Plan(entries))


def stopped_early(case: Case) -> Case:
    """The faults are still on when the first life is stopped."""
    lives = (Life(10.0, End.STOP, 1.0), Life(5.0, End.STOP, 0.0))
    return attrs.evolve(case, lives=lives)


def at_a_venue_that_lies(case: Case) -> Case:
    """What it is asked to cancel goes on resting."""
    lies = Entry("cancel_ignored", match=CANCELLING, from_ms=9_000)
    return attrs.evolve(stopped_early(case), plan=Plan((lies,)))


def in_the_quiet(case: Case) -> Case:
    return attrs.evolve(case, lives=(Life(10.0, End.STOP, 0.0),), quiet_s=90.0)


def before_it_can_be_stopped(case: Case) -> Case:
    """The operator's signal finds it on its way out."""
    lives = (Life(60.05, End.STOP, 1.0), Life(5.0, End.STOP, 0.0))
    return attrs.evolve(case, lives=lives, quiet_s=0.0)


def before_it_can_be_killed(case: Case) -> Case:
    """A death waits for the next order of a bot that places none any more."""
    kill = Life(60.05, End.KILL, 1.0, where=Where.SENT)
    return attrs.evolve(case, lives=(kill, Life(5.0, End.STOP, 0.0)), quiet_s=0.0)


def with_orders_under_way(case: Case) -> Case:
    """The edge holds back for twenty seconds what is sent shortly before a stop."""
    late = {"delay_ms": (20_000, 20_000)}
    held = Entry("request_delayed", match=PLACING, from_ms=8_000, for_ms=4_000, values=late)
    lives = (Life(10.0, End.STOP, 30.0), Life(5.0, End.STOP, 0.0))
    return attrs.evolve(case, lives=lives, plan=Plan((held,)))


def on_a_sick_disk(file: str, ail: Ail) -> Callable[[Case], Case]:
    trouble = DiskTrouble(10.0, file, ail, 5.0, 0.0, bytes=700)
    return lambda case: attrs.evolve(stopped_early(case), disks=(trouble,))


SOME_CANCELS = Entry("cancel_ignored", match=("DELETE /orders",), probability=0.5)
GARBAGE = Entry("frame_garbage", ("market_ws",), probability=0.05)

TICKS = Entry("tick_changed", from_ms=4_000, for_ms=500, every_ms=1_700, values={"tick": (10, 10)})

BUGS: list[tuple[Callable[[], Any], Callable[[Case], Case], str]] = [
    (the_dead_stay_dead, with_plan(SOME_CANCELS), "S4"),
    (on_the_grid_of_before, with_plan(TICKS), "S2"),
    (in_another_unit, as_it_is, "S7"),
    (taking_its_word, at_a_venue_that_lies, "S15"),
    (leaving_at_once, with_orders_under_way, "S15"),
    (leaving_as_if_all_were_well, on_a_sick_disk("journal", Ail.BROKEN), "S15"),
    (waiting_for_the_last_word, stopped_early, "L4"),
    (trusting_every_frame, with_plan(GARBAGE), "S19"),
    (growing_tired, in_the_quiet, "S19"),
    (growing_tired, before_it_can_be_stopped, "S19"),
    (growing_tired, before_it_can_be_killed, "S19"),
    (taking_from_itself, as_it_is, "S24"),
    (not_knowing_its_own, as_it_is, "G25"),
    (shrugging_at_the_disk, on_a_sick_disk("tape", Ail.SHORT), "tape"),
]
# What is placed again beside it; of what is taken from ourselves nothing is missing.
ALSO = {"S4": {"S3"}, "S24": {"S3"}}


@pytest.mark.parametrize(
    ("bug", "with_", "rule"), BUGS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_bug_is_found(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rule: str
) -> None:
    """By its rule, and by no other that does not say the same."""
    found_with(bug, with_, rule, *ALSO.get(rule, ()))


@pytest.mark.parametrize(
    "with_",
    [
        with_plan(SOME_CANCELS, GARBAGE),
        at_a_venue_that_lies,
        with_plan(TICKS),
        with_orders_under_way,
    ],
    ids=["cancels ignored", "at the end as well", "ticks", "orders under way"],
)
def test_as_we_are(with_: Callable[[Case], Case]) -> None:
    """Under the same lies no rule is broken."""
    assert sound(with_(calm(length_s=20.0))).seen["PLACEMENT"] > 0


# --- one writer -----------------------------------------------------------------------------------


MOVERS = {"orders …", "polybot.supervisor.Supervisor._run_window"}  # whoever may move an order


def moved_by(movers: set[str]) -> Any:
    """Notes the names of the tasks that move orders."""
    move = OrderTable.move

    def moving(self: OrderTable, tracked: Tracked, *words: Any) -> None:
        slug = tracked.order.market.slug
        movers.add(trio.lowlevel.current_task().name.replace(slug, "…"))
        move(self, tracked, *words)

    return mock.patch.object(OrderTable, "move", moving)


def test_one_writer_for_each_fact() -> None:
    """In a whole life with a stop, a kill and two starts every change of the ledger comes from the
    task that holds the account's lock, and every order is moved by its market's orders task, or by
    the scope that flattens it when this has ended (S18).
    """
    ledgers, movers = set[str](), set[str]()
    take = Account.take

    def taking(self: Account, facts: Sequence[Any], now_ms: int) -> None:
        held = self._booking.statistics().owner is trio.lowlevel.current_task()
        ledgers.add("its writer" if held else trio.lowlevel.current_task().name)
        take(self, facts, now_ms)

    lives = (Life(15.0, End.KILL, 1.0), Life(10.0, End.STOP, 1.0), Life(5.0, End.STOP, 0.0))
    case = attrs.evolve(calm(length_s=30.0), lives=lives, quiet_s=0.0)
    with mock.patch.object(Account, "take", taking), moved_by(movers):
        sound(case)

    assert ledgers == {"its writer"}
    assert movers <= MOVERS
    assert "orders …" in movers


def test_whoever_else_writes_is_found() -> None:
    """A task that books by itself what it has learnt meets the seal, and S19 (S18)."""

    async def read_trades(self: Reconciler) -> None:
        self.account.ledger.deposit(1, "found in the street")

    with mock.patch.object(Reconciler, "read_trades", read_trades):
        outcome = simulate(calm(length_s=20.0), until="S19")

    assert broken(outcome) == {"S19"}
    assert "NotTheWriter" in outcome.violations[0].what


def test_whoever_else_moves_an_order_is_found() -> None:
    """A quote task that takes for live what it has asked for moves orders that are not its own; no
    rule of the venue's is broken, and who has moved them tells (S18).
    """
    step, movers = QuoteTask.step, set[str]()

    def believing(self: QuoteTask, now_ms: int) -> None:
        table = self.quoter.desk.table
        for tracked in list(table.open()):
            table.move(tracked, Event.ACK_LIVE, now_ms)
        step(self, now_ms)

    with moved_by(movers), mock.patch.object(QuoteTask, "step", believing):
        simulate(calm(length_s=10.0))

    assert movers - MOVERS == {"quote …"}
