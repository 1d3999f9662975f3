"""What the CLOB tells of rewards and rebates (clob.md 5.1, 5.2, 6.2, 6.3).

Amounts are decimal dollars. Only open markets with a pool have a reward configuration, so that
without one every list here is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from polybot.clock import Clock
from polybot.exchange import contracts, eip712
from polybot.exchange.auth import ApiKey
from polybot.exchange.book_wire import price_text
from polybot.exchange.engine import Engine
from polybot.exchange.gamma_objects import event_id
from polybot.exchange.model import Market, Phase
from polybot.exchange.money import ONE, UNIT, decimal_text
from polybot.exchange.paging import PAGE, page
from polybot.exchange.payday import DAY_MS
from polybot.exchange.rebates import Rebates
from polybot.exchange.request import Request, Response, error_response, json_response, parse_json
from polybot.exchange.rewards import Rewards
from polybot.exchange.wallets import WalletKind, wallets_of

PAGE_MOST = 500
Row = dict[str, object]


class RewardsReads:
    """Both programs, as anybody and as their owners may read them."""

    def __init__(self, engine: Engine, clock: Clock, rewards: Rewards, rebates: Rebates) -> None:
        self._engine = engine
        self._clock = clock
        self._rewards = rewards
        self._rebates = rebates

    # --- whether an order scores -------------------------------------------------------

    def scoring(self, request: Request, key: ApiKey) -> Response:
        return json_response({"scoring": self._scores(request.query.get("order_id", ""), key)})

    def orders_scoring(self, request: Request, key: ApiKey) -> Response:
        ids = parse_json(request.body)
        if not isinstance(ids, list) or not all(isinstance(order_id, str) for order_id in ids):
            return error_response("Invalid orderID")
        return json_response({order_id: self._scores(order_id, key) for order_id in ids})

    def _scores(self, order_id: str, key: ApiKey) -> bool:
        order = self._engine.orders.get(order_id)
        if order is None or order.owner != key.key:
            return False
        return self._rewards.scores(order, self._clock.now_ms())

    # --- a maker's own ---------------------------------------------------------------------

    def user(self, request: Request, key: ApiKey) -> Response:
        """GET /rewards/user: a day's earnings, one row for each market."""
        day, wallets = _day(request), _wallets(request, key)
        if day is None or wallets is None:
            return error_response("Invalid date or signature_type")
        rows = [
            {"condition_id": condition, **_earning(day, wallet, amount)}
            for wallet in wallets
            for condition, amount in self._rewards.of_day(day, wallet).items()
        ]
        return _page(rows, request)

    def total(self, request: Request, key: ApiKey) -> Response:
        """GET /rewards/user/total: the day's sum, for each wallet of that kind that earned."""
        day, wallets = _day(request), _wallets(request, key)
        if day is None or wallets is None:
            return error_response("Invalid date or signature_type")
        sums = {wallet: sum(self._rewards.of_day(day, wallet).values()) for wallet in wallets}
        return json_response([_earning(day, w, amount) for w, amount in sums.items() if amount])

    def percentages(self, request: Request, key: ApiKey) -> Response:
        """GET /rewards/user/percentages: one's part of each market as of the last sample."""
        wallets = _wallets(request, key)
        if wallets is None:
            return error_response("Invalid signature_type")
        return json_response(
            {
                condition: self._percentage(condition, wallet)
                for wallet in wallets
                for condition in self._rewards.latest_markets(wallet)
            }
        )

    def _percentage(self, condition: str, wallet: str) -> float:
        found = self._rewards.latest(condition)
        return 100 * found.get(wallet, 0) / sum(found.values()) if found else 0.0

    def user_markets(self, request: Request, key: ApiKey) -> Response:
        """GET /rewards/user/markets: every market with a pool, with one's own earnings in it."""
        day, wallets = _day(request), _wallets(request, key)
        if day is None or wallets is None:
            return error_response("Invalid date or signature_type")
        earned = self._rewards.of_day(day, wallets[0])
        rows = [
            {
                **self._market_row(market),
                "earning_percentage": self._percentage(market.condition_id, wallets[0]),
                "earnings": [_asset(earned.get(market.condition_id, 0))],
                "maker_address": wallets[0],
                "rewards_config": [self._config(market, total=True)],
            }
            for market in self._markets()
        ]
        return _page(rows, request, total_count=len(rows))

    # --- everybody's -------------------------------------------------------------------------

    def current(self, request: Request) -> Response:
        """GET /rewards/markets/current."""
        rate = decimal_text(self._rewards.pool, UNIT)
        rows = [
            {
                "condition_id": market.condition_id,
                **self._rule(),
                "rewards_config": [self._config(market)],
                "sponsored_daily_rate": "0",
                "sponsors_count": 0,
                "native_daily_rate": rate,
                "total_daily_rate": rate,
            }
            for market in self._markets()
        ]
        return _page(rows, request)

    def of_market(self, request: Request) -> Response:
        """GET /rewards/markets/{condition}."""
        wanted = request.path.rpartition("/")[2]
        rows = [self._configured(m) for m in self._markets() if m.condition_id == wanted]
        return _page(rows, request)

    def multi(self, request: Request) -> Response:
        """GET /rewards/markets/multi, searched by `q` in questions and slugs."""
        words = request.query.get("q", "").lower()
        rows = [
            {
                **self._configured(market),
                "market_id": market.gamma_id,
                "group_item_title": "",
                "spread": price_text(self._spread(market)),
                "volume_24hr": "0",
                "event_id": event_id(market),
                "created_at": _iso(market.listed_ms),
                "end_date": _iso(market.end_ms),
                "one_day_price_change": "0",
            }
            for market in self._markets()
            if words in f"{market.question} {market.slug}".lower()
        ]
        return _page(rows, request)

    def rebates(self, request: Request) -> Response:
        """GET /rebates/current: a maker's rebates of a day, null when there are none."""
        day, wallet = _day(request), eip712.parse_address(request.query.get("maker_address", ""))
        if day is None or wallet is None:
            return error_response("Invalid date or maker_address")
        rows = [
            {
                "date": _date(day),
                "condition_id": condition,
                "asset_address": contracts.COLLATERAL,
                "maker_address": wallet,
                "rebated_fees_usdc": decimal_text(amount, UNIT),
            }
            for condition, amount in self._rebates.of_day(day, wallet).items()
        ]
        return json_response(rows or None)

    # --- parts of rows ---------------------------------------------------------------------------

    def _markets(self) -> list[Market]:
        if not self._rewards.pool:
            return []
        return [m for m in self._engine.markets.values() if m.phase is Phase.OPEN]

    def _rule(self) -> Row:
        rule = self._rewards.rule
        return {
            "rewards_max_spread": rule.max_spread * 100 / ONE,
            "rewards_min_size": rule.min_size // UNIT,
        }

    def _config(self, market: Market, *, total: bool = False) -> Row:
        rate = decimal_text(self._rewards.pool, UNIT)
        row: Row = {
            "asset_address": contracts.COLLATERAL,
            "start_date": _date(market.listed_ms // DAY_MS),
            "end_date": _date(market.end_ms // DAY_MS),
            "rate_per_day": rate,
        }
        return {**row, "total_rewards": rate} if total else row

    def _configured(self, market: Market) -> Row:
        return {**self._market_row(market), "rewards_config": [self._config(market)]}

    def _market_row(self, market: Market) -> Row:
        competing = self._rewards.latest(market.condition_id)
        return {
            "condition_id": market.condition_id,
            "question": market.question,
            "market_slug": market.slug,
            "event_slug": market.slug,
            "image": "",
            **self._rule(),
            "market_competitiveness": len(competing),
            "tokens": [
                {"token_id": token, "outcome": outcome, "price": self._price(token)}
                for token, outcome in zip(market.tokens, market.outcomes, strict=True)
            ],
        }

    def _price(self, token: str) -> str:
        bid, ask = self._engine.best(token)
        return price_text(((bid or 0) + (ONE if ask is None else ask)) // 2)

    def _spread(self, market: Market) -> int:
        bid, ask = self._engine.best(market.tokens[0])
        return (ONE if ask is None else ask) - (bid or 0)


def private_reads(
    reads: RewardsReads,
) -> dict[tuple[str, str], Callable[[Request, ApiKey], Response]]:
    return {
        ("GET", "/order-scoring"): reads.scoring,
        ("POST", "/orders-scoring"): reads.orders_scoring,
        ("GET", "/rewards/user"): reads.user,
        ("GET", "/rewards/user/total"): reads.total,
        ("GET", "/rewards/user/percentages"): reads.percentages,
        ("GET", "/rewards/user/markets"): reads.user_markets,
    }


def public_reads(reads: RewardsReads) -> dict[tuple[str, str], Callable[[Request], Response]]:
    return {
        ("GET", "/rewards/markets/current"): reads.current,
        ("GET", "/rewards/markets/multi"): reads.multi,
        ("GET", "/rewards/markets/*"): reads.of_market,
        ("GET", "/rebates/current"): reads.rebates,
    }


def _wallets(request: Request, key: ApiKey) -> tuple[str, ...] | None:
    kind = request.query.get("signature_type", "0")
    if kind not in {"0", "1", "2", "3"}:
        return None
    return wallets_of(key.address).of(WalletKind(int(kind)))


def _day(request: Request) -> int | None:
    try:
        day = date.fromisoformat(request.query.get("date", ""))
    except ValueError:
        return None
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _date(day: int) -> str:
    return date.fromordinal(date(1970, 1, 1).toordinal() + day).isoformat()


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asset(amount: int) -> Row:
    return {
        "asset_address": contracts.COLLATERAL,
        "asset_rate": 1,
        "earnings": decimal_text(amount, UNIT),
    }


def _earning(day: int, wallet: str, amount: int) -> Row:
    return {"date": f"{_date(day)}T00:00:00Z", "maker_address": wallet, **_asset(amount)}


def _page(rows: Sequence[Row], request: Request, **more: int) -> Response:
    """A hundred rows, or `page_size` up to 500."""
    size = request.query.get("page_size", str(PAGE))
    if not (size.isascii() and size.isdigit() and 1 <= len(size) <= 4):
        return error_response("Invalid page_size")
    length = min(max(int(size), 1), PAGE_MOST)
    return page(rows, request.query, "Invalid next_cursor", lambda row: row, length=length, **more)
