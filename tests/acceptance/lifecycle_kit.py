"""One wallet's whole life with the official unified SDK, told step by step by the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import attrs
import httpx
from acceptance_kit import PATIENCE_S, WINDOW_S, Market, Venue
from coincurve import PrivateKey
from polymarket import BuilderApiKey, RelayerApiKey, SecureClient
from polymarket.types import EvmAddress
from polymarket_kit import accepted, environment_of, market_buy

from polybot.exchange.eip712 import checksum, keccak

LOW = Decimal("0.01")


def address_of(private_key: str) -> str:
    key = PrivateKey(bytes.fromhex(private_key[2:]))
    return checksum(keccak(key.public_key.format(compressed=False)[1:])[12:])


def admin(venue: Venue, path: str, **body: str | bool) -> Any:
    """One call of the faucet."""
    reply = httpx.post(venue.urls["admin"] + path, json=body, timeout=PATIENCE_S)
    reply.raise_for_status()
    return reply.json()


def standing_market(
    venue: Venue, slug: str, version: str = "v1", *, neg_risk: bool = False
) -> Market:
    """A market of the operator's: no crowd, no clock, resolved when the test says so."""
    end = "2040-01-01T00:00:00Z"
    body = {"slug": slug, "question": f"{slug}?", "end": end, "version": version}
    made = admin(venue, "/markets", neg_risk=neg_risk, **body)
    up, down = made["tokens"]
    return Market(slug, made["condition_id"], up, down)


def interval_market(venue: Venue, needs_s: int) -> Market:
    """The running five-minute market if it has so many venue seconds left, else the next one."""
    until("a market that is young enough", lambda: WINDOW_S - venue.now_s() % WINDOW_S >= needs_s)
    return venue.window_market("5m", WINDOW_S)


def until(what: str, holds: Callable[[], bool]) -> None:
    """Ask every quarter of a second until it holds."""
    limit = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < limit, f"waited {PATIENCE_S} s in vain for: {what}"
        time.sleep(0.25)


def approves_by_itself(client: SecureClient, market: Market) -> None:
    """A bid without an allowance: by the words of the refusal the SDK knows what to do, approves
    and sends the same order once more.
    """
    placed = accepted(client.place_limit_order(asset_id=market.up, price=LOW, size=10, side="BUY"))
    client.cancel_order(order_id=placed.order_id)


@attrs.define(eq=False)
class Life:
    """A client of one wallet, and the market whose shares it holds."""

    venue: Venue
    client: SecureClient
    market: Market
    modern: bool = False  # a market of Protocol V2

    @property
    def cash(self) -> int:
        return self.client.get_balance_allowance(asset_type="COLLATERAL").balance

    @property
    def booked(self) -> int:
        """The wallet's pUSD with every match: what `cash` comes to when the chain has followed."""
        state = self.venue.get("admin", "/state", address=str(self.client.wallet))
        return int(state["cash"])

    def has_cash(self, expected: int) -> None:
        """The venue's idea of a balance is late (clob.md 5.1): it must get there."""
        until(f"a balance of {expected}", lambda: self.cash == expected)

    def has_shares(self, token: str, expected: int) -> None:
        until(f"{expected} shares", lambda: self.shares(token) == expected)

    def shares(self, token: str) -> int:
        asset: Literal["CONDITIONAL", "CONDITIONAL-V2"]
        asset = "CONDITIONAL-V2" if self.modern else "CONDITIONAL"
        return self.client.get_balance_allowance(asset_type=asset, asset_id=token).balance

    def phase(self) -> str:
        return str(self._state()["phase"])

    def _state(self) -> dict[str, Any]:
        state = self.venue.get("admin", "/state", address=str(self.client.wallet))
        found: dict[str, Any] = next(
            one for one in state["markets"] if one["slug"] == self.market.slug
        )
        return found

    # --- what a wallet does ----------------------------------------------------------------

    def trade(self, maker: SecureClient) -> None:
        """Limit, batch, cancels, market order and trades, all with this wallet's own orders."""
        client, market = self.client, self.market
        placed = accepted(
            client.place_limit_order(asset_id=market.up, price=LOW, size=10, side="BUY")
        )
        row = client.get_order(order_id=placed.order_id)
        assert (row.status, row.maker_address) == ("LIVE", client.wallet)
        assert client.cancel_order(order_id=placed.order_id).canceled == (placed.order_id,)
        batch = [
            client.create_limit_order(asset_id=token, price=LOW, size=5, side="BUY")
            for token in (market.up, market.down)
        ]
        ids = {accepted(one).order_id for one in client.post_orders(batch)}
        assert set(client.cancel_all().canceled) == ids
        accepted(maker.place_limit_order(asset_id=market.up, price="0.5", size=20, side="BUY"))
        self.take()
        client.send_order_heartbeat()

    def take(self) -> None:
        """Six dollars of Down at the market, found again among the account's trades."""
        bought = market_buy(self.client, self.market.down)
        (trade, *_) = self.client.list_account_trades(id=bought.trade_ids[0]).first_page().items
        assert trade.taker_order_id == bought.order_id
        assert trade.trader_side == "TAKER"

    def split_and_merge(self) -> None:
        """Pairs for dollars, dollars for pairs, and more pairs, merged by "max"."""
        client, condition_id = self.client, self.market.condition_id
        before = self.booked
        client.split_position(condition_id=condition_id, amount=20_000_000).wait()
        self.has_cash(before - 20_000_000)
        self.has_shares(self.market.up, 20_000_000)
        client.merge_positions(condition_id=condition_id, amount=5_000_000).wait()
        self.has_cash(before - 15_000_000)
        client.merge_positions(condition_id=condition_id, amount="max").wait()
        self.has_cash(before)

    def redeem(self) -> None:
        """Every share of the resolved market becomes its payout, one dollar or nothing."""
        state, before = self._state(), self.booked
        assert state["shares"] != [0, 0], "there is something to redeem"
        self.client.redeem_positions(condition_id=self.market.condition_id).wait()
        self.has_cash(before + state["shares"][state["winner"]])
        for token in (self.market.up, self.market.down):
            self.has_shares(token, 0)


def client_for(
    venue: Venue,
    private_key: str,
    relayer_key: str | BuilderApiKey | None = None,
    wallet: str | None = None,
    nonce: int = 0,
) -> SecureClient:
    """The SDK's client. Without a wallet it takes the key's deposit wallet, deployed if need be.

    The wallets of one key share its API keys, and so a cancel-all: a nonce gives each its own.
    """
    owner = EvmAddress(address_of(private_key))
    key: RelayerApiKey | BuilderApiKey | None = None
    if isinstance(relayer_key, str):
        key = RelayerApiKey(key=relayer_key, address=owner)
    elif relayer_key is not None:
        key = relayer_key
    return SecureClient.create(
        private_key=private_key,
        wallet=wallet,
        environment=environment_of(venue),
        api_key=key,
        nonce=nonce,
    )
