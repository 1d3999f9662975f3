"""Which configurations a sweep tries: every combination of the values named, each one checked.

A value goes through the same strict reader as the file's own, so a sweep cannot try what a run
could not be configured with.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from polybot.config import Config, check_seed
from polybot.config_read import ConfigError, Fault, read_section, unknown_key
from polybot.season_file import read as read_seasons

POINTS_MOST = 10_000
_SECTIONS = {field.name: field for field in attrs.fields(Config) if field.name != "keys"}


@attrs.frozen
class Point:
    """One configuration of the grid: what was set, by `section.key`, and what came of it."""

    values: tuple[tuple[str, Any], ...]
    config: Config

    @property
    def name(self) -> str:
        return " ".join(f"{key}={_text(value)}" for key, value in self.values) or "as configured"


@attrs.frozen
class Axis:
    """One parameter and the values it is to take."""

    key: str
    values: tuple[Any, ...]

    @classmethod
    def read(cls, text: str) -> Axis:
        """`quote.base_edge=0.002,0.004`: values as in the file. ValueError with what is wrong."""
        key, equals, rest = text.partition("=")
        if not equals or key.count(".") != 1:
            raise ValueError(f"{text!r}: expected section.key=value,value")
        try:
            values = tomllib.loads(f"values = [{rest}]")["values"]
        except tomllib.TOMLDecodeError:
            raise ValueError(
                f"{text!r}: values are written as in the file, texts in quotes"
            ) from None
        if not values:
            raise ValueError(f"{text!r}: expected a value at least")
        if len({_text(value) for value in values}) < len(values):
            raise ValueError(
                f"{text!r}: a value is named twice, and would count twice: once is enough"
            )
        return cls(key.strip(), tuple(values))


def grid(config: Config, axes: Sequence[Axis]) -> list[Point]:
    """All combinations, the last axis fastest. Raises ConfigError with everything that is wrong."""
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        raise ConfigError([Fault("", f"a parameter is named twice: {', '.join(keys)}")])
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > POINTS_MOST:
        raise ConfigError([Fault("", f"{count} combinations: at most {POINTS_MOST}")])
    faults: list[Fault] = []
    points = []
    for chosen in itertools.product(*(axis.values for axis in axes)):
        values = tuple(zip(keys, chosen, strict=True))
        found = _with(config, dict(values), faults)
        if found is not None:
            points.append(Point(values, found))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return points


def _with(config: Config, values: Mapping[str, Any], faults: list[Fault]) -> Config | None:
    tables: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    changed: dict[str, Any] = {}
    for section, table in tables.items():
        if section not in _SECTIONS:
            faults.append(Fault(section, unknown_key(section, _SECTIONS)))
            continue
        held: attrs.AttrsInstance = getattr(config, section)
        before = {field.name: getattr(held, field.name) for field in attrs.fields(type(held))}
        told = {name: _plain(value) for name, value in before.items() if value is not None}
        changed[section] = read_section(type(held), told | table, section, faults)
    named = values.get("pricing.vol_seasons")
    if isinstance(named, str) and named:
        try:
            read_seasons(Path(named))
        except ValueError as error:
            faults.append(Fault("pricing.vol_seasons", str(error)))
    if faults:
        return None
    made = attrs.evolve(config, **changed)
    check_seed(made, faults)
    return None if faults else made


def _plain(value: Any) -> Any:
    """As a TOML file would have it."""
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    """As short as it can be told from all others: results are kept by it."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
