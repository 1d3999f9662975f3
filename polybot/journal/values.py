"""Frozen values as msgpack and back, exactly: integers stay integers, a float keeps its bits.

For the tape, where values of many kinds follow one another, thousands in a second of replay. An
attrs class, a struct, a named tuple or an enum is written with its name; what may be read is what
the types of a few roots can hold, found once from their annotations, so that a foreign tape makes
no object of ours that was not foreseen. Lists come back as tuples.

Rejected: pickle (runs what a tape from elsewhere says), the journal's JSON (made to be read by any
tool, and ten times slower).
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import msgpack
import msgspec

PLAIN = (type(None), bool, int, float, str, bytes)
IS = "is"
UNIONS = (Union, UnionType)


class Values:
    """The values that `roots`, types or unions of types, can hold."""

    def __init__(self, *roots: Any) -> None:
        # What msgpack knows it packs by itself, rows included; for the rest it asks, by exact type.
        self._rows: dict[type, Callable[[Any], Any]] = {tuple: list, set: _set, frozenset: _set}
        self._makers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "dict": lambda row: dict(row["of"]),
            "set": lambda row: frozenset(row["of"]),
        }
        for root in roots:
            self._learn(root)
        self._packer = msgpack.Packer(default=self._row, strict_types=True, use_bin_type=True)

    def _learn(self, hint: Any) -> None:
        for cls in _classes(hint):
            if cls in self._rows or cls in PLAIN:
                continue
            if issubclass(cls, enum.Enum):
                self._rows[cls] = _enum_rows(cls)
                self._makers[cls.__qualname__] = partial(_member, cls)
            elif attrs.has(cls):
                made = [field.name for field in attrs.fields(cls) if field.init]
                self._learn_fields(cls, made)
            elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
                self._learn_fields(cls, list(cls._fields))
            elif issubclass(cls, msgspec.Struct):
                self._learn_fields(cls, list(cls.__struct_fields__))

    def _learn_fields(self, cls: type, names: list[str]) -> None:
        assert cls.__qualname__ not in self._makers, f"two classes are called {cls.__qualname__}"
        hints = get_type_hints(cls)
        self._rows[cls] = _rows(cls, {name: hints[name] for name in names})

        def make(row: dict[str, Any]) -> Any:
            del row[IS]
            return cls(**row)

        self._makers[cls.__qualname__] = make
        for name in names:
            self._learn(hints[name])

    def pack(self, value: object) -> bytes:
        """Raises TypeError for what the roots cannot hold."""
        packed: bytes = self._packer.pack(value)
        return packed

    def _row(self, value: Any) -> Any:
        """What msgpack does not know, one step nearer to what it does."""
        row = self._rows.get(type(value))
        if row is None:
            raise TypeError(f"{type(value).__qualname__} is nothing that was foreseen")
        return row(value)

    def unpack(self, body: bytes) -> Any:
        """Raises ValueError for what is no value of ours."""
        try:
            return msgpack.unpackb(body, object_hook=self._made, use_list=False)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a value of ours: {error!r}") from error

    def _made(self, row: dict[str, Any]) -> Any:
        return self._makers[row[IS]](row)


def _rows(cls: type, hints: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """How values of a class become rows."""
    kind, keys, fields = cls.__qualname__, (IS, *hints), _fields(tuple(hints))
    maps = [name for name, hint in hints.items() if _holds_map(hint)]

    def row(value: Any) -> dict[str, Any]:
        return dict(zip(keys, (kind, *fields(value)), strict=True))

    def row_with_maps(value: Any) -> dict[str, Any]:
        made = row(value)
        return made | {name: _map(made[name]) for name in maps}

    if maps:
        return row_with_maps
    steady = issubclass(cls, tuple) and all(map(_is_steady, hints.values()))
    return functools.lru_cache(maxsize=1024)(row) if steady else row


def _fields(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Reads all fields in one call; of a single name an `attrgetter` gives the value alone."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _holds_map(hint: Any) -> bool:
    """Whether a field of this type may be a map, which is told apart from a row. One within a
    sequence would not be: no type of ours has any.
    """
    origin = get_origin(hint) or hint
    if any(_holds_map(part) for part in get_args(hint)):
        assert origin in UNIONS, f"a map within {hint} is not foreseen"
        return True
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_steady(hint: Any) -> bool:
    """Whether equal values of this type are the same to the bit: not so floats (0.0 and -0.0), and
    what may be one number or another (1 and 1.0). Of steady values rows may be remembered.
    """
    return isinstance(hint, type) and (hint in (int, str) or issubclass(hint, enum.Enum))


def _map(value: Any) -> Any:
    if value is None:
        return None
    return {IS: "dict", "of": [(key, one) for key, one in value.items()]}


def _set(value: Any) -> dict[str, Any]:
    return {IS: "set", "of": sorted(value)}


def _enum_rows(cls: type[enum.Enum]) -> Callable[[Any], dict[str, Any]]:
    rows = {one.name: {IS: cls.__qualname__, "of": one.value} for one in cls}
    return lambda value: rows[value._name_]


def _member(cls: Callable[[Any], Any], row: dict[str, Any]) -> Any:
    return cls(row["of"])


def _classes(hint: Any) -> Iterator[type]:
    """Every class that a type hint mentions."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for part in get_args(hint):
        yield from _classes(part)
