"""`/auth/*`: creating, deriving, listing and deleting API keys (clob.md 2.1)."""

from __future__ import annotations

from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.request import Request, Response, error_response, json_response, parse_json
from polybot.exchange.restrictions import Restrictions


class AuthCalls:
    """The key endpoints. `create` and `derive` take L1 headers, the others are L2 calls."""

    def __init__(self, keys: KeyStore, restrictions: Restrictions) -> None:
        self._keys = keys
        self._restrictions = restrictions

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
        return json_response({"closed_only": self._restrictions.closed(key.address)})

    # The replies about read-only keys are not documented (clob.md 2.1, UNSURE): an object with the
    # new key, a list of keys, and "OK", as for the other keys.

    def create_reader(self, request: Request, key: ApiKey) -> Response:
        return json_response({"apiKey": self._keys.create_reader(key)})

    def list_readers(self, request: Request, key: ApiKey) -> Response:
        return json_response(self._keys.readers_of(key.key))

    def delete_reader(self, request: Request, key: ApiKey) -> Response:
        asked = parse_json(request.body)
        reader = asked.get("key") if isinstance(asked, dict) else None
        if not isinstance(reader, str):
            return error_response("Invalid payload")
        if not self._keys.delete_reader(reader, key):
            return error_response("api key not found", 404)
        return json_response("OK")


def _credentials(key: ApiKey) -> Response:
    return json_response({"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase})
