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
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args, get_type_hints

import attrs
import msgpack
import msgspec

PLAIN = (type(None), bool, int, float, str, bytes)
IS = "is"


class Values:
    """The values that `roots`, types or unions of types, can hold."""

    def __init__(self, *roots: Any) -> None:
        self._fields: dict[type, tuple[str, ...]] = {}
        self._makers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "dict": lambda row: dict(row["of"]),
            "set": lambda row: frozenset(row["of"]),
        }
        for root in roots:
            self._learn(root)

    def _learn(self, hint: Any) -> None:
        for cls in _classes(hint):
            if cls in self._fields or cls in PLAIN:
                continue
            if issubclass(cls, enum.Enum):
                self._fields[cls] = ()
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
        self._fields[cls] = tuple(names)

        def make(row: dict[str, Any]) -> Any:
            del row[IS]
            return cls(**row)

        self._makers[cls.__qualname__] = make
        hints = get_type_hints(cls)
        for name in names:
            self._learn(hints[name])

    def pack(self, value: object) -> bytes:
        """Raises TypeError for what the roots cannot hold."""
        packed: bytes = msgpack.packb(self._plain(value), use_bin_type=True)
        return packed

    def _plain(self, value: Any) -> Any:
        cls = type(value)
        if cls in PLAIN:
            return value
        names = self._fields.get(cls)
        if names is None:
            return self._plain_container(value)
        if isinstance(value, enum.Enum):
            return {IS: cls.__qualname__, "of": value.value}
        row = {IS: cls.__qualname__}
        for name in names:
            row[name] = self._plain(getattr(value, name))
        return row

    def _plain_container(self, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [self._plain(one) for one in value]
        if isinstance(value, dict):
            return {IS: "dict", "of": [[self._plain(k), self._plain(v)] for k, v in value.items()]}
        if isinstance(value, (set, frozenset)):
            return {IS: "set", "of": sorted(self._plain(one) for one in value)}
        raise TypeError(f"{type(value).__qualname__} is nothing that was foreseen")

    def unpack(self, body: bytes) -> Any:
        """Raises ValueError for what is no value of ours."""
        try:
            return msgpack.unpackb(body, object_hook=self._made, use_list=False)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a value of ours: {error!r}") from error

    def _made(self, row: dict[str, Any]) -> Any:
        return self._makers[row[IS]](row)


def _member(cls: Callable[[Any], Any], row: dict[str, Any]) -> Any:
    return cls(row["of"])


def _classes(hint: Any) -> Iterator[type]:
    """Every class that a type hint mentions."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for part in get_args(hint):
        yield from _classes(part)
