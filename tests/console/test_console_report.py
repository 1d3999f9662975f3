"""The closing report tells what matters first, also when it is bad."""

from __future__ import annotations

import attrs

from polybot.console.report import closing_report
from polybot.summary import Interval, ReasonShare, Summary, total

TRADED = Interval(
    slug="btc-updown-5m-1795201200",
    rule="twap60",
    outcome="Up",
    orders=40,
    fills=3,
    sales=1,
    volume=14_250_000,
    sold=5_300_000,
    merged=10_000_000,
    realised_pnl=-1_500_000,
)
IDLE = Interval(slug="btc-updown-5m-1795200900", rule="twap60")
GOOD = Summary(
    mode="paper",
    world="synthetic",
    seed=1,
    config_hash="0",
    exit_reason="SIGINT",
    intervals=(IDLE, TRADED),
    totals=total((IDLE, TRADED)),
    quoted_share=0.964,
    live_orders_at_exit=0,
    equity_bot=1_998_500_000,
    equity_exchange=1_998_500_000,
    notes=("own latency counted 20-fold: not for judging profit",),
)


def test_a_good_end_is_told_in_figures() -> None:
    """Traded intervals, totals, equity on both sides and the venue's word on orders."""
    said = closing_report(GOOD)

    row = next(line for line in said.splitlines() if TRADED.slug in line)
    assert row.split() == [TRADED.slug, "Up", "3", "14.25", "5.30", "10.00", "-1.50"]
    for words in (
        "SIGINT",
        "1 intervals, 3 fills (1 of them sales)",
        "96.4%",
        "1998.50",
        "to the micro-dollar",
    ):
        assert words in said, words
    assert "no order rests" in said
    assert "note: own latency" in said


def test_a_result_that_is_not_paid_yet_counts() -> None:
    """It is paid minutes after it is known: whoever stops meanwhile was told that the interval had
    come to nothing.
    """
    known = attrs.evolve(TRADED, realised_pnl=0, unpaid_pnl=2_250_000)
    said = closing_report(attrs.evolve(GOOD, intervals=(known,), totals=total((known,))))

    row = next(line for line in said.splitlines() if TRADED.slug in line)
    assert row.split()[-1] == "+2.25"
    assert "realised +0.00 (+2.25 more once known results are paid)" in said


def test_an_untouched_interval_is_left_out() -> None:
    """Windows that were only watched are no result."""
    assert IDLE.slug not in closing_report(GOOD)


def test_live_orders_cry_out() -> None:
    """What the operator must act on cannot be overlooked."""
    assert "2 ORDERS ARE STILL LIVE" in closing_report(attrs.evolve(GOOD, live_orders_at_exit=2))
    assert "MAY STILL BE LIVE" in closing_report(attrs.evolve(GOOD, live_orders_at_exit=None))


def test_a_disagreement_about_money_cries_out() -> None:
    """A micro-dollar of difference is a difference."""
    said = closing_report(attrs.evolve(GOOD, equity_exchange=1_998_500_001))

    assert "BY THE EXCHANGE'S BOOKS" in said


def test_a_failed_start_is_told_too() -> None:
    """A summary with nothing in it makes a report without figures, not a crash."""
    bare = Summary(mode="paper", world="w", seed=1, config_hash="0", exit_reason="error: X")

    assert "error: X" in closing_report(bare)
    assert "equity unknown" in closing_report(bare)


def test_the_top_reasons_of_each_side_are_told() -> None:
    """Why not more: the gravest first, four of a side, nothing of what took no time."""
    lost = {
        "Up": {
            "stop near": ReasonShare(0.0, 0.31),
            "crossed": ReasonShare(0.12, 0.0),
            "thin": ReasonShare(0.02, 0.03),
            "jump": ReasonShare(0.0, 0.02),
            "fifth": ReasonShare(0.0, 0.01),
        },
        "Down": {"hardly": ReasonShare(0.001, 0.0)},
    }
    said = closing_report(attrs.evolve(GOOD, reasons=lost))

    (line,) = (line for line in said.splitlines() if line.startswith("why not more"))
    assert line == (
        "why not more Up: less 31% – stop near; none 12% – crossed; none 2%, less 3% – thin; "
        "less 2% – jump"
    )
