"""The Data API v2: positions, trades, activity and results as an indexer knows them (feeds.md 11).

It looks at the chain, not at the books, and late: a wallet's own entries seconds after their block,
the market's trades later still, the flag `redeemable` minutes after the result; and before it all
stands a cache. v1 is gone since 2026-10-24. Analytics that no trading client reads (leaderboards,
profiles' statistics, combos) are not here and answer 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from polybot.clock import Clock
from polybot.exchange import contracts, data_query as ask, data_rows as rows
from polybot.exchange.data_query import BadQuery, Query
from polybot.exchange.edge_cache import EdgeCache
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import BUY, SELL, UP, Market
from polybot.exchange.money import UNIT
from polybot.exchange.net import Service
from polybot.exchange.request import Request, Response, error_response
from polybot.exchange.wallet_history import Entry, Holding, WalletHistory

MAX_AGE_S = {"/v2/trades": 300, "/v2/oi": 300, "/v2/activity": 15, "/v2/positions": 5}
OWN_LAG_MS, MARKET_LAG_MS = 3_000, 6_500  # from the block

STATUSES = ("OPEN", "CLOSED", "REDEEMABLE", "REDEEMABLE_LOST", "MERGEABLE")
KINDS = (
    "TRADE", "SPLIT", "MERGE", "REDEEM", "REWARD", "CONVERSION", "MIGRATION", "DEPOSIT",
    "WITHDRAWAL", "YIELD", "MAKER_REBATE", "TAKER_REBATE", "REFERRAL_REWARD", "TIP",
)  # fmt: skip
SORTED_BY = {
    "CURRENT_VALUE": "current_value", "PRICE": "current_price", "TOKENS": "current_size",
    "UNREALIZED_PNL": "unrealized_pnl", "REALIZED_PNL": "realized_pnl", "TOTAL_PNL": "total_pnl",
    "TIMESTAMP": "last_event_at",
}  # fmt: skip
INTERVALS_S = {"1H": 3_600, "6H": 21_600, "1D": 86_400, "1W": 604_800, "1M": 2_592_000}
BUCKET_S = 60

# The rows of a wallet's approvals: (token, spender or operator, amount; None for an ERC-1155
# operator that is allowed, 0 for one that is not).
Approvals = Callable[[str], Iterable[tuple[str, str, int | None]]]


class DataService:
    """`service` answers the routes. `approvals` may be set to the chain's."""

    def __init__(
        self, engine: Engine, lifecycle: Lifecycle, history: WalletHistory, clock: Clock,
        *, cached: bool = True,
    ) -> None:  # fmt: skip
        self._engine, self._lifecycle = engine, lifecycle
        self._history, self._clock = history, clock
        self.approvals: Approvals = lambda _wallet: ()
        self.cache = EdgeCache(dict(MAX_AGE_S) if cached else {})
        self.market_lag_ms = MARKET_LAG_MS
        self._routes: dict[str, Callable[[Query, int], Response]] = {
            "/v2/positions": self._positions,
            "/v2/trades": self._trades,
            "/v2/activity": self._activity,
            "/v2/value": self._value,
            "/v2/resolutions": self._resolutions,
            "/v2/holders": self._holders,
            "/v2/oi": self._open_interest,
            "/v2/live-volume": self._live_volume,
            "/v2/tokens": self._tokens,
            "/v2/prices-history": self._prices_history,
            "/v2/approvals": self._approvals,
        }
        self.service = Service(self._answer, None)

    async def _answer(self, request: Request) -> Response:
        return self.answer(request)

    def answer(self, request: Request) -> Response:
        if request.method != "GET":
            return error_response("method not allowed", 405)
        route = self._routes.get(request.path)
        if route is None:
            return error_response("not found", 404)
        now_ms = self._clock.now_ms()
        stale = self.cache.find(request, now_ms)
        if stale is not None:
            return stale
        try:
            response = route(request.query, now_ms)
        except BadQuery as error:
            return error_response(str(error))
        return self.cache.keep(request, response, now_ms)

    # --- what a wallet has ---------------------------------------------------------------

    def _positions(self, query: Query, now_ms: int) -> Response:
        user, markets = ask.user_of(query), ask.markets_of(query, self._markets())
        status = ask.choice(query, "status", STATUSES)
        if user is None and (markets is None or status in {"REDEEMABLE_LOST", "MERGEABLE"}):
            raise BadQuery("user is required")
        order = SORTED_BY[ask.choice(query, "sort_by", tuple(SORTED_BY)) or "CURRENT_VALUE"]
        falling = ask.choice(query, "sort_direction", ("ASC", "DESC")) != "ASC"
        title = query.get("title", "").lower()
        kind = ask.choice(query, "filter_type", ("CASH", "TOKENS")) or "TOKENS"
        least = ask.amount(query, "filter_amount") / UNIT
        size = "current_value" if kind == "CASH" else "current_size"
        within = _window(query)
        shown = [
            row
            for wallet, holding in self._held(user, markets, now_ms)
            if (row := self._position(wallet, holding, now_ms)) and _has_status(row, status)
            if title in holding.market.question.lower() and _figure(row, size) >= least
            if within(_figure(row, "last_event_at"))
        ]
        shown.sort(key=lambda row: (_figure(row, order), str(row["token_id"])), reverse=falling)
        return ask.page(query, shown)

    def _held(
        self, user: str | None, markets: list[Market] | None, now_ms: int
    ) -> list[tuple[str, Holding]]:
        if user is None:
            return [
                pair
                for market in markets or ()
                for pair in self._history.holdings_of(market, now_ms)
            ]
        wanted = None if markets is None else {market.condition_id for market in markets}
        holdings = self._history.wallet(user, now_ms).holdings.values()
        return [
            (user, one) for one in holdings if wanted is None or one.market.condition_id in wanted
        ]

    def _position(self, wallet: str, holding: Holding, now_ms: int) -> rows.Row:
        other = holding.market.tokens[1 - holding.outcome]
        twin = self._history.wallet(wallet, now_ms).holdings.get(other)
        size = twin.size if twin else 0
        return rows.position_row(wallet, holding, size, self._engine, now_ms)

    def _value(self, query: Query, now_ms: int) -> Response:
        user = ask.required_user(query)
        held = self._held(user, ask.markets_of(query, self._markets()), now_ms)
        worth = sum(_figure(self._position(user, one, now_ms), "current_value") for _, one in held)
        return ask.whole({"proxy_wallet": user, "value": round(worth, 6)})

    def _approvals(self, query: Query, _now_ms: int) -> Response:
        user = ask.required_user(query)
        listed = [
            {
                "token": token,
                "spender": spender,
                "standard": "ERC20" if token == contracts.COLLATERAL else "ERC1155",
                "approved": amount is None or amount > 0,
                "amount": "max" if amount is None or amount >= 2**255 else str(amount),
            }
            for token, spender, amount in self.approvals(user)
        ]
        return ask.whole({"address": user, "chain_id": contracts.CHAIN_ID, "contracts": listed})

    # --- what happened -------------------------------------------------------------------

    def _trades(self, query: Query, now_ms: int) -> Response:
        """Own trades of a wallet, or everybody's; `taker_only` unless told otherwise."""
        user = ask.user_of(query)
        if user is None:
            seen_ms = now_ms - self.market_lag_ms
            entries = [one for one in self._history.trades if one.block_ms <= seen_ms]
        else:
            entries = [
                one for one in self._history.wallet(user, now_ms).entries if one.kind == "TRADE"
            ]
        taker_only = ask.flag(query, "taker_only", default=True)
        kind = ask.choice(query, "filter_type", ("CASH", "TOKENS")) or "TOKENS"
        least = ask.amount(query, "filter_amount")
        chosen = [
            one
            for one in self._filtered(entries, query)
            if (one.taker or not taker_only)
            and (one.cash if kind == "CASH" else one.shares) >= least
        ]
        return _newest_first(query, chosen, rows.trade_row, falling=True)

    def _activity(self, query: Query, now_ms: int) -> Response:
        user = ask.required_user(query)
        kinds = ask.choices(query, "type", KINDS)
        transfers = not ask.flag(query, "exclude_deposits_withdrawals", default=True)
        hidden = set() if transfers else {"DEPOSIT", "WITHDRAWAL"}
        chosen = [
            one
            for one in self._filtered(self._history.wallet(user, now_ms).entries, query)
            if (one.kind in kinds if kinds else one.kind not in hidden)
        ]
        falling = ask.choice(query, "sort_direction", ("ASC", "DESC")) != "ASC"
        return _newest_first(query, chosen, rows.activity_row, falling=falling)

    def _filtered(self, entries: Iterable[Entry], query: Query) -> list[Entry]:
        markets = ask.markets_of(query, self._markets())
        wanted = None if markets is None else {market.condition_id for market in markets}
        side, within = ask.choice(query, "side", (BUY, SELL)), _window(query)
        return [
            one
            for one in entries
            if (wanted is None or (one.market and one.market.condition_id in wanted))
            and side in {None, one.side}
            and within(one.block_ms // 1000)
        ]

    # --- what a market is ----------------------------------------------------------------

    def _markets(self) -> list[Market]:
        return list(self._engine.markets.values())

    def _resolutions(self, query: Query, _now_ms: int) -> Response:
        question = query.get("question_id")
        if question is None:
            markets = ask.markets_of(query, self._markets())
        else:
            markets = [one for one in self._markets() if one.question_id == question]
        if markets is None:
            raise BadQuery("question_id, condition_id or event_id is required")
        proposed = self._lifecycle.proposed_ms
        return ask.whole(
            [rows.resolution_row(one, proposed.get(one.condition_id)) for one in markets]
        )

    def _holders(self, query: Query, _now_ms: int) -> Response:
        """Everybody's shares as the chain has them, largest first; groups by token."""
        markets = ask.markets_of(query, self._markets())
        if not markets:
            raise BadQuery("condition_id is required")
        least = max(1, ask.amount(query, "min_balance"))
        grouped: list[rows.Row] = []
        for market in markets:
            for outcome, token in enumerate(market.tokens):
                held = [
                    (shares, wallet)
                    for wallet in self._engine.accounts.wallets
                    if (shares := self._engine.settled_shares(wallet, token)) >= least
                ]
                listed = [rows.holder_row(w, market, outcome, n) for n, w in sorted(held)[::-1]]
                grouped.append({"token_id": token, "holders": listed})
        return ask.page(query, grouped)

    def _open_interest(self, query: Query, _now_ms: int) -> Response:
        markets, behind = ask.markets_of(query, self._markets()), self._engine.accounts.collateral
        if markets is None:
            return ask.whole([{"condition_id": "GLOBAL", "value": sum(behind.values()) / UNIT}])
        return ask.whole(
            [
                {"condition_id": c, "value": behind.get(c, 0) / UNIT}
                for c in (market.condition_id for market in markets)
            ]
        )

    def _live_volume(self, query: Query, _now_ms: int) -> Response:
        markets = ask.markets_of(query, self._markets())
        if markets is None:
            raise BadQuery("event_id is required")
        traded = {m.condition_id: self._history.volume.get(m.condition_id, 0) for m in markets}
        listed = [{"condition_id": c, "taker_volume": n / UNIT} for c, n in traded.items()]
        total = sum(traded.values()) / UNIT
        return ask.whole({"taker_volume_total": total, "conditions": listed})

    def _tokens(self, query: Query, _now_ms: int) -> Response:
        markets = ask.markets_of(query, self._markets()) or []
        asked = [(m, outcome) for m in markets for outcome in (UP, 1 - UP)]
        for token in query.get("token_id", "").split(","):
            market = self._engine.by_token.get(token)
            if market is not None:
                asked.append((market, market.outcome_of(token)))
        return ask.whole([rows.token_row(market, outcome) for market, outcome in asked])

    def _prices_history(self, query: Query, now_ms: int) -> Response:
        """The last trade of every bucket that has one, oldest first."""
        market = self._engine.by_token.get(query.get("token_id", ""))
        if market is None:
            raise BadQuery("invalid token_id")
        first, last = _span(query, now_ms)
        bucket_s = ask.number(query, "bucket_seconds", BUCKET_S, 86_400) or BUCKET_S
        points: dict[int, rows.Row] = {}
        for one in self._history.trades:
            at_s = one.block_ms // 1000
            if one.taker and one.market is market and first <= at_s <= last:
                price = one.cash / one.shares
                ours = price if one.token == query["token_id"] else 1 - price
                points[at_s // bucket_s] = {
                    "timestamp": at_s // bucket_s * bucket_s,
                    "price": round(ours, 6),
                    "resolution_seconds": bucket_s,
                }
        return ask.page(query, list(points.values()))


def _span(query: Query, now_ms: int) -> tuple[int, int]:
    """(first, last) second asked for; exactly one of `interval`, `start` and `as_of` is."""
    interval = ask.choice(query, "interval", (*INTERVALS_S, "MAX", "ALL"))
    start, as_of = ask.seconds(query, "start"), ask.seconds(query, "as_of")
    if sum(given is not None for given in (interval, start, as_of)) != 1:
        raise BadQuery("one of interval, start and as_of is required")
    now_s = now_ms // 1000
    if as_of is not None:
        return 0, as_of
    if start is not None:
        end = ask.seconds(query, "end")
        return start, now_s if end is None else end
    return now_s - INTERVALS_S.get(interval or "", now_s), now_s


def _newest_first(
    query: Query, entries: list[Entry], shown: Callable[[Entry], rows.Row], *, falling: bool
) -> Response:
    """A page of history. Rising order pages by count: rows are only ever added behind it."""
    if not falling:
        return ask.page(query, [shown(one) for one in entries])
    entries.reverse()
    return ask.page(query, [shown(one) for one in entries], lambda index: entries[index].number)


def _has_status(row: rows.Row, status: str | None) -> bool:
    """The filters are wider than what a row says of itself (the SDK's `PositionStatus`)."""
    if status is None:
        return row["status"] != "CLOSED"
    if status == "REDEEMABLE_LOST":
        return row["status"] == "REDEEMABLE" and row["current_price"] == 0
    if status == "MERGEABLE":
        return bool(row["mergeable"])
    return row["status"] == status


def _figure(row: rows.Row, name: str) -> float:
    value = row[name]
    assert isinstance(value, int | float), f"{name} is a number"
    return value


def _window(query: Query) -> Callable[[float], bool]:
    """Whether a second lies between `start` and `end`, both counted in."""
    start, end = ask.seconds(query, "start"), ask.seconds(query, "end")
    return lambda at_s: (start is None or at_s >= start) and (end is None or at_s <= end)
