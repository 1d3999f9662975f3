"""Money and wallets for whoever tries the exchange: calls of the admin service on loopback.

`POST /fund {"address","amount","asset"?}` (decimal dollars as a string; asset `pUSD`, or `USDC.e`,
which has to be wrapped), `/approve {"address"}` (the standard 17), `/gas {"address"}` (POL),
`/deploy {"address"}` (proxy, Safe and deposit wallet of a key), `/relayer-key {"address"}`, and
`GET /wallets?address=` (the five addresses of a key). Balances are integers of 10⁻⁶, POL of 10⁻¹⁸.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import orjson

from polybot.exchange import eip712
from polybot.exchange.approvals import STANDARD, UNLIMITED
from polybot.exchange.chain import Chain
from polybot.exchange.money import UNIT, to_units
from polybot.exchange.relayer_keys import RelayerKeys
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.wallets import wallets_of

POL = 10**18
GAS = 10 * POL
FUND_MOST = 10**9 * UNIT  # a billion dollars: more is a slip of the keyboard
Route = tuple[str, str]


@attrs.frozen
class Faucet:
    """The operator's hand on the chain."""

    chain: Chain
    keys: RelayerKeys

    @property
    def routes(self) -> dict[Route, Callable[[Request], Response]]:
        return {
            ("POST", "/fund"): self._fund,
            ("POST", "/approve"): self._approve,
            ("POST", "/gas"): self._gas,
            ("POST", "/deploy"): self._deploy,
            ("POST", "/relayer-key"): self._relayer_key,
            ("GET", "/wallets"): self._wallets,
        }

    def deploy(self, owner: str) -> None:
        """Give the key's proxy, Safe and deposit wallet code, as their creation would."""
        wallets = wallets_of(owner)
        self.chain.deployed |= {wallets.proxy, wallets.safe, wallets.deposit}

    def fund(self, address: str, amount: int, *, approved: bool = False) -> None:
        """Credit pUSD; without approvals, as money arrives on chain."""
        self.chain.engine.accounts.deposit(address, amount, approved=approved)

    def give_gas(self, address: str) -> None:
        self.chain.gas[address] = self.chain.gas.get(address, 0) + GAS

    # --- calls -------------------------------------------------------------------------

    def _fund(self, request: Request) -> Response:
        body = _body(request)
        address, text, asset = _address(body), body.get("amount"), body.get("asset", "pUSD")
        amount = to_units(text, UNIT) if isinstance(text, str) else None
        if address is None or amount is None or not 0 < amount <= FUND_MOST:
            return error_response("expected an address and an amount in dollars as a string")
        if asset not in ("pUSD", "USDC.e"):
            return error_response('asset is "pUSD" or "USDC.e"')
        if asset == "pUSD":
            self.fund(address, amount)
        else:
            held = self.chain.usdc_e.get(address, 0)
            self.chain.usdc_e[address] = held + amount
        return json_response(self._row(address))

    def _approve(self, request: Request) -> Response:
        address = _address(_body(request))
        if address is None:
            return error_response("invalid address")
        self.chain.engine.accounts.approvals.approve_all(address)
        return json_response(self._row(address))

    def _gas(self, request: Request) -> Response:
        address = _address(_body(request))
        if address is None:
            return error_response("invalid address")
        self.give_gas(address)
        return json_response(self._row(address))

    def _deploy(self, request: Request) -> Response:
        address = _address(_body(request))
        if address is None:
            return error_response("invalid address")
        self.deploy(address)
        return json_response(self._five(address))

    def _relayer_key(self, request: Request) -> Response:
        address = _address(_body(request))
        if address is None:
            return error_response("invalid address")
        return json_response({"key": self.keys.issue(address), "address": address})

    def _wallets(self, request: Request) -> Response:
        address = eip712.parse_address(request.query.get("address", ""))
        if address is None:
            return error_response("invalid address")
        return json_response(self._five(address))

    def _five(self, owner: str) -> dict[str, object]:
        wallets = attrs.asdict(wallets_of(owner))
        return {kind: self._row(address) for kind, address in wallets.items()}

    def _row(self, address: str) -> dict[str, object]:
        chain, approvals = self.chain, self.chain.engine.accounts.approvals
        unlimited = [approvals.allowance(address, *pair) == UNLIMITED for pair in STANDARD]
        return {
            "address": address,
            "deployed": address in chain.deployed,
            "cash": chain.engine.accounts.cash(address),
            "settled_cash": chain.engine.settled_cash(address),
            "usdc_e": chain.usdc_e.get(address, 0),
            "pol": str(chain.gas.get(address, 0)),
            "approvals": sum(unlimited),
        }


def _body(request: Request) -> dict[str, object]:
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _address(body: dict[str, object]) -> str | None:
    value = body.get("address")
    return eip712.parse_address(value) if isinstance(value, str) else None
