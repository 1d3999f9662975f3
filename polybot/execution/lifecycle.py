"""The life of one order, as a table.

What the states mean
--------------------

The venue has no idempotency key and no amend. An order's only identity is its hash, which we know
before we send it, so an order exists here from the moment it is signed:

IN_FLIGHT   the POST may be on the wire. We know nothing; the order may already be filled.
LIVE        the venue said it accepted the order (ack, user stream or a read). It may be resting
            or, after a partial fill, still resting with less.
DELAYED     accepted into a taker delay: held, cannot be cancelled, outcome unknown until the venue
            says.
CANCELLING  we asked for its removal and have no proof yet. It can still fill.
UNKNOWN     a request ended without a definite answer, or two answers disagree. Counted as fully
            open and looked up by its hash until evidence decides; a POST is never repeated.
FILLED      the venue says nothing is left to match.
CANCELLED   the venue says it will never match again: cancelled, expired, market resolved.
REJECTED    a definite refusal: the order never existed.
ABSENT      proven never to have existed: a lost POST that two of three sources do not know, after
            the grace (doubts.py).

The last four are terminal for *quoting*: the order no longer counts as open. They are not the end
of its story: fills race with cancels on this venue (feeds.md 4.5 shows a fill arriving after the
CANCELLATION), so fills are applied by trade id whatever the state. That is why fills are not in
this table.

Two rules decide the conflicts
------------------------------

1. Evidence of life beats a missing answer; evidence of death beats evidence of life. Messages and
   reads race, and an order never comes back from the dead on this venue, so LIVE seen after
   CANCELLED is an old message and is ignored. The exception is ABSENT: it is our inference, not the
   venue's word, so any sight of the order overrules it (a request queued 30 s at the edge, F18).
   REJECTED is the venue's word but of another request path than the stream; being seen alive
   afterwards is a contradiction and becomes UNKNOWN, to be looked up.
2. A refused cancel proves nothing: "already canceled or matched" has been said of live orders. It
   leads to UNKNOWN, whose owner looks the order up.

A third rule keeps the first from being believed too long. Messages are old at most for a grace; a
list of open orders that was *begun* well after an order's end and still shows it contradicts that
end (a cancel acknowledged and not carried out, F21). Such a ghost is UNKNOWN again: counted in
full, looked up, cancelled. It is the only way back from FILLED and CANCELLED.

Both legs of a replacement count: there is no amend, so the old order stays open, at its full
remaining size, until one of the four ends above is proven, beside the new one.

A pair that is not in the table is a fault of ours or of the venue: the state stays and the fault is
counted and shown, never raised, because the order still has to be managed.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    IN_FLIGHT = "in flight"
    LIVE = "live"
    DELAYED = "delayed"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    ABSENT = "absent"

    __hash__ = object.__hash__  # as Outcome's


# In these an order may still match, and so counts in exposure at its full remaining size.
OPEN = frozenset({State.IN_FLIGHT, State.LIVE, State.DELAYED, State.CANCELLING, State.UNKNOWN})


class Event(enum.Enum):
    ACK_LIVE = "ack: live"
    ACK_DELAYED = "ack: delayed"
    ACK_MATCHED = "ack: matched"  # wholly or in part: what is left, if anything, rests
    REFUSED = "refused"
    NO_ANSWER = "no answer to the POST"
    SEEN_LIVE = "seen live"
    SEEN_DELAYED = "seen delayed"
    SEEN_FILLED = "seen filled"
    SEEN_DEAD = "seen dead"
    CANCEL_SENT = "cancel sent"
    CANCEL_DONE = "cancel confirmed"
    CANCEL_REFUSED = "cancel refused"
    MISSING = "missing from the open orders"
    OVERDUE = "cancel without proof for too long"
    PROVEN_ABSENT = "proven absent"
    PROVEN_GONE = "proven gone"  # it did exist, and no source shows it any more
    RESTS_STILL = "shown resting well after its end"

    __hash__ = object.__hash__


S, E = State, Event

# What may still be heard of an order that has ended: old news, repeats, and the answers to requests
# that crossed its end. A cancel may be confirmed for dust that we count as filled; a killed order's
# CANCELLATION may outrun the reply that refuses it (the one thing a filled order never gets).
_AFTER_THE_END = (
    E.ACK_LIVE,
    E.ACK_DELAYED,
    E.ACK_MATCHED,
    E.NO_ANSWER,
    E.SEEN_LIVE,
    E.SEEN_DELAYED,
    E.SEEN_FILLED,
    E.SEEN_DEAD,
    E.CANCEL_SENT,
    E.CANCEL_DONE,
    E.CANCEL_REFUSED,
)

TRANSITIONS: dict[State, dict[Event, State]] = {
    S.IN_FLIGHT: {
        E.ACK_LIVE: S.LIVE,
        E.ACK_DELAYED: S.DELAYED,
        E.ACK_MATCHED: S.LIVE,
        E.REFUSED: S.REJECTED,
        E.NO_ANSWER: S.UNKNOWN,
        # The user stream outruns the reply.
        E.SEEN_LIVE: S.LIVE,
        E.SEEN_DELAYED: S.DELAYED,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        # Cancel-all reaches orders whose ack is still under way.
        E.CANCEL_SENT: S.UNKNOWN,
        E.CANCEL_DONE: S.CANCELLED,
        # A slow POST: the list was read while it was under way.
        E.MISSING: S.IN_FLIGHT,
    },
    S.LIVE: {
        E.ACK_LIVE: S.LIVE,
        E.ACK_DELAYED: S.LIVE,
        E.ACK_MATCHED: S.LIVE,
        E.NO_ANSWER: S.LIVE,
        E.SEEN_LIVE: S.LIVE,
        E.SEEN_DELAYED: S.LIVE,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        E.REFUSED: S.UNKNOWN,
        E.CANCEL_SENT: S.CANCELLING,
        E.CANCEL_DONE: S.CANCELLED,
        E.CANCEL_REFUSED: S.UNKNOWN,
        E.MISSING: S.UNKNOWN,
    },
    S.DELAYED: {
        E.ACK_DELAYED: S.DELAYED,
        E.ACK_LIVE: S.LIVE,
        E.ACK_MATCHED: S.LIVE,
        E.NO_ANSWER: S.DELAYED,
        E.SEEN_DELAYED: S.DELAYED,
        E.SEEN_LIVE: S.LIVE,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        E.REFUSED: S.UNKNOWN,
        E.CANCEL_SENT: S.UNKNOWN,
        E.CANCEL_DONE: S.CANCELLED,
        E.CANCEL_REFUSED: S.DELAYED,
        E.MISSING: S.UNKNOWN,
    },
    S.CANCELLING: {
        E.ACK_LIVE: S.CANCELLING,
        E.ACK_DELAYED: S.CANCELLING,
        E.ACK_MATCHED: S.CANCELLING,
        E.NO_ANSWER: S.CANCELLING,
        E.SEEN_LIVE: S.CANCELLING,
        E.SEEN_DELAYED: S.CANCELLING,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        E.REFUSED: S.UNKNOWN,
        E.CANCEL_SENT: S.CANCELLING,
        E.CANCEL_DONE: S.CANCELLED,
        E.CANCEL_REFUSED: S.UNKNOWN,
        E.MISSING: S.UNKNOWN,
        E.OVERDUE: S.UNKNOWN,
    },
    S.UNKNOWN: {
        E.ACK_LIVE: S.UNKNOWN,  # a late ack says it lived once; the look-up says what it is now
        E.ACK_DELAYED: S.UNKNOWN,
        E.ACK_MATCHED: S.UNKNOWN,
        E.NO_ANSWER: S.UNKNOWN,
        E.SEEN_LIVE: S.LIVE,
        E.SEEN_DELAYED: S.DELAYED,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        E.REFUSED: S.REJECTED,
        E.CANCEL_SENT: S.UNKNOWN,
        E.CANCEL_DONE: S.CANCELLED,
        E.CANCEL_REFUSED: S.UNKNOWN,
        E.MISSING: S.UNKNOWN,
        E.PROVEN_ABSENT: S.ABSENT,
        E.PROVEN_GONE: S.CANCELLED,
    },
    S.FILLED: {**dict.fromkeys(_AFTER_THE_END, S.FILLED), E.RESTS_STILL: S.UNKNOWN},
    S.CANCELLED: {
        **dict.fromkeys((*_AFTER_THE_END, E.REFUSED), S.CANCELLED),
        E.RESTS_STILL: S.UNKNOWN,
    },
    S.REJECTED: {
        E.REFUSED: S.REJECTED,
        E.SEEN_DEAD: S.REJECTED,  # a killed order also shows as a CANCELLATION on the stream
        E.CANCEL_SENT: S.REJECTED,
        E.CANCEL_REFUSED: S.REJECTED,
        E.SEEN_LIVE: S.UNKNOWN,
        E.SEEN_DELAYED: S.UNKNOWN,
        E.SEEN_FILLED: S.UNKNOWN,
        E.RESTS_STILL: S.UNKNOWN,
    },
    S.ABSENT: {
        E.SEEN_LIVE: S.LIVE,
        E.SEEN_DELAYED: S.DELAYED,
        E.SEEN_FILLED: S.FILLED,
        E.SEEN_DEAD: S.CANCELLED,
        E.ACK_LIVE: S.UNKNOWN,
        E.ACK_DELAYED: S.UNKNOWN,
        E.ACK_MATCHED: S.UNKNOWN,
        E.REFUSED: S.REJECTED,
        E.NO_ANSWER: S.ABSENT,
        E.CANCEL_SENT: S.ABSENT,
        E.CANCEL_DONE: S.CANCELLED,
        E.CANCEL_REFUSED: S.ABSENT,
        E.PROVEN_ABSENT: S.ABSENT,
    },
}


def next_state(state: State, event: Event) -> State | None:
    """The state after `event`, or None when the pair is outside the table (a fault to count)."""
    return TRANSITIONS[state].get(event)
