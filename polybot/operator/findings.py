"""What a check of the doctor's finds, and how a list of findings is shown."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence

import attrs
import orjson

from polybot.operator.patient import Patient


class Grade(enum.Enum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@attrs.frozen
class Finding:
    """`found` and `remedy` are a line each; what is well needs no remedy. `passing`: it failed, and
    a later look may find that all is well: an answer is missing, or the clock is not set yet.
    """

    grade: Grade
    found: str
    remedy: str = ""
    passing: bool = False


def ok(found: str) -> Finding:
    return Finding(Grade.OK, found)


def warning(found: str, remedy: str) -> Finding:
    return Finding(Grade.WARNING, found, remedy)


def failed(found: str, remedy: str) -> Finding:
    return Finding(Grade.FAILED, found, remedy)


def passing(found: str, remedy: str) -> Finding:
    """Failed for now."""
    return Finding(Grade.FAILED, found, remedy, passing=True)


@attrs.frozen
class Check:
    """One look at the patient. `preflight`: it is part of every live start."""

    name: str
    run: Callable[[Patient], Awaitable[Finding]]
    preflight: bool = False


Report = Sequence[tuple[str, Finding]]


def text(report: Report) -> str:
    """A table a person can read, remedies below what they are for."""
    width = max(len(name) for name, _ in report)
    lines = []
    for name, finding in report:
        lines.append(f"{finding.grade.value:<8} {name:<{width}}  {finding.found}")
        if finding.remedy:
            lines.append(f"{'':<8} {'':<{width}}  → {finding.remedy}")
    return "\n".join([*lines, verdict(report)]) + "\n"


def verdict(report: Report) -> str:
    grades = [finding.grade for _, finding in report]
    bad, doubtful = grades.count(Grade.FAILED), grades.count(Grade.WARNING)
    if bad:
        return f"{bad} of {len(grades)} checks failed: do not trade"
    return f"{len(grades)} checks, none failed" + (f", {doubtful} warnings" if doubtful else "")


def json_text(report: Report) -> str:
    rows = [
        {"check": name, "grade": f.grade.value, "found": f.found, "remedy": f.remedy}
        for name, f in report
    ]
    return orjson.dumps({"ok": well(report), "checks": rows}).decode() + "\n"


def well(report: Report) -> bool:
    return all(finding.grade is not Grade.FAILED for _, finding in report)
