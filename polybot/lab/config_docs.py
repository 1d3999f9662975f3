"""`python -m polybot lab config-docs > docs/config.md`: every key of the file, by its type.

Unit, range, default and sentence are read from the attrs classes that check the file, so that the
page cannot say anything else than what is checked; a test holds the page against it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import types
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from polybot.config import Config

HEAD = """# Configuration

Every key of `config.toml`, with its unit, its range and its default. A key left out keeps its
default; an unknown key, a wrong type or a value out of range is refused at the start with exit code
2, all of them at once.

This page is made by `python -m polybot lab config-docs > docs/config.md` from the types that check
the file.
"""

# What a name ends with says its unit; the longest ending counts.
ENDINGS = {
    "_annual": "per year (0.45 is 45 %)",
    "_bp": "basis points",
    "_fraction": "part of the whole",
    "_log_odds": "log-odds",
    "_mb": "megabytes",
    "_minute": "per minute",
    "_day": "per day",
    "_ms": "milliseconds",
    "_percent": "percent",
    "_per_s": "per second",
    "_per_share": "log-odds per share",
    "_s": "seconds",
    "_h": "hours",
    "_shares": "shares",
    "_ticks": "ticks",
    "_usd": "dollars",
    "_usd_per_market": "dollars",
    "_usd_per_token": "dollars",
    "_orders_per_market": "orders",
}
UNITS = {
    "base_edge": "dollars per share",
    "counts": "part of the reward",
    "correlation_prior": "correlation",
    "earn_calls": "calls",
    "earn_half_life": "calls",
    "earn_t": "standard errors",
    "fast_sigmas": "standard deviations",
    "flow_beta": "factor",
    "flow_memory": "part of the window",
    "high_from": "urgency, 0 to 1",
    "intensity": "factor",
    "jump_share": "part of variance",
    "jumps_per_hour": "per hour",
    "kappa": "standard deviations",
    "market_error": "log-odds",
    "medium_from": "urgency, 0 to 1",
    "model_weight_max": "weight",
    "pair_apart": "dollars per pair",
    "pair_jump": "dollars per pair",
    "pair_late": "dollars per pair",
    "pair_unpaired": "dollars per pair",
    "parity_buffer": "dollars per pair",
    "parity_leg_fails": "probability",
    "price_collar": "dollars",
    "rebate_counts": "part of the rebate",
    "relief_pay": "dollars per share",
    "regime_crisis_spread": "dollars",
    "regime_high_depth": "shares",
    "regime_high_spread": "dollars",
    "regime_low_depth": "shares",
    "regime_low_spread": "dollars",
    "rivals_undercut": "part of improvements",
    "score_horizon": "part of the window",
    "sigma_error": "relative",
    "size_floor": "part of the size",
    "size_growth": "factor",
    "speed": "venue seconds per second",
    "stale_exchange_size": "part of the size",
    "stop_move": "dollars",
    "target_total_max": "dollars per pair",
    "toxic_half_life": "fills",
    "toxic_least_fills": "fills",
    "toxic_least_for_mean": "fills",
    "toxic_shrink": "factor",
    "toxic_t": "standard errors",
    "toxic_widen": "factor",
    "vol_error": "log volatility",
    "vol_weights": "weights",
    "wait_value": "dollars per share",
}


@attrs.frozen
class Key:
    """One key as the page shows it."""

    name: str
    unit: str
    bounds: str
    default: str
    sentence: str


def sections() -> Iterator[tuple[str, type[attrs.AttrsInstance]]]:
    """The sections of the file with the class that checks each, in the file's order."""
    hints = get_type_hints(Config)
    for field in attrs.fields(Config):
        if field.name != "keys":
            yield field.name, hints[field.name]


def keys(cls: type[attrs.AttrsInstance]) -> list[Key]:
    """Every key of one section. Raises KeyError for one whose unit nobody has named."""
    said, hints = sentences(cls), get_type_hints(cls)
    return [
        Key(
            field.name,
            unit(field.name, hints[field.name]),
            bounds(field.validator),
            toml(field.default),
            said[field.name],
        )
        for field in attrs.fields(cls)
    ]


def sentences(cls: type) -> dict[str, str]:
    """The texts below the fields, in one line each."""
    (body,) = (
        n.body for n in ast.parse(inspect.getsource(cls)).body if isinstance(n, ast.ClassDef)
    )
    found: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[field.target.id] = " ".join(text.value.split())
    return found


def unit(name: str, hint: Any) -> str:
    """What a value counts, by its type, by name, or by the ending of its name."""
    kinds = {bool: "true or false", str: "text"}
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint in kinds:
        return kinds[hint]
    if get_origin(hint) is tuple and get_args(hint)[0] is str:
        return "list of texts"
    if name in UNITS:
        return UNITS[name]
    endings = sorted((end for end in ENDINGS if name.endswith(end)), key=len)
    if endings:
        return ENDINGS[endings[-1]]
    if hint is int:
        return "count"
    raise KeyError(name)


def bounds(validator: Any) -> str:
    """The range that a validator allows, as far as it is one."""
    parts = getattr(validator, "_validators", (validator,))
    said = []
    for part in parts:
        if hasattr(part, "member_validator"):
            said.append(f"each {bounds(part.member_validator)}")
        elif hasattr(part, "compare_op"):
            sign = {">=": "≥", "<=": "≤"}.get(part.compare_op, part.compare_op)
            said.append(f"{sign} {part.bound:g}")
        elif hasattr(part, "options"):
            said.append(", ".join(map(str, part.options)))
    return ", ".join(said)


def toml(value: Any) -> str:
    """A default as the file would say it; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for name, cls in sections():
        lines += [f"## [{name}]", "", "| key | unit | range | default | |", "|---|---|---|---|---|"]
        for key in keys(cls):
            default = f"`{key.default}`" if key.default else "–"
            row = (f"`{key.name}`", key.unit, key.bounds or "–", default, key.sentence)
            lines.append("| " + " | ".join(row) + " |")
        lines.append("")
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Print the page; takes no words."""
    about = "Print docs/config.md, as the types that check the file have it."
    ArgumentParser(prog="polybot lab config-docs", description=about).parse_args(words)
    sys.stdout.write(page())
    return 0
