"""When heartbeats leave, and what follows each that fails: by the clock, against a venue that
answers as it is told (clob.md 4.2; F45).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.account import Account
from polybot.answer_watch import ANSWERS, AnswerWatch
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.ledger import Ledger
from polybot.domain.orders import Failure
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.heartbeat import NAME, PATIENCE_S, RETRY_S, SET_AGAIN_S, Heartbeat, Pulse
from polybot.reconciler import Reconciler
from polybot.venue.clob import StaleHeartbeat
from polybot.venue.site import HEARTBEAT_EVERY_S
from polybot.venue.tap import NOBODY

EVERY_S = float(HEARTBEAT_EVERY_S.value)
LAPSES_S, LAPSES_MOST_S = 10.0, 15.0  # the venue's patience, from the last send it has accepted
DOWN = Failure("POST /v1/heartbeats: HTTP 503 no")
FORBIDDEN = Failure("POST /v1/heartbeats: HTTP 401 no", refused=True)
HANGS = None  # in place of an answer: none comes

Answer = str | StaleHeartbeat | Failure | None


@attrs.define(eq=False)
class Venue:
    """Gives the answers that are `coming`, each after so long; then it accepts at once. `sent`:
    when each beat left, and the id that it bore.
    """

    coming: deque[tuple[float, Answer]] = attrs.field(factory=deque)
    sent: list[tuple[float, str]] = attrs.field(factory=list)
    took: Callable[[str, float, bool], None] = lambda _kind, _seconds, _done: None

    async def heartbeat(self, previous: str) -> Any:
        self.sent.append((trio.current_time(), previous))
        number = len(self.sent)
        takes_s, answer = self.coming.popleft() if self.coming else (0.0, f"id {number}")
        await trio.sleep(takes_s if answer is not HANGS else 1e6)
        return answer

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]

    @property
    def ids(self) -> list[str]:
        return [previous for _, previous in self.sent]


@attrs.define(eq=False)
class Scene:
    """A heart that has just been started, with all that it touches."""

    venue: Venue
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    doubt: Bell = attrs.field(factory=Bell)
    refusals: list[str] = attrs.field(factory=list)
    heart: Heartbeat = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        client: Any = self.venue
        self.heart = Heartbeat(client, self.health, self.doubt, self.refusals.append)

    @property
    def gate(self) -> str | None:
        return self.health.admission.closed_because

    async def rung(self) -> bool:
        """Whether the reconciler has been called since it was asked last."""
        with trio.move_on_after(0.001):
            await self.doubt.wait()
            return True
        return False

    async def run(self, until_s: float) -> None:
        """Let the heart beat until then, from its start."""
        with trio.move_on_at(until_s):
            await self.heart.run()


def coming(*answers: Answer | tuple[float, Answer]) -> Venue:
    """A venue with these answers; one that is not said to take its time comes at once."""
    return Venue(deque(one if isinstance(one, tuple) else (0.0, one) for one in answers))


# --- the rhythm -----------------------------------------------------------------------------------


async def test_each_beat_bears_the_id_of_the_one_before(autojump_clock: MockClock) -> None:
    """Every five seconds, the first with none; nobody is called and no gate closes."""
    it = Scene(coming())
    await it.run(until_s=17)

    assert it.venue.sent == [(0, ""), (5, "id 1"), (10, "id 2"), (15, "id 3")]
    assert (it.heart.beats, it.heart.beating, it.gate) == (4, True, None)
    assert not await it.rung()


async def test_the_rhythm_counts_from_the_sending(autojump_clock: MockClock) -> None:
    """So does the venue's patience. An answer that took its time puts off no beat."""
    it = Scene(coming((3.5, "a"), (0.5, "b")))
    await it.run(until_s=12)

    assert it.venue.sent == [(0, ""), (5, "a"), (10, "b")]
    assert (it.heart.lag_s, it.heart.lag_most_s) == (0, 3.5)


