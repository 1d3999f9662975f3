"""Accounts the venue has shut out: banned, or allowed to close positions only (clob.md 3.6, 7.3).

By address, in checksum form: a key's EOA, which means all its wallets, or a single wallet. What an
account has resting stays, and it can always cancel.
"""

from __future__ import annotations

from collections.abc import Callable

from polybot.exchange import eip712
from polybot.exchange.model import SELL, Order, Refused
from polybot.exchange.request import Request, Response, error_response, json_response, parse_json


class Restrictions:
    """`close_only`: whether everybody is restricted so, as in some countries (clob.md 7.3)."""

    def __init__(self, close_only: Callable[[], bool]) -> None:
        self.banned: set[str] = set()
        self.closing: set[str] = set()
        self._close_only = close_only
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("POST", "/restrictions"): self._set
        }

    def refusal(self, order: Order, eoa: str) -> Refused | None:
        """Selling what one has is the only way to reduce a position here."""
        for address in (order.account, eoa):
            if address in self.banned:
                return Refused(f"'{address}' address banned", order.id)
        if order.side == SELL:
            return None
        for address in (order.account, eoa):
            if self.closed(address):
                return Refused(f"'{address}' address in closed only mode", order.id)
        return None

    def closed(self, address: str) -> bool:
        return address in self.closing or self._close_only()

    def _set(self, request: Request) -> Response:
        """Admin: `{"address","banned","closed_only"}`, the flags optional; answers the state."""
        asked = parse_json(request.body)
        if not isinstance(asked, dict) or not set(asked) <= {"address", "banned", "closed_only"}:
            return error_response("address, banned and closed_only are what is known here")
        address = eip712.parse_address(str(asked.get("address")))
        if address is None:
            return error_response("address: 0x and forty hex digits are wanted")
        for name, known in (("banned", self.banned), ("closed_only", self.closing)):
            flag = asked.get(name, address in known)
            if not isinstance(flag, bool):
                return error_response(f"{name}: true or false is wanted")
            (known.add if flag else known.discard)(address)
        shown = {"banned": address in self.banned, "closed_only": address in self.closing}
        return json_response({"address": address, **shown})
