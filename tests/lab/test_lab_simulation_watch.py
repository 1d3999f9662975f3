"""The judge on the venue's side: what it takes for an order that nobody knows of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from polybot.execution.table import DUST
from polybot.lab.simulation_watch import ORPHANED_MOST_S, Watch


def watched(resting: list[Any], known: set[str], now: list[float]) -> Watch:
    """A watch over a venue at which these orders rest."""
    engine = SimpleNamespace(live_orders=lambda _: resting, held_orders=lambda _: [])
    exchange: Any = SimpleNamespace(
        engine=engine, wallet=SimpleNamespace(api_key="ours"),
        acts=SimpleNamespace(foreign={"somebody's"}),
    )  # fmt: skip
    config: Any = None  # not asked for here
    return Watch(
        exchange, config, lambda: 0.0, lambda: now[0], lambda: known, {},
        lambda: 0.0, lambda: 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "left", "known", "broken"),
    [
        ("ours", DUST + 1, set(), True),
        ("ours", DUST, set(), False),
        ("ours", DUST + 1, {"ours"}, False),
        ("somebody's", DUST + 1, set(), False),
    ],
)
def test_an_order_that_rests_unknown(
    name: str, left: int, known: set[str], *, broken: bool
) -> None:
    """For too long (S4); but not the part of a lot that rounding has left over of one which the bot
    rightly takes for filled (seed 832: of 5 shares 4.9968 matched), nor one that somebody else has
    placed: it halts for that, and leaves it alone (brief seed 322).
    """
    order = SimpleNamespace(
        id=name, remaining=left, side="BUY", size=5_000_000, price=2225,
        market=SimpleNamespace(slug="btc-updown"),
    )  # fmt: skip
    now = [0.0]
    watch = watched([order], known, now)
    watch.look()
    now[0] = ORPHANED_MOST_S + 1
    watch.look()

    assert [violation.rule for violation in watch.violations] == ["S4"] * broken
