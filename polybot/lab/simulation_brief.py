"""A quarter of an hour in twenty seconds: so many seeds that each must be the same twice.

What makes two runs differ – an order of addresses, a collector, a clock read twice – does not need
hours to show, but a start, orders, troubles, an end and another start. So everything that a quarter
of an hour of the seed has drawn comes within seconds; what lasts, lasts a while all the same, or
nobody would notice. There is no quiet at the end: a life like this is judged by what is never to
happen, not by what must recover in time.
"""

from __future__ import annotations

import random
from typing import TypeVar

import attrs

from polybot.lab.simulation_case import (
    Case,
    ClockTerms,
    DiskTrouble,
    EngineTerms,
    RevokedTerms,
    Stand,
    StrikeTerms,
    Trouble,
)
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_plan import Spell

Harmful = TypeVar("Harmful", Trouble, DiskTrouble, Stand)

BRIEF_S = 20.0
DRAWN_H = 0.25
_TIMES = DRAWN_H * 3600 / BRIEF_S
_LASTING = 10.0  # how much shorter everything is that goes on for a while
_READY_S = 6.0  # until a bot that has been started has orders at the venue
_STORM_S = 2
# Of a window of five minutes, which it begins half a minute after the start of: half of all seeds
# then, the others shortly before quotes stop, in the last minutes, and before the next one begins.
_LATER_S = (0, 0, 0, 135, 195, 255)


def brief(seed: int) -> Case:
    """The case of a seed, the same for ever."""
    case = draw(seed, DRAWN_H)
    storm = case.plan.storm
    if storm is not None:
        storm = attrs.evolve(storm, warm_up_s=_STORM_S, round_s=int(BRIEF_S))
    return attrs.evolve(
        case,
        length_s=BRIEF_S,
        lives=tuple(
            attrs.evolve(
                one, lasts_s=max(_READY_S, one.lasts_s / _TIMES), down_s=one.down_s / _TIMES
            )
            for one in case.lives
        ),
        troubles=tuple(map(_squeezed, case.troubles)),
        index=tuple(map(_squeezed, case.index)),
        dark=tuple(map(_squeezed, case.dark)),
        stands=tuple(map(_squeezed, case.stands)),
        disks=tuple(map(_squeezed, case.disks)),
        clock=_clock(case.clock),
        plan=attrs.evolve(case.plan, storm=storm),
        foreign_s=None if case.foreign_s is None else case.foreign_s / _TIMES,
        engine=_engine(case.engine),
        strikes=_strikes(case.strikes),
        silence=_spell(case.silence),
        node=_spell(case.node),
        listing=_spell(case.listing),
        bar=_spell(case.bar),
        revoked=_revoked(case.revoked),
        quiet_s=0.0,
        later_s=random.Random(f"begins {seed}").choice(_LATER_S),
        sent=tuple(one.squeezed(_TIMES) for one in case.sent),
        date=None if case.date is None else case.date.squeezed(_TIMES),
    )


def _squeezed(one: Harmful) -> Harmful:
    return attrs.evolve(one, at_s=one.at_s / _TIMES, for_s=one.for_s / _LASTING)


def _clock(terms: ClockTerms) -> ClockTerms:
    steps = tuple(attrs.evolve(step, at_s=step.at_s / _TIMES) for step in terms.steps)
    return attrs.evolve(terms, steps=steps)


def _engine(terms: EngineTerms | None) -> EngineTerms | None:
    if terms is None:
        return None
    return EngineTerms(terms.at_s / _TIMES, max(1, int(terms.last_s / _LASTING)))


def _revoked(terms: RevokedTerms | None) -> RevokedTerms | None:
    if terms is None:
        return None
    return RevokedTerms(terms.at_s / _TIMES, int(terms.last_s / _LASTING))


def _spell(spell: Spell | None) -> Spell | None:
    return None if spell is None else spell.squeezed(_TIMES, _LASTING)


def _strikes(terms: StrikeTerms | None) -> StrikeTerms | None:
    return None if terms is None else attrs.evolve(terms, for_s=terms.for_s / _LASTING)
