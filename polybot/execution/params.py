"""How orders are kept in step with the quotes, as `[orders]` in the configuration.

Integers throughout: these numbers meet order tables and token counts, where floats have no place.
"""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, le

# What the venue's lowest tier refills per second (clob.md 7.2). The defaults are half of it,
# because the venue counts what was sent, not what was meant, and another program may use the same
# wallet.
_ORDERS_PER_S_MAX = 40
_CANCELS_PER_S_MAX = 80


@attrs.frozen
class OrderParams:
    """Cadence, hysteresis, message budgets and the bounds on not knowing."""

    requote_min_ms: int = attrs.field(default=50, validator=and_(ge(1), le(10_000)))
    """Shortest time between two comparisons of wanted and live orders, in milliseconds."""

    requote_max_ms: int = attrs.field(default=250, validator=and_(ge(1), le(10_000)))
    """Longest time between two comparisons, even when nothing has changed, in milliseconds."""

    routine_every_ms: int = attrs.field(default=200, validator=and_(ge(0), le(10_000)))
    """New orders and routine moves leave a market together, at most this often, in milliseconds.

    What breaks a cap, and the first quote of an empty market, waits for nothing.
    """

    hysteresis_ticks: int = attrs.field(default=1, validator=and_(ge(0), le(20)))
    """An order this many ticks or fewer from the wanted price keeps its place in the queue."""

    hysteresis_percent: int = attrs.field(default=30, validator=and_(ge(0), le(100)))
    """The same as part of the edge: what is nearer than this keeps its place; the larger counts."""

    orders_per_s: int = attrs.field(default=20, validator=and_(ge(1), le(_ORDERS_PER_S_MAX)))
    """Budget of new orders per second; a batch of four costs four."""

    cancels_per_s: int = attrs.field(default=40, validator=and_(ge(1), le(_CANCELS_PER_S_MAX)))
    """Budget of cancels per second; what breaks a cap, withdrawals and cancel-all do not wait."""

    cancel_reserve: int = attrs.field(default=10, validator=and_(ge(0), le(_CANCELS_PER_S_MAX)))
    """Part of the cancel budget that routine requotes may not use: it is kept for withdrawals."""

    post_timeout_s: int = attrs.field(default=5, validator=and_(ge(1), le(30)))
    """How long to wait for the answer to an order; after it the order is unknown, never failed."""

    unknown_grace_s: int = attrs.field(default=2, validator=and_(ge(1), le(10)))
    """How old an unknown order must be before its absence at the venue counts as proof."""

    def __attrs_post_init__(self) -> None:
        """Refuse settings that contradict each other; raises ValueError."""
        if self.requote_min_ms > self.requote_max_ms:
            raise ValueError("'requote_min_ms' must not be above 'requote_max_ms'")
        if self.cancel_reserve >= self.cancels_per_s:
            raise ValueError("'cancel_reserve' must be below 'cancels_per_s'")
