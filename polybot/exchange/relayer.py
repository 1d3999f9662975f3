"""The relayer's HTTP API (onchain.md 7): gasless transactions of deposit wallets, Safes, proxies.

Reads are public, as the SDK makes them before it has a key; `/submit`, the session calls and the
lists of one's own need a relayer or builder API key, or 401.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from polybot.clock import Clock
from polybot.exchange import eip712, relayer_bodies
from polybot.exchange.auth import ApiKey
from polybot.exchange.chain import Chain
from polybot.exchange.relayer_bodies import RELAY, Rejected, SessionWork, Work
from polybot.exchange.relayer_keys import RelayerKeys
from polybot.exchange.relayer_queue import Queue, Transaction
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.session_registry import SessionRegistry
from polybot.exchange.wallets import wallets_of

DAY_S, MINUTE_MS = 86_400, 60_000
KEPT_ANSWERS = 1_000
Owned = Callable[[Request, str], Response]  # request, API key


class Relayer:
    """One relayer on one chain. Everybody comes from one IP here: the loopback's."""

    def __init__(self, chain: Chain, keys: RelayerKeys, clock: Clock, rng: random.Random) -> None:
        self.queue = Queue(chain, rng)
        self.sessions = SessionRegistry(chain.sessions)
        self._chain, self._keys, self._clock = chain, keys, clock
        self._recent: deque[int] = deque()  # times of the last minute's submissions
        self._today: Counter[tuple[str, int]] = Counter()  # by key and day
        self._answers: dict[str, Response] = {}  # by key, path and idempotency key
        self._public: dict[str, Callable[[Request], Response]] = {
            "/deployed": self._deployed,
            "/v1/account/transactions/params": self._params,
            "/relay-payload": self._relay_payload,
            "/nonce": self._nonce,
            "/transaction": self._old_transaction,
        }
        self._private: dict[tuple[str, str], Owned] = {
            ("POST", "/submit"): self._submit,
            ("POST", "/v1/session-signers/authorizations"): self._authorise,
            ("POST", "/v1/session-signers/revocations"): self._revoke,
            ("GET", "/transactions"): self._old_transactions,
            ("GET", "/relayer/api/keys"): self._own_keys,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        public = self._public.get(request.path) if request.method == "GET" else None
        if public is not None:
            return public(request)
        parent, _, id_ = request.path.rpartition("/")
        if request.method == "GET" and parent == "/v1/account/transactions":
            return self._transaction(id_)
        private = self._private.get((request.method, request.path))
        if private is None:
            return error_response("not found", 404)
        key = self._keys.authenticate(request)
        return (
            error_response("invalid authorization", 401) if key is None else private(request, key)
        )

    # --- reads -----------------------------------------------------------------------------

    def _deployed(self, request: Request) -> Response:
        address = _address(request)
        if address is None:
            return error_response("invalid address")
        return json_response({"deployed": address in self._chain.deployed})

    def _params(self, request: Request) -> Response:
        """The nonce that the signer's wallet wants next."""
        address, kind = _address(request), request.query.get("type", "SAFE")
        if address is None or kind not in {"WALLET", "SAFE", "PROXY"}:
            return error_response("invalid address or type")
        return json_response({"address": address, "nonce": str(self._nonce_of(address, kind))})

    def _nonce_of(self, signer: str, kind: str) -> int:
        if kind == "WALLET":
            wallet = self.queue.deposit_wallet_of(signer, self._clock.now_ms())
        else:
            wallets = wallets_of(signer)
            wallet = wallets.safe if kind == "SAFE" else wallets.proxy
        return self.queue.nonce_of(wallet)

    def _relay_payload(self, request: Request) -> Response:
        address = _address(request)
        if address is None:
            return error_response("invalid address")
        return json_response({"address": RELAY, "nonce": str(self._nonce_of(address, "PROXY"))})

    def _nonce(self, request: Request) -> Response:
        """The older form of the same."""
        address, kind = _address(request), request.query.get("type", "SAFE")
        if address is None or kind not in {"WALLET", "SAFE", "PROXY"}:
            return error_response("invalid address or type")
        return json_response({"nonce": str(self._nonce_of(address, kind))})

    def _transaction(self, id_: str) -> Response:
        tx = self.queue.find(id_)
        if tx is None:
            return error_response("transaction not found", 404)
        return json_response(
            {
                "transaction_id": tx.id,
                "state": tx.state,
                "transaction_hash": self._shown_hash(tx),
                "error_msg": tx.error,
            }
        )

    def _shown_hash(self, tx: Transaction) -> str:
        return "" if self.queue.policy.hide_hash else tx.tx_hash

    def _old_transaction(self, request: Request) -> Response:
        tx = self.queue.find(request.query.get("id", ""))
        return json_response([] if tx is None else [self._old_row(tx)])

    def _old_transactions(self, _request: Request, key: str) -> Response:
        return json_response([self._old_row(tx) for tx in self.queue.of_key(key)])

    def _old_row(self, tx: Transaction) -> dict[str, object]:
        work = tx.work
        return {
            "transactionID": tx.id,
            "transactionHash": self._shown_hash(tx),
            "from": work.owner,
            "to": work.target,
            "proxyAddress": work.wallet,
            "data": "0x" + b"".join(call.data for call in work.calls).hex(),
            "nonce": "" if work.nonce is None else str(work.nonce),
            "value": str(sum(call.value for call in work.calls)),
            "state": tx.state,
            "type": work.kind,
            "metadata": work.metadata,
            "createdAt": _iso(tx.created_ms),
            "updatedAt": _iso(tx.updated_ms),
        }

    def _own_keys(self, _request: Request, key: str) -> Response:
        owner = self._keys.address_of(key)
        keys = self._keys.relayer_keys_of(owner)
        return json_response([{"apiKey": one, "address": owner} for one in keys])

    # --- transactions ------------------------------------------------------------------------

    def _submit(self, request: Request, key: str) -> Response:
        limited = self._limited(key)
        if limited is not None:
            return limited
        try:
            tx = self._take(relayer_bodies.read(_json(request)), key)
        except Rejected as rejected:
            return error_response(str(rejected))
        return json_response({"transactionID": tx.id, "state": tx.state, "transactionHash": ""})

    def _take(self, work: Work, key: str) -> Transaction:
        now_ms = self._clock.now_ms()
        if work.kind == "WALLET" and not self._signs_for(work, now_ms // 1000):
            raise Rejected(relayer_bodies.BAD_SIGNATURE)
        tx = self.queue.submit(work, key, now_ms)
        self._today[key, now_ms // 1000 // DAY_S] += 1
        return tx

    def _signs_for(self, work: Work, now_s: int) -> bool:
        wallets = wallets_of(work.signer)
        if work.wallet in {wallets.deposit, wallets.deposit_uups}:
            return True
        return self.sessions.may_transact(work.wallet, work.signer, now_s)

    def _limited(self, key: str) -> Response | None:
        """Too many a minute from this IP, or none left of the key's day (onchain.md 7.4)."""
        now_ms, terms = self._clock.now_ms(), self._chain.terms
        while self._recent and self._recent[0] <= now_ms - MINUTE_MS:
            self._recent.popleft()
        if len(self._recent) >= terms.relayer_submits_per_minute:
            wait_s = -(-(self._recent[0] + MINUTE_MS - now_ms) // 1000)
            return _too_many("too many requests", wait_s)
        self._recent.append(now_ms)
        now_s = now_ms // 1000
        if self._today[key, now_s // DAY_S] >= terms.relayer_submits_per_day:
            wait_s = DAY_S - now_s % DAY_S
            text = f"quota exceeded: 0 units remaining, resets in {wait_s} seconds"
            return _too_many(text, wait_s)
        return None

    # --- session keys --------------------------------------------------------------------------

    def _authorise(self, request: Request, key: str) -> Response:
        def answer(asked: SessionWork, tx: Transaction) -> dict[str, object]:
            self.sessions.authorised(asked)
            return {"status": "SUBMITTED", "transactionHash": "", "transactionId": tx.id}

        if self._keys.is_relayer_key(key):
            return error_response("a builder api key is required", 403)
        return self._once(request, key, relayer_bodies.read_authorisation, answer)

    def _revoke(self, request: Request, key: str) -> Response:
        def answer(asked: SessionWork, tx: Transaction) -> dict[str, object]:
            self.sessions.fenced(asked)
            return {"status": "FENCED", "fenced": True, "transactionId": tx.id}

        return self._once(request, key, relayer_bodies.read_revocation, answer)

    def _once(
        self,
        request: Request,
        key: str,
        read: Callable[[object], SessionWork],
        answer: Callable[[SessionWork, Transaction], dict[str, object]],
    ) -> Response:
        """Do it, or say again what was answered to the same idempotency key."""
        given = request.headers.get("idempotency-key", "")
        if not given:
            return error_response("Idempotency-Key header is required")
        name = f"{key} {request.path} {given}"
        if name in self._answers:
            return self._answers[name]
        limited = self._limited(key)
        if limited is not None:
            return limited
        try:
            asked = read(_json(request))
            tx = self._take(asked.work, key)
        except Rejected as rejected:
            return error_response(str(rejected))
        response = self._answers[name] = json_response(answer(asked, tx))
        if len(self._answers) > KEPT_ANSWERS:
            del self._answers[next(iter(self._answers))]
        return response

    def session_keys(self, _request: Request, key: ApiKey) -> Response:
        """`GET /v1/user/session-signers` of the CLOB: the owner's active session keys."""
        now_ms = self._clock.now_ms()
        wallet = self.queue.deposit_wallet_of(key.address, now_ms)
        rows = self.sessions.rows(wallet, now_ms // 1000)
        return json_response({"wallet": wallet, "signers": rows})


def _too_many(text: str, wait_s: int) -> Response:
    return json_response(
        {"error": text, "retry_after_seconds": wait_s}, 429, (("retry-after", str(wait_s)),)
    )


def _json(request: Request) -> object:
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Rejected("invalid request body") from None


def _address(request: Request) -> str | None:
    return eip712.parse_address(request.query.get("address", ""))


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
