"""A run's decisions made again from its tape: all the same, and the first that is not is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import attrs
import msgpack
import orjson
import pytest
from msgspec import structs

from polybot.core_tape import INPUTS, Began, Kept, Stepped
from polybot.journal.recorder import CORE
from polybot.journal.tape import MAGIC, VERSION, Event, Header, Kind, Writer
from polybot.lab.replay import Result, main, replay, told
from polybot.lab.replay_core import NotReplayable
from polybot.lab.replay_pace import Durations, Pace
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.tape import text_of
from polybot.quote_task import QuoteTask
from polybot.quoting import ladder

SHORT = 0.05  # hours
HEADER = Header("run-1", 0, 1_795_132_800_000, "c0ffee", {}, {})
Rows = list[Event]


@pytest.fixture(scope="module")
def tape() -> Rows:
    """A quiet life of two minutes."""
    lives: list[Rows] = []
    alone = Keep(
        deaths=False, series=False, disks=False, foreign=False, revoked=False, dark=False,
        trips=False, stands=False,
    )  # fmt: skip
    one = (Life(120.0, End.STOP, 0.0),)
    case = attrs.evolve(alone.of(draw(3, SHORT)), lives=one, sniped=0.5, quiet_s=0.0)
    simulate(case, lives)
    return lives[0]


def again(rows: Rows) -> Result:
    return replay(iter(rows), Pace())


def test_every_decision_is_made_again(tape: Rows) -> None:
    """Quotes, their reasons and figures, and what the order desks let out, byte for byte."""
    result = again(tape)

    assert result.difference is None, "\n".join(told(result))
    assert result.decisions == sum(event.kind is Kind.DECIDED for event in tape)
    kinds = {event.stream.split()[0] for event in tape if event.kind is Kind.DECIDED}
    assert kinds == {"quote", "orders"}
    assert result.decisions > 500


@pytest.mark.parametrize("seed", [105, 107])
def test_lives_under_faults_with_deaths_and_restarts(seed: int) -> None:
    """Whatever the venue, the network and the operating system did: it is on the tape."""
    lives = list[Rows]()
    halves = Keep(disks=False, foreign=False)  # which end lives as well
    two = (Life(90.0, End.KILL, 5.0), Life(60.0, End.STOP, 0.0))
    case = attrs.evolve(halves.of(draw(seed, SHORT)), lives=two, sniped=0.5, quiet_s=0.0)
    simulate(case, lives)

    assert len(lives) == 2
    for rows in lives:
        result = again(rows)
        assert result.difference is None, "\n".join(told(result))
        assert result.decisions > 100


def test_prices_heard_before_anything_else(tape: Rows) -> None:
    """They are the core's as well: one stream may be up before anybody else has told anything."""
    other = next(n for n, row in enumerate(tape) if row.kind is Kind.FED and not beginning(row))
    start = [row for row in tape[:other] if row.kind is Kind.FED]
    price = next(row for row in tape if row.stream == "prices binance")

    assert again([*start, price]).inputs == len(start) + 1


def beginning(row: Event) -> bool:
    return isinstance(INPUTS.unpack(row.body), (Began, Kept))


def where(rows: Rows, kind: Kind, stream: str, after: float = 0.5) -> int:
    """The place of an event from the tape's middle on."""
    start = int(len(rows) * after)
    return next(
        n for n in range(start, len(rows)) if rows[n].kind is kind and stream in rows[n].stream
    )


def test_a_decision_that_is_not_the_recorded_one(tape: Rows) -> None:
    """Shown with its place, both versions, and the inputs before it."""
    rows = list(tape)
    place = where(rows, Kind.DECIDED, "orders")
    changed = msgpack.unpackb(rows[place].body)
    changed[0][0] = "nothing of the kind"
    rows[place] = structs.replace(rows[place], body=msgpack.packb(changed))

    found = again(rows).difference

    assert found is not None
    assert found.number == place + 1
    assert found.replayed == tape[place].body
    assert "Acted" in text_of(found.after[-1])
    text = "\n".join(told(again(rows)))
    assert "DIFFERENT at event" in text
    assert "nothing of the kind" in text


def test_a_decision_that_is_missing(tape: Rows) -> None:
    """One that the tape does not have is a difference as well, and so is one that is not made."""
    place = where(tape, Kind.DECIDED, "quote")
    missing = again([*tape[:place], *tape[place + 1 :]]).difference
    doubled = again([*tape[: place + 1], *tape[place:]]).difference

    assert missing is not None
    assert missing.recorded is None
    assert missing.replayed == tape[place].body
    assert doubled is not None
    assert doubled.replayed is None


