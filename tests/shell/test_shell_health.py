"""Health: the gate closes with the first trouble, and opens when the last has passed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from polybot.domain.halts import Halt
from polybot.execution.firewall import Admission
from polybot.health import KINDS_MOST, TEXT_MOST, Fault, Health, leaves


def made(*required: str) -> Health:
    health = Health(Admission())
    for name in required:
        health.require(name)
    return health


def test_nothing_is_admitted_before_every_input_reported() -> None:
    """A required input is in trouble until it says otherwise; that is no halt (S9)."""
    health = made("user stream", "heartbeat")
    assert health.admission.closed_because == "user stream: not up yet"
    health.good("user stream")
    assert health.admission.closed_because == "heartbeat: not up yet"
    health.good("heartbeat")

    assert health.admission.closed_because is None
    assert health.trouble is None
    assert not health.halts


def test_trouble_closes_the_gate_in_the_same_step() -> None:
    """No task switch lies between the trouble and the closed gate."""
    health = made()
    health.bad("heartbeat", "no answer")

    assert health.admission.closed_because == "heartbeat: no answer"


def test_one_trouble_gone_leaves_the_others() -> None:
    """The gate opens only when nothing at all is wrong."""
    health = made()
    health.bad("heartbeat", "no answer")
    health.bad("user stream", "closed")
    health.good("heartbeat")
    assert health.admission.closed_because == "user stream: closed"

    health.good("user stream")
    assert health.admission.closed_because is None


def test_a_lasting_trouble_is_one_halt_with_its_newest_words() -> None:
    """Each way into trouble counts once; reporting it again only changes what is shown."""
    health = made()
    for what in ("no answer", "no answer", "id refused twice"):
        health.bad("heartbeat", what)
    assert health.trouble == "heartbeat: id refused twice"
    assert health.halts == {"heartbeat: no answer": 1}

    health.good("heartbeat")
    health.bad("heartbeat", "no answer")
    assert health.halts == {"heartbeat: no answer": 2}


def test_halts_are_few_and_short_whatever_the_peer_says() -> None:
    """A peer that words each trouble anew cannot grow the count without bound (S20)."""
    health = made()
    for n in range(10_000):
        health.bad("reconciler", f"{n} " + "x" * 5000)
        health.good("reconciler")

    assert len(health.halts) <= KINDS_MOST + 1
    assert all(len(kind) <= TEXT_MOST for kind in health.halts)
    assert sum(health.halts.values()) == 10_000


def test_the_leaves_of_a_group_are_its_single_exceptions() -> None:
    """However deep the nurseries, each fault is told for itself."""
    one, two, three = Fault("a"), OSError("b"), Fault("c")
    group = BaseExceptionGroup("", [one, BaseExceptionGroup("", [two, three])])

    assert leaves(group) == [one, two, three]


def test_good_news_nobody_waited_for_changes_nothing() -> None:
    """Being well twice, or without ever having been required, is no event."""
    health = made()
    health.good("heartbeat")

    assert health.trouble is None


def test_a_stop_outlasts_good_health() -> None:
    """An input that recovers does not open a gate that was stopped for good (S12)."""
    health = made()
    health.admission.stop("operator")
    health.bad("heartbeat", "no answer")
    health.good("heartbeat")

    assert health.admission.closed_because == "operator"


async def test_well_waits_for_the_last_trouble() -> None:
    """Whoever waits to start goes on when, and not before, everything is well."""
    health = made("a", "b")
    came = []

    async def wait() -> None:
        await health.well()
        came.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        health.good("a")
        await wait_all_tasks_blocked()
        assert not came
        health.good("b")

    assert came


async def test_every_scope_ends_at_the_first_trouble() -> None:
    """All who watch are woken with the trouble's name, and good news wakes none of them."""
    health = made("a")
    health.good("a")
    told: list[str] = []

    async def watch() -> None:
        with pytest.raises(Fault) as fault:
            await health.watch()
        told.append(str(fault.value))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        health.good("a")
        await wait_all_tasks_blocked()
        assert not told
        health.bad("a", "closed")

    assert told == ["a: closed"] * 3


async def test_who_comes_during_trouble_is_told_at_once() -> None:
    """A scope that starts while something is wrong ends before it waits."""
    health = made("a")
    with pytest.raises(Fault, match="a: not up yet"):
        await health.watch()


def test_the_gate_is_closed_before_anybody_hears_of_a_halt() -> None:
    """Whoever withdraws everything then can be sure that nothing leaves behind it (G10)."""
    health, gates = made(), list[str | None]()
    health.on_halt.append(lambda *_: gates.append(health.admission.closed_because))
    health.halt(Halt.DAILY_LOSS, "half of it")

    assert gates == ["daily loss: half of it"]


def test_a_halt_is_written_once_and_no_good_news_ends_it() -> None:
    """A halt of an earlier run is kept, also one whose name we do not know, and is not written
    again; a new one is written once (S12).
    """
    health, written = made(), []
    health.on_halt.append(lambda name, why: written.append((name, why)))
    health.keep_halt("moon phase", "waning")
    health.halt(Halt.LEDGER_DRIFT, "a cent")
    health.halt(Halt.LEDGER_DRIFT, "two cents")
    health.good("moon phase")
    health.good(Halt.LEDGER_DRIFT.value)

    assert written == [("ledger drift", "a cent")]
    assert health.halted == {"moon phase": "waning", "ledger drift": "a cent"}
    assert health.admission.closed_because is not None


def test_a_halt_is_told_before_what_may_pass() -> None:
    """Brief seed 5: a halt came while heartbeats failed, and the screen named the heartbeats alone:
    who looks waits for the link to come back, and nothing is ever quoted again (L10).
    """
    health = made()
    health.bad("heartbeat", "no answer")
    health.halt(Halt.FOREIGN_ORDERS, "one of nobody's")

    assert health.trouble == "foreign orders: one of nobody's"
    assert health.admission.closed_because == health.trouble
