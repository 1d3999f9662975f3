"""From an empty wallet to a redeemed one with the official SDK's own calls, and nothing patched.

A fast exchange of its own: a relayer's transaction takes 5–30 s of the venue's time, the SDK polls
every two of its own, and a market has to resolve. The four kinds of wallet live side by side in
threads, as four bots would. Each waits for a market that is young enough for what it does there.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance_kit import Market, Venue, command
from lifecycle_kit import (
    LOW,
    WINDOW_S,
    Life,
    accepted,
    address_of,
    admin,
    client_for,
    market_with,
    refused,
    until,
)
from polymarket import SecureClient
from polymarket.errors import RequestRejectedError, UserInputError
from polymarket.models.clob.order_response import OrderResponse

from polybot.exchange import contracts

SPEED = 20
NEEDS_S = 200  # venue seconds that a wallet wants for its trades; some 10 s of the wall's
PHASE_S = 300  # into its window the market is when the exchange starts: 30 s of the wall's are left
FRESH, OTHER, LENDER, SESSION = ("0x" + f"{byte}" * 32 for byte in (42, 43, 44, 45))
NO_FUNDS = "not enough balance / allowance"


@contextmanager
def exchange(folder: Path, **terms: str) -> Iterator[Venue]:
    """It takes the clients' timestamps for what they are: its clock runs away from theirs."""
    path = folder / "terms.toml"
    lines = ["[venue]", "timestamp_tolerance_s = 1000000"]
    lines += [f'{name} = "{value}"' for name, value in terms.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    start_s = int(time.time()) // WINDOW_S * WINDOW_S + PHASE_S
    words = ("--port", "0", "--speed", str(SPEED), "--seed", "5", "--intensity", "0.1")
    more = ("--series", "btc-15m", "--start", str(start_s), "--terms", str(path))
    with command(*words, *more) as running:
        yield Venue.from_line(running.first_line())
        assert running.stop(signal.SIGINT) == 0
        assert running.stderr() == ""


@pytest.mark.conforms("onchain-4-sdk-setup", "onchain-9.4-sdk-round")
def test_wallets_live_side_by_side(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Deposit wallet, EOA, Safe and proxy are made ready, trade, split, merge and redeem, and a
    deposit wallet does it in markets of Protocol V2; another lends itself to a session key
    (onchain.md 5, 6, 7; clob.md 3.2, 3.3).
    """
    make = tmp_path_factory.mktemp
    with (
        exchange(make("v1")) as venue,
        exchange(make("v2"), protocol="v2") as modern,
        ThreadPoolExecutor(6) as threads,
    ):
        for future in [
            threads.submit(deposit_wallet, venue),
            threads.submit(eoa, venue),
            threads.submit(old_wallet, venue, venue.wallet.safe, 101),
            threads.submit(old_wallet, venue, venue.wallet.proxy, 102),
            threads.submit(deposit_wallet, modern, modern=True),
            threads.submit(lender, modern),
        ]:
            future.result()


def deposit_wallet(venue: Venue, *, modern: bool = False) -> None:
    """The default of the SDK: nothing there but a key, the wallet is deployed on the way."""
    owner = address_of(FRESH)
    relayer_key = admin(venue, "/relayer-key", address=owner)["key"]
    client = client_for(venue, FRESH, relayer_key)
    assert client.wallet_type == "DEPOSIT_WALLET"
    assert client.wallet == admin_wallets(venue, owner)["deposit"]["address"]
    admin(venue, "/fund", address=str(client.wallet), amount="100")
    assert NO_FUNDS in refused(client, market_with(venue, NEEDS_S))
    client.setup_trading_approvals()
    live(venue, client, modern=modern)


def eoa(venue: Venue) -> None:
    """Raw transactions, gas of its own. Of the approvals one is missing: 17 would take a minute."""
    owner = address_of(OTHER)
    client = client_for(venue, OTHER, wallet=owner)
    assert client.wallet_type == "EOA"
    admin(venue, "/fund", address=owner, amount="100")
    admin(venue, "/gas", address=owner)
    admin(venue, "/approve", address=owner)
    client.approve_erc20(
        token_address=contracts.COLLATERAL, spender_address=contracts.EXCHANGE, amount=0
    ).wait()
    assert NO_FUNDS in refused(client, market_with(venue, NEEDS_S))
    client.setup_trading_approvals()
    live(venue, client)


def old_wallet(venue: Venue, wallet: str, nonce: int) -> None:
    """A Safe or a proxy of the demo key, deployed already; two calls go in one transaction."""
    key = venue.wallet
    client = client_for(venue, key.private_key, key.relayer_api_key, wallet, nonce)
    assert client.wallet_type in {"GNOSIS_SAFE", "POLY_PROXY"}
    client.approve_erc1155_for_all(
        token_address=contracts.CTF, operator_address=contracts.CTF_ADAPTER, approved=False
    ).wait()
    client.approve_erc20(
        token_address=contracts.COLLATERAL, spender_address=contracts.EXCHANGE, amount=0
    ).wait()
    assert NO_FUNDS in refused(client, market_with(venue, NEEDS_S))
    client.setup_trading_approvals()
    live(venue, client)


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
        market = market_with(venue, NEEDS_S)
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


def admin_wallets(venue: Venue, owner: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = venue.get("admin", "/wallets", address=owner)
    return found


def live(venue: Venue, client: SecureClient, *, modern: bool = False) -> None:
    """What every wallet does once it is ready, in a market that outlasts it."""
    life = Life(venue, client, market_with(venue, NEEDS_S), modern)
    life.trade()
    life.split_and_merge()
    with pytest.raises(UserInputError, match="No market found"):
        client.redeem_positions(condition_id=life.market.condition_id)
    until("the resolution", lambda: life.phase() == "resolved")
    life.redeem()
    client.close()
