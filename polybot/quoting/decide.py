"""The quoter: inputs in, desired orders and reasons out. Pure, and cheap enough for every tick.

Two bid ladders, one on each outcome, under a combined cap (strategy.md 6): a pair bought below one
dollar merges into one. Every bid is a cap first and a price second. What is held may be sold in a
bid's place (asks.py).
"""

from __future__ import annotations

import functools

import msgspec
from msgspec import Struct

from polybot.domain import units
from polybot.domain.market import DOWN, UP, Outcome
from polybot.domain.market_states import MarketState
from polybot.pricing.blend import Blend, blend
from polybot.pricing.fair import Fair, WhyNoFair
from polybot.quoting import ladder, rewards as pools, sizes
from polybot.quoting.asks import with_asks
from polybot.quoting.books import Touch, market_view, offers, touch
from polybot.quoting.completion import Held, Take, Unpaired, plan, relieve
from polybot.quoting.ladder import grid_floor
from polybot.quoting.model import Decision, Quote, QuoteInputs, Terms
from polybot.quoting.pairs import Penalties, target as pair_target
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams
from polybot.quoting.reasons import NoReward, Reason, Why
from polybot.quoting.reservation import Value, edge, value
from polybot.risk.checks import Over
from polybot.risk.exposure import inventory_room
from polybot.signal.evidence import Unproven

Q_LEAST = 0.001  # a shifted fair price stays a probability
Q_MOST = 1 - Q_LEAST
_NOT_OPEN = (MarketState.DISCOVERED, MarketState.PREOPEN)
AWAIT_STRIKE, QUOTING, REDUCE = MarketState.AWAIT_STRIKE, MarketState.QUOTING, MarketState.REDUCE
_QUOTED = (QUOTING, REDUCE, AWAIT_STRIKE)
_TAKING = (QUOTING, REDUCE)
_ANEW = (WhyNoFair.STRIKE_UNKNOWN, WhyNoFair.STRIKE_CORRECTED)


def decide(
    inputs: QuoteInputs,
    params: QuoteParams,
    completion: CompletionParams | None = None,
    rewards: RewardParams | None = None,
) -> Decision:
    """Desired bids for one market now, with the reason for everything withheld or reduced.

    Raises ValueError when `tick` is not a positive divisor of one dollar.
    """
    if inputs.tick <= 0 or units.ONE % inputs.tick:
        raise ValueError(f"expected a tick that divides {units.ONE}, was {inputs.tick}")
    state, fair = inputs.state, inputs.fair
    if state not in _QUOTED and not _opens_early(inputs):
        return _nothing(_closed(inputs))
    if not isinstance(fair, Fair):
        return _blind(inputs, Reason(fair.why, None, fair.figures))
    if state is AWAIT_STRIKE:
        return _nothing(Reason(WhyNoFair.STRIKE_UNKNOWN))
    if inputs.advice.veto is not None:
        veto, because = inputs.advice.veto, " ".join(inputs.advice.because)
        return _blind(inputs, Reason(Why.SIGNAL, None, (("signal", because), ("says", veto.value))))
    relieves = completion is not None and completion.enabled and completion.relieve
    over = inputs.over if relieves and state in _TAKING else None
    reduce, net = state is REDUCE or over is not None, inputs.held_up - inputs.held_down
    up, down = touch(inputs, UP), touch(inputs, DOWN)
    return _Quoter(
        inputs, params, fair, reduce, over, completion, rewards, net, up, down
    ).decision()


def _nothing(*reasons: Reason) -> Decision:
    return Decision((), reasons)


def _blind(inputs: QuoteInputs, *reasons: Reason) -> Decision:
    """Nothing, by a turn that cannot hold model and market against each other: what was apart is
    apart until somebody sees that it is not. Against another strike the model is another one.
    """
    anew = any(reason.why in _ANEW for reason in reasons)
    since_ms = None if anew else inputs.apart_since_ms
    return Decision((), reasons, apart_since_ms=since_ms)


def _opens_early(inputs: QuoteInputs) -> bool:
    """Whether the operator wants quotes before the window, and its market is ready for them."""
    return inputs.state is MarketState.PREOPEN and inputs.now_ms >= inputs.table.opens_ms


