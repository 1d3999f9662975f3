"""The last words of a run: what each interval came to, and what is left behind. Pure text."""

from __future__ import annotations

from polybot.console.fold import folded
from polybot.console.snapshot import LostLine
from polybot.console.view import counts, gain_text, lost_text, money_text
from polybot.summary import Activity, Interval, Summary

REASONS_TOLD = 4  # of a side

_HEAD = f"{'interval':<44}{'result':<8}{'fills':>6}{'volume':>10}{'sold':>10}"
_HEAD += f"{'merged':>10}{'P&L':>10}"


def closing_report(summary: Summary, width: int | None = None) -> str:
    """A table of the intervals that were touched, then the totals, line by line; sentences folded
    to the terminal's width, where there is one.
    """
    touched = [interval for interval in summary.intervals if interval.orders or interval.fills]
    lines = ["", _HEAD, *(_row(interval) for interval in touched), ""]
    told = [
        _ended(summary, len(touched)),
        *why_not(summary),
        _equity(summary),
        _resting(summary.live_orders_at_exit),
        *(f"note: {note}" for note in summary.notes),
    ]
    if width is not None:
        told = [piece for line in told for piece in folded(line, width)]
    return "\n".join([*lines, *told]) + "\n"


def _ended(summary: Summary, touched: int) -> str:
    totals = summary.totals
    unpaid = (
        f" ({gain_text(totals.unpaid_pnl)} more once known results are paid)"
        if totals.unpaid_pnl
        else ""
    )
    return (
        f"ended: {summary.exit_reason}.  {touched} intervals, {_fills(totals)}, "
        f"realised {gain_text(totals.realised_pnl)}{unpaid}, "
        f"quoted {_share(summary.quoted_share)} of the time it could"
    )


def why_not(summary: Summary) -> list[str]:
    """What took most of each side's quotable time, a line for each side that lost any."""
    lines = []
    for side, lost in summary.reasons.items():
        told = [LostLine(side, why, one.withheld, one.reduced) for why, one in lost.items()]
        told.sort(key=lambda line: -(line.withheld + line.reduced))
        texts = [lost_text(line) for line in told[:REASONS_TOLD] if counts(line)]
        lines += [f"why not more {side}: {'; '.join(texts)}"] if texts else []
    return lines


def _row(interval: Interval) -> str:
    """What an interval has come to: from its result on, whether or not that is paid already."""
    gain = interval.realised_pnl + interval.unpaid_pnl
    return (
        f"{interval.slug:<44}{interval.outcome or 'open':<8}{interval.fills:>6}"
        f"{money_text(interval.volume):>10}{money_text(interval.sold):>10}"
        f"{money_text(interval.merged):>10}{gain_text(gain):>10}"
    )


def _fills(totals: Activity) -> str:
    sales = f" ({totals.sales} of them sales)" if totals.sales else ""
    return f"{totals.fills} fills{sales}"


def _share(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def _equity(summary: Summary) -> str:
    ours, theirs = summary.equity_bot, summary.equity_exchange
    if ours is None:
        return "equity unknown"
    said = f"equity {money_text(ours)} by our ledger (open pairs at 1, other open shares at 0)"
    if theirs is None:
        return said
    return said + (
        ", and by the exchange's books to the micro-dollar"
        if ours == theirs
        else f", BUT {money_text(theirs)} BY THE EXCHANGE'S BOOKS"
    )


def _resting(live: int | None) -> str:
    if live is None:
        return "ORDERS MAY STILL BE LIVE: the venue could not be asked. Look there now."
    return "no order rests, the venue says" if live == 0 else f"{live} ORDERS ARE STILL LIVE"
