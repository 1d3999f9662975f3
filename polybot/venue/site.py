"""Where Polymarket is, and what it allows: URLs, contracts and limits, each with its date.

The bot knows an exchange only by a `Site`. Paper trading points one at the embedded exchange.
"""

from __future__ import annotations

import attrs

from polybot.domain.market import Market


@attrs.frozen
class Site:
    """The URLs of one venue, without a trailing slash.

    `site` is the website, where only the geoblock probe lives.
    """

    clob: str
    gamma: str
    data: str
    relayer: str
    rpc: str = attrs.field(repr=False)  # whose path may be a key
    market_ws: str
    user_ws: str
    prices_ws: str
    rtds_ws: str
    binance_rest: str
    binance_ws: str
    site: str = ""


# clob.md 1, feeds.md 1 (2026-11-20). The RPC is any Polygon node, here the one that the official
# client asks (onchain.md 2.3); nobody promises that it answers, so the operator may name another.
POLYMARKET = Site(
    clob="https://clob.polymarket.com",
    gamma="https://gamma-api.polymarket.com",
    data="https://data-api.polymarket.com",
    relayer="https://relayer-v2.polymarket.com",
    rpc="https://polygon.drpc.org",
    market_ws="wss://ws-subscriptions-clob.polymarket.com/ws/market",
    user_ws="wss://ws-subscriptions-clob.polymarket.com/ws/user",
    prices_ws="wss://ws-live-v2.polymarket.com/ws",
    rtds_ws="wss://ws-live-data.polymarket.com",
    binance_rest="https://data-api.binance.vision",
    binance_ws="wss://data-stream.binance.vision",
    site="https://polymarket.com",
)


@attrs.frozen
class Contracts:
    """The contracts of one chain as of a date (clob.md 1, onchain.md 2)."""

    as_of: str
    collateral: str
    exchange: str
    neg_risk_exchange: str
    exchange_v3: str
    conditional_tokens: str
    position_manager: str
    router: str
    ctf_adapter: str
    neg_risk_ctf_adapter: str


CHAIN = 137
CONTRACTS: dict[int, Contracts] = {
    CHAIN: Contracts(
        as_of="2026-11-20",
        collateral="0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB",
        exchange="0xE111180000d2663C0091e4f400237545B87B996B",
        neg_risk_exchange="0xe2222d279d744050d28e00520010520000310F59",
        exchange_v3="0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",
        conditional_tokens="0x4D97DCd97eC945f40cF65F87097ACe5EA0476045",
        position_manager="0x006F54F7f9A22e0000CC2AB60031000000ae9fEF",
        router="0x12121212006e4CD160D18e3f00711DA5c3372600",
        ctf_adapter="0xAdA100Db00Ca00073811820692005400218FcE1f",
        neg_risk_ctf_adapter="0xadA2005600Dec949baf300f4C6120000bDB6eAab",
    ),
}


def exchange_of(market: Market, chain_id: int = CHAIN) -> str:
    """The contract that settles a market's trades: V3, neg-risk or normal (clob.md 3.2)."""
    contracts = CONTRACTS[chain_id]
    if market.version == "v2":
        return contracts.exchange_v3
    if market.version != "v1":
        raise ValueError(f"expected market version v1 or v2, was {market.version!r}")
    return contracts.neg_risk_exchange if market.neg_risk else contracts.exchange


@attrs.frozen
class Factories:
    """What makes the smart wallets of one chain, as of a date (onchain.md 2.1)."""

    as_of: str
    proxy: str
    proxy_implementation: str
    safe: str
    safe_code_hash: str
    deposit: str
    deposit_implementation: str
    deposit_beacon: str


FACTORIES: dict[int, Factories] = {
    CHAIN: Factories(
        as_of="2026-11-20",
        proxy="0xaB45c5A4B0c941a2F231C04C3f49182e1A254052",
        proxy_implementation="0x44e999d5c2F66Ef0861317f9A4805AC2e90aEB4f",
        safe="0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b",
        safe_code_hash="0x2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf",
        deposit="0x00000000000Fb5C9ADea0298D729A0CB3823Cc07",
        deposit_implementation="0x58CA52ebe0DadfdF531Cde7062e76746de4Db1eB",
        deposit_beacon="0x7A18EDfe055488A3128f01F563e5B479D92ffc3a",
    ),
}


@attrs.frozen
class Fact:
    """A number of the venue's, with the day it was last seen to hold and where that is written."""

    value: int
    as_of: str
    source: str


ORDERS_PER_BATCH = Fact(15, "2026-10-06", "clob.md 3.7")
# The venue takes 1000 ids in one request, but the Standard tier's cancel bucket holds 120 tokens.
CANCELS_PER_BATCH = Fact(100, "2026-06-15", "clob.md 4.1, 7.2")
HEARTBEAT_EVERY_S = Fact(5, "2026-10-05", "clob.md 4.2")
GTD_LEAD_S = Fact(180, "2026-10-06", "clob.md 3.8: least distance of a stated expiration")
GTD_EARLY_S = Fact(60, "2026-10-06", "clob.md 3.8: the order dies this long before it")
MARKETABLE_MINIMUM = Fact(1_000_000, "2026-09-04", "clob.md 3.8: 10⁻⁶ dollars of a crossing BUY")
WS_PING_S = Fact(10, "2026-11-20", "feeds.md 2.2: CLOB market and user sockets")
POLYBOLT_PING_S = Fact(30, "2026-11-20", "feeds.md 5.3")
RTDS_PING_S = Fact(5, "2026-11-20", "feeds.md 6")


def is_position_id(token: str) -> bool:
    """Whether a token id is a Protocol V2 position id: bits 40 to 103 all zero (clob.md 3.2)."""
    return int(token) >> 40 & (1 << 64) - 1 == 0
