"""The quoter: inputs in, desired orders and reasons out. Pure, and cheap enough for every tick.

Two bid ladders, one on each outcome, under a combined cap (strategy.md 6): a pair bought below one
dollar merges into one. Every bid is a cap first and a price second. What is held may be sold in a
bid's place (asks.py).
"""

from __future__ import annotations

import attrs

from polybot.domain import units
from polybot.domain.market import Outcome
from polybot.domain.market_states import MarketState
from polybot.pricing.blend import Blend, blend
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoting import ladder
from polybot.quoting.asks import with_asks
from polybot.quoting.books import Touch, market_view, offers, touch
from polybot.quoting.completion import Held, Take, Unpaired, plan
from polybot.quoting.model import Decision, Quote, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.quoting.reservation import Value, edge, value
from polybot.risk.exposure import inventory_room

DISPUTED_SIZE = 0.5  # strategy.md 4: the side that both find cheap, at half size

Q_LEAST = 0.001  # a shifted fair price stays a probability
_NOT_OPEN = (MarketState.DISCOVERED, MarketState.PREOPEN)
_QUOTED = (MarketState.AWAIT_STRIKE, MarketState.QUOTING, MarketState.REDUCE)


def decide(
    inputs: QuoteInputs, params: QuoteParams, completion: CompletionParams | None = None
) -> Decision:
    """Desired bids for one market now, with the reason for everything withheld or reduced.

    Raises ValueError when `tick` is not a positive divisor of one dollar.
    """
    if inputs.tick <= 0 or units.ONE % inputs.tick:
        raise ValueError(f"expected a tick that divides {units.ONE}, was {inputs.tick}")
    if inputs.state not in _QUOTED and not _opens_early(inputs):
        return _nothing(_closed(inputs))
    if isinstance(inputs.fair, NoFair):
        return _nothing(Reason(inputs.fair.why, None, inputs.fair.figures))
    if inputs.state is MarketState.AWAIT_STRIKE:
        return _nothing(Reason(WhyNoFair.STRIKE_UNKNOWN))
    if inputs.advice.veto is not None:
        veto, because = inputs.advice.veto, " ".join(inputs.advice.because)
        return _nothing(Reason(Why.SIGNAL, None, (("signal", because), ("says", veto.value))))
    reduce = inputs.state is MarketState.REDUCE
    return _Quoter(inputs, params, inputs.fair, reduce, completion).decision()


def _nothing(*reasons: Reason) -> Decision:
    return Decision((), reasons)


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
    figures = (("log_odds_apart", f"{view.gap:.2f}"), ("weight", f"{view.weight:.2f}"))
    return Reason(Why.DISAGREE, outcome, figures)


