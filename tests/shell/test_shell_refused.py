"""What may refuse a start on paper, and what is a fault of ours: the exit code tells them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polybot import guest, launch
from polybot.program import main

LINE = {
    "clob": "http://127.0.0.1:9", "admin": "http://127.0.0.1:9/admin", "speed": 1,
    "wallet": {
        "private_key": f"0x{'11' * 32}", "address": f"0x{'22' * 20}", "api_key": "key",
        "api_secret": "c2VjcmV0", "passphrase": "words", "deposit": f"0x{'33' * 20}",
        "relayer_api_key": "relayer",
    },
}  # fmt: skip


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line on paper, with a journal of its own."""
    file = tmp_path / "paper.toml"
    file.write_text(f'[journal]\nfolder = "{tmp_path}"\n')
    return ["--config", str(file), "--summary", str(tmp_path / "summary.json")]


def strange(*_: object) -> None:
    raise ValueError("a strange body")


def test_a_fault_of_a_guest_is_no_bad_configuration(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A ValueError that nobody foresaw was told in a line, as a start that cannot be, and without
    the traceback and the summary by which it is found.
    """
    line = tmp_path / "exchange.json"
    line.write_text(json.dumps(LINE))
    monkeypatch.setattr(guest, "clock_of", strange)

    assert main([*words, "--world", f"exchange:{line}"]) == launch.EXIT_ORDERS_LIVE

    said = capsys.readouterr().err
    assert "cannot start" not in said
    assert "ORDERS MAY STILL BE LIVE" in said
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["exit_reason"] == "error: ValueError"


def test_a_fault_on_paper_is_no_bad_configuration(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """As with a guest, once the venue that the configuration names has been made."""
    monkeypatch.setattr(launch, "paper_journal", strange)

    assert main(words) == launch.EXIT_OTHER

    assert "cannot start" not in capsys.readouterr().err
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["exit_reason"] == "error: ValueError"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--world", "exchange:nowhere.json"], "nowhere.json: no running exchange"),
        (["--world", "recording:nowhere"], "no recording at nowhere"),
        (["--terms", "nowhere.toml"], "nowhere.toml: cannot read it"),
    ],
)
def test_a_venue_that_cannot_be_made_refuses_the_start(
    words: list[str], more: list[str], said: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In one line with the code of a bad configuration: no traceback, and nothing has run."""
    assert main([*words, *more]) == launch.EXIT_CONFIG

    err = capsys.readouterr().err
    assert err.startswith(f"cannot start: {said}")
    assert err.count("\n") == 1
    assert not (tmp_path / "summary.json").exists()
