"""Selling what is held instead of buying its twin, where that is better. Pure.

An ask on Up at 1 − p has the place in the book of a bid for Down at p: the same fills move the
position by the same shares for the same edge (`domain/orders.as_bid`). They differ in what they
need and leave behind, and that decides:

              bid for the twin                    ask on held shares
  needs       p dollars a share until it fills    shares that the chain has confirmed
  leaves      a pair: a dollar once it is merged  1 − p dollars at once
  can lose    the same, either way: so limits on losses never decide, those on dollars do

So a ladder begins as bids, and its bids become asks on what is at hand

  when short  where cash, or a limit on dollars at risk, would cut the ladder short if it were all
              bids; or where a pair would not be a dollar again in time: nothing can be merged now,
              or the cutoff is too near for it
  always      wherever there are shares
  never       the operator wants none

- For want of money even a part of a bid's size is sold: it would be cut otherwise. For the other
  reasons only the whole of it, since the bid could stand.
- Best prices first: they are what fills.
- The price is the bid's own from the other end, so what holds for the bid holds for the ask: below
  its cap, on the grid (rounded up as the bid was down), in no pair above the target, and never
  across a bid of ours for the same shares, for two bids that add up to less than a dollar do not
  meet.
- What a book is not believed of, or has one side only, is not sold: the token's own, though the
  twin's tells the same from its other end.
- Shares that are provisional, claimed by a merge, or bound by orders whose fate is unknown are not
  at hand: `Stock` has them taken off.
- Once asks rest, bids come back only when there is money for a fifth more: what changes over loses
  its place in the queue.

Rejected: selling the surplus alone. Shares of a pair sell as well (at prices that bring more than a
dollar for both), and where pairs cannot be merged that is how they become dollars. What a merge
wants it has claimed before (inventory.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.domain import units
from polybot.domain.market import DOWN, UP, Outcome, Side
from polybot.quoting.model import Quote, Stock
from polybot.quoting.params import SELL_HELD
from polybot.quoting.reasons import Reason, Why
from polybot.risk.checks import within_dollars
from polybot.risk.exposure import OpenBids
from polybot.risk.timetable import Timetable

_, ALWAYS, NEVER = SELL_HELD

# A fill is confirmed within some seconds and a transaction mined within 5 to 30 (onchain.md 7.5).
MERGE_MS = 45_000
TOO_LATE = "the cutoff is too near for a merge"
SPARE = (6, 5)  # a fifth more than the bids need


@attrs.frozen
class _Cause:
    """Why bids become asks; `partly`: a part of a bid's size will do."""

    text: str
    partly: bool


def too_late(table: Timetable, now_ms: int) -> str | None:
    """Why a pair that is bought now cannot be dollars again while they are of use here."""
    return TOO_LATE if table.cutoff_ms - now_ms < MERGE_MS else None


def with_asks(
    bids: Sequence[Quote],
    stock: Stock | None,
    min_size: int,
    sell_held: str,
    unknown: Sequence[Outcome] = (),
) -> tuple[tuple[Quote, ...], list[Reason]]:
    """The same ladder with asks where they are better, and the reasons: for each side that has any,
    why it sells, or why it bids where it would rather sell. Sizes 10⁻⁶ shares; `unknown` are the
    outcomes without a book to be sold in.
    """
    if stock is None or sell_held == NEVER or not bids:
        return tuple(bids), []
    cause = _Cause(ALWAYS, partly=False) if sell_held == ALWAYS else _cause(bids, stock)
    if cause is None:
        return tuple(bids), []
    found: list[Quote] = []
    reasons: list[Reason] = []
    for toward in Outcome:
        side = [bid for bid in bids if bid.outcome is toward]
        left = 0 if toward.other in unknown else stock.sellable(toward.other)
        made = _sold(side, left, min_size, partly=cause.partly)
        found += made
        reasons += _reasons(toward, made, stock, cause)
    return tuple(found), reasons


def _cause(bids: Sequence[Quote], stock: Stock) -> _Cause | None:
    short = _short(bids, stock)
    if short is not None:
        return _Cause(short, partly=True)
    return _Cause(stock.unmergeable, partly=False) if stock.unmergeable is not None else None


def _short(bids: Sequence[Quote], stock: Stock) -> str | None:
    """What would cut the ladder if it were all bids, by the firewall's own arithmetic. What the
    whole of it passes every part of it passes.
    """
    more, less = SPARE if stock.asking else (1, 1)
    up = down = 0
    for bid in bids:
        dollars = units.notional(bid.price, bid.size) * more // less
        if bid.outcome is UP:
            up += dollars
        else:
            down += dollars
    exposure = stock.standing.held.with_bids(OpenBids(up, down))
    for outcome, dollars in ((UP, up), (DOWN, down)):
        limit = within_dollars(outcome, exposure, stock.standing, stock.limits)
        if dollars and limit is not None:
            return limit.value
    return None


def _sold(side: Sequence[Quote], left: int, min_size: int, *, partly: bool) -> list[Quote]:
    """One side's bids, as asks where there are shares for them: `left` of the other outcome."""
    made: list[Quote] = []
    for bid in side:
        size = min(bid.size, units.floor_to(left, units.LOT))
        if size < (min_size if partly else bid.size):
            made.append(bid)
            continue
        left -= size
        price = units.ONE - bid.price
        made.append(Quote(bid.outcome.other, price, size, bid.level, Side.SELL))
    return made


def _reasons(toward: Outcome, made: Sequence[Quote], stock: Stock, cause: _Cause) -> list[Reason]:
    sells = sum(quote.size for quote in made if quote.side is Side.SELL)
    because = ("because", cause.text)
    if sells:
        return [Reason(Why.SELLS, toward, (("shares", units.amount_text(sells)), because))]
    held = stock.held(toward.other)
    if not made or not held:
        return []
    figures = (
        ("held", units.amount_text(held)),
        ("at_hand", units.amount_text(stock.sellable(toward.other))),
        because,
    )
    return [Reason(Why.UNSOLD, toward, figures)]
