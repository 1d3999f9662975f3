"""What to do with shares that only tie capital up: merge, redeem, split. Pure.

Why these rules. A pair is worth a dollar for sure, so merging it earns nothing but the use of that
dollar: it waits until enough of them have come together, or until cash is short (strategy.md 15).
Redemption wants the chain's payout and every share confirmed. One operation at a time in a market,
because a second would be computed from holdings that the first is about to change. Submissions are
scarce (25 a minute, a quota a day; onchain.md 7.4), so what is due goes together in one batch where
the wallet can do that; but a batch is all or nothing, and what has failed once goes alone.

Shares that asks may still sell, whatever is known of these asks, are not merged: the venue cancels
an ask whose shares are gone, and one that has filled unseen has taken them already (onchain.md
6.4). Where enough pairs are free without them, those are merged and the asks stay. Where not, the
merge goes before: a pair is a dollar for sure, an ask one price if it fills, and then the other leg
is alone. So the pairs are *claimed*, their asks withdraw, and the merge follows when nothing binds
them any more. A merge that cannot be sent claims nothing.

Amounts are 10⁻⁶ dollars and shares, times milliseconds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import TypeGuard

import attrs
from attrs.validators import and_, ge, le

from polybot.domain.market_books import Holdings
from polybot.domain.units import SHARE

BATCH_MOST = 10  # calls in one submission: gas for as many is still a small part of a block
MINUTE_MS, DAY_MS = 60_000, 86_400_000
WORTH_A_CALL = 5 * SHARE  # the least that is merged when cash is short
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 10_000, 600_000


@attrs.frozen
class InventoryParams:
    """`[inventory]`: when pairs become dollars again, and what that may cost in submissions."""

    merge_shares: int = attrs.field(default=20, validator=and_(ge(1), le(1_000_000)))
    """Least pairs of a market that are merged, in shares, while cash is not short."""

    merge_equity_percent: int = attrs.field(default=5, validator=and_(ge(0), le(100)))
    """The same as part of the equity; the larger of the two counts."""

    cash_percent: int = attrs.field(default=20, validator=and_(ge(0), le(100)))
    """Cash is short when less than this part of the equity is free; then five pairs are enough."""

    seed_shares: int = attrs.field(default=0, validator=and_(ge(0), le(1_000_000)))
    """Pairs to split for every window before it is quoted, in shares; 0 splits none."""

    submits_per_minute: int = attrs.field(default=20, validator=and_(ge(1), le(25)))
    """Most transactions a minute; the relayer takes 25 from one address."""

    submits_per_day: int = attrs.field(default=900, validator=and_(ge(1), le(1_000_000)))
    """Most transactions in a day of UTC; what the relayer's own quota is depends on the key."""


@attrs.frozen
class Place:
    """One market as the engine sees it. `up_payout`: what the chain says that one Up share pays.

    `settled`: no trade of it may still confirm or fail, and no order of ours match. `fresh`:
    nothing has ever happened in it, and it may be quoted; then `room` is what pairs of it may cost
    under the limits of `[risk]`. `pledged_*`: shares that our asks may sell, or may have sold.
    """

    condition_id: str
    held: Holdings
    up_payout: int | None = None
    open: bool = True  # its window has not ended
    settled: bool = True
    fresh: bool = False
    room: int = 0
    pledged_up: int = 0
    pledged_down: int = 0

    @property
    def free_pairs(self) -> int:
        """Confirmed pairs that no ask binds."""
        up = self.held.up_confirmed - self.pledged_up
        return max(0, min(up, self.held.down_confirmed - self.pledged_down))


@attrs.frozen
class Capital:
    """`free`: confirmed cash that no open order may spend; `room`: dollars that may be at risk
    beyond what is, over all markets.
    """

    equity: int
    free: int
    room: int


@attrs.frozen
class Claim:
    """Pairs that should be merged as soon as asks have let go of them."""

    condition_id: str
    shares: int


@attrs.frozen
class Operation:
    """`kind` merge | redeem | split; `shares` of each outcome, of both together for a redemption;
    `paid`: the dollars it brings, negative where it takes some.
    """

    kind: str
    condition_id: str
    shares: int
    paid: int


