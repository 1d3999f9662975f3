"""Entries as text: everything comes back as it was, and what cannot be read is refused."""

from __future__ import annotations

from typing import get_args

import orjson
import pytest
from hypothesis import given
from journal_kit import CONDITION, ONE_OF_EACH, drawn, intent

from polybot.journal.entries import Entry, Rearmed, decode, encode, market_of


@pytest.mark.parametrize("number", range(len(ONE_OF_EACH)))
def test_an_entry_comes_back(number: int) -> None:
    """Encoding loses nothing, for every kind of entry and of what it holds."""
    entry = ONE_OF_EACH[number]
    kind, body = encode(entry)

    assert kind == type(entry).__name__
    assert isinstance(orjson.loads(body), dict)
    assert decode(kind, body) == entry


def test_every_kind_is_tried() -> None:
    """The list above names every kind, so that a new one cannot be forgotten."""
    assert {type(entry) for entry in ONE_OF_EACH} == set(get_args(Entry))


@given(drawn)
def test_drawn_entries_come_back(entry: Entry) -> None:
    """The same for any amounts and texts."""
    assert decode(*encode(entry)) == entry


def test_market_of() -> None:
    """An entry belongs to its market, or to the wallet as a whole."""
    assert market_of(intent()) == CONDITION
    assert market_of(ONE_OF_EACH[2]) == CONDITION
    assert market_of(Rearmed("operator")) == ""


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Nonsense", "{}"),
        ("Rearmed", "{}"),
        ("Rearmed", "[]"),
        ("Rearmed", '{"by":"x","extra":1}'),
        ("Rearmed", "not json"),
        ("Told", '{"condition_id":"0x","event":{"is":"Nothing"}}'),
    ],
)
def test_what_cannot_be_read(kind: str, body: str) -> None:
    """An unknown kind, a missing or an extra field: ValueError, never half an entry."""
    with pytest.raises(ValueError, match="cannot be read"):
        decode(kind, body)
