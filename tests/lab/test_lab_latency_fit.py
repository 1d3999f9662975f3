"""How long our own ways took, from stamps that are known (a bot's own: with the queue's fit)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgpack
import pytest

from polybot.exchange.latency_models import LONGEST_MS, latencies
from polybot.journal.tape import Event, Header, Kind, Writer
from polybot.lab.latency_fit import KEPT, LEAST, kept, main, trouble, ways

T0 = 1_795_132_800_000
ORDER, FEED, NEWS = 31, 7, 12


def heard(at_ms: int, stream: str, *rows: dict[str, object], alone: bool = False) -> Event:
    body = json.dumps(rows[0] if alone else rows).encode()
    return Event(at_ms * 10**6, Kind.HEARD, stream, body)


def posted(at_ms: int, *orders: tuple[str, str]) -> Event:
    rows = [[id_, "Up", "BUY", 4800, 10**7, kind, 0, True, 0, "quote"] for id_, kind in orders]
    body = msgpack.packb([["cancel", ["0xold"]], ["post", *rows]])
    return Event(at_ms * 10**6, Kind.DECIDED, "orders btc-updown-5m-1795132800", body)


def told(at_ms: int, stamp: object, id_: str = "0xa", type_: str = "PLACEMENT") -> Event:
    row = {"event_type": "order", "type": type_, "id": id_, "timestamp": stamp}
    return heard(at_ms, "user", row, alone=True)


def change(at_ms: int, stamp: object, kind: str = "price_change") -> Event:
    return heard(at_ms, "market x", {"event_type": kind, "timestamp": stamp})


def a_day(count: int = LEAST, ahead_ms: int = 0) -> list[Event]:
    """Orders, frames and events a second apart, on a machine whose clock is ahead by so much."""
    events = []
    for n in range(count):
        at_ms = T0 + 1_000 * n
        placed = at_ms + ORDER - ahead_ms
        events += [
            posted(at_ms, (f"0x{n}", "GTC")),
            told(placed + NEWS + ahead_ms, str(placed), f"0x{n}"),
            change(at_ms + FEED, str(at_ms - ahead_ms)),
        ]
    return events


def test_each_way_is_what_the_stamps_say() -> None:
    """From decision to placement, from there to the news of it, from a change to its receipt."""
    found = ways(a_day())

    assert found == {"feed": [FEED] * LEAST, "order": [ORDER] * LEAST, "news": [NEWS] * LEAST}
    assert trouble(found) is None


@pytest.mark.parametrize(
    "event",
    [
        told(T0 + 50, "1795132800"),
        told(T0 + 50, ""),
        told(T0 + 50, None),
        heard(T0, "user", {"event_type": "trade", "timestamp": str(T0 - 9), "id": "0xa"}),
        Event(T0 * 10**6, Kind.HEARD, "user", b"PONG"),
        Event(T0 * 10**6, Kind.HEARD, "user", b"7"),
        change(T0 + 50, str(T0 - 100_000), "book"),
        change(T0 + 50, str(T0 - 80), "last_trade_price"),
        Event(T0 * 10**6, Kind.SENT, "user", b"PING"),
    ],
)
def test_what_tells_no_way_is_left_out(event: Event) -> None:
    """Whole seconds, trades, snapshots with the stamp of long ago, and what is no JSON."""
    assert ways([posted(T0, ("0xa", "GTC")), event]) == {"feed": [], "order": [], "news": []}


def test_takers_and_repetitions_do_not_count() -> None:
    """The venue holds a taker back by a rule of its own; an order is placed once."""
    events = [
        posted(T0, ("0xa", "FAK"), ("0xb", "GTD")),
        told(T0 + 190, str(T0 + 180), "0xa"),
        told(T0 + 40, str(T0 + 30), "0xb"),
        told(T0 + 9_040, str(T0 + 30), "0xb"),
        told(T0 + 50, str(T0 + 45), "0xforeign"),
    ]

    assert ways(events)["order"] == [30]


def test_an_order_whose_placement_was_missed_is_not_placed_by_its_end() -> None:
    """Its cancellation, hours later, is news and no placement."""
    events = [posted(T0, ("0xa", "GTC")), told(T0 + 9_000, str(T0 + 8_990), "0xa", "CANCELLATION")]

    assert ways(events) == {"feed": [], "order": [], "news": [10]}


def test_clocks_that_disagree_are_told() -> None:
    """Nothing arrives before it was sent; one stray value among many is not the clock."""
    why = trouble(ways(a_day(ahead_ms=40)))

    assert why is not None
    assert "order: 30 of 30 are below zero" in why
    assert "9 ms apart" in why
    stray = ways(a_day(200))
    stray["feed"][7] = -1
    assert trouble(stray) is None


def test_too_few_say_nothing() -> None:
    """Of every way as many are needed."""
    why = trouble(ways(a_day(LEAST - 1)))

    assert why is not None
    assert f"{LEAST} are needed" in why


def test_a_file_keeps_the_spread() -> None:
    """A thousand of many, in order, and nothing that a backtest would refuse."""
    many = kept([*range(100_000), -5, LONGEST_MS * 3])

    assert len(many) == KEPT
    assert many[KEPT // 2] == pytest.approx(50_000, abs=100)
    assert many == sorted(many)
    assert kept([-3, 4, 10**9]) == [0, 4, LONGEST_MS]


def tape_of(path: Path, events: list[Event]) -> str:
    writer = Writer(path, Header(path.stem, 0, T0, "", {}, {}))
    writer.write([(one.at_ns, int(one.kind), one.stream, one.body) for one in events])
    writer.close()
    return str(path)


def test_the_file_is_a_backtests_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each way is drawn from what was measured of it."""
    out = tmp_path / "latency.json"

    assert main([tape_of(tmp_path / "one.tape", a_day()), "--out", str(out)]) == 0

    assert f"--latency fitted:{out}" in capsys.readouterr().out
    model, rng = latencies(f"fitted:{out}"), random.Random(1)
    assert (model.feed(rng), model.order(rng), model.news(rng)) == (FEED, ORDER, NEWS)


