"""A venue that lets requests wait and then does them (F41)."""

from __future__ import annotations

import attrs
import pytest
import trio
from shell_kit import RATE, clean, playing, shell_config
from venue_bent import Handler

from polybot.answer_watch import ANSWERS, LAST, AnswerWatch
from polybot.exchange.request import Request, Response
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.patient_clock import PatientClock
from polybot.venue.site import HEARTBEAT_EVERY_S

SLOW_S = 2.0  # of venue time
HELD_S = 3.0  # below what a heartbeat waits for
LIMITS = attrs.evolve(shell_config().risk, slow_answer_s=SLOW_S / RATE)


async def held_up(request: Request, handle: Handler) -> Response:
    """It is done at once, and told late."""
    answer = await handle(request)
    await trio.sleep(HELD_S)
    return answer


@pytest.mark.parametrize(
    ("method", "paths"),
    [
        ("POST", ("/v1/heartbeats",)),
        ("DELETE", ("/order", "/orders")),
    ],
)
async def test_nothing_rests_while_answers_are_slow(
    method: str, paths: tuple[str, ...], fast_clock: PatientClock
) -> None:
    """No answer is missing and none is a refusal; what is withdrawn goes late all the same. So
    nothing rests, until two answers in a row were quick.
    """
    async with playing(config=attrs.evolve(shell_config(), risk=LIMITS)) as it:
        bend = it.venue.bend(method, *paths, act=held_up)
        await it.until(lambda: ANSWERS in it.bot.ctx.health.troubles, "it is found slow", 60.0)
        assert it.gate == f"{ANSWERS}: too slow"
        await it.until(lambda: not it.venue.live, "nothing rests")

        it.venue.bends.remove(bend)
        await it.requoting(3 * HEARTBEAT_EVERY_S.value)
        assert ANSWERS not in it.bot.ctx.health.troubles
        report = await it.end()

    assert report.halts[f"{ANSWERS}: too slow"] == 1
    clean(report)


async def test_an_order_may_take_its_time(fast_clock: PatientClock) -> None:
    """Where takers are delayed a POST waits as well: nothing is concluded from it."""
    async with playing(config=attrs.evolve(shell_config(), risk=LIMITS)) as it:
        it.venue.bend("POST", "/order", "/orders", act=held_up)
        for _ in range(4):
            await it.requoting()
        report = await it.end()

    assert not [text for text in report.halts if text.startswith(ANSWERS)]
    clean(report)


def troubles(watch: AnswerWatch, *seconds: float) -> list[bool]:
    """Whether it is in trouble after each answer."""
    found = []
    for one in seconds:
        watch.took("DELETE", one, True)
        found.append(ANSWERS in watch.health.troubles)
    return found


def test_three_of_five_begin_it_and_two_in_a_row_end_it() -> None:
    """One slow answer is a packet that was lost; a quick one between slow ones ends nothing."""
    watch = AnswerWatch(Health(Admission()), 1.0)

    assert troubles(watch, 1.0, 0.1, 1.2, 0.1, 0.1, 1.5, 0.9) == [False] * 7
    assert troubles(watch, 1.0, 1.0) == [False, True]
    assert troubles(watch, 0.1, 1.0, 0.1, 0.1) == [True, True, True, False]
    assert troubles(watch, 1.0, 1.0, 0.1, 1.0) == [False, False, False, True]


def test_cancels_are_judged_apart() -> None:
    """Quick heartbeats hide no slow cancel, and end what slow cancels began: there are none while
    nothing rests.
    """
    watch = AnswerWatch(Health(Admission()), 1.0)
    for slow in (1.5, 1.5, 1.5):
        assert ANSWERS not in watch.health.troubles
        for _ in range(6):
            watch.took("POST", 0.1, True)
        watch.took("DELETE", slow, True)
    assert ANSWERS in watch.health.troubles

    watch.took("POST", 0.1, True)
    watch.took("POST", 0.1, True)
    assert ANSWERS not in watch.health.troubles


def test_what_slow_heartbeats_began_only_heartbeats_end() -> None:
    """All is withdrawn with a few quick cancels, within milliseconds: they ended it before anybody
    had noticed, and it began anew with the third slow beat after.
    """
    watch = AnswerWatch(Health(Admission()), 1.0)
    for slow in (1.5, 1.5, 1.5):
        watch.took("POST", slow, True)
    for _ in range(6):
        watch.took("DELETE", 0.1, True)
        assert ANSWERS in watch.health.troubles

    watch.took("POST", 0.1, True)
    watch.took("DELETE", 1.5, True)
    watch.took("POST", 0.1, True)
    assert ANSWERS in watch.health.troubles
    watch.took("POST", 0.1, True)
    assert ANSWERS not in watch.health.troubles


@pytest.mark.parametrize("kind", ["DELETE", "POST"])
def test_what_is_refused_at_once_is_no_quick_answer(kind: str) -> None:
    """A venue that is asked too much lets requests wait, and refuses them next (F41): two refusals
    within milliseconds ended the trouble when it was at its worst. Slow ones count, however they
    end; between them quick refusals hide nothing.
    """
    watch = AnswerWatch(Health(Admission()), 1.0)
    for _ in range(3):
        watch.took(kind, 1.5, False)
        for _ in range(LAST):
            watch.took(kind, 0.01, False)
    assert ANSWERS in watch.health.troubles
    watch.took(kind, 0.1, True)
    watch.took(kind, 0.01, False)
    assert ANSWERS in watch.health.troubles

    watch.took(kind, 0.1, True)
    assert ANSWERS not in watch.health.troubles


@pytest.mark.parametrize(
    ("slow_s", "speed", "took_s", "found"),
    [
        (1.0, 1.0, 0.99, False),
        (1.0, 1.0, 1.0, True),
        (1.0, 20.0, 10.0, False),  # half a second of the wall
        (1.0, 20.0, 20.0, True),
        (0.0, 1.0, 30.0, False),  # never
    ],
)
def test_how_slow_is_too_slow(slow_s: float, speed: float, took_s: float, found: bool) -> None:
    """By the wall's seconds: on a clock that runs ahead our own work would count."""
    watch = AnswerWatch(Health(Admission()), slow_s, speed)

    assert troubles(watch, *[took_s] * 5)[-1] is found
