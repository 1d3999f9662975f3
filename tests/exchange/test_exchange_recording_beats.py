"""Recordings in polybot's own form: what is written is read, and damage is never silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
import zstandard
from hypothesis import given, settings, strategies as st
from world_kit import Stage

from polybot.exchange import recording_beats, recording_formats
from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Resolution, Snapshot
from polybot.exchange.model import BUY, DOWN, SELL, UP
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_beats import SUFFIX, Window, write
from polybot.exchange.recording_files import Warnings

OPEN_MS = 1_795_132_800_000
SLUG = f"btc-updown-5m-{OPEN_MS // 1000}"
WINDOW = Window(
    SLUG, "a test", DOWN, 90_000.0, 89_999.5,
    chainlink=((OPEN_MS - 1_000, 90_001.25), (OPEN_MS, 90_000.0)), binance=((OPEN_MS, 90_050.0),),
)  # fmt: skip
BEATS: list[Beat] = [
    Snapshot(OPEN_MS, {4900: 100 * UNIT}, {5100: 50 * UNIT}, tick=100),
    Changes(OPEN_MS + 20, ((BUY, 4900, 80 * UNIT), (SELL, 5200, 7 * UNIT))),
    Print(OPEN_MS + 25, DOWN, BUY, 5000, 3 * UNIT),
    NewTick(OPEN_MS + 30, 10),
]


def beats_of(path: Path) -> tuple[list[Beat], list[str]]:
    recording = recording_formats.read(path)
    (tape,) = recording.tapes
    return list(tape.beats()), recording.warnings


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Beats, prices and outcome come back as they were given."""
    path = write(tmp_path, WINDOW, BEATS)
    recording = recording_formats.read(tmp_path)
    (tape,) = recording.tapes

    assert beats_of(path) == (BEATS, [])
    assert (tape.slug, tape.winner, tape.strike, tape.final) == (SLUG, DOWN, 90_000.0, 89_999.5)
    assert recording.prices is not None
    assert recording.prices.chainlink("btc", OPEN_MS) == 90_000.0
    assert recording.prices.binance("btc", OPEN_MS) == 90_050.0
    assert [file.name for file in tmp_path.iterdir()] == [f"{SLUG}{SUFFIX}"], "no .part is left"


@pytest.mark.parametrize("name", ["market-ws.sorted.jsonl.zst", "btcusdt_1.txt.gz", "notes.txt"])
def test_a_folder_of_windows_holds_nothing_else(name: str, tmp_path: Path) -> None:
    """Of what stands beside them one or the other would be passed over without a word."""
    write(tmp_path, WINDOW, BEATS)
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(ValueError, match="name one file"):
        recording_formats.read(tmp_path)


SIZES = st.dictionaries(st.integers(1, ONE - 1), st.integers(1, 10**12), max_size=5)
SIDES = st.sampled_from((BUY, SELL))


@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.builds(Snapshot, st.just(5), SIZES, SIZES, tick=st.none()),
            st.builds(
                Changes,
                st.just(5),
                st.lists(
                    st.tuples(SIDES, st.integers(1, ONE), st.integers(0, 10**12)), max_size=4
                ).map(tuple),
            ),
            st.builds(
                Print,
                st.just(5),
                st.sampled_from((UP, DOWN)),
                SIDES,
                st.integers(1, ONE),
                st.integers(1, 10**12),
            ),
        ),
        max_size=8,
    )
)
def test_any_beats(tmp_path_factory: pytest.TempPathFactory, beats: list[Beat]) -> None:
    """Whatever a market does is kept to the last unit."""
    path = write(tmp_path_factory.mktemp("beats"), WINDOW, beats)

    assert beats_of(path) == (beats, [])


def test_it_plays_in_the_recording_world(tmp_path: Path) -> None:
    """The book of the world is the file's, and its market ends as it did."""
    stage = Stage(RecordedWorld(write(tmp_path, WINDOW, BEATS)))
    stage.run(OPEN_MS + 40)
    market = stage.market(OPEN_MS)

    assert dict(stage.engine.levels(market.tokens[UP])[0]) == {4900: 80 * UNIT}
    assert dict(stage.engine.levels(market.tokens[UP])[1]) == {5100: 50 * UNIT, 5200: 7 * UNIT}
    assert market.tick == 10
    stage.run(OPEN_MS + 500_000)
    assert market.winner == DOWN