def test_several_tapes_are_one_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each all is read that can be; one that was cut is told, and code 1 says so. The same one
    twice is none, and is refused.
    """
    out = tmp_path / "latency.json"
    names = ("good", "other", "cut")
    good, other, cut = (tape_of(tmp_path / f"{name}.tape", a_day()) for name in names)
    Path(cut).write_bytes(Path(cut).read_bytes()[:-1])

    assert main([good, good, "--out", str(out)]) == 2
    assert "good.tape: part 0 of run good was named before" in capsys.readouterr().err
    assert main([good, other, "--out", str(out)]) == 0
    assert f"feed{2 * LEAST:>14}" in capsys.readouterr().out
    assert main([cut, good, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert f"feed{2 * LEAST:>14}" in told.out
    assert "cut.tape: cut at byte" in told.err


def test_figures_that_are_wrong_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are shown, with the reason; nor is work begun whose place cannot be written."""
    out = tmp_path / "latency.json"

    assert main([tape_of(tmp_path / "off.tape", a_day(ahead_ms=40)), "--out", str(out)]) == 1
    assert "apart" in capsys.readouterr().out
    assert not out.exists()
    good = tape_of(tmp_path / "good.tape", a_day())
    assert main([str(tmp_path / "none.tape")]) == 2
    with pytest.raises(SystemExit):
        main([good, "--out", str(tmp_path / "nowhere" / "x.json")])


@pytest.mark.parametrize("text", ["", "[]", '{"feed": [1], "order": [2]}', '{"feed": 1}', "x"])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    """The message names the file and the command that makes one."""
    path = tmp_path / "latency.json"
    path.write_text(text)

    with pytest.raises(ValueError, match="lab latency-fit"):
        latencies(f"fitted:{path}")


@pytest.mark.parametrize("values", [[], [-1], [LONGEST_MS + 1], [1.5], ["3"]])
def test_values_that_are_none(tmp_path: Path, values: list[object]) -> None:
    """No way is drawn from what cannot be."""
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({"feed": [1], "order": [1], "news": values}))

    with pytest.raises(ValueError, match="expected whole milliseconds"):
        latencies(f"fitted:{path}")
