"""A place that cannot be written is told before the work, by every command that has one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from polybot.lab import backtest, soak, sweep
from polybot.lab.commands import run
from polybot.lab.places import file_place, folder_place, put


@pytest.mark.parametrize(
    ("place", "name", "why"),
    [
        (file_place, "nowhere/x.json", "make it first"),
        (file_place, "folder", "name a file in it"),
        (folder_place, "file", "is no folder"),
        (folder_place, "file/deeper/still", "is no folder"),
    ],
)
def test_a_wrong_place(tmp_path: Path, place: Callable[[str], Path], name: str, why: str) -> None:
    """With what is wrong about it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(Exception, match=why):
        place(str(tmp_path / name))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (file_place, "new.json"),
        (file_place, "file"),
        (folder_place, "folder"),
        (folder_place, "new/deep/place"),
    ],
)
def test_a_good_place(tmp_path: Path, place: Callable[[str], Path], name: str) -> None:
    """What is there, and what can be made; nothing is made yet."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    assert place(str(tmp_path / name)) == tmp_path / name
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}


def test_a_place_of_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name lies in the folder one is in."""
    monkeypatch.chdir(tmp_path)

    assert (file_place("x.json"), folder_place("runs")) == (Path("x.json"), Path("runs"))


@pytest.mark.parametrize("place", [file_place, folder_place])
def test_a_place_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[str], Path]
) -> None:
    """Who may not write there hears it."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(Exception, match="may not be written"):
        place(str(tmp_path / "x"))


def test_a_folder_in_which_nothing_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could be written is not enough: at first it lies under another name."""
    (tmp_path / "x.json").touch()
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)

    with pytest.raises(Exception, match="may not be written"):
        file_place(str(tmp_path / "x.json"))


def test_half_of_a_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is stopped while he writes leaves what was there, and nothing else."""
    path = tmp_path / "model.json"
    put(path, b"an older one")
    real = Path.write_bytes

    def stopped(place: Path, data: bytes) -> int:
        real(place, data[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", stopped)
    with pytest.raises(KeyboardInterrupt):
        put(path, b"a newer one")

    assert [one.name for one in tmp_path.iterdir()] == ["model.json"]
    assert path.read_bytes() == b"an older one"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is written."""
    (tmp_path / "link").symlink_to(tmp_path / "model.json")
    put(tmp_path / "link", b"a model")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "model.json").read_bytes() == b"a model"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """What is no file has no other name until it is whole: it gets what there is to say."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        put(pipe, b"a model")
        assert os.read(reading, 100) == b"a model"
    finally:
        os.close(reading)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "words",
    [
        ("backtest", "PATH", "--json"),
        ("backtest", "PATH", "--picture"),
        ("sweep", "PATH", "--out", "x", "--picture"),
        ("soak", "--done"),
        ("calibration", "--diagram"),
        ("crash-sweep", "--done"),
        ("latency-fit", "TAPE", "--out"),
        ("maker-match", "--done"),
        ("queue-fit", "TAPE", "--out"),
        ("season", "--candles", "x.csv", "--out"),
    ],
    ids=" ".join,
)
def test_every_command_looks_first(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2, and the remedy; the recordings it names are not looked at."""
    mains = {"backtest": backtest.main, "sweep": sweep.main, "soak": soak.main}
    name, *rest = words
    rest.append(str(tmp_path / "nowhere" / "x.png"))

    with pytest.raises(SystemExit) as ended:
        mains[name](rest) if name in mains else run(name, rest)

    assert ended.value.code == 2
    assert "make it first" in capsys.readouterr().err
