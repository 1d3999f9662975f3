"""The relayer's HTTP API: bodies signed by the official SDK, its states, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from chain_kit import ANN, BOB, DOLLAR, approve, merge, ours, redeem, split, transfer
from hypothesis import given, strategies as st
from polymarket._internal.actions.relayer import submit as sdk_submit
from polymarket.errors import RequestRejectedError
from polymarket.models.clob.relayer import GaslessTransaction, RelayerExecuteParams
from relayer_kit import LATER_S, RelayerKit, batch, creation, proxy, safe

from polybot.exchange import contracts
from polybot.exchange.approvals import UNLIMITED
from polybot.exchange.relayer_bodies import RELAY
from polybot.exchange.relayer_signatures import batch_digest, signer_of_batch
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import wallets_of

PAIRS = 10 * DOLLAR


# --- signatures --------------------------------------------------------------------------------


@pytest.mark.conforms("onchain-7.3-batch-signature")
def test_the_references_batch() -> None:
    """Digest and signature of the vector (onchain.md 7.3)."""
    wallet = "0x8154deDBDAAA46c07453E47b5b6C0Ff60B8542b9"
    call = ours(approve(contracts.EXCHANGE, UNLIMITED))

    digest = batch_digest(wallet, 0, 1_800_000_000, [call])

    assert digest.hex() == "dccd0bb958ee849ebffd787662a431b0b6ad27dd44e469a5b45ee136ccfdba6b"
    signature = bytes.fromhex(
        "8c494a13df0ebb063e2d301364a7e6fddf60977ea5a7f477b4a888381fe2a8c7"
        "10cf02eb05055d688bea1ea0375c585843e954d2d196bb129a1f8eaeaeaaccf81c"
    )
    assert signer_of_batch(digest, signature) == ANN.address


def body_of(kit: RelayerKit, kind: str, *, signer: Any = ANN) -> dict[str, Any]:
    """A split of ten pairs, and for a Safe two calls."""
    call = split(kit.plain, PAIRS)
    if kind == "WALLET":
        return batch(call, signer=signer)
    if kind == "PROXY":
        return proxy(call, relay=RELAY, signer=signer)
    return safe(call, approve(contracts.EXCHANGE, UNLIMITED), signer=signer)


def wallet_of(kit: RelayerKit, kind: str) -> str:
    wallets = kit.wallets
    return {"WALLET": wallets.deposit, "SAFE": wallets.safe, "PROXY": wallets.proxy}[kind]


@pytest.mark.conforms("onchain-7.3-safe", "onchain-7.3-proxy", "onchain-7.2-submit")
@pytest.mark.parametrize("kind", ["WALLET", "SAFE", "PROXY"])
async def test_what_the_sdk_signs_is_done(kind: str) -> None:
    """Each kind of wallet, with the SDK's own bytes (onchain.md 7.3)."""
    kit = RelayerKit()
    id_ = await kit.submit(body_of(kit, kind))

    done = await kit.finish(id_)

    assert (done["state"], done["error_msg"]) == ("STATE_CONFIRMED", None)
    assert kit.shares(wallet_of(kit, kind), kit.plain) == [PAIRS] * 2
    assert kit.chain.blocks.receipts[done["transaction_hash"]].ok


@pytest.mark.parametrize("kind", ["WALLET", "SAFE", "PROXY"])
@pytest.mark.parametrize("field", ["signature", "nonce", "data", "from", "wallet", "gas"])
async def test_nothing_signed_can_be_changed(kind: str, field: str) -> None:
    """Another call, nonce, wallet or signer is another digest (onchain.md 7.3)."""
    kit = RelayerKit()
    body = body_of(kit, kind)
    other = body_of(kit, kind, signer=BOB)
    if field == "wallet":
        where = "depositWalletParams" if kind == "WALLET" else None
        target = body[where] if where else body
        name = "depositWallet" if where else "proxyWallet"
        target[name] = other[where][name] if where else other[name]
    elif field == "gas":
        if kind == "WALLET":
            body["depositWalletParams"]["deadline"] = str(LATER_S + 1)
        else:
            params = body["signatureParams"]
            params["operation" if kind == "SAFE" else "gasLimit"] = "0"
    elif field == "data" and kind == "WALLET":
        body["depositWalletParams"]["calls"][0]["data"] = "0x"
    elif field == "data":
        body["data"] = body["data"][:-2] + "01"
    elif field == "nonce":
        body["nonce"] = "1"
    else:
        body[field] = other[field]

    assert await kit.refused(body)
    kit.advance(60_000)
    assert kit.shares(wallet_of(kit, kind), kit.plain) == [0, 0]


async def test_a_strangers_wallet_is_not_opened() -> None:
    """A good signature of somebody else's (onchain.md 7.3)."""
    kit = RelayerKit()
    theirs = batch(transfer(kit.bob, DOLLAR), signer=BOB, wallet=kit.wallets.deposit)

    assert await kit.refused(theirs) == "invalid signature"


