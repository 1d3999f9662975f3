"""The signal board of one market: fed by its tape, its fills and its decisions, read as one frozen
value.

The shell hands over what it has anyway, in plain calls: a print when the feed reads one, a fill
when the account tells one, and a look at both books and the fair price with every decision. Nothing
is reckoned twice for one decision, and nothing at all between them but sums. What outlives a window
– toxicity of the series, correlations, scores – is in `SignalMemory`, one for the wallet.
"""

from __future__ import annotations

import math

import attrs
from msgspec import Struct
from msgspec.structs import replace

from polybot.domain.earned import Earned
from polybot.domain.market import DOWN, UP, Market, Outcome, UnknownRule
from polybot.domain.units import ONE
from polybot.signal.advice import NEUTRAL, Advice, Readings, advise
from polybot.signal.competitors import Competitors, Response
from polybot.signal.correlation import Correlations, OpenWindow, crowding, shared
from polybot.signal.evidence import Evidence, Unproven
from polybot.signal.fast_move import FastMove
from polybot.signal.flow import Flow, FlowImbalance
from polybot.signal.inputs import Depth, Filled, Priced, Print, Refusal
from polybot.signal.markouts import SETTLEMENT, Marked, Markouts
from polybot.signal.params import SignalParams
from polybot.signal.parity import ParityView, may_gap, view
from polybot.signal.regime import LiquidityRegime, Regime
from polybot.signal.scores import Score, Scores
from polybot.signal.toxicity import SeriesToxicity, Standing

BOARDS_MOST = 256  # windows whose result never comes are forgotten
FOLLOWED_SIGMAS = 2.0  # a move of the spot within a second that a maker would follow


