"""What comparing balances asks of the venue, and what it holds against us no longer than it may."""

from __future__ import annotations

import attrs
import trio
from test_shell_balances import LATER, OF_BOTH, Scene, drifting, halted_after
from trio.testing import MockClock

from polybot.balances import FAILING_S, REFRESH_EVERY_S, UNSURE
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, USD


async def test_many_that_differ_are_not_refreshed_faster_than_the_venue_likes() -> None:
    """Each look has it look at the chain once for each of them (S13); one that agrees costs
    nothing.
    """
    it = Scene()
    it.there |= {"333": 7 * SHARE, "444": SHARE, "111": SHARE}
    await it.look()
    assert it.balances.soonest_s == 3 * REFRESH_EVERY_S

    it.there |= {"333": 10 * SHARE, "444": 0, "111": 10 * SHARE}
    await it.look(1_000)
    assert it.balances.soonest_s == 0


async def test_who_is_halted_for_drift_has_nothing_to_hurry_for() -> None:
    """It was looked at every second, through the night, until somebody came."""
    it = Scene()
    it.there["333"] = 7 * SHARE
    await it.look()
    assert it.balances.differing

    assert await drifting(it, until_ms=40_000)
    assert not it.balances.differing


async def test_what_differed_in_a_market_that_is_closed_is_forgotten() -> None:
    """Nobody asks for it again: it would stop trading in all others for good."""
    it = Scene(deaf=Failure("503"))
    it.there["333"] = 7 * SHARE
    await drifting(it, until_ms=60_000)
    assert UNSURE in it.account.health.troubles

    del it.ledger.books[LATER.condition_id]
    await it.look()
    assert it.account.health.troubles == {}
    assert not it.balances.differing


async def test_what_differs_stays_in_doubt_while_an_operation_is_under_way() -> None:
    """It is not asked for then, and has not become right."""
    it = Scene(deaf=Failure("503"))
    it.there["333"] = 7 * SHARE
    await drifting(it, until_ms=60_000)
    it.account.moving.add(LATER.condition_id)

    await it.look()
    assert UNSURE in it.account.health.troubles


async def test_a_market_that_is_closed_while_its_answer_is_on_its_way() -> None:
    """The answer is of nobody's books."""
    it = Scene()
    it.there["333"] = 7 * SHARE
    it.meanwhile = lambda: it.ledger.books.pop(LATER.condition_id, None)

    await it.look()
    assert not it.balances.watch.differing


async def test_an_operation_that_begins_while_cash_is_asked_for() -> None:
    """The dollars may be back in the answer, or gone from it."""
    it = Scene()
    it.there[None] = 80 * USD
    it.meanwhile = lambda: it.account.moving.add(LATER.condition_id)

    await it.look()
    assert not it.balances.watch.differing


async def test_a_theft_does_not_hide_behind_operations() -> None:
    """One of ours is under way in every second look: the difference is not a new one each time."""
    it = Scene()
    it.there["333"] = 7 * SHARE
    for _ in range(3):
        assert await halted_after(it, 1_000) is None
        it.account.moving.add(LATER.condition_id)
        assert await halted_after(it, 1_000) is None
        it.account.moving.clear()

    assert await halted_after(it, 2_000) is not None


async def test_a_side_that_lost_and_is_not_held_is_not_read() -> None:
    """Somebody else may have redeemed what won: what lies in the wallet of the other one then is
    nobody's business, and no drift.
    """
    it = Scene()
    it.ledger.resolve(LATER.condition_id, SHARE)
    it.there["444"] = 3 * SHARE

    assert "444" not in await it.look()
    assert not it.balances.watch.differing


@attrs.define(eq=False)
class Slow(Scene):
    """Some balances are not answered before the request is given up, five seconds on."""

    hanging: set[str | None] = attrs.field(factory=set)

    async def balance(self, token: str | None) -> int | Failure:
        there = await super().balance(token)
        if token not in self.hanging:
            return there
        await trio.sleep(FAILING_S)
        return Failure("GET: no answer")


async def test_balances_that_hang_do_not_hold_up_a_look(autojump_clock: MockClock) -> None:
    """A dozen windows, of which nothing is answered, took two minutes of each look: one at a time
    is enough to see that. All come to their turn.
    """
    it = Slow(hanging={*OF_BOTH})
    asked: list[str | None] = []
    for _ in OF_BOTH:
        began = trio.current_time()
        asked += await it.look(2_000)
        assert trio.current_time() - began <= FAILING_S
    assert len(asked) == len(set(asked))
    assert {*asked} == OF_BOTH


async def test_one_balance_that_hangs_hides_no_other(autojump_clock: MockClock) -> None:
    """What there was no time for comes first in the next look; the dollars are asked for first
    otherwise, and would keep every share from being read.
    """
    it = Slow(hanging={None})
    assert await it.look(2_000) == {None}
    assert await it.look(2_000) == OF_BOTH
    assert it.asked[-1] is None