# --- wallets -----------------------------------------------------------------------------------


@pytest.mark.conforms("onchain-7.3-wallet-create", "onchain-7.2-deployed")
async def test_a_deposit_wallet_is_created_once() -> None:
    """Deployed with its block, usable once confirmed, not made twice (onchain.md 7.2, 7.3)."""
    kit = RelayerKit()
    wallet = wallets_of(kit.bob).deposit
    assert await kit.get("/deployed", address=wallet, type="WALLET") == {"deployed": False}
    early = batch(approve(contracts.EXCHANGE, 1), signer=BOB)
    assert await kit.refused(early) == f"wallet {wallet} is not registered"

    id_ = await kit.submit(creation(kit.bob))
    states: list[str] = []
    while (state := (await kit.state(id_))["state"]) != "STATE_CONFIRMED":
        if state == "STATE_MINED" and not states.count(state):
            assert await kit.get("/deployed", address=wallet) == {"deployed": True}
            assert await kit.refused(early) == f"wallet {wallet} is not registered"
        states.append(state)
        kit.advance(500)

    assert list(dict.fromkeys(states)) == ["STATE_NEW", "STATE_EXECUTED", "STATE_MINED"]
    await kit.submit(early)
    assert "already deployed" in await kit.refused(creation(kit.bob))


@pytest.mark.parametrize("kind", ["safe", "proxy"])
async def test_deployed_answers_for_every_kind(kind: str) -> None:
    """(onchain.md 7.2)."""
    kit = RelayerKit()
    ours_, theirs = (getattr(wallets_of(who), kind) for who in (kit.ann, kit.bob))

    assert await kit.get("/deployed", address=ours_, type=kind.upper()) == {"deployed": True}
    assert await kit.get("/deployed", address=theirs.lower()) == {"deployed": False}
    assert (await kit.send("GET", "/deployed", address="0x12"))[0] == 400


async def test_a_proxy_is_deployed_with_its_first_call() -> None:
    """Lazily, by its factory; a Safe has to be there (onchain.md 5)."""
    kit = RelayerKit()
    kit.engine.accounts.deposit(wallets_of(kit.bob).proxy, 100 * DOLLAR)
    assert "not registered" in await kit.refused(body_of(kit, "SAFE", signer=BOB))

    id_ = await kit.submit(body_of(kit, "PROXY", signer=BOB))

    assert (await kit.finish(id_))["state"] == "STATE_CONFIRMED"
    assert wallets_of(kit.bob).proxy in kit.chain.deployed


# --- nonces and the lock -------------------------------------------------------------------------


@pytest.mark.conforms("onchain-7.2-params")
async def test_params_parse_and_count() -> None:
    """Nonces are digit texts and grow by what was mined (onchain.md 7.2)."""
    kit = RelayerKit()
    signer = kit.ann
    params = "/v1/account/transactions/params"

    async def nonces() -> list[str]:
        found = [await kit.get(params, address=signer, type=kind) for kind in ("WALLET", "SAFE")]
        found.append(await kit.get("/relay-payload", address=signer, type="PROXY"))
        found.append(await kit.get("/nonce", address=signer, type="SAFE"))
        for one in found[:3]:
            RelayerExecuteParams.parse_response(one)
        return [one["nonce"] for one in found]

    assert await nonces() == ["0"] * 4
    for kind in ("WALLET", "SAFE", "PROXY"):
        await kit.submit(body_of(kit, kind))
    kit.advance(60_000)
    assert await nonces() == ["1"] * 4


@pytest.mark.conforms("onchain-7.4-busy")
async def test_one_action_of_a_wallet_at_a_time() -> None:
    """A second is 400 `wallet busy` until the block; other wallets are free (onchain.md 7.4)."""
    kit = RelayerKit()
    id_ = await kit.submit(body_of(kit, "WALLET"))

    error = await kit.refused(batch(merge(kit.plain, 1)))

    assert sdk_submit.is_retryable_submit_error(RequestRejectedError(error, status=400))
    await kit.submit(body_of(kit, "SAFE"))
    while (await kit.state(id_))["state"] != "STATE_MINED":
        kit.advance(250)
    await kit.submit(batch(merge(kit.plain, 1), nonce=1))


@pytest.mark.conforms("onchain-7.4-nonce-mismatch")
async def test_a_stale_nonce_tells_the_right_one() -> None:
    """In the text that the SDK signs again by (onchain.md 7.4)."""
    kit = RelayerKit()
    await kit.submit(body_of(kit, "WALLET"))
    kit.advance(60_000)

    low = RequestRejectedError(await kit.refused(body_of(kit, "WALLET")), status=400)
    high = RequestRejectedError(await kit.refused(batch(redeem(kit.plain), nonce=5)), status=400)

    assert sdk_submit.onchain_nonce_from_submit_error(low) == "1"
    assert sdk_submit.is_retryable_submit_error(low)
    assert not sdk_submit.is_retryable_submit_error(high)


