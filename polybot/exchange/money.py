"""The exchange's own integers: prices in 10⁻⁴, shares and pUSD
in 10⁻⁶. Shares no code with the bot.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

ONE = 10_000
UNIT = 1_000_000
_DIGITS = {ONE: 4, UNIT: 6}


def to_units(text: str, scale: int) -> int | None:
    """`"0.53"` × scale as an exact integer, or None when it is not a finite multiple of 1/scale."""
    try:
        value = Decimal(text) * scale
    except (InvalidOperation, TypeError):
        return None
    if not value.is_finite() or value != value.to_integral_value():
        return None
    return int(value)


def decimal_text(value: int, scale: int) -> str:
    """The shortest plain decimal for value/scale: 5300/10⁴ → `"0.53"`, 5000000/10⁶ → `"5"`."""
    digits = _DIGITS.get(scale)
    if digits is not None and value >= 0:  # a busy book is thousands of these a second
        whole, rest = divmod(value, scale)
        return f"{whole}.{rest:0{digits}d}".rstrip("0") if rest else str(whole)
    text = f"{Decimal(value) / scale:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
