"""Reads from the CLOB: our orders, trades and balances, and public market data (clob.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs
import orjson

from polybot.domain import units
from polybot.domain.market import FeeSchedule, RewardPool
from polybot.domain.orders import Failure, OrderRow, TradeSeen
from polybot.venue import fields
from polybot.venue.market_messages import BookMessage, decode_book
from polybot.venue.private_rows import Me, decode_order_row, decode_trade
from polybot.venue.rest import Rest, decoded
from polybot.venue.reward_rows import decode_pools, decode_scoring, pool_of_days
from polybot.venue.site import is_position_id

T = TypeVar("T")

_PAGES_MAX = 50
_NO_ORDER = "order not found"  # how the venue says that it has none (clob.md 5.1)
_END = ("", "LTE=")  # base64 of -1
# What can be a time: our clock is set by it, and dates and the tape have no room for every number.
_TIME_S = range(1_577_836_800, 4_102_444_800)  # from 2020 to 2099
_DIGITS_MOST = 18  # of a balance; the journal has no room for more than nineteen


@attrs.frozen
class ClobMarket:
    """A market's terms as the matching engine states them (clob.md 5.2).

    `fees.rebate_ppm` is 0: this call does not tell it, Gamma does.
    """

    condition_id: str
    version: str
    tokens: tuple[tuple[str, str], ...]  # (token, outcome label)
    tick: int
    min_size: int
    fees: FeeSchedule
    accepting: bool
    neg_risk: bool
    taker_delay: bool
    reward_age_s: int = 0  # least age of an order that shares in rewards


@attrs.frozen
class ClobReads:
    """Every read answers with its value or a Failure; none raises for what the venue does."""

    rest: Rest  # private: signed with the API key
    me: Me
    signature_type: int = 0

    async def open_orders(self, condition_id: str | None = None) -> list[OrderRow] | Failure:
        """All live orders of the key. An unreadable row fails the read: it may be live."""
        params = {"market": condition_id} if condition_id else {}
        rows = await self._pages("/data/orders", params, decode_order_row)
        if isinstance(rows, Failure):
            return rows
        return list({row.order_id: row for row in rows}.values())

    async def order(self, order_id: str) -> OrderRow | Failure | None:
        """One order in any state; None if the venue says that it has none of this id."""
        what = f"GET /data/order/{order_id}"
        reply = await self.rest.call("GET", f"/data/order/{order_id}")
        if isinstance(reply, Failure):
            return reply
        try:
            value = reply.json() if reply.body.strip() else None
            if reply.status == 404 and (value is None or _NO_ORDER in reply.error_text().lower()):
                return None
            if reply.status != 200:
                return reply.failure(what)
            # Some servers answer 200 with null or nothing instead of 404 (clob.md 5.1).
            return decode_order_row(value) if value else None
        except ValueError as error:
            # A 404 page from a proxy lands here too: no more than a gateway's 404 in JSON, of a
            # route or an upstream, is it evidence of absence.
            return Failure(f"{what}: HTTP {reply.status}, unreadable: {error}")

    async def trades(
        self, *, after_s: int | None = None, trade_id: str | None = None
    ) -> list[TradeSeen] | Failure:
        """Trades with a leg of ours, listing only those; since Unix `after_s`, or by id."""
        params = {"after": str(after_s)} if after_s is not None else {}
        if trade_id is not None:
            params["id"] = trade_id
        rows = await self._pages(
            "/data/trades", params, lambda row: decode_trade(row, self.me, "REST")
        )
        if isinstance(rows, Failure):
            return rows
        return [trade for trade in rows if trade.legs]

    async def balance(self, token: str | None) -> int | Failure:
        """What the venue thinks the wallet holds, 10⁻⁶: of a token, or of collateral for None."""
        return await self._read(
            "/balance-allowance", self._asset(token), lambda row: _base_units(fields.as_object(row))
        )

    async def refresh(self, token: str | None) -> Failure | None:
        """Have the venue read the chain again, after a transaction of our own (onchain.md 6.4)."""
        reply = await self.rest.call("GET", "/balance-allowance/update", params=self._asset(token))
        if isinstance(reply, Failure):
            return reply
        return None if reply.status == 200 else reply.failure("GET /balance-allowance/update")

    def _asset(self, token: str | None) -> dict[str, str]:
        params = {"asset_type": "COLLATERAL", "signature_type": str(self.signature_type)}
        if token is not None:
            kind = "CONDITIONAL-V2" if is_position_id(token) else "CONDITIONAL"
            params |= {"asset_type": kind, "token_id": token}
        return params

    async def book(self, token: str) -> BookMessage | Failure:
        """The REST snapshot of one token, for a resync. Best level last, as on the socket."""
        return await self._read(
            "/book", {"token_id": token}, lambda row: decode_book(fields.as_object(row))
        )

    async def server_time(self) -> int | Failure:
        """The venue's clock in Unix seconds. Asked without a signature, which needs none: one of a
        clock that is off is refused, and nothing but the answer would set it right.
        """
        reply = await attrs.evolve(self.rest, credentials=None).call("GET", "/time")
        return decoded("GET /time", reply, _seconds)

    async def clob_market(self, condition_id: str) -> ClobMarket | Failure:
        """A market's terms. A Protocol V2 condition (62 hex digits) is padded (clob.md 3.2)."""
        return await self._read(f"/clob-markets/{_padded(condition_id)}", {}, decode_clob_market)

    async def reward_pool(
        self, condition_id: str, from_ms: int, until_ms: int, min_age_s: int
    ) -> RewardPool | Failure | None:
        """The liquidity rewards that a market pays each day from one time until another, None for
        none (clob.md 5.2, 6.3). The terms that every market's metadata states say nothing about a
        pool.
        """
        path = f"/rewards/markets/{_padded(condition_id)}"
        rows = await self._pages(path, {}, decode_pools)
        if isinstance(rows, Failure):
            return rows
        return pool_of_days(rows, from_ms, until_ms, min_age_s)

    async def scoring(self, ids: Sequence[str]) -> dict[str, bool] | Failure:
        """Which of these orders earn rewards now (clob.md 5.1)."""
        path, body = "/orders-scoring", orjson.dumps(list(ids))
        return decoded(
            f"POST {path}", await self.rest.call("POST", path, body=body), decode_scoring
        )

    async def _read(
        self, path: str, params: Mapping[str, str], decode: Callable[[object], T]
    ) -> T | Failure:
        reply = await self.rest.call("GET", path, params=params)
        return decoded(f"GET {path}", reply, decode)

    async def _pages(
        self, path: str, params: Mapping[str, str], decode: Callable[[object], T]
    ) -> list[T] | Failure:
        """Every page, at most `_PAGES_MAX`: half a list would be mistaken for the whole. One that
        tells of more rows than it shows is half a list, whether it counts its own or all (F47).
        """
        rows: list[T] = []
        cursor: str | None = None
        told = 0
        for _ in range(_PAGES_MAX):
            query = dict(params) if cursor is None else {**params, "next_cursor": cursor}
            page = await self._read(path, query, lambda value: _page(value, decode))
            if isinstance(page, Failure):
                return page
            found, cursor, count = page
            rows += found
            told = max(told, count)
            if cursor in _END and told > len(rows):
                return Failure(f"GET {path}: {told} rows told of, {len(rows)} shown")
            if cursor in _END:
                return rows
        return Failure(f"GET {path}: more than {_PAGES_MAX} pages")


