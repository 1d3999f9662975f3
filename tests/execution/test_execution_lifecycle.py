"""The life-cycle table: complete on purpose, and its two rules."""

from __future__ import annotations

import itertools

import pytest

from polybot.execution.lifecycle import OPEN, TRANSITIONS, Event, State, next_state

S, E = State, Event

# A pair listed here is outside the table: the event would contradict everything we know, so it is
# counted as a fault and the state stays. Taking one in, or out, is a decision.
# An end is contradicted, and a cancel overdue, only where there is one.
_ALIVE = {E.PROVEN_GONE, E.OVERDUE, E.RESTS_STILL}
_ENDED = {E.PROVEN_GONE, E.OVERDUE}
OUTSIDE: dict[State, set[Event]] = {
    # We neither cancel nor look up an order whose POST is on the wire.
    S.IN_FLIGHT: {E.CANCEL_REFUSED, E.PROVEN_ABSENT} | _ALIVE,
    # Absence is only ever concluded of an order that is UNKNOWN.
    S.LIVE: {E.PROVEN_ABSENT} | _ALIVE,
    S.DELAYED: {E.PROVEN_ABSENT} | _ALIVE,
    S.CANCELLING: {E.PROVEN_ABSENT, E.PROVEN_GONE, E.RESTS_STILL},
    S.UNKNOWN: {E.OVERDUE, E.RESTS_STILL},
    # A filled order was accepted: a refusal of its POST is false. Dead orders are not missed.
    S.FILLED: {E.REFUSED, E.MISSING, E.PROVEN_ABSENT} | _ENDED,
    S.CANCELLED: {E.MISSING, E.PROVEN_ABSENT} | _ENDED,
    # Each POST has one answer, and what never existed cannot be cancelled or missed.
    S.REJECTED: {
        E.ACK_LIVE,
        E.ACK_DELAYED,
        E.ACK_MATCHED,
        E.NO_ANSWER,
        E.CANCEL_DONE,
        E.MISSING,
        E.PROVEN_ABSENT,
    }
    | _ENDED,
    # An absent order that is seen is adopted by the sight itself.
    S.ABSENT: {E.MISSING, E.RESTS_STILL} | _ENDED,
}
DEAD = set(State) - OPEN
ALIVE = {E.ACK_LIVE, E.ACK_DELAYED, E.ACK_MATCHED, E.SEEN_LIVE, E.SEEN_DELAYED}
DEATH = {E.SEEN_DEAD, E.CANCEL_DONE}


def test_every_pair_is_in_the_table_or_left_out_for_a_reason() -> None:
    """The pairs outside the table are exactly those listed above."""
    outside = {s: {e for e in Event if next_state(s, e) is None} for s in State}

    assert outside == OUTSIDE


def test_every_state_has_a_row_and_is_reached() -> None:
    """No state without a row, and none but the first that no other state leads to."""
    assert set(TRANSITIONS) == set(State)
    reached = {after for s, row in TRANSITIONS.items() for after in row.values() if after is not s}
    assert set(State) - reached == {S.IN_FLIGHT}


def test_an_order_is_never_unsent() -> None:
    """Nothing leads back to IN_FLIGHT but a list that was read while the POST was under way."""
    back = [(s, e) for s, e in pairs() if next_state(s, e) is S.IN_FLIGHT]

    assert back == [(S.IN_FLIGHT, E.MISSING)]


def pairs() -> list[tuple[State, Event]]:
    return list(itertools.product(State, Event))


@pytest.mark.parametrize("state", [s for s in State if s in OPEN])
def test_every_open_state_can_end(state: State) -> None:
    """Evidence of death or of a complete fill ends an open order, wherever it stands."""
    assert next_state(state, E.SEEN_DEAD) is S.CANCELLED
    assert next_state(state, E.CANCEL_DONE) is S.CANCELLED
    assert next_state(state, E.SEEN_FILLED) is S.FILLED


@pytest.mark.parametrize("state", [S.FILLED, S.CANCELLED])
@pytest.mark.parametrize("event", list(Event))
def test_the_dead_stay_dead(state: State, event: Event) -> None:
    """Rule 1: what the venue declared over is over; life seen later is an old message, but for a
    list begun well after the end (rule 3).
    """
    after = next_state(state, event)

    assert after is State.UNKNOWN if event is E.RESTS_STILL else after in (state, None)


@pytest.mark.parametrize("event", [e for e in Event if e in ALIVE])
def test_absence_is_overruled_by_any_sight(event: Event) -> None:
    """Rule 1's exception: ABSENT is our inference, so an order that shows up is open again."""
    after = next_state(S.ABSENT, event)

    assert after in OPEN
    assert (after is S.UNKNOWN) == event.value.startswith("ack")


@pytest.mark.parametrize("event", [E.SEEN_LIVE, E.SEEN_DELAYED, E.SEEN_FILLED])
def test_a_refused_order_seen_alive_is_a_contradiction(event: Event) -> None:
    """Rule 1: two answers of the venue disagree, so the order is looked up."""
    assert next_state(S.REJECTED, event) is S.UNKNOWN


def test_a_missing_answer_never_beats_evidence_of_life() -> None:
    """Rule 1: a lost reply leaves what was already seen as it is."""
    for state in State:
        after = next_state(state, E.NO_ANSWER)
        if state is S.IN_FLIGHT:
            assert after is S.UNKNOWN
        else:
            assert after in (state, None)


def test_a_refused_cancel_proves_nothing() -> None:
    """Rule 2: it ends no order and makes none live; what could be cancelled is looked up."""
    for state in OPEN - {S.IN_FLIGHT}:
        after = next_state(state, E.CANCEL_REFUSED)
        assert after is (S.DELAYED if state is S.DELAYED else S.UNKNOWN)
    for state in DEAD:
        assert next_state(state, E.CANCEL_REFUSED) is state


def test_only_evidence_ends_an_order() -> None:
    """An open order becomes dead by the venue's word or by proven absence, by nothing else."""
    proofs = DEATH | {E.SEEN_FILLED, E.REFUSED, E.PROVEN_ABSENT, E.PROVEN_GONE}
    for state, event in pairs():
        if state in OPEN and next_state(state, event) in DEAD:
            assert event in proofs


def test_an_accepted_order_is_not_undone_by_a_refusal() -> None:
    """A refusal after a sign of life is a contradiction; only the unsure may believe it."""
    for state in (S.LIVE, S.DELAYED, S.CANCELLING):
        assert next_state(state, E.REFUSED) is S.UNKNOWN
    for state in (S.IN_FLIGHT, S.UNKNOWN):
        assert next_state(state, E.REFUSED) is S.REJECTED


def test_asking_for_a_cancel_never_frees_anything() -> None:
    """CANCEL_SENT leaves an order open until there is proof (F21)."""
    for state in OPEN:
        assert next_state(state, E.CANCEL_SENT) in (S.CANCELLING, S.UNKNOWN)
