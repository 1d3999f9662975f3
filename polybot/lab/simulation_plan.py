"""What goes wrong at the venue itself in one seed: a plan of faults, and spells beside it.

A spell is a fault that came later than the plans, and lasts: it has a stream of its own, so that
what older seeds drew stays what it was.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import attrs

from polybot.exchange.faults.plan import Entry, Plan, StormTerms, load

SILENT_S, BEHIND_S = (3.0, 60.0), (20.0, 300.0)
AGAIN_S = (60.0, 600.0)  # from the end of one to the next
BARRED_S, BARRED_WITHIN_S, BARRED_EVERY_S = (20.0, 90.0), 600.0, (1_200.0, 2_400.0)
BARRING = ("unauthorized", "geoblocked")
LAGS_MS = (2_000, 8_000, 20_000)
LATE_S = (20.0, 300.0)
LISTED_MS = (1_000, 3_000, 8_000, 30_000)  # after the match; the last is longer than a start waits


@attrs.frozen
class Spell:
    """From then on, for so long, and again after so many seconds from each beginning."""

    fault: str
    at_s: float
    for_s: float
    every_s: float
    values: Mapping[str, tuple[int, int]] = attrs.field(factory=dict)

    @property
    def entry(self) -> Entry:
        from_ms, for_ms, every_ms = (int(s * 1000) for s in (self.at_s, self.for_s, self.every_s))
        return Entry(self.fault, (), (), from_ms, for_ms, every_ms, values=self.values)

    def text(self) -> str:
        return f"{self.for_s:.0f}s every {self.every_s:.0f}s from {self.at_s:.0f}s"

    def squeezed(self, times: float, lasting: float) -> Spell:
        """The same within so much less time, and so much shorter."""
        for_s = self.for_s / lasting
        every_s = max(self.every_s / times, 2 * for_s)
        return attrs.evolve(self, at_s=self.at_s / times, for_s=for_s, every_s=every_s)


def draw_plan(rng: random.Random, warm_up_s: float) -> Plan:
    """Half of all seeds are storms; the others meet one family of faults all the time, but for what
    came to it later than the seeds, and is drawn apart.
    """
    name = rng.choice(("storm", "storm", "storm", "orders", "settlement", "feeds"))
    entries = tuple(entry for entry in load(name).entries if not entry.kind.apart)
    return Plan(entries, _storm(rng, warm_up_s) if name == "storm" else None)


def _storm(rng: random.Random, warm_up_s: float) -> StormTerms:
    return StormTerms(
        warm_up_s=int(warm_up_s),
        round_s=rng.choice((60, 90, 120)),
        quiet_s=rng.choice((30, 90)),
        fewest=rng.choice((0, 2)),
        most=rng.choice((2, 4, 8)),
    )


def draw_silence(rng: random.Random, warm_up_s: float) -> Spell | None:
    """One seed in six: of each market one token is told of, the other is not."""
    return _spell(rng, "token_silent", warm_up_s, SILENT_S)


def draw_node(rng: random.Random, warm_up_s: float) -> Spell | None:
    """One seed in six: the chain's node has the balances of some blocks ago."""
    lag_ms = rng.choice(LAGS_MS)
    return _spell(rng, "node_behind", warm_up_s, BEHIND_S, lag_ms=(lag_ms, lag_ms))


def draw_listing(rng: random.Random, warm_up_s: float) -> Spell | None:
    """One seed in six: the list of trades is some seconds behind their matches."""
    lag_ms = rng.choice(LISTED_MS)
    return _spell(rng, "trades_lag", warm_up_s, LATE_S, lag_ms=(lag_ms, lag_ms))


def draw_bar(rng: random.Random, warm_up_s: float) -> Spell | None:
    """One seed in twelve: the venue takes our key no more, or nobody of our region. It is rare, for
    each time nothing is traded until an operator has looked.
    """
    fault, at_s = rng.choice(BARRING), warm_up_s + rng.uniform(0, BARRED_WITHIN_S)
    spell = Spell(fault, at_s, rng.uniform(*BARRED_S), rng.uniform(*BARRED_EVERY_S))
    return spell if rng.randrange(12) == 0 else None


def _spell(
    rng: random.Random, fault: str, warm_up_s: float, lasts: tuple[float, float],
    **values: tuple[int, int],
) -> Spell | None:  # fmt: skip
    for_s, pause_s = rng.uniform(*lasts), rng.uniform(*AGAIN_S)
    spell = Spell(fault, warm_up_s + rng.uniform(0, 60), for_s, for_s + pause_s, values)
    return spell if rng.randrange(6) == 0 else None
