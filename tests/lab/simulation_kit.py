"""Short simulated lives with one trouble each, and what is to be found in them."""

from __future__ import annotations

import attrs

from polybot.exchange.faults.plan import load
from polybot.lab.simulation import Outcome, simulate
from polybot.lab.simulation_case import Case, End, Keep, Life, draw

SHORT_H = 0.05  # three minutes, and the quiet time after them


def calm(seed: int = 1, *, length_s: float = SHORT_H * 3600, plan: str = "none") -> Case:
    """One series, one life, no troubles but those of a plan; somebody takes many of our orders."""
    nothing = Keep(
        storm=False, delays=False, deaths=False, disks=False, clock=False, foreign=False,
        engine=False, strikes=False, series=False, links=(),
    )  # fmt: skip
    case = nothing.of(draw(seed, SHORT_H))
    lives = (Life(length_s, End.STOP, 0.0),)
    return attrs.evolve(
        case, quiet_s=40.0, length_s=length_s, lives=lives, sniped=0.3, plan=load(plan)
    )


def broken(outcome: Outcome) -> set[str]:
    """The rules that a run has broken."""
    return {violation.rule for violation in outcome.violations}


def sound(case: Case) -> Outcome:
    """A run that breaks no rule, or an error that says which."""
    outcome = simulate(case)
    assert not outcome.violations, "; ".join(map(str, outcome.violations))
    return outcome
