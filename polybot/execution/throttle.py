"""Message budgets: a token bucket per class, so that placing can never starve cancelling.

The venue counts orders, not requests (clob.md 7.2): a batch of four costs four. We budget well
below the lowest tier. Cancels have a bucket of their own, of which routine requotes may use only
the part above the reserve. Violations and withdrawals are outside the throttle: they leave at once
and put the bucket into debt, which requotes wait off. There are never more of them than orders
rest, once a second each; cancel-all asks nobody. So do orders that take: one market's last seconds
are not to be spent by another's requotes, and each sends one now and then.
"""

from __future__ import annotations

import attrs

from polybot.execution.params import OrderParams


@attrs.define
class Bucket:
    """Tokens refill at `rate` per second up to `burst`. Times in ms on the one clock."""

    rate: float
    burst: float
    _tokens: float = attrs.field(init=False)
    _at_ms: int | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst

    def available(self, now_ms: int) -> int:
        if self._at_ms is not None and now_ms > self._at_ms:
            earned = (now_ms - self._at_ms) / 1000 * self.rate
            self._tokens = min(self.burst, self._tokens + earned)
        self._at_ms = now_ms
        return int(self._tokens)

    def take(self, wanted: int, now_ms: int, *, keep: int = 0) -> int:
        """Take up to `wanted` tokens, leaving at least `keep`; returns how many were granted."""
        granted = max(0, min(wanted, self.available(now_ms) - keep))
        self._tokens -= granted
        return granted

    def spend(self, wanted: int, now_ms: int) -> None:
        """Take tokens whether or not they are there; a debt is never above the burst."""
        self.available(now_ms)
        self._tokens = max(-self.burst, self._tokens - wanted)


@attrs.define
class Budget:
    """Message budgets, shared by all desks of one wallet: the venue's limits are per signer."""

    places: Bucket
    cancels: Bucket
    cancel_reserve: int

    def place(self, now_ms: int, *, taking: bool) -> bool:
        """Whether one more order may leave."""
        if taking:
            self.places.spend(1, now_ms)
        return taking or self.places.take(1, now_ms) == 1

    @classmethod
    def from_params(cls, params: OrderParams) -> Budget:
        return cls(
            Bucket(params.orders_per_s, params.orders_per_s),
            Bucket(params.cancels_per_s, params.cancels_per_s),
            params.cancel_reserve,
        )
