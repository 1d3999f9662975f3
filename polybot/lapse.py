"""What is done where orders cannot be withdrawn: the venue's dead-man switch is let fall.

A market that is not proven empty within its patience is asked on, by its own flatten; but while our
heart beats, the venue keeps for us what we cannot cancel. So the wallet gets one try more, a
cancel-all; where it does not prove that nothing rests either, the heart falls silent, and 10 to
15 s later the venue cancels everything of the key, on a way that needs none of our requests (F21,
F40). When its list shows none of ours, twice, and it takes a cancel-all again, the heart beats
again, and the reconciler looks before anything is placed, as after any lost heartbeat.

A list that cannot be read proves nothing, also not that something rests. It is let fall all the
same: to hold an order that we cannot see is worse than anything that this costs, and it costs no
more than time. Nothing may be placed meanwhile, and whatever rests is to go anyway. For the same
reason nobody asks here whether the switch has ever been certified: beats that hold off nothing are
of no use either. Nor does somebody else's order on our key count (F27): a cancel-all is not sent
over it, but who rests orders under our switch loses them whenever we die, and ours come first.

An order that comes to rest late, when no desk knows it any more, belongs to no scope that could
lose its patience. The reconciler withdraws it, and tells of it here at each look.

While the engine is away the heart beats on: a lapse cancels nothing then, and would have ended the
venue's watch before there is anybody to cancel. But a venue that says so for longer than a restart
takes, three times over (clob.md 7.3), may say it of cancels alone, and is not believed any more.
What a market has waited for it until it was given up counts: it is one time, not two in a row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Sequence

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.domain.halts import Halt
from polybot.domain.orders import CancelResult, Failure, OrderRow
from polybot.health import Health
from polybot.heartbeat import Heartbeat, Pulse
from polybot.venue.clob import ClobClient

WALLET_S = 5.0  # for the wallet to be proven empty, when a market was not
AGAIN_S = 2.0  # between two tries
LATE_MOST_S = 15.0  # as long as a market that is not proven empty is tried for in all
AWAY_MOST_S = 300.0
NO_DESK = "without a desk"  # where orders rest that no market's scope knows
READ_PAUSE_S = 0.4
WHY = "silent until nothing of ours rests"


class Found(enum.Enum):
    """What a try for the whole wallet came to."""

    EMPTY = "nothing of ours rests"
    AWAY = "the engine is away and would cancel nothing"
    UNTAKEN = "nothing of ours rests, and a cancel was not taken"
    UNPROVEN = "orders may rest"


@attrs.define(eq=False)
class Lapse:
    """Owns when the heart is silent. `markets` are those not proven empty within their patience, by
    slug, each with its condition id; `owner` knows the market of an order that is ours.
    """

    client: ClobClient
    health: Health
    heartbeat: Heartbeat
    owner: Callable[[str], str | None]
    tell: Callable[[str], None]
    markets: dict[str, str] = attrs.field(factory=dict)
    _late: dict[str, float] = attrs.field(factory=dict)  # orders: since when they are seen
    _strays: dict[str, float] = attrs.field(factory=dict)  # likewise, while no look is whole
    _put_off: dict[str, float] = attrs.field(factory=dict)  # markets: since when, by an engine away
    _away_since: float | None = None
    _wanted: Bell = attrs.field(factory=Bell)

    def unproven(self, slug: str, condition_id: str, away_since: float = math.inf) -> None:
        """A market's own patience is over; it goes on asking, and nothing is placed anywhere.
        `away_since`: when an engine that is away first put off what this market should be rid of.
        """
        self._put_off.setdefault(slug, away_since)
        self.markets[slug] = condition_id
        self.health.bad(f"market {slug}", "not proven empty")
        self._wanted.ring()

    def proven(self, slug: str) -> None:
        self.markets.pop(slug, None)
        self._put_off.pop(slug, None)
        self.health.good(f"market {slug}")

    def late(self, rows: Sequence[OrderRow]) -> None:
        """These are ours, rest by the venue's list, and no desk knows them; each has been cancelled
        at every look.
        """
        now = trio.current_time()
        self._strays.clear()  # those that rest are among these
        self._late = {row.order_id: self._late.get(row.order_id, now) for row in rows}
        if stuck := [row for row in rows if now - self._late[row.order_id] > LATE_MOST_S]:
            self.unproven(NO_DESK, stuck[0].condition_id)
        elif NO_DESK in self.markets:
            self.proven(NO_DESK)

    def unlisted(self, strays: Iterable[str]) -> None:
        """A look was not whole. What rested by the last whole one may rest still, and so do strays,
        by the stream's word or by a list that was read: until the venue says that they have ended.
        """
        now = trio.current_time()
        self._strays = {order_id: self._strays.get(order_id, now) for order_id in strays}
        for order_id, since in {**self._strays, **self._late}.items():
            if now - since > LATE_MOST_S and (market := self.owner(order_id)) is not None:
                self.unproven(NO_DESK, market)
                return

    async def run(self) -> None:
        """Try for the wallet while a market is not proven empty, and until the heart beats."""
        while True:
            await self._wanted.wait()
            self._away_since = None
            while self.markets or self.heartbeat.pulse is Pulse.LAPSING:
                self.judge(self._believed(await self._try()))
                await trio.sleep(AGAIN_S)

    def _believed(self, found: Found) -> Found:
        """What a try came to, but that the engine is away for too long."""
        if found is not Found.AWAY:
            self._away_since = None  # and what was waited before is of another absence
            self._put_off = dict.fromkeys(self._put_off, math.inf)
            return found
        now = trio.current_time()
        since = now if self._away_since is None else self._away_since
        self._away_since = min(since, *self._put_off.values(), now)
        return Found.UNPROVEN if now - self._away_since > AWAY_MOST_S else found

    def judge(self, found: Found) -> None:
        """Let the switch fall, or hold it off again. UNTAKEN changes nothing: what is not placed
        need not be withdrawn, and what would be could not.
        """
        before = self.heartbeat.pulse
        if found is Found.UNPROVEN:
            self.heartbeat.lapse(WHY)
        elif found is not Found.UNTAKEN:
            self.heartbeat.resume()
        if Pulse.LAPSING in (before, after := self.heartbeat.pulse) and before is not after:
            self._say(found)

    def _say(self, found: Found) -> None:
        if found is Found.UNPROVEN:
            where = ", ".join(sorted(self.markets)) or "the wallet"
            text = (
                f"orders cannot be withdrawn ({where}): heartbeats stop, for the venue to cancel "
                "all within 15 s; look at its page, and cancel by hand what rests for longer"
            )
        else:
            text = f"heartbeats go on: {found.value}"
        logger.warning(text)
        self.tell(text)

    async def _try(self) -> Found:
        with trio.move_on_after(WALLET_S):
            answer = await self._cancel()
            if answer.away:
                return Found.AWAY
            await self._none_rests()
            return Found.EMPTY if answer.failure is None else Found.UNTAKEN
        return Found.UNPROVEN

    async def _cancel(self) -> CancelResult:
        """Everything, but where somebody else's order stands as evidence: one of our markets."""
        if Halt.FOREIGN_ORDERS.value not in self.health.halted:
            return await self.client.cancel_all()
        one = next(iter(self.markets.values()), None)
        if one is None:
            return CancelResult(frozenset(), {})
        return await self.client.cancel_market(one)

    async def _none_rests(self) -> None:
        """Return when the venue has shown none of ours twice, as `cancel_everything` does."""
        clean = 0
        while clean < 2:
            clean = clean + 1 if self._empty(await self.client.open_orders()) else 0
            await trio.sleep(READ_PAUSE_S)

    def _empty(self, rows: list[OrderRow] | Failure) -> bool:
        if isinstance(rows, Failure):
            return False
        return all(self.owner(row.order_id) is None for row in rows)
