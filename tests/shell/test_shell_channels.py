"""Bells and published values: nothing lost, nothing piled up."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from polybot.channels import Bell, Published


async def test_rings_before_the_reader_comes_are_one_ring() -> None:
    """However often it rang, the reader wakes once and then waits for the next."""
    bell, woken = Bell(), []
    for _ in range(5):
        bell.ring()

    async def read() -> None:
        while True:
            await bell.wait()
            woken.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert len(woken) == 1
        bell.ring()
        await wait_all_tasks_blocked()
        assert len(woken) == 2
        nursery.cancel_scope.cancel()


async def test_a_ring_while_the_reader_works_is_not_lost() -> None:
    """What changes during a step is seen in the next one."""
    bell, steps = Bell(), 0
    bell.ring()
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            nonlocal steps
            for _ in range(2):
                await bell.wait()
                steps += 1
                if steps == 1:
                    bell.ring()

        nursery.start_soon(work)

    assert steps == 2


async def test_a_cancelled_wait_eats_no_ring() -> None:
    """A reader that gave up before the ring leaves it for whoever waits next."""
    bell = Bell()
    with trio.move_on_after(0):
        await bell.wait()
    bell.ring()
    with trio.fail_after(1):
        await bell.wait()


async def test_a_reader_behind_gets_the_newest_at_once() -> None:
    """Versions that were overtaken are never shown."""
    published = Published("a")
    published.set("b")
    published.set("c")

    assert await published.newer(0) == (2, "c")
    assert published.value == "c"


async def test_every_reader_sees_what_is_newer_than_it_knows() -> None:
    """All readers wake at one change, and none before."""
    published = Published(0)
    got: list[tuple[int, int]] = []

    async def read() -> None:
        got.append(await published.newer(published.version))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert not got
        published.set(7)

    assert got == [(1, 7)] * 3


async def test_the_same_value_again_is_news() -> None:
    """It is the publishing that counts, not whether the value differs."""
    published = Published("same")
    published.set("same")

    assert await published.newer(0) == (1, "same")


async def test_reading_what_is_there_still_yields() -> None:
    """A reader that is always behind cannot keep the others from running."""
    published = Published(0)
    published.set(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await published.newer(0)

    assert scope.cancelled_caught