def due(params: InventoryParams, place: Place, capital: Capital) -> Operation | Claim | str | None:
    """What one market calls for; a text says what is waited for, None that there is nothing."""
    held = place.held
    if place.up_payout is not None:
        return _redemption(place)
    least = max(params.merge_shares * SHARE, capital.equity * params.merge_equity_percent // 100)
    short = capital.free * 100 < capital.equity * params.cash_percent
    least = min(least, WORTH_A_CALL) if short else least
    if place.free_pairs >= least:
        return Operation("merge", place.condition_id, place.free_pairs, place.free_pairs)
    if held.mergeable >= least:
        return Claim(place.condition_id, held.mergeable)
    seed = params.seed_shares * SHARE
    if seed and place.open and place.fresh:
        if capital.free < seed:
            return "too little cash to split for inventory"
        if min(place.room, capital.room) < seed:
            return "a split would pass the limits of [risk] on dollars at risk"
        return Operation("split", place.condition_id, seed, -seed)
    return None


def _redemption(place: Place) -> Operation | str | None:
    held = place.held
    if held.up == held.down == 0:
        return None
    if not place.settled or (held.up, held.down) != (held.up_confirmed, held.down_confirmed):
        return "a fill is still on its way to the chain"
    assert place.up_payout is not None
    paid = held.up * place.up_payout // SHARE + held.down * (SHARE - place.up_payout) // SHARE
    return Operation("redeem", place.condition_id, held.up + held.down, paid)


@attrs.define
class SubmitBudget:
    """How many transactions may still leave, and until when the venue wants none."""

    per_minute: int
    per_day: int
    _recent: deque[int] = attrs.field(factory=deque)
    _by_day: Counter[int] = attrs.field(factory=Counter)  # a clock set back finds its day's again
    _until_ms: int = 0
    _why: str = ""

    def spend(self, now_ms: int) -> None:
        """Count one submission, whatever it came to; after a restart also those of before, oldest
        first.
        """
        self._recent.append(now_ms)
        self._by_day[now_ms // DAY_MS] += 1

    def pause(self, until_ms: int, why: str) -> None:
        """Send nothing before then: the venue has said so."""
        self._until_ms, self._why = max(until_ms, self._until_ms), why

    def obstacle(self, now_ms: int) -> str | None:
        """Why nothing may leave now; None when something may."""
        if self._recent and self._recent[-1] > now_ms + MINUTE_MS:
            self._recent.clear()  # stamped by a clock that has been set right since
        while self._recent and self._recent[0] <= now_ms - MINUTE_MS:
            self._recent.popleft()
        if self._until_ms > now_ms + DAY_MS:
            self._until_ms = 0  # likewise: quotas are of a day at most
        if now_ms < self._until_ms:
            return self._why
        if self._by_day[now_ms // DAY_MS] >= self.per_day:
            return f"{self.per_day} transactions today: no more before midnight UTC"
        if len(self._recent) >= self.per_minute:
            return f"{self.per_minute} transactions within a minute"
        return None


@attrs.define
class Setbacks:
    """Markets whose operations have failed: each waits longer from time to time, and goes alone."""

    _failures: dict[str, int] = attrs.field(factory=dict)
    _not_before_ms: dict[str, int] = attrs.field(factory=dict)

    def failed(self, condition_id: str, now_ms: int) -> int:
        """Note a failure; returns how many there were in a row."""
        count = self._failures[condition_id] = self._failures.get(condition_id, 0) + 1
        pause = min(FIRST_PAUSE_MS << min(count - 1, 10), LONGEST_PAUSE_MS)
        self._not_before_ms[condition_id] = now_ms + pause
        return count

    def cleared(self, condition_id: str) -> None:
        self._failures.pop(condition_id, None)
        self._not_before_ms.pop(condition_id, None)

    def waits(self, condition_id: str, now_ms: int) -> bool:
        """No pause is longer than the longest: what waits for more was stamped by a clock that has
        been set right since.
        """
        left_ms = self._not_before_ms.get(condition_id, 0) - now_ms
        return 0 < left_ms <= LONGEST_PAUSE_MS

    def alone(self, condition_id: str) -> bool:
        return condition_id in self._failures


@attrs.frozen
class Plan:
    """One submission's operations; `waits` says for each market why it is not among them. `claims`
    are the pairs of each market that asks must leave alone.
    """

    operations: tuple[Operation, ...] = ()
    waits: tuple[tuple[str, str], ...] = ()
    claims: tuple[tuple[str, int], ...] = ()


def plan(
    params: InventoryParams,
    places: Iterable[Place],
    capital: Capital,
    *,
    busy: frozenset[str],
    setbacks: Setbacks,
    obstacle: str | None,
    batches: bool,
    now_ms: int,
    queue: str | None = None,
) -> Plan:
    """What to submit now. `busy` markets have an operation whose end is not known; `obstacle` is
    why nothing may leave at all, `queue` what it is soon to leave after: pairs stay claimed
    meanwhile, or their asks would come and go. Redemptions come first: they bring the most.
    """
    found: list[Operation] = []
    waits: list[tuple[str, str]] = []
    claims: list[tuple[str, int]] = []
    for place in places:
        wanted = due(params, place, capital)
        if wanted is None:
            continue
        why = wanted if isinstance(wanted, str) else None
        why = why or _hindrance(place.condition_id, busy, setbacks, obstacle, now_ms)
        if why is None and _binds(wanted):
            claims.append((place.condition_id, wanted.shares))
        why = why or queue
        if why is None and isinstance(wanted, Claim):
            why = "asks bind its pairs and are being withdrawn"
        if why is not None:
            waits.append((place.condition_id, why))
        elif isinstance(wanted, Operation):
            found.append(wanted)
    found.sort(key=lambda operation: (operation.kind != "redeem", -operation.paid))
    chosen = _batch(found, min(capital.free, capital.room), setbacks, batches=batches)
    return Plan(chosen, tuple(waits), tuple(claims))


def _binds(wanted: Operation | Claim | str) -> TypeGuard[Operation | Claim]:
    """Whether asks must leave its shares alone."""
    return isinstance(wanted, Claim) or (isinstance(wanted, Operation) and wanted.kind == "merge")


def _hindrance(
    condition_id: str, busy: frozenset[str], setbacks: Setbacks, obstacle: str | None, now_ms: int
) -> str | None:
    if condition_id in busy:
        return "its last operation has no answer yet"
    if setbacks.waits(condition_id, now_ms):
        return "its last operation failed"
    return obstacle


def _batch(
    found: list[Operation], free: int, setbacks: Setbacks, *, batches: bool
) -> tuple[Operation, ...]:
    """As many as go together; never more splits than there is cash, and room, for."""
    chosen: list[Operation] = []
    for operation in found:
        if chosen and (not batches or setbacks.alone(operation.condition_id)):
            continue
        if operation.kind == "split":
            if free < operation.shares:
                continue
            free -= operation.shares
        chosen.append(operation)
        full = len(chosen) == BATCH_MOST
        if full or not batches or setbacks.alone(operation.condition_id):
            break
    return tuple(chosen)
