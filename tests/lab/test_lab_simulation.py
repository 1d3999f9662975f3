"""A seed lived through: the same twice, sound as we are, and not sound with a bug planted."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import attrs
import pytest
from simulation_kit import calm, sound

from polybot import account
from polybot.domain.ledger import Ledger
from polybot.domain.orders import TradeSeen, Unknown
from polybot.exchange.faults.plan import load
from polybot.execution.actions import Post
from polybot.execution.tracked import Tracked
from polybot.health import Health
from polybot.journal.entries import Entry, Intent, Told
from polybot.journal.recovery import apply
from polybot.lab.simulation import Outcome, simulate
from polybot.lab.simulation_case import Case, End, Harm, Trouble
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import PARTS, Keep
from polybot.lab.soak import Found, Task, line, live, report, shrink
from polybot.order_messages import Message, Posted
from polybot.order_requests import Request
from polybot.orders_task import OrdersTask
from polybot.quote_task import QuoteTask

ROOT = Path(__file__).resolve().parents[2]
SHORT = 0.05  # hours: three minutes, and the quiet time after them
WITHIN = 50  # seeds in which a planted bug must be found (issue E)


def test_one_seed_is_one_hash() -> None:
    """To the last byte and microsecond, also in a process with another hash seed (S21, G3)."""
    tasks = [
        "Task(4, 1.0, Keep(series=False), twice=False, brief=True)",
        "Task(7, 1.0, twice=False, brief=True)",  # a merge, and three balances to be looked at anew
        "Task(14, 1.0, twice=False, brief=True)",  # `stop --now`, which tells a process's number
    ]
    told = []
    for hash_seed in ("1", "2"):
        words = "from polybot.lab.soak import Keep, Task, live; "
        words += "from polybot.lab.shares import hush; hush(); "
        words += f"[print(live(task).outcome.hash) for task in [{', '.join(tasks)}]]"
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", words], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
        told.append(done.stdout.split())

    assert told[0] == told[1]
    assert [len(each) for each in told[0]] == [64, 64, 64]


def short(seed: int, plan: str) -> Case:
    """A short life without deaths under one family of faults."""
    case = Keep(deaths=False, disks=False, clock=False, series=False).of(draw(seed, SHORT))
    return attrs.evolve(case, plan=load(plan), sniped=0.3)


def found_by(seeds: Sequence[int], plan: str, until: str) -> Outcome:
    """The first seed that breaks a rule; none is lived through further than to that one."""
    for seed in seeds:
        outcome = simulate(short(seed, plan), until=until)
        if outcome.violations:
            return outcome
    pytest.fail(f"not found within {len(seeds)} seeds")


@contextmanager
def retrying_posts() -> Iterator[None]:
    """What every naive client does: no answer, so ask again (py-clob-client #273)."""
    ask = OrdersTask.ask

    async def asking_twice(self: OrdersTask, request: Request) -> Message | None:
        answer, action = await ask(self, request), request.action
        silent = isinstance(answer, Posted) and any(
            isinstance(result, Unknown) for result in answer.results
        )
        if silent and isinstance(action, Post):
            again = [self.desk.sign(signed.order) for signed in action.orders]
            await self.account.journal.append(*map(Intent.of, again))
            await self.client.place(again)
        return answer

    with mock.patch.object(OrdersTask, "ask", asking_twice):
        yield


@contextmanager
def dropping_late_fills() -> Iterator[None]:
    """Fills of orders that are believed to be over are not booked (Nautilus #3869)."""
    over: set[str] = set()
    note_end = OrdersTask._note_end

    def booking(ledger: Ledger, fact: Entry, at_ms: int) -> bool:
        event = fact.event if isinstance(fact, Told) else None
        late = isinstance(event, TradeSeen) and any(leg.order_id in over for leg in event.legs)
        return False if late else apply(ledger, fact, at_ms)

    def ending(self: OrdersTask, tracked: Tracked) -> None:
        over.add(tracked.id)
        note_end(self, tracked)

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(account, "apply", booking))
        patches.enter_context(mock.patch.object(OrdersTask, "_note_end", ending))
        yield


@contextmanager
def quoting_while_blind() -> Iterator[None]:
    """The loss of the user stream is no reason to stop (Nautilus discussion #5021)."""
    bad = Health.bad

    def shrugging(self: Health, name: str, trouble: str) -> None:
        if name != "user stream":
            bad(self, name, trouble)

    with mock.patch.object(Health, "bad", shrugging):
        yield


@pytest.mark.parametrize(
    ("bug", "plan", "rules"),
    [
        (retrying_posts, "orders", {"S3"}),
        (dropping_late_fills, "orders", {"G25", "L2"}),
    ],
)
def test_a_planted_bug_is_found(bug: object, plan: str, rules: set[str]) -> None:
    """Within fifty seeds, by the rule that forbids it."""
    with bug():  # type: ignore[operator]  # one of those above
        outcome = found_by(range(1, WITHIN + 1), plan, min(rules))

    assert outcome.violations[0].rule in rules
    assert outcome.last, "the last events are kept for the report"


