"""`/auth/*`: creating, deriving, listing and deleting API keys (clob.md 2.1)."""

from __future__ import annotations

from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.request import Request, Response, error_response, json_response


class AuthCalls:
    """The key endpoints. `create` and `derive` take L1 headers, the others are L2 calls."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    def create(self, request: Request) -> Response:
        wallet = self._keys.wallet(request)
        if isinstance(wallet, Response):
            return wallet
        key = self._keys.create(*wallet)
        return _credentials(key) if key else error_response("Could not create api key")

    def derive(self, request: Request) -> Response:
        wallet = self._keys.wallet(request)
        if isinstance(wallet, Response):
            return wallet
        key = self._keys.derive(*wallet)
        return _credentials(key) if key else error_response("Could not derive api key!")

    def list_keys(self, request: Request, key: ApiKey) -> Response:
        return json_response({"apiKeys": [k.key for k in self._keys.keys_of(key.address)]})

    def delete(self, request: Request, key: ApiKey) -> Response:
        self._keys.delete(key.key)
        return json_response("OK")

    def closed_only(self, request: Request, key: ApiKey) -> Response:
        return json_response({"closed_only": False})


def _credentials(key: ApiKey) -> Response:
    return json_response({"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase})
