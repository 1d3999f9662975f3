"""Why trading may be halted until an operator has looked: every reason, and what to do about it.

A halt survives restarts (S12): it is written to the journal by its name and ended by `python -m
polybot rearm` alone. docs/operations.md shows this table.
"""

from __future__ import annotations

import enum

import attrs


class Halt(enum.Enum):
    """The value is the name in journal and screen."""

    STOPPED = "stopped by the operator"
    FOREIGN_ORDERS = "foreign orders"
    SHARES_DIFFER = "shares differ"
    LEDGER_DRIFT = "ledger drift"
    ORDER_TERMS = "order terms"
    OVERFILLED = "overfilled"
    DAILY_LOSS = "daily loss"
    DRAWDOWN = "drawdown"
    VENUE_REFUSES = "venue refuses us"
    NOT_APPROVED = "approval gone"
    JOURNAL_DAMAGED = "journal damaged"
    REASON_LOST = "halt of which the reason was lost"

    @property
    def means(self) -> str:
        return _EXPLAINED[self].means

    @property
    def act(self) -> str:
        return _EXPLAINED[self].act


@attrs.frozen
class _Explained:
    """What was seen, and what the operator does about it."""

    means: str
    act: str


_EXPLAINED = {
    Halt.STOPPED: _Explained(
        "`python -m polybot stop --now` was given.",
        "Re-arm when the reason for stopping is gone.",
    ),
    Halt.FOREIGN_ORDERS: _Explained(
        "The venue shows orders of this API key that no journal of ours knows; also of another "
        "wallet that the key signs for, for a cancel-all would take them. At a start: the journal "
        "is an old copy, or somebody has traded since it ended.",
        "Find out which program or person placed them and end that: one engine per key, and no "
        "hand at the web page beside it. Then cancel them (`stop --now` does) and re-arm. A copy "
        "is moved away, and the newest journal put back.",
    ),
    Halt.SHARES_DIFFER: _Explained(
        "At the start the venue showed other share balances than the journal.",
        "Look for transfers, trades or redemptions by others since the last run. When they are "
        "explained, move the journal away, so that a new one begins with what the venue shows: "
        "once no trade is on its way, and with windows left alone of which the wallet holds "
        "shares.",
    ),
    Halt.LEDGER_DRIFT: _Explained(
        "The books and the venue's balances did not agree for longer than a settlement takes.",
        "Compare the interval's trades in the journal with the venue's. A difference that nobody "
        "else's trade explains is a bug: report it, and re-arm only when it is understood.",
    ),
    Halt.ORDER_TERMS: _Explained(
        "An order of ours rests at the venue on terms that we did not sign.",
        "Keep the journal and the log and ask the venue. Re-arm only when it is understood.",
    ),
    Halt.OVERFILLED: _Explained(
        "More of an order was matched than it had left.",
        "Compare its trades in the journal with the venue's: one is counted twice, there or here.",
    ),
    Halt.DAILY_LOSS: _Explained(
        "The equity, shares at fair, fell by `[risk] max_daily_loss_percent` since midnight UTC.",
        "Find out what lost: the summary and the journal name each market. After `rearm` the day "
        "counts from the equity of the next start.",
    ),
    Halt.DRAWDOWN: _Explained(
        "The equity, shares at fair, fell by `[risk] max_drawdown_percent` from its highest.",
        "Decide whether the strategy still earns. After `rearm` the highest counts from the equity "
        "of the next start.",
    ),
    Halt.VENUE_REFUSES: _Explained(
        "The venue refuses our requests for good: credentials, region, or a banned account.",
        "Run `python -m polybot doctor`, mend what it names, re-arm.",
    ),
    Halt.NOT_APPROVED: _Explained(
        "Orders are refused, and the exchange may not take what they give: an approval of the "
        "wallet was revoked, or is used up.",
        "If it was not you, somebody else has the key: move what is left to another wallet. Else "
        "grant the standard approvals, see with `python -m polybot doctor` that they hold, re-arm.",
    ),
    Halt.JOURNAL_DAMAGED: _Explained(
        "The journal was damaged, or its entries contradicted each other: it was put aside, and a "
        "new one begun.",
        "Compare the venue's page with the file that lies aside: what its shares cost is not known "
        "any more. What the new journal does not know, redeem or sell by hand, then re-arm.",
    ),
    Halt.REASON_LOST: _Explained(
        "Trading was halted while the journal's disk failed, and the reason could not be kept.",
        "The log of that run has the reason: do what this table says of it. See that the disk is "
        "sound, then re-arm.",
    ),
}


# What an operator re-arms by saying: I have seen this loss. It is measured anew from then on.
LOSSES = frozenset({Halt.DAILY_LOSS.value, Halt.DRAWDOWN.value})


def what_to_do(name: str) -> str:
    """What an operator does about a halt of that name; also for one of another version's."""
    if name in {halt.value for halt in Halt}:
        return Halt(name).act
    return "Unknown to this version: look at its reason, and at docs/operations.md of its own."
