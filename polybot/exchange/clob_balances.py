"""`GET /balance-allowance` and `/update`: what a wallet has and whom it lets spend (clob.md 5.1).

Amounts are base units of 10⁻⁶. Where they come from can be replaced: a cache may stand before the
books (`figure`, `refresh`), and the approvals are the chain's (`allowances`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polybot.clock import Clock
from polybot.exchange import contracts
from polybot.exchange.auth import ApiKey
from polybot.exchange.engine import Engine
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.wallets import WalletKind, wallets_of

UNLIMITED = 2**256 - 1
COLLATERAL, CONDITIONAL, CONDITIONAL_V2 = "COLLATERAL", "CONDITIONAL", "CONDITIONAL-V2"
BAD_ASSET = "Invalid asset type"
BAD_SIGNATURE_TYPE = "Invalid signature_type"
SPENDERS = (contracts.EXCHANGE, contracts.NEG_RISK_EXCHANGE, contracts.EXCHANGE_V3)
_KINDS = {str(kind.value): kind for kind in WalletKind}
_PROTOCOL = {CONDITIONAL: "v1", CONDITIONAL_V2: "v2"}

# (wallet, asset type) → what each spender may take; an operator approval counts as UNLIMITED.
Allowances = Callable[[str, str], Mapping[str, int]]
# (wallet, token or None for pUSD) → the balance as the venue believes it
Figure = Callable[[str, str | None], int]


def all_allowed(_wallet: str, _asset: str) -> Mapping[str, int]:
    """Every exchange may take everything: what holds without a chain behind it."""
    return dict.fromkeys(SPENDERS, UNLIMITED)


class BalanceReads:
    """The two calls. `figure`, `refresh` and `allowances` may be set to other sources."""

    def __init__(self, engine: Engine, clock: Clock, sessions: SessionSigners) -> None:
        self._engine = engine
        self._clock = clock
        self._sessions = sessions
        self.allowances: Allowances = all_allowed
        self.figure: Figure = self._booked
        self.refresh: Callable[[str, str | None], None] = lambda _wallet, _token: None

    def balance(self, request: Request, key: ApiKey) -> Response:
        """GET /balance-allowance."""
        return self._answer(request, key, refresh=False)

    def update(self, request: Request, key: ApiKey) -> Response:
        """GET /balance-allowance/update: the venue looks at the chain again, then answers."""
        return self._answer(request, key, refresh=True)

    def _answer(self, request: Request, key: ApiKey, *, refresh: bool) -> Response:
        asset, token = request.query.get("asset_type", ""), request.query.get("token_id")
        kind = _KINDS.get(request.query.get("signature_type", "0"))
        if kind is None:
            return error_response(BAD_SIGNATURE_TYPE)
        if asset == COLLATERAL:
            token = None
        elif asset not in _PROTOCOL or token not in self._engine.by_token:
            return error_response(BAD_ASSET)
        wallet = self.wallet(key.address, kind)
        if refresh:
            self.refresh(wallet, token)
        amount = self.figure(wallet, token) if self._held_there(asset, token) else 0
        allowances = self.allowances(wallet, asset)
        return json_response(
            {
                "balance": str(amount),
                "allowances": {spender: str(amount) for spender, amount in allowances.items()},
            }
        )

    def _held_there(self, asset: str, token: str | None) -> bool:
        """The two protocols have a token contract each; ids of one are nothing to the other."""
        return token is None or self._engine.by_token[token].version == _PROTOCOL[asset]

    def _booked(self, wallet: str, token: str | None) -> int:
        accounts = self._engine.accounts
        return accounts.cash(wallet) if token is None else accounts.shares(wallet, token)

    def wallet(self, eoa: str, kind: WalletKind) -> str:
        """The wallet a key means by a signature type.

        Of deposit wallets a key has two, and a session key has its owner's: the first that has
        ever held anything, older derivation before newer, as the SDK looks for them (onchain.md 5).
        """
        candidates = wallets_of(eoa).of(kind)
        if kind is not WalletKind.DEPOSIT:
            return candidates[0]
        current, older = candidates
        lent = self._sessions.wallets_of(eoa, self._clock.now_ms() // 1000)
        known = self._engine.accounts.wallets
        return next((one for one in (*lent, older, current) if one in known), current)
