"""The judge of what is put on a wire: by what is known in that moment, not when it was decided."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from polybot.lab.simulation_departures import HELD_UP_MOST_S, STOOD_S, Departures
from polybot.lab.standstill import Standstill

START_MS, WINDOW_MS = 1_000_000, 300_000
POSTED = b'{"tokenId":"71"}'
HANDED = b"POST /order\n" + POSTED
LEAVES = b"POST /order HTTP/1.1\r\nHost: venue\r\n\r\n" + POSTED


@attrs.define
class Here:
    """The moment, in seconds from the market's start, and what a bot has wrong."""

    at_s: float
    ahead_ms: float = 0.0
    blind_s: float = -1.0
    trying: bool = False
    broke: list[str] = attrs.field(factory=list)
    took: list[bytes] = attrs.field(factory=list)
    left: list[bytes] = attrs.field(factory=list)
    still: Standstill = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.still = Standstill(lambda: self.at_s)


def judge(here: Here) -> Departures:
    """A judge who knows of one market, that opens a minute early and is left fifty seconds before
    its end.
    """
    market = SimpleNamespace(
        start_ms=START_MS,
        end_ms=START_MS + WINDOW_MS,
        slug="btc",
        series=SimpleNamespace(rule="twap"),
    )
    exchange: Any = SimpleNamespace(
        engine=SimpleNamespace(by_token={"71": market}),
        clock=SimpleNamespace(now_ms=lambda: START_MS + int(here.at_s * 1000)),
    )
    config: Any = SimpleNamespace(
        quote=SimpleNamespace(preopen_s=60.0, cutoff_twap_s=50.0, cutoff_candle_s=10.0)
    )
    takes: Any = SimpleNamespace(sent=here.took.append)
    return Departures(
        exchange,
        takes,
        config=lambda: config,
        now_s=lambda: here.at_s,
        blind_since=lambda: here.at_s - here.blind_s,
        ahead_ms=lambda: here.ahead_ms,
        astray_since=lambda: 0.0,
        trying=lambda: here.trying,
        break_=lambda rule, _: here.broke.append(rule),
        still=here.still,
        leaving=here.left.append,
    )


@pytest.mark.parametrize(
    ("ahead_ms", "since_s", "broken"),
    [
        (2_154.0, 26.0, True), (2_154.0, 24.0, False), (-2_154.0, 7.0, True),
        (-2_154.0, 5.0, False), (-4.0, 26.0, False), (4.0, 26.0, False),
    ],
)  # fmt: skip
def test_an_order_of_somebody_with_a_wrong_clock(
    ahead_ms: float, since_s: float, *, broken: bool
) -> None:
    """S9: once it had time to be noticed; not where it is right now, and was so too lately to have
    been looked at (brief seed 3460).
    """
    here = Here(since_s, ahead_ms)
    judge(here).on_wire(LEAVES)

    assert here.broke == ["S9"] * broken


@pytest.mark.parametrize(
    ("at_s", "ahead_ms", "broken"),
    [
        (-61.0, 0.0, True), (-60.4, 0.0, False), (-61.0, 1_000.0, False), (-61.0, -1_000.0, True),
        (100.0, 0.0, False), (250.4, 0.0, False), (251.0, 0.0, True), (251.0, -1_000.0, False),
        (251.0, 1_000.0, True),
    ],
)  # fmt: skip
def test_an_order_outside_its_window(at_s: float, ahead_ms: float, *, broken: bool) -> None:
    """S1: before the market opens or after its cutoff, but for its way to the wire, and for what
    its sender's clock is off. The trial of the venue's switch may come before the start.
    """
    here = Here(at_s, ahead_ms)
    judge(here).on_wire(LEAVES)
    assert here.broke == ["S1"] * broken

    here.trying = True
    judge(here).on_wire(LEAVES)
    assert len(here.broke) == (1 + (at_s > 0)) * broken


@pytest.mark.parametrize(("blind_s", "broken"), [(8.1, True), (7.9, False), (-1.0, False)])
def test_an_order_of_the_deaf(blind_s: float, *, broken: bool) -> None:
    """S9: whoever has heard nothing of his fills for so long has noticed that."""
    here = Here(100.0, blind_s=blind_s)
    judge(here).on_wire(LEAVES)

    assert here.broke == ["S9"] * broken


@pytest.mark.parametrize("waited_s", [HELD_UP_MOST_S + 0.1, HELD_UP_MOST_S - 0.1])
@pytest.mark.parametrize("trying", [True, False])
def test_an_order_that_has_waited(waited_s: float, *, trying: bool) -> None:
    """S9: for its connection, since it was handed to the client. The switch's trial has no price
    that could be of the past.
    """
    here = Here(100.0, trying=trying)
    made = judge(here)
    made.sent("rest clob", HANDED)
    here.at_s += waited_s
    made.on_wire(LEAVES)

    assert here.broke == ["S9"] * (waited_s > HELD_UP_MOST_S and not trying)


@pytest.mark.parametrize("stood_s", [STOOD_S + 0.1, STOOD_S - 0.1])
@pytest.mark.parametrize("look", [None, b"DELETE /orders HTTP/1.1\r\n\r\n", b"GET /data/orders?x"])
@pytest.mark.parametrize("handed", ["before", "after"])
def test_an_order_of_who_stood_still(stood_s: float, look: bytes | None, handed: str) -> None:
    """S9: before it has withdrawn or asked what rests. What was at the client before may be on the
    wire first; to have looked before it stood says nothing.
    """
    here = Here(100.0)
    made = judge(here)
    made.on_wire(b"GET /data/orders HTTP/1.1\r\n\r\n")
    if handed == "before":
        made.sent("rest clob", HANDED)
    here.still.ended_s, here.still.lasted_s = 100.0 + stood_s, stood_s
    here.at_s += stood_s
    if handed == "after":
        made.sent("rest clob", HANDED)
    made.on_wire(look or b"GET /time HTTP/1.1\r\n\r\n")
    made.on_wire(LEAVES)

    assert here.broke == ["S9"] * (look is None and handed == "after" and stood_s > STOOD_S)


def test_what_never_leaves_is_judged_by_nobody() -> None:
    """Nor is what leaves and is no order; of one that does the other judges are told."""
    here = Here(400.0)
    made = judge(here)
    made.sent("rest clob", HANDED)
    made.on_wire(b"GET /order HTTP/1.1\r\n\r\n")
    made.on_wire(b"POST /orders-scoring HTTP/1.1\r\n\r\n[]")
    assert (here.broke, here.took, here.left) == ([], [], [])

    made.on_wire(LEAVES)
    assert (here.broke, here.took, here.left) == (["S1"], [HANDED], [HANDED])
