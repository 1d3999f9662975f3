"""Each price of a connection waited for by itself (F01, F58)."""

from __future__ import annotations

import itertools

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.domain.prices import Feed, PriceUpdate
from polybot.price_watch import PATIENCE_MOST, Key, PriceWatch
from polybot.venue.sockets import SocketPhase, SocketState

SPOT, MEAN = (Feed.CHAINLINK, "btcusd"), (Feed.TWAP60, "btcusd")
PATIENCE_S = 15.0


@attrs.define(eq=False)
class Connection:
    """Opens `opens_s` after each dial and tells every second what comes."""

    comes: set[Key]
    opens_s: float = 0.0
    snapshot: bool = False
    dials: list[float] = attrs.field(factory=list)
    silent: list[Key] = attrs.field(factory=list)
    watch: PriceWatch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.watch = PriceWatch([SPOT, MEAN], PATIENCE_S, lambda key, _s: self.silent.append(key))

    async def dial(self) -> None:
        self.dials.append(trio.current_time())
        self.watch.note(SocketState(SocketPhase.CONNECTING))
        await trio.sleep(self.opens_s)
        self.watch.note(SocketState(SocketPhase.OPEN))
        while True:
            await trio.sleep(1)
            self.watch.heard(
                [PriceUpdate(*key, 1.0, 0, self.snapshot) for key in sorted(self.comes, key=str)]
            )

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.watch.run(self.dial)

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.dials)]


async def test_all_come(autojump_clock: MockClock) -> None:
    """Then nothing is dialled again."""
    it = Connection({SPOT, MEAN})
    await it.run(600)

    assert len(it.dials) == 1


async def test_a_connection_that_ends_as_its_patience_does(autojump_clock: MockClock) -> None:
    """A machine that has slept finds both at once, the peer's end and a price overdue. Nothing is
    held against anybody then, and it is dialled again.
    """
    it = Connection({SPOT, MEAN})

    async def dial() -> None:
        it.dials.append(trio.current_time())
        it.watch.note(SocketState(SocketPhase.OPEN))
        with trio.CancelScope(shield=len(it.dials) == 1):  # as a loop that stands still
            await trio.sleep(PATIENCE_S + 1)
        it.watch.note(SocketState(SocketPhase.DOWN))
        await trio.sleep_forever()

    with trio.move_on_after(PATIENCE_S + 2):
        await it.watch.run(dial)

    assert it.dials == [0, PATIENCE_S + 1]
    assert it.silent == []


@pytest.mark.parametrize("missing", [SPOT, MEAN])
async def test_one_that_stays_away(missing: Key, autojump_clock: MockClock) -> None:
    """It is asked for again, ever more rarely: each new connection costs the other a second."""
    it = Connection({SPOT, MEAN} - {missing})
    await it.run(1_000)

    assert it.pauses == [PATIENCE_S * times for times in (1, 2, 4, *[8] * 7)]
    assert max(it.pauses) == PATIENCE_S * PATIENCE_MOST
    assert set(it.silent) == {missing}


async def test_a_connection_that_is_being_made_owes_nothing(autojump_clock: MockClock) -> None:
    """However long that takes: its own back-off is not to be disturbed."""
    it = Connection({SPOT, MEAN}, opens_s=300)
    await it.run(600)

    assert len(it.dials) == 1


async def test_history_is_no_sign_of_life(autojump_clock: MockClock) -> None:
    """A snapshot, or a price that is carried forward, is what was."""
    it = Connection({SPOT, MEAN}, snapshot=True)
    await it.run(PATIENCE_S + 1)

    assert len(it.dials) == 2


async def test_patience_is_what_it_was_once_all_have_come(autojump_clock: MockClock) -> None:
    """A price that fails now and then is not asked for as rarely as one that nobody has."""
    it = Connection({SPOT})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.run, 1_000)
        await trio.sleep(200)
        it.comes.add(MEAN)
        await trio.sleep(300)
        it.comes.discard(MEAN)
        gone, dials = trio.current_time(), len(it.dials)
        await trio.sleep(2 * PATIENCE_S)

    assert it.dials[dials] - gone <= PATIENCE_S + 1
