"""A quoter's turn by itself: what it takes from the turn before, and what it looks at anew."""

from __future__ import annotations

from desk_kit import MARKET, START, desk
from shell_kit import shell_config
from test_shell_standing import account

from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import Acked, NewOrder
from polybot.domain.units import SHARE, USD
from polybot.execution.wish import Desired
from polybot.pricing.board import PriceBoard
from polybot.quoter import Quoter
from polybot.risk.checks import Limit, Over
from polybot.signal.board import SignalMemory
from polybot.signal.params import SignalParams
from polybot.signal_ears import SignalEars

UP, DOWN = Outcome.UP, Outcome.DOWN
NOW = START + 60_000


def quoter() -> Quoter:
    """One of a wallet that holds 100 Up for 48 dollars, with 922 left and 30 at risk elsewhere."""
    ears = SignalEars(MARKET, SignalMemory(SignalParams()).board(MARKET, 0.15))
    return Quoter(shell_config(), PriceBoard(), account(), desk(), ears)


def turn(made: Quoter, now_ms: int = NOW) -> bool:
    made.price(now_ms)
    return made.decide(None, None, 0, now_ms, book_known=True)


def test_a_turn_that_wants_the_same_makes_no_other_wish() -> None:
    """The first has none before it; the second wants nothing still."""
    made = quoter()

    assert turn(made)
    assert not turn(made, NOW + 50)


def test_our_orders_are_looked_at_again_when_the_table_has_changed() -> None:
    """What rests is taken as it was found, until an order comes, is answered, or goes."""
    made = quoter()
    turn(made)
    before = made.resting
    turn(made, NOW + 50)
    assert made.resting is before
    bid = NewOrder(MARKET, DOWN, Side.BUY, 4800, 10 * SHARE)
    made.desk.desired = Desired((bid,), 9900, 9900, 9900, fair_up=5000)
    made.desk.act(NOW + 60, made.wallet.standing(MARKET.condition_id))
    turn(made, NOW + 100)
    assert not made.resting.own, "on its way"
    made.desk.posted([Acked("0x1", "live", 0, 0, ())], NOW + 120)
    turn(made, NOW + 150)

    assert made.resting.own == {(DOWN, 4800): 10 * SHARE}
    assert made.resting.live == {DOWN}


def test_what_is_held_over_a_limit_is_told_to_the_decision() -> None:
    """48 dollars may be lost here, and of the thousand that were there three percent are 30."""
    made = quoter()
    turn(made)

    assert made.inputs is not None
    assert made.inputs.over == Over(Limit.MARKET_LOSS, 18 * USD)


def test_what_is_not_held_is_over_no_limit() -> None:
    """Nothing is unpaired: nothing could be taken."""
    made = quoter()
    made.wallet.ledger = Ledger()
    turn(made)

    assert made.inputs is not None
    assert made.inputs.over is None
    assert made.inputs.stock is None
