"""The limits that a simulated life is held to: collar, exposure over markets, requests, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import all_of, calm, found_with, signing, sound

from polybot import reconciler
from polybot.domain.market_books import Holdings
from polybot.domain.orders import TradeStatus
from polybot.domain.units import ONE, SHARE
from polybot.exchange.model import BUY
from polybot.lab import simulation_limits, simulation_settings
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_limits import USD, objects_held
from polybot.lab.stage import lab_config
from polybot.market_feed import MarketFeed
from polybot.risk import checks
from polybot.venue import sdk

Patches = Iterator[None]
CROWDED = ("btc-5m", "btc-15m", "btc-1h")


def fat_fingers() -> Any:
    """S2: what is signed is a quarter dearer than what was decided (a slipped digit)."""
    return signing(price=lambda order: min(ONE - 100, order.price + 2_500))


def few_dollars() -> Any:
    """No bug: all markets together may lose a percent of the wallet, and each as much."""

    def config(*words: Any) -> Any:
        made = lab_config(*words)
        one = {f"max_{name}_loss_percent": 1 for name in ("market", "cluster", "total")}
        return attrs.evolve(made, risk=attrs.evolve(made.risk, **one))

    return mock.patch.object(simulation_settings, "lab_config", config)


def each_for_itself() -> Any:
    """S7: every market keeps its own limit, and nobody adds them up."""
    limits = checks._loss_limits

    def own(*words: Any) -> Any:
        return limits(*words)[:1]

    return all_of(few_dollars(), mock.patch.object(checks, "_loss_limits", own))


def never_at_rest() -> Any:
    """S13: the venue's books are read again as soon as they have been read."""
    return all_of(
        mock.patch.object(reconciler, "RECONCILE_EVERY_S", 0.02),
        mock.patch.object(simulation_limits, "PART", 4),
    )


def pressing_the_relayer() -> Any:
    """S13: what a busy wallet refuses is asked for again, as its client does by itself."""
    submitted = sdk._submitted

    def pressing(*words: Any) -> Any:
        answers = [submitted(*words) for _ in range(4)]
        return answers[0]

    return mock.patch.object(sdk, "_submitted", pressing)


def forgetting_nothing() -> Any:
    """S20: every frame that was ever read is kept, in pieces."""
    on_text = MarketFeed.on_text

    def keeping(self: MarketFeed, text: str, at_ms: int) -> None:
        self.ctx.account.__dict__.setdefault("kept", []).append(text.split(","))
        on_text(self, text, at_ms)

    return all_of(
        mock.patch.object(MarketFeed, "on_text", keeping),
        mock.patch.object(simulation_limits, "HELD_MOST", 30_000),
        mock.patch.object(simulation_limits, "HELD_EVERY_S", 5.0),
    )


def as_it_is(case: Case) -> Case:
    return case


def in_three_markets(case: Case) -> Case:
    return attrs.evolve(case, series=CROWDED, sniped=0.0)


BUGS: list[tuple[Callable[[], Any], Callable[[Case], Case], str, str]] = [
    (fat_fingers, as_it_is, "S2", "beyond the collar"),
    (each_for_itself, in_three_markets, "S7", "dollars more than the limit"),
    (never_at_rest, as_it_is, "S13", "requests of /balance-allowance"),
    (pressing_the_relayer, as_it_is, "S13", "transactions for the relayer"),
    (forgetting_nothing, as_it_is, "S20", "objects"),
]


@pytest.mark.parametrize(
    ("bug", "with_", "rule", "says"), BUGS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_bug_is_found(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rule: str, says: str
) -> None:
    """By its rule, in its words, and by no other."""
    assert says in found_with(bug, with_, rule).violations[0].what


def test_as_we_are() -> None:
    """Three markets on the dollars of one: what one has left the others may use, and no more."""
    with few_dollars():
        assert sound(in_three_markets(calm(length_s=30.0))).seen["PLACEMENT"] > 0


def test_what_hangs_on_something() -> None:
    """Its own objects, each once, and no code, no module and nothing of the exchange's."""
    shared = [1.5, 2.5]
    held = {"a": shared, "b": shared, "code": test_as_we_are, "module": simulation_limits}
    few = objects_held(held)

    assert few == 4, "a dict, a list, its two figures"
    held["more"] = [object() for _ in range(100)]
    assert few + 100 < objects_held(held) <= few + 101


@pytest.mark.parametrize(("side", "adds"), [(0, False), (1, True)], ids=["light", "heavy"])
def test_what_is_left_of_an_undone_trade(side: int, adds: bool) -> None:
    """S7: thirty Down that a failed trade had balanced are above the limit; a bid for Up adds
    nothing to what they may lose, one for more of them does (seed 5613).
    """
    held = Holdings(up=0, down=30 * SHARE, cost=20 * USD)
    trades = {1: SimpleNamespace(status=TradeStatus.FAILED)}
    books: Any = SimpleNamespace(holdings=lambda: held, realised=0, trades=trades)
    market: Any = SimpleNamespace(tokens=("up", "down"), series=SimpleNamespace(key="btc-5m"))
    bid: Any = SimpleNamespace(
        token=market.tokens[side], price=1_200, remaining=10 * SHARE, side=BUY
    )
    one = simulation_limits._exposure(market, books, [bid])

    assert (one.held, one.undone) == (20 * USD, 1)
    assert one.worst == (21_200_000 if adds else 20 * USD)
    assert one.at_risk == 21_200_000


def test_what_was_earned_is_no_loss() -> None:
    """A merge takes pairs away that were the profit: ten dollars of it are set against what the
    rest may lose (seed 5578).
    """
    held = Holdings(up=10 * SHARE, down=40 * SHARE, cost=26 * USD)
    books: Any = SimpleNamespace(holdings=lambda: held, realised=10 * USD, trades={})
    market: Any = SimpleNamespace(tokens=("up", "down"), series=SimpleNamespace(key="btc-5m"))

    assert simulation_limits._exposure(market, books, []).worst == 6 * USD
