"""Public market data: books, prices, market parameters (clob.md 5.2)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.clock import Clock
from polybot.exchange import eip712
from polybot.exchange.book_wire import BookText, price_text
from polybot.exchange.engine import Engine
from polybot.exchange.market_forms import base_fee, long_form, short_form, simplified_form
from polybot.exchange.model import BUY, SELL, Market, Phase
from polybot.exchange.money import ONE
from polybot.exchange.paging import page
from polybot.exchange.request import (
    Request,
    Response,
    error_response,
    json_response,
    parse_json,
    text_response,
)

MAX_BATCH = 500
BUILDER_CODE_CHARS = 66  # 0x and 32 bytes
BAD_CURSOR = "Invalid next_cursor"
NO_BOOK = "No orderbook exists for the requested token id"


@attrs.frozen
class _Quote:
    """The top of one token's book. An empty side counts as the bound of the price range."""

    bid: int
    ask: int

    def midpoint(self) -> str:
        return price_text((self.bid + self.ask) // 2)

    def spread(self) -> str:
        return price_text(self.ask - self.bid)

    def price(self, side: str) -> str:
        return price_text(self.bid if side == BUY else self.ask)


class PublicReads:
    """Reads anybody may make. `book` gives a market's books as text, hash included."""

    def __init__(self, engine: Engine, clock: Clock, book: Callable[[Market], BookText]) -> None:
        self._engine = engine
        self._clock = clock
        self._book = book
        self.last_taker_side: dict[str, str] = {}  # by condition id

    def ok(self, request: Request) -> Response:
        return json_response("OK")

    def time(self, request: Request) -> Response:
        return text_response(str(self._clock.now_ms() // 1000))

    def version(self, request: Request) -> Response:
        return json_response({"version": 2})

    # --- parameters --------------------------------------------------------------------------

    def _known(self, request: Request) -> Market | None:
        return self._engine.by_token.get(request.query.get("token_id", ""))

    def tick_size(self, request: Request) -> Response:
        market = self._known(request)
        if market is None:
            return error_response("market not found", 404)
        return json_response({"minimum_tick_size": market.tick / ONE})

    def neg_risk(self, request: Request) -> Response:
        market = self._known(request)
        if market is None:
            return error_response("market not found", 404)
        return json_response({"neg_risk": market.neg_risk})

    def fee_rate(self, request: Request) -> Response:
        market = self._known(request)
        if market is None:
            return error_response("fee rate not found for market", 404)
        return json_response({"base_fee": base_fee(market)})

    def builder_fees(self, request: Request) -> Response:
        """What a builder adds to fees: nobody here has asked for anything (clob.md 6.1)."""
        code = request.path.rpartition("/")[2]
        if eip712.parse_hex(code) is None or len(code) != BUILDER_CODE_CHARS:
            return error_response("builder not found", 404)
        return json_response({"builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": 0})

    # --- books and prices --------------------------------------------------------------------

    def _open(self, token: object) -> Market | None:
        """The market of a token that has a book; gone as soon as trading stops (clob.md 8)."""
        market = self._engine.by_token.get(token) if isinstance(token, str) else None
        return market if market is not None and market.phase is Phase.OPEN else None

    def _quote(self, token: object) -> _Quote | None:
        if self._open(token) is None:
            return None
        bid, ask = self._engine.best(str(token))
        return _Quote(bid or 0, ONE if ask is None else ask)

    def _book_text(self, token: object) -> str | None:
        market = self._open(token)
        return self._book(market).rest(market.outcome_of(str(token))) if market else None

    def book(self, request: Request) -> Response:
        text = self._book_text(request.query.get("token_id"))
        return error_response(NO_BOOK, 404) if text is None else _json_text(text)

    def midpoint(self, request: Request) -> Response:
        quote = self._quote(request.query.get("token_id"))
        return json_response({"mid": quote.midpoint()}) if quote else error_response(NO_BOOK, 404)

    def spread(self, request: Request) -> Response:
        quote = self._quote(request.query.get("token_id"))
        return json_response({"spread": quote.spread()}) if quote else error_response(NO_BOOK, 404)

    def price(self, request: Request) -> Response:
        """`side` BUY is the best bid, SELL the best ask."""
        side = request.query.get("side", "").upper()
        if side not in (BUY, SELL):
            return error_response("Invalid side")
        quote = self._quote(request.query.get("token_id"))
        return (
            json_response({"price": quote.price(side)}) if quote else error_response(NO_BOOK, 404)
        )

    def last_trade_price(self, request: Request) -> Response:
        token = request.query.get("token_id")
        if self._open(token) is None:
            return error_response(NO_BOOK, 404)
        return json_response(self._last_trade(str(token)))

    def _last_trade(self, token: str) -> dict[str, str]:
        market = self._engine.by_token[token]
        price = market.last_trade_price
        side = self.last_taker_side.get(market.condition_id, "")
        return {"price": "0.5" if price is None else price_text(price), "side": side}

    # --- the same for many tokens; unknown ones are left out ---------------------------------

    def books(self, request: Request) -> Response:
        entries = _entries(request)
        if isinstance(entries, Response):
            return entries
        texts = [self._book_text(entry.get("token_id")) for entry in entries]
        return _json_text(f"[{','.join(text for text in texts if text)}]")

    def midpoints(self, request: Request) -> Response:
        return self._many(request, lambda quote, _: quote.midpoint())

    def spreads(self, request: Request) -> Response:
        return self._many(request, lambda quote, _: quote.spread())

    def prices(self, request: Request) -> Response:
        def both_or_one(quote: _Quote, entry: dict[str, object]) -> object:
            side = entry.get("side")
            return {s: quote.price(s) for s in (BUY, SELL) if side in (s, None)}

        return self._many(request, both_or_one)

    def last_trades_prices(self, request: Request) -> Response:
        entries = _entries(request)
        if isinstance(entries, Response):
            return entries
        tokens = [str(e["token_id"]) for e in entries if self._open(e.get("token_id"))]
        return json_response([{"token_id": t, **self._last_trade(t)} for t in tokens])

    def _many(
        self, request: Request, show: Callable[[_Quote, dict[str, object]], object]
    ) -> Response:
        entries = _entries(request)
        if isinstance(entries, Response):
            return entries
        shown: dict[str, object] = {}
        for entry in entries:
            quote = self._quote(entry.get("token_id"))
            if quote is not None:
                shown[str(entry["token_id"])] = show(quote, entry)
        return json_response(shown)

    # --- markets -----------------------------------------------------------------------------

    def _by_condition(self, request: Request) -> Market | None:
        return self._engine.markets.get(request.path.rpartition("/")[2])

    def clob_market(self, request: Request) -> Response:
        market = self._by_condition(request)
        return (
            json_response(short_form(market)) if market else error_response("market not found", 404)
        )

    def market(self, request: Request) -> Response:
        market = self._by_condition(request)
        return (
            json_response(long_form(market)) if market else error_response("market not found", 404)
        )

    def markets(self, request: Request) -> Response:
        """Every market, the oldest first."""
        return page([*self._engine.markets.values()], request.query, BAD_CURSOR, long_form)

    def simplified_markets(self, request: Request) -> Response:
        return page([*self._engine.markets.values()], request.query, BAD_CURSOR, simplified_form)

    def sampling_markets(self, request: Request) -> Response:
        """Those whose orders can earn rewards: the open ones."""
        return page(self._sampled(), request.query, BAD_CURSOR, long_form)

    def sampling_simplified_markets(self, request: Request) -> Response:
        return page(self._sampled(), request.query, BAD_CURSOR, simplified_form)

    def _sampled(self) -> list[Market]:
        return [one for one in self._engine.markets.values() if one.phase is Phase.OPEN]

    def market_by_token(self, request: Request) -> Response:
        """The primary token is just the smaller id, not Up."""
        market = self._engine.by_token.get(request.path.rpartition("/")[2])
        if market is None:
            return error_response("market not found", 404)
        primary, secondary = sorted(market.tokens, key=int)
        return json_response(
            {
                "condition_id": market.condition_id,
                "primary_token_id": primary,
                "secondary_token_id": secondary,
            }
        )


def _json_text(text: str) -> Response:
    return Response(200, text.encode(), (("content-type", "application/json"),))


def _entries(request: Request) -> list[dict[str, object]] | Response:
    payload = parse_json(request.body)
    if not isinstance(payload, list) or not all(isinstance(entry, dict) for entry in payload):
        return error_response("Invalid payload")
    return error_response("Payload exceeds the limit") if len(payload) > MAX_BATCH else payload