def test_a_decision_that_is_missing_at_the_end(
    tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last one has nothing behind it that would find it out: a whole tape without it is told
    from one that is the same to its end.
    """
    place = where(tape, Kind.DECIDED, "quote")
    written(tmp_path / "run-1-0000.tape", tape[:place])

    assert main([str(tmp_path)]) == 1
    assert "1 decisions more than the tape ends with" in capsys.readouterr().out
    assert again(tape).beyond == 0


def test_frames_that_are_missing_are_noticed(tape: Rows) -> None:
    """A replay depends on its inputs: without a second of prices the fair value differs. A single
    one may say what the one before it has said.
    """
    place = where(tape, Kind.HEARD, "prices binance")
    until_ns = tape[place].at_ns + 1_000_000_000
    missing = [
        row for row in tape[place:] if row.at_ns < until_ns and row.stream == tape[place].stream
    ]

    assert len(missing) > 1
    assert again([row for row in tape if row not in missing]).difference is not None


def test_a_core_that_decides_otherwise_is_noticed(tape: Rows) -> None:
    """A change of the quoter shows at the first quote that it changes."""
    real = ladder.grid_floor
    lower = lambda price, tick: max(tick, real(price, tick) - tick)  # noqa: E731
    with mock.patch("polybot.quoting.decide.grid_floor", lower):
        found = again(tape).difference

    assert found is not None
    assert found.stream.startswith(("quote", "orders"))


def test_a_turn_that_is_not_repeated_is_noticed(tape: Rows) -> None:
    """Decisions that are not made at all are told at the first."""
    with mock.patch.object(QuoteTask, "turn", return_value=None):
        found = again(tape).difference

    assert found is not None
    assert found.replayed is None


def test_a_core_that_fails_is_no_damaged_tape(
    tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug of ours is shown as one, with the inputs that lead to it, whatever its kind: a
    ValueError was told as a tape that cannot be read.
    """
    written(tmp_path / "run-1-0000.tape", tape)
    turn = mock.Mock(side_effect=ValueError("a bug of ours"))
    with mock.patch.object(QuoteTask, "turn", turn):
        assert main([str(tmp_path)]) == 1

    said = capsys.readouterr()
    assert not said.err
    assert "the core FAILS at event" in said.out
    assert "Traceback" in said.out
    assert "ValueError: a bug of ours" in said.out
    shown = [line for line in said.out.splitlines() if line.startswith("  ") and " core: " in line]
    assert "Stepped" in shown[-1], "the input that it fails at is the last one"


# --- tapes that are not whole ---------------------------------------------------------------------


def test_what_was_dropped_ends_the_replay(tape: Rows) -> None:
    """Where the disk was too slow the tape says so, and no more can be concluded."""
    told_ = Event(tape[2000].at_ns, Kind.TOLD, "tape", b"3 events dropped")
    result = again([*tape[:2000], told_, *tape[2000:]])

    assert result.stopped == "3 events dropped"
    assert result.difference is None
    assert "stopped where the tape says: 3 events dropped" in told(result)


def test_a_tape_without_its_beginning(tape: Rows) -> None:
    """Nothing can be decided again without the settings and what was known at the start."""
    first = next(n for n, event in enumerate(tape) if b"Began" in event.body)
    for short in (tape[first + 1 :], tape[:first], []):
        with pytest.raises(NotReplayable, match="beginning of its run"):
            again(short)


def written(path: Path, rows: Rows, header: Header = HEADER) -> Path:
    writer = Writer(path, header)
    plain = [(row.at_ns, int(row.kind), row.stream, row.body) for row in rows]
    for begin in range(0, len(plain), 1000):
        writer.write(plain[begin : begin + 1000])
    writer.close()
    return path


def test_a_journal_of_another_version(tape: Rows) -> None:
    """An entry that this version does not know is said to be one, and no bug of the core."""
    began = next(n for n, row in enumerate(tape) if b"Began" in row.body)
    strange = Event(tape[began].at_ns, Kind.FED, CORE, INPUTS.pack(Kept(0, "elsewhere", "{}")))

    with pytest.raises(NotReplayable, match="journal entry of kind 'elsewhere'"):
        again([*tape[: began + 1], strange, *tape[began + 1 :]])


def test_the_command(tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says how much it has compared, how fast it was and what took how long; 0 when all agree."""
    written(tmp_path / "run-1-0000.tape", tape)
    assert main([str(tmp_path)]) == 0

    said = capsys.readouterr().out
    assert "no difference" in said
    assert "messages" in said
    assert {"books", "prices", "quotes", "order desks"} <= {
        line.split("  ")[0] for line in said.splitlines()
    }


def test_files_that_have_been_moved(tape: Rows) -> None:
    """What the exchange was made of has decided nothing: a run far away by a fitted file was told
    to be none of this version, once the file lay elsewhere.
    """
    began = INPUTS.unpack(tape[0].body)
    settings = orjson.loads(began.settings)
    moved = {
        "latency": "fitted:/gone",
        "queue": "fitted:/gone",
        "faults": "/gone",
        "terms": "/gone",
    }
    settings["paper"] |= moved
    told_so = attrs.evolve(began, settings=orjson.dumps(settings))
    rows = [structs.replace(tape[0], body=INPUTS.pack(told_so)), *tape[1:4000]]

    found = again(rows)
    assert found.difference is None
    assert found.decisions


def test_the_command_at_a_pace(
    tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousandfold pace: how far the core fell behind is told."""
    written(tmp_path / "run-1-0000.tape", tape[:4000])
    assert main([str(tmp_path), "--speed", "1000"]) == 0

    assert "at 1000-fold pace at most" in capsys.readouterr().out


def test_a_tape_that_was_cut(
    tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The readable part is compared, and the code says that it was not all."""
    path = written(tmp_path / "run-1-0000.tape", tape[:5000])
    path.write_bytes(path.read_bytes()[:-100])

    assert main([str(path)]) == 1
    said = capsys.readouterr()
    assert "no difference" in said.out
    assert "cut at byte" in said.err


def test_a_tape_that_was_damaged_in_its_middle(
    tape: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes behind the damage, in another file, rests on inputs that are gone: to go on with
    it showed a difference that no core had made.
    """
    path = written(tmp_path / "run-1-0000.tape", tape[:5000])
    written(tmp_path / "run-1-0001.tape", tape[5000:7000], attrs.evolve(HEADER, part=1))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)

    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "no difference" in said.out
    assert "damaged at byte" in said.err


def bad_tapes(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder, "no tape in this folder"
    (folder / "x.tape").write_bytes(b"nothing")
    yield folder / "x.tape", "not a tape"
    rows = [Event(0, Kind.FED, CORE, INPUTS.pack(Stepped("a")))]
    yield written(folder / "a-0000.tape", rows), "beginning of its run"
    later = attrs.evolve(HEADER, part=2)
    yield written(folder / "b-0002.tape", rows, later), "first 2 files are gone"
    strange = [Event(0, Kind.FED, CORE, b"\xc1")]
    yield written(folder / "c-0000.tape", strange), "not a value of ours"
    other = Began(b'{"quote": {"no_such_key": 1}}', {})
    rows = [Event(0, Kind.FED, CORE, INPUTS.pack(value)) for value in (other, Stepped("a"))]
    yield written(folder / "d-0000.tape", rows), "none of this version"
    old = written(folder / "e-0000.tape", rows)
    whole = bytearray(old.read_bytes())
    whole[len(MAGIC)] = VERSION - 1
    old.write_bytes(whole)
    yield old, "replay it with the polybot that made it"


def test_what_cannot_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No tape, no beginning, values or settings of another version: code 2, and why."""
    for path, why in bad_tapes(tmp_path):
        assert main([str(path)]) == 2, why
        assert why in capsys.readouterr().err


def test_durations_are_kept_within_a_few_percent() -> None:
    """Percentiles out of a histogram: within two in a hundred of the truth."""
    times = Durations()
    for ns in range(1, 10_001):
        times.add(ns * 100)

    assert times.at(0.5) == pytest.approx(500_000, rel=0.04)
    assert times.at(0.99) == pytest.approx(990_000, rel=0.04)
    assert Durations().at(0.5) == 0


def test_a_value_of_another_version_is_shown_as_it_is_packed() -> None:
    """A decision with a reason that this version does not know is told, and is no crash."""
    body = msgpack.packb({"is": "Why", "of": "a reason of next year"})

    assert "next year" in text_of(Event(0, Kind.DECIDED, "quote btc", body))
    assert "next year" in text_of(Event(0, Kind.FED, CORE, body))
