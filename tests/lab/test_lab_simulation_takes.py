"""What is to be had at once is asked for once, and never more of it than is missing (S3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import all_of, broken, by_who_knows, over_the_stop, sound

from polybot import quoter
from polybot.domain.orders import NewOrder, PostResult, Reject, Rejected, SignedOrder, Unknown
from polybot.exchange.faults.kinds import PLACING
from polybot.exchange.faults.plan import Entry, Plan
from polybot.execution.actions import Post
from polybot.execution.firewall import Firewall
from polybot.journal.entries import Intent
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case
from polybot.order_messages import Message, Posted
from polybot.order_requests import Request
from polybot.orders_task import OrdersTask
from polybot.venue.clob import ClobClient
from polybot.venue.leave import Leave


def asking_again() -> Any:
    """No answer, so ask again, as it was right for bids that nobody had (py-clob-client #273)."""
    ask = OrdersTask.ask

    async def asking_twice(self: OrdersTask, request: Request) -> Message | None:
        answer, action = await ask(self, request), request.action
        silent = isinstance(answer, Posted) and isinstance(answer.results[0], Unknown)
        if silent and isinstance(action, Post) and action.orders[0].order.taking:
            again = [self.desk.sign(signed.order) for signed in action.orders]
            await self.account.journal.append(*map(Intent.of, again))
            await self.client.place(again)
        return answer

    return mock.patch.object(OrdersTask, "ask", asking_twice)


def never_in_doubt() -> Any:
    """What was not answered has failed, and the next try is not far."""
    place = ClobClient.place

    async def placing(
        self: ClobClient, orders: Sequence[SignedOrder], leave: Leave | None = None
    ) -> list[PostResult]:
        return [
            Rejected(result.order_id, Reject.NO_MATCH, "no answer")
            if isinstance(result, Unknown) and signed.order.taking
            else result
            for signed, result in zip(orders, await place(self, orders, leave), strict=True)
        ]

    return mock.patch.object(ClobClient, "place", placing)


def a_slip_of_the_finger() -> Any:
    """Twice as much is taken as was decided."""
    taking = quoter.taking_order

    def twice(*words: Any) -> NewOrder:
        order = taking(*words)
        return attrs.evolve(order, size=2 * order.size)

    return all_of(
        mock.patch.object(quoter, "taking_order", twice),
        mock.patch.object(Firewall, "_only_pairs", return_value=None),
    )


def placing(fault: str, **values: tuple[int, int]) -> Case:
    """When what is missing begins to be bought, a fault strikes all that is placed."""
    return over_the_stop(Plan((Entry(fault, match=PLACING, from_ms=20_000, values=values),)))


LOST, HELD = placing("reply_lost"), placing("request_delayed", delay_ms=(20_000, 20_000))
BUGS: list[tuple[Callable[[], Any], Case, str]] = [
    (asking_again, LOST, "missing"),
    (asking_again, HELD, "nothing was told"),
    (never_in_doubt, HELD, "nothing was told"),
    (a_slip_of_the_finger, over_the_stop(), "missing"),
]


@pytest.mark.parametrize(
    ("bug", "case", "says"), BUGS, ids=["again", "again, held", "no doubt", "a slip"]
)
def test_a_planted_bug_is_found(bug: Callable[[], Any], case: Case, says: str) -> None:
    """By its rule, in its words, and by no other."""
    with by_who_knows(), bug():
        outcome = simulate(case, until="S3")

    assert broken(outcome) == {"S3"}
    assert says in outcome.violations[0].what


@pytest.mark.parametrize("case", [over_the_stop(), LOST, HELD], ids=["answered", "lost", "held"])
def test_as_we_are(case: Case) -> None:
    """In the same lives much is taken, and no rule is broken."""
    with (
        by_who_knows(),
        mock.patch.object(quoter, "taking_order", wraps=quoter.taking_order) as take,
    ):
        sound(case)

    assert take.called
