"""What a turn hands to the decision: holdings, limits, orders and reasons of the right market."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from desk_kit import MARKET
from msgspec.structs import replace
from test_shell_quoter import NOW, quoter, turn

from polybot.domain.market import Outcome, RewardPool, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.execution.desk import Desk
from polybot.quoter import BOOK_LEVELS, REWARD_PAUSE_MS, Quoter
from polybot.quoting.asks import NEVER
from polybot.quoting.model import QuoteInputs, Terms
from polybot.risk.timetable import Known
from polybot.signal.regime import DEPTH_WITHIN

UP, DOWN = Outcome.UP, Outcome.DOWN
TERMS = Terms(1.0, 0.1, 0.01)


def seen(made: Quoter) -> QuoteInputs:
    turn(made)
    assert made.inputs is not None
    return made.inputs


def buys_down(made: Quoter, shares: int, status: TradeStatus = TradeStatus.MATCHED) -> None:
    leg = FillLeg("0x7", MARKET.down_token, Side.BUY, 4000, shares * SHARE, maker=True)
    made.wallet.ledger.book(TradeSeen("t7", MARKET.condition_id, status, (leg,), MARKET.start_ms))


def configured(made: Quoter, **changed: Any) -> None:
    made.config = attrs.evolve(made.config, quote=attrs.evolve(made.config.quote, **changed))


def test_what_is_held_and_what_may_be() -> None:
    """Of each outcome, what of it is certain, and the limit in shares."""
    made = quoter()
    buys_down(made, 30)
    it = seen(made)

    assert (it.held_up, it.held_down) == (100 * SHARE, 30 * SHARE)
    assert it.net_confirmed == 100 * SHARE, "a match is no share yet"
    assert it.net_limit == made.config.risk.max_net_shares * SHARE
    assert (it.scoring, it.unscored, it.rewarded, it.reward_refused) == (1.0, (), False, False)


def test_what_might_be_sold_and_why_not() -> None:
    """Nothing where nothing may be; of a market that is merged the pairs are dollars soon."""
    made = quoter()
    configured(made, sell_held="always")
    stock = seen(made).stock
    assert stock is not None
    assert (stock.held_up, stock.unmergeable) == (100 * SHARE, None)
    made.wallet.unmergeable[MARKET.condition_id] = "no gas"
    stock = seen(made).stock
    assert stock is not None
    assert stock.unmergeable == "no gas"
    made.wallet.unmergeable.clear()
    turn(made, MARKET.end_ms)
    assert made.inputs is not None
    assert made.inputs.stock is not None
    assert made.inputs.stock.unmergeable, "none would come in time any more"

    configured(made, sell_held=NEVER)
    assert seen(made).stock is None


def test_only_what_is_held_on_one_side_passes_a_limit_on_losses() -> None:
    """It is judged anew with each standing, and once for it."""
    made = quoter()
    over = seen(made).over
    assert over is not None
    assert seen(made).over is over
    made.wallet.day_loss = 1
    assert seen(made).over is not over

    made = quoter()
    buys_down(made, 100)
    assert seen(made).over is None, "pairs lose nothing"


def test_pairs_count_where_each_costs_something() -> None:
    """Those that are held, and those that have been merged."""
    made = quoter()
    buys_down(made, 30, TradeStatus.CONFIRMED)
    made.wallet.ledger.merge(MARKET.condition_id, 5 * SHARE, "receipt")
    assert seen(made).paired == 0
    configured(made, pair_jump=0.01)
    assert seen(made).paired == 30 * SHARE


def test_the_machine_knows_what_the_turn_knows() -> None:
    """A book that was verified once stays known; a strike and open orders are of now."""
    made = quoter()
    machine = made.machine
    made.price(NOW)
    made.decide(None, None, 0, NOW, book_known=False)
    assert machine.known == Known(book=False, strike=False, open_orders=0)
    turn(made)
    made.decide(None, None, 0, NOW, book_known=False)
    assert machine.known == Known(book=True, strike=False, open_orders=0)
    made.strike = SimpleNamespace()  # type: ignore[assignment]
    made.decide(None, None, 0, NOW, book_known=True)
    assert machine.known == Known(book=True, strike=True, open_orders=0)


def test_a_tick_is_everybodys_and_says_how_deep_a_book_is_read() -> None:
    """As far as signals and a pool's widest spread reach, and five levels at least."""
    made = quoter()
    assert made.levels == max(BOOK_LEVELS, DEPTH_WITHIN // 100 + 1)
    made.retick(10)
    assert made.levels == DEPTH_WITHIN // 10 + 1
    assert {made.market.tick, made.desk.market.tick, made.desk.firewall.market.tick} == {10}
    wide = RewardPool(1, SHARE, 10 * DEPTH_WITHIN)
    made.market = attrs.evolve(made.market, rewards=wide)
    assert made.levels == DEPTH_WITHIN + 1


def test_what_the_venue_says_of_our_orders_is_handed_on() -> None:
    """What part of them scores, and on which side none does."""
    made = quoter()
    made.scoring = SimpleNamespace(share=0.5, unscored=(DOWN,))
    assert (seen(made).scoring, seen(made).unscored) == (0.5, (DOWN,))


def test_a_refused_order_ends_what_is_quoted_for_rewards_for_a_minute() -> None:
    """By then holdings and limits have moved; without rewards in mind it means nothing."""
    made = quoter()
    made.desk.refused[UP] = "over a limit"
    assert not made._reward_refused(NOW)
    made.decision = replace(made.decision, rewards=TERMS)
    assert made._reward_refused(NOW)
    made.desk.refused.clear()
    assert made._reward_refused(NOW + REWARD_PAUSE_MS - 1)
    assert not made._reward_refused(NOW + REWARD_PAUSE_MS)


@pytest.mark.parametrize("taking", [True, False])
def test_who_has_taken_is_told_of_takes_on_their_way(
    monkeypatch: pytest.MonkeyPatch, *, taking: bool
) -> None:
    """A second one beside it would be twice as much; who never took need not be asked."""
    monkeypatch.setattr(Desk, "taking", taking)
    made = quoter()
    assert not seen(made).taking
    made._takes = 1
    assert seen(made).taking is taking
    made._takes = 0
    turn(made, made.machine.table.cutoff_ms - 1)
    assert made.inputs is not None
    assert made.inputs.state is MarketState.REDUCE
    assert made.inputs.taking is taking, "a take of the scope before this one"
