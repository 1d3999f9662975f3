"""Strikes: the price each window is measured against, and how far each one is to be trusted."""

from __future__ import annotations

import enum

import attrs

GRID_MS = 300_000  # every window of every series starts on a multiple of five minutes
HOUR_MS = 3_600_000
PROVISIONAL_MS = 500  # strategy.md 1, strike policy
KEPT = 8192  # forty hours of eight assets' windows: a daily one's strike is a day old at its end
OPEN_PROVEN_MS = 30_000  # how long another open of the same candle is told before it counts
OPEN_APART_BP = 1.0  # between the last trade of an hour and the next's first lies seldom more


class Trust(enum.IntEnum):
    """Rank of a strike's evidence; a lower rank never replaces a higher one."""

    PROVISIONAL = 0  # first observation within half a second of the start
    UNPROVEN = 1  # stamped exactly at the start, but borne out by nothing else, or contradicted
    EXACT = 2  # stamped exactly at the start
    OFFICIAL = 3  # published by the venue


@attrs.frozen
class Strike:
    """`corrected_ms`: when it last became another value than the one we quoted against."""

    value: float
    trust: Trust
    corrected_ms: int | None = None


@attrs.frozen
class StrikeCorrection:
    """The strike differs from the one we quoted against: cancel and rebuild."""

    symbol: str
    start_ms: int
    held: float
    official: float

    @property
    def basis_points(self) -> float:
        return (self.official / self.held - 1) * 1e4


Key = tuple[str, int, int]  # symbol, look-back in seconds (0: the value itself), window's start


@attrs.define
class Strikes:
    """Strikes by what is read and when, oldest forgotten first."""

    tolerance_bp: float = 0.5
    unproven: dict[str, tuple[float, int]] = attrs.field(factory=dict, init=False)
    _held: dict[Key, Strike] = attrs.field(factory=dict)
    _contested: dict[Key, tuple[float, int]] = attrs.field(factory=dict)  # another open, since when

    def of(self, key: Key) -> Strike | None:
        """None also while two opens of one candle contradict each other."""
        contested = self._contested
        return None if contested and key in contested else self._held.get(key)

    def seen(
        self,
        symbol: str,
        lookback_s: int,
        value: float,
        stamp_ms: int,
        before_ms: int | None,
        recv_ms: int,
        most: Trust = Trust.EXACT,
    ) -> None:
        """Take a tick of what the oracle settles by; `before_ms` is the stamp before it, `most` how
        far it may be trusted. What is stamped with a start and waits for a witness is `unproven`,
        by symbol: its value and its stamp.
        """
        start_ms = stamp_ms - stamp_ms % GRID_MS
        if stamp_ms == start_ms:
            trust = most
            self.unproven.pop(symbol, None)
            if most is Trust.UNPROVEN:
                self.unproven[symbol] = value, start_ms
        elif stamp_ms - start_ms <= PROVISIONAL_MS and _precedes(before_ms, start_ms):
            trust = Trust.PROVISIONAL
        else:
            return
        self._keep((symbol, lookback_s, start_ms), Strike(value, trust), recv_ms)

    def traded(self, symbol: str, value: float, stamp_ms: int, before_ms: int | None) -> None:
        """Take a trade of the exchange: the first of an hour is the open of its candle, though
        only the candle itself proves that none was missed (strategy.md 2.1).
        """
        start_ms = stamp_ms - stamp_ms % HOUR_MS
        if stamp_ms - start_ms <= PROVISIONAL_MS and _precedes(before_ms, start_ms):
            self._keep((symbol, 0, start_ms), Strike(value, Trust.PROVISIONAL), stamp_ms)

    def open_seen(
        self,
        symbol: str,
        value: float,
        start_ms: int,
        recv_ms: int,
        before: float | None = None,
        most: Trust = Trust.EXACT,
    ) -> None:
        """Take the open of the exchange candle that starts at `start_ms`. It never changes: another
        one is a lie, or the one before it was; and so may be one that is far from `before`, what
        the exchange traded at last before the start: a candle was told with the open of the last
        one (brief seed 8903). Which, shows when one of them is told on, by an exchange that may be
        trusted: `most` is how far it may be now.
        """
        key = (symbol, 0, start_ms)
        held, told = self._held.get(key), Strike(value, most)
        if not self._contests(held, value, before):
            self._contested.pop(key, None)
        else:
            other, since_ms = self._contested.get(key, (value, recv_ms))
            if other != value or recv_ms < since_ms:  # another, or the clock was ahead
                since_ms = recv_ms
            weaker = held is not None and most < held.trust
            if weaker or recv_ms - since_ms < OPEN_PROVEN_MS:
                self._contested[key] = (value, since_ms)
                return
            self._contested.pop(key, None)
        self._keep(key, told, recv_ms)

    def official(self, key: Key, value: float, recv_ms: int) -> StrikeCorrection | None:
        """Take the venue's own strike; a correction if it moves the held one too far."""
        self._contested.pop(key, None)
        return self._keep(key, Strike(value, Trust.OFFICIAL), recv_ms)

    def _keep(self, key: Key, strike: Strike, recv_ms: int) -> StrikeCorrection | None:
        held = self._held.get(key)
        if held is None:
            self._held[key] = strike
            if len(self._held) > KEPT:
                oldest = next(iter(self._held))
                del self._held[oldest]
                self._contested.pop(oldest, None)
            return None
        if held.trust > strike.trust:
            return None
        if held.trust is strike.trust is Trust.PROVISIONAL:
            return None  # the first observation after the start is the nearest
        if self._alike(held, strike.value):
            self._held[key] = attrs.evolve(strike, corrected_ms=held.corrected_ms)
            return None
        self._held[key] = attrs.evolve(strike, corrected_ms=recv_ms)
        return StrikeCorrection(key[0], key[2], held.value, strike.value)

    def _contests(self, held: Strike | None, opened: float, before: float | None) -> bool:
        if held is not None and (held.trust is not Trust.PROVISIONAL or self._alike(held, opened)):
            return held.trust is Trust.EXACT and not self._alike(held, opened)
        return before is not None and abs(opened / before - 1) * 1e4 > OPEN_APART_BP

    def _alike(self, held: Strike, value: float) -> bool:
        return abs(value / held.value - 1) * 1e4 <= self.tolerance_bp


def _precedes(before_ms: int | None, start_ms: int) -> bool:
    return before_ms is not None and before_ms < start_ms
