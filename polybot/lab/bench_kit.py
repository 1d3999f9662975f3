"""A step that the benchmark times, and the invented market and orders that steps are done on."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.domain.market import FeeSchedule, Market, Outcome, Side, TwapPair
from polybot.domain.orders import NewOrder
from polybot.domain.units import SHARE
from polybot.exchange import model

KEY = "0x" + "11" * 32
API_KEY = "3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe"
START_MS = 1_795_201_200_000
UP_ID = "104173557214744537570424345347209544585775842950109756851652855913015295701992"
DOWN_ID = "21742633143463906290569050155826241533067272736897614950488156847949938836455"
CONDITION = "0x" + "ab" * 32

Work = Callable[[], object]


@attrs.frozen(eq=False)
class Case:
    """One timed step. `per` units are done in one call of `work`, and of `floor`."""

    name: str
    target_us: float | None  # per unit; the step of a decision is P17 in performance.md
    work: Work
    per: int = 1
    floor: Work | None = None
    floor_name: str = ""
    check: Work = lambda: None  # raises when the work was not what it claims to be


def invented_market() -> Market:
    return Market(
        series="btc-5m",
        slug="btc-updown-5m-1795201200",
        condition_id=CONDITION,
        up_token=UP_ID,
        down_token=DOWN_ID,
        start_ms=START_MS,
        end_ms=START_MS + 300_000,
        rule=TwapPair("btcusd", 60),
        tick=100,
        min_size=5 * SHARE,
        fees=FeeSchedule(70_000, 1, 200_000),
    )


def venue_market() -> model.Market:
    return model.Market(
        condition_id=CONDITION,
        question_id="0x" + "cd" * 32,
        gamma_id="1",
        slug="btc-updown-5m-1795201200",
        question="Up or Down?",
        series=model.Series("btc", "5m", 300, "twap"),
        tokens=(UP_ID, DOWN_ID),
        listed_ms=START_MS,
        start_ms=START_MS,
        end_ms=START_MS + 300_000,
    )


def invented_order(outcome: Outcome = Outcome.UP, price: int = 5300, level: int = 0) -> NewOrder:
    return NewOrder(invented_market(), outcome, Side.BUY, price, 10 * SHARE, level=level)
