"""What a stream may say that is not so. A lie takes a frame's text and gives the one to send
instead, or None where it finds nothing to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from polybot.exchange.faults.state import Strike

Lie = Callable[[str, Strike], str | None]
Record = dict[str, Any]

NOTHING = ""  # what comes in place of a frame that does not come
WILD = ("NaN", "Infinity", "-Infinity", "1e400", "-0", "1E+3", "0x1p3", "1_000", "٣")
FREE_TEXT = ("LATE_VERDICT", "order_state:pending-review", "ok")
_NUMBER = re.compile(
    r'("(?:price|size|p|q|value|full_accuracy_value|matched_amount|original_size|size_matched'
    r'|best_bid|best_ask)"\s*:\s*)("?)(-?[\d.]+)"?'
)
_MILLIS = re.compile(r'("timestamp"\s*:\s*")(\d{10})\d{3}"')
_STATUS = re.compile(r'("status"\s*:\s*")[^"]*"')
_CANCELED = re.compile(r'("status"\s*:\s*")CANCELED[^"]*"')
_PRICES = frozenset(
    ("value", "full_accuracy_value", "p", "c", "o", "h", "l", "b", "a")
)  # fmt: skip


# --- in the text --------------------------------------------------------------------------------


def frame_truncated(text: str, strike: Strike) -> str | None:
    return text[: strike.rng.randrange(1, len(text))] if len(text) > 1 else None


def keys_twice(text: str, strike: Strike) -> str | None:
    key = strike.rng.choice(("timestamp", "event_type", "asset_id", "payload", "data"))
    return f'{text[:-1]},"{key}":"nonsense"}}' if text.endswith("}") else None


def numbers_wild(text: str, strike: Strike) -> str | None:
    return _one_replaced(_NUMBER, rf"\g<1>\g<2>{strike.rng.choice(WILD)}\g<2>", text, strike)


def numbers_empty(text: str, strike: Strike) -> str | None:
    return _one_replaced(_NUMBER, r'\g<1>""', text, strike)


def _one_replaced(pattern: re.Pattern[str], by: str, text: str, strike: Strike) -> str | None:
    """One match of a pattern, drawn, in place of all."""
    found = list(pattern.finditer(text))
    if not found:
        return None
    one = strike.rng.choice(found)
    return text[: one.start()] + one.expand(by) + text[one.end() :]


def stamps_in_seconds(text: str, _strike: Strike) -> str | None:
    return _changed(text, _MILLIS.sub(r'\1\2"', text))


def status_free_text(text: str, strike: Strike) -> str | None:
    return _changed(text, _STATUS.sub(rf'\g<1>{strike.rng.choice(FREE_TEXT)}"', text))


def cancelled_tells_matched(text: str, _strike: Strike) -> str | None:
    return _changed(text, _CANCELED.sub(r'\1MATCHED"', text))


def _changed(before: str, after: str) -> str | None:
    return None if after == before else after


# --- in the message -------------------------------------------------------------------------------


def _messages(value: Any) -> list[Record]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def levels_crossed(text: str, strike: Strike) -> str | None:
    """A bid dearer than every ask, or an ask cheaper than every bid."""
    value = orjson.loads(text)
    for message in _messages(value):
        if message.get("price_changes"):
            entry = strike.rng.choice(message["price_changes"])
            entry.update(price="0.99" if entry["side"] == "BUY" else "0.01", size="500")
            return _spelled(value)
        if "bids" in message:
            message["bids"].append({"price": "0.99", "size": "500"})
            return _spelled(value)
    return None


def levels_wrong(text: str, strike: Strike) -> str | None:
    value = orjson.loads(text)
    wrong = strike.rng.choice(({"size": "-5"}, {"price": "0.123456"}, {"price": "1.01"}))
    for message in _messages(value):
        for levels in (message.get("price_changes"), message.get("bids"), message.get("asks")):
            if levels:
                strike.rng.choice(levels).update(wrong)
                return _spelled(value)
    return None


def token_wrong(text: str, _strike: Strike) -> str | None:
    """Every token of the frame is one digit off."""
    value = orjson.loads(text)
    named = [one for m in _messages(value) for one in (m, *m.get("price_changes", []))]
    named = [one for one in named if one.get("asset_id")]
    for one in named:
        last = one["asset_id"][-1]
        one["asset_id"] = f"{one['asset_id'][:-1]}{(int(last) + 1) % 10}"
    return _spelled(value) if named else None


def tokens_exchanged(text: str, _strike: Strike) -> str | None:
    value = orjson.loads(text)
    entries = [entry for m in _messages(value) for entry in m.get("price_changes", [])]
    tokens = list(dict.fromkeys(entry["asset_id"] for entry in entries))
    if len(tokens) != 2:
        return None
    for entry in entries:
        entry["asset_id"] = tokens[1 - tokens.index(entry["asset_id"])]
    return _spelled(value)


def token_silent(text: str, strike: Strike) -> str | None:
    """Nothing is said of one of a market's tokens, whichever it is that was drawn for the window; a
    frame that speaks of no other does not come.
    """
    value = orjson.loads(text)
    before = _messages(value)
    after = [told for message in before if (told := _without_silent(message, strike))]
    if after == before:
        return None
    if not after:
        return NOTHING
    return _spelled(after if isinstance(value, list) else after[0])


def _without_silent(message: Record, strike: Strike) -> Record | None:
    market = message.get("market")
    if "price_changes" not in message:
        return None if _is_silent(strike, market, message.get("asset_id")) else message
    entries = message["price_changes"]
    left = [entry for entry in entries if not _is_silent(strike, market, entry["asset_id"])]
    return {**message, "price_changes": left} if left else None


def _is_silent(strike: Strike, market: object, token: str | None) -> bool:
    if token is None:
        return False
    if market not in strike.memory:
        strike.memory[market] = token, strike.rng.random() < 0.5
    first, silent = strike.memory[market]
    return bool((token == first) is silent)


def snapshot_missing(text: str, strike: Strike) -> str | None:
    """The array sent on subscribing without one of its books."""
    value = orjson.loads(text)
    if not isinstance(value, list) or not value:
        return None
    del value[strike.rng.randrange(len(value))]
    return _spelled(value)


def fill_off(text: str, strike: Strike) -> str | None:
    """Total and parts of a trade are off alike, none falls to nothing."""
    value = orjson.loads(text)
    rows = value.get("maker_orders") if isinstance(value, dict) else None
    if not rows:
        return None
    off = Decimal(strike["micro"]) / 1_000_000
    for record, key in ((value, "size"), (strike.rng.choice(rows), "matched_amount")):
        told = Decimal(record[key]) + off
        if told <= 0:
            return None
        record[key] = f"{told:f}"
    return _spelled(value)


def value_frozen(text: str, strike: Strike) -> str | None:
    """Each price of each symbol stays what it was when the window began."""
    value = orjson.loads(text)
    for symbol, record, key in _prices(value):
        record[key] = strike.memory.setdefault((symbol, key), record[key])
    return _changed(text, _spelled(value))


def value_off(text: str, strike: Strike) -> str | None:
    value = orjson.loads(text)
    found = list(_prices(value))
    for _, record, key in found:
        record[key] = _scaled(record[key], strike["shift_bp"])
    return _spelled(value) if found else None


def _prices(value: Any, symbol: str = "") -> Iterator[tuple[str, Record, str]]:
    """Every price of a price stream's update, in whichever manner; snapshots are lists."""
    if not isinstance(value, dict):
        return
    for name in ("symbol", "s", "channel", "topic", "stream"):
        symbol = f"{symbol} {value.get(name, '')}"
    for key, inner in value.items():
        if key in _PRICES and (isinstance(inner, float) or _is_decimal(inner)):
            yield symbol, value, key
        elif key in ("payload", "data", "k"):
            yield from _prices(inner, symbol)


def _is_decimal(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) is not None


def _scaled(price: float | str, shift_bp: int) -> float | str:
    if isinstance(price, float):
        return price * (1 + shift_bp / 10_000)
    exact = Decimal(price)
    return f"{(exact + exact * shift_bp / 10_000).quantize(exact):f}"


def dropped_told(text: str, strike: Strike) -> str | None:
    value = orjson.loads(text)
    if not isinstance(value, dict) or "seq" not in value:
        return None
    return _spelled({**value, "dropped": strike["count"]})


def _spelled(value: Any) -> str:
    return orjson.dumps(value).decode()


LIES: dict[str, Lie] = {
    lie.__name__: lie
    for lie in (
        frame_truncated, keys_twice, numbers_wild, numbers_empty, stamps_in_seconds,
        status_free_text, cancelled_tells_matched, levels_crossed, levels_wrong, token_wrong,
        tokens_exchanged, token_silent, snapshot_missing, fill_off, value_frozen, value_off,
        dropped_told,
    )
}  # fmt: skip
