"""Reference prices from three wires, and nothing that is not a price."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st
from venue_kit import CREDENTIALS, DATA, recording, wire

from polybot.domain.prices import Feed, PriceUpdate
from polybot.venue.price_messages import (
    PolyBolt,
    PriceBatch,
    binance_url,
    decode_binance,
    decode_rtds,
    rtds_greeting,
)

TWAP = "price.crypto.twap"
SPOT = "price.crypto"


def bolt() -> PolyBolt:
    return PolyBolt(CREDENTIALS, ["btcusd"])


def update(seq: int = 1, channel: str = TWAP, **payload: object) -> str:
    base = {
        "symbol": "btcusd",
        "value": 78803.9,
        "full_accuracy_value": "78803.90",
        "timestamp": 1788886178000,
        "source": "chainlink",
    }
    if channel == TWAP:
        base["window_seconds"] = 60
    envelope = {"v": 1, "channel": channel, "seq": seq, "ts": 1788886178000}
    return json.dumps(envelope | {"payload": base | payload})


def test_the_dialogue_authenticates_and_then_subscribes() -> None:
    """The subscription is the answer to `authed`, with provider and window always named."""
    stream = bolt()

    (greeting,) = stream.greet()
    auth = json.loads(greeting)
    assert (auth["op"], auth["auth"]["apiKey"]) == ("auth", CREDENTIALS.api_key)
    (frame,) = stream.decode('{"op":"authed","rid":"auth"}').answer
    assert json.loads(frame)["subscriptions"] == [
        {"channel": TWAP, "filter": {"symbol": "btcusd", "window_seconds": 60}},
        {"channel": SPOT, "filter": {"symbol": "btcusd", "provider": "chainlink"}},
    ]


def test_polybolt_prices() -> None:
    """Spot and average, by their exact value."""
    stream = bolt()

    assert stream.decode(update()).updates == (
        PriceUpdate(Feed.TWAP60, "btcusd", 78803.9, 1788886178000),
    )
    assert stream.decode(update(channel=SPOT, full_accuracy_value=None)).updates == (
        PriceUpdate(Feed.CHAINLINK, "btcusd", 78803.9, 1788886178000),
    )


def test_a_snapshot_is_marked_as_history() -> None:
    """Two minutes of history, oldest first; an empty one is no error."""
    rows = [{"timestamp": 1788886176000, "value": 1.5, "full_accuracy_value": "2.5"}]
    frame = json.loads(update(data=rows)) | {"snapshot": True}
    empty = json.loads(update(2, data=[])) | {"snapshot": True}
    stream = bolt()

    assert stream.decode(json.dumps(frame)).updates == (
        PriceUpdate(Feed.TWAP60, "btcusd", 2.5, 1788886176000, snapshot=True),
    )
    assert stream.decode(json.dumps(empty)) == PriceBatch(feed=Feed.TWAP60)


@pytest.mark.parametrize("carried", [True, False])
def test_a_price_that_is_carried_forward_is_old(carried: bool) -> None:
    """The venue says that it is the last one over again: it counts for no freshness."""
    frame = json.loads(update())
    frame["payload"]["is_carried_forward"] = carried

    (told,) = bolt().decode(json.dumps(frame)).updates

    assert told.snapshot is carried


def test_lost_updates_are_noticed_per_channel_and_connection() -> None:
    """A gap in `seq` or `dropped` counts; channels and connections number on their own."""
    stream = bolt()

    lost = [stream.decode(update(seq)).lost for seq in (1, 2, 5, 6)]
    assert lost == [0, 0, 2, 0]
    assert stream.decode(update(1, SPOT)).lost == 0
    assert stream.decode(json.dumps(json.loads(update(7)) | {"dropped": 3})).lost == 3
    assert stream.decode(update(2)).lost == 1
    stream.greet()
    assert stream.decode(update(1)).lost == 0


@pytest.mark.parametrize("payload", [{"source": "pyth"}, {"source": None}, {"window_seconds": 30}])
def test_prices_we_did_not_ask_for_are_refused(payload: dict[str, Any]) -> None:
    """Another provider's spot or another window's average is never taken for ours."""
    batch = bolt().decode(update(**payload))

    assert batch.updates == ()
    assert batch.notice is not None


@pytest.mark.parametrize(
    "frame",
    ['{"op":"error","code":"auth_invalid"}', '{"op":"subscribed"}', '{"op":"pong"}'],
)
def test_control_frames_carry_no_prices(frame: str) -> None:
    """Errors and acknowledgements are notices at most."""
    batch = bolt().decode(frame)

    assert (batch.updates, batch.bad, batch.lost) == ((), None, 0)


BAD_VALUES: list[object] = ["NaN", "Infinity", "-1", "0", "", None, [], True, "1e999"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_what_is_no_price_is_refused(value: object) -> None:
    """NaN, infinities, zero, negatives and other types never become an update, on any wire."""
    trade = {"e": "trade", "s": "BTCUSDT", "p": value, "T": 1788886178000}
    tick = {"symbol": "btcusdt", "value": value, "timestamp": 1788886178000}
    batches = [
        bolt().decode(update(full_accuracy_value=value, value=value)),
        decode_binance(json.dumps(trade), 1),
        decode_rtds(json.dumps({"topic": "crypto_prices", "payload": tick})),
    ]

    for batch in batches:
        assert batch.updates == ()
        assert batch.bad is not None


def test_rtds_frames() -> None:
    """Binance topics are plain, oracle topics scaled by 10¹⁸; a wrong label is seen through."""
    oracle = {"symbol": "btc/usd", "timestamp": 1788600388000, "value": 79696.9}
    scaled = oracle | {"full_accuracy_value": "79696948174287960000000"}

    def rtds(topic: str, payload: Mapping[str, object]) -> tuple[PriceUpdate, ...]:
        return decode_rtds(json.dumps({"topic": topic, "payload": payload})).updates

    stamp = 1788600388000
    spot = PriceUpdate(Feed.CHAINLINK, "btcusd", 79696.94817428796, stamp)
    assert rtds("crypto_prices_chainlink", scaled) == (spot,)
    average = PriceUpdate(Feed.TWAP60, "btcusd", 79696.94817428796, stamp)
    assert rtds("crypto_prices_twap_sixty", scaled) == (average,)
    assert rtds("crypto_prices_twap_thirty", scaled) == ()
    mislabelled = {"symbol": "btc/usd", "data": [{"timestamp": stamp, "value": 5.5}]}
    assert rtds("crypto_prices", mislabelled) == (
        PriceUpdate(Feed.CHAINLINK, "btcusd", 5.5, stamp, snapshot=True),
    )
    assert decode_rtds("") == PriceBatch()
    assert "filters" not in rtds_greeting()


def test_captured_rtds_frames_decode() -> None:
    """The captured frames give prices, save the unknown topic's error and the 30 s average."""
    first = decode_rtds(wire("nt_rtds_crypto_prices_update_2026-06.json"))
    assert first.updates == (PriceUpdate(Feed.BINANCE, "BTCUSDT", 61035.86, 1780730269000),)
    assert len(decode_rtds(wire("nt_rtds_crypto_prices_snapshot_2026-06.json")).updates) == 3
    path = DATA / "recordings" / "rtds_frames_polyoxide" / "frames-2026-09-05.jsonl"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    batches = [decode_rtds(line) for line in path.read_text().splitlines()]
    assert [len(batch.updates) for batch in batches] == [1, 1, 0, 1, 0, 3, 0]
    assert all(batch.bad is None for batch in batches)


