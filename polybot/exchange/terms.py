"""The venue's conduct as data: what the references leave open or the venue has changed before.

Every value is the venue's as of November 2026 unless its comment says otherwise. One frozen object
for a whole exchange; a TOML table `[venue]` of the same keys reads into it. What goes *wrong* is no
term but a fault, see `faults`.
"""

from __future__ import annotations

import attrs
from attrs.validators import in_


@attrs.frozen
class Terms:
    """How this exchange behaves."""

    # Which protocol new interval markets use: "v1", "v2" or "mixed" (clob.md 3.2 leaves it open).
    protocol: str = attrs.field(default="v1", validator=in_(("v1", "v2", "mixed")))
    # Hold of a marketable order on crypto markets (clob.md 3.9: 150 ms since 2026-09-04).
    taker_delay_ms: int = 150
    # Refuse the wallets of old accounts, as the venue does for accounts made since May 2026
    # (signature types 0 to 2; clob.md 3.3, third-party reports). Off: all four types trade.
    deposit_wallets_only: bool = False
