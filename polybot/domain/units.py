"""Exact integers for money: prices in 10⁻⁴, shares and collateral in 10⁻⁶, as on chain.

Every tick the venue knows (0.1 … 0.0001) is a multiple of a price unit, and price × size of an
on-grid order is exact: 10⁻⁴ × 10⁻² shares = 10⁻⁶ dollars. Texts become integers once, at the
border, by digit arithmetic; floats and Decimal never touch money.
"""

from __future__ import annotations

ONE = 10_000  # price 1.0
SHARE = 1_000_000  # one share, and one dollar of collateral
USD = 1_000_000
LOT = 10_000  # the venue trades sizes in hundredths of a share
CENT = 10_000  # 10⁻⁶ dollars

_AMOUNT_MAX = 10**18  # a trillion shares: anything larger is a broken message
_TEN_TO: tuple[int, ...] = tuple(10**power for power in range(7))


def _scaled(text: str, decimals: int) -> int:
    """Read a plain non-negative decimal text as an integer of 10^-decimals."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit() or len(digits) > 30:
        raise ValueError(f"expected a plain decimal, was {text[:40]!r}")
    short = decimals - len(fraction)
    if short >= 0:
        return int(digits) * _TEN_TO[short]
    excess = fraction[decimals:]
    if excess.strip("0"):
        raise ValueError(f"expected at most {decimals} decimals, was {text[:40]!r}")
    return int((whole or "0") + fraction[:decimals])


def parse_price(text: str) -> int:
    """Read `"0.53"` as 5300. Raises ValueError unless it is a plain decimal in [0, 1] on 10⁻⁴."""
    price = _scaled(text, 4)
    if price > ONE:
        raise ValueError(f"expected a price between 0 and 1, was {text!r}")
    return price


def parse_amount(text: str) -> int:
    """Read `"21.37"` shares (or dollars) as 21_370_000. Raises ValueError on anything else."""
    amount = _scaled(text, 6)
    if amount > _AMOUNT_MAX:
        raise ValueError(f"expected an amount below a trillion, was {text[:40]!r}")
    return amount


def _text(value: int, decimals: int) -> str:
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, fraction = divmod(value, 10**decimals)
    tail = str(fraction).rjust(decimals, "0").rstrip("0")
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def price_text(price: int) -> str:
    """Write 5300 as `"0.53"`."""
    return _text(price, 4)


def amount_text(amount: int) -> str:
    """Write 21_370_000 as `"21.37"`."""
    return _text(amount, 6)


def notional(price: int, shares: int) -> int:
    """Dollars (10⁻⁶) for `shares` at `price`, rounded down; exact for whole lots."""
    return price * shares // ONE


def bought(price: int, shares: int) -> int:
    """What a buy that takes asks for when `shares` are wanted: it spends whole cents (clob.md 3.4).

    The venue holds this against its minimum: 5 shares at 0.585 are 2.92 dollars and 4.99 shares.
    """
    return floor_to(notional(price, shares), CENT) * ONE // price


def floor_to(value: int, step: int) -> int:
    """The largest multiple of `step` not above `value`."""
    return value - value % step


def on_grid(price: int, tick: int) -> bool:
    """Whether the venue accepts `price` on `tick`: a multiple, at least one tick from 0 and 1."""
    return tick <= price <= ONE - tick and price % tick == 0
