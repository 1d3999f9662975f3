"""The page of the configuration: complete, and what the types say today."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from attrs import validators as v

from polybot.lab.config_docs import bounds, keys, main, page, sections, toml, unit
from polybot.quoting.params import QuoteParams

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config.md"


def test_the_page_is_up_to_date() -> None:
    """docs/config.md is what the types say; if not: `python -m polybot lab config-docs > …`."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(("name", "cls"), list(sections()))
def test_every_key_has_all_it_needs(name: str, cls: type[attrs.AttrsInstance]) -> None:
    """A unit, a sentence that ends, and a default or none that means something (issue D)."""
    found = keys(cls)

    assert {key.name for key in found} == {field.name for field in attrs.fields(cls)}
    for key in found:
        assert key.unit, f"{name}.{key.name}"
        assert key.sentence.endswith("."), f"{name}.{key.name}"


def test_a_key_as_the_page_shows_it() -> None:
    """Range and default are those of the class."""
    (levels,) = (key for key in keys(QuoteParams) if key.name == "levels")

    assert (levels.unit, levels.bounds, levels.default) == ("count", "≥ 1, ≤ 3", "2")


def test_what_has_no_unit_is_a_fault() -> None:
    """A number whose name says nothing must be named, or the page would be silent about it."""
    with pytest.raises(KeyError, match="flux"):
        unit("flux", float)
    assert unit("wait_s", float) == "seconds"
    assert unit("max_order_usd", int) == "dollars"
    assert unit("name", str | None) == "text"


def test_defaults_and_ranges_as_the_file_says_them() -> None:
    """TOML's spelling, and validators in words."""
    assert [toml(value) for value in (True, 0.5, "a", (), (1.0, 2.0), None)] == [
        "true", "0.5", '"a"', "[]", "[1.0, 2.0]", "",
    ]  # fmt: skip
    assert bounds(v.in_((0, 1))) == "0, 1"
    assert bounds(v.and_(v.gt(0), v.le(5))) == "> 0, ≤ 5"
    assert bounds(None) == ""


def test_it_takes_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the page, refuses what it does not know, and has a help, as `lab --help`
    says of each.
    """
    assert main([]) == 0
    assert capsys.readouterr().out == page()
    for word, code in (("--oops", 2), ("--help", 0)):
        with pytest.raises(SystemExit) as left:
            main([word])
        assert left.value.code == code
    assert "docs/config.md" in capsys.readouterr().out
