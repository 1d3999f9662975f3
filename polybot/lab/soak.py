"""`python -m polybot soak --seeds 1-500 --hours 1`: a simulation that hunts for our own bugs.

Each seed is lived through twice, and must be the same to the last byte, and every decision must
come out of its tape once more; what breaks a rule is told with its last events, made smaller –
faults are left out as long as it still breaks – and repeated by the one command that is printed.
Ends with 1 when anything was found.

With `--done FILE` every finished seed is noted there, those it holds are left out, and the report
is of all of them: a thousand hours are lived in many nights.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import attrs
from loguru import logger

from polybot.journal.tape import Event, Kind
from polybot.lab import finished
from polybot.lab.places import file_place
from polybot.lab.replay import replay
from polybot.lab.replay_pace import Pace
from polybot.lab.shares import WorkerDied, each_of
from polybot.lab.simulation import Outcome, Tapes, simulate
from polybot.lab.simulation_brief import brief
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import PARTS, Keep
from polybot.lab.simulation_reach import REACHED
from polybot.lab.simulation_watch import Violation
from polybot.version import commit

HOURS_LEAST, HOURS_MOST = 0.001, 24.0
REPLAYED = "S21"
OURS = ("link ", "disk ", "clock ")  # how the counters of our own troubles begin


@attrs.frozen
class Task:
    """One seed to be lived through: how long, with what, and whether once more. A `brief` one has
    a length of its own.
    """

    seed: int
    hours: float
    keep: Keep = Keep()
    twice: bool = True
    brief: bool = False

    def case(self) -> Case:
        drawn = brief(self.seed) if self.brief else draw(self.seed, self.hours)
        return self.keep.of(drawn)

    def words(self) -> str:
        """As the command line says it."""
        length = "--brief" if self.brief else f"--hours {self.hours:g}"
        return f"--seeds {self.seed} {length} {self.keep.words()}".rstrip()


@attrs.frozen
class Found:
    """A seed's outcome; `differs`: the second time was not the first; `by`: the commit."""

    outcome: Outcome
    differs: bool = False
    by: str = ""

    @property
    def sound(self) -> bool:
        return not (self.differs or self.outcome.violations)


@attrs.frozen
class Lived:
    """A line of the file of finished seeds."""

    task: Task
    found: Found


def live(task: Task) -> Found:
    """One seed, once or twice. The second time has the tapes of the first beside it: what was
    decided must come out of them as well.
    """
    case = task.case()
    if not task.twice:
        return Found(simulate(case))
    tapes: Tapes = []
    outcome, again = simulate(case, tapes), simulate(case)
    # All that it came to: what the judges saw and the bot was never told of is in no hash.
    differs = outcome != again
    outcome = attrs.evolve(outcome, violations=(*outcome.violations, *_unlike(tapes)))
    return Found(outcome, differs)


def _unlike(tapes: Tapes) -> Iterator[Violation]:
    """What is not decided again from the tapes of a run's lives."""
    for life, tape in enumerate(tapes):
        yield from _replayed(life, tape)


def _replayed(life: int, tape: list[Event]) -> Iterator[Violation]:
    """What is not decided again from a life's tape; one that ended before it began has none."""
    if not any(event.kind is Kind.FED for event in tape):
        return
    result = replay(iter(tape), Pace())
    if (found := result.difference) is not None:
        what = f"life {life} replayed differs at event {found.number}: {found.stream}"
        yield Violation(REPLAYED, found.at_ns / 1e9, what)
    elif result.beyond:
        what = f"life {life} replayed ends with {result.beyond} decisions more"
        yield Violation(REPLAYED, tape[-1].at_ns / 1e9, what)


