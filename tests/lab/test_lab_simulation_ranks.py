"""What is over stays over (S23), and no position is left without its other side in silence (L9)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import all_of, broken, by_who_knows, calm, found_with, over_the_stop, sound

from polybot import quoter
from polybot.domain import ledger
from polybot.domain.booking import book
from polybot.domain.market_books import MarketBooks
from polybot.domain.market_states import MarketState
from polybot.domain.orders import FillLeg, TradeSeen
from polybot.exchange.faults.plan import Entry, Plan
from polybot.execution.lifecycle import TRANSITIONS, Event, State
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, QuoteInputs

OVERTAKEN = Entry("frame_overtaken", ("user_ws",), probability=0.5, values={"by": (1, 12)})


def the_last_word_counts() -> Any:
    """S23: of a trade's statuses the one that was heard last is the true one."""

    def booking(books: MarketBooks, trade: TradeSeen, order_id: str, legs: list[FillLeg]) -> bool:
        changed = book(books, trade, order_id, legs)
        books.trades[trade.trade_id, order_id].status = trade.status
        return changed

    return all_of(
        mock.patch.object(ledger, "book", booking),
        mock.patch.object(ledger.Ledger, "knows", return_value=False),
    )


def risen_from_the_dead() -> Any:
    """S23: an order that is told to rest does so, whatever was told of it before."""
    alive = {Event.SEEN_LIVE: State.LIVE, Event.ACK_LIVE: State.LIVE}
    return mock.patch.dict(TRANSITIONS[State.CANCELLED], alive)


def out_of_order(case: Case) -> Case:
    """Frames of the user stream come after later ones, and many of them tell of trades."""
    return attrs.evolve(case, plan=Plan((OVERTAKEN,)), sniped=0.9)


@pytest.mark.parametrize(
    ("bug", "says"), [(the_last_word_counts, "trade"), (risen_from_the_dead, "order")]
)
def test_a_planted_bug_is_found(bug: Any, says: str) -> None:
    """By its rule, in its words, and by no other."""
    assert found_with(bug, out_of_order, "S23").violations[-1].what.startswith(says)


def test_old_news_brings_nothing_back() -> None:
    """In the same life, as we are, no rule is broken."""
    case = attrs.evolve(out_of_order(calm(length_s=30.0)), quiet_s=0.0)
    assert sound(case).struck["frame_overtaken"] > 10


def going_home_at_the_stop() -> Any:
    """L9: quotes end, and what is held is nobody's business any more."""

    def deciding(inputs: QuoteInputs, *words: Any) -> Decision:
        found = decide(inputs, *words)
        return Decision((), ()) if inputs.state is MarketState.REDUCE else found

    return mock.patch.object(quoter, "decide", deciding)


def test_a_position_that_is_forgotten_is_found() -> None:
    """One leg is held from the stop to the cutoff, nothing is bid for or taken, and nobody says
    why.
    """
    with by_who_knows(), going_home_at_the_stop():
        outcome = simulate(over_the_stop(), until="L9")

    assert broken(outcome) == {"L9"}
