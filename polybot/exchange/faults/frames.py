"""Frames as bytes, and frames that no sound server sends (RFC 6455, 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from polybot.exchange.faults.state import Strike

TEXT, BINARY = 0x81, 0x82

GARBAGE = (
    "", "PONG?", "[]", "null", "[[[[", '{"event_type": "book"}', '{"event_type": "moon"}', "\x00",
    '[{"event_type": "price_change", "price_changes": [{"price": "NaN", "size": "1e400"}]}]',
    '{"op": "data", "channel": 7}', '{"stream": "btcusdt@trade", "data": {"p": "Infinity"}}',
)  # fmt: skip
NESTS = (("[", "]"), ('{"a":', "}"))
EVENTS = ("moon", "book", "price_change", "last_trade_price", "order", "trade", "crypto_prices")
KEYS = ("x", "bids", "price_changes", "side", "maker_orders", "payload", "data", "p")
MOON = '{"event_type":"moon","type":"moon","topic":"moon","channel":"moon","e":"moon"%s}'


def framed(payload: bytes, opcode: int = TEXT) -> bytes:
    """One unmasked, unfragmented frame, whatever its payload."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 1 << 16:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


def text_of(frame: bytes) -> str | None:
    """The text of a text frame; None for any other frame, and for what is no UTF-8."""
    if frame[0] != TEXT:
        return None
    try:
        return frame[{126: 4, 127: 10}.get(frame[1], 2) :].decode()
    except UnicodeDecodeError:
        return None


def is_data(text: str | None) -> bool:
    """Whether it is more than a sign of life: no answer to a ping in any stream's manner."""
    return text is not None and text not in ("", "PONG") and not text.startswith('{"op":"pong"')


def bad_utf8(frame: bytes, strike: Strike) -> bytes:
    text = text_of(frame) or ""
    cut = strike.rng.randrange(len(text)) if text else 0
    return framed(text[:cut].encode() + b"\xc3\x28\xff" + text[cut:].encode())


def _garbage(strike: Strike) -> bytes:
    return framed(strike.rng.choice(GARBAGE).encode())


def _unknown(_strike: Strike) -> bytes:
    return framed((MOON % "").encode())


def _binary(strike: Strike) -> bytes:
    return framed(strike.rng.randbytes(strike.rng.randrange(1, 200)), BINARY)


def _huge(strike: Strike) -> bytes:
    return framed((MOON % f',"pad":"{"x" * (strike["kib"] << 10)}"').encode())


def _deep(strike: Strike) -> bytes:
    """Lists or objects, bare or under a key of an event: both may be known, or not."""
    (opens, closes), rng = strike.rng.choice(NESTS), strike.rng
    nest = opens * strike["depth"] + "0" + closes * strike["depth"]
    if rng.random() < 0.5:
        return framed(nest.encode())
    moon = (MOON % "").replace("moon", rng.choice(EVENTS))
    return framed(f'{moon[:-1]},"{rng.choice(KEYS)}":{nest}}}'.encode())


def _nothing_new(_strike: Strike) -> bytes:
    return framed(b"NO NEW ASSETS")


# Frames that come before the one that was struck, which follows unharmed.
BEFORE: dict[str, Callable[[Strike], bytes]] = {
    "frame_garbage": _garbage,
    "frame_unknown": _unknown,
    "frame_binary": _binary,
    "frame_huge": _huge,
    "frame_deep": _deep,
    "nothing_new": _nothing_new,
}
