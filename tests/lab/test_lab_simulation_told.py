from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
from simulation_kit import calm, found_with, sound

from polybot.exchange.faults.plan import Entry, Plan
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_told import ToldOrders
from polybot.stream_trust import StreamTrust

ONE = "0x" + "1" * 64


def stalled(_: Case) -> Case:
    """The user stream answers pings and tells nothing, for half a minute."""
    entry = Entry("stall", ("user_ws",), from_ms=15_000, for_ms=30_000)
    return attrs.evolve(calm(length_s=60.0), plan=Plan((entry,)))


def believing_its_pongs() -> Any:
    """S9: a stream that is open is taken to be well."""
    return mock.patch.object(StreamTrust, "untold", None)


def test_a_bot_that_trusts_a_mute_stream_is_found() -> None:
    """By S9, and as we are the same life is sound and was quoted."""
    found_with(believing_its_pongs, stalled, "S9")
    assert sound(stalled(calm())).struck["stall"] > 0


def told(now: list[float]) -> ToldOrders:
    """A judge whose bot has greeted its stream at 0."""
    judge = ToldOrders(lambda: now[0])
    judge.sent("user", b'{"type":"user"}')
    return judge


def answer(status: str = "live") -> bytes:
    return f'200 \n[{{"success":true,"orderID":"{ONE}","status":"{status}"}}]'.encode()


def test_a_stream_owes_nothing_of_before_it() -> None:
    """Ten seconds after a greeting an answer may be of a request that left before; a greeting ends
    what was owed, a PING does not.
    """
    now = [0.0]
    judge = told(now)
    now[0] = 9.0
    judge.heard("rest clob", answer())
    now[0] = 20.0
    assert judge.owing_s == 0
    judge.heard("rest clob", answer())
    now[0] = 25.0
    judge.sent("user", b"PING")
    assert judge.owing_s == 5
    judge.sent("user", b'{"type":"user"}')
    assert judge.owing_s == 0


def test_an_order_is_owed_until_it_is_told() -> None:
    """A word that came first pays as well; of what does not rest, or a bent answer, nothing."""
    now = [0.0]
    judge = told(now)
    now[0] = 20.0
    judge.heard("rest clob", answer())
    now[0] = 25.0
    assert judge.owing_s == 5
    judge.heard("user", f'{{"id":"{ONE}"}}'.encode())
    assert judge.owing_s == 0
    judge.heard("rest clob", answer())
    judge.heard("rest clob", answer("delayed").replace(b"1111", b"2222"))
    judge.heard("rest clob", answer().replace(b"1111", b"2222")[:-3])
    now[0] = 40.0
    assert judge.owing_s == 0


def test_a_word_counts_for_a_minute() -> None:
    """From its last telling: what is told again meanwhile lasts longer than what was told after its
    first, and whatever is older is no word for an answer that comes now.
    """
    now, other = [0.0], ONE.replace("1", "2")
    judge = told(now)
    for at_s, one in ((10.0, ONE), (11.0, other), (30.0, ONE), (71.0, "0x")):
        now[0] = at_s
        judge.heard("user", f'{{"id":"{one}"}}'.encode())

    judge.heard("rest clob", answer())
    assert judge.owing_s == 0
    judge.heard("rest clob", answer().replace(ONE.encode(), other.encode()))
    now[0] = 72.0
    assert judge.owing_s == 1
