"""Which refused orders a sender could have known of: the rest are nobody's fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from polybot.exchange.model import (
    BUY,
    SELL,
    Event,
    Move,
    Moved,
    OrderEvent,
    TickChanged,
    TradeUpdated,
)
from polybot.lab.simulation_refusals import AGAIN_KNOWN_S, SHARES_KNOWN_S, TICK_KNOWN_S, Refusals

OURS, THEIRS = "0xus", "0xthem"
BALANCE = "refused: not enough balance / allowance: the balance is not enough"
TICK = "refused: price breaks minimum tick size rule"


@attrs.define(eq=False)
class Scene:
    """The parts of an exchange that are looked at, and a clock."""

    at_s: float = 100.0
    broken: list[str] = attrs.field(factory=list)
    exchange: Any = None
    rules: Refusals = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        accounts: Any = defaultdict(lambda: SimpleNamespace(invalid=0))
        self.exchange = SimpleNamespace(
            counters=SimpleNamespace(accounts=accounts, totals=Counter()),
            balances=SimpleNamespace(behind=0),
            terms=SimpleNamespace(fill_lag_ms=600, block_ms=2_000),
        )
        broke = lambda rule, _: self.broken.append(rule)  # noqa: E731
        self.rules = Refusals(self.exchange, OURS, broke, lambda: self.at_s)

    def refuse(self, text: str) -> list[str]:
        """The venue refuses an order of ours with that text; the rules that are broken by it."""
        self.exchange.counters.accounts[OURS].invalid += 1
        self.exchange.counters.totals[text] += 1
        self.broken.clear()
        self.rules.look()
        return self.broken


def an_end(side: str, matched: int, account: str = OURS) -> Event:
    order: Any = SimpleNamespace(account=account, side=side, matched=matched)
    return OrderEvent("CANCELLATION", order, "CANCELED", matched, 0)


def undone(account: str = OURS) -> Event:
    order = SimpleNamespace(account=account)
    trade: Any = SimpleNamespace(status="FAILED", taker=order, makers=())
    return TradeUpdated(trade, 0)


ANY: Any = object()
TICKED = TickChanged(ANY, 100, 10, 0)


@pytest.mark.parametrize(
    ("event", "text", "rule", "for_s"),
    [
        (TICKED, TICK, "S2", TICK_KNOWN_S),
        (undone(), BALANCE, "S8", SHARES_KNOWN_S),
        (an_end(SELL, 5), BALANCE, "S8", SHARES_KNOWN_S),
    ],
    ids=["the tick changed", "a trade was undone", "a sale is told after its order's end"],
)
def test_what_nobody_knows_yet_is_no_breach(
    event: Event, text: str, rule: str, for_s: float
) -> None:
    """For as long as it takes to be heard of; and before it happened it would have been one."""
    it = Scene()
    assert it.refuse(text) == [rule]
    it.rules.hear(event)
    it.at_s += for_s - 0.1
    assert it.refuse(text) == []
    it.at_s += 0.2
    assert it.refuse(text) == [rule]


@pytest.mark.parametrize(
    "event", [undone(THEIRS), an_end(SELL, 5, THEIRS), an_end(SELL, 0), an_end(BUY, 5)]
)
def test_what_changes_no_shares_of_ours_excuses_nothing(event: Event) -> None:
    """Others' trades, an ask withdrawn whole, and a bid, which sells nothing."""
    it = Scene()
    it.rules.hear(event)
    assert it.refuse(BALANCE) == ["S8"]


def test_where_matches_are_told_at_once_an_end_says_all() -> None:
    """Without a lag nothing overtakes a fill."""
    it = Scene()
    it.exchange.terms.fill_lag_ms = 0
    it.rules.hear(an_end(SELL, 5))
    assert it.refuse(BALANCE) == ["S8"]


def test_a_merge_done_twice_is_found_out_late() -> None:
    """The same once more within a block is the relayer's doing."""
    it = Scene()
    for at_ms in (0, 1_000):
        it.rules.hear(Moved(Move.MERGE, OURS, ANY, (7, 7), 7, at_ms))
    it.at_s += AGAIN_KNOWN_S - 0.1
    assert it.refuse(BALANCE) == []
    it.rules.hear(Moved(Move.MERGE, OURS, ANY, (7, 7), 7, 60_000))
    it.at_s += 0.2
    assert it.refuse(BALANCE) == ["S8"], "a second of its own, much later"


def test_each_refusal_is_judged_once() -> None:
    """A look without a new one finds nothing, and old balances of the venue are its own affair."""
    it = Scene()
    assert it.refuse(BALANCE) == ["S8"]
    it.broken.clear()
    it.rules.look()
    assert it.broken == []
    it.exchange.balances.behind += 1
    assert it.refuse(BALANCE) == []
    assert it.refuse("refused: below the minimum size") == ["S2"]
