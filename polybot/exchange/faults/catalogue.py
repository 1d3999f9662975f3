"""Every fault by name, and the table an operator reads."""

from __future__ import annotations

from polybot.exchange.faults import kinds_rest, kinds_settlement, kinds_stream, kinds_venue
from polybot.exchange.faults.kinds import REST, STREAMS, VENUE, Kind, Param

CATALOGUE: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *kinds_rest.KINDS,
        *kinds_stream.KINDS,
        *kinds_venue.KINDS,
        *kinds_settlement.KINDS,
    )
}
PLACES = (*REST, *STREAMS, VENUE)


def table() -> str:
    """The catalogue as text: name, numbers, where, when, what it does, parameters."""
    rows = [("fault", "numbers", "at", "when", "what happens")]
    for kind in CATALOGUE.values():
        name = kind.name if kind.storms else f"{kind.name} {'*' if kind.lasting else '+'}"
        rows.append((name, kind.numbers, _places(kind), kind.when.value, kind.does))
        rows.extend(("", "", "", "", f"  {_shown(param)}") for param in kind.params)
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]))
        for row in rows
    ]
    left_out = "* a storm leaves it out: a sound client stops for good; + it came after the storms"
    return "\n".join((*lines, "", left_out))


def _places(kind: Kind) -> str:
    families: dict[tuple[str, ...], str] = {REST: "any REST", STREAMS: "any stream"}
    return families.get(kind.links, " ".join(kind.links))


def _shown(param: Param) -> str:
    low, high = param.default
    usual = f"{low}" if low == high else f"{low} to {high}"
    if param.among:
        usual = f"one of {', '.join(map(str, param.among))}"
    return f"{param.name}: {usual} ({param.unit}; {param.low} to {param.high})"
