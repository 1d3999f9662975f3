"""Strikes: the price each window is measured against, and how far each one is to be trusted."""

from __future__ import annotations

import enum

import attrs

GRID_MS = 300_000  # every window of every series starts on a multiple of five minutes
PROVISIONAL_MS = 500  # strategy.md 1, strike policy
KEPT = 1024  # five hours of windows for sixteen symbols


class Trust(enum.IntEnum):
    """Rank of a strike's evidence; a lower rank never replaces a higher one."""

    PROVISIONAL = 0  # first observation within half a second of the start
    EXACT = 1  # stamped exactly at the start
    OFFICIAL = 2  # published by the venue


@attrs.frozen
class Strike:
    value: float
    trust: Trust


@attrs.frozen
class StrikeCorrection:
    """The official strike differs from the one we quoted against: cancel and rebuild."""

    symbol: str
    start_ms: int
    held: float
    official: float

    @property
    def basis_points(self) -> float:
        return (self.official / self.held - 1) * 1e4


@attrs.define
class Strikes:
    """Strikes by symbol and window start, oldest forgotten first."""

    _held: dict[tuple[str, int], Strike] = attrs.field(factory=dict)

    def of(self, symbol: str, start_ms: int) -> Strike | None:
        return self._held.get((symbol, start_ms))

    def average_seen(self, symbol: str, value: float, stamp_ms: int, before_ms: int | None) -> None:
        """Take a tick of the average; `before_ms` is the stamp of the tick before it."""
        start_ms = stamp_ms - stamp_ms % GRID_MS
        if stamp_ms == start_ms:
            self._keep(symbol, start_ms, Strike(value, Trust.EXACT))
        elif stamp_ms - start_ms <= PROVISIONAL_MS and _precedes(before_ms, start_ms):
            self._keep(symbol, start_ms, Strike(value, Trust.PROVISIONAL))

    def open_seen(self, symbol: str, value: float, start_ms: int) -> None:
        """Take the open of the exchange candle that starts at `start_ms`."""
        self._keep(symbol, start_ms, Strike(value, Trust.EXACT))

    def official(
        self, symbol: str, start_ms: int, value: float, tolerance_bp: float
    ) -> StrikeCorrection | None:
        """Take the venue's own strike; a correction if it moves the held one too far."""
        held = self.of(symbol, start_ms)
        self._keep(symbol, start_ms, Strike(value, Trust.OFFICIAL))
        if held is None:
            return None
        correction = StrikeCorrection(symbol, start_ms, held.value, value)
        return correction if abs(correction.basis_points) > tolerance_bp else None

    def _keep(self, symbol: str, start_ms: int, strike: Strike) -> None:
        held = self.of(symbol, start_ms)
        if held is not None and held.trust > strike.trust:
            return
        if held is not None and held.trust is strike.trust is Trust.PROVISIONAL:
            return  # the first observation after the start is the nearest
        self._held[symbol, start_ms] = strike
        if len(self._held) > KEPT:
            del self._held[next(iter(self._held))]


def _precedes(before_ms: int | None, start_ms: int) -> bool:
    return before_ms is not None and before_ms < start_ms
