"""Signals in a few words, for the operator's screen and log. Pure."""

from __future__ import annotations

from polybot.signal.advice import Readings
from polybot.signal.competitors import Response
from polybot.signal.toxicity import Standing


def words(seen: Readings) -> tuple[str, ...]:
    """What the signals say, the gravest first; those with nothing to say are left out."""
    said: list[str] = []
    toxicity = seen.toxicity
    if toxicity.standing is not Standing.CLEAN:
        figures = f"{toxicity.mean * 100:+.2f} c at {toxicity.horizon}, t {toxicity.t:.1f}"
        said.append(
            f"fills {toxicity.standing.value}" + (f" ({figures})" if toxicity.horizon else "")
        )
    if seen.move.fast:
        said.append(f"fast move {seen.move.sigmas:+.1f} σ")
    if seen.parity is not None:
        said.append(
            f"parity gap {seen.parity.gap.per_pair * 100:.2f} c ({seen.parity.gap.way.value})"
        )
    if seen.liquidity is not None:
        said.append(f"liquidity {seen.liquidity.regime.value}")
    if seen.flow is not None and seen.flow.significant:
        said.append(f"flow {seen.flow.imbalance:+.2f} (n {seen.flow.n_eff:.0f})")
    if seen.rivals.response is not Response.IMPROVE:
        said.append(f"rivals: {seen.rivals.response.value}")
    if seen.crowding > 0:
        said.append(f"shares its driver with {seen.crowding:.1f} markets")
    return tuple(said)
