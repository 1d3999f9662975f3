"""Which faults are on, and whether this request, frame or moment is struck.

Every entry draws from a stream of its own, named after the seed, its number and its fault: adding,
removing or striking one never moves the draws of another, and never those of the exchange.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from polybot.exchange.agenda import Agenda
from polybot.exchange.faults.kinds import When
from polybot.exchange.faults.plan import Entry, Plan, StormTerms, to_json
from polybot.exchange.faults.storm import draw_round

Act = Callable[["Strike", int], None]  # the strike, which it lands, and the time it is due


@attrs.frozen
class Strike:
    """One blow: the fault, its parameters as drawn for this once, and what its entry remembers.

    `memory` lasts for one window of the entry; `rng` is the entry's own stream. Whoever deals the
    blow calls `land` if it changed anything: only that is counted.
    """

    fault: str
    values: Mapping[str, int]
    rng: random.Random
    match: tuple[str, ...]
    memory: dict[Any, Any]
    land: Callable[[], None]

    def __getitem__(self, name: str) -> int:
        return self.values[name]


@attrs.define(eq=False)
class Running:
    """An entry with its stream, and how often it has struck. `base_ms` is its plan's start."""

    number: int
    entry: Entry
    base_ms: int
    rng: random.Random
    count: Callable[[str], None]
    struck: int = 0
    windows: int = 0
    removed: bool = False
    each: bool = attrs.field(init=False)  # it strikes anew each time, not for a window as a whole
    _window: int | None = None
    _chosen: bool = False
    _memory: dict[Any, Any] = attrs.field(factory=dict)

    @each.default
    def _is_each(self) -> bool:
        return self.entry.kind.when is When.EACH

    def meet(self, now_ms: int) -> Strike | None:
        """Whether something that it matches is struck now; draws when it may be."""
        window = self._window_at(now_ms)
        if window is None:
            return None
        entry, each = self.entry, self.each
        if window != self._window:
            self._window, self._memory = window, {}
            self._chosen = each or (not self.spent and self._drawn())
            self.windows += self._chosen
        if not self._chosen or (each and (self.spent or not self._drawn())):
            return None
        match = entry.match or entry.kind.match
        return Strike(entry.fault, self._values(), self.rng, match, self._memory, self._land)

    def _land(self) -> None:
        self.struck += 1
        self.count(self.entry.fault)

    def _window_at(self, now_ms: int) -> int | None:
        """The number of the window that is on, None between windows."""
        entry, since = self.entry, now_ms - self.base_ms - self.entry.from_ms
        if since < 0:
            return None
        number, into = divmod(since, entry.every_ms) if entry.every_ms else (0, since)
        on = entry.for_ms is None or into < entry.for_ms or entry.kind.when is When.ONCE
        return number if on else None

    def _drawn(self) -> bool:
        return self.entry.probability >= 1 or self.rng.random() < self.entry.probability

    @property
    def spent(self) -> bool:
        """It has struck, or had its windows, as often as it may."""
        times = self.entry.times
        return times is not None and (self.struck if self.each else self.windows) >= times

    def on(self, now_ms: int) -> bool:
        """Whether it is in a window in which it strikes."""
        window = self._window_at(now_ms)
        return window is not None and window == self._window and self._chosen

    def _values(self) -> dict[str, int]:
        """Drawn anew for each blow, but for a window once."""
        if not self.entry.kind.params:
            return {}
        if not self.each and "values" in self._memory:
            kept: dict[str, int] = self._memory["values"]
            return kept
        drawn = self._memory["values"] = {
            param.name: self.rng.choice(param.among)
            if param.among and param.name not in self.entry.values
            else self.rng.randint(*self.entry.values.get(param.name, param.default))
            for param in self.entry.kind.params
        }
        return drawn