def main(argv: Sequence[str]) -> int:
    parser = _parser()
    said = parser.parse_args(argv)
    logger.remove()  # a bot that is troubled on purpose has much to say
    keep = Keep(**{part: getattr(said, part) for part in PARTS}, links=said.links)
    task = Task(0, said.hours, keep, twice=not said.once, brief=said.brief)
    tasks = [attrs.evolve(task, seed=seed) for seed in said.seeds]
    if said.links and (why := _unlinked(tasks, max(said.links))):
        parser.error(why)
    try:
        # By task: a file put together from two may have a seed twice.
        before = {one.task: one for one in finished.read(said.done, Lived)}
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    here, tasks = commit(), [task for task in tasks if task not in before]
    done: list[Found] = [one.found for one in before.values()]
    ended = 0
    try:
        for count, lived in enumerate(each_of(_lived, tasks), 1):
            found = attrs.evolve(lived.found, by=here)
            done.append(found)
            finished.note(said.done, Lived(lived.task, found))
            sys.stderr.write(f"{count} of {len(tasks)}: {line(found)}\n")
    except KeyboardInterrupt:
        ended = 130
        sys.stderr.write("stopped; this is what was finished:\n")
    except WorkerDied as error:
        ended = 1
        sys.stderr.write(f"{error}; this is what was finished:\n")
    sys.stdout.write("\n".join(report(done)) + "\n")
    failed = [found for found in done if not found.sound]
    sys.stdout.writelines(f"{line(found)}\n" for found in failed)
    if ended:
        return ended
    for found in [found for found in done[len(before) :] if not found.sound][:1]:
        failed_task = attrs.evolve(task, seed=found.outcome.seed)
        for told in story(found, failed_task):
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()  # to make it smaller takes many lives more
    return 1 if failed or (said.reach and not_reached(done)) else 0


def _lived(task: Task) -> Lived:
    """In a process that lives through many: what a bot has frozen ends with it, as it would with
    its own. Eighty lives of an hour had kept four gigabytes.
    """
    try:
        return Lived(task, live(task))
    finally:
        gc.unfreeze()


def not_reached(done: Sequence[Found]) -> list[str]:
    """What no seed has been through."""
    return [name for name in REACHED if not any(found.outcome.seen.get(name) for found in done)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot soak", description="Hunt for our own bugs.", allow_abbrev=False
    )
    parser.add_argument("--seeds", type=_seeds, default=range(1, 21), help="17, or 1-500 (1-20)")
    parser.add_argument("--hours", type=_hours, default=1.0, help="of the venue, each seed (1)")
    parser.add_argument(
        "--brief", action="store_true", help="a quarter of an hour of each in some seconds"
    )
    parser.add_argument("--once", action="store_true", help="leave out the second run of each")
    parser.add_argument("--done", type=file_place, metavar="FILE", help="note seeds, and go on")
    parser.add_argument("--reach", action="store_true", help="fail where a counter stays at zero")
    for part, what in PARTS.items():
        parser.add_argument(
            f"--no-{part}", dest=part, action="store_false", help=f"leave out {what}"
        )
    parser.add_argument("--links", type=_numbers, metavar="N,N|none", help="only these troubles")
    return parser


def _unlinked(tasks: Sequence[Task], most: int) -> str | None:
    """Why a trouble of this number cannot be asked for, if so."""
    for task in tasks:
        there = len(attrs.evolve(task, keep=Keep()).case().troubles)
        if most >= there:
            return (
                f"--links: seed {task.seed} has {there} troubles, counted from 0; asked for {most}"
            )
    return None


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError:
        found = range(0)
    if not found:  # a range that runs backwards would find nothing, and pass
        raise argparse.ArgumentTypeError(f"expected 17 or 1-500, was {text!r}")
    return found


def _hours(text: str) -> float:
    """A life lasts some seconds at least, and a day at most."""
    with suppress(ValueError):
        if HOURS_LEAST <= (hours := float(text)) <= HOURS_MOST:
            return hours
    raise argparse.ArgumentTypeError(f"expected {HOURS_LEAST:g} to {HOURS_MOST:g}, was {text!r}")


def _numbers(text: str) -> tuple[int, ...]:
    with suppress(ValueError):
        found = () if text == "none" else tuple(map(int, text.split(",")))
        if min(found, default=0) >= 0:
            return found
    raise argparse.ArgumentTypeError(f"expected numbers or none, was {text!r}")


# --- the report -----------------------------------------------------------------------------------


