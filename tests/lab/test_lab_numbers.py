"""Numbers on a command line: what makes no sense is told before the work, by every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from polybot.lab import numbers, soak, tape
from polybot.lab.commands import run


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (numbers.count, "1", 1), (numbers.seed, "0", 0), (numbers.whole(-3), "-3", -3),
        (numbers.intensity, "20", 20.0), (numbers.above(0), "1e-3", 0.001),
    ],
)  # fmt: skip
def test_a_number_in_its_range(read: Callable[[str], float], text: str, value: float) -> None:
    """Its ends included, but for the one that it must be above."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (numbers.count, "0", "a whole number from 1 on, was '0'"),
        (numbers.count, "2.5", "a whole number from 1 on, was '2.5'"),
        (numbers.seed, "-1", "a whole number from 0 on"),
        (numbers.intensity, "0", "above 0 and at most 20, was '0'"),
        (numbers.intensity, "20.1", "above 0 and at most 20"),
        (numbers.intensity, "nan", "above 0 and at most 20"),
        (numbers.above(0), "inf", "a number above 0, was 'inf'"),
        (numbers.above(0), "many", "a number above 0, was 'many'"),
    ],
)
def test_a_number_out_of_it(read: Callable[[str], float], text: str, why: str) -> None:
    """Told with the range and with what was said."""
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        read(text)

    assert why in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        "lab agreement --hours 0", "lab agreement --seed -1", "lab calibration --crowd -3",
        "lab calibration --crowd 1 --intensity 0", "lab crash-sweep --points 0",
        "lab exchange-speed --orders 0", "lab exchange-speed --seconds nan",
        "lab fuzz --requests 0", "lab maker-match --intervals 1", "lab maker-match --seeds 0",
        "lab maker-match --intensity 0", "lab naive-maker --markets 1",
        "lab naive-maker --intensity -1", "lab paper-twin x --windows 0",
        "lab paper-twin x --latency -1", "lab soak-orders --sequences 0",
        "lab synthetic-day x --windows 0", "lab synthetic-day x --every -1",
        "lab synthetic-day x --intensity 0", "lab calibrate-crowd --markets 0",
        "tape cat x --last -1", "soak --links -1",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_at_once(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the option's name, with code 2: no traceback, and no work of which nothing comes."""
    name, *rest = words.removeprefix("lab ").split(" ")
    elsewhere = {"tape": tape.main, "soak": soak.main}
    with pytest.raises(SystemExit) as ended:
        elsewhere[name](rest) if name in elsewhere else run(name, rest)

    assert ended.value.code == 2
    assert f"argument {words.split(' ')[-2]}: expected" in capsys.readouterr().err


def test_a_trouble_that_a_seed_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers of troubles are those of the seed: how many it has is told."""
    with pytest.raises(SystemExit) as ended:
        soak.main(["--seeds", "1-2", "--brief", "--once", "--links", "0,999"])

    assert ended.value.code == 2
    assert "troubles, counted from 0; asked for 999" in capsys.readouterr().err