async def test_a_safe_says_gs026_of_a_stale_nonce() -> None:
    """It is mined and fails: the signature is over another transaction (onchain.md 7.3)."""
    kit = RelayerKit()
    await kit.submit(body_of(kit, "SAFE"))
    kit.advance(60_000)

    done = await kit.finish(await kit.submit(body_of(kit, "SAFE")))

    assert done["state"] == "STATE_FAILED"
    assert "GS026" in done["error_msg"]


async def test_a_deadline_counts_at_submission_and_in_the_block() -> None:
    """Past: 400. Past by the time of the block: INVALID, the wallet is free (onchain.md 7.3)."""
    kit = RelayerKit()
    now_s = kit.now // 1000
    assert "deadline" in await kit.refused(batch(split(kit.plain, 1), deadline_s=now_s))

    done = await kit.finish(await kit.submit(batch(split(kit.plain, 1), deadline_s=now_s + 1)))

    assert (done["state"], done["transaction_hash"]) == ("STATE_INVALID", "")
    await kit.submit(body_of(kit, "WALLET"))


# --- outcomes ------------------------------------------------------------------------------------


@pytest.mark.conforms("onchain-7.2-states")
async def test_a_revert_is_failed_and_leaves_the_nonce() -> None:
    """Nothing of the batch is done; the same nonce is good again (onchain.md 9.4)."""
    kit = RelayerKit()
    bad = batch(split(kit.plain, DOLLAR), merge(kit.plain, 2 * DOLLAR))

    done = await kit.finish(await kit.submit(bad))

    parsed = GaslessTransaction.parse_response(done)
    assert parsed.state == "STATE_FAILED"
    assert parsed.error_msg == "execution reverted: ERC1155: burn amount exceeds balance"
    assert not kit.chain.blocks.receipts[done["transaction_hash"]].ok
    assert kit.shares(kit.wallets.deposit, kit.plain) == [0, 0]
    assert (await kit.finish(await kit.submit(body_of(kit, "WALLET"))))["state"] == (
        "STATE_CONFIRMED"
    )


async def test_delays_are_the_terms() -> None:
    """5 to 30 s from submission to confirmation (onchain.md 7.5)."""
    kit = RelayerKit()
    for nonce in range(6):
        start = kit.now
        id_ = await kit.submit(batch(approve(contracts.EXCHANGE, nonce), nonce=nonce))
        while (await kit.state(id_))["state"] != "STATE_CONFIRMED":
            kit.advance(100)
        assert 5_000 <= kit.now - start <= 30_100


async def test_the_policy_fails_loses_delays_and_hides() -> None:
    """What a fault plan turns while it runs (reliability.md F33, onchain.md 9.4)."""
    kit = RelayerKit()
    policy = kit.relayer.queue.policy
    policy.fail_ppm = 1_000_000
    failed = await kit.finish(await kit.submit(body_of(kit, "WALLET")))
    assert (failed["state"], failed["error_msg"]) == ("STATE_FAILED", "reverted")

    policy.fail_ppm, policy.lose_ppm = 0, 1_000_000
    lost = await kit.submit(body_of(kit, "WALLET"))
    assert (await kit.finish(lost))["state"] == "STATE_EXECUTED"
    assert "busy" in await kit.refused(body_of(kit, "WALLET"))
    kit.advance(300_000)
    assert (await kit.state(lost))["error_msg"] == "transaction dropped"

    policy.lose_ppm, policy.extra_ms, policy.hide_hash = 0, 120_000, True
    slow = await kit.submit(body_of(kit, "WALLET"))
    assert (await kit.finish(slow))["state"] == "STATE_EXECUTED"
    kit.advance(120_000)
    done = await kit.state(slow)
    assert (done["state"], done["transaction_hash"]) == ("STATE_CONFIRMED", "")


# --- who may, and how often ------------------------------------------------------------------------


@pytest.mark.conforms("onchain-7.1-relayer-key")
async def test_submitting_needs_a_key() -> None:
    """None, an unknown one, another's address: 401; reads need none (onchain.md 7.1)."""
    kit = RelayerKit()
    body = body_of(kit, "WALLET")
    key = kit.headers["relayer_api_key"]
    for headers in (
        {},
        {"relayer_api_key": "no", "relayer_api_key_address": kit.ann},
        {"relayer_api_key": key},
        {"relayer_api_key": key, "relayer_api_key_address": kit.bob},
    ):
        status, _ = await kit.send("POST", "/submit", body, headers)
        assert status == 401
    assert (await kit.send("GET", "/nothing"))[0] == 404
    assert (await kit.send("GET", "/v1/account/transactions/none"))[0] == 404
    await kit.submit(body)


