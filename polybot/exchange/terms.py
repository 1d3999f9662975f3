"""The venue's conduct as data: what the references leave open or the venue has changed before.

Every value is the venue's as of November 2026 unless its comment says otherwise. One frozen object
for a whole exchange; a TOML table `[venue]` of the same keys reads into it. What goes *wrong* is no
term but a fault, see `faults`.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Terms:
    """How this exchange behaves."""

    # Which protocol new interval markets use: "v1", "v2" or "mixed" (clob.md 3.2 leaves it open).
    protocol: str = "v1"
    # Hold of a marketable order on crypto markets (clob.md 3.9: 150 ms since 2026-09-04).
    taker_delay_ms: int = 150
    # Polygon's block time (onchain.md 7.5: 1.5–2 s).
    block_ms: int = 2_000
    # Gas price of the RPC node in wei; a common figure on Polygon, no source gives the venue's.
    gas_price_wei: int = 30_000_000_000
    # Relayer, from /submit to the block and to CONFIRMED (onchain.md 7.5: 5–30 s, UNSURE).
    relayer_mined_least_ms: int = 2_500
    relayer_mined_most_ms: int = 8_000
    relayer_confirmed_least_ms: int = 5_000
    relayer_confirmed_most_ms: int = 30_000
    # /submit per minute and IP (onchain.md 7.4), and per key and day (7.4: size UNSURE).
    relayer_submits_per_minute: int = 25
    relayer_submits_per_day: int = 1_000
