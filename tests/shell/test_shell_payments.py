"""What of payments is known, here and at a start, so that nothing is booked twice."""

from __future__ import annotations

from typing import cast

import httpx
import pytest
import trio
from trio.testing import MockClock

from polybot.account import Account
from polybot.clock import Clock
from polybot.journal.entries import Entry, Paid
from polybot.payments import AGAIN_S, OVERLAP_S, UNASKED_S, Payments
from polybot.venue.rest import Rest

NOW_S = 1_800_000_000


class _Booking:
    """An account of which only what is booked is looked at."""

    def __init__(self) -> None:
        self.facts: list[Entry] = []

    async def learn(self, *facts: Entry) -> None:
        self.facts += facts


def row(told: str, market: str = "", second: int = NOW_S) -> dict[str, object]:
    return {
        "type": "MAKER_REBATE", "transaction_hash": told, "timestamp": second, "usdc_size": 1.4,
        "condition_id": market,
    }  # fmt: skip


class _Timed:
    """A REST client of which only the clock is looked at."""

    def __init__(self, now_s: int) -> None:
        self.clock = Clock.starting_at(now_s * 1000)


@pytest.mark.parametrize("ahead_s", [0, 3 * 86_400], ids=["right", "three days ahead"])
async def test_a_clock_that_is_ahead_drops_no_evidence(ahead_s: int) -> None:
    """A start with such a clock forgot what was booked, and the next one, with the clock set right,
    read the same rows and booked them again.
    """
    rest = cast("Rest", _Timed(NOW_S + ahead_s))
    known = {"old": NOW_S - OVERLAP_S - 3_600, "edge": NOW_S - OVERLAP_S + 3_600, "new": NOW_S - 60}
    made = Payments(rest, cast("Account", None), "0xwallet", known)

    assert [name for name, _ in made.recent()] == ["edge", "new"]


@pytest.mark.parametrize("market", ["", "0xmarket"], ids=["a day's", "a market's"])
@pytest.mark.parametrize("first", ["", "0x1"], ids=["untold first", "told first"])
@pytest.mark.parametrize("started", [False, True], ids=["one run", "a start between"])
async def test_a_row_that_tells_its_transaction_later_is_one_payment(
    first: str, market: str, started: bool
) -> None:
    """It was named by its second, then by its transaction, and booked under both. Payments beside
    it are their own: of another transaction, of another market, of another second.
    """
    second = "" if first else "0x1"
    others = [row("0x2", market), row(second, "0xother"), row("", market, NOW_S + 1)]
    rows = [row(first, market)]
    reply = lambda _: httpx.Response(  # noqa: E731
        200, json={"data": rows, "pagination": {"has_more": False, "next_cursor": None}}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        rest = Rest(http, "http://data", Clock.starting_at((NOW_S + 60) * 1000))
        booking = _Booking()
        made = Payments(rest, cast("Account", booking), "0xwallet")
        assert await made.read()
        if started:
            made = Payments(rest, cast("Account", booking), "0xwallet", dict(made.recent()))

        rows[:] = [row(second, market)]
        assert await made.read()
        assert await made.read()
        assert len(booking.facts) == 1

        rows += others
        assert await made.read()
        assert await made.read()
        assert len(booking.facts) == 1 + len(others)


@pytest.mark.parametrize(
    ("change", "age_s", "explained"),
    [
        (7, 0, None),
        (7, -1, False),  # paid after that start
        (1, 0, None),
        (-93, 0, None),
        (-93, 30, None),
        (-93, 31, True),
        (0, 3_600, True),
    ],
)
async def test_what_a_start_has_found_beside_a_withdrawal(
    change: int, age_s: int, explained: bool | None
) -> None:
    """A payment of before the last start is in the cash that this compared, whatever else came or
    went: with a hundred dollars withdrawn beside seven that were paid it was booked as new, and the
    books had seven too many. One of that very second may not be in it; with another sum than the
    books had nobody can tell, and it waits.
    """
    reply = lambda _: httpx.Response(  # noqa: E731
        200, json={"data": [row("0x1")], "pagination": {"has_more": False, "next_cursor": None}}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        rest = Rest(http, "http://data", Clock.starting_at((NOW_S + age_s) * 1000))
        booking = _Booking()
        made = Payments(rest, cast("Account", booking), "0xwallet")
        made.found(change * 1_000_000, NOW_S + age_s)
        assert await made.read()

    amounts = [fact.amount for fact in booking.facts if isinstance(fact, Paid)]
    expected = [] if explained is None else [1_400_000, -1_400_000] if explained else [1_400_000]
    assert amounts == expected
    assert made.unexplained == max(0, change * 1_000_000 - 1_400_000 * (explained is True))


@pytest.mark.parametrize(("since_s", "booked"), [(NOW_S - 1, 1), (NOW_S, 0)])
async def test_what_the_first_balance_has_in_it_is_not_booked(since_s: int, booked: int) -> None:
    """Whatever rows the index answers with: the dollars of before are in it already."""
    reply = lambda _: httpx.Response(  # noqa: E731
        200, json={"data": [row("0x1")], "pagination": {"has_more": False, "next_cursor": None}}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        rest = Rest(http, "http://data", Clock.starting_at((NOW_S + 60) * 1000))
        booking = _Booking()
        assert await Payments(rest, cast("Account", booking), "0xwallet", since_s=since_s).read()

    assert len(booking.facts) == booked


async def test_what_could_not_be_read_is_asked_for_again(autojump_clock: MockClock) -> None:
    """A start that the index did not answer has booked what was paid as brought in, and nothing
    was missing then that would have let anybody ask before ten minutes were over.
    """
    asked: list[float] = []

    def index(_: httpx.Request) -> httpx.Response:
        asked.append(trio.current_time())
        if len(asked) == 1:
            return httpx.Response(503)
        return httpx.Response(200, json={"data": [row("0x1")], "pagination": {"has_more": False}})

    booking = _Booking()
    async with httpx.AsyncClient(transport=httpx.MockTransport(index)) as http:
        rest = Rest(http, "http://data", Clock.starting_at(NOW_S * 1000))
        made = Payments(rest, cast("Account", booking), "0xwallet", since_s=NOW_S - 60)
        for _ in range(800):
            await made.look(surplus=False)
            await trio.sleep(1)

    assert [at - asked[0] for at in asked] == [0.0, AGAIN_S, AGAIN_S + UNASKED_S]
    assert len(booking.facts) == 1
