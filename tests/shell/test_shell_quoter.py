"""A quoter's turn by itself: what it takes from the turn before, and what it looks at anew."""

from __future__ import annotations

from desk_kit import MARKET, START, desk
from loguru import logger
from shell_kit import playing, shell_config
from test_shell_standing import account

from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import (
    Acked,
    FillLeg,
    NewOrder,
    Reject,
    Rejected,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, USD
from polybot.execution.wish import Desired
from polybot.patient_clock import PatientClock
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoter import APART_KEPT_MS, Quoter
from polybot.quoting.completion import Held
from polybot.quoting.model import BookView, QuoteInputs
from polybot.quoting.reasons import Why
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


# --- what a decision is told ----------------------------------------------------------------------

BOOK = BookView(((4800, 200 * SHARE),), ((5200, 200 * SHARE),))  # of Up and of Down
LATE = START + 236_000  # in the last call, between a stop at 180 s and a cutoff at 240


def fair(q: float) -> Fair:
    return Fair(q, 0.0, 0.02, 0.4, 8e-5, 280.0, 100_000.0, 100_000.0)


def seen(made: Quoter, now_ms: int, q: float | NoFair = 0.5, *, books: bool = True) -> QuoteInputs:
    """What a turn at this price saw; the books changed at `NOW`."""
    made.fair = q if isinstance(q, NoFair) else fair(q)
    shown = BOOK if books else None
    made.decide(shown, shown, NOW, now_ms, book_known=True)
    assert made.inputs is not None
    return made.inputs


def buy(made: Quoter, token: str, shares: int, status: TradeStatus) -> None:
    """Book a fill of a bid of ours in MARKET."""
    leg = FillLeg("0xe", token, Side.BUY, 5000, shares * SHARE, maker=True)
    told = TradeSeen(f"n{token}", MARKET.condition_id, status, (leg,), START)
    assert made.wallet.ledger.book(told)


def test_shares_that_no_block_has_are_held_and_not_confirmed() -> None:
    """A hundred Up are confirmed, forty more and ten Down are not: nothing of these is completed,
    for the trade may fail and leave the twin alone (strategy.md 7).
    """
    made = quoter()
    buy(made, MARKET.up_token, 40, TradeStatus.MATCHED)
    buy(made, MARKET.down_token, 10, TradeStatus.MINED)
    told = seen(made, NOW)

    assert (told.held_up, told.held_down) == (140 * SHARE, 10 * SHARE)
    assert told.net_confirmed == 100 * SHARE


def test_the_age_of_the_books_is_told() -> None:
    """In seconds since their last change; a stamp ahead of us is no age."""
    made = quoter()

    assert seen(made, NOW + 2_500).book_age_s == 2.5
    assert seen(made, NOW - 100).book_age_s == 0


def test_a_disagreement_goes_on_from_turn_to_turn() -> None:
    """Also over turns that see no book or have no price, of which there is one in four seconds
    here: what only the model finds cheap is withheld after five, and the operator told once.
    """
    made, alarms, withheld = quoter(), [], []
    for n in range(200):
        now_ms, blind = NOW + n * 100, n % 40 == 39
        priced = NoFair(WhyNoFair.SPOT_STALE) if n == 79 else 0.9
        told = seen(made, now_ms, priced, books=not blind)
        alarms.append(made.alarm(now_ms))
        if not blind:
            withheld.append(any(why.why is Why.DISAGREE for why in made.decision.reasons))
        assert told.apart_since_ms == (NOW if n else None)

    assert withheld.index(True) == 49, "of those with books: five seconds"
    assert all(withheld[49:])
    assert [at for at, text in enumerate(alarms) if text] == [50]
    assert alarms[50] == "model and market disagree: 0.900 against 0.500 for Up"


def test_a_disagreement_that_ended_is_told_again_when_it_begins_again() -> None:
    """Where the two are together for a moment, five seconds are waited for once more."""
    made = quoter()
    told = []
    for n in range(30):
        seen(made, NOW + n * 1_000, 0.5 if n == 10 else 0.9)
        told.append(made.alarm(NOW + n * 1_000) is not None)

    assert [n for n, one in enumerate(told) if one] == [5, 16]


async def test_a_disagreement_is_in_the_log(fast_clock: PatientClock) -> None:
    """Of a market that is quoted, under its name; where any difference is one, one comes soon."""
    said: list[str] = []
    sink = logger.add(lambda line: said.append(str(line)), level="WARNING")
    try:
        async with playing(config=shell_config(disagree_log_odds=0.1, disagree_s=0.0)) as it:
            words = f"{it.market.slug}: model and market disagree"
            await it.until(lambda: any(words in line for line in said), "it is told", 300)
            await it.end()
    finally:
        logger.remove(sink)


def test_what_was_apart_before_a_long_darkness_is_no_evidence() -> None:
    """A minute without a book: it begins anew."""
    for dark_ms, since in ((APART_KEPT_MS, NOW), (APART_KEPT_MS + 1, None)):
        made = quoter()
        seen(made, NOW, 0.9)
        seen(made, NOW + 1_000, 0.9, books=False)
        assert seen(made, NOW + dark_ms, 0.9).apart_since_ms == since


def test_an_order_that_is_being_cancelled_still_rests() -> None:
    """The book shows it until it is gone: left in, we would bid against ourselves. As a side it is
    live no more.
    """
    made = quoter()
    bid = NewOrder(MARKET, DOWN, Side.BUY, 4800, 10 * SHARE)
    made.desk.desired = Desired((bid,), 9900, 9900, 9900, fair_up=5000)
    made.desk.act(NOW, made.wallet.standing(MARKET.condition_id))
    made.desk.posted([Acked("0x1", "live", 0, 0, ())], NOW)
    made.desk.desired = Desired()
    made.desk.act(NOW, made.wallet.standing(MARKET.condition_id))
    told = seen(made, NOW)

    assert told.own == {(DOWN, 4800): 10 * SHARE}
    assert made.resting.live == frozenset()


# --- completion -----------------------------------------------------------------------------------


def near_the_cutoff() -> Quoter:
    """A quoter in REDUCE that has a hundred confirmed Up to pair, with Down cheap enough."""
    made = quoter()
    made.machine.state = MarketState.REDUCE
    return made


CHEAP_UP = BookView(((5600, 200 * SHARE),), ((5800, 200 * SHARE),))
CHEAP_DOWN = BookView(((4200, 200 * SHARE),), ((4400, 200 * SHARE),))


def late_turn(made: Quoter, now_ms: int) -> Desired:
    made.fair = fair(0.5)
    made.decide(CHEAP_UP, CHEAP_DOWN, NOW, now_ms, book_known=True)
    assert made.desired is not None
    return made.desired


def take_sent(made: Quoter) -> None:
    """The desk has sent what the last wish takes, and has no answer yet."""
    made.desk.act(LATE, made.wallet.standing(MARKET.condition_id))
    assert made.desk.taking


def test_a_take_has_a_number_and_the_next_one_waits() -> None:
    """Once in `every_s`: what it came to is seen before the next is tried."""
    made = near_the_cutoff()
    every_ms = int(made.config.completion.every_s * 1000)
    times = (0, 50, every_ms - 1, every_ms, every_ms + 50)
    numbers = [late_turn(made, LATE + after).take_number for after in times]

    assert numbers == [1, 0, 0, 2, 0]


def test_a_clock_that_is_set_back_puts_off_no_take() -> None:
    """A second back is a second more until the last call, not one more to wait."""
    made = near_the_cutoff()

    assert [late_turn(made, at).take_number for at in (LATE, LATE - 1000, LATE - 950)] == [1, 2, 0]


def test_past_a_limit_and_past_the_stop_orders_only_pair() -> None:
    """Then no order that rests may be larger than what is to pair: a take waits until there is room
    for it beside what rests, and a limit that is passed has no last call that would end the
    waiting.
    """
    made, reducing = quoter(), near_the_cutoff()
    assert made.config.risk.max_market_loss_percent == 3, (
        "48 dollars may be lost, and 30 are allowed"
    )
    for one, at_ms in ((made, NOW), (reducing, LATE)):
        wanted = late_turn(one, at_ms)
        held = one.holdings()
        taken = one.decision.take.size if one.decision.take is not None else 0
        assert one.decision.to_pair == abs(held.net) - taken
        resting = sum(order.size for order in wanted.orders)
        assert resting or taken
        assert wanted.spare == (abs(held.net) - taken - resting) // max(1, len(wanted.orders))
    reducing.wallet.ledger = made.wallet.ledger = Ledger()
    late_turn(reducing, LATE + 50)
    assert reducing.decision.to_pair == 0

    assert late_turn(made, NOW + 50).spare is None


def test_no_take_beside_one_that_is_under_way() -> None:
    """The decision hears of it from the desk."""
    made = near_the_cutoff()
    made.desk.desired = late_turn(made, LATE)
    assert made.desk.desired.take is not None
    take_sent(made)
    late_turn(made, LATE + 3_000)

    assert made.inputs is not None
    assert made.inputs.taking
    assert Held.PENDING in [reason.why for reason in made.decision.reasons]


def test_no_take_while_the_venue_takes_resting_orders_only() -> None:
    """After a restart of the engine (clob.md 7.3): it has refused one of ours for that."""
    made = near_the_cutoff()
    made.desk.desired = late_turn(made, LATE)
    take_sent(made)
    made.desk.posted([Rejected("0x1", Reject.POST_ONLY_MODE, "post-only")], LATE)
    late_turn(made, LATE + 3_000)

    assert made.inputs is not None
    assert made.inputs.post_only
    assert Held.POST_ONLY in [reason.why for reason in made.decision.reasons]