def test_binance_frames() -> None:
    """Trades tell the spot with their own time, candles their open, tops their middle."""
    trade = {"e": "trade", "E": 9, "s": "BTCUSDT", "p": "76800.5", "T": 1777366985481}
    top = {"u": 1, "s": "BTCUSDT", "b": "100", "B": "1", "a": "102", "A": "1"}
    candle = {"t": 1777366800000, "s": "BTCUSDT", "i": "1h", "o": "76000.5", "x": False}
    wrapped = {"stream": "btcusdt@trade", "data": trade}
    stamp = 1777366985481

    assert decode_binance(json.dumps(wrapped), 5).updates == (
        PriceUpdate(Feed.BINANCE, "BTCUSDT", 76800.5, stamp),
    )
    assert decode_binance(json.dumps(top), 5).updates == (
        PriceUpdate(Feed.BINANCE, "BTCUSDT", 101.0, 5),
    )
    kline = {"e": "kline", "E": 1777366985481, "s": "BTCUSDT", "k": candle}
    assert decode_binance(json.dumps(kline), 5).updates == (
        PriceUpdate(Feed.CANDLE_OPEN, "BTCUSDT", 76000.5, 1777366800000),
    )
    assert decode_binance('{"result":null,"id":1}', 5) == PriceBatch()


def test_the_binance_url() -> None:
    """One combined stream for all symbols, names in lower case."""
    assert binance_url("wss://b", ["BTCUSDT"]) == (
        "wss://b/stream?streams=btcusdt@trade/btcusdt@kline_1h"
    )


def test_recorded_binance_frames_decode() -> None:
    """Every recorded Binance frame is read."""
    name = "wire_multisource_jonah/pyth-proxy-natural-20260428a.raw_messages.jsonl.zst"
    frames = [line["payload"] for line in recording(name) if line["source"] == "binance"]

    batches = [decode_binance(str(frame), 1) for frame in frames]

    assert batches
    assert all(len(batch.updates) == 1 for batch in batches)


scraps = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
scraps |= st.sampled_from(["chainlink", "btcusd", "btc/usd", "1.5", "1788886178000", TWAP, "NaN"])
names = st.sampled_from(
    [
        "op",
        "channel",
        "seq",
        "dropped",
        "snapshot",
        "payload",
        "data",
        "symbol",
        "value",
        "source",
        "full_accuracy_value",
        "timestamp",
        "window_seconds",
        "topic",
        "e",
        "E",
        "T",
        "s",
        "p",
        "k",
        "b",
        "a",
        "stream",
        "o",
        "t",
    ]
)
rows = st.recursive(
    scraps,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=8),
    max_leaves=15,
)


@given(st.dictionaries(names, rows, max_size=10) | rows)
def test_no_frame_raises_and_no_update_is_not_a_price(value: object) -> None:
    """Any JSON on any wire: no exception, and only finite positive prices."""
    frame = json.dumps(value)
    for batch in (bolt().decode(frame), decode_rtds(frame), decode_binance(frame, 1)):
        assert batch.lost >= 0
        for each in batch.updates:
            assert math.isfinite(each.value)
            assert each.value > 0


@given(st.text())
def test_no_text_raises(frame: str) -> None:
    """Nor does any text."""
    bolt().decode(frame)
    decode_rtds(frame)
    decode_binance(frame, 1)


def test_a_stamp_in_microseconds_is_of_the_same_time() -> None:
    """The exchange writes them where it is asked to, and in its archives. Read as milliseconds they
    were 56 thousand years ahead: the venue's time was said to lie, and nothing was quoted.
    """
    frame = {"e": "trade", "E": 1, "s": "BTCUSDT", "p": "1.5", "T": 1_795_132_800_123_456}

    (update,) = decode_binance(json.dumps(frame), 0).updates

    assert update.stamp_ms == 1_795_132_800_123
