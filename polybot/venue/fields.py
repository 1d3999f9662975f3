"""Reading typed values out of decoded JSON. Everything here raises ValueError, and nothing else.

Decoders are total because they catch exactly that: a missing key, a wrong type and a number off its
grid are one kind of bad message. JSON may be nested deeper than Python writes out, so what is told
of a peer's value is told by `shown`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TypeGuard

from polybot.domain import units
from polybot.domain.market import Side

Json = Mapping[str, object]

# A Unix stamp from the first on is in milliseconds (feeds.md 4.2), from the second in microseconds,
# as Binance's may be (feeds.md 7): each is thousands of years away in the other's unit.
_MILLISECONDS_FROM, _MICROSECONDS_FROM = 10**11, 10**14

_STRUCTURAL = re.compile(r"0x0[12][0-9a-f]{60}")  # a market of Protocol V2 on the chain: 31 bytes

# Level prices repeat without end; parsing one costs more than looking it up.
price_of_text = functools.lru_cache(maxsize=20_000)(units.parse_price)


def padded(condition_id: str) -> str:
    """The id of a market of Protocol V2 as the CLOB's books have it, where it is told as it is on
    the chain (clob.md 3.2); any other as it is.
    """
    lower = condition_id.lower()
    return f"{lower}00" if _STRUCTURAL.fullmatch(lower) else condition_id


def tick_of_text(text: str) -> int:
    """A tick in 10⁻⁴: a part of a dollar, for everything that rounds divides by it."""
    tick = price_of_text(text)
    if tick == 0 or units.ONE % tick:
        raise ValueError(f"not a tick: {text[:40]!r}")
    return tick


def shown(value: object, most: int = 40) -> str:
    """What a peer has sent, whatever it is, for people to read: so many characters at most."""
    try:
        return str(value)[:most]
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"


def is_object(value: object) -> TypeGuard[Json]:
    return isinstance(value, dict)


def as_object(value: object) -> Json:
    if not is_object(value):
        raise ValueError(f"expected an object, was {type(value).__name__}")
    return value


def as_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, was {type(value).__name__}")
    return value


def as_text(value: object) -> str:
    """A non-empty string."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, was {shown(value)!r}")
    return value


def number_text(value: object) -> str:
    """The decimal text of a JSON number or of a string that holds one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, was {shown(value)!r}")
    return repr(value)


def text(row: Json, key: str) -> str:
    """A non-empty string under `key`."""
    return as_text(row.get(key))


def optional_text(row: Json, key: str) -> str:
    """The string under `key`; empty if it is missing or null."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def price(row: Json, key: str) -> int:
    """A price in 10⁻⁴."""
    return price_of_text(number_text(row.get(key)))


def amount(row: Json, key: str) -> int:
    """Shares or dollars in 10⁻⁶."""
    return units.parse_amount(number_text(row.get(key)))


def min_size(row: Json, key: str) -> int:
    """A market's smallest order: never nothing, or an order of no shares would pass for one."""
    size = amount(row, key)
    if size == 0:
        raise ValueError(f"{key} of zero")
    return size


def amount_or_zero(row: Json, key: str) -> int:
    """As `amount`, where the venue writes an empty text, null or nothing for none."""
    value = row.get(key)
    return 0 if value is None or value == "" else units.parse_amount(number_text(value))


def side(row: Json, key: str = "side") -> Side:
    return Side(as_text(row.get(key)))


def stamp_ms(value: object) -> int:
    """Unix milliseconds from a stamp in seconds, milliseconds or microseconds, told apart by
    magnitude.
    """
    digits = number_text(value)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 16:
        raise ValueError(f"expected a Unix stamp, was {digits[:40]!r}")
    number = int(digits)
    if number >= _MICROSECONDS_FROM:
        return number // 1000
    return number if number >= _MILLISECONDS_FROM else number * 1000


def first_stamp_ms(row: Json, *keys: str) -> int:
    """The first of several stamps that is there, 0 if none is."""
    for key in keys:
        value = row.get(key)
        if value is not None and value != "":
            return stamp_ms(value)
    return 0


def texts(value: object) -> tuple[str, ...]:
    """A list of strings, where null means none."""
    if value is None:
        return ()
    return tuple(as_text(item) for item in as_list(value))
