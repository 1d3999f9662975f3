"""Death, restart, stop and re-arm with real processes: exchange, engine and operator apart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from acceptance_kit import PATIENCE_S, ROOT, command, window_start_s

from polybot.journal.tape import Kind, Reader
from polybot.lab.replay import main as replay
from polybot.lab.simulation_departures import LOOKS

SPEED = "4"


@attrs.frozen
class Desk:
    """An exchange that runs, and a folder with a configuration and the exchange's line."""

    folder: Path
    line: dict[str, Any]

    def words(self) -> list[str]:
        config, venue = self.folder / "config.toml", self.folder / "venue.json"
        return ["--config", str(config), "--world", f"exchange:{venue}"]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One of polybot's commands, to its end."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "polybot", *words, *self.words()],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    def engine(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "polybot", "--series", "btc-5m", *self.words(), *words],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Our account by the exchange's own books."""
        address = self.line["wallet"]["deposit"]
        query = {"address": address}
        reply = httpx.get(f"{self.line['admin']}/state", params=query, timeout=PATIENCE_S)
        found: dict[str, Any] = reply.json()
        return found

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        for _ in range(PATIENCE_S * 5):
            state = self.state()
            if condition(state):
                return state
            time.sleep(0.2)
        raise AssertionError(f"in vain: {what}; {state}")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    text = text.replace('folder = "journal"', f'folder = "{tmp_path / "journal"}"')
    text = text.replace("vol_prior_annual = 0.0", "vol_prior_annual = 0.45")
    text = text.replace('series = ["btc-1h", "btc-5m"]', 'series = ["btc-5m"]')
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    usual = ("--seed", "3", "--series", "btc-5m", "--intensity", "0.02", "--speed", SPEED)
    with command(*usual, "--start", str(window_start_s(phase_s=20))) as running:
        line = running.first_line()
        (tmp_path / "venue.json").write_text(line, encoding="utf-8")
        yield Desk(tmp_path, json.loads(line))
        assert running.stop(signal.SIGINT) == 0


def test_killed_and_started_again(desk: Desk) -> None:
    """kill −9 with orders resting: the next start cancels them, takes the books over and trades on;
    at its end nothing rests and both books agree (F63, S4).
    """
    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")
    engine.kill()
    assert engine.wait(PATIENCE_S) == -signal.SIGKILL
    placed = desk.state()["orders_received"]

    summary = desk.folder / "summary.json"
    again = desk.engine("--summary", str(summary))
    desk.until(lambda state: state["orders_received"] > placed, "it trades on")
    again.send_signal(signal.SIGINT)
    assert again.wait(PATIENCE_S) == 0
    state, report = desk.state(), json.loads(summary.read_text(encoding="utf-8"))
    assert state["live_orders"] == 0
    assert round(report["equity_bot"] * 1_000_000) == state["equity"]
    assert report["invalid_orders"] == 0


def test_stop_now_and_rearm(desk: Desk) -> None:
    """`stop --now` ends a running engine and everything that rests, and halts the wallet: the next
    start places nothing, until `rearm` (S12, G10).
    """
    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")

    stopped = desk.run("stop", "--now")
    assert (stopped.returncode, engine.wait(PATIENCE_S)) == (0, 0), stopped.stderr
    assert "no order rests" in stopped.stdout
    assert desk.state()["live_orders"] == 0

    placed = desk.state()["orders_received"]
    assert desk.engine("--for", "40s").wait(PATIENCE_S) == 0
    assert desk.state()["orders_received"] == placed, "a halted wallet places nothing"

    shown = desk.run("rearm", "--show")
    assert "stopped by the operator" in shown.stdout
    assert "re-armed" in desk.run("rearm").stdout
    assert desk.run("rearm").stdout == "nothing is halted\n"
    again = desk.engine()
    desk.until(lambda state: state["orders_received"] > placed, "it trades again")
    again.send_signal(signal.SIGINT)
    assert again.wait(PATIENCE_S) == 0


def test_stop_now_with_the_engine_dead(desk: Desk) -> None:
    """The engine was killed and its orders rest: the operator's process needs nobody else."""
    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")
    engine.kill()
    engine.wait(PATIENCE_S)

    stopped = desk.run("stop", "--now")
    assert stopped.returncode == 0, stopped.stderr
    assert desk.state()["live_orders"] == 0
    assert "halted" in stopped.stdout


