"""Latency models: what may be said, what is drawn, and that streams keep their order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from polybot.exchange.latency_models import Constant, LogNormal, Measured, latencies, latency
from polybot.lab.backtest_time import Stream, Timeline, Ways


def test_a_constant() -> None:
    """A number is milliseconds, for every way."""
    found = latencies("25")

    assert found.feed == found.order == found.news == Constant(25)


def test_each_way_its_own() -> None:
    """Three ways, each named once."""
    found = latencies("feed=5, order=25,news=lognormal:30:0.4")

    assert (found.feed, found.order, found.news) == (Constant(5), Constant(25), LogNormal(30, 0.4))


def test_measured_values_are_drawn_as_often_as_they_were(tmp_path: Path) -> None:
    """A file of milliseconds: only its values, in their proportion; remarks are left out."""
    path = tmp_path / "ms.txt"
    path.write_text("# a Tuesday\n10\n10\n\n30  # a hiccup\n10.2\n")
    model = latency(f"measured:{path}")
    rng = random.Random(1)
    drawn = [model(rng) for _ in range(4_000)]

    assert isinstance(model, Measured)
    assert set(drawn) == {10, 30}
    assert 0.22 < drawn.count(30) / len(drawn) < 0.28


def test_a_draw_is_the_seeds() -> None:
    """The same seed draws the same, the median is where it should be."""
    model = LogNormal(40, 0.5)
    drawn = [model(random.Random(f"{n}")) for n in range(999)]

    assert drawn == [model(random.Random(f"{n}")) for n in range(999)]
    assert 36 <= sorted(drawn)[500] <= 44


@pytest.mark.parametrize(
    "text",
    ["", "-1", "60001", "nan", "inf", "fast", "lognormal:30", "lognormal:30:9", "measured:",
     "feed=1,order=2", "feed=1,order=2,news=3,feed=4", "feed=1,order=2,mail=3"],
)  # fmt: skip
def test_nonsense_is_refused(text: str) -> None:
    """What is no latency says what would be one."""
    with pytest.raises(ValueError, match=r"expected|cannot"):
        latencies(text)


@pytest.mark.parametrize(("text", "match"), [("", "no milliseconds"), ("1\nx\n", "line 2")])
def test_a_bad_file(tmp_path: Path, text: str, match: str) -> None:
    """A file without values, or with a line that is none, is named with the line."""
    path = tmp_path / "ms.txt"
    path.write_text(text)

    with pytest.raises(ValueError, match=match):
        latency(f"measured:{path}")
    with pytest.raises(ValueError, match="cannot be read"):
        latency(f"measured:{path}.gone")


WAYS_EACH = "is no file of `lab latency-fit`: expected feed, order, news"


@pytest.mark.parametrize(
    ("text", "why"),
    [("[1]", WAYS_EACH), ('{"feed": [1]}', WAYS_EACH),
     ('{"feed": 1, "order": [1], "news": [1]}', "expected whole milliseconds from 0 to")],
)  # fmt: skip
def test_a_file_that_was_not_fitted(tmp_path: Path, text: str, why: str) -> None:
    """The file first and what is wrong with it, in words and not in Python's."""
    path = tmp_path / "fit.json"
    for kind in ("fitted", "measured"):
        with pytest.raises(ValueError, match=f"{path} cannot be read: No such file or directory$"):
            latencies(f"{kind}:{path}")
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} .*{why}"):
        latencies(f"fitted:{path}")


@given(st.lists(st.integers(0, 1_000)), st.integers(0, 99))
def test_a_stream_has_no_overtaking(gaps: list[int], seed: int) -> None:
    """Whatever is drawn: who leaves later arrives no sooner, and nobody before it left."""
    stream, now_ms, last_ms = Stream(LogNormal(50, 1.0), random.Random(seed)), 0, 0
    for gap in gaps:
        now_ms += gap
        arrives_ms = stream.arrival(now_ms)
        assert arrives_ms >= max(now_ms, last_ms)
        last_ms = arrives_ms


def test_ways_draw_apart() -> None:
    """What one way draws moves no other: a backtest with more prices has the same requests."""
    model = latencies("lognormal:50:1")
    one, other = Ways.of(model, 1), Ways.of(model, 1)
    for _ in range(10):
        one.prices.arrival(0)

    assert [one.request(0) for _ in range(5)] == [other.request(0) for _ in range(5)]


def test_acts_of_one_moment_keep_their_order() -> None:
    """By time, then by when they were added; what they add comes in its turn."""
    timeline, seen = Timeline(), list[tuple[str, int]]()

    def first(at_ms: int) -> None:
        seen.append(("a", at_ms))
        timeline.at(5, lambda at: seen.append(("d", at)))

    timeline.at(5, lambda at: seen.append(("b", at)))
    timeline.at(3, first)
    timeline.at(5, lambda at: seen.append(("c", at)))
    while timeline.next_ms() is not None:
        timeline.step()

    assert seen == [("a", 3), ("b", 5), ("c", 5), ("d", 5)]