@attrs.define(eq=False)
class SignalMemory:
    """What all windows of the wallet share."""

    params: SignalParams
    earned: Earned | None = None  # by an earlier run
    toxicity: dict[str, SeriesToxicity] = attrs.field(factory=dict)  # by series
    correlations: Correlations = attrs.field(init=False)
    evidence: Evidence = attrs.field(init=False)
    windows: dict[str, OpenWindow] = attrs.field(factory=dict)  # by condition id
    scores: dict[str, Score] = attrs.field(factory=dict)
    boards: dict[str, SignalBoard] = attrs.field(factory=dict)  # by condition id, till settled
    refused: dict[Refusal, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.correlations = Correlations(self.params)
        self.evidence = Evidence(self.params, self.earned)

    def of_series(self, series: str) -> SeriesToxicity:
        held = self.toxicity.get(series)
        if held is None:
            held = self.toxicity[series] = SeriesToxicity(self.params)
        return held

    def board(self, market: Market, latency_s: float) -> SignalBoard:
        """The market's board: one for all scopes that its window may have."""
        held = self.boards.get(market.condition_id)
        if held is None:
            self._end_before(market.start_ms)
            held = self.boards[market.condition_id] = SignalBoard(market, self, latency_s)
            if len(self.boards) > BOARDS_MOST:
                del self.boards[next(iter(self.boards))]
        return held

    def _end_before(self, start_ms: int) -> None:
        """A window whose last scope has ended by a fault is over all the same: its result may never
        come, and it would crowd all others of its asset.
        """
        for board in self.boards.values():
            if board.market.end_ms < start_ms:
                board.ended()

    def settled(self, condition_id: str, up_payout: int) -> None:
        """A market's result: what one Up share pays, 10⁻⁶ dollars. Its board is done."""
        board = self.boards.pop(condition_id, None)
        if board is not None:
            board.ended()
            board.markouts.settled(up_payout)

    def summary(self) -> dict[str, Score]:
        """Every signal's score so far, of ended windows and of those under way."""
        total: dict[str, Score] = {}
        for scores in (self.scores, *(board.scores.by_name for board in self.boards.values())):
            for name, score in scores.items():
                total.setdefault(name, Score()).add(score)
        return total

    def refuse(self, refusal: Refusal | None) -> None:
        """Count what was not taken."""
        if refusal is not None:
            self.refused[refusal] = self.refused.get(refusal, 0) + 1


class Look(Struct, frozen=True, gc=False):
    """What a decision is about to see: the books without our orders (None: not known), our best
    live bids, and the model's price (None: there is none).
    """

    now_ms: int
    priced: Priced | None
    up: Depth | None
    down: Depth | None
    own: dict[Outcome, int]


@attrs.define(eq=False)
class SignalBoard:
    market: Market
    memory: SignalMemory
    latency_s: float
    readings: Readings = Readings()
    advice: Advice = NEUTRAL
    scores: Scores = attrs.field(init=False)
    markouts: Markouts = attrs.field(init=False)
    _asset: str = attrs.field(init=False)
    _source: str = attrs.field(init=False)  # whose level this market is priced on
    _flow: FlowImbalance = attrs.field(init=False)
    _fast: FastMove = attrs.field(init=False)
    _regime: LiquidityRegime = attrs.field(init=False)
    _rivals: Competitors = attrs.field(init=False)
    _reference: tuple[float, int] | None = None  # log spot, when
    _gap_since_ms: int | None = None
    _gap_judged: bool = False
    _called: dict[str, str | None] = attrs.field(factory=dict)  # toxic: whose fill tells, by trade
    _over: bool = False
    _q: float | None = None  # the last blended fair price
    _edge: float = 0.0
    _model: float | None = None  # the model's price of the last look, and of the last decision
    _model_then: float | None = None
    _calls: tuple[tuple[str, int, float], ...] = ()  # of the look that is being decided on
    _looked_ms: int | None = None
    _unproven: tuple[Unproven, ...] = ()
    _sister: tuple[int, str, float, float] | None = None  # judged when, who, both fair prices then

    def __attrs_post_init__(self) -> None:
        market, params = self.market, self.memory.params
        length_s = (market.end_ms - market.start_ms) / 1000
        self.scores = Scores(
            params.score_horizon * length_s,
            lambda name, hit, gain: self.memory.evidence.judged(name, hit=hit, gain=gain),
        )
        self.markouts = Markouts(market.start_ms, market.end_ms, self._marked)
        self._asset, rule = market.series.partition("-")[0], market.rule
        self._source = "" if isinstance(rule, UnknownRule) else rule.symbol
        self._flow = FlowImbalance(params.flow_memory * length_s)
        self._fast = FastMove(params.fast_over_s, params.fast_sigmas, params.fast_hold_s)
        self._regime = LiquidityRegime(params)
        self._rivals = Competitors(params, lambda beaten: self._improvement_ended(beaten=beaten))

    @property
    def _series(self) -> SeriesToxicity:
        return self.memory.of_series(self.market.series)

    # --- what happens ------------------------------------------------------------------------

    def printed(self, seen: Print, now_ms: int) -> None:
        """A trade of the tape, fills of ours included: whoever hit us is flow like any other."""
        refusal = self._flow.trade(seen, now_ms)
        self.memory.refuse(refusal)
        if refusal is not None:
            return
        self._regime.traded(now_ms)
        # A taker who sells Up, or buys Down, takes from the bids for Up.
        if seen.toward_up < 0:
            price = seen.price if seen.outcome is UP else ONE - seen.price
            self._rivals.taken(UP, price, now_ms)
        else:
            price = seen.price if seen.outcome is DOWN else ONE - seen.price
            self._rivals.taken(DOWN, price, now_ms)

    def filled(self, fill: Filled, now_ms: int) -> None:
        """A fill of ours, at its first sight."""
        # What is said at the fill is the call: no later verdict, nor another of the sweep's fills.
        toxic, (trade, order) = self._series.reading.standing is not Standing.CLEAN, fill.key
        self._called.setdefault(trade, order if toxic else None)
        self.memory.refuse(self.markouts.filled(fill, now_ms))

    def _marked(self, marked: Marked) -> None:
        trade, order = marked.fill.key
        if self._called.get(trade) == order and marked.horizon != SETTLEMENT:
            self._called[trade] = None
            self.scores.judge("toxicity", hit=marked.value < 0, gain=-marked.value)
        self._series.marked(marked)

    def ended(self) -> None:
        """The window is over: its series is judged by it, and its scores are kept. Once."""
        if self._over:
            return
        self._over = True
        self._series.window_over()
        self.memory.windows.pop(self.market.condition_id, None)
        for name, score in self.scores.by_name.items():
            self.memory.scores.setdefault(name, Score()).add(score)
        self.scores.by_name.clear()

    # --- what a decision sees -----------------------------------------------------------------

    def due(self, now_ms: int) -> bool:
        """Whether this decision needs a look at the books: where no signal that reads them acts,
        they are looked at on the signals' own cadence.
        """
        params, looked_ms = self.memory.params, self._looked_ms
        if params.reads_always or looked_ms is None:
            return True
        return not 0 <= now_ms - looked_ms < params.shadow_every_s * 1000

    def between(self, priced: Priced | None, now_ms: int) -> Advice:
        """A decision without a look at the books: the price is taken, and what fills have taught
        counts at once.
        """
        self._believed(priced, now_ms)
        unproven = self.memory.evidence.unproven
        if self.readings.toxicity is not self._series.reading or self._unproven is not unproven:
            self.readings = replace(self.readings, toxicity=self._series.reading)
            self._advise()
        return self.advice

    def _advise(self) -> None:
        """What the signals that act ask for: those named, without those whose scores are poor."""
        self._unproven = self.memory.evidence.unproven
        self.advice = advise(self.readings, self.memory.params, self._unproven)

    def _believed(self, priced: Priced | None, now_ms: int) -> Priced | None:
        """The price, taken, or None for one that is none."""
        if priced is not None and priced.refusal is not None:
            self.memory.refuse(priced.refusal)
            return None
        if priced is not None:
            self._take_price(priced, now_ms)
        return priced

    def look(self, seen: Look) -> Advice:
        """Bring every signal up to now; returns what the acting ones ask for."""
        self._looked_ms = seen.now_ms
        priced = self._believed(seen.priced, seen.now_ms)
        self.readings = self._read(seen, priced)
        self._advise()
        self._calls = ()
        if priced is not None:
            self._calls = self._called_out(priced.v)
            self._score_sister(priced, seen.now_ms)
            if self.advice.veto is not None:
                self._open_calls(self._carried(priced), seen.now_ms)  # nothing will be decided
        return self.advice

    def decided(self, q: float, edge: float, now_ms: int) -> None:
        """What the decision came to: the blended fair price that markouts and scores are taken
        against, and the edge its bids keep.
        """
        if not (math.isfinite(q) and 0 < q < 1 and math.isfinite(edge)):
            self.memory.refuse(Refusal.NOT_FINITE)
            return
        self._q, self._edge, self._model_then = q, edge, self._model
        self.markouts.fair(q, now_ms)
        self.scores.fair(q, now_ms)
        self._open_calls(q, now_ms)

    def _open_calls(self, q: float, now_ms: int) -> None:
        """What signals say is held against the price of that very moment: what has moved by then
        is what they were made of.
        """
        for name, direction, v in self._calls:
            self.scores.call(name, direction, q, v, now_ms)
        self._calls = ()

    def _carried(self, priced: Priced) -> float:
        """The last decision's price, moved on by what the model has moved since."""
        if self._q is None or self._model_then is None:
            return priced.q
        return min(max(self._q + priced.q - self._model_then, 1e-6), 1 - 1e-6)

    def earns(self, outcome: Outcome, price: int) -> float:
        """What a fill at this price was meant to earn against the last fair price, in dollars per
        share, 0 or more.
        """
        if self._q is None:
            return 0.0
        fair = self._q if outcome is UP else 1 - self._q
        return max(0.0, fair - price / ONE)

    def _take_price(self, priced: Priced, now_ms: int) -> None:
        memory, market, asset = self.memory, self.market, self._asset
        self._model = priced.q
        memory.refuse(self._fast.spot(priced.spot, priced.sigma, now_ms))
        memory.refuse(memory.correlations.spot(asset, priced.spot, now_ms, self._source))
        left_s = (market.end_ms - now_ms) / 1000
        memory.windows[market.condition_id] = OpenWindow(asset, left_s, priced.q)
        log = math.log(priced.spot)
        if self._reference is None or now_ms - self._reference[1] > 1_000:
            self._reference = (log, now_ms)
        elif abs(log - self._reference[0]) > FOLLOWED_SIGMAS * priced.sigma:
            self._rivals.spot_moved(now_ms)
            self._reference = (log, now_ms)

    def _read(self, seen: Look, priced: Priced | None) -> Readings:
        now_ms = seen.now_ms
        for outcome, book in ((UP, seen.up), (DOWN, seen.down)):
            if book is not None:
                self._rivals.book(outcome, book, seen.own.get(outcome), self._edge, now_ms)
        move, flow = self._fast.read(now_ms), self._flow.read(now_ms)
        return Readings(
            flow=flow,
            toxicity=self._series.reading,
            rivals=self._rivals.read(now_ms),
            liquidity=self._regime.book(seen.up, now_ms, fast=move.fast),
            move=move,
            parity=self._parity(seen, priced),
            crowding=self._crowding(),
            flow_shift=self._shift(flow, priced),
        )

    def _crowding(self) -> float:
        windows, key = self.memory.windows, self.market.condition_id
        here = windows.get(key)
        if here is None or len(windows) == 1:
            return 0.0
        others = [window for market, window in windows.items() if market != key]
        return crowding(here, others, self.memory.correlations)

    def _shift(self, flow: Flow | None, priced: Priced | None) -> float:
        if flow is None or priced is None:
            return 0.0
        beta = self.memory.params.flow_beta
        return flow.shift(beta, priced.v, self._flow.theta_s, self._edge)

    def _parity(self, seen: Look, priced: Priced | None) -> ParityView | None:
        """A gap between the two books; scored by whether it outlives our latency."""
        params = self.memory.params
        late = seen.now_ms > self.market.end_ms - params.parity_off_s * 1000
        found, up, down = None, seen.up, seen.down
        if up is not None and down is not None and not late and may_gap(up, down):
            chance, v = params.parity_leg_fails, priced.v if priced is not None else 0.0
            found = view(
                self.market, up, down, buffer=params.parity_buffer, chance=chance, v=v,
                latency_s=self.latency_s,
            )  # fmt: skip
        self._score_gap(found, seen.now_ms)
        return found

    def _score_gap(self, found: ParityView | None, now_ms: int) -> None:
        """One gap is one call: right if it is there, and worth its risk, when we could take it."""
        if found is None:
            if self._gap_since_ms is not None and not self._gap_judged:
                self.scores.judge("parity", hit=False)
            self._gap_since_ms, self._gap_judged = None, False
        elif self._gap_since_ms is None:
            self._gap_since_ms = now_ms
        elif not self._gap_judged and now_ms - self._gap_since_ms >= self.latency_s * 1000:
            gain = found.after_risk if math.isfinite(found.after_risk) else 0.0
            self.scores.judge("parity", hit=found.worth_it, gain=gain)
            self._gap_judged = True

    def _improvement_ended(self, *, beaten: bool) -> None:
        if self.readings.rivals.response is not Response.IMPROVE:
            self.scores.judge("competitors", hit=beaten)

    def _score_sister(self, priced: Priced, now_ms: int) -> None:
        """Judge the correlation by the market that shares most of our driver: whether both fair
        prices went the same way over the horizon.
        """
        windows, key = self.memory.windows, self.market.condition_id
        if self._sister is None:
            here, shares = windows[key], self.memory.correlations
            others = [
                (shared(here, other, shares), name)
                for name, other in windows.items()
                if name != key
            ]
            if others:
                _, name = max(others)
                due_ms = now_ms + int(self.scores.horizon_s * 1000)
                self._sister = (due_ms, name, priced.q, windows[name].q)
            return
        due_ms, name, ours, theirs = self._sister
        if name not in windows:
            self._sister = None
        elif now_ms >= due_ms:
            together = (priced.q - ours) * (windows[name].q - theirs)
            if together:
                self.scores.judge("correlation", hit=together > 0)
            self._sister = None

    def _called_out(self, v: float) -> tuple[tuple[str, int, float], ...]:
        """What every signal that says something has to say: name, direction, v."""
        seen, calls = self.readings, []
        if seen.flow is not None and seen.flow.significant:
            calls.append(("flow", 1 if seen.flow.imbalance > 0 else -1, v))
        if seen.move.fast:
            calls.append(("fast_move", 0, v))
        if seen.liquidity is not None and seen.liquidity.regime in (Regime.LOW, Regime.CRISIS):
            calls.append(("regime", 0, v))
        return tuple(calls)
