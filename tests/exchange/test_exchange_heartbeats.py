"""The dead-man switch, step by step (clob.md 4.2)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from polybot.exchange.heartbeats import Beat, Heartbeats, Mismatch


def armed(now_ms: int = 0) -> tuple[Heartbeats, str]:
    beats = Heartbeats(random.Random(1))
    first = beats.beat("k", "", now_ms)
    assert isinstance(first, Beat)
    return beats, first.heartbeat_id


@pytest.mark.conforms("clob-4.2-first", "clob-4.2-chain")
def test_the_first_beat_is_empty_and_each_reply_is_the_next_id() -> None:
    """A chain: every accepted beat gives a fresh id which the next must carry."""
    beats, first = armed()
    second = beats.beat("k", first, 5_000)
    assert isinstance(second, Beat)
    assert second.heartbeat_id not in ("", first)
    assert isinstance(beats.beat("k", second.heartbeat_id, 10_000), Beat)


@pytest.mark.conforms("clob-4.2-stale")
def test_a_stale_id_is_refused_with_the_expected_one() -> None:
    """A lost reply is survived: the refusal names the id, and a beat with it is accepted."""
    beats, first = armed()
    lost = beats.beat("k", first, 1)
    assert isinstance(lost, Beat)
    assert beats.beat("k", first, 2) == Mismatch(lost.heartbeat_id)
    assert beats.beat("k", "", 2) == Mismatch(lost.heartbeat_id)
    assert isinstance(beats.beat("k", lost.heartbeat_id, 3), Beat)


def test_an_unregistered_key_is_told_to_start_with_nothing() -> None:
    """The expected id can be empty."""
    assert Heartbeats(random.Random(1)).beat("k", "old", 0) == Mismatch("")


@pytest.mark.conforms("clob-4.2-expiry", "clob-4.2-rearm")
def test_ten_silent_seconds_expire_at_the_next_sweep() -> None:
    """Not before ten seconds, and only once; the registration is gone afterwards."""
    beats, first = armed(100)
    assert beats.sweep(10_099) == []
    assert beats.sweep(10_100) == ["k"]
    assert beats.sweep(15_100) == []
    assert beats.beat("k", first, 15_200) == Mismatch("")


@pytest.mark.conforms("clob-4.2-stale-no-extend")
def test_a_refused_beat_does_not_extend_the_deadline() -> None:
    """Only accepted beats count."""
    beats, _ = armed()
    assert isinstance(beats.beat("k", "wrong", 9_999), Mismatch)
    assert beats.sweep(10_000) == ["k"]


def test_a_late_beat_before_the_sweep_saves_the_orders() -> None:
    """The check runs at the sweep, so 10 to 15 s may pass."""
    beats, first = armed()
    assert isinstance(beats.beat("k", first, 12_000), Beat)
    assert beats.sweep(15_000) == []


def test_keys_are_independent() -> None:
    """One key's silence is not another's."""
    beats, _ = armed()
    beats.beat("other", "", 8_000)
    assert beats.sweep(10_000) == ["k"]


@pytest.mark.conforms("clob-4.2-unarmed")
def test_who_never_sends_is_never_swept() -> None:
    """No opt-in, no cancellation; a refused first beat is no opt-in (clob.md 4.2)."""
    beats = Heartbeats(random.Random(1))
    beats.beat("k", "wrong", 0)
    assert beats.sweep(10**9) == []


@pytest.mark.conforms("clob-4.2-legacy")
def test_the_old_call_beats_too_and_ends_the_chain() -> None:
    """It extends the deadline, and the id expected next is empty (clob.md 4.2)."""
    beats, first = armed()
    beats.legacy_beat("k", 9_000)
    assert beats.sweep(15_000) == []
    assert beats.beat("k", first, 16_000) == Mismatch("")
    assert isinstance(beats.beat("k", "", 17_000), Beat)
    beats.legacy_beat("fresh", 0)
    assert beats.sweep(17_000) == ["fresh"], "it arms as well"


def test_a_chain_belongs_to_the_key_not_to_the_process() -> None:
    """Two senders with one key each break the other's chain, and both keep it alive (4.2)."""
    beats, first = armed()
    theirs = beats.beat("k", first, 5_000)
    assert isinstance(theirs, Beat)
    assert beats.beat("k", first, 9_000) == Mismatch(theirs.heartbeat_id)
    assert beats.sweep(14_999) == []
    assert beats.sweep(15_000) == ["k"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6_000)), max_size=40))
def test_whoever_beats_in_time_is_never_expired(steps: list[tuple[bool, int]]) -> None:
    """With sweeps each 5 s, a key is expired exactly when its last accepted beat is 10 s old."""
    beats, heartbeat_id = armed()
    now = last = 0
    alive = True
    for sends, gap in steps:
        now += gap
        if sends and alive:
            reply = beats.beat("k", heartbeat_id, now)
            assert isinstance(reply, Beat)
            heartbeat_id, last = reply.heartbeat_id, now
        expired = beats.sweep(now)
        assert expired == (["k"] if alive and now - last >= 10_000 else [])
        alive = alive and not expired
