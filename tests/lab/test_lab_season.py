"""`lab season`: candles of an archive, holes between them, and whose season it is."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from polybot import season_file
from polybot.lab import season
from polybot.pricing.season import Season


def candles(path: Path, *, weeks: int = 5, scale: int = 1, head: str = "") -> Path:
    rng, price, lines = random.Random(2), 60_000.0, [head] if head else []
    for step in range(weeks * 7 * 288):
        lively = 3.0 if (step // 12) % 24 == 14 else 1.0
        price *= math.exp(1e-3 * lively * rng.gauss(0, 1))
        at = (1_790_553_600_000 + step * 300_000) * scale
        lines.append(f"{at},0,0,0,{price:.2f},0,0,0,0,0,0,0")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(("scale", "head"), [(1, ""), (1000, ""), (1, "open_time,open,high")])
def test_a_season_is_fitted_and_read_back(
    scale: int, head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Archive files in milliseconds or microseconds, with a heading or without."""
    source, out = candles(tmp_path / "c.csv", scale=scale, head=head), tmp_path / "s.json"
    out.write_bytes(season_file.text({"ethusd": Season()}))

    code = season.main(["--candles", str(source), "--symbol", "btcusd", "--out", str(out)])

    assert code == 0
    assert "14h" in capsys.readouterr().out
    found = season_file.read(out)
    assert set(found) == {"btcusd", "ethusd"}
    assert found["btcusd"].factors[14] > 2 * found["btcusd"].factors[3]


def test_holes_between_candles_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the archive that was forgotten is a day of the week less to go by."""
    source, words = (
        candles(tmp_path / "c.csv"),
        ["--symbol", "btcusd", "--out", str(tmp_path / "s")],
    )
    assert season.main(["--candles", str(source), *words]) == 0
    assert "holes" not in capsys.readouterr().out
    lines = source.read_text().splitlines()
    source.write_text("\n".join(lines[:400] + lines[688:3000] + lines[3100:]))

    assert season.main(["--candles", str(source), *words]) == 0
    assert "not in it: 2 holes of 32 h in all" in capsys.readouterr().out


def test_bad_candles_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few weeks, a line that is none, a price that is none: exit code 2, nothing written."""
    out = tmp_path / "s.json"
    few = candles(tmp_path / "few.csv", weeks=2)
    torn = tmp_path / "torn.csv"
    torn.write_text("1790553600000,0,0,0,60000\nx,y\n")
    negative = tmp_path / "negative.csv"
    negative.write_text("1790553600000,0,0,0,-5\n")
    cut = candles(tmp_path / "cut.csv")
    cut.write_text(cut.read_text()[:-17])  # within the last price, of which half is one, too
    for path in (few, torn, negative, cut, tmp_path / "none.csv"):
        assert season.main(["--candles", str(path), "--symbol", "btcusd", "--out", str(out)]) == 2

    assert "line 2" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "content", [b"[]", b"{}}", b'{"btcusd": {"factors": [1]}}', b'{"b": {"factors": "x"}}']
)
def test_a_damaged_season_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """What is no file of seasons is a reason, not a season."""
    path = tmp_path / "s.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match="no file of seasons"):
        season_file.read(path)


def test_a_symbol_that_nothing_is_priced_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of it would be read, and never used: refused, with the names that are known."""
    source = candles(tmp_path / "c.csv")
    with pytest.raises(SystemExit) as ended:
        season.main(["--candles", str(source), "--symbol", "BTC", "--out", str(tmp_path / "s")])
    assert ended.value.code == 2
    assert "btcusd" in capsys.readouterr().err
