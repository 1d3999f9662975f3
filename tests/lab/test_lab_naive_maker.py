"""The naive maker must lose against the crowd, and its profit must be what its wallet says."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings, strategies as st

from polybot.exchange.crowd_hand import FUNDS, Hand
from polybot.exchange.invariants import check
from polybot.exchange.money import UNIT
from polybot.lab import commands, naive_maker
from polybot.lab.crowd_rivals import HALF_CENTS, LATENCY_MS, SHARES, Naive, Rival
from polybot.lab.crowd_venue import TODAY, CrowdVenue
from polybot.lab.naive_maker import Earnings, compete, line


def test_a_fixed_cent_around_the_mid_loses() -> None:
    """A thin crowd and a dozen windows are enough to see it (the command runs hundreds)."""
    naive, careful = compete(5, 12, 0.03, io.StringIO())

    assert naive.windows == 12
    assert naive.shares > 50
    assert naive.rebate > 0
    assert naive.mean < 0
    assert careful.mean > naive.mean


def naive_in(seed: int, intensity: float, windows: int) -> tuple[CrowdVenue, Rival]:
    venue = CrowdVenue(seed, intensity, TODAY)
    rival = Rival(Hand.make(venue.engine, "naive"))
    for market in venue.windows(windows):
        mind = Naive(venue.engine, market)
        for at_ms in range(market.start_ms, market.end_ms, LATENCY_MS):
            venue.until(at_ms)
            rival.act(mind, market, at_ms)
        check(venue.engine)
        rival.leave(market, market.end_ms)
    return venue, rival


def test_profit_is_what_the_wallet_shows() -> None:
    """Everything redeemed, cash has changed by the profit without the rebates, to a cent's dust."""
    venue, rival = naive_in(2, 0.02, 2)
    for market in venue.engine.markets.values():
        if market.winner is not None:
            venue.engine.redeem(rival.hand.account, market, venue.now_ms)
    earned = (venue.engine.accounts.cash(rival.hand.account) - FUNDS) / UNIT

    assert rival.filled > 0
    assert earned == pytest.approx(sum(rival.profits) - rival.rebates, abs=0.01)


@given(st.integers(0, 10_000))
@settings(max_examples=4, deadline=None)
def test_no_maker_changes_an_outcome(seed: int) -> None:
    """With a maker among them or without, each window ends as its prices say; books stay sound."""
    with_maker, _ = naive_in(seed, 0.01, 1)
    alone = CrowdVenue(seed, 0.01, TODAY)
    for _ in alone.windows(1):
        pass
    outcomes = [
        [market.winner for market in venue.engine.markets.values()] for venue in (alone, with_maker)
    ]

    assert outcomes[0] == outcomes[1]


def test_naive_quotes_are_a_cent_from_the_mid() -> None:
    """Fifteen shares on each side, rounded away from the mid, one latency after the look."""
    venue = CrowdVenue(1, 0.02, TODAY)
    market = next(venue.windows(1))
    for hand in venue.crowd.hands:
        hand.leave(market, venue.now_ms)
    other, rival = Hand.make(venue.engine, "other"), Rival(Hand.make(venue.engine, "naive"))
    other.rest(market, "BUY", 5000, 100 * UNIT, venue.now_ms)
    other.rest(market, "SELL", 5100, 100 * UNIT, venue.now_ms)
    mind = Naive(venue.engine, market)

    rival.act(mind, market, venue.now_ms)
    assert venue.engine.live_orders(rival.hand.owner) == []
    rival.act(mind, market, venue.now_ms + LATENCY_MS)

    orders = venue.engine.live_orders(rival.hand.owner)
    assert {order.size for order in orders} == {SHARES}
    assert mind.quotes(0, 0) == (5050 - HALF_CENTS, 5050 + HALF_CENTS)
    assert {order.price for order in orders} == {4900, 10_000 - 5200}


@pytest.mark.parametrize(("high", "code"), [(-0.1, 0), (0.1, 1)])
def test_the_command_fails_unless_the_loss_is_sure(
    high: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero inside the interval is not a loss that was shown."""
    rows = tuple(Earnings(name, 9, -2.0, -4.0, high, 50, 0.5) for name in ("naive", "careful"))
    monkeypatch.setattr(naive_maker, "compete", lambda *_: rows)

    assert commands.run("naive-maker", ["--markets", "9"]) == code
    assert capsys.readouterr().out == "".join(f"{line(row)}\n" for row in rows)


def test_one_market_makes_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad word is one clear line and exit code 2."""
    with pytest.raises(SystemExit) as stop:
        commands.run("naive-maker", ["--markets", "1"])

    assert stop.value.code == 2
    assert "two markets" in capsys.readouterr().err
