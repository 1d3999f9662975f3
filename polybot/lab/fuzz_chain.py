"""Bent requests to what lies beside the CLOB: relayer, node, Data API, website and admin service.

As in `fuzz_input` most are valid first: signed batches, Safe and proxy transactions, raw
transactions of a plain wallet, calls of every contract function the SDK uses.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from polybot.domain.market import Market
from polybot.exchange import contracts, relayer_signatures as signatures, rlp
from polybot.exchange.chain_calls import FUNCTIONS
from polybot.exchange.chain_contract import Call
from polybot.exchange.chain_logs import ZERO
from polybot.exchange.eip712 import keccak
from polybot.exchange.faults.catalogue import CATALOGUE
from polybot.exchange.faults.plan import presets
from polybot.exchange.modes import Mode
from polybot.exchange.relayer_bodies import RELAY
from polybot.exchange.request import Request
from polybot.exchange.wallets import wallets_of
from polybot.lab.fuzz_trader import Trader
from polybot.venue import calls as moves

DATA = (
    "/v2/positions", "/v2/trades", "/v2/activity", "/v2/value", "/v2/resolutions", "/v2/holders",
    "/v2/oi", "/v2/live-volume", "/v2/tokens", "/v2/prices-history", "/v2/approvals", "/v2/x",
)  # fmt: skip
DATA_QUERIES = (
    "user", "condition_id", "event_id", "token_id", "limit", "cursor", "status", "type", "side",
    "taker_only", "sort_by", "sort_direction", "start", "end", "condition", "filter_amount",
)  # fmt: skip
RELAYER_READS = (
    "/deployed", "/v1/account/transactions/params", "/relay-payload", "/nonce", "/transaction",
    "/transactions", "/relayer/api/keys", "/v1/account/transactions/x", "/v1/account/transactions/",
)  # fmt: skip
METHODS = (
    "eth_chainId", "net_version", "web3_clientVersion", "eth_blockNumber", "eth_gasPrice",
    "eth_maxPriorityFeePerGas", "eth_getBlockByNumber", "eth_getBalance", "eth_getCode",
    "eth_getTransactionCount", "eth_call", "eth_estimateGas", "eth_sendRawTransaction",
    "eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getLogs", "eth_mining",
)  # fmt: skip
ADMIN_READS = ("/state", "/live-orders", "/counters", "/wallets", "/mode", "/faults", "/x")
SLUGS = tuple(f"fuzz-{number}" for number in range(8))
SPLIT, MERGE = moves.split, moves.merge
Bend = Callable[[object], bytes]


class ChainFuzzer:
    """Draws requests by service. `bend` makes JSON of a value, wrong every second time."""

    def __init__(
        self,
        rng: random.Random,
        traders: list[Trader],
        markets: list[Market],
        now_s: Callable[[], int],
        nonce_of: Callable[[str], int],
        bend: Bend,
    ) -> None:
        self._rng, self._traders, self._markets = rng, traders, markets
        self._now_s, self._nonce_of, self._bend = now_s, nonce_of, bend
        self._sent: dict[str, int] = {}  # raw transactions by sender

    # --- the relayer -----------------------------------------------------------------------

    def relayer(self) -> Request:
        rng = self._rng
        trader = rng.choice(self._traders)
        if rng.random() < 0.3:
            query = {
                "address": self._address(),
                "type": rng.choice(("WALLET", "SAFE", "PROXY", "")),
            }
            return self._keyed(trader, "GET", rng.choice(RELAYER_READS), b"", query)
        draw = rng.choice((self._batch, self._safe, self._proxy, self._creation, self._session))
        path, body = draw(trader)
        return self._keyed(trader, "POST", path, self._bend(body), {})

    def _keyed(
        self, trader: Trader, method: str, path: str, body: bytes, query: dict[str, str]
    ) -> Request:
        address = trader.wallet.address
        headers = {"relayer_api_key": trader.relayer_key, "relayer_api_key_address": address}
        if self._rng.random() < 0.05:
            headers[self._rng.choice(list(headers))] = self._rng.choice(("", "x", "ÿ"))
        if self._rng.random() < 0.02:
            headers["idempotency-key"] = "again"
        return Request(method, path, query, headers, body)

    def _batch(self, trader: Trader) -> tuple[str, object]:
        owner = trader.wallet.address
        wallet, deadline = wallets_of(owner).deposit, self._now_s() + self._rng.choice((-1, 600))
        nonce, calls = (
            self._nonce_of(wallet),
            [self._call() for _ in range(self._rng.choice((1, 3)))],
        )
        digest = signatures.batch_digest(wallet, nonce, deadline, calls)
        shown = [
            {"target": call.target, "value": str(call.value), "data": "0x" + call.data.hex()}
            for call in calls
        ]
        return "/submit", {
            "type": "WALLET", "from": owner, "to": contracts.DEPOSIT_FACTORY, "nonce": str(nonce),
            "signature": "0x" + trader.wallet.sign_digest(digest).hex(),
            "depositWalletParams": {
                "depositWallet": wallet, "deadline": str(deadline), "calls": shown,
            },
        }  # fmt: skip

    def _safe(self, trader: Trader) -> tuple[str, object]:
        owner, call = trader.wallet.address, self._call()
        safe = wallets_of(owner).safe
        nonce = self._nonce_of(safe)
        digest = signatures.safe_digest(safe, call, 0, nonce)
        return "/submit", {
            "type": "SAFE", "from": owner, "to": call.target, "proxyWallet": safe,
            "data": "0x" + call.data.hex(), "nonce": str(nonce),
            "signature": "0x" + trader.wallet.sign_digest(digest).hex(),
            "signatureParams": {
                "operation": str(self._rng.choice((0, 0, 0, 1))), "baseGas": "0",
                "gasPrice": "0", "safeTxnGas": "0", "gasToken": ZERO, "refundReceiver": ZERO,
            },
        }  # fmt: skip

    def _proxy(self, trader: Trader) -> tuple[str, object]:
        owner, data = trader.wallet.address, self._call().data
        wallet = wallets_of(owner).proxy
        nonce = self._nonce_of(wallet)
        digest = signatures.proxy_digest(owner, data, 10**7, nonce, RELAY)
        message = keccak(b"\x19Ethereum Signed Message:\n32" + digest)
        return "/submit", {
            "type": "PROXY", "from": owner, "to": contracts.PROXY_FACTORY, "proxyWallet": wallet,
            "data": "0x" + data.hex(), "nonce": str(nonce),
            "signature": "0x" + trader.wallet.sign_digest(message).hex(),
            "signatureParams": {
                "gasLimit": str(10**7), "relay": RELAY, "relayHub": contracts.RELAY_HUB,
                "gasPrice": "0", "relayerFee": "0",
            },
        }  # fmt: skip

    def _creation(self, trader: Trader) -> tuple[str, object]:
        address = self._rng.choice((trader.wallet.address, self._address()))
        return "/submit", {
            "type": "WALLET-CREATE", "from": address, "to": contracts.DEPOSIT_FACTORY,
        }  # fmt: skip

    def _session(self, trader: Trader) -> tuple[str, object]:
        wallet, deadline = wallets_of(trader.wallet.address).deposit, self._now_s() + 600
        body = {
            "walletAddress": wallet, "sessionSignerAddress": self._address(), "nonce": "0",
            "deadline": str(deadline), "validUntil": str(deadline), "scopes": ["trade"],
            "signature": "0x" + "11" * 65,
        }  # fmt: skip
        kind = self._rng.choice(("authorizations", "revocations"))
        return f"/v1/session-signers/{kind}", body

    # --- calls and the node ----------------------------------------------------------------

    def _call(self) -> Call:
        """A call that a contract knows: of the bot's own, or any function with drawn words."""
        rng, market = self._rng, self._rng.choice(self._markets)
        if rng.random() < 0.6:
            amount = rng.choice((1, 5_000_000, 10**13))
            drawn = rng.choice((
                lambda: SPLIT(market, amount), lambda: MERGE(market, amount),
                lambda: moves.redeem(market, amount, amount),
            ))()  # fmt: skip
            return Call(drawn[0].to, bytes.fromhex(drawn[0].data[2:]))
        target, selector = rng.choice(list(FUNCTIONS))
        words = b"".join(self._word() for _ in range(rng.choice((0, 1, 2, 3, 4, 6))))
        return Call(target, selector + words[: rng.choice((len(words), len(words), 17))])

    def _word(self) -> bytes:
        rng = self._rng
        return rng.choice((
            bytes(32), bytes.fromhex(self._address()[2:]).rjust(32, b"\0"), b"\xff" * 32,
            rng.choice((1, 32, 64, 96, 10**6, 2**255)).to_bytes(32, "big"),
            bytes.fromhex(rng.choice(self._markets).condition_id[2:]).ljust(32, b"\0"),
            int(rng.choice(self._markets).up_token).to_bytes(32, "big"),
        ))  # fmt: skip

    def rpc(self) -> Request:
        rng = self._rng
        asked: object = self._asked()
        if rng.random() < 0.2:
            asked = [self._asked() for _ in range(rng.choice((0, 1, 3, 20)))]
        return Request("POST" if rng.random() < 0.97 else "GET", "/", {}, {}, self._bend(asked))

    def _asked(self) -> dict[str, object]:
        method = self._rng.choice(METHODS)
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": self._params(method)}

    def _params(self, method: str) -> list[object]:
        rng, call = self._rng, self._call()
        block = rng.choice(("latest", "earliest", "pending", "0x1", "0xffffffff", "0x", None))
        match method:
            case "eth_call" | "eth_estimateGas":
                asked = {"from": self._address(), "to": call.target, "data": "0x" + call.data.hex()}
                return [asked, block]
            case "eth_sendRawTransaction":
                return ["0x" + self._raw(call).hex()]
            case "eth_getLogs":
                return [{
                    "fromBlock": block, "toBlock": "latest", "address": call.target,
                    "topics": [None, ["0x" + self._word().hex()]],
                }]  # fmt: skip
            case "eth_getBlockByNumber":
                return [block, rng.random() < 0.5]
            case _:
                return [rng.choice((self._address(), "0x" + "ab" * 32)), block]

    def _raw(self, call: Call) -> bytes:
        """A legacy transaction (EIP-155) of one of the traders, its number usually the next."""
        trader, rng = self._rng.choice(self._traders), self._rng
        sender = trader.wallet.address
        number = self._sent.get(sender, 0)
        fields = [
            rlp.encode_int(rng.choice((number, number, number, number + 1))),
            rlp.encode_int(rng.choice((30 * 10**9, 0, 10**30))),
            rlp.encode_int(rng.choice((500_000, 21_000, 10**9))),
            bytes.fromhex(call.target[2:]), b"", call.data,
        ]  # fmt: skip
        chain = contracts.CHAIN_ID
        digest = keccak(rlp.encode([*fields, rlp.encode_int(chain), b"", b""]))
        signature = trader.wallet.sign_digest(digest)
        parts = (signature[64] - 27 + 2 * chain + 35, *_halves(signature))
        raw = rlp.encode([*fields, *map(rlp.encode_int, parts)])
        self._sent[sender] = number + (rng.random() < 0.5)
        return raw if rng.random() < 0.8 else raw[: rng.randrange(len(raw))]

    # --- reads -----------------------------------------------------------------------------

    def data(self) -> Request:
        rng, market = self._rng, self._rng.choice(self._markets)
        values = (
            self._address(), market.condition_id, market.up_token, market.slug, "OPEN", "TRADE",
            "BUY", "true", "false", "0", "1", "1000", "1001", "-1", "x", "", "MA==", "LTE=", "1e9",
            "TIMESTAMP", "DESC", "9" * 40,
        )  # fmt: skip
        query = {rng.choice(DATA_QUERIES): rng.choice(values) for _ in range(rng.randint(0, 4))}
        if rng.random() < 0.6:
            query["user"] = self._address()
        return Request(rng.choice(("GET", "GET", "GET", "POST")), rng.choice(DATA), query, {}, b"")

    def site(self) -> Request:
        method = self._rng.choice(("GET", "POST", "HEAD"))
        return Request(method, self._rng.choice(("/api/geoblock", "/", "/api/x")), {}, {}, b"")

    def _address(self) -> str:
        wallets = wallets_of(self._rng.choice(self._traders).wallet.address)
        own = (wallets.eoa, wallets.safe, wallets.proxy, wallets.deposit)
        return self._rng.choice((*own, "0x" + "12" * 20, contracts.COLLATERAL))

    # --- the admin service -----------------------------------------------------------------

    def admin(self) -> Request:
        rng = self._rng
        if rng.random() < 0.3:
            query = {rng.choice(("address", "owner")): self._address()}
            return Request(rng.choice(("GET", "PUT")), rng.choice(ADMIN_READS), query, {}, b"")
        path, body = rng.choice((
            self._money, self._listing, self._conduct, self._restriction, self._faults,
        ))()  # fmt: skip
        return Request("POST", path, {}, {}, self._bend(body))

    def _money(self) -> tuple[str, object]:
        path = self._rng.choice(("/fund", "/fund", "/approve", "/gas", "/deploy", "/relayer-key"))
        asset, amount = self._rng.choice(("pUSD", "USDC.e")), self._rng.choice(("25.5", "0", "1e3"))
        more = {"asset": asset, "amount": amount} if path == "/fund" else {}
        return path, {"address": self._address(), **more}

    def _listing(self) -> tuple[str, object]:
        slug = self._rng.choice(SLUGS)
        return self._rng.choice((
            ("/markets", {
                "slug": slug, "question": "?", "end": "2040-01-01T00:00:00Z", "neg_risk": False,
                "version": self._rng.choice(("v1", "v2")), "category": "sports",
            }),
            ("/markets/tick", {"market": slug, "tick": self._rng.choice(("0.001", "0.005", "2"))}),
            ("/markets/resolve", {"market": slug, "winner": self._rng.choice(("Yes", "Maybe"))}),
        ))  # fmt: skip

    def _conduct(self) -> tuple[str, object]:
        mode = self._rng.choice([mode.value for mode in Mode])
        return self._rng.choice((
            ("/mode", {"mode": mode, "for_s": self._rng.choice((1, 60, 10**9))}),
            ("/region", {"country": self._rng.choice(("US", "IE", "PL", "")), "region": ""}),
        ))  # fmt: skip

    def _restriction(self) -> tuple[str, object]:
        return "/restrictions", {"address": self._address(), "closed_only": True, "banned": False}

    def _faults(self) -> tuple[str, object]:
        entry = {"fault": self._rng.choice(list(CATALOGUE)), "for_s": 10, "probability": 0.5}
        return "/faults", self._rng.choice((
            {"add": {"fault": [entry]}}, {"add": self._rng.choice(presets())}, {"remove": [1]},
            {"replace": {"storm": {"round_s": 1}}}, {"clear": True},
        ))  # fmt: skip


def _halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


# What puts right again what an admin call may have changed for everybody.
REPAIRS: tuple[tuple[str, object], ...] = (
    ("/mode", {"mode": Mode.NORMAL.value}),
    ("/region", {"country": "IE", "region": ""}),
    ("/faults", {"clear": True}),
)
