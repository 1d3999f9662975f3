"""From an empty wallet to a redeemed one with the official SDK's own calls, and nothing patched.

A fast exchange of its own: a relayer's transaction takes 5–30 s of the venue's time, the SDK polls
every two of its own, and a market has to resolve. The four kinds of wallet live side by side in
threads, as bots would, each in a market of the operator's that waits for it; one also in an
interval market, which does not.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from acceptance_kit import Market, Venue, command, window_start_s
from lifecycle_kit import (
    LOW,
    Life,
    address_of,
    admin,
    approves_by_itself,
    client_for,
    interval_market,
    standing_market,
    until,
)
from polymarket import SecureClient
from polymarket._internal.actions.relayer.calls import erc20_approval_call
from polymarket.errors import RequestRejectedError, UserInputError
from polymarket.models.clob.order_response import OrderResponse
from polymarket.types import EvmAddress
from polymarket_kit import accepted

from polybot.exchange import contracts

SPEED = 20
NEEDS_S = 100  # venue seconds left in an interval market that somebody enters
FRESH, MODERN, OTHER, LENDER, SESSION = ("0x" + f"{byte}" * 32 for byte in range(42, 47))
NO_ALLOWANCE = "refused: not enough balance / allowance: the allowance is not enough…"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """It takes the clients' timestamps for what they are: its clock runs away from theirs."""
    path = tmp_path_factory.mktemp("terms") / "terms.toml"
    path.write_text("[venue]\ntimestamp_tolerance_s = 1000000\n", encoding="utf-8")
    words = ("--port", "0", "--speed", str(SPEED), "--seed", "5", "--intensity", "0.02")
    more = ("--series", "btc-5m", "--start", str(window_start_s(phase_s=5)), "--terms", str(path))
    with command(*words, *more) as running:
        yield Venue.from_line(running.first_line())
        assert running.stop(signal.SIGINT) == 0
        assert running.stderr() == ""


@pytest.mark.conforms("onchain-4-sdk-setup", "onchain-9.4-sdk-round")
def test_wallets_live_side_by_side(venue: Venue) -> None:
    """Deposit wallet, EOA, Safe and proxy are made ready, trade, split, merge and redeem, in plain,
    neg-risk and Protocol V2 markets; a deposit wallet lends itself to a session key
    (onchain.md 5, 6, 7; clob.md 3.2, 3.3).
    """
    plain, risky, modern, old = (
        standing_market(venue, "deposit"),
        standing_market(venue, "safe", neg_risk=True),
        standing_market(venue, "modern", "v2"),
        standing_market(venue, "proxy"),
    )
    key = venue.wallet
    with (
        client_for(venue, key.private_key, wallet=key.address, nonce=100) as maker,
        ThreadPoolExecutor(6) as threads,
    ):
        for future in [
            threads.submit(deposit_wallet, venue, FRESH, plain, maker),
            threads.submit(deposit_wallet, venue, MODERN, modern, maker, modern=True),
            threads.submit(old_wallet, venue, key.safe, risky, maker, 101),
            threads.submit(old_wallet, venue, key.proxy, old, maker, 102),
            threads.submit(eoa, venue, maker),
            threads.submit(lender, venue),
        ]:
            future.result()
    assert venue.get("admin", "/counters")[NO_ALLOWANCE] == 5


def deposit_wallet(
    venue: Venue, private_key: str, market: Market, maker: SecureClient, *, modern: bool = False
) -> None:
    """The default of the SDK: nothing there but a key, the wallet is deployed on the way."""
    owner = address_of(private_key)
    relayer_key = admin(venue, "/relayer-key", address=owner)["key"]
    client = client_for(venue, private_key, relayer_key)
    assert client.wallet_type == "DEPOSIT_WALLET"
    row = venue.get("admin", "/wallets", address=owner)["deposit"]
    assert (row["address"], row["deployed"]) == (client.wallet, True)
    admin(venue, "/fund", address=str(client.wallet), amount="100")
    approves_by_itself(client, market)
    client.setup_trading_approvals()
    live(Life(venue, client, market, modern), maker)


