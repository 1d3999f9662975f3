"""`Terms` from a TOML file: `[venue]` with the keys of `Terms`, read strictly, all faults at once.

The bot's configuration has a reader of the same kind; the exchange shares no code with the bot, and
this one needs no sections, texts or units.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import cattrs

from polybot.exchange.terms import Terms

TABLE = "venue"
_WORDS = {bool: "true or false", int: "a whole number", str: "a text in quotes"}


class TermsError(ValueError):
    """The file cannot be used; the text names every reason, one a line."""


def read_terms(path: Path) -> Terms:
    """Read a file. Raises TermsError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TermsError(f"{path}: cannot read it: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TermsError(f"{path}: not TOML: {error}") from None
    return terms_of(tables)


def terms_of(tables: Mapping[str, object]) -> Terms:
    """Read a parsed file; the keys it leaves out keep the venue's values. Raises TermsError."""
    faults = [f"{name}: {_unknown(name, [TABLE])}" for name in tables if name != TABLE]
    table = tables.get(TABLE, {})
    values: dict[str, Any] = {}
    if not isinstance(table, Mapping):
        faults.append(f"{TABLE}: expected a table [{TABLE}], was {table!r}")
    else:
        values = _values(table, faults)
    if faults:
        raise TermsError("\n".join(faults))
    return Terms(**values)


def _values(table: Mapping[str, object], faults: list[str]) -> dict[str, Any]:
    fields = attrs.fields_dict(Terms)
    hints = get_type_hints(Terms)
    values: dict[str, Any] = {}
    for name, raw in table.items():
        if name not in fields:
            faults.append(f"{TABLE}.{name}: {_unknown(name, fields)}")
            continue
        try:
            values[name] = _field(fields[name], hints[name], raw)
        except ValueError as error:
            faults.append(f"{TABLE}.{name}: {error.args[0]}")
    return values


def _field(field: attrs.Attribute[Any], hint: Any, raw: object) -> Any:
    value = _CONVERTER.structure(raw, hint)
    if field.validator is not None:
        # Validators of terms look at the value alone: a term that needed another would be two
        # readings of one fact.
        field.validator(None, field, value)
    return value


def _unknown(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; expected one of {', '.join(known)}"


def _exact(value: object, hint: type) -> Any:
    """cattrs itself would turn "7" into 7 and "false" into True."""
    if type(value) is not hint:
        raise ValueError(f"expected {_WORDS[hint]}, was {value!r}")
    return value


def _texts(value: object, _: type) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"expected a list of texts, was {value!r}")
    return tuple(value)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for hint in _WORDS:
        converter.register_structure_hook(hint, _exact)
    converter.register_structure_hook_func(lambda hint: hint == tuple[str, ...], _texts)
    return converter


_CONVERTER = _make_converter()
