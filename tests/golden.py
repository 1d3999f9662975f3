"""Results as text, to be told apart from those of another day: tests write down its `digest`."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping

import msgspec


def plain(value: object) -> str:
    """Any result of ours as one text. Numbers to twelve digits: the last bits of a logarithm are
    the platform's.
    """
    match value:
        case float():
            return format(value, ".12g")
        case enum.Enum():
            return f"{type(value).__name__}.{value.name}"
        case Mapping():
            return "{" + ",".join(f"{plain(k)}:{plain(v)}" for k, v in value.items()) + "}"
        case tuple() if (names := getattr(value, "_fields", None)) is not None:
            return _named(value, names)
        case tuple() | list():
            return "(" + ",".join(map(plain, value)) + ")"
        case set() | frozenset():
            return "{" + ",".join(sorted(map(plain, value))) + "}"
        case msgspec.Struct():
            return _named(value, value.__struct_fields__)
        case _ if (fields := getattr(type(value), "__attrs_attrs__", None)) is not None:
            return _named(value, [field.name for field in fields])
        case _:
            return repr(value)


def _named(value: object, names: Iterable[str]) -> str:
    told = (f"{name}={plain(getattr(value, name))}" for name in names)
    return f"{type(value).__name__}({','.join(told)})"


def digest(results: Iterable[object]) -> str:
    """Sixteen hex digits of all of them in their order."""
    summed = hashlib.sha256()
    for result in results:
        summed.update(plain(result).encode() + b"\n")
    return summed.hexdigest()[:16]