@pytest.mark.parametrize("winner", [UP, DOWN])
def test_a_strike_that_nobody_told_is_that_of_the_prices(tmp_path: Path, winner: int) -> None:
    """A tape that heard who won but not the strike: the strike shown lies where the prices were, or
    the bot would be sure of a market that nobody was sure of, and the winner is the recorded one.
    """
    prices = tuple((OPEN_MS + 1_000 * n, 120_000.0 - n) for n in range(-100, 400))
    window = attrs.evolve(WINDOW, winner=winner, strike=None, final=None, chainlink=prices)
    stage = Stage(RecordedWorld(write(tmp_path, window, BEATS)))
    stage.run(OPEN_MS + 120_000)
    market = stage.market(OPEN_MS)

    strike = stage.lifecycle.shown_strike(market, OPEN_MS + 120_000)
    assert strike == pytest.approx(120_000.0, abs=60)
    assert stage.oracle.twap("btc", OPEN_MS) == strike, "the stream says the same"
    stage.run(OPEN_MS + 500_000)
    assert market.winner == winner


def plain(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


def rewritten(path: Path, data: bytes) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(data))
    return path


def test_a_file_cut_short(tmp_path: Path) -> None:
    """The beats before the cut are used, and it is said."""
    path = write(tmp_path, WINDOW, BEATS * 50)
    whole = plain(path)
    beats, warnings = beats_of(rewritten(path, whole[: len(whole) * 2 // 3]))

    assert 0 < len(beats) < len(BEATS) * 50
    assert any("only the" in warning for warning in warnings)


def test_a_broken_stream(tmp_path: Path) -> None:
    """Bytes that are no zstd end the reading where they begin, and it is said."""
    beats = [Print(OPEN_MS + n, UP, BUY, 5000, n * 7919 % 10**9 + 1) for n in range(60_000)]
    path = write(tmp_path, WINDOW, beats)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)
    path.write_bytes(raw)
    found, warnings = beats_of(path)

    assert found == beats[: len(found)]
    assert 10_000 < len(found) < len(beats)
    assert warnings


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    """The order of the file stands: an older stamp counts as the one before it."""
    beats = [NewTick(OPEN_MS + 10, 10), NewTick(OPEN_MS + 5, 100), NewTick(OPEN_MS + 20, 10)]
    found, warnings = beats_of(write(tmp_path, WINDOW, beats))

    assert [beat.at_ms - OPEN_MS for beat in found] == [10, 10, 20]
    assert any("went back 1 times" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("head", "match"),
    [
        ({"polybot": "beats", "version": 99}, "newer polybot"),
        ({"polybot": "something"}, "not what its name promises"),
        ({"polybot": "beats", "version": 1, "slug": "eth-up", "told": ""}, "eth-up"),
        ([1, 2], "not what its name promises"),
    ],
)
def test_a_foreign_file(tmp_path: Path, head: Any, match: str) -> None:
    """What is not ours, or newer than we are, is refused with the remedy."""
    path = rewritten(tmp_path / f"{SLUG}{SUFFIX}", msgpack.packb(head))

    with pytest.raises(ValueError, match=match):
        recording_formats.read(path)


def test_bytes_of_nothing(tmp_path: Path) -> None:
    """An empty file and one that is no zstd are refused."""
    path = tmp_path / f"{SLUG}{SUFFIX}"
    for data in (b"", b"hello"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="not what its name promises"):
            recording_formats.read(path)


def test_a_result_is_no_beat(tmp_path: Path) -> None:
    """A resolution goes into the head: writing one is a bug of ours, and leaves no file."""
    with pytest.raises(ValueError, match="no beat"):
        write(tmp_path, WINDOW, [Resolution(OPEN_MS, UP)])
    assert not list(tmp_path.iterdir())


def test_prices_of_overlapping_windows_count_once(tmp_path: Path) -> None:
    """Two windows tell the same minutes: one history, each stamp once."""
    write(tmp_path, WINDOW, BEATS)
    later = attrs.evolve(WINDOW, slug=f"btc-updown-5m-{OPEN_MS // 1000 + 300}", told="later")
    write(tmp_path, later, [])
    recording = recording_beats.load(sorted(tmp_path.iterdir()), Warnings())

    assert [tape.slug for tape in recording.tapes] == [WINDOW.slug, later.slug]
    assert recording.end_ms - recording.start_ms == 600_000 + 90_000 + 200_000


def test_a_window_that_comes_twice(tmp_path: Path) -> None:
    """A copy under another name is told and left out: its player had no place, and the exchange
    ended in a traceback.
    """
    path = write(tmp_path, WINDOW, BEATS)
    copy = tmp_path / path.name.replace(SLUG, "a-copy")
    copy.write_bytes(path.read_bytes())
    stage = Stage(RecordedWorld(tmp_path))
    stage.run(OPEN_MS + 1_000)

    assert f"{SLUG} comes a second time: left out" in stage.world.name