def test_a_second_engine_is_refused(desk: Desk) -> None:
    """Two engines on one wallet: the second is told who has it, and leaves with code 4 (F76)."""
    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")

    second = desk.run("--series", "btc-5m")
    assert second.returncode == 4
    assert f"in use by process {engine.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    engine.send_signal(signal.SIGINT)
    assert engine.wait(PATIENCE_S) == 0


def test_the_tape_of_a_run(desk: Desk) -> None:
    """Whatever was heard and sent is on it, whole after an orderly end, and no secret is (S22)."""
    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")
    engine.send_signal(signal.SIGINT)
    assert engine.wait(PATIENCE_S) == 0

    (path,) = (desk.folder / "journal" / "tapes").glob("*.tape")
    with Reader(path) as reader:
        events = list(reader.events())
    assert reader.damage is None
    streams = {(event.kind, event.stream.split()[0]) for event in events}
    assert {(Kind.HEARD, name) for name in ("market", "user", "prices", "rest")} <= streams
    sent = [event.body for event in events if event.kind is Kind.SENT]
    assert any(body.startswith(b"POST /order") for body in sent)
    assert any(body.startswith(b"DELETE /cancel-all") for body in sent)
    wallet, everything = desk.line["wallet"], b"".join(event.body for event in events)
    for name in ("private_key", "api_secret", "passphrase", "relayer_api_key"):
        secret = wallet[name].removeprefix("0x").encode()
        assert secret not in everything, name
    assert replay([str(path)]) == 0, "every decision is made again from it"


def test_a_process_that_stood_still(desk: Desk) -> None:
    """Stopped by a SIGSTOP until the venue's own switch has withdrawn everything: it asks what
    rests, or withdraws, before it places anything again, and both books agree (F50).
    """
    summary = desk.folder / "summary.json"
    engine = desk.engine("--summary", str(summary))
    desk.until(lambda state: state["live_orders"], "the first quotes")
    engine.send_signal(signal.SIGSTOP)
    placed = desk.until(lambda state: not state["live_orders"], "a lapse")["orders_received"]
    engine.send_signal(signal.SIGCONT)
    desk.until(lambda state: state["orders_received"] > placed, "it trades on")
    engine.send_signal(signal.SIGINT)
    assert engine.wait(PATIENCE_S) == 0
    state, report = desk.state(), json.loads(summary.read_text(encoding="utf-8"))
    assert round(report["equity_bot"] * 1_000_000) == state["equity"]
    assert report["invalid_orders"] == state["live_orders"] == 0

    (path,) = (desk.folder / "journal" / "tapes").glob("*.tape")
    with Reader(path) as reader:
        events = list(reader.events())
    stood = max(range(1, len(events)), key=lambda n: events[n].at_ns - events[n - 1].at_ns)
    sent = [event.body for event in events[stood:] if event.kind is Kind.SENT]
    first = next(body for body in sent if body.startswith((*LOOKS, b"POST /order")))
    assert first.startswith(LOOKS)
    assert replay([str(path)]) == 0, "every decision is made again, over the standstill"


@pytest.mark.parametrize("words", [("stop",), ("rearm", "--nonsense")])
def test_bad_words(words: tuple[str, ...]) -> None:
    """A bad command line is exit code 2 and one line, and nothing has been done."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "polybot", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_doctor(desk: Desk) -> None:
    """`doctor` finds nothing wrong with a sound venue, in a table and as JSON, and leaves nothing
    behind; with the engine running it says so and places nothing.
    """
    well = desk.run("doctor", "--order")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "none failed" in well.stdout
    assert desk.state()["live_orders"] == 0

    engine = desk.engine()
    desk.until(lambda state: state["live_orders"], "the first quotes")
    busy = desk.run("doctor", "--order", "--json")
    told = {row["check"]: row for row in json.loads(busy.stdout)["checks"]}
    assert f"in use by process {engine.pid}" in told["journal"]["found"]
    assert told["far order"]["grade"] == "failed"
    assert busy.returncode == 1
    engine.send_signal(signal.SIGINT)
    assert engine.wait(PATIENCE_S) == 0


def test_the_doctor_of_a_bad_configuration(tmp_path: Path) -> None:
    """What cannot be read is a failed check like any other, one line each, without a traceback."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "polybot", "doctor", "--config", str(tmp_path / "none.toml")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip

    assert done.returncode == 1
    assert "failed   configuration" in done.stdout
    assert "Traceback" not in done.stderr
