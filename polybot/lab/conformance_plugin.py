"""What pytest is told to load by `lab conformance`: run claiming tests only, note how they end."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

_NOTES = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", required=True, help="the file for outcomes by test")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_NOTES] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    claiming = [item for item in items if item.get_closest_marker("conforms") is not None]
    config.hook.pytest_deselected(items=[item for item in items if item not in claiming])
    items[:] = claiming


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test of many cases fails with any of them, and passes when at least one ran."""
    report = yield
    notes, name = item.config.stash[_NOTES], item.nodeid.partition("[")[0]
    if report.failed:
        notes[name] = "FAIL"
    elif report.when == "call" and report.passed and notes.get(name) != "FAIL":
        notes[name] = "pass"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    notes = session.config.stash[_NOTES]
    Path(session.config.getoption("--conformance")).write_text(json.dumps(notes))
