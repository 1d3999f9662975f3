"""The faults of the venue itself: not a link lies, but things really are so."""

from __future__ import annotations

from polybot.exchange.faults.kinds import VENUE, Kind, Param, When

_VENUE = (VENUE,)

_FOR_S = Param("last_s", "seconds", 1, 86_400, (20, 120))

KINDS = (
    Kind("engine_restarted", "425, then two minutes of post-only", "F39", _VENUE, When.ONCE,
         params=(_FOR_S,)),
    Kind("cancel_only", "503: no orders, and cancels work", "F40", _VENUE, When.ONCE,
         params=(_FOR_S,)),
    Kind("trading_disabled", "503: neither orders nor cancels", "F40", _VENUE, When.ONCE,
         params=(_FOR_S,)),
    Kind("batch_partly_done", "of a batch only the first entries are done, and the answer is 500",
         "F23", _VENUE, params=(Param("keep", "entries done", 0, 15, (0, 3)),)),
    Kind("tick_changed", "a market's tick changes and the next time changes back", "F08", _VENUE,
         When.ONCE, params=(
             Param("tick", "10⁻⁴ dollars", 10, 100, among=(10, 25, 50)),)),
    Kind("foreign_order", "somebody else places an order with the same key", "F27", _VENUE,
         When.ONCE, lasting=True),
    Kind("heartbeat_rotated", "the id that the next heartbeat must carry is another", "F45", _VENUE,
         When.ONCE),
    Kind("heartbeat_lapse_ignored", "orders outlive the heartbeat", "F46", _VENUE, When.WINDOW),
)  # fmt: skip
