"""The venue's conduct as data: what the references leave open or the venue has changed before.

Every value is the venue's as of November 2026 unless its comment says otherwise. One frozen object
for a whole exchange; a TOML table `[venue]` of the same keys reads into it (`terms_file.py`). What
goes *wrong* is no term but a fault, see `faults`. Money is in 10⁻⁶ pUSD.
"""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, in_, le

from polybot.exchange.signer_limits import TIERS


def _at_least(least: int, default: int) -> int:
    field: int = attrs.field(default=default, validator=ge(least))
    return field


@attrs.frozen
class Terms:
    """How this exchange behaves."""

    # Which protocol new interval markets use: "v1", "v2" or "mixed" (clob.md 3.2 leaves it open).
    protocol: str = attrs.field(default="v1", validator=in_(("v1", "v2", "mixed")))
    # Hold of a marketable order on crypto markets (clob.md 3.9: 150 ms since 2026-09-04).
    taker_delay_ms: int = _at_least(0, 150)
    # Refuse the wallets of old accounts, as the venue does for accounts made since May 2026
    # (signature types 0 to 2; clob.md 3.3, third-party reports). Off: all four types trade.
    deposit_wallets_only: bool = False

    # Reply of a FOK that cannot be filled: 400, or 200 with an order id and the text (clob.md 3.6
    # has both, the latter from one client's documentation of August 2026).
    killed_fok_is_200: bool = False
    # Status of a reply when a held order found nothing and rests: "live", or "unmatched" as the
    # lifecycle page calls it (clob.md 3.6). The official SDK takes the latter for a rejection.
    unmatched_is_told: bool = False
    # Where the tick turns 0.001 and where 0.01 again, as Up's midpoint in 10⁻⁴ (clob.md 3.8: the
    # first from older pages, "approaches limits" today; the way back is a guess).
    tick_fine_at: int = attrs.field(default=9_600, validator=and_(ge(5_000), le(10_000)))
    tick_coarse_at: int = attrs.field(default=9_000, validator=and_(ge(5_000), le(10_000)))
    # --- the end of a market (clob.md 8) -----------------------------------------------
    # Stop matching at `endDate`. No page says so; books appear to stay open until the resolution.
    close_at_end: bool = False
    # What rests at the close ends as INVALID, as one client saw, not CANCELED_MARKET_RESOLVED.
    close_invalidates: bool = False
    # How long a listed market has no book, and Gamma no token ids of it: minutes have been seen
    # (feeds.md 8.3); a day ahead of its window nobody is there to see it.
    hydration_ms: int = _at_least(0, 0)

    # --- Gamma (feeds.md 8.4) ------------------------------------------------------------
    # Of closed markets every seventh shows no volume and nearly every second no liquidity.
    gamma_gaps: bool = True

    # --- balances (clob.md 5.1, reliability.md F34) --------------------------------------
    # How old the balances that `/balance-allowance` shows may be; `/update` reads the chain anew.
    # No source measures it.
    balance_lag_ms: int = _at_least(0, 2_000)
    # Whether they come to show splits, merges, redemptions and deposits without `/update`: pages
    # and clients tell one to ask for it, none says what happens otherwise (clob.md 5.1, UNSURE).
    balances_follow_chain: bool = True
    # The stale caches before the Data API: trades 300 s, activity 15 s, positions 5 s (feeds 11).
    data_caches: bool = True

    # --- trading modes (clob.md 7.3) -------------------------------------------------
    # Post-only time after an engine restart: two minutes.
    post_only_s: int = _at_least(1, 120)
    # `Retry-After` of a 425, which is optional; 0 sends none.
    restart_retry_after_s: int = _at_least(0, 0)
    # Whether resting orders live through a restart: no source says (clob.md 7.3, UNSURE).
    orders_survive_restart: bool = True

    # --- where callers are (clob.md 1, 7.3; the page of geographic restrictions, mid-2026) ------
    # Everybody's country and region, ISO 3166; Ireland is the nearest that may trade.
    country: str = "IE"
    region: str = ""
    # Order endpoints answer 403.
    blocked_countries: tuple[str, ...] = (
        "AU", "BE", "BI", "BY", "CD", "CF", "CU", "DE", "ET", "FR", "GB", "IQ", "IR", "IT", "KP",
        "LB", "LY", "MM", "NI", "NL", "RU", "SD", "SO", "SS", "SY", "UM", "US", "VE", "YE", "ZW",
    )  # fmt: skip
    # Parts of countries that are open otherwise.
    blocked_regions: tuple[str, ...] = ("CA-ON", "UA-43", "UA-14", "UA-09")
    # Positions may be reduced, none opened.
    close_only_countries: tuple[str, ...] = ("PL", "SG", "TH", "TW")

    # --- market channel (feeds.md 2) -------------------------------------------------
    # `new_market` of markets this exchange does not run. The up/down windows of eight coins alone
    # are 120 an hour (feeds.md 8.1); sports, politics and the rest are put at half of that (INF).
    foreign_markets_per_hour: int = _at_least(0, 180)
    # Whether who watches one outcome gets the other's entries and books too (feeds.md 2.3, UNSURE).
    both_outcomes: bool = True
    # Above so many tokens a connection gets no snapshots (feeds.md 2.1: about 500).
    snapshot_tokens_most: int = _at_least(0, 500)

    # --- user channel (feeds.md 4.5) -------------------------------------------------
    # How much later than order events the stream hears of a match: from half of it to the whole.
    # With more than 0 a cancellation can overtake a fill and is then repeated with a grown
    # size_matched, as was seen. The 650 ms until a trade is mined at the earliest bound it.
    fill_lag_ms: int = attrs.field(default=0, validator=and_(ge(0), le(600)))

    # --- PolyBolt (feeds.md 5) -------------------------------------------------------
    # What `price.crypto` means without a provider: Pyth in the migration page, Chainlink since
    # 2026-10-02 in a developer's note.
    prices_provider: str = attrs.field(default="chainlink", validator=in_(("chainlink", "pyth")))
    # How long an authentication lasts; 0 is for ever (feeds.md 14.6 leaves it open).
    prices_auth_s: int = _at_least(0, 0)
    # Connections of one address at a time, above which the handshake is 429 (INF: no number known).
    prices_connections_most: int = _at_least(1, 256)

    # --- RTDS (feeds.md 6) -----------------------------------------------------------
    # Chainlink topics of a session stop after 14 to 63 minutes while Binance goes on.
    rtds_stalls: bool = True
    # Sessions that send no PING are cut after four minutes or fall silent after six.
    rtds_needs_ping: bool = True

    # --- Binance (feeds.md 7) --------------------------------------------------------
    binance_life_s: int = _at_least(11, 86_400)
    binance_connections_most: int = _at_least(1, 300)  # per address and five minutes

    # --- rate limits (clob.md 7.1, 7.2) ----------------------------------------------
    # Per signer: enforced, or only warned of as in the first weeks (clob.md 7.2: the end of the
    # warnings was never confirmed; treat as enforced).
    signer_limits_enforced: bool = True
    # Everybody's tier; "volume": what thirty days of trading earn, refreshed every three hours.
    signer_tier: str = attrs.field(default="volume", validator=in_(("volume", *TIERS)))
    # Orders per signer, token and second (clob.md 3.6 has the text, nobody a figure); 0: no limit.
    orders_per_token_per_s: int = _at_least(0, 0)
    # How far from our clock the timestamp of a signed request may be: not documented (clob.md 2.2).
    timestamp_tolerance_s: int = _at_least(1, 300)
    # Per IP address, as the venue's edge counts them.
    ip_limits: bool = True
    # How long excess is held before it is refused: "queued", nobody says how long (clob.md 7.1).
    ip_delay_ms: int = attrs.field(default=2_000, validator=and_(ge(0), le(20_000)))

    # --- programs for makers (clob.md 6.2, 6.3; feeds.md 4.7) ------------------------------
    # Makers' share of a market's taker fees: crypto's.
    maker_rebate_percent: int = attrs.field(default=20, validator=and_(ge(0), le(25)))
    # Daily pool of liquidity rewards of each open market; up/down windows have none today.
    rewards_daily_pool: int = _at_least(0, 0)
    # What must rest to share it: shares, distance in 10⁻⁴, seconds (`r` of /clob-markets).
    rewards_min_size: int = _at_least(0, 50)
    rewards_max_spread: int = _at_least(1, 450)
    rewards_min_age_s: int = _at_least(0, 30)

    # --- the chain and the relayer (onchain.md 7, 9) ----------------------------------
    # Polygon's block time (onchain.md 7.5: 1.5–2 s).
    block_ms: int = _at_least(1, 2_000)
    # Gas price of the RPC node in wei; a common figure on Polygon, no source gives the venue's.
    gas_price_wei: int = _at_least(0, 30_000_000_000)
    # Relayer, from /submit to the block and to CONFIRMED (onchain.md 7.5: 5–30 s, UNSURE).
    relayer_mined_least_ms: int = _at_least(0, 2_500)
    relayer_mined_most_ms: int = _at_least(0, 8_000)
    relayer_confirmed_least_ms: int = _at_least(0, 5_000)
    relayer_confirmed_most_ms: int = _at_least(0, 30_000)
    # /submit per minute and IP (onchain.md 7.4), and per key and day (7.4: size UNSURE).
    relayer_submits_per_minute: int = _at_least(1, 25)
    relayer_submits_per_day: int = _at_least(0, 1_000)
