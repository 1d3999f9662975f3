"""What every live start looks at first: the quick ones of the doctor's checks.

A failed one stops the start with its remedy; a warning is logged. The journal and the streams are
not among them: a start opens those itself, and tells what is wrong with them.

What may pass is waited for: at night, after a crash or a power cut, the way to the venue may be
gone for minutes as well, and a start that is refused for it is not made again by anybody. What does
not pass is told at once, whatever else is still waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import httpx
import trio
from loguru import logger

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.operator import checks_here, checks_venue
from polybot.operator.doctor import in_turn
from polybot.operator.findings import Finding, Grade
from polybot.operator.patient import Patient
from polybot.venue.clob_reads import ClobReads
from polybot.venue.private_rows import Me
from polybot.venue.rest import Rest
from polybot.venue.site import Site

CHECKS = tuple(check for check in (*checks_here.CHECKS, *checks_venue.CHECKS) if check.preflight)
# Longer than a fifth of an hour: a service manager that starts us five times in one never gives up.
PASSES_WITHIN_S = 720.0
AGAIN_S = 5.0


@attrs.frozen
class Forbidden:
    """Why there is no start, each with its remedy; `passing`: another start may do."""

    why: tuple[str, ...]
    passing: bool


@attrs.define
class Patience:
    """How long a start waits; what for is told once."""

    until: float = attrs.field(factory=lambda: trio.current_time() + PASSES_WITHIN_S)
    _told: str = ""

    async def lasts(self, why: str) -> bool:
        """Wait a little for this; False when it has been waited for long enough."""
        if trio.current_time() >= self.until:
            return False
        if why != self._told:
            self._told = why
            logger.warning("the start waits: {}", why)
        await trio.sleep(AGAIN_S)
        return True


async def punctual(http: httpx.AsyncClient, site: Site) -> Clock | Failure:
    """The machine's time, read when it is right by the venue's. Ours is read once, and what a time
    service does to the machine's later does not move it: keys would be asked for, and the books
    begun, by a time that no waiting sets right.
    """
    patience = Patience()
    while True:
        clock = Clock.from_system()
        found = await checks_venue.clock_of(ClobReads(Rest(http, site.clob, clock), Me("", "")))
        if found.grade is not Grade.FAILED:
            return clock
        why = _line("clock", found)
        if not await patience.lasts(why):
            return Failure(why)


async def preflight(patient: Patient) -> Forbidden | None:
    """What forbids a start; None where it may go on."""
    patience, left = Patience(), CHECKS
    while True:
        found = await in_turn(patient, left)
        _warn(found)
        bad = {name: one for name, one in found if one.grade is Grade.FAILED}
        if not bad:
            return None
        why = tuple(_line(name, one) for name, one in bad.items())
        passing = all(one.passing for one in bad.values())
        if not passing or not await patience.lasts(why[0]):
            return Forbidden(why, passing)
        left = tuple(check for check in left if check.name in bad)
        patient.forget()


def _warn(found: Sequence[tuple[str, Finding]]) -> None:
    for name, one in found:
        if one.grade is Grade.WARNING:
            logger.warning("preflight: {}", _line(name, one))


def _line(name: str, finding: Finding) -> str:
    return f"{name}: {finding.found}; {finding.remedy}"
