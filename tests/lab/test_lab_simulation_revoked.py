"""Approvals that are gone from the chain: all halts until an operator has given them back (F35)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import calm, found_with, sound

from polybot import composition
from polybot.approval_watch import ApprovalWatch
from polybot.domain.halts import Halt
from polybot.domain.orders import NewOrder
from polybot.exchange.faults.plan import Entry, Plan
from polybot.health import Health
from polybot.journal.recovery import Recovered
from polybot.lab.simulation_approvals import HALTED_WITHIN_S, Approvals
from polybot.lab.simulation_brief import BRIEF_S, brief
from polybot.lab.simulation_case import Case, End, Life, RevokedTerms
from polybot.lab.simulation_draw import REVOKED_S, draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_reach import UNAPPROVED

UNUSUAL = (("quote", "levels", 1),)


def revoked(case: Case) -> Case:
    """For longer than it takes to look at a halt; in the quiet the next window begins."""
    return attrs.evolve(
        calm(case.seed, length_s=185.0), quiet_s=130.0, revoked=RevokedTerms(40.0, 130)
    )


def test_whose_approvals_are_gone_halts() -> None:
    """Once, and for as long as nobody re-arms, also over a restart; given them back, it is re-armed
    and quotes again (S12).
    """
    found = sound(revoked(calm()))

    assert found.struck["allowance_revoked"] == 1
    assert found.seen[UNAPPROVED] == 1
    assert found.seen["stop"] == 3, "halted, halted after a restart, and at the end"
    assert found.quoted_s > 60, "forty of them before it"


def test_a_refusal_before_a_death_is_judged_by_its_own_time() -> None:
    """Killed a second after it, and started when the approvals are back (brief seed 4)."""
    lives = (Life(41.0, End.KILL, 30.0), Life(30.0, End.STOP, 0.0))
    case = attrs.evolve(calm(length_s=101.0), lives=lives, revoked=RevokedTerms(40.0, 20))
    with mock.patch("polybot.lab.simulation.LOOK_EVERY_S", 5.0):
        found = sound(case)

    assert found.struck["allowance_revoked"] == 1
    assert found.seen["kill"] == 1


def going_on() -> Any:
    """S12: a refused order is a refused order."""
    return mock.patch.object(ApprovalWatch, "refused")


def test_who_does_not_watch_is_found() -> None:
    """Order after order is refused, and nobody is told."""
    found = found_with(going_on, revoked, "S12")

    assert "without an approval" in found.violations[0].what


ASKING, TOLD = b" GET /balance-allowance?a=1\n", b'{"allowances":{"0xa":"0","0xb":"0"}}'


@pytest.mark.parametrize(
    ("answer", "late"),
    [
        (b"200" + ASKING + TOLD, True),
        (b"GET /balance-allowance?a=1\n", True),
        (b"200 GET /balance-allowance/update?a=1\n", True),
        (b"- GET /balance-allowance/update?a=1\nno answer within 5 s", False),
        (b"500" + ASKING + TOLD, False),
        (b"200" + ASKING + b'{"allowances":{"0xa":"0","0xb":"7"}}', False),
        (b"200" + ASKING + b'{"allowances":[]}', False),
        (b"200" + ASKING + b"<html>", False),
    ],
    ids=["told", "asked", "refreshed", "silent", "failed", "old", "bent", "page"],
)
def test_who_is_not_told_is_given_more_time(answer: bytes, *, late: bool) -> None:
    """From the first refusal on, unless an answer has not said what is gone."""
    now, found, holds = [0.0], list[str](), 0
    exchange: Any = SimpleNamespace()
    exchange.engine = SimpleNamespace(accounts=SimpleNamespace(approvals=exchange))
    exchange.allowance = lambda *_: holds
    it = Approvals(exchange, "0xus", lambda: now[0], lambda rule, *_: found.append(rule))
    it.heard("rest clob", b'400 POST /orders\n{"error":"not enough balance / allowance: x"}')
    it.heard("rest clob", answer)
    now[0] = HALTED_WITHIN_S
    it.sent()
    assert not found
    now[0] += 0.1
    it.sent()
    assert found == ["S12"] * late

    holds = 1
    it.look()
    it.sent()
    assert len(found) == late, "they are back"


def taking_its_word() -> Any:
    """G25: one text refuses an order for a balance that is behind and for an approval that is gone
    (F34, F35), and nobody asks which it is.
    """

    def refused(self: ApprovalWatch, order: NewOrder) -> None:
        self.health.halt(Halt.NOT_APPROVED, "says the venue")

    return mock.patch.object(ApprovalWatch, "refused", refused)


def short_of_balance(case: Case) -> Case:
    plan = Plan((Entry("no_balance", from_ms=30_000, probability=0.5, times=3),))
    return attrs.evolve(case, plan=plan)


def test_a_halt_for_approvals_that_hold_is_found() -> None:
    """As we are, we ask, and trade on."""
    found_with(taking_its_word, short_of_balance, "G25")

    assert sound(short_of_balance(calm(length_s=60.0))).struck["no_balance"] == 3


def halted_for_ever() -> Any:
    """L7: what has halted once halts again at every start."""
    keep, halts = composition._keep_halts, dict[str, str]()

    def keeping(health: Health, journal: Any, recovered: Recovered) -> None:
        halts.update(recovered.halts)
        keep(health, journal, attrs.evolve(recovered, halts=halts))

    return mock.patch.object(composition, "_keep_halts", keeping)


def test_who_is_not_re_armed_by_it_is_found() -> None:
    """Also where an operator's settings would explain that nothing is quoted."""
    unusual = lambda case: attrs.evolve(revoked(case), settings=UNUSUAL)  # noqa: E731
    found = found_with(halted_for_ever, unusual, "L7")

    assert "re-armed" in found.violations[0].what


def test_it_is_drawn_by_some() -> None:
    """In one seed of twelve, for each of its times; given back before the end; it can be left out,
    is an entry of the plan, and is told.
    """
    cases = [draw(seed, 1.0) for seed in range(400)]
    gone = [(case, case.revoked) for case in cases if case.revoked is not None]

    assert 15 < len(gone) < 55
    assert {terms.last_s for _, terms in gone} == set(REVOKED_S)
    assert all(60 <= terms.at_s <= 3_480 - terms.last_s for _, terms in gone)
    assert all("allowance_revoked" in {it.fault for it in case.faults.entries} for case, _ in gone)
    assert all(Keep(revoked=False).of(case).revoked is None for case in cases)
    assert all(f"approvals gone for {terms.last_s}s at " in case.text() for case, terms in gone)
    assert all("; approvals hold; " in Keep(revoked=False).of(case).text() for case in cases)


def test_squeezed() -> None:
    """In a brief life it comes within its seconds, and lasts a tenth as long."""
    pairs = [(draw(seed, 0.25).revoked, brief(seed).revoked) for seed in range(200)]
    both = [(long, short) for long, short in pairs if long is not None and short is not None]

    assert 8 < len(both) < 30
    assert all((long is None) is (short is None) for long, short in pairs)
    assert all(1 < short.at_s < BRIEF_S for _, short in both)
    assert all(short.last_s == long.last_s // 10 for long, short in both)
