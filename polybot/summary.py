"""What a run came to, as one JSON object on one line: written at every end, also a bad one.

Money is in 10⁻⁶ dollars inside and a JSON number with exactly six decimals outside, by digit
arithmetic: `equity_bot` and `equity_exchange` are equal as texts exactly when they are equal to the
micro-dollar.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import orjson

_MONEY = "10⁻⁶ dollars"


def _money() -> Any:
    """A field of 10⁻⁶ dollars, zero until somebody says more."""
    return attrs.field(default=0, metadata={"unit": _MONEY})


def _money_or_unknown() -> Any:
    return attrs.field(default=None, metadata={"unit": _MONEY})


@attrs.frozen(kw_only=True)
class Activity:
    """What was done: in one interval, or in all of them together.

    `quotes` are decisions that wanted at least one order; `orders` were sent; `sales` of the
    `fills` sold held shares. `volume` is dollars traded, `sold` what of it came in; `merged` and
    `redeemed` are dollars received, too. `rebate_estimate` is the maker's share as we reckon it.
    `unpaid_pnl` is what results that are known will add to `realised_pnl` when they are paid.
    """

    quotes: int = 0
    orders: int = 0
    fills: int = 0
    sales: int = 0
    volume: int = _money()
    sold: int = _money()
    fees: int = _money()
    rebate_estimate: int = _money()
    merged: int = _money()
    redeemed: int = _money()
    realised_pnl: int = _money()
    unpaid_pnl: int = _money()


@attrs.frozen(kw_only=True)
class Interval(Activity):
    """One market interval. `outcome` is "Up", "Down" or None while it is not resolved."""

    slug: str
    rule: str
    strike: float | None = None
    outcome: str | None = None


@attrs.frozen(kw_only=True)
class SignalScore:
    """What a signal's calls came to, acting or not: how many were judged, how many were right, and
    what they showed on average, in dollars per share (polybot/signal/scores.py).
    """

    calls: int = 0
    hits: int = 0
    mean_gain: float = 0.0


@attrs.frozen
class ReasonShare:
    """The part of all quotable time in which a reason withheld a side's quotes, and in which it
    made them fewer, smaller or cheaper (polybot/quoting/tally.py).
    """

    withheld: float = 0.0
    reduced: float = 0.0


@attrs.frozen(kw_only=True)
class Summary:
    """Everything a run is judged by.

    `live_orders_at_exit` is the venue's count, None when it could not be read; `invalid_orders` are
    those the exchange refused for more than a book that had moved (paper only). `withheld` counts
    what the firewall refused, `faults` order events outside the life-cycle table, `bad_input` what
    could not be read, `differences` what reconciliation found, by kind. `unknown_*`: orders whose
    fate was unknown for a time, and for how long. Quotable time runs from a window's start, or ours
    if later, to its stop, whether or not we could quote; `quoted_share` is the part of it with a
    bid resting on either outcome, `two_sided_share` on both, None when there was none. `reasons`
    say why not more, by side; reasons come in chains, so that their shares may add up to more.
    `unrealised_*`: what shares held at the end had gained on their cost, at fair (None where one
    had no price) and if every single one loses. `heartbeat_lag_most_ms`: the slowest beat.
    `loop_late` counts how often the event loop was more than 50 ms late.
    `rebates_paid` and `rewards_paid` came from the venue, and are in `equity_bot`.
    `equity_exchange` is None in live mode. `latency_factor` is how much our own latency counted:
    the clock's speed.
    """

    mode: str
    world: str
    seed: int
    config_hash: str
    exit_reason: str
    latency_factor: float = 1.0
    venue_seconds: float = 0.0
    wall_seconds: float = 0.0
    intervals: tuple[Interval, ...] = ()
    totals: Activity = Activity()
    rejects: Mapping[str, int] = attrs.field(factory=dict)
    cancels: Mapping[str, int] = attrs.field(factory=dict)
    halts: Mapping[str, int] = attrs.field(factory=dict)
    withheld: Mapping[str, int] = attrs.field(factory=dict)
    faults: Mapping[str, int] = attrs.field(factory=dict)
    bad_input: Mapping[str, int] = attrs.field(factory=dict)
    signals: Mapping[str, SignalScore] = attrs.field(factory=dict)
    quoted_share: float | None = None
    two_sided_share: float | None = None
    reasons: Mapping[str, Mapping[str, ReasonShare]] = attrs.field(factory=dict)
    differences: Mapping[str, int] = attrs.field(factory=dict)
    unknown_resolved: int = 0
    unknown_p99_ms: int | None = None
    unknown_most_ms: int | None = None
    live_orders_at_exit: int | None = None
    invalid_orders: int | None = None
    equity_bot: int | None = _money_or_unknown()
    equity_exchange: int | None = _money_or_unknown()
    unrealised_fair: int | None = _money_or_unknown()
    unrealised_worst: int = _money()
    heartbeat_lag_most_ms: int = 0
    loop_late: int = 0
    loop_late_most_ms: int = 0
    rebates_paid: int = _money()
    rewards_paid: int = _money()
    shutdown_ms: int | None = None
    notes: tuple[str, ...] = ()


def total(intervals: Iterable[Activity]) -> Activity:
    """Add intervals up, field by field."""
    parts = tuple(intervals)
    names = [field.name for field in attrs.fields(Activity)]
    return Activity(**{name: sum(getattr(part, name) for part in parts) for name in names})


def money_json(micro: int) -> str:
    """Write 10⁻⁶ dollars as a JSON number with six decimals: -1_500_000 → `-1.500000`."""
    whole, fraction = divmod(abs(micro), 1_000_000)
    return f"{'-' if micro < 0 else ''}{whole}.{fraction:06d}"


def text(summary: Summary) -> str:
    """The summary as one line of JSON."""
    return orjson.dumps(_plain(summary)).decode()


def write(summary: Summary, place: str) -> None:
    """Write one line of JSON to the file `place`, whole or not at all; `-` is standard output.

    Raises OSError when it cannot be written.
    """
    line = text(summary) + "\n"
    if place == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as all JSON, whatever the terminal spells
        sys.stdout.write(line)
        sys.stdout.flush()
    else:
        _replace(Path(place), line.encode())


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field.name: _field(field, getattr(value, field.name)) for field in _ordered(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _field(field: attrs.Attribute[Any], value: Any) -> Any:
    if value is not None and field.metadata.get("unit") == _MONEY:
        return orjson.Fragment(money_json(value))
    return _plain(value)


def _ordered(value: attrs.AttrsInstance) -> list[attrs.Attribute[Any]]:
    """Own fields before inherited ones: a reader wants the slug first."""
    return sorted(attrs.fields(type(value)), key=lambda field: bool(field.inherited))


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in place of whatever is at `path`, so that no reader ever sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            # mkstemp makes files private; a summary is as readable as the umask lets any file be.
            os.fchmod(descriptor, 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
