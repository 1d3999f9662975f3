"""A backtest and paper on the same recorded window: the same fills, to share and millisecond."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from backtest_kit import ROOT, SLUGS, files, models, odd_pace, still_recording

from polybot.exchange.recording_beats import SUFFIX
from polybot.lab import paper_twin
from polybot.lab.paper_twin import Comparison, Filled, compare, in_backtest, table, twins

ONE = Filled(1_000, "Up", "BUY", 4900, 10_000_000, maker=True)


def test_backtest_and_paper_agree_fill_for_fill() -> None:
    """The whole bot over sockets in virtual time, and the core alone: with the same seed, queue
    model and constant latency every fill is the same, in a book that changes once a second
    (strategy.md 17).
    """
    found = compare(*twins(still_recording(), odd_pace(), models("pessimistic", "25")))

    assert found.agree, "\n".join(table(found))
    assert found.same >= 5


def test_another_latency_does_not_agree() -> None:
    """The comparison can fail: a backtest that takes ten times as long is filled otherwise."""
    fast = in_backtest(still_recording(), odd_pace(), models(latency="25"))
    slow = in_backtest(still_recording(), odd_pace(), models(latency="250"))

    assert not compare(fast, slow).agree


def test_what_was_not_read_is_no_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs agree on the part of a recording that both could read: that is told, with code 1."""
    monkeypatch.setattr(paper_twin, "twins", lambda *_: ([ONE], [ONE]))
    words = ["--config", str(ROOT / "config.toml")]
    assert paper_twin.main([str(files()[0]), *words]) == 0
    copy = tmp_path / files()[0].name
    copy.write_bytes(files()[0].read_bytes())
    (tmp_path / f"{SLUGS[1]}{SUFFIX}").write_bytes(files()[0].read_bytes())

    assert paper_twin.main([str(tmp_path), *words, "--windows", "2"]) == 1
    assert "comes a second time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--queue", "hopeful"], "unknown queue model"),
        (["--config", "gone.toml"], "gone.toml"),
    ],
)
def test_bad_words(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2 and a line, as of a backtest; each was a traceback."""
    with pytest.raises(SystemExit) as ended:
        paper_twin.main([str(files()[0]), "--config", str(ROOT / "config.toml"), *words])

    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_fills_are_paired_once() -> None:
    """Two that are alike on one side and one on the other leave one over; a little later is near,
    much later is another.
    """
    later, much_later = attrs.evolve(ONE, at_ms=1_500), attrs.evolve(ONE, at_ms=5_000)

    assert compare([ONE, ONE], [ONE]) == Comparison(1, 0, (ONE,), ())
    assert compare([ONE], [later]) == Comparison(0, 1, (), ())
    assert compare([ONE], [much_later]) == Comparison(0, 0, (ONE,), (much_later,))
    assert "paper alone: 5000 BUY Up 10 at 0.49" in list(table(compare([ONE], [much_later])))