def _seconds(value: object) -> int:
    seconds = fields.stamp_ms(value) // 1000
    if seconds not in _TIME_S:
        raise ValueError(f"expected a time of this century, was {fields.shown(value)!r}")
    return seconds


def _padded(condition_id: str) -> str:
    """A Protocol V2 condition id is a byte short (clob.md 3.2)."""
    return "0x" + condition_id.removeprefix("0x").ljust(64, "0")


def _page(value: object, decode: Callable[[object], T]) -> tuple[list[T], str, int]:
    page = fields.as_object(value)
    rows = [decode(row) for row in fields.as_list(page.get("data"))]
    count = page.get("count")
    told = count if isinstance(count, int) else 0
    return rows, fields.optional_text(page, "next_cursor"), told


def _base_units(row: fields.Json) -> int:
    digits = fields.number_text(row.get("balance"))
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"expected base units, was {digits[:40]!r}")
    if len(digits) > _DIGITS_MOST:
        raise ValueError(f"expected a balance below a trillion, was {digits[:40]!r}")
    return int(digits)


def decode_clob_market(value: object) -> ClobMarket:
    """The short keys of /clob-markets (clob.md 5.2). Raises ValueError."""
    row = fields.as_object(value)
    tokens = [fields.as_object(token) for token in fields.as_list(row.get("t"))]
    return ClobMarket(
        condition_id=fields.text(row, "c"),
        version=fields.optional_text(row, "v") or "v1",
        tokens=tuple((fields.text(token, "t"), fields.text(token, "o")) for token in tokens),
        tick=fields.tick_of_text(fields.number_text(row.get("mts"))),
        min_size=fields.min_size(row, "mos"),
        fees=_fees(row.get("fd")),
        accepting=row.get("ao") is True,
        neg_risk=row.get("nr") is True,
        taker_delay=row.get("itode") is True,
        reward_age_s=_reward_age_s(row.get("r")),
    )


def _reward_age_s(value: object) -> int:
    """`moas` of the rewards' terms; a market may come without any."""
    return fields.amount_or_zero(value, "moas") // units.SHARE if fields.is_object(value) else 0


def _fees(value: object) -> FeeSchedule:
    if value is None:
        return FeeSchedule(0, 1, 0)  # free markets have no `fd`
    row = fields.as_object(value)
    exponent = fields.amount(row, "e")
    if exponent % units.USD:
        raise ValueError(f"expected a whole fee exponent, was {row.get('e')!r}")
    return FeeSchedule(fields.amount(row, "r"), exponent // units.USD, 0)
