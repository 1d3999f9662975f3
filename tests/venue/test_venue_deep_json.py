"""JSON that is nested deeper than Python writes out, or msgspec reads: a bad message, no more."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from venue_kit import CREDENTIALS, make_market

from polybot.venue import chain, gamma, permissions, relayer
from polybot.venue.clob_reads import decode_clob_market
from polybot.venue.gamma import parse_meta
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import PriceChange, decode_market
from polybot.venue.price_messages import PolyBolt, decode_binance, decode_rtds
from polybot.venue.private_rows import Me, decode_order_row, decode_trade
from polybot.venue.replies import decode_cancel, decode_post
from polybot.venue.rest import Reply
from polybot.venue.reward_rows import decode_pools, decode_scoring
from polybot.venue.rules import read_rule
from polybot.venue.user_messages import decode_user

DEPTHS = (900, 990, 1_000, 1_020, 1_023, 1_024, 5_000)  # orjson reads 1,023 levels, whoever asks
NESTS = (("[", "]"), ('{"a":', "}"))
ME = Me.of(CREDENTIALS)
CHANGE = '{"event_type":"price_change","market":"m","timestamp":"1",'
TWAP = (
    '{"resolutionSource":"https://data.chain.link/streams/btc-usd-twap-60s",'
    '"cryptoMarketConfig":{"twapEnabled":true,'
)

# What each decoder looks at, by the place of the value in its row; %s is the nested one.
STREAMS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "market": (
        decode_market,
        (
            "%s", "[%s]", '{"event_type":%s}', '{"event_type":"moon","x":%s}',
            f'{CHANGE}"price_changes":%s}}',
            f'{CHANGE}"price_changes":[{{"price":"0.5","size":"1","asset_id":"1","side":%s}}]}}',
            '{"event_type":"book","market":%s}', '{"event_type":"last_trade_price","price":%s}',
        ),
    ),
    "user": (
        lambda text: decode_user(text, ME),
        (
            "%s", '{"event_type":%s}', '{"event_type":"order","type":%s,"x":1}',
            '{"event_type":"trade","status":%s}', '{"event_type":"trade","maker_orders":%s}',
        ),
    ),
    "bolt": (
        PolyBolt(CREDENTIALS, ["btcusd"]).decode,
        (
            "%s", '{"op":%s}', '{"op":"error","code":%s}', '{"op":"error","channel":%s}',
            '{"channel":"x","payload":{"source":%s}}',
            '{"channel":"price.crypto.twap","payload":{"source":"chainlink","window_seconds":%s}}',
            '{"channel":"price.crypto","payload":{"source":"chainlink","symbol":"s","value":%s}}',
        ),
    ),
    "rtds": (
        decode_rtds,
        ('{"topic":%s}', '{"body":%s}', '{"topic":"crypto_prices","payload":{"symbol":%s}}'),
    ),
    "binance": (
        lambda text: decode_binance(text, 1),
        ('{"stream":"x","data":%s}', '{"e":%s}', '{"e":"trade","s":"x","p":%s,"T":1}'),
    ),
}  # fmt: skip
ROWS: dict[str, tuple[Callable[[object], object], tuple[str, ...]]] = {
    "order": (decode_order_row, ('{"original_size":"1","status":"LIVE","side":%s}',)),
    "trade": (lambda row: decode_trade(row, ME, "x"), ('{"status":%s}',)),
    "clob": (decode_clob_market, ('{"t":[],"c":"c","mts":%s}', '{"t":[],"c":%s}')),
    "pools": (decode_pools, ('{"rewards_max_spread":%s}',)),
    "scoring": (decode_scoring, ('{"0x1":%s}',)),
    "relayer": (
        lambda row: relayer._progress("1", row), ('{"state":"STATE_FAILED","error_msg":%s}',)
    ),
    "closed only": (permissions._closed_only, ('{"closed_only":%s}',)),
    "place": (permissions._place, ('{"blocked":%s}',)),
    "approval": (permissions._word, ('{"error":%s}', '{"result":%s}')),
    "gamma": (lambda row: parse_meta(row, "btc-5m"), ("%s", '{"conditionId":%s}')),
    "fees": (
        gamma._fees,  # type: ignore[dict-item]
        ('{"feesEnabled":true,"feeSchedule":{"takerOnly":%s}}',),
    ),
    "quantity": (lambda row: chain._number(row, "x"), ("%s",)),
    "rule": (
        lambda row: read_rule(row, "btc-5m", 0),  # type: ignore[arg-type]
        (
            f'{TWAP}"asset":"btc","twapLookbackSeconds":%s}}}}', f'{TWAP}"asset":%s}}}}',
        ),
    ),
}  # fmt: skip


def nested() -> list[str]:
    return [opens * depth + "0" + closes * depth for opens, closes in NESTS for depth in DEPTHS]


@pytest.mark.parametrize("name", STREAMS)
def test_no_depth_of_a_frame_raises(name: str) -> None:
    """Whatever is nested, and wherever it stands: each stream has its batch of records."""
    decode, templates = STREAMS[name]

    for template in templates:
        for nest in nested():
            decode(template % nest)


@pytest.mark.parametrize("name", ROWS)
def test_no_depth_of_an_answer_raises_but_a_value_error(name: str) -> None:
    """The same of REST's rows, whose decoders may raise ValueError: their callers wait for it."""
    decode, templates = ROWS[name]

    for template in templates:
        for nest in nested():
            try:
                decode(orjson.loads(template % nest))
            except ValueError:
                continue


def test_no_depth_of_a_reply_raises() -> None:
    """Replies to orders and cancels."""
    for nest in nested():
        for template in ("%s", '{"orderID":%s}', '{"errorMsg":%s}', '{"not_canceled":{"a":%s}}'):
            reply = Reply(200, {}, (template % nest).encode())
            assert len(decode_post(["a"], reply, batch=False)) == 1
            decode_cancel(reply)
            reply.error_text()


def test_a_nested_key_that_nobody_knows_hides_no_change() -> None:
    """What msgspec cannot read the tolerant way reads the same, so that a replay, which stands at
    another depth of the stack, reads what the run did; beyond orjson's limit it is a bad frame.
    """
    market = make_market()
    change = {"asset_id": market.up_token, "price": "0.5", "size": "1", "side": "BUY", "hash": "h"}
    row = {"event_type": "price_change", "market": "m", "timestamp": "1", "price_changes": [change]}
    text = orjson.dumps(row).decode()
    (plain,) = decode_market(text)
    for depth in (10, 500, 1_000):
        nest = '{"a":' * depth + "0" + "}" * depth
        assert list(decode_market(f'{text[:-1]},"x":{nest}}}')) == [plain]
    book = MarketBook(market)
    for message in decode_market('{"a":' * 1_500 + "0" + "}" * 1_500):
        assert not isinstance(message, PriceChange)
        book.apply(message)
    assert book.counts.bad == 1
