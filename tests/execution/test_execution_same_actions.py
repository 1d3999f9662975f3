"""Every action stays what it was: the desk may be made faster, and must not act otherwise.

The digests are those of the code before it was (2026-11-26); who changes what leaves on purpose
writes down the new one, and says so (2026-11-28: nothing is placed beside a cancel in vain, and a
take that found nothing keeps no other waiting; 2026-11-29: a take whose shares came cheaper binds
no more dollars than it was sent for).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from execution_kit import MARKET, T0, acked, desk, refused, unknown
from golden import digest

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import FillLeg, NewOrder, TradeSeen, TradeStatus
from polybot.domain.units import ONE, SHARE
from polybot.execution.actions import Action
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.execution.wish import Desired, match
from polybot.lab.soak_orders import sequence
from polybot.risk.checks import Standing

MATCHED = TradeStatus.MATCHED
ANSWERS = (acked, acked, acked, acked, acked, refused, unknown)


def test_lives_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves in 300 lives full of trouble, all of them with their ends (reliability.md 3)."""
    left: list[object] = []
    act = Desk.act

    def told(self: Desk, now_ms: int, standing: Standing) -> Sequence[Action]:
        actions = act(self, now_ms, standing)
        left.append(
            (now_ms, actions, self.refused, self.next_due_ms(now_ms), self.promised.reserved)
        )
        left.append(
            (self.promised.bids, *map(self.promised.pledged, Outcome), self.counts.withheld)
        )
        return actions

    monkeypatch.setattr(Desk, "act", told)
    for number in range(300):
        play, failed = sequence(5, number)
        assert failed is None
        left.append((play.desk.counts.cancels, play.table.rare))

    assert digest(left) == "22fc8dcd70163f30"


def _random_order(rng: random.Random, outcome: Outcome, level: int, top: int) -> NewOrder:
    price, sells = top - 100 * level, rng.random() < 0.2
    size = rng.choice((5, 10, 10, 13, 30)) * SHARE
    if sells:
        return NewOrder(MARKET, outcome.other, Side.SELL, ONE - price, size, level=level)
    return NewOrder(MARKET, outcome, Side.BUY, price, size, level=level)


def _random_wish(rng: random.Random) -> Desired:
    if rng.random() < 0.05:
        return Desired(cause="nothing")
    wanted = tuple(
        _random_order(rng, outcome, level, top)
        for outcome, top in (
            (Outcome.UP, 100 * rng.randint(44, 50)),
            (Outcome.DOWN, 100 * rng.randint(44, 50)),
        )
        for level in range(rng.randint(0, 3))
    )
    caps = (100 * rng.randint(45, 52), 100 * rng.randint(45, 52), rng.choice((9600, 9800, 9900)))
    return Desired(wanted, *caps, fair_up=5000, hold=rng.choice((0, 50, 250)))


def _something_happens(rng: random.Random, made: Desk, now_ms: int) -> None:
    for tracked in list(made.table):
        drawn = rng.random()
        if tracked.state is State.IN_FLIGHT and drawn < 0.8:
            made.posted([rng.choice(ANSWERS)(tracked.id)], now_ms)
        elif drawn < 0.05:
            shares = rng.choice((100, 250, 700)) * 10_000
            side, price = tracked.order.side, tracked.order.price
            leg = FillLeg(tracked.id, tracked.order.token, side, price, shares, maker=True)
            trade = f"t{rng.random()}"
            made.heard(TradeSeen(trade, MARKET.condition_id, MATCHED, (leg,), now_ms), now_ms)


def test_moving_wishes_are_the_same() -> None:
    """Six orders at most, wished for anew at each step: kept, moved, held back, cancelled."""
    rng, left = random.Random(6), list[object]()
    seen: Counter[str] = Counter()
    for _ in range(150):
        made, now_ms = desk(params=OrderParams(routine_every_ms=rng.choice((0, 200)))), T0
        for _ in range(25):
            now_ms += rng.choice((50, 50, 250))
            made.desired = _random_wish(rng) if rng.random() < 0.6 else made.desired
            shares = rng.choice((0, 8, 60)) * SHARE
            cash = rng.choice((30, 10_000)) * SHARE
            standing = Standing(cash, 10**10, sellable_up=shares, sellable_down=shares)
            slack = rng.choice((0, 100))
            left.append(match(made.desired, made.table.open(), slack))
            left.append((made.act(now_ms, standing), made.refused, made.next_due_ms(now_ms)))
            left.append(
                (made.promised.reserved, made.promised.bids, *map(made.promised.pledged, Outcome))
            )
            _something_happens(rng, made, now_ms)
        seen.update(made.counts.cancels)

    assert {"requote", "cap", "pair cap", "side withdrawn", "shares", "nothing"} <= set(seen)
    assert digest(left) == "91a5bf8c396d6dcf"
