"""The seasons of volatility as a file: by oracle symbol, made by `python -m polybot lab season`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from polybot.pricing.season import Season


def text(seasons: Mapping[str, Season]) -> bytes:
    """The file's content: JSON, `{"btcusd": {"factors": [168 numbers], "floors": [168]}}`."""
    told = {
        symbol: {
            "factors": [round(factor, 4) for factor in season.factors],
            "floors": [round(floor, 4) for floor in season.floors],
        }
        for symbol, season in seasons.items()
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def read(path: Path) -> dict[str, Season]:
    """The seasons of a file. Raises ValueError with the reason, also when it cannot be read."""
    try:
        told = orjson.loads(path.read_bytes())
        return {symbol: _season(symbol, one) for symbol, one in told.items()}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of seasons: {error}") from None


def _season(symbol: str, told: Mapping[str, object]) -> Season:
    return Season(_numbers(symbol, told["factors"]), _numbers(symbol, told["floors"]))


def _numbers(symbol: str, told: object) -> tuple[float, ...]:
    if not isinstance(told, list) or not all(type(one) in (int, float) for one in told):
        raise ValueError(f"expected numbers for {symbol}")
    return tuple(float(one) for one in told)
