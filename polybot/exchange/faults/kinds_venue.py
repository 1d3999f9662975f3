"""The faults of the venue itself: not a link lies, but things really are so."""

from __future__ import annotations

from polybot.exchange.faults.kinds import VENUE, Kind, Param, When

_VENUE = (VENUE,)

KINDS = (
    Kind("tick_changed", "a market's tick changes and the next time changes back", "F08", _VENUE,
         When.ONCE, params=(
             Param("tick", "10⁻⁴ dollars", 10, 100, among=(10, 25, 50)),)),
    Kind("foreign_order", "somebody else places an order with the same key", "F27", _VENUE,
         When.ONCE, lasting=True),
    Kind("heartbeat_rotated", "the id that the next heartbeat must carry is another", "F45", _VENUE,
         When.ONCE),
    Kind("heartbeat_lapse_ignored", "orders outlive the heartbeat", "F46", _VENUE, When.WINDOW),
)  # fmt: skip
