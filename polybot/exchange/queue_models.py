"""How the volume ahead of a resting order shrinks, where only levels are known (strategy.md 17).

A print says what traded, and trades take the front of the queue: that part is the same in all
models. A level that shrinks without a print was cancelled, nobody says where in the queue. The
models differ in that, and in when a print at our own price fills us.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import attrs

from polybot.exchange.money import UNIT

Advance = Callable[[int, int, int], int]


@attrs.frozen
class QueueModel:
    """One model. Sizes are shares of 10⁻⁶.

    `advance(ahead, behind, decrease)` is how much of an unexplained decrease was ahead of us; the
    book holds it between what must have been ahead and what can have been.
    """

    name: str
    advance: Advance
    fills_at_price: bool = True  # False: only a print strictly through our price fills
    queues: bool = True  # False: any print at our price fills, whatever is ahead


def _in_front(ahead: int, _behind: int, decrease: int) -> int:
    return min(ahead, decrease)


def _at_the_back(_ahead: int, behind: int, decrease: int) -> int:
    return max(0, decrease - behind)


def _in_proportion(ahead: int, behind: int, decrease: int) -> int:
    return decrease * ahead // (ahead + behind) if ahead + behind else 0


# Cancels come off the queue ahead first: the default, and the upper end of what a queue allows.
AHEAD_FIRST = QueueModel("ahead-first", _in_front)
# hftbacktest's risk-averse queue: cancels are behind us as long as there is anything behind.
PESSIMISTIC = QueueModel("pessimistic", _at_the_back)
PROPORTIONAL = QueueModel("proportional", _in_proportion)
TRADE_THROUGH = QueueModel("trade-through", _at_the_back, fills_at_price=False)
TOUCH = QueueModel("touch", _in_front, queues=False)

_NAMED = {m.name: m for m in (AHEAD_FIRST, PESSIMISTIC, PROPORTIONAL, TRADE_THROUGH, TOUCH)}
_POWER, _FITTED = "probabilistic", "fitted"


def probabilistic(exponent: float) -> QueueModel:
    """The share behind us is f(behind) / (f(behind) + f(ahead)) with f = xⁿ.

    n is fitted to live fills (2–3 in hftbacktest's examples). ValueError unless it is in (0, 20].
    """
    if not 0 < exponent <= 20:
        raise ValueError(f"the exponent is above 0 and at most 20, not {exponent!r}")
    return QueueModel(f"{_POWER}:{exponent:g}", _weighed(lambda part: part**exponent))


def _weighed(weight: Callable[[float], float]) -> Advance:
    """Cancels fall on the parts by a weight of each part's share of the level."""

    def advance(ahead: int, behind: int, decrease: int) -> int:
        total = ahead + behind
        if not total:
            return 0
        front, back = weight(ahead / total), weight(behind / total)
        return int(decrease * front / (front + back))

    return advance


def _logarithmic(ahead: int, behind: int, decrease: int) -> int:
    """f = ln(1 + x) of whole shares: the larger part loses less than in proportion."""
    front, back = math.log1p(ahead / UNIT), math.log1p(behind / UNIT)
    return int(decrease * front / (front + back)) if front + back else 0


# hftbacktest's other usual weight; it has no exponent to fit (strategy.md 17).
LOGARITHMIC = QueueModel(f"{_POWER}:log", _logarithmic)


def queue_model(text: str) -> QueueModel:
    """Read `"pessimistic"`, `"probabilistic:2.5"` and so on, or `"fitted:FILE"` with what
    `lab queue-fit` wrote; ValueError with the choices.
    """
    name, colon, number = text.partition(":")
    if text == LOGARITHMIC.name:
        return LOGARITHMIC
    if name == _FITTED and number:
        return _fitted(Path(number))
    if name == _POWER and colon:
        try:
            return probabilistic(float(number))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
    if text not in _NAMED:
        choices = ", ".join([*_NAMED, f"{_POWER}:EXPONENT", LOGARITHMIC.name, f"{_FITTED}:FILE"])
        raise ValueError(f"unknown queue model {text!r}: choose from {choices}")
    return _NAMED[text]


def _fitted(path: Path) -> QueueModel:
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["queue"]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is no file of `lab queue-fit`: no queue model in it") from None
    if not isinstance(named, str) or named.startswith(_FITTED):
        raise ValueError(f"{path}: no queue model: {named!r}")
    return queue_model(named)
