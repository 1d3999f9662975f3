"""Quoter and desk together: what rests while the price walks, sizes shrink, pools pay and the
venue is slow, is inside every cap at every step (issue D 6).
"""

from __future__ import annotations

import itertools

import attrs
from desk_kit import MARKET, START, desk
from hypothesis import given, settings, strategies as st

from polybot.domain.market import Outcome, RewardPool
from polybot.domain.orders import Acked, CancelResult
from polybot.domain.units import ONE, SHARE
from polybot.execution.actions import Cancel, Post
from polybot.execution.desk import Desk
from polybot.pricing.fair import Fair
from polybot.quoter import wish
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs
from polybot.quoting.params import QuoteParams, RewardParams
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.timetable import Times, Timetable
from polybot.signal.advice import Advice

UP, DOWN = Outcome.UP, Outcome.DOWN
TABLE = Timetable.of(MARKET, Times(120_000, 60_000))
POOL = RewardPool(1_000_000 * SHARE, 20 * SHARE, 900)


@attrs.frozen
class Moment:
    """One step of the walk: where the price and the book are, what is held, what a signal says,
    what a pair may cost, how long it took, and whether the venue has answered what was asked.
    """

    lean: float  # of the model, above the middle of the book
    mid: int
    width: int
    held_up: int
    held_down: int
    after_ms: int
    answered: bool
    total: float
    advice: Advice


MOMENTS = st.builds(
    Moment,
    lean=st.floats(-0.03, 0.03),
    mid=st.integers(47, 52).map(lambda cents: cents * 100),
    width=st.integers(1, 3).map(lambda ticks: ticks * 100),
    held_up=st.integers(0, 60).map(lambda shares: shares * SHARE),
    held_down=st.integers(0, 60).map(lambda shares: shares * SHARE),
    after_ms=st.sampled_from((50, 120, 250, 1000)),
    answered=st.booleans(),
    total=st.sampled_from((0.95, 0.97, 0.99)),
    advice=st.builds(
        Advice,
        widen=st.sampled_from((1.0, 1.5)),
        adverse=st.sampled_from((0.0, 0.01)),
        shrinks=st.sampled_from(((), (("regime", 0.5),))),
        shift=st.floats(-0.02, 0.02),
        improve=st.booleans(),
        deeper=st.integers(0, 1),
        smallest=st.booleans(),
    ),
)
PARAMS = st.builds(
    QuoteParams,
    levels=st.integers(1, 3),
    size_shares=st.sampled_from((10.0, 25.0)),
    base_edge=st.sampled_from((0.0, 0.002, 0.02)),
    kappa=st.sampled_from((0.0, 1.0)),
    rebate_counts=st.sampled_from((0.0, 0.5)),
)


def book(moment: Moment) -> BookView:
    bid, ask = moment.mid - moment.width, moment.mid + moment.width
    return BookView(((bid, 100 * SHARE),), ((ask, 100 * SHARE),))


def mirrored(of: BookView) -> BookView:
    return BookView(
        tuple((ONE - price, size) for price, size in of.asks),
        tuple((ONE - price, size) for price, size in of.bids),
    )


def decided(made: Desk, moment: Moment, params: QuoteParams, now_ms: int) -> Decision:
    up = book(moment)
    seen = QuoteInputs(
        market=made.market,
        now_ms=now_ms,
        fair=Fair(moment.mid / ONE + moment.lean, 0.2, 0.01, 0.39, 8e-5, 240.0, 90_000.0, 90_000.0),
        up=up,
        down=mirrored(up),
        tick=made.market.tick,
        held_up=moment.held_up,
        held_down=moment.held_down,
        own={},
        net_limit=100 * SHARE,
        state=made.firewall.machine.state,
        table=TABLE,
        advice=moment.advice,
    )
    return decide(seen, params, None, RewardParams())


def stays_inside(made: Desk) -> None:
    """Every bid that may still match, and is not asked to go, against the caps of now; every pair
    of all that may match, against one dollar.
    """
    open_now = list(made.table.open())
    stays = [t.order for t in open_now if t.cancel_sent_ms is None]
    for order in stays:
        assert order.price % made.market.tick == 0
        assert order.price <= made.desired.cap(order.outcome)
    for one, other in itertools.combinations(stays, 2):
        if one.outcome is not other.outcome:
            assert one.price + other.price <= made.desired.pair_cap
    for first, second in itertools.combinations(open_now, 2):
        if first.order.outcome is not second.order.outcome:
            assert first.order.price + second.order.price < ONE


@settings(max_examples=250, deadline=None)
@given(st.lists(MOMENTS, min_size=2, max_size=8), PARAMS, st.booleans(), st.integers(0, 30))
def test_no_cap_is_ever_broken_by_what_stays(
    moments: list[Moment], params: QuoteParams, pool: bool, percent: int
) -> None:
    """Bounds, grid, caps and the combined cap for every pair of live bids, at every step of a walk
    with a cancel or two always under way (strategy.md 6.2).
    """
    made, now_ms = desk(), START + 1000
    made.params = attrs.evolve(made.params, routine_every_ms=200)
    made.market = attrs.evolve(MARKET, rewards=POOL if pool else None)
    leaving: list[str] = []
    for moment in moments:
        now_ms += moment.after_ms
        if moment.answered:
            made.cancelled(leaving, CancelResult(frozenset(leaving), {}), now_ms)
            leaving = []
        params = attrs.evolve(params, target_total_max=moment.total)
        decision = decided(made, moment, params, now_ms)
        last_ms = made.firewall.machine.table.cutoff_ms
        made.desired = wish(made.market, decision, last_ms, now_ms, percent)
        held = Exposure(
            up=moment.held_up,
            down=moment.held_down,
            cost_up=moment.held_up // 2,
            cost_down=moment.held_down // 2,
        )
        for action in made.act(now_ms, Standing(10**10, 10**10, held)):
            if isinstance(action, Cancel):
                leaving += action.ids
            elif isinstance(action, Post):
                made.posted([Acked(o.id, "live", 0, 0, ()) for o in action.orders], now_ms)
        stays_inside(made)