def _closed(inputs: QuoteInputs) -> Reason:
    if inputs.state in _NOT_OPEN:
        opens_s = (inputs.market.start_ms - inputs.now_ms) / 1000
        return Reason(Why.NOT_OPEN, None, (("opens_in_s", f"{opens_s:g}"),))
    left_s = (inputs.market.end_ms - inputs.now_ms) / 1000
    return Reason(Why.CUTOFF, None, (("left_s", f"{left_s:g}"),))


def _disputed(outcome: Outcome, view: Blend) -> Reason:
    return Reason(Why.DISAGREE, outcome, (("log_odds_apart", view.gap), ("weight", view.weight)))


@functools.lru_cache(maxsize=64)
def _unproven(one: Unproven) -> Reason:
    told = (("signal", one.name), ("calls", one.calls), ("worth_at_least", one.at_least))
    return Reason(Why.UNPROVEN, None, told)


class _Bids(Struct, frozen=True, gc=False):
    """The first bid of each side that has one, what they were held to, and what was said.

    `most_up` and `most_down` are the caps on the grid, `pair_cap` what a pair may cost, 10⁻⁴.
    """

    worth: Value
    most_up: int
    most_down: int
    pair_cap: int
    tops: dict[Outcome, ladder.Top]
    reasons: list[Reason]


