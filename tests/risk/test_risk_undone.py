"""Trades that fail too often (F31)."""

from __future__ import annotations

import pytest

from polybot.domain.orders import TradeSeen, TradeStatus
from polybot.risk.limits import RiskParams
from polybot.risk.undone import LAST, Undone

FAILED, CONFIRMED = TradeStatus.FAILED, TradeStatus.CONFIRMED
PAUSE_MS = 300_000


def told(brake: Undone, *ends: TradeStatus, now_ms: int = 0) -> list[str]:
    """What it says to one trade after the other."""
    said = (brake.ended(f"{now_ms}-{n}", status, now_ms) for n, status in enumerate(ends))
    return [why for why in said if why is not None]


def test_the_third_of_twenty() -> None:
    """Two may fail. At the third it stops, for as long as is set, and then judges anew."""
    brake = Undone(RiskParams())
    assert told(brake, FAILED, *[CONFIRMED] * 9, FAILED) == []
    assert brake.over(0)

    assert told(brake, FAILED, now_ms=1) == ["3 of the last 12 trades failed"]
    assert not brake.over(PAUSE_MS)
    assert brake.over(PAUSE_MS + 1)
    assert told(brake, FAILED, FAILED, now_ms=PAUSE_MS + 2) == []


def test_older_ones_are_forgotten() -> None:
    """Three failures that are never among twenty are what happens."""
    brake = Undone(RiskParams())
    quiet = [CONFIRMED] * (LAST - 1)

    assert told(brake, FAILED, *quiet, FAILED, *quiet, FAILED, *quiet, FAILED) == []


def test_one_that_was_confirmed_may_fail_later() -> None:
    """And is one trade all the same (F38)."""
    brake = Undone(RiskParams(undone_most=1))
    assert told(brake, CONFIRMED, FAILED) == []
    assert brake.ended("0-1", FAILED, 1) is None, "told again"

    assert brake.ended("0-0", FAILED, 2) == "2 of the last 2 trades failed"


def test_it_lasts_longer_when_it_happens_again() -> None:
    """As every brake."""
    brake = Undone(RiskParams(undone_most=1))
    assert told(brake, FAILED, FAILED)
    assert told(brake, FAILED, FAILED, now_ms=PAUSE_MS)

    assert not brake.over(3 * PAUSE_MS - 1)
    assert brake.over(3 * PAUSE_MS)


def test_what_happened_before_a_start_counts() -> None:
    """Told over again from the journal, it is as if there had been no start: a pause under way goes
    on, two failures are two of the three, and soon after a pause the next one is longer. What has
    not ended says nothing.
    """
    paused, nearly, again = (Undone(RiskParams()) for _ in range(3))
    on_its_way = [(9, seen(str(n), TradeStatus.MATCHED)) for n in range(9)]
    paused.recall([(n, seen(str(n), FAILED)) for n in range(3)])
    nearly.recall([*((n, seen(str(n), FAILED)) for n in range(2)), *on_its_way])
    again.recall([(n, seen(str(n), FAILED)) for n in range(3)])

    assert (paused.over(PAUSE_MS + 1), paused.over(PAUSE_MS + 2)) == (False, True)
    assert paused.why == "3 of the last 3 trades failed"
    assert nearly.over(10)
    assert told(nearly, FAILED, now_ms=10) == ["3 of the last 3 trades failed"]
    told(again, FAILED, FAILED, FAILED, now_ms=PAUSE_MS + 10)
    assert not again.over(3 * PAUSE_MS)


def test_what_is_too_old_to_count() -> None:
    """By the time it is left out, the longest pause and the time in which it would make the next
    one longer are over.
    """
    brake, now_ms = Undone(RiskParams(undone_most=1)), 0
    for _ in range(9):  # until it does not grow any more
        told(brake, FAILED, FAILED, now_ms=now_ms)
        began_ms, now_ms = now_ms, now_ms + 1
        while not brake.over(now_ms):
            now_ms += PAUSE_MS // 2

    assert now_ms - began_ms > 15 * PAUSE_MS, "it has grown"
    told(brake, FAILED, FAILED, now_ms=began_ms + brake.kept_ms + 1)
    assert brake.over(began_ms + brake.kept_ms + PAUSE_MS + 1), "the next is a first one"


def seen(trade_id: str, status: TradeStatus) -> TradeSeen:
    return TradeSeen(trade_id, "0xmarket", status, (), 0)


@pytest.mark.parametrize("most", [0, 20])
def test_it_can_be_switched_off(most: int) -> None:
    """By nought, or by as many as are looked at."""
    brake = Undone(RiskParams(undone_most=most))

    assert told(brake, *[FAILED] * 50) == []
    assert brake.over(0)
    assert (brake.kept_ms == 0) is (most == 0)
