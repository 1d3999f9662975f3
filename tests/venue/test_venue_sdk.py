"""The official client as one function: what each of its exceptions says about what has left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from polymarket import SecureClient, errors
from venue_kit import CREDENTIALS, KEY, WALLET

from polybot.domain.orders import Failure
from polybot.venue import sdk
from polybot.venue.calls import Call
from polybot.venue.derived import wallets
from polybot.venue.relayer import Answer, Refused, Sent
from polybot.venue.secret import Secret
from polybot.venue.site import POLYMARKET

CALLS = (Call("0x" + "11" * 20, "0x5b63685e"), Call("0x" + "22" * 20, "0xd217a3cc"))


class Client:
    """A client whose submissions end as told; keeps what it was asked."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome
        self.asked: dict[str, Any] = {}

    def execute_transaction(self, **asked: Any) -> object:
        self.asked = asked
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def submitted(outcome: object) -> Answer:
    return sdk._submitted(cast(SecureClient, Client(outcome)), "polybot-1", CALLS)


NONCE = "batch nonce 4 does not match on-chain nonce 5"


@pytest.mark.parametrize(
    ("handle", "evidence"),
    [
        (SimpleNamespace(transaction_id="id-1", transaction_hash=None), "id-1"),
        (SimpleNamespace(transaction_id="id-1", transaction_hash="0xh"), "id-1"),
        (SimpleNamespace(transaction_id=None, transaction_hash="0xh"), "0xh"),
    ],
)
def test_a_submission_is_known_by_its_id_or_its_hash(handle: object, evidence: str) -> None:
    """A plain wallet's handle has no id (onchain.md 8)."""
    assert submitted(handle) == Sent(evidence)


@pytest.mark.parametrize(
    ("error", "again_s"),
    [
        (errors.UserInputError("no key"), None),
        (errors.SigningError("no"), None),
        (errors.RateLimitError("quota exceeded: 0 units remaining", retry_after=77), 77),
        (errors.RateLimitError("was rate limited"), sdk.UNTOLD_S),
        (errors.RateLimitError("too many requests", retry_after=2), sdk.HAMMERED_S),
        (
            errors.RequestRejectedError("wallet busy with an active action", status=400),
            sdk.HAMMERED_S,
        ),
        (
            errors.RequestRejectedError("Wallet has in-flight action", status=400),
            sdk.HAMMERED_S,
        ),
        (errors.RequestRejectedError(NONCE, status=400), sdk.HAMMERED_S),
        (errors.RequestRejectedError("slow down", status=429, retry_after=5), 5),
        (errors.RequestRejectedError("who are you", status=401), None),
    ],
)
def test_what_was_refused_has_surely_not_left(error: Exception, again_s: float | None) -> None:
    """A refusal of the request, or no request at all: it may be asked for again, and when."""
    answer = submitted(error)
    assert isinstance(answer, Refused)
    assert answer.again_s == again_s
    assert str(error) in answer.why


@pytest.mark.parametrize(
    "error",
    [
        errors.RequestRejectedError("bad gateway", status=502),
        errors.RequestRejectedError("error", status=408),
        errors.RequestRejectedError("INTERNAL: shard moved", status=400),
        errors.RequestRejectedError("", status=400),
        errors.TransportError("cut"),
        errors.TimeoutError("100 polls"),
        errors.UnexpectedResponseError("what?"),
        errors.TransactionFailedError("reverted"),
        RuntimeError("a bug of theirs"),
    ],
)
def test_what_may_have_been_taken_is_not_a_refusal(error: Exception) -> None:
    """A 5xx, a cut connection, a time-out, or a 400 in words that nobody has seen before: nobody
    knows, so the chain must tell (F33, F44; the soak, seed 967).
    """
    assert isinstance(submitted(error), Failure)


@pytest.mark.parametrize("end", ["", "/v2/a-key", "/v2/a-key?and=more", "?apikey=a-key"])
def test_a_nodes_key_is_not_told(end: str) -> None:
    """The client's errors name the URL they asked, and a node's may end in a key (S17)."""
    said = f"Request to https://node.example:8545{end} failed with status 401"
    refused = submitted(errors.RequestRejectedError(said, status=401))
    unclear = submitted(RuntimeError(said))

    assert isinstance(refused, Refused)
    assert isinstance(unclear, Failure)
    for text in (refused.why, unclear.what):
        assert "a-key" not in text
        assert "https://node.example:8545 failed with status 401" in text


def test_the_calls_go_out_as_they_are() -> None:
    """Target, data and name unchanged, and no value with them."""
    client = Client(SimpleNamespace(transaction_id="id", transaction_hash=None))
    sdk._submitted(cast(SecureClient, client), "polybot-1", CALLS)
    assert client.asked["metadata"] == "polybot-1"
    sent = [(str(one.to), str(one.data), one.value) for one in client.asked["calls"]]
    assert sent == [(call.to, call.data, 0) for call in CALLS]


def test_a_long_complaint_is_cut() -> None:
    """An error page does not fill the journal."""
    refused = submitted(errors.RequestRejectedError("x" * 10_000, status=401))
    unclear = submitted(errors.RequestRejectedError("x" * 10_000, status=400))
    assert isinstance(refused, Refused)
    assert isinstance(unclear, Failure)
    assert len(refused.why) == len(unclear.what) == 300


@pytest.mark.parametrize("kind", [0, 1, 2, 3], ids=["EOA", "proxy", "Safe", "deposit"])
def test_the_real_client_takes_every_kind_of_wallet(kind: int) -> None:
    """Built without the network: no check of credentials, no deployment (onchain.md 8)."""
    wallet = WALLET.address if kind == 0 else wallets(WALLET.address, kind)[0]
    key = None if kind == 0 else Secret("a relayer key")
    submit = sdk.sdk_submit(POLYMARKET, KEY, CREDENTIALS, wallet, key, speed=20.0)
    assert callable(submit)
