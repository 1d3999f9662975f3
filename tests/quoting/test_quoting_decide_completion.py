"""Completion inside the decision: when it is asked for, and what it does to our own bids."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from msgspec.structs import replace
from test_quoting_decide import DOWN, SHARES, TWAP, UP, book, fair, inputs, mirrored, whys

from polybot.domain.market import Outcome
from polybot.domain.orders import TimeInForce
from polybot.domain.units import USD
from polybot.pricing.fair import Fair
from polybot.quoting.completion import Held, Stage, Take
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.risk.checks import Limit, Over

PARAMS = QuoteParams(levels=1, gamma_per_share=0.002)
ON = CompletionParams()
MEDIUM_S, HIGH_S = 215.0, 232.0  # of a window whose stop is at 180 s and whose cutoff is at 240 s
CHEAP = book(5000, 5200, 400 * SHARES)  # Down is offered at 0.50


def late(at_s: float, *, own: Mapping[tuple[Outcome, int], int] | None = None) -> QuoteInputs:
    """A hundred Up held, all confirmed, near the cutoff."""
    made = inputs(CHEAP, at_s=at_s, held_up=100 * SHARES, q=even(), own=own)
    return replace(made, net_confirmed=100 * SHARES)


def even() -> Fair:
    return fair(0.51)


def decided(seen: QuoteInputs, completion: CompletionParams = ON) -> Decision:
    return decide(seen, PARAMS, completion)


def bid_for_down(found: Decision) -> int:
    return sum(quote.size for quote in found.quotes if quote.outcome is DOWN)


def test_a_slice_leaves_room_for_itself() -> None:
    """A quarter is taken, and no more than the rest is bid for: both may fill."""
    found = decide(late(MEDIUM_S), attrs.evolve(PARAMS, size_shares=200.0), ON)

    assert found.take == Take(DOWN, TimeInForce.FAK, 5000, 25 * SHARES, Stage.MEDIUM)
    assert bid_for_down(found) == 75 * SHARES


def test_all_is_taken_when_it_is_urgent() -> None:
    """What is taken is not bid for any more."""
    found = decided(late(HIGH_S))

    assert found.take is not None
    assert (found.take.tif, found.take.stage) == (TimeInForce.FAK, Stage.HIGH)
    assert 40 * SHARES < found.take.size < 100 * SHARES, "the rest is not worth the fee"
    assert bid_for_down(found) <= 100 * SHARES - found.take.size


def test_our_own_bids_go_first() -> None:
    """While a bid for the missing side rests, the two together could turn the position around."""
    found = decided(late(HIGH_S, own={(DOWN, 4800): 90 * SHARES}))

    assert found.take is None
    assert bid_for_down(found) < 90 * SHARES, "so that it is withdrawn"
    assert Reason(Why.YIELDING, DOWN, (("resting", "90"),)) in found.reasons


def test_our_own_bid_for_what_we_hold_is_no_offer() -> None:
    """Our Up bid at 0.50 is displayed as an ask for Down at 0.50: it is not taken."""
    up = BookView(bids=((5000, 30 * SHARES),), asks=((5200, 100 * SHARES),))
    seen = replace(late(HIGH_S), up=up, down=mirrored(up), own={(UP, 5000): 30 * SHARES})

    assert decided(seen).take is None
    others = replace(seen, own={(UP, 5000): 10 * SHARES})
    found = decided(others).take
    assert found is not None
    assert found.size == 20 * SHARES


@pytest.mark.parametrize(("model", "net"), [(0.1, 100), (0.9, -100)])
def test_the_missing_side_is_not_bought_at_a_price_that_the_market_finds_wrong(
    model: float, net: int
) -> None:
    """The model thinks 0.90 of what is missing, and others offer it from 0.52 on: completion takes
    what is worth it by the market, from the first moment on (strategy.md 4). One wrong price, near
    the cutoff, bought all there was.
    """
    asks = tuple((price, 20 * SHARES) for price in (5200, 5600, 6000, 6400))
    mine = BookView(((4800, 200 * SHARES),), asks)
    seen = replace(
        late(HIGH_S),
        fair=fair(model, d=1.28 if model > 0.5 else -1.28),
        up=mine if net < 0 else mirrored(mine),
        down=mirrored(mine) if net < 0 else mine,
        held_up=max(net, 0) * SHARES,
        held_down=max(-net, 0) * SHARES,
        net_confirmed=net * SHARES,
    )
    over = Over(Limit.MARKET_LOSS, 40 * USD)
    for each in (seen, replace(seen, over=over), replace(seen, apart_since_ms=seen.now_ms - 9_000)):
        take = decided(each).take
        assert take is not None
        assert take.outcome is (UP if net < 0 else DOWN)
        assert take.price == 5200
        close = attrs.evolve(PARAMS, disagree_log_odds=5.0)
        bold = decide(each, close, ON).take
        assert bold is not None
        assert bold.price > 5200, "believed as far as the operator says"


def test_of_a_missing_side_that_the_model_alone_finds_dear_less_is_taken() -> None:
    """The other way around the model is believed as much as usual: it may be right."""
    usual = decided(late(HIGH_S)).take
    found = decided(replace(late(HIGH_S), fair=fair(0.95, d=1.64))).take

    assert usual is not None
    assert found is not None
    assert found.size < usual.size


@pytest.mark.parametrize(
    ("seen", "completion"),
    [
        (late(MEDIUM_S), attrs.evolve(ON, enabled=False)),
        (late(100.0), ON),
        (late(300.0 - 59.0), ON),
    ],
    ids=["switched off", "before the stop", "past the cutoff"],
)
def test_nothing_is_planned(seen: QuoteInputs, completion: CompletionParams) -> None:
    """Completion belongs between stop and cutoff, and to those who want it."""
    found = decided(seen, completion)

    assert found.take is None
    assert not [why for why in whys(found) if isinstance(why, Held)]


def test_the_reason_is_told() -> None:
    """Why nothing is taken stands among the other reasons."""
    provisional = replace(late(HIGH_S), net_confirmed=0)

    assert Reason(Held.PROVISIONAL, DOWN) in decided(provisional).reasons
    assert TWAP.end_ms > provisional.now_ms