@attrs.define
class _Quoter:
    """One decision under way; `reasons` gathers as sides are withheld or reduced."""

    inputs: QuoteInputs
    params: QuoteParams
    fair: Fair
    reduce: bool
    completion: CompletionParams | None
    take: Take | None = None
    kept_back: int = 0  # shares of the missing side that are not bid for: they are to be taken
    reasons: list[Reason] = attrs.field(factory=list)

    def decision(self) -> Decision:
        up, down = touch(self.inputs, Outcome.UP), touch(self.inputs, Outcome.DOWN)
        weighing = self.params.blend
        market = market_view(up, down, weighing.depth_shares, self.inputs.book_age_s)
        if market is None:
            return _nothing(*(side for side in (up, down) if isinstance(side, Reason)))
        self.reasons += [Reason(why, None, told) for why, told in self.fair.quality.cautions]
        now_ms, since_ms = self.inputs.now_ms, self.inputs.apart_since_ms
        view = blend(self.fair, market, weighing, now_ms, since_ms)
        advice = self.inputs.advice
        worth = value(
            min(max(view.q + advice.shift, Q_LEAST), 1 - Q_LEAST),
            self.inputs.net_shares,
            edge(self.fair, self.params) * advice.widen,
            self.inputs.tick / units.ONE,
            self.params,
        )
        if self.reduce and self.completion is not None and self.completion.enabled:
            self._complete(view.q, self.completion)
        tops = {
            Outcome.UP: self._top(Outcome.UP, up, worth.cap_up, view),
            Outcome.DOWN: self._top(Outcome.DOWN, down, worth.cap_down, view),
        }
        scale = self.fair.quality.size * (1.0 if view.disputed is None else DISPUTED_SIZE)
        bids = self._ladders(self._combined(tops), worth, scale)
        least = self.inputs.market.min_size
        quotes, told = with_asks(bids, self.inputs.stock, least, self.params.sell_held)
        self.reasons += told
        return Decision(
            tuple(quotes),
            tuple(self.reasons),
            worth.q,
            worth.reservation_up,
            worth.edge,
            worth.cap_up,
            worth.cap_down,
            market.q,
            view.apart_since_ms,
            self.take,
        )

    def _complete(self, q: float, completion: CompletionParams) -> None:
        """Take of the missing side what the plan says, once our own bids leave room for it."""
        table = self.inputs.table
        net = self.inputs.net
        missing = Outcome.DOWN if net > 0 else Outcome.UP
        unpaired = Unpaired(
            market=self.inputs.market,
            net_confirmed=self.inputs.net_confirmed,
            net_told=net,
            q=q,
            offers=offers(self.inputs, missing),
            to_cutoff_s=(table.cutoff_ms - self.inputs.now_ms) / 1000,
            window_s=(table.cutoff_ms - table.stop_ms) / 1000,
            pending=self.inputs.taking,
            post_only=self.inputs.post_only,
        )
        found = plan(unpaired, self.params.gamma_per_share, completion)
        if not isinstance(found, Take):
            if found is not Held.PAIRED:
                self.reasons.append(Reason(found, missing))
            return
        self.kept_back = found.size
        resting = sum(size for (side, _), size in self.inputs.own.items() if side is missing)
        if found.size + resting > abs(net):
            figures = (("resting", units.amount_text(resting)),)
            self.reasons.append(Reason(Why.YIELDING, missing, figures))
            return
        self.take = found

    def _top(
        self, outcome: Outcome, others: Touch | Reason, cap: float, view: Blend
    ) -> ladder.Top | None:
        """The first bid of one side before the two are combined, None with a reason."""
        if isinstance(others, Reason):
            self.reasons.append(others)
            return None
        if view.disputed is outcome:
            self.reasons.append(_disputed(outcome, view))
            return None
        light = self._is_light(outcome)
        if self.reduce and not light:
            flat = self.inputs.held_up == self.inputs.held_down
            self.reasons.append(Reason(Why.BALANCED if flat else Why.REDUCE_ONLY, outcome))
            return None
        tick = self.inputs.tick
        # The light side improves, to be paired first; the heavy side only joins.
        improves = light and self.inputs.advice.improve
        competitive = min(others.bid + (tick if improves else 0), others.ask - tick)
        competitive -= self.inputs.advice.deeper * tick
        price = min(units.floor_to(competitive, tick), ladder.grid_floor(cap, tick))
        if price < tick:
            self.reasons.append(Reason(Why.CAP_BELOW_TICK, outcome, (("cap", f"{cap:.4f}"),)))
            return None
        return ladder.Top(price, cap)

    def _is_light(self, outcome: Outcome) -> bool:
        net = self.inputs.net
        return net < 0 if outcome is Outcome.UP else net > 0

    def _combined(self, tops: dict[Outcome, ladder.Top | None]) -> dict[Outcome, ladder.Top]:
        """Both first bids after the combined cap; every deeper pair costs less."""
        held = {outcome: top for outcome, top in tops.items() if top is not None}
        if len(held) < 2:
            return held
        up, down = held[Outcome.UP], held[Outcome.DOWN]
        target = ladder.target_total(self.params)
        prices = ladder.combine(up, down, self.inputs.net_shares, target, self.inputs.tick)
        for outcome, price in zip((Outcome.UP, Outcome.DOWN), prices, strict=True):
            if price != held[outcome].price:
                was = units.price_text(held[outcome].price)
                figures = (("was", was), ("now", units.price_text(price)))
                self.reasons.append(Reason(Why.COMBINED_CAP, outcome, figures))
                held[outcome] = ladder.Top(price, held[outcome].cap)
        return held

    def _ladders(self, tops: dict[Outcome, ladder.Top], worth: Value, scale: float) -> list[Quote]:
        quotes: list[Quote] = []
        for outcome, top in tops.items():
            prices = ladder.level_prices(
                top.price, top.cap - worth.edge, self.inputs.tick, self.params
            )
            side, reasons = ladder.sized(
                outcome,
                prices,
                self._room(outcome),
                self.inputs.market.min_size,
                self.params,
                self.inputs.advice,
                scale,
            )
            quotes += side
            self.reasons += reasons
            if len(prices) < self.params.levels:
                missing = (("from_level", str(len(prices))),)
                self.reasons.append(Reason(Why.CAP_BELOW_TICK, outcome, missing))
        return quotes

    def _room(self, outcome: Outcome) -> int:
        """Shares (10⁻⁶) of one outcome that may still be bought if all of it fills."""
        if self.reduce:
            room = inventory_room(outcome, self.inputs.net, 0)  # pair what is held, never flip
            return room - self.kept_back
        return inventory_room(outcome, self.inputs.net, self.inputs.net_limit)
