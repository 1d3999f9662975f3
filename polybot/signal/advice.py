"""What signals ask of the quoter: one frozen value, neutral while none of them may act.

Toxicity overrides everything else: with it, nothing another signal says makes a quote better.
"""

from __future__ import annotations

import enum

import attrs
from msgspec import Struct

from polybot.signal.competitors import Response, Rivals
from polybot.signal.evidence import Unproven
from polybot.signal.fast_move import Move
from polybot.signal.flow import Flow
from polybot.signal.markouts import SETTLEMENT
from polybot.signal.params import SignalParams
from polybot.signal.parity import ParityView
from polybot.signal.regime import RESPONSE, Liquidity, Regime
from polybot.signal.toxicity import Standing, Toxicity


class Veto(enum.Enum):
    """Why a signal wants no quotes at all."""

    TOXIC = "fills are toxic: this window and the next are left alone"
    CRISIS = "no liquidity to quote against"
    FAST_MOVE = "the spot is moving fast"
    PARITY = "the two books contradict each other"


@attrs.frozen
class Advice:
    """`widen` multiplies the edge and `adverse` is added to it, what fills have lost on average;
    `shrinks` name each factor on the sizes, `shift` moves the fair price of Up; dollars per share.
    `smallest` caps every size at the market's minimum. `because` names the signals that changed
    anything, `unproven` has those that are switched on and may not.
    """

    widen: float = 1.0
    adverse: float = 0.0
    shrinks: tuple[tuple[str, float], ...] = ()
    shift: float = 0.0
    improve: bool = True
    deeper: int = 0
    smallest: bool = False
    veto: Veto | None = None
    because: tuple[str, ...] = ()
    unproven: tuple[Unproven, ...] = ()


NEUTRAL = Advice()


class Readings(Struct, frozen=True, gc=False):
    """Every signal's reading at one moment; None where there is nothing to read."""

    flow: Flow | None = None
    toxicity: Toxicity = Toxicity(Standing.CLEAN)
    rivals: Rivals = Rivals(Response.IMPROVE, None, 0, None, 0, None)
    liquidity: Liquidity | None = None
    move: Move = Move(0.0, fast=False)
    parity: ParityView | None = None
    crowding: float = 0.0
    flow_shift: float = 0.0


def advise(seen: Readings, params: SignalParams, unproven: tuple[Unproven, ...] = ()) -> Advice:
    """What the acting signals come to together, the `unproven` left out. Edges widen by the largest
    factor, not by their product: two names for one bad book are not twice as bad; sizes shrink by
    every factor.
    """
    acting = params.acting
    if unproven:
        shadowed = {one.name for one in unproven}
        acting = tuple(name for name in acting if name not in shadowed)
    if not acting:
        return Advice(unproven=unproven) if unproven else NEUTRAL
    asked = [_PARTS[name](seen) for name in acting if name in _PARTS]
    if "toxicity" in acting:
        asked.append(_toxicity(seen, params))
    parts = [part for part in asked if part is not None]
    if not parts:
        return Advice(unproven=unproven) if unproven else NEUTRAL
    toxic = "toxicity" in acting and seen.toxicity.standing is not Standing.CLEAN
    vetoes = [part.veto for part in parts if part.veto is not None]
    return Advice(
        widen=max(part.widen for part in parts),
        adverse=max(part.adverse for part in parts),
        shrinks=tuple(named for part in parts for named in part.shrinks),
        shift=0.0 if toxic else sum(part.shift for part in parts),
        improve=not toxic and all(part.improve for part in parts),
        deeper=max(part.deeper for part in parts),
        smallest=any(part.smallest for part in parts),
        veto=Veto.TOXIC if Veto.TOXIC in vetoes else next(iter(vetoes), None),
        because=tuple(name for part in parts for name in part.because),
        unproven=unproven,
    )


def _flow(seen: Readings) -> Advice | None:
    return Advice(shift=seen.flow_shift, because=("flow",)) if seen.flow_shift else None


def _toxicity(seen: Readings, params: SignalParams) -> Advice | None:
    match seen.toxicity.standing:
        case Standing.STOPPED:
            return Advice(veto=Veto.TOXIC, because=("toxicity",))
        case Standing.TOXIC:
            return Advice(
                widen=params.toxic_widen,
                adverse=_lost(seen.toxicity),
                shrinks=(("toxicity", params.toxic_shrink),),
                because=("toxicity",),
            )
        case Standing.PROBATION:
            return Advice(smallest=True, because=("toxicity",))
        case _:
            return None


def _lost(toxicity: Toxicity) -> float:
    """What a fill has lost on average, in dollars per share (strategy.md 6.1). A mean over
    settlements is a coin's: it says that fills lose, not how much.
    """
    return 0.0 if toxicity.horizon == SETTLEMENT else max(0.0, -toxicity.mean)


def _competitors(seen: Readings) -> Advice | None:
    match seen.rivals.response:
        case Response.JOIN:
            return Advice(improve=False, because=("competitors",))
        case Response.DEEPER:
            return Advice(improve=False, deeper=1, because=("competitors",))
        case _:
            return None


def _regime(seen: Readings) -> Advice | None:
    if seen.liquidity is None or seen.liquidity.regime in (Regime.HIGH, Regime.NORMAL):
        return None
    widen, shrink = RESPONSE[seen.liquidity.regime]
    veto = Veto.CRISIS if seen.liquidity.regime is Regime.CRISIS else None
    return Advice(widen, shrinks=(("regime", shrink),), veto=veto, because=("regime",))


def _fast_move(seen: Readings) -> Advice | None:
    return Advice(veto=Veto.FAST_MOVE, because=("fast_move",)) if seen.move.fast else None


def _parity(seen: Readings) -> Advice | None:
    return Advice(veto=Veto.PARITY, because=("parity",)) if seen.parity is not None else None


def _correlation(seen: Readings) -> Advice | None:
    if seen.crowding <= 0:
        return None
    shrink = 1 / (1 + seen.crowding)
    return Advice(shrinks=(("correlation", shrink),), because=("correlation",))


_PARTS = {
    "flow": _flow,
    "competitors": _competitors,
    "regime": _regime,
    "fast_move": _fast_move,
    "parity": _parity,
    "correlation": _correlation,
}
