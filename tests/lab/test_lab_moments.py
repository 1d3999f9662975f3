"""Moments of virtual time: what happens comes first, who decides comes last."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from polybot.lab.moments import decisions_last


def ran(*last: str) -> list[tuple[str, float]]:
    """Who ran when: two that decide and a chain of three that happens, all at 0.3 s by other sums
    of floats.
    """
    told: list[tuple[str, float]] = []

    async def act(name: str, *parts: float) -> None:
        for part in parts:
            await trio.sleep(part)
        told.append((name, trio.current_time()))

    async def chain(*parts: float) -> None:
        bell = trio.Event()

        async def second() -> None:
            await bell.wait()
            await trio.lowlevel.checkpoint()
            told.append(("heard", trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            await act("sent", *parts)
            bell.set()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, "orders", 0.3, name="orders btc")
            nursery.start_soon(act, "quote", 0.15, 0.15, name="quote btc")
            nursery.start_soon(chain, 0.1, 0.1, 0.1)

    with decisions_last(*last):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return told


def test_decisions_see_all_that_their_moment_brought() -> None:
    """A message that takes three steps of the loop is heard before the quoter, he comes before the
    orders; sums of floats that differ in their last bit are one moment.
    """
    told = ran("quote ", "orders ")

    assert [name for name, _ in told] == ["sent", "heard", "quote", "orders"]
    assert {at_s for _, at_s in told} == {0.3}


def test_the_order_of_decisions_is_that_of_the_names_given() -> None:
    """Who is named first decides first."""
    assert [name for name, _ in ran("orders ", "quote ")] == ["sent", "heard", "orders", "quote"]
