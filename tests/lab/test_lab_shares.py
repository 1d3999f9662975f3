"""Work in shares: an interrupt ends the waiting, and no worker outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polybot.lab.commands import DIED, STOPPED, interruptible
from polybot.lab.shares import processors

ROOT = Path(__file__).resolve().parents[2]

# A parent with two workers that say who they are and then work for an hour; it says when both do.
PARENT = """
import os, sys, time
from pathlib import Path
from polybot.lab.commands import interruptible
from polybot.lab.shares import each_of

def work(path):
    Path(path).write_text(str(os.getpid()))
    while not Path(path + ".go").exists():
        time.sleep(0.01)
    return path

if __name__ == "__main__":
    names = [sys.argv[1] + "/a", sys.argv[1] + "/b", sys.argv[1] + "/c"]
    with interruptible():
        try:
            for done in each_of(work, names, 2, keeps=sys.argv[2] == "keeps"):
                print(done, flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.exit(7)
"""


@contextmanager
def parent(tmp_path: Path, kind: str = "keeps") -> Iterator[subprocess.Popen[str]]:
    """The parent at work, with two workers that wait for a file each."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    words = [sys.executable, str(script), str(tmp_path), kind]
    with subprocess.Popen(  # noqa: S603 - our own program
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            until(lambda: all((tmp_path / name).exists() for name in "ab") or process.poll())
            assert process.poll() is None, "the parent has died"
            yield process
        finally:
            process.kill()


# A parent whose terminal is interrupted when its worker has come as far as to read this.
STARTING = """
import os, signal
from polybot.lab.commands import to_its_reader
from polybot.lab.shares import each_of

if __name__ == "__mp_main__":
    os.killpg(0, signal.SIGINT)
if __name__ == "__main__":
    raise SystemExit(to_its_reader(lambda _: sum(each_of(abs, [1, 2, 3], 1, keeps=True)), ()))
"""


def until(true: Callable[[], object]) -> None:
    """Wait for what another process does; the test's own limit bounds it."""
    while not true():
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Not gone, and not a dead one that nobody has buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(tmp_path: Path) -> list[int]:
    until(lambda: all((tmp_path / name).read_text() for name in "ab"))
    return [int((tmp_path / name).read_text()) for name in "ab"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_an_interrupt_ends_the_waiting(tmp_path: Path) -> None:
    """What is under way is finished, what waits is not begun, and no worker is left."""
    with parent(tmp_path) as process:
        workers = pids(tmp_path)
        process.send_signal(signal.SIGINT)
        for name in "abc":  # one more may have been handed over already
            (tmp_path / f"{name}.go").touch()
        out, _ = process.communicate()

    assert process.returncode == 7
    assert out.splitlines()[-1] == "interrupted"
    assert not any(map(alive, workers))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_an_interrupt_waits_for_nothing_that_is_lost(tmp_path: Path) -> None:
    """Nobody would take what is under way: it is not waited for, and no worker is left."""
    with parent(tmp_path, "loses") as process:
        workers = pids(tmp_path)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)

    assert (process.returncode, out) == (7, "interrupted\n")
    assert not any(map(alive, workers))


def test_an_interrupt_while_a_worker_is_started(tmp_path: Path) -> None:
    """A terminal interrupts it as well: it says nothing of it, the parent says what comes."""
    script = tmp_path / "starting.py"
    script.write_text(STARTING)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip

    assert done.stderr.splitlines() == [
        "stopping: what is under way ends first, unless Ctrl-C comes again",
        "stopped by Ctrl-C before its end",
    ]
    assert done.returncode == STOPPED


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_second_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    """Who asks twice is not kept: the workers are ended at their work, and the program ends."""
    with parent(tmp_path) as process:
        workers = pids(tmp_path)

        def gone() -> bool:
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        until(gone)
        until(lambda: not any(map(alive, workers)))

    assert process.returncode != 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed says nothing; its workers are gone all the same."""
    with parent(tmp_path) as process:
        workers = pids(tmp_path)
        process.kill()
        process.wait()
        until(lambda: not any(map(alive, workers)))


# A command whose second piece takes its process with it, as the kernel does where memory ends.
DYING = """
import os
from polybot.lab.commands import to_its_reader
from polybot.lab.shares import each_of

def work(n):
    if n == 2:
        os.kill(os.getpid(), 9)
    return n

if __name__ == "__main__":
    raise SystemExit(to_its_reader(lambda _: sum(each_of(work, [1, 2, 3], 1)), ()))
"""


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    """One line and 1: it was a traceback of Python's own."""
    script = tmp_path / "dying.py"
    script.write_text(DYING)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == DIED
    (said,) = done.stderr.splitlines()
    assert said.startswith("a worker process ended before its work did: too little memory")


def test_the_handler_before_is_the_handler_after() -> None:
    """Ctrl-C raises inside, and is what it was outside."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before


def test_as_many_workers_as_we_have_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that this process may use, where the system can say which; else all there are."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == 8
