"""`python -m polybot lab divergence A B`: how far apart two runs over the same market time are, and
why.

A and B are tapes (paper beside live), folders of tapes, flight records, or runs saved as JSON
(`run_record.save`). Of each window that both had, the time in which both ran is compared. Each fill
is matched with the nearest of the other run on the same side of the book; what is left over has one
cause, the first that holds:

missing data        the other run heard nothing of this book then
queue               the other run bid as much then, and was not reached
latency             it did so a moment before or after
model               it wanted no such bid
price improvement   matched fills at different prices, or with different fees or rebates
settlement          matched fills that paid differently

A fill counts with what it came to, so the causes add up to the gap exactly. The trust
score is the weaker of two shares: of the dollars filled, those that are in both runs; and of the
time in which either had a bid, that in which both had the same best one, or a tick beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import attrs
import orjson

from polybot.domain.market import Outcome
from polybot.domain.units import notional
from polybot.journal.tape import TapeError
from polybot.lab.divergence_match import Best, matched
from polybot.lab.places import reason
from polybot.lab.run_record import Filled, MarketRun, Run, Span, read

LATE_MS = 2_000
NEAR = 100  # 10⁻⁴ dollars: a tick of most of a market's life
CAUSES = ("missing data", "queue", "latency", "model", "price improvement", "settlement")


@attrs.define
class Window:
    """One window in both runs: profits of A and B, and the gap A − B by cause, 10⁻¹² dollars."""

    slug: str
    profit_a: int = 0
    profit_b: int = 0
    causes: Counter[str] = attrs.field(factory=Counter)
    fills_a: int = 0
    fills_b: int = 0
    matched: int = 0  # pairs of fills
    filled: int = 0  # dollars (10⁻⁶), in either …
    filled_in_both: int = 0  # … and in both
    quoted_ms: int = 0  # in which either run had a bid, both sides added up …
    agreed_ms: int = 0  # … and both had the same one, or nearly

    @property
    def gap(self) -> int:
        return self.profit_a - self.profit_b


@attrs.frozen
class Comparison:
    windows: tuple[Window, ...]
    left_out: dict[str, str]  # windows that were not compared, and why
    missed: tuple[str, ...] = ()  # those of them through which both runs went from end to end

    @property
    def trust(self) -> float | None:
        """0 to 1; None where there was nothing to compare."""
        filled = sum(one.filled for one in self.windows)
        quoted = sum(one.quoted_ms for one in self.windows)
        shares = []
        if filled:
            shares.append(sum(one.filled_in_both for one in self.windows) / filled)
        if quoted:
            shares.append(sum(one.agreed_ms for one in self.windows) / quoted)
        return min(shares, default=None)


def compare(a: Run, b: Run) -> Comparison:
    """Hold two runs against each other, window by window."""
    windows, left_out, missed = [], {}, []
    for slug in sorted(a.markets.keys() | b.markets.keys()):
        why = _left_out(a, b, slug)
        if why is None:
            common = _common(a, b, slug)
            windows.append(
                _window(within(a.markets[slug], *common), within(b.markets[slug], *common))
            )
        else:
            left_out[slug] = why
            market = a.markets.get(slug) or b.markets[slug]
            if all(run.from_ms <= market.start_ms and market.end_ms <= run.to_ms for run in (a, b)):
                missed.append(slug)
    return Comparison(tuple(windows), left_out, tuple(missed))


def _left_out(a: Run, b: Run, slug: str) -> str | None:
    for run in (a, b):
        if slug not in run.markets:
            return f"not in {run.name}"
    markets = a.markets[slug], b.markets[slug]
    if all(one.up_payout is None for one in markets) and any(one.fills for one in markets):
        return "resolved in neither"
    begin, end = _common(a, b, slug)
    return "at no time in both" if begin >= end else None


def _common(a: Run, b: Run, slug: str) -> tuple[int, int]:
    """The part of a window in which both runs were there."""
    market = a.markets[slug]
    return max(market.start_ms, a.from_ms, b.from_ms), min(market.end_ms, a.to_ms, b.to_ms)


def within(market: MarketRun, begin: int, end: int) -> MarketRun:
    """A window's fills and spans of this time only."""
    cut = [
        attrs.evolve(one, from_ms=max(begin, one.from_ms), to_ms=min(end, one.to_ms))
        for one in market.spans
        if one.from_ms < end and one.to_ms > begin
    ]
    fills = [one for one in market.fills if begin <= one.at_ms <= end]
    return attrs.evolve(market, fills=fills, spans=cut)


def _window(a: MarketRun, b: MarketRun) -> Window:
    made = Window(a.slug, fills_a=len(a.fills), fills_b=len(b.fills))
    # One run may have ended before the result. Without fills any serves: nothing is multiplied.
    up_a = a.up_payout if a.up_payout is not None else b.up_payout or 0
    up_b = b.up_payout if b.up_payout is not None else up_a
    made.profit_a = sum(fill.profit(up_a) for fill in a.fills)
    made.profit_b = sum(fill.profit(up_b) for fill in b.fills)
    pairs, only_a, only_b = matched(a.fills, b.fills)
    for one, other in pairs:
        settled = one.profit(up_a) - one.profit(up_b)
        made.causes["settlement"] += settled
        made.causes["price improvement"] += one.profit(up_b) - other.profit(up_b)
        made.filled_in_both += notional(one.price, one.shares)
    in_a, in_b = _Causes.of(a), _Causes.of(b)
    for fill in only_a:
        made.causes[in_b.cause(fill)] += fill.profit(up_a)
    for fill in only_b:
        made.causes[in_a.cause(fill)] -= fill.profit(up_b)
    made.matched = len(pairs)
    alone = sum(notional(fill.price, fill.shares) for fill in (*only_a, *only_b))
    made.filled = made.filled_in_both + alone
    _quotes(a.spans, b.spans, made)
    assert sum(made.causes.values()) == made.gap, "every dollar has its cause"
    return made


