"""What was paid while nobody looked, for longer than rows are read again."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from test_shell_payments import NOW_S, _Booking, row
from trio.testing import MockClock

from polybot.account import Account
from polybot.clock import Clock
from polybot.composition import _payments
from polybot.domain.ledger import Ledger
from polybot.journal.entries import Paid
from polybot.journal.recovery import Recovered, carried, recover
from polybot.journal.store import Stamped
from polybot.payments import OVERLAP_S, Payments
from polybot.venue.rest import Rest

DAY_S = 86_400


class _Index:
    """Lists those of its rows that are asked for."""

    def __init__(self, *paid_s: int) -> None:
        self.rows = [row(f"0x{second}", second=second) for second in paid_s]
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(int(request.url.params["start"]))
        rows = [one for one in self.rows if cast("int", one["timestamp"]) >= self.asked[-1]]
        page = {"has_more": False, "next_cursor": None}
        return httpx.Response(200, json={"data": rows, "pagination": page})


def booked(facts: list[Any]) -> list[tuple[str, int]]:
    return [(one.account, one.at_s) for one in facts if isinstance(one, Paid)]


@pytest.mark.parametrize("away_days", [1, 3, 40])
async def test_a_start_after_days_books_what_each_of_them_paid(away_days: int) -> None:
    """A bot that was off for a week booked the rewards of its first days as dollars that somebody
    had brought in, for good: no later reading went back so far.
    """
    left_s = NOW_S - away_days * DAY_S
    paid_s = [left_s + 3_600, NOW_S - 3_600]
    journal = recover([Stamped(1, left_s * 1000, carried(Ledger(), left_s - 60))])
    assert await _read_at_a_start(journal, _Index(left_s - 7_200, *paid_s)) == [
        ("rebate", second) for second in paid_s
    ]


async def test_what_the_sums_name_is_not_booked_again() -> None:
    """They name what was booked within two days of them, and reading goes back no further."""
    left_s = NOW_S - 10 * DAY_S
    known = (f"MAKER_REBATE 0x{left_s - DAY_S}", left_s - DAY_S)
    sums = carried(Ledger(), left_s - 30 * DAY_S, (known,), 0, 0, left_s - 30 * DAY_S)
    index = _Index(left_s - OVERLAP_S - 1, left_s - DAY_S, left_s + DAY_S)

    found = await _read_at_a_start(recover([Stamped(1, left_s * 1000, sums)]), index)

    assert found == [("rebate", left_s + DAY_S)]
    assert index.asked == [left_s - OVERLAP_S]


async def _read_at_a_start(journal: Recovered, index: _Index) -> list[tuple[str, int]]:
    booking = _Booking()
    async with httpx.AsyncClient(transport=httpx.MockTransport(index)) as http:
        rest = Rest(http, "http://data", Clock.starting_at(NOW_S * 1000))
        made = _payments(rest, cast("Account", booking), "0xwallet", journal)
        made.since_s = journal.paid_s
        assert await made.read()
    return booked(booking.facts)


async def test_a_machine_that_has_slept_for_days_reads_them_all(autojump_clock: MockClock) -> None:
    """The cash of its first day was explained by nothing, and ten minutes later it halted."""
    clock, booking, index = Clock.starting_at(NOW_S * 1000), _Booking(), _Index()
    async with httpx.AsyncClient(transport=httpx.MockTransport(index)) as http:
        rest = Rest(http, "http://data", clock)
        made = Payments(rest, cast("Account", booking), "0xwallet", since_s=NOW_S - 60 * DAY_S)
        assert await made.read()
        index.rows = [row("0x1", second=NOW_S + 3_600)]
        clock.set_right(4 * DAY_S * 1000)
        assert await made.read()
        assert await made.read()

    assert booked(booking.facts) == [("rebate", NOW_S + 3_600)]
    assert index.asked == [NOW_S - OVERLAP_S] * 2 + [NOW_S + 4 * DAY_S - OVERLAP_S]


async def test_an_index_that_was_silent_for_days_is_read_from_where_it_fell_silent() -> None:
    """What could not be read has not been read."""
    clock, booking, index = Clock.starting_at(NOW_S * 1000), _Booking(), _Index()
    silent = False

    def heard(asked: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if silent else index(asked)

    async with httpx.AsyncClient(transport=httpx.MockTransport(heard)) as http:
        made = Payments(Rest(http, "http://data", clock), cast("Account", booking), "0xwallet")
        assert await made.read()
        clock.set_right(3 * DAY_S * 1000)
        silent = True
        assert not await made.read()
        index.rows = [row("0x1", second=NOW_S + 60)]
        silent = False
        assert await made.read()

    assert booked(booking.facts) == [("rebate", NOW_S + 60)]
