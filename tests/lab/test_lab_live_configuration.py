"""A live configuration in the laboratory: it is tried as it is, and no key is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from backtest_kit import ROOT, files

from polybot.lab import backtest, paper_twin, sweep

Command = Callable[[Sequence[str]], int]


@pytest.mark.parametrize(
    "command", [backtest.main, sweep.main, paper_twin.main], ids=["backtest", "sweep", "twin"]
)
def test_no_key_is_asked_for(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent anywhere, and these commands have no `--mode`: they refused the very file
    whose settings were to be tried, and `lab paper-twin` with a traceback. The next word that is
    wrong is named, so the file was read.
    """
    path = tmp_path / "live.toml"
    text = (ROOT / "config.toml").read_text()
    assert 'mode = "paper"' in text
    path.write_text(text.replace('mode = "paper"', 'mode = "live"', 1))
    words = [str(files()[0]), "--config", str(path), "--queue", "none"]
    words += ["--out", str(tmp_path / "out")] if command is sweep.main else []

    with pytest.raises(SystemExit) as ended:
        command(words)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "unknown queue model" in told
    assert "PM_PRIVATE_KEY" not in told
