"""The exchange command as a real process, and what an outsider knows of it: one JSON line."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import attrs
import httpx

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
CHAIN_ID = 137
# No hang, only a limit for a machine that is busy: where nine programs shared two cores, one that
# only tells its usage took 13 s.
PATIENCE_S = 120
WINDOW_S = 300
LONG_S = 900
SKEW_S = 280  # an exchange that far off still takes signatures by the machine's clock
LEFT_S = 45
PORTS = 40  # in a row: those of the services, some more, and one that is held
USUAL = ("--port", "0", "--speed", "1", "--seed", "3", "--series", "btc-15m", "--intensity", "0.5")


@attrs.frozen(eq=False)
class Command:
    """One `python -m polybot exchange`, every warning an error in it too."""

    process: subprocess.Popen[str]
    complaints: IO[str]

    def first_line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        assert ready, "the exchange says nothing"
        return self.process.stdout.readline()

    def stop(self, *signals: signal.Signals) -> int:
        """Send the signals, one right after the other; returns the exit code."""
        for one in signals:
            self.process.send_signal(one)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def stderr(self) -> str:
        self.complaints.seek(0)
        return self.complaints.read()


@contextmanager
def command(*words: str) -> Iterator[Command]:
    """Start the exchange; whatever happens, it is gone at the end."""
    line = [sys.executable, "-W", "error", "-m", "polybot", "exchange", *words]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(  # noqa: S603 - our own program
            line, cwd=ROOT, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        try:
            yield Command(process, complaints)
        finally:
            process.kill()


@contextmanager
def free_ports() -> Iterator[int]:
    """The first of enough ports in a row that nobody listens on, as far as one can know. The last
    of them is held until the end: who looks at the same time, in another process, finds others,
    though an exchange takes seconds to take its own.
    """
    for first in range(21_000, 30_000, PORTS):
        with ExitStack() as looked_at, socket.socket() as held:
            try:
                held.bind(("127.0.0.1", first + PORTS - 1))
                for port in range(first, first + PORTS - 1):
                    looked_at.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            looked_at.close()
            yield first
            return
    raise AssertionError("no ports that are free")


@attrs.frozen
class Wallet:
    """The funded wallet of the JSON line, and the other wallets of its key."""

    private_key: str
    address: str
    api_key: str
    api_secret: str
    passphrase: str
    relayer_api_key: str
    proxy: str
    safe: str
    deposit: str


@attrs.frozen
class Market:
    """What a client needs to trade a market, as Gamma has it."""

    slug: str
    condition_id: str
    up: str
    down: str


@attrs.frozen
class Venue:
    """A running exchange by its URLs."""

    urls: dict[str, str]
    wallet: Wallet

    @classmethod
    def from_line(cls, line: str) -> Venue:
        said: dict[str, Any] = json.loads(line)
        return cls(
            {key: said[key] for key in said if key not in {"wallet", "speed"}},
            Wallet(**said["wallet"]),
        )

    def get(self, service: str, path: str, **query: str) -> Any:
        """Plain HTTP, as a browser would."""
        reply = httpx.get(self.urls[service] + path, params=query, timeout=PATIENCE_S)
        reply.raise_for_status()
        return reply.json()

    def now_s(self) -> int:
        return int(httpx.get(self.urls["clob"] + "/time", timeout=PATIENCE_S).text)

    def current_market(self) -> Market:
        """The market of the running window, found by its slug as any bot does."""
        return self.window_market("15m", LONG_S)

    def window_market(self, name: str, length_s: int) -> Market:
        """The running window of one of the BTC series; the next one, where little is left of it:
        traders thin out towards an end.
        """
        slug = f"btc-updown-{name}-{(self.now_s() + LEFT_S) // length_s * length_s}"
        found = self.get("gamma", f"/markets/slug/{slug}")
        modern = found["version"] == "v2"
        up, down = found["positionIds"] if modern else json.loads(found["clobTokenIds"])
        return Market(slug, found["conditionId"], up, down)


def until_matched(post: Callable[[], T]) -> T:
    """A market order may find its level gone after the taker delay: then the crowd has moved, and
    the next try meets it where it is. While the price runs away (from 0.75 to 0.90 in forty
    seconds, say) ten in a row come too late: it is waited for, and not so fast that the venue has
    had enough of us first.
    """
    pause = threading.Event()
    for _ in range(100):
        try:
            return post()
        except Exception as error:
            if "no orders found to match" not in str(error):
                raise
            pause.wait(0.5)
    return post()


def once_settled(post: Callable[[], T]) -> T:
    """A sale of what has just been bought is refused until the venue has read its block."""
    pause = threading.Event()
    for _ in range(80):
        try:
            return post()
        except Exception as error:
            if "not enough balance" not in str(error):
                raise
            pause.wait(0.25)
    return post()


def eventually(look: Callable[[], T]) -> T:
    """What `look` returns when it no longer fails, asked every quarter of a second as the clients
    themselves wait for a settlement; at most for twenty.
    """
    pause = threading.Event()
    for _ in range(80):
        try:
            return look()
        except AssertionError:
            pause.wait(0.25)
    return look()


def long_window_start_s(phase_s: int) -> int:
    """The moment nearest to the beginning of a window of fifteen minutes that the exchange's clock
    may have: nine minutes are left at least, in which no price becomes so sure that a bid of one
    cent would cross.
    """
    now_s = int(time.time())
    elapsed = now_s % LONG_S
    if elapsed > LONG_S + phase_s - SKEW_S:
        return now_s - elapsed + LONG_S + phase_s
    return now_s - elapsed + max(phase_s, elapsed - SKEW_S)


def window_start_s(phase_s: int) -> int:
    """The moment nearest to now that lies `phase_s` into a window.

    A test that began just before a rollover would lose its market. At most half a window off, the
    exchange's clock stays within what its HMAC check tolerates.
    """
    now_s = int(time.time())
    return (now_s - phase_s + WINDOW_S // 2) // WINDOW_S * WINDOW_S + phase_s