@attrs.define(eq=False)
class _Causes:
    """Why a run has no such fill as the other."""

    gaps: list[tuple[int, int]]
    then: dict[Outcome, Best]
    nearly_then: dict[Outcome, Best]

    @classmethod
    def of(cls, there: MarketRun) -> _Causes:
        # A bid may be filled in its last millisecond.
        then = {one: Best.of(there.spans, one, 0, 1) for one in Outcome}
        nearly = {one: Best.of(there.spans, one, LATE_MS, LATE_MS + 1) for one in Outcome}
        return cls(there.gaps, then, nearly)

    def cause(self, fill: Filled) -> str:
        at = fill.at_ms
        if any(begin <= at <= end for begin, end in self.gaps):
            return "missing data"
        if self.then[fill.toward].reaches(fill.price, at):
            return "queue"
        return "latency" if self.nearly_then[fill.toward].reaches(fill.price, at) else "model"


def _quotes(a: Sequence[Span], b: Sequence[Span], made: Window) -> None:
    """Add up how long either had a bid, and how long both had nearly the same."""
    for outcome in Outcome:
        own_a, own_b = Best.of(a, outcome), Best.of(b, outcome)
        for begin, end in pairwise(sorted({*own_a.times, *own_b.times})):
            best_a, best_b = own_a.at(begin), own_b.at(begin)
            if best_a is None and best_b is None:
                continue
            made.quoted_ms += end - begin
            if best_a is not None and best_b is not None and abs(best_a - best_b) <= NEAR:
                made.agreed_ms += end - begin


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Ends with 0, with 1 where a tape was not whole, no window could be compared or one was missed
    that should have been, or with 2.
    """
    said = _parser().parse_args(argv)
    try:
        (a, whole_a), (b, whole_b) = read(said.a), read(said.b)
    except (TapeError, OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    found = compare(a, b)
    text = orjson.dumps(plain(found)).decode() if said.json else "\n".join(lines(found))
    sys.stdout.write(f"{text}\n")
    return 0 if whole_a and whole_b and found.windows and not found.missed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot lab divergence",
        description="How far apart two runs over the same market time are, and why.",
        allow_abbrev=False,
    )
    for name in ("a", "b"):
        parser.add_argument(name, type=Path, help="a tape, a folder, a flight record, or JSON")
    parser.add_argument("--json", action="store_true", help="one line for programs")
    return parser


def lines(found: Comparison) -> list[str]:
    """For people: a row per window, the total, and what may be trusted."""
    head = f"{'window':<26}{'A':>10}{'B':>10}{'gap':>10}{'fills':>12}{'both':>6}"
    rows = [head + "".join(f"{name:>19}" for name in CAUSES)]
    rows += [_row(one) for one in found.windows]
    if len(found.windows) > 1:
        rows.append(_row(total(found.windows)))
    rows += [
        f"{slug}: left out, {why}{', and both went through it' if slug in found.missed else ''}"
        for slug, why in found.left_out.items()
    ]
    whole = total(found.windows)
    filled = _share(whole.filled_in_both, whole.filled)
    agreed = _share(whole.agreed_ms, whole.quoted_ms)
    rows.append(f"of the dollars filled {filled} in both; of the time quoted {agreed} alike")
    trust = "nothing to compare" if found.trust is None else f"{found.trust:.2f}"
    if found.missed:
        trust += f", of a part only: {len(found.missed)} of the windows of both left out"
    return [*rows, f"trust: {trust}"]


def total(windows: Sequence[Window]) -> Window:
    """All windows together."""
    made = Window("all")
    for one in windows:
        made.causes.update(one.causes)
        for field in attrs.fields(Window)[1:]:
            if field.name != "causes":
                setattr(made, field.name, getattr(made, field.name) + getattr(one, field.name))
    return made


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "(none)"


def _row(one: Window) -> str:
    money = "".join(f"{_dollars(value):>10}" for value in (one.profit_a, one.profit_b, one.gap))
    fills = f"{one.fills_a}/{one.fills_b}"
    causes = "".join(f"{_dollars(one.causes[name]):>19}" for name in CAUSES)
    return f"{one.slug:<26}{money}{fills:>12}{one.matched:>6}{causes}"


def _dollars(amount: int) -> str:
    cents = (amount + 5 * 10**9) // 10**10
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def plain(found: Comparison) -> dict[str, object]:
    """For programs: dollars as decimal texts, exact."""
    return {
        "trust": found.trust,
        "left_out": found.left_out,
        "missed": found.missed,
        "windows": [
            {
                "slug": one.slug,
                "profit_a": _exact(one.profit_a),
                "profit_b": _exact(one.profit_b),
                "causes": {name: _exact(one.causes[name]) for name in CAUSES},
                "fills": [one.fills_a, one.fills_b, one.matched],
                "quoted_ms": one.quoted_ms,
                "agreed_ms": one.agreed_ms,
            }
            for one in found.windows
        ],
    }


def _exact(amount: int) -> str:
    whole, fraction = divmod(abs(amount), 10**12)
    return f"{'-' if amount < 0 else ''}{whole}.{fraction:012d}"
