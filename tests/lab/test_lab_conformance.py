"""The checklist of the embedded exchange: whole, claimed, and told as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from polybot.__main__ import main
from polybot.lab import conformance
from polybot.lab.conformance import (
    FAILED,
    PASSED,
    SKIPPED,
    Claim,
    between_markers,
    claims,
    page_table,
    rows,
    run_tests,
)

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {row.id for row in rows()}
UNCOVERED = (ROOT / conformance.UNCOVERED).read_text().split()


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_rows_are_named_after_their_sections() -> None:
    """An id is its document, section and slug, and there is one of each."""
    ids = [row.id for row in rows()]

    assert "clob-3.8-gtd-early" in ids
    assert "feeds-12.1-no-new-assets" in ids
    assert len(set(ids)) == len(ids) > 350
    for row in rows():
        assert row.says
        assert "|" not in row.says.replace("\\|", ""), f"{row.id} would break the table"


def test_every_mark_names_a_row() -> None:
    """A test that claims a sentence nobody wrote shows nothing."""
    assert not [claim for claim in claims() if claim.row not in KNOWN]


def test_every_row_has_a_test_or_is_known_to_have_none() -> None:
    """The list of what is open names rows without a test and no others: it can only shrink."""
    covered = {claim.row for claim in claims()}

    assert sorted(KNOWN - covered) == sorted(UNCOVERED)


def test_the_page_tells_what_the_marks_say() -> None:
    """The table in docs/exchange.md has today's rows and tests, and tells of no failure."""
    told = cells(between_markers((ROOT / conformance.PAGE).read_text()))

    assert [row[:3] for row in told] == [row[:3] for row in cells(page_table({}))], (
        "run `python -m polybot lab conformance`"
    )
    assert not [row for row in told if row[3] == FAILED]


PLAYED = """
import pytest

@pytest.mark.conforms("clob-2.1-create", "clob-2.1-derive")
def test_good():
    pass

@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.conforms("clob-2.1-derive")
def test_half(odd):
    assert not odd

@pytest.mark.conforms("clob-2.1-list")
@pytest.mark.skipif(True, reason="no data")
def test_skipped():
    pass

def test_of_something_else():
    assert False
"""


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """A project of four tests."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_played.py").write_text(PLAYED)
    return tmp_path


def test_claims_are_read_without_running(played: Path) -> None:
    """Each mark of each test gives one claim per row."""
    name = "tests/test_played.py"

    assert claims(played) == [
        Claim(f"{name}::test_good", "clob-2.1-create"),
        Claim(f"{name}::test_good", "clob-2.1-derive"),
        Claim(f"{name}::test_half", "clob-2.1-derive"),
        Claim(f"{name}::test_skipped", "clob-2.1-list"),
    ]


def test_outcomes_are_those_of_the_run(played: Path) -> None:
    """Only claiming tests run; one bad case fails its test, a skipped one shows nothing; a row is
    as good as its worst test.
    """
    outcomes = run_tests(played)

    assert outcomes == {
        "tests/test_played.py::test_good": PASSED,
        "tests/test_played.py::test_half": FAILED,
    }
    ends = {row[0]: row[3] for row in cells(page_table(outcomes, played))}
    assert ends["clob-2.1-create"] == PASSED
    assert ends["clob-2.1-derive"] == FAILED
    assert ends["clob-2.1-list"] == SKIPPED
    assert ends["clob-2.1-delete"] == conformance.OPEN


@pytest.mark.parametrize(
    "text",
    [
        'mark = pytest.mark.conforms("clob-2.1-create")',
        'def test_x():\n    pytest.mark.conforms("clob-2.1-create")',
        "@pytest.mark.conforms(NAME)\ndef test_x(): ...",
        '@pytest.mark.conforms("clob-2.1-create")\ndef no_test(): ...',
    ],
)
def test_a_claim_nobody_could_attribute_is_refused(played: Path, text: str) -> None:
    """A mark in the wrong place is told, rather than overlooked."""
    (played / "tests" / "test_odd.py").write_text(text)

    with pytest.raises(ValueError, match="test_odd"):
        claims(played)


@pytest.mark.parametrize("write", [True, False])
def test_the_command_writes_what_it_saw(
    played: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], write: bool
) -> None:
    """The table goes between the markers, what is covered leaves the list, and an open row is exit
    code 1; `--check` writes nothing.
    """
    page, listed = played / conformance.PAGE, played / conformance.UNCOVERED
    for path in (page, listed):
        path.parent.mkdir(parents=True)
    page.write_text(f"before\n{conformance.BEGIN}\nold\n{conformance.END}\nafter\n")
    listed.write_text("clob-2.1-create\nclob-2.1-delete\n")
    monkeypatch.setattr(conformance, "ROOT", played)
    monkeypatch.setattr(
        conformance, "run_tests", lambda: {"tests/test_played.py::test_good": PASSED}
    )

    assert main(["lab", "conformance", *([] if write else ["--check"])]) == 1
    assert "no test: | clob-2.1-delete |" in capsys.readouterr().out
    table = between_markers(page.read_text())
    assert (table == "old") is not write
    if write:
        assert "| clob-2.1-create | POST /auth/api-key" in table
        assert page.read_text().endswith("after\n")
        assert listed.read_text() == "clob-2.1-delete\n"


def test_the_page_can_be_put_in_step_without_a_run(
    played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page knew of a test it still says, in every row the test now claims; what it did
    not know is no pass.
    """
    page, listed = played / conformance.PAGE, played / conformance.UNCOVERED
    for path in (page, listed):
        path.parent.mkdir(parents=True)
    known = "| clob-2.1-create | says | test_played.py::test_good | pass |"
    page.write_text(f"{conformance.BEGIN}\n{known}\n{conformance.END}\n")
    listed.write_text("clob-2.1-derive\nclob-2.1-delete\n")
    monkeypatch.setattr(conformance, "ROOT", played)

    assert main(["lab", "conformance", "--marks-only"]) == 1
    ends = {row[0]: row[3] for row in cells(between_markers(page.read_text()))}
    assert ends["clob-2.1-create"] == ends["clob-2.1-derive"] == PASSED
    assert ends["clob-2.1-list"] == SKIPPED
    assert listed.read_text() == "clob-2.1-delete\n"


def test_an_unknown_command_is_a_bad_word(capsys: pytest.CaptureFixture[str]) -> None:
    """`lab` tells its commands."""
    with pytest.raises(SystemExit) as left:
        main(["lab", "dance"])

    assert left.value.code == 2
    assert "conformance" in capsys.readouterr().err
