"""The start: make the venue and the journal agree before the first quote.

Nothing of an earlier run may rest; every order whose end is not on record is looked up; trades that
happened while we were away are learnt; cash and shares are compared with the books. What does not
agree is never explained away: cash that came or went is booked as such and told, shares that differ
stop trading until an operator has looked.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.accounts import Kind
from polybot.domain.halts import Halt
from polybot.domain.market import Market, Outcome
from polybot.domain.market_books import SETTLED
from polybot.domain.orders import Failure, OrderRow
from polybot.domain.settling import Settling
from polybot.domain.units import amount_text
from polybot.execution.reconcile import LISTED_MS
from polybot.journal.entries import UNKNOWN_ORIGIN, Intent, Paid, Session
from polybot.journal.recovery import carried
from polybot.new_journal import all_ended
from polybot.payments import SHOWN_S
from polybot.venue.relayer import Way

AGREE_S = 10.0  # how long a balance may lag behind trades we know of, and the other way round …
LISTED_S = LISTED_MS / 1000  # … where it shows both sides of such a trade
# How long an answer is waited for. Nothing rests meanwhile, and at night nobody is there to start
# a program again that has given up; a service manager that starts us five times an hour is, but no
# more often: so it is longer than a fifth of one, as the preflight waits (preflight.py).
ANSWER_S = 720.0
TOLD_S = 15.0  # what is waited for longer is told
AGREE_POLL_S = 0.5
OPERATIONS_POLL_S = 2.0  # the chain makes a block in that time
OPERATIONS_S = 720.0  # a signature that has not been mined by then never will be
# A first start, and trades of before it: how long it waits for them, and how far back it looks. A
# trade settles in seconds; one that is retried has no documented end (clob.md 5.1).
SETTLING_S, SETTLED_POLL_S, BEFORE_S = ANSWER_S, 2.0, 900
UNSETTLED = "trades of before this journal have not settled"
LOOK_UPS = 10  # at a time


class StartFailed(Exception):
    """The venue could not be made ready for trading; the text says what to look at."""


@attrs.define(eq=False)
class Restart:
    """One start of the program. `resolve` looks what became of merges, splits and redemptions of
    the last run, and says whether all is known. `empty`: the venue has shown no order of ours.
    """

    ctx: Context
    resolve: Callable[[], Awaitable[bool]]
    empty: bool = False
    way: Way | None = None  # onto the chain
    _doing: str = ""  # in the words of who waits for it
    _began: float = attrs.field(factory=trio.current_time)

    async def run(self) -> None:
        """Raises StartFailed when the venue does not let us find out where we stand."""
        self._own_orders()
        self._take_over_orders()
        self._doing = "no open order of ours may be left"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_of_waiting)
            await self._agree()
            nursery.cancel_scope.cancel()
        self._write_start()

    async def _tell_of_waiting(self) -> None:
        """Once for each step that takes long: twelve minutes of silence are no news to anybody."""
        told = ""
        while True:
            doing = self._doing
            await trio.sleep(TOLD_S)
            if doing == self._doing != told:
                told = doing
                logger.warning("the start waits: {}", doing)
                self.ctx.tell(f"the start waits: {doing}")

    async def _agree(self) -> None:
        with trio.move_on_after(ANSWER_S):
            self.empty = await self.ctx.reconciler.cancel_everything()
        if not self.empty:
            raise StartFailed("open orders could not be read back as none")
        self._doing = "orders of the last run are looked up"
        await self._resolve_orders()
        self._doing = "trades of before are read"
        await self._catch_up()
        self._doing = "what the last run asked of the chain is looked up"
        await self._resolve_operations()
        self._doing = "balances are compared"
        # Before the cash is judged: what was merged twice would be taken for a deposit.
        await self.ctx.reconciler.moved_again()
        await self._agree_on_cash()
        for market in self.ctx.recovered.markets.values():
            await self._agree_on_shares(market)

    # --- orders ---------------------------------------------------------------------------

    def _own_orders(self) -> None:
        """Orders of the journal are ours, wherever they may still show up: also to a start that is
        ended before it has asked anything (brief seed 24017).
        """
        for intent in self.ctx.recovered.intents.values():
            self.ctx.account.own(intent.order_id, intent.condition_id)

    def _take_over_orders(self) -> None:
        """Count those whose end is not known. Before anything is awaited: a start that is stopped
        by then has to wait, like any other end, for what may come to rest behind it (S15).
        """
        doubtful = self.ctx.reconciler.adrift.look_after(self.ctx.recovered.doubtful)
        if not self.ctx.recovered.orderly:
            logger.warning("the last run did not end by itself; {} orders to look up", doubtful)

    async def _resolve_orders(self) -> None:
        limit = trio.CapacityLimiter(LOOK_UPS)
        async with trio.open_nursery() as nursery:
            for intent in self.ctx.recovered.doubtful:
                nursery.start_soon(self._look_up, intent, limit)

    async def _look_up(self, intent: Intent, limit: trio.CapacityLimiter) -> None:
        async with limit:
            row = await self.ctx.client.order(intent.order_id)
        if isinstance(row, OrderRow):
            await self.ctx.reconciler.adrift.found(intent, row)

    # --- money ----------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Learn the trades of the time we were away; a first start waits for those of before."""
        reconciler, recovered = self.ctx.reconciler, self.ctx.recovered
        known_s = recovered.since_s
        since_s = await self._first_second() if known_s is None else known_s
        self.ctx.account.since_s = since_s
        self.ctx.account.begun_s = reconciler.payments.since_s = recovered.paid_s
        reconciler.read_until_s = recovered.read_until_s
        if known_s is None:
            await self._all_settled(since_s)
            self._doing = "transactions of before are on their way"
            waited = await all_ended(self.way, self.ctx.clock, SETTLING_S)
            await trio.sleep(AGREE_S if waited else 0)  # balances trail them
            return
        with trio.move_on_after(ANSWER_S):
            while (unread := await reconciler.read_trades()) is not None:
                await self._pause(unread)
            return
        raise StartFailed("the trades of the time since the last run could not be read")

    async def _pause(self, answer: object, pause_s: float = AGREE_POLL_S) -> None:
        """Before it is asked once more. Where it was refused our clock may be why: it was right
        when the start began, and the machine has slept since (brief seed 5197: all that was asked
        was refused for the twelve minutes that a start waits).
        """
        if isinstance(answer, Failure) and answer.refused:
            await self.ctx.reconciler.time.agree()
        await trio.sleep(pause_s)

    async def _first_second(self) -> int:
        """From when on trades are not in the balance that we begin with. Where our clock and the
        venue's word differ it is the earlier one: nothing of ours rests now, so nothing trades in
        between, and a clock ahead would hide the trades of the first seconds from every later
        reading (brief seeds 312, 1281).
        """
        return min(self.ctx.clock.now_ms() // 1000, await self._venue_second())

    async def _venue_second(self) -> int:
        """By the venue's own time."""
        with trio.move_on_after(ANSWER_S):
            while True:
                venue_s = await self.ctx.client.server_time()
                if not isinstance(venue_s, Failure):
                    return venue_s
                await trio.sleep(AGREE_POLL_S)
        raise StartFailed("the venue's time could not be read")

    async def _all_settled(self, now_s: int) -> None:
        """A first start takes the balance for what there is. A trade on its way – of a run whose
        journal is lost, or was moved away – would change it later, and look like drift.
        """
        left: int | Failure = 0
        waited = False
        with trio.move_on_after(SETTLING_S):
            while (left := await self._unsettled(now_s)) != 0:
                if isinstance(left, int) and not waited:
                    logger.info("a new journal begins when {} trades have settled", left)
                    waited = True
                await self._pause(left, SETTLED_POLL_S)
            await trio.sleep(AGREE_S if waited else 0)  # balances trail them
            return
        if isinstance(left, Failure):
            raise StartFailed(f"the trades of before could not be read: {left.what}")
        raise StartFailed(f"{UNSETTLED}; wait, then start again")

    async def _unsettled(self, now_s: int) -> int | Failure:
        """How many trades are on their way. For a minute those of the minute before count whatever
        they say: later ones may not be listed yet.
        """
        trades = await self.ctx.client.trades(after_s=now_s - BEFORE_S)
        if isinstance(trades, Failure):
            return trades
        early = trio.current_time() < self._began + LISTED_S
        late_ms = (now_s * 1000 - LISTED_MS) if early else math.inf
        return sum(trade.status not in SETTLED or trade.at_ms >= late_ms for trade in trades)

    async def _resolve_operations(self) -> None:
        """Wait for what the last run asked of the chain: cash it has freed by now would look as if
        it had come from outside, and be booked twice.
        """
        with trio.move_on_after(OPERATIONS_S):
            while not await self.resolve():
                await trio.sleep(OPERATIONS_POLL_S)
                await self.ctx.reconciler.read_trades()
            return
        raise StartFailed("a transaction of the last run has no end yet; look at it, then start")

    async def _begin_with_cash(self) -> None:
        """A first start takes what there is. What is paid meanwhile is in it or not, whatever
        second its row tells: the wallet will show (`Payments.begin`).
        """
        account, payments = self.ctx.account, self.ctx.reconciler.payments
        before_s = await self._venue_second()
        await self.ctx.client.refresh(None)
        there = beyond(*await self._balance(None, self._known_cash))
        account.begun_s = await self._venue_second()
        payments.begin(before_s, account.begun_s)
        payments.found(0, account.begun_s)
        if there:
            await account.learn(Paid("deposit", there, "balance at the start"))

    async def _agree_on_cash(self) -> None:
        """Cash the books do not explain came from, or went, outside: it is booked and told. The
        venue looks at the chain first, or what was paid might come to its figure only later. The
        time is that of the end, for what was paid while we asked is in the figure, and its row may
        come later (brief seed 230: it was booked twice); and the venue's, for our clock may be
        ahead, when what is paid next would have been paid before, or behind (brief seed 992).
        """
        if self.ctx.recovered.since_s is None:
            await self._begin_with_cash()
            return
        looked = await self.ctx.client.refresh(None) is None
        change = beyond(*await self._balance(None, self._known_cash))
        at_s, venue_s = self.ctx.clock.now_ms() // 1000, await self.ctx.client.server_time()
        if isinstance(venue_s, Failure):
            looked = False
        else:
            at_s = venue_s
        if change:
            await self.ctx.account.learn(Paid("deposit", change, UNKNOWN_ORIGIN))
        if looked or change:
            self.ctx.reconciler.payments.found(change, at_s)
        if change:
            self.ctx.tell(f"cash differs from the journal by {amount_text(change)}: booked")

    async def _known_cash(self) -> Settling:
        """Our cash, with what the venue has paid while we were away."""
        if self.ctx.recovered.since_s is not None:
            await self.ctx.reconciler.payments.read()
        return self.ctx.account.ledger.settling(Kind.CASH)

    async def _agree_on_shares(self, market: Market) -> None:
        books = self.ctx.account.ledger.books[market.condition_id]
        for outcome in (one for one in Outcome if not books.lost(one)):
            token = market.token(outcome)
            there, expected = await self._balance(token, partial(self._known_shares, market, token))
            self.ctx.reconciler.balances.found(books, outcome, there)
            if beyond(there, expected):
                found, known = amount_text(there), amount_text(expected.total)
                why = f"{market.slug}: the venue shows {found} shares, the journal knows {known}"
                self.ctx.health.halt(Halt.SHARES_DIFFER, why)

    async def _known_shares(self, market: Market, token: str) -> Settling:
        await trio.lowlevel.checkpoint()
        return self.ctx.account.ledger.settling(Kind.SHARES, market.condition_id, token)

    async def _balance(
        self, token: str | None, known: Callable[[], Awaitable[Settling]]
    ) -> tuple[int, Settling]:
        """The venue's figure and ours, given time to agree: either may be behind. Where they differ
        it is told to look at the chain (clob.md 5.1), and trades are read again: they may be listed
        later than balances show them, by up to a minute, and no stream tells of any yet. So is the
        chain, whose node may have been silent, or behind. A first start knows nothing to wait for,
        and takes what it then shows.

        Ours is never the later one: of what is paid in between the balance shows more, and the
        payment's row explains that. The other way round it would be booked as gone.
        """
        patient, looked = self.ctx.recovered.since_s is not None, False
        why, first_at, wait_s = "no answer", math.inf, AGREE_S
        with trio.move_on_after(ANSWER_S) as patience:
            while True:
                expected = await known()
                answer = await self.ctx.client.balance(token)
                if isinstance(answer, Failure):
                    why = answer.what
                else:
                    now = trio.current_time()
                    first_at, patience.deadline = min(first_at, now), now + ANSWER_S
                    change = beyond(answer, expected)
                    if not change or (looked and not patient):
                        return answer, expected
                    open_s = self._open_s(expected, change if token is None else 0)
                    if now >= first_at + max(wait_s, open_s):
                        if wait_s == LISTED_S or not await self._may_be_traded(token, change):
                            return answer, expected
                        wait_s = LISTED_S
                        logger.info("waiting for trades that are not listed yet")
                    looked = await self.ctx.client.refresh(token) is None
                    if looked and not patient:
                        continue
                await self._pause(answer)
                if patient:
                    await self.ctx.reconciler.read_trades()
                    with trio.move_on_after(AGREE_S):
                        await self.ctx.reconciler.moved_again()
        raise StartFailed(f"the balance could not be read: {why}")

    def _open_s(self, expected: Settling, change: int) -> float:
        """How long nobody knows how much it is that came or went: with trades under way it was
        booked as if all of them had settled, and one had failed (brief seed 1786); and a payment
        that is booked may not be in the balance yet.
        """
        return SETTLING_S if expected.steps or (change < 0 and self._just_paid()) else 0.0

    def _just_paid(self) -> bool:
        newest_s = max(self.ctx.reconciler.payments.known.values(), default=0)
        return newest_s >= self.ctx.clock.now_ms() // 1000 - SHOWN_S

    async def _may_be_traded(self, token: str | None, change: int) -> bool:
        """Whether a change of cash (None), or of a token's shares, may be one side of trades that
        are not listed yet: the other side has changed as well, the other way round, or cannot be
        read. All of it is asked for once: the venue limits how often.
        """
        ledger = self.ctx.account.ledger
        others: dict[str | None, Settling] = {None: ledger.settling(Kind.CASH)}
        if token is None:
            others = {
                market.token(outcome): ledger.settling(Kind.SHARES, key, market.token(outcome))
                for key, market in self.ctx.recovered.markets.items()
                for outcome in Outcome
            }
        for other, expected in others.items():
            there = await self.ctx.client.balance(other)
            if isinstance(there, Failure) or beyond(there, expected) * change < 0:
                return True
        return False

    # --- the record -----------------------------------------------------------------------

    def _write_start(self) -> None:
        ctx = self.ctx
        start = Session("start", program_version(), ctx.config.digest)
        account, paid = ctx.account, ctx.reconciler.payments
        kept = paid.recent(), paid.unexplained, paid.found_s, paid.since_s
        sums = carried(account.ledger, account.since_s, *kept)
        ctx.account.journal.note(sums, start)


def beyond(there: int, known: Settling) -> int:
    """How far a balance is from what we know of. To wait until trades under way have settled would
    cost a start five seconds; that some of them explain it is as good a proof.
    """
    return 0 if known.may_be(there) else there - known.total


def program_version() -> str:
    try:
        return version("polybot")
    except PackageNotFoundError:  # run from a checkout
        return "checkout"


def end_of(ctx: Context) -> Session:
    """What an orderly end writes."""
    return Session("end", program_version(), ctx.config.digest)
