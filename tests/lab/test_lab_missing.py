"""What a command is given to read and cannot: told in a line that names it, with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from polybot.__main__ import main


@pytest.mark.parametrize(
    "line",
    [
        "tape info PATH",
        "tape cat PATH",
        "tape export PATH out.csv",
        "replay PATH",
        "lab queue-fit PATH",
        "lab latency-fit PATH",
        "lab divergence PATH PATH",
        "lab calibration --log PATH",
        "lab wire-recording PATH out",
        "lab season --candles PATH --symbol btcusd --out out.json",
    ],
)
def test_a_file_that_is_not_there(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file first and what is wrong with it, as everywhere: no number, no quotes."""
    monkeypatch.chdir(tmp_path)

    assert main(line.replace("PATH", "gone.tape").split()) == 2
    assert capsys.readouterr().err == "gone.tape: No such file or directory\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("lab calibrate-crowd --sample gone", "gone: no folder of recorded books"),
        ("lab calibrate-crowd --sample empty", "empty: no folder of recorded books"),
        ("lab calibration --recordings gone", "gone: no folder of recordings"),
        ("lab calibration --recordings empty", "no sample with a known result in empty"),
        ("lab calibration", "known result: give --log, --recordings or --crowd"),
        ("lab divergence other.json other.json", "give a file of `backtest --runs`, or a tape"),
        ("lab divergence text.json text.json", "give a file of `backtest --runs`, or a tape"),
    ],
)
def test_what_holds_nothing_of_use(
    line: str,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong folder, or a file of another kind, is named with the remedy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"mode": "paper"}')
    (tmp_path / "text.json").write_text("hello")

    assert main(line.split()) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("replay x.tape --speed fast", "expected max or a factor, was 'fast'"),
        ("tape export x.tape nowhere/out.csv", "there is no folder nowhere: make it first"),
    ],
)
def test_what_is_refused_before_a_tape_is_read(
    line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word of the command line that cannot be meant, in the program's words."""
    with pytest.raises(SystemExit) as ended:
        main(line.split())

    assert ended.value.code == 2
    assert told in capsys.readouterr().err