async def test_the_first_beat_alone_opens_nothing(autojump_clock: MockClock) -> None:
    """It calls the reconciler, which looks before anything is placed."""
    it = Scene(coming())
    it.health.require(NAME)
    await it.run(until_s=1)

    assert it.gate == f"{NAME}: not up yet"
    assert await it.rung()


# --- beats that fail ------------------------------------------------------------------------------


async def test_a_beat_that_is_refused_closes_the_gate_at_once(autojump_clock: MockClock) -> None:
    """The next leaves half a second later with the same id: it may have been accepted. When one is
    taken the gate stays closed, and the reconciler is called.
    """
    it = Scene(coming("a", DOWN, (1.0, DOWN)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(EVERY_S - 0.1)
        assert (it.gate, it.heart.beating) == (None, True)
        await trio.sleep(0.2)
        assert it.gate == f"{NAME}: {DOWN.what}"
        assert it.heart.pulse is Pulse.FAILING
        assert not await it.rung()
        await trio.sleep_until(EVERY_S + 2 * RETRY_S + 1.1)
        assert it.heart.beating
        assert it.gate == f"{NAME}: {DOWN.what}", "nobody has looked yet"
        assert await it.rung()
        nursery.cancel_scope.cancel()

    assert it.venue.times == [0, EVERY_S, EVERY_S + RETRY_S, EVERY_S + 2 * RETRY_S + 1]
    assert it.venue.ids == ["", "a", "a", "a"]
    assert it.refusals == []


async def test_after_a_failure_the_rhythm_begins_anew(autojump_clock: MockClock) -> None:
    """Five seconds after the beat that was taken, not after the one that was due."""
    it = Scene(coming("a", DOWN))
    await it.run(until_s=11)

    assert it.venue.times == [0, EVERY_S, EVERY_S + RETRY_S, 2 * EVERY_S + RETRY_S]


async def test_a_beat_that_hangs_is_given_up_in_time_for_another(
    autojump_clock: MockClock,
) -> None:
    """The gate is closed, and a second attempt has left, before the venue's own patience is over;
    what was waited in vain counts as waiting.
    """
    it = Scene(coming("a", HANGS, HANGS, "b"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(EVERY_S + PATIENCE_S - 0.1)
        assert it.gate is None
        await trio.sleep(0.2)
        assert it.gate == f"{NAME}: no answer within {PATIENCE_S:g} s"
        await trio.sleep(EVERY_S + PATIENCE_S)
        nursery.cancel_scope.cancel()

    again = EVERY_S + PATIENCE_S + RETRY_S
    assert it.venue.sent == [(0, ""), (EVERY_S, "a"), (again, "a"), (again + 4.5, "a")]
    assert again < LAPSES_S
    assert it.heart.lag_most_s == PATIENCE_S
    assert it.heart.beating


async def test_beats_that_hang_are_told_as_slow_ones(autojump_clock: MockClock) -> None:
    """No answer in four seconds is no quicker than one after three: F41 is the same trouble."""
    it, told = Scene(coming("a", HANGS, (3.9, StaleHeartbeat("b")), HANGS)), list[object]()
    it.venue.took = lambda *one: told.append(one)
    await it.run(until_s=30)

    assert told == [("POST", PATIENCE_S, False)] * 2


async def test_a_venue_that_lets_every_other_beat_hang_is_slow(
    autojump_clock: MockClock,
) -> None:
    """Each that was quick let quoting begin again, until the next hung."""
    it = Scene(coming("a", HANGS, "b", HANGS, "c", HANGS, "d"))
    it.venue.took = AnswerWatch(it.health, 1.0).took
    await it.run(until_s=40)

    assert ANSWERS in it.health.troubles


async def test_who_we_are_is_told_where_it_is_refused(autojump_clock: MockClock) -> None:
    """Each time, and only then: what else fails is no matter of our key (F42)."""
    it = Scene(coming(FORBIDDEN, DOWN, FORBIDDEN))
    await it.run(until_s=1.4)

    assert it.refusals == [FORBIDDEN.what] * 2
    assert it.gate == f"{NAME}: {FORBIDDEN.what}"


# --- ids that are not the last given --------------------------------------------------------------


async def test_an_id_that_is_stale_is_set_right_at_once(autojump_clock: MockClock) -> None:
    """The venue names the one it wants; nothing has failed (clob.md 4.2)."""
    it = Scene(coming("a", (0.2, StaleHeartbeat("want")), "b"))
    await it.run(until_s=11)

    assert it.venue.sent == [(0, ""), (5, "a"), (5.2, "want"), (10, "b")]
    assert (it.gate, it.heart.beating) == (None, True)


async def test_an_id_that_is_refused_twice_is_a_failure(autojump_clock: MockClock) -> None:
    """Somebody else beats for our key. The next attempt bears the id that was named last."""
    it = Scene(coming("a", StaleHeartbeat("b"), StaleHeartbeat("c"), "d"))
    await it.run(until_s=5.6)

    assert it.gate == f"{NAME}: id refused twice"
    assert it.venue.ids == ["", "a", "b", "c"]


async def test_both_sendings_of_an_id_have_one_patience(autojump_clock: MockClock) -> None:
    """A stale id after 3.9 s and then none: quoting went on until three seconds after the venue had
    cancelled everything, and what was placed in those was under no switch.
    """
    it = Scene(coming("a", (3.9, StaleHeartbeat("b")), HANGS, "c"))
    await it.run(until_s=EVERY_S + PATIENCE_S + 0.1)
    assert it.gate == f"{NAME}: no answer within {PATIENCE_S:g} s"

    assert it.venue.ids == ["", "a", "b"]


async def test_the_id_that_was_named_is_kept(autojump_clock: MockClock) -> None:
    """Where the second sending fails as well: to ask for it again would cost another way."""
    it = Scene(coming("a", StaleHeartbeat("b"), DOWN))
    await it.run(until_s=5.6)

    assert it.venue.ids == ["", "a", "b", "b"]


# --- silence on purpose ---------------------------------------------------------------------------


async def test_a_silent_heart_sends_nothing_more(autojump_clock: MockClock) -> None:
    """Not even the id set right of a beat that was under way: it would hold the venue off for
    another ten seconds from what we cannot withdraw.
    """
    it = Scene(coming("a", (1.0, StaleHeartbeat("b"))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(EVERY_S + 0.5)
        it.heart.lapse("a test")
        assert it.gate == f"{NAME}: a test"
        await trio.sleep(SET_AGAIN_S - 1)
        nursery.cancel_scope.cancel()

    assert it.venue.ids == ["", "a"]
    assert it.gate == f"{NAME}: a test"


@pytest.mark.parametrize("answer", ["b", DOWN, HANGS, FORBIDDEN], ids=str)
async def test_a_beat_under_way_ends_no_silence(answer: Answer, autojump_clock: MockClock) -> None:
    """Whatever it comes to: who has called for silence ends it. The reconciler is not called, for
    it would find what is not to be found yet.
    """
    it = Scene(coming("a", (1.0, answer)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(EVERY_S + 0.5)
        it.heart.lapse("a test")
        await trio.sleep(PATIENCE_S + 5)
        nursery.cancel_scope.cancel()

    assert len(it.venue.sent) == 2
    assert it.heart.pulse is Pulse.LAPSING
    assert it.gate == f"{NAME}: a test"
    assert not await it.rung()


async def test_the_switch_is_set_again_and_the_heart_is_silent(autojump_clock: MockClock) -> None:
    """One beat every half minute, with the id set right, for the lapse has ended the chain."""
    it = Scene(coming("a", StaleHeartbeat(""), "b"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(1)
        it.heart.lapse("a test")
        await trio.sleep_until(2 * SET_AGAIN_S + 1)
        nursery.cancel_scope.cancel()

    again = SET_AGAIN_S
    assert LAPSES_MOST_S < again <= 2 * LAPSES_MOST_S
    assert it.venue.sent == [(0, ""), (again, "a"), (again, ""), (2 * again, "b")]
    assert (it.heart.pulse, it.gate) == (Pulse.LAPSING, f"{NAME}: a test")


async def test_a_heart_that_goes_on_beats_at_once(autojump_clock: MockClock) -> None:
    """And calls the reconciler, as after any loss; the gate is not its to open."""
    it = Scene(coming("a"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(1)
        it.heart.lapse("a test")
        await trio.sleep_until(17)
        it.heart.resume()
        assert it.heart.pulse is Pulse.FAILING
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert it.venue.sent == [(0, ""), (17, "a")]
    assert it.heart.beating
    assert it.gate == f"{NAME}: a test"
    assert await it.rung()


# --- who opens the gate again ---------------------------------------------------------------------


def reconciler(it: Scene, during: Any) -> Reconciler:
    """One whose venue shows nothing, and lets something happen once the list has been read."""
    nothing: Any = None

    async def answered(value: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return value

    async def open_orders() -> list[Any]:
        await during()
        return []

    clock = Clock(1_795_201_110_000)
    venue: Any = SimpleNamespace(
        trades=lambda **_: answered([]),
        open_orders=open_orders,
        server_time=lambda: answered(clock.now_ms() // 1000),
        balance=lambda _token: answered(0),
        rest=SimpleNamespace(timeout_s=5),
    )
    account = Account(
        client=venue, clock=clock, health=it.health, core=CoreTape(NOBODY, clock),
        journal=SimpleNamespace(note=lambda *_: None),  # type: ignore[arg-type]
        ledger=Ledger(), doubt=it.doubt,
    )  # fmt: skip
    payments: Any = SimpleNamespace(doubt_s=0, look=lambda **_: answered(None))
    return Reconciler(venue, clock, it.health, account, it.heart, nothing, payments, grace_ms=2_000)


async def test_a_look_through_which_the_heart_has_beaten_opens_the_gate(
    autojump_clock: MockClock,
) -> None:
    """What it has read is of a time in which the venue has cancelled nothing by itself."""
    it = Scene(coming())
    it.health.require(NAME)
    await it.run(until_s=1)

    assert await reconciler(it, trio.lowlevel.checkpoint).reconcile()
    assert it.gate is None


async def test_a_look_that_began_without_a_heart_opens_nothing(autojump_clock: MockClock) -> None:
    """The beat was taken while it looked: what it has read may be older."""
    it = Scene(coming())
    it.health.require(NAME)
    ours = reconciler(it, lambda: it.run(until_s=1))

    assert await ours.reconcile()
    assert it.heart.beating
    assert it.gate == f"{NAME}: not up yet"


@pytest.mark.parametrize("silent", [False, True], ids=["failed", "silent"])
async def test_a_heart_that_was_lost_within_a_look_is_looked_after_again(
    silent: bool, autojump_clock: MockClock
) -> None:
    """It beat when the look began and beats when it ends: the list may have been read before the
    venue cancelled what was on it. Only the next look opens the gate.
    """
    it = Scene(coming("a", DOWN) if not silent else coming())

    async def lose() -> None:
        if silent:
            it.heart.lapse("a test")
            it.heart.resume()
        await trio.sleep(EVERY_S + 2 * RETRY_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.heart.run)
        await trio.sleep(1)
        ours = reconciler(it, lose)
        assert it.heart.beating
        assert await ours.reconcile()
        assert it.heart.beating, "it is back"
        assert (it.gate or "").startswith(NAME)
        assert await it.rung(), "the next look is called for"
        assert await reconciler(it, trio.lowlevel.checkpoint).reconcile()
        assert it.gate is None
        nursery.cancel_scope.cancel()