def old_wallet(venue: Venue, wallet: str, market: Market, maker: SecureClient, nonce: int) -> None:
    """A Safe or a proxy of the demo key, deployed already; many calls go in one transaction."""
    key = venue.wallet
    client = client_for(venue, key.private_key, key.relayer_api_key, wallet, nonce)
    assert client.wallet_type in {"GNOSIS_SAFE", "POLY_PROXY"}
    exchanges = (contracts.EXCHANGE, contracts.NEG_RISK_EXCHANGE)
    calls = [
        erc20_approval_call(
            token_address=EvmAddress(contracts.COLLATERAL), spender=EvmAddress(one), amount=0
        )
        for one in exchanges
    ]
    client.execute_transaction(calls=calls).wait()
    approves_by_itself(client, market)
    client.setup_trading_approvals()
    live(Life(venue, client, market), maker)


def eoa(venue: Venue, maker: SecureClient) -> None:
    """Raw transactions, gas of its own. Of the approvals one is missing: 17 would take a minute.

    Its shares of an interval market, bought from the crowd, are redeemed when that has resolved.
    """
    owner = address_of(OTHER)
    client = client_for(venue, OTHER, wallet=owner)
    assert client.wallet_type == "EOA"
    admin(venue, "/fund", address=owner, amount="100")
    admin(venue, "/gas", address=owner)
    admin(venue, "/approve", address=owner)
    client.approve_erc20(
        token_address=contracts.COLLATERAL, spender_address=contracts.EXCHANGE, amount=0
    ).wait()
    market = standing_market(venue, "eoa")
    approves_by_itself(client, market)
    client.setup_trading_approvals()
    interval = Life(venue, client, interval_market(venue, NEEDS_S))
    interval.take()
    with pytest.raises(UserInputError, match="No market found"):
        client.redeem_positions(condition_id=interval.market.condition_id)
    until("the resolution", lambda: interval.phase() == "resolved")
    interval.redeem()
    live(Life(venue, client, market), maker)


def live(life: Life, maker: SecureClient) -> None:
    """What every wallet does once it is ready, in a market that waits for it."""
    life.trade(maker)
    life.split_and_merge()
    admin(life.venue, "/markets/resolve", market=life.market.slug, winner="No")
    life.redeem()
    life.client.close()


def lender(venue: Venue) -> None:
    """A session key trades for a deposit wallet while it is authorised, under an API key of its own
    (onchain.md 5; clob.md 3.3).
    """
    relayer_key = admin(venue, "/relayer-key", address=address_of(LENDER))["key"]
    client_for(venue, LENDER, relayer_key).close()
    with client_for(venue, LENDER) as plain:
        builder = plain.create_builder_api_key()
        assert [one.key for one in plain.fetch_builder_api_keys()] == [builder.key]
    owner = client_for(venue, LENDER, builder)
    admin(venue, "/fund", address=str(owner.wallet), amount="100")
    admin(venue, "/approve", address=str(owner.wallet))
    result = owner.authorize_session_key(address=address_of(SESSION))
    assert owner.fetch_session_keys() == (result.session_key,)

    with client_for(venue, SESSION, builder, str(owner.wallet)) as session:
        market = standing_market(venue, "lent")
        placed = accepted(bid(session, market))
        assert session.get_order(order_id=placed.order_id).maker_address == owner.wallet
        assert owner.list_open_orders().first_page().items == ()
        session.split_position(condition_id=market.condition_id, amount=3_000_000).wait()
        assert owner.get_balance_allowance(asset_type="COLLATERAL").balance == 97_000_000
        owner.revoke_session_key(address=address_of(SESSION))
        assert owner.fetch_session_keys() == ()
        with pytest.raises(RequestRejectedError):
            bid(session, market)
    owner.revoke_builder_api_key()
    assert owner.fetch_builder_api_keys() == ()
    owner.close()


def bid(client: SecureClient, market: Market) -> OrderResponse:
    return client.place_limit_order(asset_id=market.up, price=LOW, size=10, side="BUY")