@pytest.mark.conforms("onchain-7.4-submit-limit")
async def test_twenty_five_a_minute() -> None:
    """The next is 429 until the first is a minute old; refused ones count too (onchain.md 7.4)."""
    kit = RelayerKit()
    for _ in range(25):
        await kit.refused({"type": "NONE"})

    status, value = await kit.send("POST", "/submit", body_of(kit, "WALLET"))

    assert (status, value["retry_after_seconds"]) == (429, 60)
    kit.advance(60_000)
    await kit.submit(body_of(kit, "WALLET"))


@pytest.mark.conforms("onchain-7.4-quota")
async def test_a_keys_day_ends() -> None:
    """429 with the quota's text; another key and another day go on (onchain.md 7.4)."""
    kit = RelayerKit(terms=Terms(relayer_submits_per_day=1))
    await kit.submit(body_of(kit, "WALLET"))

    status, value = await kit.send("POST", "/submit", body_of(kit, "SAFE"))
    assert status == 429
    assert re.fullmatch(r"quota exceeded: 0 units remaining, resets in \d+ seconds", value["error"])
    other = kit.key_headers(kit.bob)
    assert (await kit.send("POST", "/submit", body_of(kit, "SAFE"), other))[0] == 200
    kit.advance(1000 * value["retry_after_seconds"])
    await kit.submit(body_of(kit, "PROXY"))


async def test_the_older_calls_know_the_same() -> None:
    """/transaction gives an array, /transactions the key's own, newest first (onchain.md 7.2)."""
    kit = RelayerKit()
    first = await kit.submit(body_of(kit, "WALLET"))
    second = await kit.submit(body_of(kit, "SAFE"))

    (row,) = await kit.get("/transaction", id=first)
    assert (row["transactionID"], row["type"]) == (first, "WALLET")
    assert (row["proxyAddress"], row["metadata"]) == (kit.wallets.deposit, "a test")
    assert await kit.get("/transaction", id="none") == []
    _, rows = await kit.send("GET", "/transactions")
    assert [one["transactionID"] for one in rows] == [second, first]
    assert (await kit.send("GET", "/transactions", headers=kit.key_headers(kit.bob)))[1] == []
    _, keys = await kit.send("GET", "/relayer/api/keys")
    assert keys == [{"apiKey": kit.headers["relayer_api_key"], "address": kit.ann}]


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"type": None},
        {"metadata": "x" * 501},
        {"metadata": 5},
        {"from": "0x12"},
        {"nonce": "-1"},
        {"nonce": 0},
        {"signature": "0x"},
        {"signature": 5},
        {"depositWalletParams": None},
        {"depositWalletParams": {"calls": []}},
        {"depositWalletParams": {"calls": "no"}},
    ],
)
async def test_malformed_bodies_are_refused(change: dict[str, Any]) -> None:
    """400 with a reason, and nothing in flight (onchain.md 7.3, 7.4)."""
    kit = RelayerKit()
    body = body_of(kit, "WALLET")

    assert await kit.refused(body | change)
    await kit.submit(body)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("WALLET", "to", contracts.SAFE_FACTORY),
        ("SAFE", "gasPrice", "1"),
        ("SAFE", "baseGas", "1"),
        ("SAFE", "safeTxnGas", "1"),
        ("SAFE", "gasToken", contracts.COLLATERAL),
        ("SAFE", "refundReceiver", contracts.COLLATERAL),
        ("PROXY", "gasPrice", "1"),
        ("PROXY", "relayerFee", "1"),
    ],
)
async def test_what_was_not_signed_is_not_taken(kind: str, name: str, value: str) -> None:
    """The chain would check the signature over the body's own figures; another factory is nobody's
    (onchain.md 7.3).
    """
    kit = RelayerKit()
    body = body_of(kit, kind)
    (body if name == "to" else body["signatureParams"])[name] = value

    assert name in await kit.refused(body)


async def test_only_multisend_is_delegated_to() -> None:
    """Operation 1 with any other target could do anything (onchain.md 7.3)."""
    kit = RelayerKit()
    body = safe(split(kit.plain, 1), split(kit.plain, 2))
    assert body["signatureParams"]["operation"] == "1"
    for change in ({"to": kit.bob}, {"data": "0x"}):
        assert await kit.refused(body | change)


@given(st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=5), max_size=4))
async def test_no_body_breaks_the_relayer(extra: dict[str, Any]) -> None:
    """Whatever is posted is refused or done, never a crash (onchain.md 7.3)."""
    kit = RelayerKit()
    for body in (extra, {"type": "SAFE"} | extra, {"type": "PROXY"} | extra, [extra], 7):
        status, _ = await kit.send("POST", "/submit", body)
        assert status == 400