class Faults:
    """All faults of one exchange: told by admin calls and a plan, asked by links and services.

    `now_ms` only ever comes from outside. Acts (`When.ONCE`) are done by `advance`, through what
    was registered with `on_act`; `on_change` hears when the set of entries has changed.
    """

    def __init__(self, seed: int, start_ms: int, plan: Plan = Plan()) -> None:
        self._seed = seed
        self.running: dict[int, Running] = {}
        self.struck: Counter[str] = Counter()
        self.on_change: list[Callable[[], None]] = []
        self._at: dict[str, tuple[Running, ...]] = {}  # by place; the acts are not in it
        self._numbers = 0
        self._acts: dict[tuple[str, str], Act] = {}  # by place and fault
        self._agenda = Agenda()
        self._storm: StormTerms | None = None  # the one that goes on
        self.start(plan, start_ms)

    # --- what is on --------------------------------------------------------------------------

    def start(self, plan: Plan, now_ms: int) -> list[int]:
        """Add a plan's entries, its times counted from now; returns their numbers."""
        if plan.storm is not None:
            self._storm = plan.storm
            self._agenda.add(
                now_ms + plan.storm.warm_up_s * 1000, partial(self._round, plan.storm, 0)
            )
        return self.add(plan.entries, now_ms)

    def _round(self, storm: StormTerms, number: int, due_ms: int) -> None:
        if storm is not self._storm:
            return  # cleared, or another storm has come
        self._forget_past(due_ms)
        rng = random.Random(f"{self._seed} storm {number}")
        self.add(draw_round(storm, rng), due_ms)
        length_ms = (storm.round_s + storm.quiet_s) * 1000
        self._agenda.add(due_ms + length_ms, partial(self._round, storm, number + 1))

    def add(self, entries: Iterable[Entry], now_ms: int) -> list[int]:
        added = []
        for entry in entries:
            self._numbers += 1
            rng = random.Random(f"{self._seed} {self._numbers} {entry.fault}")
            running = Running(self._numbers, entry, now_ms, rng, self._count)
            self.running[self._numbers] = running
            added.append(self._numbers)
            if entry.kind.when is When.ONCE:
                self._agenda.add(now_ms + entry.from_ms, partial(self._act, running))
        self._changed()
        return added

    def remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.running.pop(number).removed = True
        self._changed()

    def clear(self) -> None:
        """All off, a storm too. The counters stay."""
        self._storm = None
        self.remove(list(self.running))

    def _changed(self) -> None:
        at: dict[str, list[Running]] = {}
        for running in self.running.values():
            if running.entry.kind.when is not When.ONCE:
                for place in running.entry.places:
                    at.setdefault(place, []).append(running)
        self._at = {place: tuple(found) for place, found in at.items()}
        for hear in self.on_change:
            hear()

    def _forget_past(self, now_ms: int) -> None:
        """Drop what can never be on again, or a storm would fill the memory."""
        past = [n for n, it in self.running.items() if _over(it, now_ms)]
        self.remove(past)

    # --- asked by links and services ---------------------------------------------------------

    def at(self, place: str) -> tuple[Running, ...]:
        """The entries of a place, on or not; empty costs nothing more than this look."""
        return self._at.get(place, ())

    def strike(self, place: str, fault: str, now_ms: int) -> Strike | None:
        """For hooks inside services: whether this fault strikes now. It has landed then."""
        for running in self.at(place):
            if running.entry.fault == fault and (strike := running.meet(now_ms)):
                strike.land()
                return strike
        return None

    def _count(self, fault: str) -> None:
        self.struck[fault] += 1

    # --- acts, and other things that happen later ----------------------------------------------

    def on_act(self, place: str, fault: str, act: Act) -> None:
        self._acts[place, fault] = act

    def later(self, due_ms: int, action: Callable[[int], None]) -> None:
        """Have `advance` do something at a time: late frames."""
        self._agenda.add(due_ms, action)

    def next_due_ms(self) -> int | None:
        return self._agenda.next_due_ms()

    def advance(self, now_ms: int) -> None:
        self._agenda.run(now_ms)

    def _act(self, running: Running, due_ms: int) -> None:
        if running.removed:
            return
        strike = running.meet(due_ms)
        if strike is not None:
            for place in running.entry.places:
                act = self._acts.get((place, strike.fault))
                if act is not None:
                    act(strike, due_ms)
        if running.entry.every_ms:
            due_ms += running.entry.every_ms
            self._agenda.add(due_ms, partial(self._act, running))

    # --- shown ----------------------------------------------------------------------------------

    def shown(self) -> dict[str, object]:
        """What admin pages show: the entries by number, and how often each fault struck."""
        return {
            "faults": [
                {"number": it.number, "struck": it.struck, "since_ms": it.base_ms}
                | to_json(it.entry)
                for it in self.running.values()
            ],
            "struck": dict(sorted(self.struck.items())),
        }


def quiet() -> Faults:
    """No faults, for services that stand alone."""
    return Faults(0, 0)


def _over(it: Running, now_ms: int) -> bool:
    entry = it.entry
    if it.spent:
        return not it.on(now_ms)
    if entry.every_ms is not None:
        return False
    for_ms = 0 if entry.kind.when is When.ONCE else entry.for_ms
    return for_ms is not None and it.base_ms + entry.from_ms + for_ms < now_ms
