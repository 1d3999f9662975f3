"""Terms from a file: strict, with everything that is wrong named at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from polybot.exchange.terms import Terms
from polybot.exchange.terms_file import TermsError, read_terms, terms_of


def read(text: str) -> Terms:
    return terms_of(tomllib.loads(text))


def faults(text: str) -> list[str]:
    with pytest.raises(TermsError) as refused:
        read(text)
    return str(refused.value).splitlines()


def test_an_empty_file_is_the_venue_as_it_is() -> None:
    """What is not said keeps its value."""
    assert read("") == read("[venue]") == Terms()


def test_every_term_can_be_written_and_reads_back() -> None:
    """No field has a type the reader does not know."""
    usual = attrs.asdict(Terms())
    assert terms_of({"venue": {k: _as_toml(v) for k, v in usual.items()}}) == Terms()


def _as_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_values_take_their_place() -> None:
    """A whole number, a truth value, a text and a list."""
    terms = read(
        '[venue]\npost_only_s = 60\norders_survive_restart = false\ncountry = "US"\n'
        'close_only_countries = ["XX"]'
    )
    changed = Terms(
        post_only_s=60, orders_survive_restart=False, country="US", close_only_countries=("XX",)
    )
    assert terms == changed


def test_all_faults_are_told_at_once() -> None:
    """Unknown keys with the likely one, wrong types, values out of range, foreign tables."""
    found = faults(
        "[venue]\npost_only = 60\ntaker_delay_ms = -1\norders_survive_restart = 1\n"
        'restart_retry_after_s = "7"\nprotocol = "v3"\nblocked_countries = "US"\n[venus]\nx = 1'
    )
    assert [line.partition(":")[0] for line in found] == [
        "venus", "venue.post_only", "venue.taker_delay_ms", "venue.orders_survive_restart",
        "venue.restart_retry_after_s", "venue.protocol", "venue.blocked_countries",
    ]  # fmt: skip
    assert found[0] == "venus: unknown key; did you mean venue?"
    assert found[1] == "venue.post_only: unknown key; did you mean post_only_s?"
    assert found[3] == "venue.orders_survive_restart: expected true or false, was 1"
    assert found[4] == "venue.restart_retry_after_s: expected a whole number, was '7'"


def test_a_table_is_a_table() -> None:
    """Not a number, not a list."""
    assert faults("venue = 3") == ["venue: expected a table [venue], was 3"]


def test_files(tmp_path: Path) -> None:
    """A file is read; one that is missing, no text or no TOML is refused by its name."""
    path = tmp_path / "terms.toml"
    path.write_text("[venue]\ntaker_delay_ms = 50\n", encoding="utf-8")
    assert read_terms(path).taker_delay_ms == 50
    for content in (b"[venue", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(TermsError, match=r"terms\.toml: not TOML"):
            read_terms(path)
    with pytest.raises(TermsError, match="cannot read it: No such file"):
        read_terms(tmp_path / "none.toml")
