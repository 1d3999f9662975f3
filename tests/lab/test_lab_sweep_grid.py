"""The grid of a sweep: each configuration is one, has a name of its own, and could be run."""

from __future__ import annotations

from pathlib import Path

import pytest
from backtest_kit import ROOT, config, files

from polybot.config_read import ConfigError
from polybot.lab import sweep
from polybot.lab.sweep_grid import Axis, grid
from polybot.lab.sweep_map import cells
from polybot.lab.sweep_stats import Estimate


@pytest.mark.parametrize("values", ["0.0020000001,0.0020000002", "0.002,0.004"])
def test_two_configurations_have_two_names(values: str) -> None:
    """Windows are told and compared by the name: two under one name were added up as one."""
    points = grid(config(), [Axis.read(f"quote.base_edge={values}")])

    assert len({point.name for point in points}) == 2
    assert len({point.config.digest for point in points}) == 2


@pytest.mark.parametrize("values", ["0.002,0.002", "0.002,2e-3"])
def test_a_value_is_named_once(values: str) -> None:
    """Twice it counted twice: half the error from not one window more."""
    with pytest.raises(ValueError, match="a value is named twice"):
        Axis.read(f"quote.base_edge={values}")


def test_a_season_is_read_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the file's own is: one that is not there was a traceback of the first worker."""
    words = [str(files()[0]), "--out", str(tmp_path / "out"), "--config", str(ROOT / "config.toml")]

    with pytest.raises(SystemExit) as ended:
        sweep.main([*words, "--set", 'pricing.vol_seasons="gone.json"'])
    assert ended.value.code == 2
    assert "gone.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_one_section_asks_of_another() -> None:
    """Pairs that no limit lets be split: the file could not say it, and a sweep tried it."""
    with pytest.raises(ConfigError, match="pairs cost a dollar each"):
        grid(config(), [Axis.read("inventory.seed_shares=0,5000")])


def test_a_heat_map_of_lists() -> None:
    """A value may be a list, which no dictionary takes as a key: hours later it was a traceback."""
    axes = [
        Axis.read("pricing.vol_weights=[0.2, 0.4, 0.4],[0.4, 0.4, 0.2]"),
        Axis.read("quote.base_edge=0.002,0.004"),
    ]
    points = grid(config(), axes)
    means = {point.name: Estimate(float(n), 0.0, 0.0, 1, 1) for n, point in enumerate(points)}

    assert cells(axes[0], axes[1], points, means) == [[0.0, 1.0], [2.0, 3.0]]
