"""The quoter: inputs in, desired bids and reasons out. Pure, and cheap enough for every tick.

Two bid ladders, one on each outcome, under a combined cap (strategy.md 6): a pair bought below one
dollar merges into one. Every bid is a cap first and a price second.
"""

from __future__ import annotations

import enum

import attrs

from polybot.domain import units
from polybot.domain.market import Candle, Market, Outcome
from polybot.pricing.blend import Blend, blend
from polybot.pricing.fair import Fair, NoFair
from polybot.quoting import ladder
from polybot.quoting.books import Touch, market_view, offers, touch
from polybot.quoting.completion import Held, Take, Unpaired, plan
from polybot.quoting.model import Decision, Quote, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.quoting.reservation import Value, edge, value

DISPUTED_SIZE = 0.5  # strategy.md 4: the side that both find cheap, at half size


class Phase(enum.Enum):
    """Where a market's window stands for quoting (strategy.md 13)."""

    BEFORE = "before"
    QUOTING = "quoting"
    REDUCE = "reduce"
    CUTOFF = "cutoff"


def ends(market: Market, params: QuoteParams) -> tuple[float, float]:
    """(stop, cutoff): seconds before the end when only the light side is quoted, and nothing."""
    if isinstance(market.rule, Candle):
        return params.stop_candle_s, params.cutoff_candle_s
    return params.stop_twap_s, params.cutoff_twap_s


def phase(market: Market, now_ms: int, params: QuoteParams) -> Phase:
    """The phase at `now_ms`: stop and cutoff count back from the window's end (strategy.md 6.3)."""
    stop_s, cutoff_s = ends(market, params)
    left_ms = market.end_ms - now_ms
    if left_ms <= cutoff_s * 1000:
        return Phase.CUTOFF
    if now_ms < market.start_ms - params.preopen_s * 1000:
        return Phase.BEFORE
    return Phase.REDUCE if left_ms <= stop_s * 1000 else Phase.QUOTING


def decide(
    inputs: QuoteInputs, params: QuoteParams, completion: CompletionParams | None = None
) -> Decision:
    """Desired bids for one market now, with the reason for everything withheld or reduced.

    Raises ValueError when `tick` is not a positive divisor of one dollar.
    """
    if inputs.tick <= 0 or units.ONE % inputs.tick:
        raise ValueError(f"expected a tick that divides {units.ONE}, was {inputs.tick}")
    now = phase(inputs.market, inputs.now_ms, params)
    if now in (Phase.BEFORE, Phase.CUTOFF):
        return _nothing(_closed(inputs, now))
    if isinstance(inputs.fair, NoFair):
        return _nothing(Reason(inputs.fair.why, None, inputs.fair.figures))
    quoter = _Quoter(inputs, params, inputs.fair, now is Phase.REDUCE, completion)
    return quoter.decision()


def _nothing(*reasons: Reason) -> Decision:
    return Decision((), reasons)


def _closed(inputs: QuoteInputs, now: Phase) -> Reason:
    if now is Phase.BEFORE:
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
        worth = value(
            view.q,
            self.inputs.net_shares,
            edge(self.fair, self.params),
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
        quotes = self._ladders(self._combined(tops), worth, scale)
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
        stop_s, cutoff_s = ends(self.inputs.market, self.params)
        net = self.inputs.held_up - self.inputs.held_down
        missing = Outcome.DOWN if net > 0 else Outcome.UP
        unpaired = Unpaired(
            market=self.inputs.market,
            net_confirmed=self.inputs.net_confirmed,
            net_told=net,
            q=q,
            offers=offers(self.inputs, missing),
            to_cutoff_s=(self.inputs.market.end_ms - self.inputs.now_ms) / 1000 - cutoff_s,
            window_s=stop_s - cutoff_s,
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
        competitive = min(others.bid + (tick if light else 0), others.ask - tick)
        price = min(units.floor_to(competitive, tick), ladder.grid_floor(cap, tick))
        if price < tick:
            self.reasons.append(Reason(Why.CAP_BELOW_TICK, outcome, (("cap", f"{cap:.4f}"),)))
            return None
        return ladder.Top(price, cap)

    def _is_light(self, outcome: Outcome) -> bool:
        net = self.inputs.held_up - self.inputs.held_down
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
        net = self.inputs.held_up - self.inputs.held_down
        toward = net if outcome is Outcome.UP else -net
        if self.reduce:
            return -toward - self.kept_back  # pair what is held, never flip
        return int(self.params.max_inventory_shares * units.SHARE) - toward
