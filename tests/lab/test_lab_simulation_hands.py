"""What other hands do to a simulated bot: money that comes and goes, another configuration at a
start, an end before it is done, another day, and a service that is far away.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import broken, calm, sound

from polybot.config import BotParams
from polybot.domain.accounts import Kind
from polybot.lab.memory_net import Network
from polybot.lab.simulation import Simulation, simulate
from polybot.lab.simulation_brought import KINDS, Brought
from polybot.lab.simulation_case import Case, Edited, End, Harm, Life, Trouble
from polybot.lab.simulation_dates import MOMENTS, Date
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_money import COME, REDEEMED, WITHDRAWN, Came, Sent, unread
from polybot.lab.simulation_reach import EDITED
from polybot.payments import Payments

CENT, DOLLARS = 10_000, 60_000_000
REWARD = Sent(8.0, DOLLARS, reward=True)


def lives(*those: Life, **other: Any) -> Case:
    return attrs.evolve(calm(length_s=40.0), lives=(*those, Life(20.0, End.STOP, 0.0)), **other)


def test_dollars_come_and_are_booked() -> None:
    """A reward and a deposit while it runs: both books say so at the end (L2)."""
    sent = (REWARD, Sent(12.0, CENT, reward=False))

    assert sound(attrs.evolve(calm(length_s=30.0), sent=sent)).seen[COME] == 2


def test_what_is_booked_twice_is_found() -> None:
    """Whoever takes no notice of what he has booked has more than the venue (L2, G25)."""
    with mock.patch.object(Payments, "_knows", return_value=False):
        found = simulate(attrs.evolve(calm(length_s=30.0), sent=(REWARD,)), until="L2")

    assert broken(found) & {"L2", "G25"}


MANY = 100_000_000


@pytest.mark.parametrize(
    ("now_s", "amounts", "sums"),
    [
        (100.0, (3, 4), [7, 4, 0]),
        (655.0 + 10, (3, 4), [4, 0]),
        (700.0, (3, 4), [0]),
        (50.0, (MANY, 4), [MANY + 4, 4, 0]),
        (135.0, (MANY, 4), [4, 0]),
        (100.0, (-3, 4), [4, 0]),
    ],
)
def test_what_may_not_have_been_read(
    now_s: float, amounts: tuple[int, ...], sums: list[int]
) -> None:
    """The latest payments, one after the other; what a bot has surely asked for by now is known,
    and so is what is too much to be overlooked.
    """
    came = [
        Came(at_s, Kind.CAPITAL, amount) for at_s, amount in zip((1.0, 20.0), amounts, strict=True)
    ]

    assert [sum(one.amount for one in late) for late in unread(came, now_s)] == sums


@pytest.mark.parametrize(
    ("doubt_s", "sums"), [(0, [0, 4]), (103, [0, 2, 4, 6]), (101, [0, 1, 2, 3, 4, 5, 6, 7])]
)
def test_what_may_be_in_the_first_balance(doubt_s: int, sums: list[int]) -> None:
    """Any of what came while it is in doubt, beside the latest that came later."""
    payments = SimpleNamespace(doubt_s=doubt_s, since_s=105, known={})
    ledger = SimpleNamespace(ledger=SimpleNamespace(capital=0))
    bot: Any = SimpleNamespace(
        ctx=SimpleNamespace(
            account=ledger,
            reconciler=SimpleNamespace(payments=payments),
            recovered=SimpleNamespace(since_s=None),
        )
    )
    nowhere: Any = None
    brought = Brought(nowhere, "0x", lambda: 700.0)
    for at_s, amount in ((1.0, 1), (3.5, 2), (60.0, 4)):
        brought.came.append(Came(at_s, Kind.CAPITAL, amount, 100 + int(at_s)))
    brought.look(bot)

    assert brought.unread(patient=True) == sums
    assert brought.unread(patient=False) == [0]


@pytest.mark.parametrize(("doubt_s", "sums"), [(0, [0]), (150, [0, 4]), (161, [0])])
def test_what_may_be_in_a_later_balance(doubt_s: int, sums: list[int]) -> None:
    """A start that found less than its books does not know of what was paid just before it, and
    books it long after it came.
    """
    payments = SimpleNamespace(doubt_s=doubt_s, until_s=180, since_s=105, known={})
    bot: Any = SimpleNamespace(
        ctx=SimpleNamespace(
            account=SimpleNamespace(ledger=SimpleNamespace(capital=0)),
            reconciler=SimpleNamespace(payments=payments),
            recovered=SimpleNamespace(since_s=1),
        )
    )
    nowhere: Any = None
    brought = Brought(nowhere, "0x", lambda: 7_000.0)
    brought._since_s = 105
    brought.came += [Came(60.0, Kind.CAPITAL, 4, 160), Came(61.0, Kind.CAPITAL, -9, 161)]

    brought.look(bot)

    assert brought.unread(patient=True) == sums
    assert brought.unread(patient=False) == [0]


def test_some_of_what_is_listed_late_may_be_booked_as_brought_in() -> None:
    """Of a reward and a deposit the start had one in its balance, and took it for brought in: that
    is right as long as both may be unread, and not for another sum (brief seed 12732).
    """
    now_s = 30.0
    nowhere: Any = None
    brought = Brought(nowhere, "0x", lambda: now_s)
    brought._base, brought._since_s = dict.fromkeys(KINDS, 0), 100
    brought.came += [Came(20.0, Kind.REWARDS, 150, 120), Came(25.0, Kind.CAPITAL, 1, 125)]

    def off(capital: int) -> list[str]:
        ledger: Any = SimpleNamespace(capital=capital, received=lambda _: 0)
        return list(brought.unlike(ledger, [0], patient=True))

    assert not off(150), "the reward, as brought in"
    assert not off(151), "both"
    assert not off(0), "neither"
    assert off(149)
    now_s = 7_000.0
    assert off(150)


def test_an_operator_redeems_and_takes_out() -> None:
    """Between two lives, while a result is told: the books of the next one agree (L2)."""
    by_hand = Life(60.0, End.KILL, 420.0, by_hand=True, taken=25_000_000)
    found = sound(lives(by_hand))

    assert found.seen[WITHDRAWN] == 1
    assert found.seen[REDEEMED] == 1


def test_another_configuration_is_traded_by() -> None:
    """From its start on, the one before by its own; and who judges goes by it as well."""
    edited = Edited(("btc-15m",), (("risk", "max_net_shares", 20),))
    made: list[tuple[BotParams, int, int]] = []
    edit = Simulation.edit

    def noted(self: Simulation, to: Edited) -> None:
        before = self.config.risk.max_net_shares
        edit(self, to)
        made.append((self.config.bot, before, self.watch.config.risk.max_net_shares))

    two = lives(Life(12.0, End.STOP, 5.0), series=("btc-5m", "btc-15m"))
    case = attrs.evolve(two, lives=(two.lives[0], attrs.evolve(two.lives[1], edited=edited)))
    with mock.patch.object(Simulation, "edit", noted):
        found = sound(case)

    assert found.seen[EDITED] == 1
    assert [(bot.series, now) for bot, _, now in made] == [(("btc-15m",), 20)]
    assert made[0][1] != 20
    assert not case.usual


@pytest.mark.parametrize("haste_s", [0.0, 0.07, 0.3])
def test_a_start_that_is_ended(haste_s: float) -> None:
    """Before the venue has answered anything, amid its questions, or just done: the next trades."""
    hasty = Life(100.0, End.KILL, 20.0, haste_s=haste_s)
    delays = (("clob", 0.03),)

    assert sound(lives(hasty, delays=delays)).seen["PLACEMENT"] > 0


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_day_that_ends(moment: str) -> None:
    """It is gone over in a life, and what trades by the hour goes on."""
    case = attrs.evolve(calm(length_s=50.0), date=Date(moment, 15.0), series=("btc-5m", "btc-1h"))
    assert case.date is not None
    assert case.date.begins_ms == (MOMENTS[moment] - 15) * 1000

    assert sound(case).seen["PLACEMENT"] > 0


def test_a_service_is_far_away() -> None:
    """As far as drawn, and the Data API's links fail beside it."""
    cut = Trouble(5.0, "data", Harm.REFUSED, 3.0)
    case = attrs.evolve(calm(length_s=30.0), lag=("clob", 0.6), index=(cut,), sent=(REWARD,))
    networks: list[Network] = []
    troubles = Simulation._troubles

    def seen(self: Simulation) -> Any:
        networks.append(self.network)
        return troubles(self)

    with mock.patch.object(Simulation, "_troubles", seen):
        found = sound(case)

    assert list(networks[0].delays.values()) == [0.6]
    assert found.seen["link refused"] == 1
    assert case.far
    assert not attrs.evolve(case, lag=("gamma", 0.6)).far


def test_all_of_it_can_be_left_out() -> None:
    """Each part by its own switch, and what was drawn beside it stays."""
    cases = [draw(seed, 1.0) for seed in range(1, 60)]
    none = Keep(
        haste=False,
        soon=False,
        edits=False,
        lag=False,
        index=False,
        dark=False,
        trips=False,
        stands=False,
        money=False,
        date=False,
    )
    for case in cases:
        left = none.of(case)
        assert (left.lag, left.index, left.sent, left.date) == (None, (), (), None)
        assert (left.dark, left.trips, left.stands) == ((), 0, ())
        assert not left.patient
        for one, was in zip(left.lives, case.lives, strict=True):
            assert (one.haste_s, one.edited, one.by_hand, one.taken) == (None, None, False, 0)
            assert one.soon_s is None
            assert (one.lasts_s, one.end, one.where) == (was.lasts_s, was.end, was.where)
