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

    # --- market channel (feeds.md 2) -------------------------------------------------
    # `new_market` of markets this exchange does not run. The up/down windows of eight coins alone
    # are 120 an hour (feeds.md 8.1); sports, politics and the rest are put at half of that (INF).
    foreign_markets_per_hour: int = 180
    # Whether who watches one outcome gets the other's entries and books too (feeds.md 2.3, UNSURE).
    both_outcomes: bool = True
    # Above so many tokens a connection gets no snapshots (feeds.md 2.1: about 500).
    snapshot_tokens_most: int = 500

    # --- user channel (feeds.md 4.5) -------------------------------------------------
    # How much later than order events the stream hears of a match, from and to. With more than 0 a
    # cancellation can overtake a fill and is then repeated with a grown size_matched, as was seen.
    fill_lag_ms: tuple[int, int] = (0, 0)

    # --- PolyBolt (feeds.md 5) -------------------------------------------------------
    # What `price.crypto` means without a provider: Pyth in the migration page, Chainlink since
    # 2026-10-02 in a developer's note.
    prices_provider: str = "chainlink"
    # How long an authentication lasts; 0 is for ever (feeds.md 14.6 leaves it open).
    prices_auth_s: int = 0
    # Connections of one address at a time, above which the handshake is 429 (INF: no number known).
    prices_connections_most: int = 256

    # --- RTDS (feeds.md 6) -----------------------------------------------------------
    # Chainlink topics of a session stop after 14 to 63 minutes while Binance goes on.
    rtds_stalls: bool = True
    # Sessions that send no PING are cut after four minutes or fall silent after six.
    rtds_needs_ping: bool = True

    # --- Binance (feeds.md 7) --------------------------------------------------------
    binance_life_s: int = 86_400
    binance_connections_most: int = 300  # per address and five minutes