def line(found: Found) -> str:
    outcome = found.outcome
    verdict = "; ".join(map(str, outcome.violations[:3])) or "sound"
    if found.differs:
        verdict = f"NOT THE SAME TWICE; {verdict}"
    return (
        f"seed {outcome.seed} {outcome.hash[:12]}: {outcome.seconds:.0f} s, "
        f"{outcome.seen.get('PLACEMENT', 0)} orders, {outcome.seen.get('TRADE', 0)} trades, "
        f"{sum(outcome.struck.values())} faults struck, {outcome.seen.get('kill', 0)} kills: "
        f"{verdict}"
    )


def report(done: Sequence[Found]) -> Iterator[str]:
    """What all seeds together have been through, and what was found."""
    seen: Counter[str] = sum((Counter(f.outcome.seen) for f in done), Counter())
    struck: Counter[str] = sum((Counter(f.outcome.struck) for f in done), Counter())
    rules = Counter(v.rule for found in done for v in found.outcome.violations)
    hours = sum(found.outcome.quoted_s for found in done) / 3600
    yield (
        f"{hours:.2f} market-hours quoted in {len(done)} seeds, "
        f"{sum(found.outcome.seconds for found in done) / 3600:.2f} hours of the venue"
    )
    yield f"faults by kind: {_counted(faults_of(seen, struck))}"
    yield f"reached: {_counted(Counter({k: n for k, n in seen.items() if not _ours(k)}))}"
    if missing := not_reached(done):
        yield f"never reached: {', '.join(missing)}"
    if commits := Counter(found.by for found in done if found.by):
        yield f"seeds by commit: {_counted(commits)}"
    differed = sum(found.differs for found in done)
    yield f"violations: {_counted(rules)}; runs that differed: {differed}"


def _ours(name: str) -> bool:
    return name.startswith(OURS)


def faults_of(seen: Counter[str], struck: Counter[str]) -> Counter[str]:
    """The venue's faults that struck, and ours of links, disks and clocks, by name."""
    return struck + Counter({name: count for name, count in seen.items() if _ours(name)})


def _counted(counts: Counter[str]) -> str:
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked) or "none"


def story(found: Found, task: Task) -> Iterator[str]:
    """The first failure, whole and then made smaller."""
    outcome, case = found.outcome, task.case()
    yield ""
    yield f"seed {outcome.seed}, commit {commit()}"
    yield f"with {case.text()}"
    if not outcome.violations:
        yield f"the second run differed: python -m polybot soak {task.words()}"
        return
    yield f"first: {outcome.violations[0]}"
    yield "the last events before it:"
    yield from (f"  {event}" for event in outcome.last)
    first = outcome.violations[0]
    small = shrink(task.keep, len(case.troubles), partial(breaks, task, first))
    words = attrs.evolve(task, keep=small).words() + " --once" * (first.rule != REPLAYED)
    yield f"smallest that still breaks {first.rule}: python -m polybot soak {words}"


def breaks(task: Task, first: Violation, keep: Keep) -> bool:
    """Whether a smaller case breaks the same rule in the same words. In others it may be for
    another reason, and whoever looks into that looks for the wrong one.
    """
    tapes: Tapes | None = [] if first.rule == REPLAYED else None
    again = simulate(attrs.evolve(task, keep=keep).case(), tapes, until=first.rule)
    found = (*again.violations, *_unlike(tapes or []))
    return any(violation.kind == first.kind for violation in found)


def shrink(keep: Keep, links: int, breaks: Callable[[Keep], bool]) -> Keep:
    """Leave out whole parts, then troubles by halves, as long as it still breaks."""
    for part in PARTS:
        smaller = keep.without(part)
        if smaller != keep and breaks(smaller):
            keep = smaller
    left = tuple(range(links)) if keep.links is None else keep.links
    size = len(left)
    while size:
        for begin in range(0, len(left), size):
            fewer = left[:begin] + left[begin + size :]
            if breaks(attrs.evolve(keep, links=fewer)):
                left, keep = fewer, attrs.evolve(keep, links=fewer)
                break
        else:
            size //= 2
        size = min(size, len(left))
    return keep
