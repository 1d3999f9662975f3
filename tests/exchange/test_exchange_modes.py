"""The trading modes, step by step (clob.md 7.3)."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, strategies as st
from polymarket.clients._transport import _detect_trading_restriction, _extract_retry_after

from polybot.exchange.modes import AFTER, ANSWERS, Call, Mode, Modes
from polybot.exchange.request import Response
from polybot.exchange.terms import Terms

T0 = 1_795_132_800_000


def official(response: Response) -> httpx.Response:
    """The reply as the official client sees it."""
    return httpx.Response(
        response.status, headers=dict(response.headers), content=response.body
    )  # fmt: skip


def passing(modes: Modes, now_ms: int) -> set[Call]:
    return {call for call in Call if modes.refusal(call, now_ms) is None}


def test_every_mode_answers_every_call_and_has_a_sequel() -> None:
    """The tables are whole: no mode leaves a call to chance."""
    assert set(ANSWERS) == set(AFTER) == set(Mode)
    assert all(set(answers) == set(Call) for answers in ANSWERS.values())


def test_a_venue_begins_normal() -> None:
    """Without a command everything passes (clob.md 7.3)."""
    assert passing(Modes(), T0) == set(Call)


@pytest.mark.conforms("clob-7.3-post-only-after", "clob-7.3-restarting")
def test_a_restart_is_followed_by_two_minutes_of_post_only() -> None:
    """425 for all order calls, then post-only orders and cancels, then all (clob.md 7.3)."""
    modes = Modes()
    modes.restart(T0, for_s=90)
    assert passing(modes, T0) == set()
    assert passing(modes, T0 + 89_999) == set()
    assert passing(modes, T0 + 90_000) == {Call.POST, Call.CANCEL}
    assert passing(modes, T0 + 209_999) == {Call.POST, Call.CANCEL}
    assert passing(modes, T0 + 210_000) == set(Call)


def test_nobody_has_to_look_in_between() -> None:
    """Time alone moves the machine, however long nobody asks."""
    modes = Modes()
    modes.restart(T0)
    assert modes.at(T0 + 3_600_000) is Mode.NORMAL


@pytest.mark.conforms("clob-4.1-cancel-only-mode")
def test_cancel_only_and_disabled_last_until_they_are_ended() -> None:
    """Without an end they stay; with one they end in normal trading (clob.md 7.3)."""
    modes = Modes()
    modes.cancel_only(T0)
    assert passing(modes, T0 + 10**9) == {Call.CANCEL}
    modes.disable(T0, for_s=30)
    assert passing(modes, T0 + 29_999) == set()
    assert passing(modes, T0 + 30_000) == set(Call)
    modes.disable(T0)
    modes.resume(T0)
    assert passing(modes, T0) == set(Call)


def test_the_last_command_counts() -> None:
    """A restart that comes into another mode ends post-only all the same."""
    modes = Modes()
    modes.cancel_only(T0)
    modes.restart(T0, for_s=10)
    modes.restart(T0 + 5_000, for_s=10)
    assert modes.at(T0 + 14_999) is Mode.RESTARTING
    assert modes.at(T0 + 15_000) is Mode.POST_ONLY


@pytest.mark.parametrize("for_s", [0, -1])
def test_a_time_must_be_positive(for_s: int) -> None:
    """A mode for no time is a mistake of the caller."""
    with pytest.raises(ValueError, match="positive"):
        Modes().restart(T0, for_s)


def test_a_restart_tells_when_it_begins() -> None:
    """Whoever keeps orders hears of each restart, and of nothing else."""
    begun: list[int] = []
    modes = Modes(on_restart=begun.append)
    modes.disable(T0)
    modes.restart(T0 + 1)
    assert begun == [T0 + 1]


# --- on the wire, read by the official client --------------------------------------------


@pytest.mark.conforms("clob-7.3-restarting", "clob-7.3-post-only-after", "clob-7.3-cancel-only")
def test_the_official_client_knows_each_mode() -> None:
    """`restriction` and `retry_after` of its errors, for every kind of refusal (clob.md 7.3)."""
    modes = Modes()
    modes.restart(T0, for_s=90)
    refusal = modes.refusal(Call.CANCEL, T0)
    assert refusal
    assert refusal.status == 425
    assert _detect_trading_restriction(official(refusal)) == "restarting"
    assert _extract_retry_after(official(refusal)) is None

    refusal = modes.refusal(Call.TAKE, T0 + 90_500)
    assert refusal
    assert refusal.status == 503
    assert _detect_trading_restriction(official(refusal)) == "post_only"
    assert _extract_retry_after(official(refusal)) == 120
    assert official(refusal).json() == {
        "error": "post-only mode: only post-only orders and cancels are allowed",
        "code": "post_only_mode",
        "retry_after_seconds": 120,
    }

    modes.cancel_only(T0)
    refusal = modes.refusal(Call.POST, T0)
    assert refusal
    assert refusal.status == 503
    assert _detect_trading_restriction(official(refusal)) == "cancel_only"


@pytest.mark.conforms("clob-7.3-disabled")
def test_disabled_trading_has_two_texts() -> None:
    """Both of the venue's texts appear, and neither is taken for another mode (clob.md 7.3)."""
    modes = Modes()
    modes.disable(T0)
    texts = {}
    for call in Call:
        refusal = modes.refusal(call, T0)
        assert refusal
        assert _detect_trading_restriction(official(refusal)) is None
        texts[call] = official(refusal).json()["error"]
    long = "Trading is currently disabled. Check polymarket.com for updates"
    assert texts == {Call.TAKE: long, Call.POST: long, Call.CANCEL: "trading is disabled"}


@pytest.mark.conforms("clob-7.3-restarting")
def test_a_425_may_say_when_to_come_back() -> None:
    """`Retry-After` is optional: a term (clob.md 7.3)."""
    modes = Modes(Terms(restart_retry_after_s=7))
    modes.restart(T0)
    refusal = modes.refusal(Call.TAKE, T0)
    assert refusal
    assert _extract_retry_after(official(refusal)) == 7


@given(
    st.lists(
        st.tuples(st.sampled_from(Mode), st.none() | st.integers(1, 100), st.integers(0, 200_000)),
        max_size=20,
    )
)
def test_the_mode_does_not_depend_on_who_looks(
    commands: list[tuple[Mode, int | None, int]],
) -> None:
    """A machine that is asked all the time and one that never is agree."""
    watched, left_alone = Modes(), Modes()
    now = T0
    for mode, for_s, gap in commands:
        for machine in (watched, left_alone):
            machine.switch(mode, now, for_s)
        for moment in range(now, now + gap, 7_777):
            watched.at(moment)
        now += gap
    assert watched.at(now) is left_alone.at(now)
    assert watched.seconds_left(now) == left_alone.seconds_left(now)
