"""The benchmark's own honesty: its cases do what they claim, and a missed target is said."""

from __future__ import annotations

import io

import attrs
import pytest

from polybot.lab.bench_kit import Case
from polybot.lab.cases import cases
from polybot.lab.ctrl_c_drill import Graceful, Immediate
from polybot.lab.drills import heartbeat_rows, interrupt_rows, stop_rows
from polybot.lab.heartbeat_drill import Failing, Heartbeats
from polybot.lab.report import Row, line, table
from polybot.lab.stage import Verdict
from polybot.lab.stop_drill import Moment, When

CLEAN = Verdict(0, 1, 1, proven_empty=True, orders=8, fills=1)
STOP = Moment(When.ANY_TIME, 1, CLEAN, 0.004, 0.1, posts_after=0)
BEATS = Heartbeats((5.0, 5.1), 9.0, 4, 0.1, 0.2, 0, 1, 1.0, CLEAN)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_does_what_it_claims(case: Case) -> None:
    """Every case checks its own work, also after many turns."""
    for _ in range(3):
        case.work()
        case.check()
        if case.floor is not None:
            case.floor()


def test_a_missed_target_is_said_and_told_on() -> None:
    """A row that misses its target says so, and the table's answer is no."""
    out = io.StringIO()
    rows = [Row("a", "≤ 1", "0", met=True), Row("b", "≤ 1", "2", met=False), Row("c", "", "3")]

    assert not table(out, "title", rows)
    assert out.getvalue().count("MISSED") == 1
    assert table(io.StringIO(), "title", [rows[0], rows[2]])
    assert "met" not in line(rows[2])


def met(rows: list[Row]) -> bool:
    return all(row.met is not False for row in rows)


@pytest.mark.parametrize(
    "bad",
    [
        attrs.evolve(STOP, verdict=attrs.evolve(CLEAN, live_orders=1)),
        attrs.evolve(STOP, verdict=attrs.evolve(CLEAN, equity_bot=2)),
        attrs.evolve(STOP, verdict=attrs.evolve(CLEAN, proven_empty=False)),
        attrs.evolve(STOP, posts_after=1),
        attrs.evolve(STOP, submits_after=1),
        attrs.evolve(STOP, heir=("cash: 1 here, 2 there",)),
        attrs.evolve(STOP, cancel_s=None),
        attrs.evolve(STOP, shutdown_s=3.5),
    ],
)
def test_one_bad_stop_spoils_the_drill(bad: Moment) -> None:
    """Among good stops a single bad one is a missed target."""
    assert met(stop_rows([STOP, STOP]))
    assert not met(stop_rows([STOP, bad, STOP]))


def test_an_unclean_stop_is_named_with_its_seed() -> None:
    """What went wrong can be repeated: kind and seed stand in the report."""
    bad = attrs.evolve(STOP, seed=77, verdict=attrs.evolve(CLEAN, live_orders=1))

    assert any("seed 77" in row.figure for row in stop_rows([STOP, bad]))


@pytest.mark.parametrize(
    "bad",
    [
        attrs.evolve(BEATS, gaps=(5.0, 5.6)),
        attrs.evolve(BEATS, known_s=10.5),
        attrs.evolve(BEATS, posts_after=1),
        attrs.evolve(BEATS, cancel_s=1.5),
        attrs.evolve(BEATS, cancel_s=None),
        attrs.evolve(BEATS, verdict=attrs.evolve(CLEAN, live_orders=1)),
    ],
)
def test_one_bad_figure_spoils_the_heartbeats(bad: Heartbeats) -> None:
    """Late, sent after the loss, withdrawn late or never, or left unclean: each is a miss."""
    assert met(heartbeat_rows({Failing.SILENT: BEATS}))
    assert not met(heartbeat_rows({Failing.SILENT: BEATS, Failing.REFUSING: bad}))


def test_nothing_to_withdraw_is_no_miss() -> None:
    """When no order rested there is no cancel to wait for."""
    idle = attrs.evolve(BEATS, resting=0, cancel_s=None)

    assert met(heartbeat_rows({Failing.SILENT: idle}))


@pytest.mark.parametrize(
    "first",
    [
        Graceful(0.06, 0.3, 0, {"live_orders_at_exit": 0, "equity_bot": 1, "equity_exchange": 1}),
        Graceful(0.01, 3.1, 0, {"live_orders_at_exit": 0, "equity_bot": 1, "equity_exchange": 1}),
        Graceful(0.01, 0.3, 3, {"live_orders_at_exit": 0, "equity_bot": 1, "equity_exchange": 1}),
        Graceful(0.01, 0.3, 0, {"live_orders_at_exit": 1, "equity_bot": 1, "equity_exchange": 1}),
        Graceful(0.01, 0.3, 0, {"live_orders_at_exit": 0, "equity_bot": 1, "equity_exchange": 2}),
    ],
)
def test_one_bad_ending_spoils_the_ctrl_c_drill(first: Graceful) -> None:
    """Late, slow, the wrong exit code, an order left, unequal books: each is a miss."""
    good = attrs.evolve(
        first,
        cancel_s=0.01,
        exit_s=0.3,
        exit_code=0,
        summary={"live_orders_at_exit": 0, "equity_bot": 1, "equity_exchange": 1},
    )
    second = Immediate(0.01, 0.01, 130)

    assert met(interrupt_rows([good], [second]))
    assert not met(interrupt_rows([good, first], [second]))
    assert not met(interrupt_rows([good], [attrs.evolve(second, exit_s=0.6)]))
