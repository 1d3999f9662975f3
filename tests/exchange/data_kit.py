"""A Data API over a small exchange, asked as the official SDK asks and read as it reads."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from engine_kit import CASH, PAIRS, T0, Kit
from polymarket._internal.request import KeysetPaginatedSpec, RequestSpec

from polybot.exchange.data_api import OWN_LAG_MS, DataService
from polybot.exchange.model import UP
from polybot.exchange.request import Request, Response
from polybot.exchange.wallet_history import WalletHistory

T = TypeVar("T")

ANN, BOB, CROWD = (f"0x{digit * 40}" for digit in "123")
CONDITION = "0x" + "ab" * 32
SETTLED_MS = 5_000 + OWN_LAG_MS  # after this much, any trade is in a block and indexed


class EngineClock:
    """The kit's own time as a clock."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def now_ms(self) -> int:
        return self.kit.now


class NoLifecycle:
    def __init__(self) -> None:
        self.proposed_ms: dict[str, int] = {}


class DataKit:
    """ann and bob, and a crowd that nobody asks about; an indexer that listens from the start."""

    def __init__(self, *, cached: bool = False, **market: Any) -> None:
        fields = {"condition_id": CONDITION, "tokens": ("101", "102"), "gamma_id": "77"}
        self.kit = Kit(**(fields | market))
        self.engine, self.market = self.kit.engine, self.kit.market
        self.engine.unread |= {f"key-{CROWD}", CROWD}
        self.history = WalletHistory(self.engine.unread, OWN_LAG_MS)
        self.engine.listeners.append(self.history.on_event)
        self.lifecycle = NoLifecycle()
        clock: Any = EngineClock(self.kit)
        lifecycle: Any = self.lifecycle
        self.data = DataService(self.engine, lifecycle, self.history, clock, cached=cached)
        for account in (ANN, BOB, CROWD):
            self.engine.accounts.deposit(account, CASH + PAIRS)
            self.engine.split(account, self.market, PAIRS, T0)

    def settle(self) -> None:
        self.kit.advance(SETTLED_MS)

    def raw(self, path: str, method: str = "GET", **query: str) -> Response:
        return self.data.answer(Request(method, path, query, {}, b""))

    def body(self, path: str, **query: str) -> Any:
        response = self.raw(path, **query)
        assert response.status == 200, response.body
        return orjson.loads(response.body)

    def ask(self, spec: RequestSpec[T]) -> Any:
        """The parsed reply. `Any`: the models have types of their own for plain strings."""
        assert spec.params is not None
        return spec.parse(self.body(spec.path, **_texts(spec.params)))

    def pages(self, spec: KeysetPaginatedSpec[T], limit: int = 1_000) -> list[Any]:
        """Every item, page by page until the cursor ends."""
        items: list[T] = []
        cursor: str | None = None
        while True:
            query = _texts(spec.base_params) | {"limit": str(limit)}
            if cursor is not None:
                query[spec.cursor_param] = cursor
            page = spec.parse_page(self.body(spec.path, **query))
            items += page.items
            cursor = page.server_next_cursor
            if cursor is None:
                return items

    def buy(self, who: str, of: str, outcome: int, cents: float, shares: float) -> None:
        """`who` takes what `of` offers."""
        self.kit.place(of, "SELL", outcome, cents, shares)
        self.kit.place(who, "BUY", outcome, cents, shares)

    @property
    def up(self) -> str:
        return self.market.tokens[UP]


def _texts(params: Any) -> dict[str, str]:
    """Query parameters as httpx writes them."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in params.items()
    }
