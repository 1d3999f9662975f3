"""How long the ways take, in a backtest and on paper: constant, as measured, or drawn.

Three ways count, each with a model of its own: `feed` from the venue's matching to our book and
prices, `order` from our decision to the venue's matching, `news` from there back: answers, fills,
cancels. What comes over one stream stays in its order whatever is drawn (a TCP connection has no
overtaking); requests go over several connections and may overtake.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import attrs
import orjson

LONGEST_MS = 60_000
Latency = Callable[[random.Random], int]  # milliseconds, 0 or more


@attrs.frozen
class Constant:
    """Always the same."""

    ms: int

    def __call__(self, _rng: random.Random) -> int:
        return self.ms


@attrs.frozen
class Measured:
    """Drawn from what was measured: each value as likely as it was often, nothing in between."""

    sorted_ms: tuple[int, ...]

    def __call__(self, rng: random.Random) -> int:
        return self.sorted_ms[rng.randrange(len(self.sorted_ms))]


@attrs.frozen
class LogNormal:
    """Drawn: `sigma` is the deviation of the logarithm; most networks look like it."""

    median_ms: int
    sigma: float

    def __call__(self, rng: random.Random) -> int:
        drawn = self.median_ms * math.exp(rng.gauss(0.0, self.sigma))
        return min(round(drawn), LONGEST_MS)


@attrs.frozen
class Latencies:
    """One model for each way."""

    feed: Latency
    order: Latency
    news: Latency


WAYS = ("feed", "order", "news")
NEAR = Latencies(Constant(0), Constant(0), Constant(0))


def latency(text: str) -> Latency:
    """Read `25`, `measured:FILE` or `lognormal:MEDIAN:SIGMA`. ValueError with the choices."""
    kind, _, rest = text.partition(":")
    if kind == "measured" and rest:
        return measured(Path(rest))
    if kind == "lognormal":
        median, _, sigma = rest.partition(":")
        return LogNormal(_milliseconds(median), _sigma(sigma))
    return Constant(_milliseconds(text))


def latencies(text: str) -> Latencies:
    """Read one model for all ways, `feed=5,order=25,news=25`: all three, each once, or
    `fitted:FILE`, what `lab latency-fit` wrote. Raises ValueError.
    """
    kind, _, rest = text.partition(":")
    if kind == "fitted" and rest:
        return fitted(Path(rest))
    if "=" not in text:
        return Latencies(*(latency(text) for _ in WAYS))
    said = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if set(said) != set(WAYS) or len(text.split(",")) != len(WAYS):
        raise ValueError(f"{text!r}: expected feed=…,order=…,news=…, each once")
    return Latencies(**{way: latency(model) for way, model in said.items()})


def measured(path: Path) -> Measured:
    """A file of milliseconds, one a line; blank lines and `#` remarks are left out. ValueError
    with the line that is none, or when there is nothing in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    values = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                values.append(_milliseconds(text))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    if not values:
        raise ValueError(f"{path} holds no milliseconds: one a line is expected")
    return Measured(tuple(sorted(values)))


def fitted(path: Path) -> Latencies:
    """The file of `lab latency-fit`: lists of milliseconds by way. Raises ValueError."""
    try:
        said = _by_way(orjson.loads(path.read_bytes()))
        return Latencies(**{way: Measured(_ordered(said[way])) for way in WAYS})
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no file of `lab latency-fit`: {error}") from error


def _by_way(said: object) -> dict[str, object]:
    if not isinstance(said, dict) or not said.keys() >= set(WAYS):
        raise ValueError(f"expected {', '.join(WAYS)}")
    return said


def _ordered(said: object) -> tuple[int, ...]:
    values = said if isinstance(said, list) else []
    known = [value for value in values if isinstance(value, int) and 0 <= value <= LONGEST_MS]
    if not known or len(known) < len(values):
        raise ValueError(f"expected whole milliseconds from 0 to {LONGEST_MS}")
    return tuple(sorted(known))


def _milliseconds(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(
            "expected milliseconds, measured:FILE, lognormal:MEDIAN:SIGMA, or for all ways "
            f"fitted:FILE, was {text!r}"
        ) from None
    if not 0 <= value <= LONGEST_MS:
        raise ValueError(f"expected 0 to {LONGEST_MS} milliseconds, was {text!r}")
    return round(value)


def _sigma(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"expected the deviation of a logarithm, was {text!r}") from None
    if not 0 <= value <= 5:
        raise ValueError(f"expected a deviation from 0 to 5, was {text!r}")
    return value
