"""Our orders and holdings beside the venue's: every difference by its kind. Pure.

What each kind means, and what the reconciler does about it:

MISSING_HERE   an order of ours rests and no desk knows it: it came late, from a request that the
               edge held back. Counted as exposure, and cancelled.
MISSING_THERE  a desk has it open and the venue's list lacks it: in doubt, looked up.
SIZE           the venue has matched more of it than we were told: its trades are read again.
PRICE          it rests on other terms than we signed: never seen, and nobody we trust wrote it.
               Cancelled, and trading halts.
FOREIGN        somebody else has the key: trading halts, and the order is left alone, but where a
               market of ours is withdrawn as a whole.
GHOST          we hold it for ended, and it rests: in doubt again, looked up, cancelled.
STAYS          the venue calls it live, by its id, for a minute of cancels: told to the operator,
               and cancelled again, less and less often.
SHARES, CASH   the venue counts other balances than the ledger. Halts trading when it lasts.

Lists lag and messages race, so an order that moved within the grace before a list was begun is not
judged by it, and is not missed from it within the longest lag. Balances move at the match or at the
confirmation, whichever the venue likes: what trades under way explain is no difference.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from polybot.domain.market import Side
from polybot.domain.orders import OrderRow, OrderSeen
from polybot.domain.units import LOT, amount_text
from polybot.execution.lifecycle import OPEN
from polybot.execution.tracked import Tracked

LAG_MOST_MS = 6_000  # a list has lagged five seconds behind a placement (F48)
DRIFT_MS = 5_000  # G14 in reliability.md
# The venue pays rebates and rewards once a day, unannounced, and tells of it elsewhere: dollars
# beyond those we know of may wait for their evidence. A fill undone unseen shows in shares, too.
PAYMENT_MS = 600_000
STALE_MS = 30_000  # how far back the venue's cache of balances has been seen to lie (F34)
# How late the venue may list a trade. Its own clients ask half a minute for one that it has just
# told them of (clob.md 3.6).
LISTED_MS = 60_000
TOLERANCE = LOT  # a hundredth of a share; of a dollar, for cash


class Kind(enum.Enum):
    MISSING_HERE = "missing here"
    MISSING_THERE = "missing there"
    SIZE = "size"
    PRICE = "price"
    FOREIGN = "foreign order"
    GHOST = "ghost"
    STAYS = "stays, whatever is cancelled"
    SHARES = "shares"
    CASH = "cash"


@attrs.frozen
class OurOrder:
    """One order of a desk's table. `matched` 10⁻⁶ shares; `moved_ms` when its state last changed,
    or more of it was told to be matched. What is `taking` was signed in dollars (clob.md 3.4): its
    shares, and a price made of both, are others than were wanted.
    """

    order_id: str
    condition_id: str
    token: str
    side: Side
    price: int
    size: int
    matched: int
    open: bool
    moved_ms: int
    taking: bool = False

    @classmethod
    def of(cls, tracked: Tracked) -> OurOrder:
        made = tracked.order
        return cls(
            order_id=tracked.id,
            condition_id=made.market.condition_id,
            token=made.token,
            side=made.side,
            price=made.price,
            size=made.size,
            matched=made.size - tracked.remaining,
            open=tracked.state in OPEN,
            moved_ms=max(tracked.changed_ms, tracked.matched_ms),
            taking=made.taking,
        )


@attrs.frozen
class Difference:
    """`subject` is an order id, a token, or "cash"; `ours` and `theirs` are figures of its kind."""

    kind: Kind
    subject: str
    condition_id: str = ""
    ours: int = 0
    theirs: int = 0
    row: OrderRow | None = None

    @property
    def text(self) -> str:
        """For the log."""
        what = f"{self.kind.value}: {self.subject[:12]}"
        if self.ours == self.theirs:
            return what
        return f"{what}, {amount_text(self.ours)} here and {amount_text(self.theirs)} there"


def order_differences(
    ours: Iterable[OurOrder],
    is_ours: Callable[[str], bool],
    rows: Sequence[OrderRow],
    begun_ms: int,
    grace_ms: int,
) -> list[Difference]:
    """Compare a list of open orders, begun at `begun_ms`, with all that our desks know.

    `is_ours` says of an order id whether we ever signed it. In the venue's order, then ours.
    """
    known = {order.order_id: order for order in ours}
    found: list[Difference] = []
    for row in rows:
        order = known.get(row.order_id)
        if order is not None:
            found += _against(order, row, settled=begun_ms - order.moved_ms >= grace_ms)
        else:
            kind = Kind.MISSING_HERE if is_ours(row.order_id) else Kind.FOREIGN
            found.append(Difference(kind, row.order_id, row.condition_id, 0, row.size, row))
    there = {row.order_id for row in rows}
    for order in known.values():
        old = begun_ms - order.moved_ms >= max(grace_ms, LAG_MOST_MS)
        if order.open and order.order_id not in there and old:
            left = order.size - order.matched
            found.append(
                Difference(Kind.MISSING_THERE, order.order_id, order.condition_id, left, 0)
            )
    return found


def _against(order: OurOrder, row: OrderRow, *, settled: bool) -> Iterator[Difference]:
    where = (order.order_id, order.condition_id)
    amounts = order.taking or (order.price, order.size) == (row.price, row.size)
    if not amounts or (order.token, order.side) != (row.token, row.side):
        yield Difference(Kind.PRICE, *where, order.price, row.price, row)
    resting = row.kind in (OrderSeen.Kind.LIVE, OrderSeen.Kind.DELAYED)
    if settled and not order.open and resting:
        yield Difference(Kind.GHOST, *where, 0, row.size - row.matched, row)
    elif settled and order.open and row.matched > order.matched:
        yield Difference(Kind.SIZE, *where, order.matched, row.matched, row)


@attrs.frozen
class Belief:
    """What the ledger says of one balance, 10⁻⁶: with all trades under way, and the least and the
    most that it may be while they settle.
    """

    kind: Kind
    subject: str
    least: int
    most: int
    total: int
    condition_id: str = ""

    def off(self, there: int) -> int:
        """How far a figure of the venue lies outside what trades under way explain."""
        if there > self.most + TOLERANCE:
            return there - self.most
        return there - self.least if there < self.least - TOLERANCE else 0


@attrs.define
class _Watched:
    belief: Belief
    since_ms: int | None = None  # when the present difference was first seen
    off: int = 0  # and how large it was at the last look
    shown: int = 0  # the difference of the last look, also of a figure that is taken for an old one
    agreed_ms: int | None = None  # when the venue last showed what is believed, if it does

    def undecided(self, there: int, *, stale: bool) -> bool:
        """Whether trades under way or a stale cache, or else the dollars seen before, may be what a
        figure shows: it is no proof of either. Only dollars beyond what we know of can wait so.
        """
        belief = self.belief
        if self.since_ms is None or self.patience_ms == DRIFT_MS:
            return False
        open_ = stale or belief.most - belief.least > TOLERANCE
        return open_ and belief.least - TOLERANCE <= there - self.off <= belief.most + TOLERANCE

    def lasts_since(self, now_ms: int) -> int | None:
        """Since when it differs, if for longer than it may, and while a trade may be listed yet."""
        if self.since_ms is None or self.patience_ms != DRIFT_MS:
            return None
        return self.since_ms if DRIFT_MS < now_ms - self.since_ms <= LISTED_MS else None

    @property
    def patience_ms(self) -> int:
        """How long the difference may last."""
        return PAYMENT_MS if self.belief.kind is Kind.CASH and self.off > 0 else DRIFT_MS


@attrs.define(eq=False)
class DriftWatch:
    """Balances under comparison. A difference is drift once it has lasted `DRIFT_MS`, dollars
    beyond what we know of once they have lasted `PAYMENT_MS`. News that change it start it anew,
    for they were part of it; news that leave it as it is do not.

    A figure that we believed ourselves within `STALE_MS` is the venue's cache, which lags (F34):
    whoever changes what we believe has it remembered first, for it may never have been judged.
    """

    stale: int = 0  # figures that were taken for old ones
    _watched: dict[str, _Watched] = attrs.field(factory=dict)
    _paused: set[str] = attrs.field(factory=set)
    # What was believed of each, and until when, oldest first.
    _past: dict[str, deque[tuple[int, Belief]]] = attrs.field(factory=dict)

    @property
    def differing(self) -> bool:
        """Whether a balance differs now, so that it should be read again soon."""
        return any(
            watched.since_ms is not None and watched.patience_ms == DRIFT_MS
            for subject, watched in self._watched.items()
            if subject not in self._paused
        )

    @property
    def off(self) -> bool:
        """Whether a balance was off at its last look, also by a figure that was taken for an old
        one: while many trades are under way almost any may be. Dollars beyond those we know of may
        wait for their evidence.
        """
        watched = self._watched.values()
        return any(
            one.shown < 0 or (one.shown and one.belief.kind is not Kind.CASH) for one in watched
        )

    def surplus(self, subject: str) -> bool:
        """Whether the venue showed more of a balance at the last look than we know of."""
        watched = self._watched.get(subject)
        return watched is not None and watched.since_ms is not None and watched.off > 0

    def shown(self, subject: str) -> int:
        """How far off a balance was at the last look, also by a figure taken for an old one."""
        watched = self._watched.get(subject)
        return 0 if watched is None else watched.shown

    def judge(self, belief: Belief, there: int, now_ms: int) -> Difference | None:
        """Compare one balance; the difference, if it has lasted."""
        watched = self._watched.setdefault(belief.subject, _Watched(belief))
        off, news = belief.off(there), watched.belief != belief
        if news:
            self.remember(watched.belief, now_ms)
            watched.belief = belief
        watched.agreed_ms, watched.shown = None if off else now_ms, off
        late, past = now_ms - STALE_MS, self._past.get(belief.subject, ())
        stale = off != 0 and any(not old.off(there) for until_ms, old in past if until_ms >= late)
        self.stale += stale
        if watched.undecided(there, stale=stale):
            return None
        if not off or stale:
            watched.since_ms = None
            return None
        if watched.since_ms is None or (news and abs(off - watched.off) > TOLERANCE):
            watched.since_ms = now_ms
        watched.off = off
        if now_ms - watched.since_ms <= watched.patience_ms:
            return None
        return Difference(belief.kind, belief.subject, belief.condition_id, belief.total, there)

    def unlisted(self, now_ms: int) -> set[str]:
        """Of what has lasted, what trades may have done that the venue has not listed yet (F29):
        they move dollars one way and shares the other. Dollars that were right after the shares
        began to differ prove that there was no trade; where an operation has kept them from being
        asked for since, nothing is proven.
        """
        watched = self._watched
        cash = next((one for one in watched.values() if one.belief.kind is Kind.CASH), None)
        dollars, right_ms = (0, 0) if cash is None else (cash.shown, cash.agreed_ms)
        traded = any(
            one.belief.kind is not Kind.CASH and one.shown * dollars < 0 for one in watched.values()
        )
        return {
            subject
            for subject, one in watched.items()
            if (since_ms := one.lasts_since(now_ms)) is not None
            and (traded or (right_ms is not None and right_ms <= since_ms))
        }

    def agreed(self, belief: Belief, since_ms: int) -> bool:
        """Whether the venue has shown this very belief since then."""
        watched = self._watched.get(belief.subject)
        if watched is None or watched.belief != belief or watched.agreed_ms is None:
            return False
        return watched.agreed_ms >= since_ms

    def remember(self, belief: Belief, now_ms: int) -> None:
        """This was believed until now."""
        past = self._past.setdefault(belief.subject, deque())
        if past and past[-1][1] == belief:
            past.pop()
        past.append((now_ms, belief))
        while past[0][0] < now_ms - STALE_MS:
            past.popleft()

    def keep(self, subjects: Iterable[str], now_ms: int, paused: Iterable[str] = ()) -> None:
        """Forget differences that nobody asks for any more, and what is old. What is `paused` and
        not asked for now goes on: who has a transaction under way in every second look would never
        find a difference that lasts.
        """
        wanted, late = set(subjects), now_ms - STALE_MS
        self._paused = set(paused) - wanted
        kept = wanted | self._paused
        self._watched = {key: value for key, value in self._watched.items() if key in kept}
        self._past = {key: past for key, past in self._past.items() if past[-1][0] >= late}