class _Quoter(Struct, gc=False):
    """One decision under way; `reasons` gathers as sides are withheld or reduced."""

    inputs: QuoteInputs
    params: QuoteParams
    fair: Fair
    reduce: bool
    over: Over | None  # a limit on losses that what is held is to be paired down to
    completion: CompletionParams | None
    rewards: RewardParams | None
    net: int  # shares (10⁻⁶) Up less Down
    up: Touch | Reason
    down: Touch | Reason
    take: Take | None = None
    kept_back: int = 0  # shares of the missing side that are not bid for: they are to be taken
    reasons: list[Reason] = msgspec.field(default_factory=list)

    def decision(self) -> Decision:
        inputs, params = self.inputs, self.params
        market = market_view(self.up, self.down, params.market_depth_shares, inputs.book_age_s)
        if market is None:
            return _blind(inputs, *(it for it in (self.up, self.down) if isinstance(it, Reason)))
        for why, figures in self.fair.quality.cautions:
            self.reasons.append(Reason(why, None, figures))
        if inputs.advice.unproven:
            self.reasons += map(_unproven, inputs.advice.unproven)
        view = blend(self.fair, market, params.blend, inputs.now_ms, inputs.apart_since_ms)
        cuts = sizes.common_cuts(inputs, params, self.fair, view, reduce=self.reduce)
        if cuts and params.size_floor >= 1:
            cuts = [cut for cut in cuts if not cut.part]
        q = view.q + inputs.advice.shift
        if not Q_LEAST <= q <= Q_MOST:
            q = Q_LEAST if q < Q_LEAST else Q_MOST
        keep = self._keep()
        if self.reduce and self.completion is not None and self.completion.enabled:
            self._pair_up(view, market.q, self.completion)
        bids, terms = self._bids(q, keep, view), None
        if inputs.market.rewards and self.rewards and self.rewards.enabled and not self.reduce:
            bids, terms = self._rewarded(bids, q, keep, view, cuts, self.rewards)
        worth = bids.worth
        quotes = self._ladders(bids, cuts, terms)
        if inputs.stock is not None:
            unknown = [o for o, it in ((UP, self.up), (DOWN, self.down)) if isinstance(it, Reason)]
            stock, least = inputs.stock, inputs.market.min_size
            quotes, told = with_asks(quotes, stock, least, params.sell_held, unknown)
            self.reasons += told
        return Decision(
            quotes,
            tuple(self.reasons),
            worth.q,
            worth.reservation_up,
            worth.edge,
            bids.most_up,
            bids.most_down,
            bids.pair_cap,
            abs(self.net) - self.kept_back if self.reduce else None,
            market.q,
            view.apart_since_ms,
            self.take,
            terms,
        )

    def _keep(self) -> float:
        """The edge of every bid: what fills may cost (strategy.md 6.1), and more as signals ask."""
        advice = self.inputs.advice
        if advice.widen > 1 or advice.adverse or advice.deeper:
            told = (("signals", " ".join(advice.because)), ("edge_factor", advice.widen))
            self.reasons.append(Reason(Why.LOWERED, None, (*told, ("deeper", advice.deeper))))
        return edge(self.fair, self.params) * advice.widen + advice.adverse

    def _pair_up(self, view: Blend, market: float, completion: CompletionParams) -> None:
        """Take of the missing side what the plan says, once our own bids leave room for it. Where
        model and market are apart now, it is worth to us what the one thinks that finds it worth
        less: a bid that waits is worth five seconds to see who is right, what is taken is gone.
        """
        inputs, net, q = self.inputs, self.net, view.q
        missing = DOWN if net > 0 else UP
        if abs(view.gap) > self.params.disagree_log_odds:
            q = max(q, market) if missing is DOWN else min(q, market)
        found = self._planned(self._unpaired(missing, q), completion)
        if not isinstance(found, Take):
            if found is not Held.PAIRED:
                self.reasons.append(Reason(found, missing))
            return
        self.kept_back = found.size
        resting = sum(size for (side, _), size in inputs.own.items() if side is missing)
        if found.size + resting > abs(net):
            figures = (("resting", units.amount_text(resting)),)
            self.reasons.append(Reason(Why.YIELDING, missing, figures))
            return
        self.take = found

    def _planned(self, unpaired: Unpaired, completion: CompletionParams) -> Take | Held:
        """What completion does past the stop, or what a limit on losses asks for: the larger of
        the two where both are asked, for what the limit does not ask for is unpaired still.
        """
        gamma = self.params.gamma_per_share
        if self.over is None:
            return plan(unpaired, gamma, completion)
        relief = relieve(unpaired, self.over.dollars, completion.relief_pay)
        if self.inputs.state is not REDUCE:
            return relief
        usual = plan(unpaired, gamma, completion)
        most = relief.size if isinstance(relief, Take) else 0
        return usual if isinstance(usual, Take) and usual.size > most else relief

    def _unpaired(self, missing: Outcome, q: float) -> Unpaired:
        inputs, table = self.inputs, self.inputs.table
        return Unpaired(
            market=inputs.market,
            net_confirmed=inputs.net_confirmed,
            net_told=self.net,
            q=q,
            offers=offers(inputs, missing),
            to_cutoff_s=(table.cutoff_ms - inputs.now_ms) / 1000,
            window_s=(table.cutoff_ms - table.stop_ms) / 1000,
            pending=inputs.taking,
            post_only=inputs.post_only,
        )

    def _bids(self, q: float, keep: float, view: Blend, credit: float = 0.0) -> _Bids:
        """The first bid of each side at this edge, lowered to what a pair may cost."""
        inputs, net = self.inputs, self.net
        fees, tick, shares = inputs.market.fees, inputs.tick, net / units.SHARE
        worth = value(q, shares, keep, tick / units.ONE, self.params, fees, credit)
        most_up, most_down = grid_floor(worth.cap_up, tick), grid_floor(worth.cap_down, tick)
        pair_cap, penalties = pair_target(inputs, self.params)
        bids = _Bids(worth, most_up, most_down, pair_cap, {}, [])
        self._top(UP, self.up, worth.cap_up, most_up, view, bids, light=net < 0)
        self._top(DOWN, self.down, worth.cap_down, most_down, view, bids, light=net > 0)
        if len(bids.tops) == 2 and bids.tops[UP][0] + bids.tops[DOWN][0] > pair_cap:
            self._combine(bids, penalties)
        return bids

    def _top(
        self,
        outcome: Outcome,
        others: Touch | Reason,
        cap: float,
        most: int,
        view: Blend,
        bids: _Bids,
        *,
        light: bool,
    ) -> None:
        """The first bid of one side before the two are combined, or the reason for none. The light
        side improves, to be paired first; the heavy side only joins.
        """
        if isinstance(others, Reason):
            bids.reasons.append(others)
            return
        if view.disputed is outcome:
            bids.reasons.append(_disputed(outcome, view))
            return
        inputs = self.inputs
        advice, tick = inputs.advice, inputs.tick
        if self.reduce and not light:
            bids.reasons.append(self._only_light(outcome))
            return
        competitive, ask = others.bid, others.ask
        if light and advice.improve:
            competitive += tick
        elif light:
            told = (("signals", " ".join(advice.because)), ("joins", "instead of improving"))
            bids.reasons.append(Reason(Why.LOWERED, outcome, told))
        if competitive >= ask:
            competitive = ask - tick
        competitive -= advice.deeper * tick + competitive % tick
        price = most if most < competitive else competitive
        if price < tick:
            bids.reasons.append(Reason(Why.CAP_BELOW_TICK, outcome, (("cap", cap),)))
            return
        bids.tops[outcome] = (price, cap)

    def _only_light(self, outcome: Outcome) -> Reason:
        """Why the side that would add to what is held is not quoted."""
        over = self.over
        if over is None:
            return Reason(Why.BALANCED if self.net == 0 else Why.REDUCE_ONLY, outcome)
        told = (("limit", over.limit.value), ("over", units.amount_text(over.dollars)))
        return Reason(Why.OVER_LIMIT, outcome, told)

    def _combine(self, bids: _Bids, penalties: Penalties) -> None:
        """Hold both first bids to the combined cap; every deeper pair costs less."""
        up, down = bids.tops[UP], bids.tops[DOWN]
        prices = ladder.combine(up, down, self.net, bids.pair_cap, self.inputs.tick)
        for outcome, (was, cap), price in zip(Outcome, (up, down), prices, strict=True):
            if price != was:
                told = (("was", was / units.ONE), ("now", price / units.ONE), *penalties)
                bids.reasons.append(Reason(Why.COMBINED_CAP, outcome, told))
                bids.tops[outcome] = (price, cap)

    def _rewarded(
        self,
        bids: _Bids,
        q: float,
        keep: float,
        view: Blend,
        cuts: list[sizes.Cut],
        params: RewardParams,
    ) -> tuple[_Bids, Terms | None]:
        """The same bids, or better ones, for the market's pool of liquidity rewards."""
        found = self._no_reward(cuts) or self._judged(bids, q, keep, params)
        if isinstance(found, Reason):
            self.reasons.append(found)
            return bids, None
        # Half of what each share is expected to bring may better the price, if it still pays then.
        better = self._bids(q, keep, view, found.credit)
        judged = self._judged(better, q, keep, params)
        if not isinstance(judged, Reason):
            bids, found = better, judged
        pool = self.inputs.market.rewards
        told = (("least_age_s", pool.min_age_s if pool else 0),)
        self.reasons += [Reason(NoReward.NOT_SCORING, side, told) for side in self.inputs.unscored]
        return bids, found

    def _judged(self, bids: _Bids, q: float, keep: float, params: RewardParams) -> Terms | Reason:
        prices = {outcome: price for outcome, (price, _) in bids.tops.items()}
        return pools.judge(self.inputs, prices, q, keep, self.params, params)

    def _no_reward(self, cuts: list[sizes.Cut]) -> Reason | None:
        """Why the pool's least size is out of the question, whatever it would bring."""
        inputs = self.inputs
        if inputs.reward_refused:
            return Reason(NoReward.REFUSED)
        if inputs.advice.smallest or any(cut.why is not Why.NEAR_STOP for cut in cuts):
            return Reason(NoReward.UNSURE)
        least = inputs.market.rewards.min_size if inputs.market.rewards else 0
        for outcome in Outcome:
            if inventory_room(outcome, self.net, inputs.net_limit) < least:
                return Reason(NoReward.NO_ROOM, outcome, (("shares", units.amount_text(least)),))
        return None

    def _ladders(
        self, bids: _Bids, cuts: list[sizes.Cut], terms: Terms | None
    ) -> tuple[Quote, ...]:
        inputs, params, said = self.inputs, self.params, self.reasons
        said += bids.reasons
        if cuts:
            said += sizes.told(cuts)
        min_size, pool = inputs.market.min_size, inputs.market.rewards
        first = pool.min_size if terms is not None and pool is not None else 0
        most = min_size if inputs.advice.smallest else 0
        if most:
            said.append(Reason(Why.SMALLEST))
        by, common = (min_size, first, most), sizes.part_of(cuts) if cuts else 1.0
        tick, edge, rungs, floor = inputs.tick, bids.worth.edge, params.rungs, params.size_floor
        quotes: tuple[Quote, ...] = ()
        net, limit = self.net, inputs.net_limit
        if self.reduce:
            limit = 0  # pair what is held, never flip
        # Past the stop only the light side is left.
        heavy = None if self.reduce or floor >= 1 or not net else UP if net > 0 else DOWN
        for outcome, (price, cap) in bids.tops.items():
            part = common
            if outcome is heavy:
                factor, told = sizes.heavy(outcome, abs(net), inputs.net_limit, rungs)
                part *= factor
                said.append(told)
            if part < floor:
                part = sizes.floored(part, floor)
            deepest = grid_floor(cap - edge, tick)
            room = inventory_room(outcome, net, limit, self.kept_back)
            side, reasons = ladder.side(outcome, price, deepest, tick, room, part, by, rungs)
            quotes += side
            said += reasons
        return quotes