def test_quoting_while_blind_is_found() -> None:
    """The user stream is taken away for half a minute: whoever goes on is seen (S9)."""
    trouble = Trouble(20.0, "user_ws", Harm.REFUSED, 30.0)
    case = attrs.evolve(calm(length_s=60.0), troubles=(trouble,))
    with quoting_while_blind():
        outcome = simulate(case, until="S9")
    assert {violation.rule for violation in outcome.violations} == {"S9"}

    assert simulate(case).violations == (), "as we are, we notice"


def test_who_hears_again_may_send_at_once() -> None:
    """However long ago the last look was (seed 1248)."""
    trouble = Trouble(20.0, "user_ws", Harm.REFUSED, 30.0)
    case = attrs.evolve(calm(length_s=60.0), troubles=(trouble,))
    with mock.patch("polybot.lab.simulation.LOOK_EVERY_S", 5.0):
        sound(case)


def killed(case: Case) -> bool:
    return any(life.end is End.KILL for life in case.lives)


@pytest.mark.parametrize("objects", [700, 20])
def test_the_collector_comes_when_it_is_called(objects: int) -> None:
    """Seed 739: by its own counting it came in another step of a run whose log was listened to,
    and ended there what had been left half-done: another hash, and a refused order less.
    """
    came: list[int] = []

    def comes(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            came.append(about["generation"])

    usual = gc.get_threshold()
    gc.set_threshold(objects)
    gc.callbacks.append(comes)
    try:
        outcome = simulate(calm(length_s=60.0))
    finally:
        gc.callbacks.remove(comes)
        gc.set_threshold(*usual)

    assert gc.isenabled()
    assert outcome.seconds > 60
    assert came.count(0) < 20, "before it begins, and after its end"
    assert came.count(1) > 15


def test_a_life_with_a_death_is_sound() -> None:
    """Killed and started again on its journal, under a storm: no rule broken, the same twice."""
    hours = 0.07
    seed = next(s for s in range(1, 100) if killed(draw(s, hours)))
    found = live(Task(seed, hours, Keep(series=False)))

    assert found.sound, line(found)
    assert found.outcome.seen["kill"] >= 1
    assert found.outcome.seen["TRADE"] > 0


def test_what_its_tape_does_not_decide_again_is_found() -> None:
    """A decision that rests on something else than the tape's inputs breaks S21 as well."""
    chance = random.Random(1)
    step = QuoteTask.step

    def moody(self: QuoteTask, now_ms: int) -> None:
        step(self, now_ms + chance.randrange(2))

    with mock.patch.object(QuoteTask, "step", moody):
        found = live(Task(3, 1.0, Keep(series=False), brief=True))

    assert [broken.rule for broken in found.outcome.violations] == ["S21"]
    assert found.differs, "nor is a second life the same"
    assert "replayed differs at event" in line(found)


# --- the command ----------------------------------------------------------------------------------


def test_the_smallest_case_that_still_breaks() -> None:
    """Whole parts go first, then troubles by halves, until nothing can be left out."""
    tried: list[Keep] = []

    def breaks(keep: Keep) -> bool:
        tried.append(keep)
        links = range(8) if keep.links is None else keep.links
        return keep.storm and {2, 5} <= set(links)

    small = shrink(Keep(), 8, breaks)

    assert small == Keep(
        delays=False, deaths=False, sniper=False, disks=False, clock=False, foreign=False,
        engine=False, strikes=False, series=False, settings=False, means=False,
        terms=False, regime=False, amnesia=False, emptied=False, certify=False, silence=False,
        node=False, listing=False, bar=False, revoked=False, pace=False, edits=False,
        haste=False, soon=False, date=False, money=False, index=False, dark=False, lag=False,
        trips=False, stands=False, links=(2, 5),
    )  # fmt: skip
    gone = tuple(part for part in PARTS if part != "storm")
    assert small.words() == " ".join(f"--no-{part}" for part in gone) + " --links 2,5"
    assert len(tried) < len(PARTS) + 20


def test_the_report_adds_up() -> None:
    """What was reached, what was struck, what never happened, what was broken."""
    seen = {"PLACEMENT": 5, "stop": 1, "link cut": 1}
    one = Outcome(1, "ab" * 32, 1800.0, (), seen, {"reply_lost": 2}, quoted_s=900.0)
    text = "\n".join(report([Found(one), Found(attrs.evolve(one, seed=2), differs=True)]))

    assert "0.50 market-hours quoted in 2 seeds, 1.00 hours of the venue" in text
    assert "faults by kind: reply_lost 4, link cut 2" in text
    assert "reached: PLACEMENT 10, stop 2" in text
    assert "never reached: CANCELLATION, TRADE, kill, link held, link refused, link dark" in text
    assert "violations: none; runs that differed: 1" in text
    assert "NOT THE SAME TWICE" in line(Found(one, differs=True))


def test_a_case_is_the_same_for_ever() -> None:
    """Drawn from its seed alone; more of one part does not move another."""
    assert draw(7, 1.0) == draw(7, 1.0)
    assert draw(7, 1.0).delays == draw(7, 2.0).delays
    assert draw(7, 2.0).troubles[: len(draw(7, 1.0).troubles)] == draw(7, 1.0).troubles
