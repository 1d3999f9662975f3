"""What every live start looks at first: the quick ones of the doctor's checks.

A failed one stops the start with its remedy; a warning is logged. The journal and the streams are
not among them: a start opens those itself, and tells what is wrong with them.
"""

from __future__ import annotations

from loguru import logger

from polybot.operator import checks_here, checks_venue
from polybot.operator.doctor import in_turn
from polybot.operator.findings import Grade
from polybot.operator.patient import Patient

CHECKS = tuple(check for check in (*checks_here.CHECKS, *checks_venue.CHECKS) if check.preflight)


async def preflight(patient: Patient) -> list[str]:
    """What forbids a start, each with its remedy; none where it may go on."""
    forbidding: list[str] = []
    for name, finding in await in_turn(patient, CHECKS):
        line = f"{name}: {finding.found}; {finding.remedy}"
        if finding.grade is Grade.FAILED:
            forbidding.append(line)
        elif finding.grade is Grade.WARNING:
            logger.warning("preflight: {}", line)
    return forbidding
