"""Blocking clients in virtual time, and tasks in a seed's order."""

from __future__ import annotations

import random
import threading
import time

import httpx
import pytest
import trio
import trio._core._run as scheduler
from trio.testing import MockClock

from polybot.exchange.net import Request, Response, Service, json_response, serve
from polybot.lab.lockstep import THREAD, Lockstep, lockstep_only
from polybot.lab.memory_net import memory_network
from polybot.lab.seeded import seeded_scheduler
from polybot.venue.rest import http_client


def asking(url: str, times: int) -> list[object]:
    """Blocking code, as the SDK is: ask so many times, one after the other."""
    with httpx.Client(timeout=5) as client:
        return [client.post(url, json={"n": n}).json() for n in range(times)]


async def answer(request: Request) -> Response:
    await trio.sleep(3 if request.path == "/slow" else 60)
    return json_response({"path": request.path, "got": request.body.decode()})


async def asked(path: str, times: int) -> list[object]:
    """What a thread is told by a server on the network in memory."""
    with memory_network(), lockstep_only():
        async with trio.open_nursery() as nursery, http_client() as http:
            port = await nursery.start(serve, Service(http=answer, socket=None), 0)
            url = f"http://127.0.0.1:{port}{path}"
            told = await Lockstep(http).run_sync(asking, url, times, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
        return told


async def test_a_thread_asks_in_virtual_time(autojump_clock: MockClock) -> None:
    """Its requests go over the loop's network and take the loop's time, none of the wall's."""
    assert await asked("/slow", 3) == [{"path": "/slow", "got": f'{{"n":{n}}}'} for n in range(3)]
    assert trio.current_time() == pytest.approx(9)


async def test_a_time_out_is_the_threads_own(autojump_clock: MockClock) -> None:
    """The client in the thread sees what it would see, after the time it allows."""
    with pytest.RaisesGroup(httpx.ReadTimeout):
        await asked("/never", 1)
    assert trio.current_time() == pytest.approx(5)


async def test_a_thread_of_a_process_that_is_no_more(autojump_clock: MockClock) -> None:
    """Its client has been closed: it is told that nobody is there, and no error of the loop's."""
    with memory_network(), lockstep_only():
        async with http_client() as http:
            lockstep = Lockstep(http)
        with pytest.raises(httpx.ConnectError, match="no more"):
            await lockstep.run_sync(asking, "http://127.0.0.1:1/gone", 1)


async def test_a_thread_sleeps_in_virtual_time(autojump_clock: MockClock) -> None:
    """The SDK waits two seconds before it asks a busy relayer again: of the loop's, while all
    others go on, and none of the wall's.
    """
    seen: list[float] = []

    async def others() -> None:
        await trio.sleep(1999)
        seen.append(trio.current_time())

    async with trio.open_nursery() as nursery, http_client() as http:
        with lockstep_only():
            nursery.start_soon(others)
            await Lockstep(http).run_sync(lambda: time.sleep(2000))
    assert seen == [pytest.approx(1999)]
    assert trio.current_time() == pytest.approx(2000)


def test_elsewhere_sleep_is_what_it_was() -> None:
    """Only a lockstep's own threads are in the loop's time."""
    before = time.monotonic()
    with lockstep_only():
        time.sleep(0.001)
    assert time.monotonic() - before >= 0.001


def test_no_thread_outlives_its_loop() -> None:
    """A soak lives hundreds of lives in one process, and a thread holds its client."""

    async def main() -> None:
        async with http_client() as http:
            with trio.move_on_after(1):
                await Lockstep(http).run_sync(lambda: time.sleep(1e6))

    with lockstep_only():
        trio.run(main, clock=MockClock(autojump_threshold=0))
    mine = [one for one in threading.enumerate() if one.name == THREAD]
    for one in mine:
        one.join(5)
    assert not [one for one in mine if one.is_alive()]


async def test_what_it_raises_is_raised(autojump_clock: MockClock) -> None:
    """As from a worker thread."""
    async with http_client() as http:
        with pytest.raises(ZeroDivisionError):
            await Lockstep(http).run_sync(lambda: 1 / 0)


async def test_cancelled_the_thread_goes_on(autojump_clock: MockClock) -> None:
    """As an abandoned thread does: its end is known to whoever keeps it."""
    ended: list[object] = []
    with memory_network(), lockstep_only():
        async with trio.open_nursery() as nursery, http_client() as http:
            port = await nursery.start(serve, Service(http=answer, socket=None), 0)
            url = f"http://127.0.0.1:{port}/slow"
            with trio.move_on_after(1):
                await Lockstep(http).run_sync(lambda: ended.append(asking(url, 1)))
            assert ended == []
            await trio.sleep(5)
            assert len(ended) == 1
            nursery.cancel_scope.cancel()


def test_blocking_requests_elsewhere_are_a_bug() -> None:
    """Nothing of a simulation may reach the machine's network."""
    with lockstep_only(), pytest.raises(RuntimeError, match="outside the lockstep"):
        httpx.get("http://127.0.0.1:9/")


def trace(seed: int) -> list[int]:
    """The order in which eight tasks come by."""
    seen: list[int] = []

    async def work(number: int) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            seen.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(work, number)

    with seeded_scheduler(seed):
        trio.run(main)
    return seen


def test_one_seed_is_one_order() -> None:
    """The same for the same seed, another for another; and everything is as it was afterwards."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING

    assert trace(1) == trace(1)
    assert len({tuple(trace(seed)) for seed in range(5)}) > 1
    assert before == scheduler._ALLOW_DETERMINISTIC_SCHEDULING


def test_the_scheduler_still_has_these_names() -> None:
    """They are private: when Trio moves them, this tells (trio.md 8)."""
    assert isinstance(scheduler._r, random.Random)
    assert isinstance(scheduler._ALLOW_DETERMINISTIC_SCHEDULING, bool)
