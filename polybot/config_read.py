"""From a TOML table to an attrs class, strictly, with every fault found at once.

cattrs' own class hook stops at a class whose fields have the wrong type before any range is looked
at, and its defaults turn "7" into 7 and "false" into True. Here each field is read on its own – its
type by a strict cattrs hook, its range by the attrs validator of the class – so that one run names
all that is wrong.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs

T = TypeVar("T", bound=attrs.AttrsInstance)

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}


@attrs.frozen
class Fault:
    """One thing wrong: where, as a dotted path (`risk.max_total_usd`), and what would be right."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConfigError(Exception):
    """The configuration cannot be used; `faults` are all the reasons. Exit code 2."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def read_section(cls: type[T], table: object, path: str, faults: list[Fault]) -> T | None:
    """Build `cls` from `table`; add what is wrong to `faults` and return None if anything is."""
    if not isinstance(table, Mapping):
        faults.append(Fault(path, f"expected a section [{path}], was {_shown(table)}"))
        return None
    before = len(faults)
    fields: dict[str, attrs.Attribute[Any]] = {field.name: field for field in attrs.fields(cls)}
    unknown = (key for key in table if key not in fields)
    faults.extend(Fault(f"{path}.{key}", unknown_key(key, fields)) for key in unknown)
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in table:
            if field.default is attrs.NOTHING:
                faults.append(Fault(f"{path}.{name}", "missing; add this key"))
            continue
        try:
            values[name] = _field(field, hints[name], table[name])
        except (ValueError, TypeError) as error:
            faults.append(Fault(f"{path}.{name}", _words(error)))
    if len(faults) > before:
        return None
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        faults.append(Fault(path, _words(error)))
        return None


def unknown_key(key: str, known: Mapping[str, object]) -> str:
    """Say what to do about `key`, which is not in `known`."""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; expected one of {', '.join(known)}"


def _field(field: attrs.Attribute[Any], hint: Any, raw: object) -> Any:
    """Read one value; raises ValueError with words for the operator."""
    value = _CONVERTER.structure(raw, hint)
    if field.validator is not None:
        # Validators of single fields look at the value alone; what needs the others belongs in
        # `__attrs_post_init__`, which runs when the class is built.
        field.validator(None, field, value)
    return value


def _words(error: Exception) -> str:
    """The message of an error; attrs' validators put the field and its bounds after it."""
    return str(error.args[0]) if error.args else type(error).__name__


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(hint: type, value: object) -> ValueError:
    return ValueError(f"expected {_NAMES[hint]}, was {_shown(value)}")


def _exact(value: object, hint: type) -> Any:
    if type(value) is not hint:
        raise _refuse(hint, value)
    return value


def _float(value: object, _: type) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _refuse(float, value)
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond them all
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, was {_shown(value)}")
    return number


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple


def _tuple(value: object, hint: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list in [brackets], was {_shown(value)}")
    inner = get_args(hint)
    if inner[-1] is Ellipsis:
        return tuple(_CONVERTER.structure(item, inner[0]) for item in value)
    if len(value) != len(inner):
        raise ValueError(f"expected a list of {len(inner)}, was {_shown(value)}")
    return tuple(_CONVERTER.structure(item, one) for item, one in zip(value, inner, strict=True))


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)


def _optional(value: object, hint: Any) -> Any:
    """TOML has no null: a key that is there has a value, and a key
    that is not keeps the default.
    """
    (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
    return _CONVERTER.structure(value, inner)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    for hint in (bool, int, str):
        converter.register_structure_hook(hint, _exact)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(_is_tuple, _tuple)
    converter.register_structure_hook_func(_is_optional, _optional)
    return converter


_CONVERTER = _make_converter()
