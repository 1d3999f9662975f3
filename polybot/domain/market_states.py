"""The life of one market, as a table (strategy.md 13).

What the states mean
--------------------

DISCOVERED    metadata says that the market exists; its rule is not understood yet, or its book has
              never been verified.
PREOPEN       rule and book are known, the window has not begun. Quotes only when the operator asks
              for them, and then from `preopen_s` before the start.
AWAIT_STRIKE  the window runs and nobody has told what it is measured against. Nothing is quoted:
              at the open the fair price is not one half (strategy.md 2.2), and a quote at one half
              is what the quickest reader of the oracle lives on.
QUOTING       both sides are quoted, pairs may be completed.
REDUCE        past the stop: what is held may be paired, nothing may be added. From here on a
              tick of the oracle moves the fair price further than our edge before a cancel lands.
CUTOFF        nothing may rest any more, and nothing is sent: everything is cancelled. The last
              completion belongs to the seconds before it, so that one moment ends it all (S1).
FIXING        past the cutoff and proven empty: the result is being made and we only watch.
ENDED         the window is over, its result is not known. Confirmed pairs may still be merged.
RESOLVED      the payout is known: shares are redeemed for what they pay.
CLOSED        the books agree with the venue's balances; the market may be forgotten.

Three rules decide what the table allows
----------------------------------------

1. States only move forward. A strike that is corrected, a book that breaks, a price that goes stale
   do not send a market back to an earlier state: they are reasons not to quote *within* it, kept by
   those who know them, and they pass. A state that could return would need a proof that nothing of
   the later one still holds, which is exactly what a venue without amend cannot give.
2. Time outranks knowledge. Stop, cutoff and end are reached by the clock from any state before
   them, whatever is missing: a market whose strike never came is cut off like any other, and one
   that is found in its last minute begins its life at the cutoff.
3. The end does not wait for us. FIXING asks for proof that nothing rests; ENDED does not, because
   the venue ends the window whether we are empty or not, and what may still rest is then a matter
   of the flatten, which never stops asking (market_scope.py).

HALTED is no state but a lid over all of them: while the gate is closed – an unwell input, a stop
rule, the operator – only cancelling and the settlement of what is held remain, and when it opens
the market is where the clock has taken it meanwhile. Were it a state, leaving it would need a
memory of where it came from, and rule 2 a second time.

CANCEL is in every row: there is no state in which an order of ours may not be withdrawn. A pair
that is not in the table changes nothing and is counted by whoever drives the table; a transition is
told once, with its event as the cause.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class MarketState(enum.Enum):
    DISCOVERED = "discovered"
    PREOPEN = "before"
    AWAIT_STRIKE = "awaiting strike"
    QUOTING = "quoting"
    REDUCE = "reduce"
    CUTOFF = "cutoff"
    FIXING = "fixing"
    ENDED = "ended"
    RESOLVED = "resolved"
    CLOSED = "closed"

    __hash__ = object.__hash__


class Happened(enum.Enum):
    """What moves a market on: facts somebody noticed, and the clock."""

    KNOWN = "rule and book known"
    STARTED = "window started"
    STRIKE = "strike known"
    STOP = "stop reached"
    CUTOFF = "cutoff reached"
    EMPTY = "nothing rests"
    END = "window ended"
    PAYOUT = "payout known"
    AGREED = "balances agree"

    __hash__ = object.__hash__


class Action(enum.Enum):
    """What may be asked of the venue for a market."""

    QUOTE = "quote"  # a bid that rests, on either side
    REDUCE = "bid on the light side"  # a bid that rests and can only pair what is held
    COMPLETE = "completion"  # a taker order for the light side
    CANCEL = "cancel"
    MERGE = "merge"
    REDEEM = "redeem"

    __hash__ = object.__hash__


S, H, A = MarketState, Happened, Action

# The latest first: a market found late goes where the clock is, not through every door before it.
_CLOCK = {H.END: S.ENDED, H.CUTOFF: S.CUTOFF, H.STOP: S.REDUCE}

TRANSITIONS: Mapping[MarketState, Mapping[Happened, MarketState]] = {
    S.DISCOVERED: {**_CLOCK, H.KNOWN: S.PREOPEN},
    S.PREOPEN: {**_CLOCK, H.STARTED: S.AWAIT_STRIKE},
    S.AWAIT_STRIKE: {**_CLOCK, H.STRIKE: S.QUOTING},
    S.QUOTING: _CLOCK,
    S.REDUCE: {H.END: S.ENDED, H.CUTOFF: S.CUTOFF},
    S.CUTOFF: {H.END: S.ENDED, H.EMPTY: S.FIXING},
    S.FIXING: {H.END: S.ENDED},
    S.ENDED: {H.PAYOUT: S.RESOLVED},
    S.RESOLVED: {H.AGREED: S.CLOSED},
    S.CLOSED: {},
}

ALLOWED: Mapping[MarketState, frozenset[Action]] = {
    S.DISCOVERED: frozenset({A.CANCEL}),
    S.PREOPEN: frozenset({A.QUOTE, A.REDUCE, A.CANCEL, A.MERGE}),
    S.AWAIT_STRIKE: frozenset({A.CANCEL, A.MERGE}),
    S.QUOTING: frozenset({A.QUOTE, A.REDUCE, A.COMPLETE, A.CANCEL, A.MERGE}),
    S.REDUCE: frozenset({A.REDUCE, A.COMPLETE, A.CANCEL, A.MERGE}),
    S.CUTOFF: frozenset({A.CANCEL, A.MERGE}),
    S.FIXING: frozenset({A.CANCEL, A.MERGE}),
    S.ENDED: frozenset({A.CANCEL, A.MERGE}),
    S.RESOLVED: frozenset({A.CANCEL, A.REDEEM}),
    S.CLOSED: frozenset({A.CANCEL}),
}

HALTED_ALLOWED = frozenset({A.CANCEL, A.MERGE, A.REDEEM})


def next_market_state(state: MarketState, happened: Happened) -> MarketState | None:
    """The state after it, or None when it means nothing there."""
    return TRANSITIONS[state].get(happened)


def allowed(state: MarketState, *, halted: bool) -> frozenset[Action]:
    """What may be asked of the venue; under the lid only what lowers risk."""
    return ALLOWED[state] & HALTED_ALLOWED if halted else ALLOWED[state]
