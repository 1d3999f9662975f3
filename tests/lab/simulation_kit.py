"""Short simulated lives with one trouble each, and what is to be found in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import attrs

from polybot import context, payments
from polybot.domain.orders import Failure, SignedOrder
from polybot.exchange.faults.plan import Plan, load
from polybot.exchange.model import Order
from polybot.lab.simulation import Outcome, simulate
from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.stage import Sniper
from polybot.venue import data_reads, signing as signing_of
from polybot.venue.data_reads import Payment

SHORT_H = 0.05  # three minutes, and the quiet time after them


def calm(seed: int = 1, *, length_s: float = SHORT_H * 3600, plan: str = "none") -> Case:
    """One series, one life, no troubles but those of a plan; somebody takes many of our orders."""
    nothing = Keep(
        storm=False, delays=False, deaths=False, disks=False, clock=False, foreign=False,
        engine=False, strikes=False, series=False, settings=False, means=False,
        terms=False, regime=False, amnesia=False, emptied=False, certify=False, silence=False,
        node=False, listing=False, bar=False, revoked=False, pace=False, edits=False,
        haste=False, soon=False, date=False, money=False, index=False, dark=False, lag=False,
        trips=False, stands=False, links=(),
    )  # fmt: skip
    case = nothing.of(draw(seed, SHORT_H))
    lives = (Life(length_s, End.STOP, 0.0),)
    return attrs.evolve(
        case, quiet_s=40.0, length_s=length_s, lives=lives, sniped=0.3, plan=load(plan)
    )


def over_the_stop(plan: Plan = Plan()) -> Case:
    """A minute in which a wallet gets much of one side, comes to the stop, and buys of the other
    what it lacks, all at once; to be lived through with `by_who_knows`.
    """
    settings = (
        ("quote", "gamma_per_share", 0.02), ("quote", "stop_twap_s", 150.0),
        ("quote", "cutoff_twap_s", 110.0), ("quote", "sell_held", "never"),
        ("completion", "medium_from", 0.0), ("completion", "high_from", 0.0),
    )  # fmt: skip
    return attrs.evolve(
        calm(5, length_s=60.0), later_s=100, quiet_s=0.0, sniped=0.9, settings=settings, plan=plan
    )


def by_who_knows() -> Any:
    """Of our bids only those for Down are taken."""
    shoot = Sniper.shoot

    def knowing(self: Sniper, order: Order) -> None:
        if order.token == order.market.tokens[1]:
            shoot(self, order)

    return mock.patch.object(Sniper, "shoot", knowing)


def broken(outcome: Outcome) -> set[str]:
    """The rules that a run has broken."""
    return {violation.rule for violation in outcome.violations}


def sound(case: Case) -> Outcome:
    """A run that breaks no rule, or an error that says which."""
    outcome = simulate(case)
    assert not outcome.violations, "; ".join(map(str, outcome.violations))
    return outcome


# --- planted bugs -----------------------------------------------------------------------------


@contextmanager
def all_of(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def signing(**changes: Any) -> Any:
    """Orders that are signed otherwise than they were decided."""
    sign = signing_of.sign_order

    def bent(order: Any, **how: Any) -> SignedOrder:
        signed = sign(attrs.evolve(order, **{k: f(order) for k, f in changes.items()}), **how)
        return attrs.evolve(signed, order=order)

    return mock.patch.object(context, "sign_order", bent)


def found_with(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rule: str, *also: str
) -> Outcome:
    """What a life with a bug came to: it has broken the rule, and no other but those that the same
    bug breaks `also`.
    """
    with bug():
        outcome = simulate(with_(calm(length_s=60.0)), until=rule)
    told = "; ".join(map(str, outcome.violations)) or "nothing was found"
    assert rule in broken(outcome), told
    assert broken(outcome) <= {rule, *also}, told
    return outcome


def rows_count_twice() -> Any:
    """L2: a row is another one when it is read again."""
    read = data_reads.payments

    async def twice(*words: Any) -> list[Payment] | Failure:
        rows = await read(*words)
        if isinstance(rows, Failure):
            return rows
        return [attrs.evolve(one, evidence=f"{one.evidence} {n}") for n in (1, 2) for one in rows]

    return mock.patch.object(payments, "payments", twice)
