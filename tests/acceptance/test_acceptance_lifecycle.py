"""From an empty wallet to a redeemed one with the official SDK's own calls, and nothing patched.

A fast exchange of its own: a relayer's transaction takes 5–30 s of the venue's time, the SDK polls
every two of its own, and a market has to resolve. The four kinds of wallet live side by side in
threads, as four bots would. Each waits for a market that is young enough for what it does there.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from acceptance_kit import Venue, command
from lifecycle_kit import WINDOW_S, Life, address_of, admin, client_for, market_with, refused, until
from polymarket import SecureClient
from polymarket.errors import UserInputError

from polybot.exchange import contracts

SPEED = 20
NEEDS_S = 200  # venue seconds that a wallet wants for its trades; some 10 s of the wall's
PHASE_S = 400  # into its window the market is when the exchange starts: 25 s of the wall's are left
FRESH, OTHER = "0x" + "42" * 32, "0x" + "43" * 32
NO_FUNDS = "not enough balance / allowance"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """Its clock runs away from the clients': it takes their timestamps for what they are."""
    terms = tmp_path_factory.mktemp("terms") / "terms.toml"
    terms.write_text("[venue]\ntimestamp_tolerance_s = 1000000\n", encoding="utf-8")
    start_s = int(time.time()) // WINDOW_S * WINDOW_S + PHASE_S
    words = ("--port", "0", "--speed", str(SPEED), "--seed", "5", "--intensity", "0.3")
    more = ("--series", "btc-15m", "--start", str(start_s), "--terms", str(terms))
    with command(*words, *more) as running:
        yield Venue.from_line(running.first_line())
        assert running.stop(signal.SIGINT) == 0
        assert running.stderr() == ""


def test_four_wallets_live_side_by_side(venue: Venue) -> None:
    """Deposit wallet, EOA, Safe and proxy are made ready, trade, split, merge and redeem
    (onchain.md 5, 6, 7; clob.md 3.3).
    """
    with ThreadPoolExecutor(4) as threads:
        lives = [
            future.result()
            for future in [
                threads.submit(deposit_wallet, venue),
                threads.submit(eoa, venue),
                threads.submit(old_wallet, venue, venue.wallet.safe, 101),
                threads.submit(old_wallet, venue, venue.wallet.proxy, 102),
            ]
        ]
        redeemed: list[Future[None]] = [threads.submit(redeem_at_last, life) for life in lives]
        for future in redeemed:
            future.result()


def deposit_wallet(venue: Venue) -> Life:
    """The default of the SDK: nothing there but a key, the wallet is deployed on the way."""
    owner = address_of(FRESH)
    relayer_key = admin(venue, "/relayer-key", address=owner)["key"]
    client = client_for(venue, FRESH, relayer_key)
    assert client.wallet_type == "DEPOSIT_WALLET"
    assert client.wallet == admin_wallets(venue, owner)["deposit"]["address"]
    admin(venue, "/fund", address=str(client.wallet), amount="100")
    assert NO_FUNDS in refused(client, market_with(venue, NEEDS_S))
    client.setup_trading_approvals()
    return lived(venue, client)


def eoa(venue: Venue) -> Life:
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
    return lived(venue, client)


def old_wallet(venue: Venue, wallet: str, nonce: int) -> Life:
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
    return lived(venue, client)


def admin_wallets(venue: Venue, owner: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = venue.get("admin", "/wallets", address=owner)
    return found


def lived(venue: Venue, client: SecureClient) -> Life:
    """What every wallet does once it is ready, in a market that outlasts it."""
    life = Life(venue, client, market_with(venue, NEEDS_S))
    life.trade()
    life.split_and_merge()
    return life


def redeem_at_last(life: Life) -> None:
    """Before the resolution there is no closed market to redeem; after it the shares are paid."""
    with pytest.raises(UserInputError, match="No market found"):
        life.client.redeem_positions(condition_id=life.market.condition_id)
    until("the resolution", lambda: life.phase() == "resolved")
    life.redeem()
    life.client.close()
