"""What is told of the volatility ahead, against what comes: on prices of which we know it."""

from __future__ import annotations

import io
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from polybot.exchange.recording_files import Warnings
from polybot.lab import calibration
from polybot.lab.vol_forecast import Look, Moved, Price, looks, off, qlike, recorded, tell
from polybot.pricing.params import PricingParams
from polybot.pricing.volatility import per_root_second

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "recordings"
ORACLE = RECORDINGS / "chainlink_btc_ligengxin"
CALM = per_root_second(0.3)
BEGAN_S = 1_784_851_200


def walked(hours: float, sigma: Callable[[int], float], seed: int = 1) -> list[Price]:
    """A price each second."""
    rng, x, found = random.Random(seed), 11.0, list[Price]()
    for second in range(int(hours * 3600)):
        found.append(((BEGAN_S + second) * 1000, math.exp(x)))
        x += sigma(second) * rng.gauss(0, 1)
    return found


def test_the_loss_is_least_for_the_truth() -> None:
    """In the mean, however noisy what comes is."""
    rng = random.Random(1)
    squares = [rng.gauss(0, CALM) ** 2 for _ in range(4_000)]

    def loss(scale: float) -> float:
        return math.fsum(qlike(CALM**2 * scale, square) for square in squares)

    assert loss(1.0) < min(loss(0.9), loss(1.1))


def test_what_the_price_moved_between_two_times() -> None:
    """In steps of ten seconds, the last of which ends beyond the way. A step over a hole counts for
    its time; a hole longer than a third of the way, or a way beyond the end, tells nothing.
    """
    at = [0, 4, 10, 17, 20, 30, 40, 50, 60, 70, 135, 145, 155]
    prices = [(second * 1000, math.exp(0.001 * second)) for second in at]

    moved = Moved(prices)

    assert moved.variance(0, 30_000) == pytest.approx(3 * 0.01**2 / 30)
    assert moved.variance(11_000, 49_000) == pytest.approx(0.01**2 / 10), "from 20 to 50"
    assert moved.variance(70_000, 155_000) == 0.0, "65 s of 85"
    assert moved.variance(0, 156_000) == Moved(prices[:6]).variance(0, 31_000) == 0.0
    wide = Moved([*prices, *((second * 1000, 1.2) for second in range(165, 300, 10))])
    assert wide.variance(70_000, 275_000) > 0, "65 s of 205"


def test_minutes_of_unrest_are_not_taken_for_the_hour() -> None:
    """Five lively minutes in every two hours: after them the next hour is calm. Told so, it is off
    by less than what is now; over five minutes, or without the difference, both are one.
    """
    prices = walked(8, lambda second: CALM * (4 if second % 7_200 < 300 else 1))

    found = looks(prices, PricingParams())
    alike = looks(prices, PricingParams(vol_quick_s=86_400.0))

    assert {one.gain for one in found[300]} == {0.0}
    assert {one.gain for one in alike[3600]} == {0.0}
    gains = [one.gain for one in found[3600]]
    assert math.fsum(gains) / len(gains) > 0.02
    told, present = (
        off((getattr(one, name), one.came) for one in found[3600]) for name in ("told", "present")
    )
    assert told < 0.9 * present
    first = found[3600][0]
    assert first.at_ms == (BEGAN_S + 3_600) * 1000, "after two lives of the slow estimate"
    assert found[3600][1].at_ms - first.at_ms == 30_000
    assert found[3600][-1].at_ms <= prices[-1][0] - 3_600_000, "what came is known"


def test_a_steady_price_is_told_as_it_comes() -> None:
    """Little is to be won there; told and come agree to their errors."""
    found = looks(walked(4, lambda _: CALM), PricingParams())

    for way_s, those in found.items():
        assert off((one.told, one.came) for one in those) < (0.25 if way_s == 300 else 0.16)
        assert 0.0 <= math.fsum(one.gain for one in those) / len(those) < 0.02, "less noise"


def test_the_table() -> None:
    """A line a way; a way that no recording is long enough for has none. Off by is of σ: twice the
    variance is half the logarithm of two.
    """
    double = Look(BEGAN_S * 1000, 2.0, 4.0, 1.0)
    later = attrs.evolve(double, at_ms=double.at_ms + 3_600_000)
    out = io.StringIO()

    tell(out, {300: [double, later], 600: [double, double, later], 3600: []})

    *_, five, ten = out.getvalue().splitlines()
    assert five.split()[:4] == ["5", "2", f"{math.log(2) / 2:.3f}", f"{math.log(4) / 2:.3f}"]
    assert ten.split()[:2] == ["10", "3"]
    gain = qlike(4.0, 1.0) - qlike(2.0, 1.0)
    assert five.split()[4:] == [f"{gain:+.3f}", f"[{gain:+.3f},", f"{gain:+.3f}]"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ticks are enough for it; without any, or with too few, it says what is missing."""
    head = "feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms\n"
    rows = [
        f"{at_ms},{price},{int(price * 10**6)}{'0' * 12},{at_ms + 300},{at_ms + 500}\n"
        for at_ms, price in walked(2, lambda _: CALM)
    ]
    (tmp_path / "BTCUSD-chainlink-x.csv").write_text(head + "".join(rows))

    prices = recorded(tmp_path, Warnings())
    assert [at_ms for at_ms, _ in prices] == [int(row.split(",")[0]) for row in rows]
    assert calibration.main(["--recordings", str(tmp_path), "--ahead"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[-4:]] == ["5", "10", "15", "30"]
    (tmp_path / "none").mkdir()
    assert calibration.main(["--recordings", str(tmp_path / "none"), "--ahead"]) == 2
    assert "holds none of the oracle's ticks" in capsys.readouterr().err


@pytest.mark.skipif(not ORACLE.exists(), reason="the recordings are not on this machine")
def test_on_the_recorded_half_day_an_hour_is_told_better() -> None:
    """The figures of docs/strategy.md, to a hundredth."""
    found = looks(recorded(ORACLE, Warnings()), PricingParams())

    gains = {
        way_s: math.fsum(one.gain for one in those) / len(those) for way_s, those in found.items()
    }
    assert gains[3600] > 0.03
    assert gains[1800] > 0.02
    assert gains[600] > 0
    assert off((one.told, one.came) for one in found[3600]) < 0.26
    assert off((one.present, one.came) for one in found[3600]) > 0.26


def test_a_short_recording_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """And makes no table."""
    tell(sys.stdout, looks(walked(0.5, lambda _: CALM), PricingParams()))

    assert "too short" in capsys.readouterr().out
