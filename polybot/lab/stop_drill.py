"""The stop drill: `bot.stop` at random moments, and inside every step of an order's way.

Each moment has an exchange and a bot of its own, so that none excuses the next. What counts is the
exchange's word: no order of the wallet left, and the same equity to the micro-dollar. It is asked
after the last POST on the wire has been handled, so nothing can land behind it. A merge that the
relayer has on its way cannot be called back: there the next bot on the same journal is started, and
must book it as what it was.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence

import attrs
import httpx
import orjson
import trio

from polybot.clock import wall_seconds
from polybot.exchange.model import Event, Traded
from polybot.exchange.request import Request, Response
from polybot.execution.inventory import InventoryParams
from polybot.lab.agreement import differences
from polybot.lab.stage import PLACING, Handler, Sniper, Stage, Taps, Verdict, places, staged, until
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet

SPEED = 20.0
INTENSITY = 0.1  # the crowd only has to be there; a quiet one makes a moment cheap
START_S = 2.0  # about what it takes until the first order
FIRST_ORDER_S = 60.0
PATIENCE_S = 4.0  # a moment that has not come so long after the first order comes then
MERGE_S = 300.0  # enough fills for a merge take longer
SNIPED = 0.5  # share of the bot's orders that somebody takes; all of them before a merge
SNIPE_WITHIN_S = 2.0
LATE_MOST_S = 2.0
NO_REPLY_S = 20.0
HEIR_S = 120.0  # a chain takes 5 to 30 s, and what never came is waited for a minute
SOON = InventoryParams(merge_shares=5, merge_equity_percent=0)
PARAMS, FOLLOWED = "/v1/account/transactions/params", "/v1/account/transactions/"
STEPS_MOST = 1_500  # task steps within which a moment between two of them falls


class When(enum.Enum):
    """Where the stop falls."""

    STARTING = "while it starts"
    ANY_TIME = "at a random time"
    ANY_STEP = "between two task steps"
    SIGNING = "an order signed, not sent"
    SENDING = "a POST about to be written"
    ARRIVING = "a POST read by the exchange"
    LATE = "a POST on its way for up to 2 s"
    ACCEPTED = "accepted, the reply not sent"
    NO_REPLY = "accepted, and never a reply"
    ACKING = "the reply read, not applied"
    FILLING = "in the step of a fill"
    MERGE_ARRIVING = "a merge read by the relayer"
    MERGE_TAKEN = "a merge taken, the reply not sent"
    MERGE_MINING = "a merge on its way to a block"


MERGES = (When.MERGE_ARRIVING, When.MERGE_TAKEN, When.MERGE_MINING)
# Within how many passings the stop falls; the first POST has four orders, later ones mostly one.
_MOST = {
    When.ANY_STEP: STEPS_MOST, When.SIGNING: 12, When.FILLING: 3, When.MERGE_ARRIVING: 1,
    When.MERGE_TAKEN: 1, When.MERGE_MINING: 3,
}  # fmt: skip


@attrs.frozen
class Moment:
    """One stop and what became of it. Durations in wall seconds.

    `heir`: what was wrong with the books of the next bot, None where none was started.
    """

    when: When
    seed: int
    verdict: Verdict
    cancel_s: float | None  # from the stop until the exchange had read the cancel-all
    shutdown_s: float
    posts_after: int  # POSTs of orders handed to the wire after the stop
    came: bool = True  # the moment has come: the stop did not wait for it in vain
    submits_after: int = 0  # transactions begun after the stop
    heir: tuple[str, ...] | None = None


@attrs.define(eq=False)
class Trip:
    """Calls the stop once: the n-th time that its moment passes, or when it has waited enough."""

    when: When
    rng: random.Random
    stage: Stage | None = None
    stopped_at: float | None = None
    cancel_at: float | None = None
    posts_after: int = 0
    on_the_way: int = 0  # POSTs read by the exchange whose orders are not in its books yet
    came: bool = False
    submits_after: int = 0
    left: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left = self.rng.randint(1, _MOST.get(self.when, 5))

    def passing(self, when: When) -> bool:
        """Note that a moment passes; True when it was the one that stopped the bot."""
        if when is not self.when or self.stopped_at is not None:
            return False
        self.left -= 1
        self.came = self.left <= 0 and self.stop()
        return self.came

    def stop(self) -> bool:
        if self.stopped_at is not None or self.stage is None:
            return False
        self.stopped_at = wall_seconds()
        self.stage.bot.stop("drill")
        return True

    # --- where it listens ------------------------------------------------------------------

    def taps(self) -> Taps:
        return Taps(self._sending, self._answered, self._around, self._relaying)

    async def _sending(self, request: httpx.Request) -> None:
        if places(request):
            self.posts_after += self.stopped_at is not None
            self.passing(When.SENDING)

    async def _answered(self, request: httpx.Request) -> None:
        if places(request):
            self.passing(When.ACKING)

    async def _around(self, request: Request, handle: Handler) -> Response:
        if request.path == "/cancel-all" and self.stopped_at is not None:
            self.cancel_at = self.cancel_at or wall_seconds()
        if request.method != "POST" or request.path not in PLACING:
            return await handle(request)
        self.on_the_way += 1
        self.passing(When.ARRIVING)
        if self.passing(When.LATE):
            await trio.sleep(self.rng.uniform(0, LATE_MOST_S))
        response = await handle(request)
        self.on_the_way -= 1
        self.passing(When.ACCEPTED)
        if self.passing(When.NO_REPLY):
            await trio.sleep(NO_REPLY_S)
        return response

    async def _relaying(self, request: Request, handle: Handler) -> Response:
        if request.path.startswith(FOLLOWED) and request.path != PARAMS:
            self.passing(When.MERGE_MINING)
        if request.path != "/submit":
            return await handle(request)
        self.submits_after += self._begun_after(orjson.loads(request.body)["metadata"])
        if self.passing(When.MERGE_ARRIVING):
            await trio.sleep(self.rng.uniform(0, LATE_MOST_S))
        response = await handle(request)
        self.passing(When.MERGE_TAKEN)
        return response

    def _begun_after(self, name: str) -> bool:
        """Whether a submission was written down after the stop, by the time in its name."""
        assert self.stage is not None
        stopped_ms = self.stage.bot.stopped_ms
        return stopped_ms is not None and int(name.rpartition("-")[2]) > stopped_ms

    def hear(self, event: Event) -> None:
        """Listen to the engine."""
        if isinstance(event, Traded) and self.stage is not None and self.stage.mine(event):
            self.passing(When.FILLING)


class _TrippingWallet(Wallet):
    """The bot's wallet, and a moment that passes with every signature."""

    def __init__(self, private_key: Secret, trip: Trip) -> None:
        super().__init__(private_key)
        self._trip = trip

    def sign_digest(self, digest: bytes) -> bytes:
        signature = super().sign_digest(digest)
        self._trip.passing(When.SIGNING)
        return signature


class _Steps(trio.abc.Instrument):
    """A moment that passes before every step of every task: between any two awaits."""

    def __init__(self, trip: Trip) -> None:
        self._trip = trip

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._trip.passing(When.ANY_STEP)


async def one_moment(when: When, seed: int, *, speed: float = SPEED) -> Moment:
    """Trade, stop at the moment, wait for the bot's end, and ask the exchange."""
    rng = random.Random(f"{when.name} {seed}")
    trip = Trip(when, rng)
    set_up = staged(
        seed=seed, speed=speed, intensity=INTENSITY, taps=trip.taps(),
        inventory=SOON if when in MERGES else InventoryParams(),
    )  # fmt: skip
    async with set_up as stage:
        trip.stage = stage
        bot = stage.bot
        bot.ctx.wallet = _TrippingWallet(Secret(stage.exchange.wallet.private_key), trip)
        stage.exchange.engine.listeners.append(trip.hear)
        share = 1.0 if when in MERGES else SNIPED
        sniper = Sniper.on(stage.exchange, rng, share=share, within_s=SNIPE_WITHIN_S)
        async with trio.open_nursery() as others:
            others.start_soon(sniper.run)
            others.start_soon(_make_it_come, trip, stage)
            await bot.run()
            ended_at = wall_seconds()
            others.cancel_scope.cancel()
        await until(lambda: not trip.on_the_way, every_s=0.05, within_s=2 * LATE_MOST_S)
        assert trip.stopped_at is not None, "the bot ends because it was stopped"
        return Moment(
            when=when,
            seed=seed,
            verdict=await stage.verdict(),
            cancel_s=trip.cancel_at - trip.stopped_at if trip.cancel_at else None,
            shutdown_s=ended_at - trip.stopped_at,
            posts_after=trip.posts_after,
            came=trip.came or when in (When.STARTING, When.ANY_TIME),
            submits_after=trip.submits_after,
            heir=await _inherited(stage) if when in MERGES else None,
        )


async def _inherited(stage: Stage) -> tuple[str, ...]:
    """What is wrong with the books of the bot that is started next, once it is ready to trade."""
    heir = stage.heir()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heir.run)
        await until(lambda: heir.ready, every_s=0.05, within_s=HEIR_S)
        books = heir.ctx.account.ledger.books.values()
        wrong = [*differences(heir, stage.exchange), *heir.ctx.health.halted]
        wrong += [one.text for one in heir.ctx.events if "differs from the journal" in one.text]
        if not any(one.merged for one in books):
            wrong.append("the merge is not in the books")
        heir.stop("drill")
    return tuple(wrong)


async def _make_it_come(trip: Trip, stage: Stage) -> None:
    """Wait for the first order, then for the moment; a moment that does not come comes anyway."""
    if trip.when is When.STARTING:
        await trio.sleep(trip.rng.uniform(0, START_S))
        trip.stop()
        return
    with trio.fail_after(FIRST_ORDER_S):
        await stage.traded.wait()
    if trip.when is When.ANY_TIME:
        await trio.sleep(trip.rng.uniform(0.2, PATIENCE_S))
    else:
        steps = _Steps(trip)
        trio.lowlevel.add_instrument(steps)
        try:
            await trio.sleep(MERGE_S if trip.when in MERGES else PATIENCE_S)
        finally:
            trio.lowlevel.remove_instrument(steps)
    trip.stop()


async def stop_drill(numbers: Sequence[int], seed: int) -> list[Moment]:
    """The moments with these numbers. All kinds in turn; the long way to a merge is gone rarely."""
    quick = [when for when in When if when not in MERGES]
    kinds = [*quick, *MERGES, *quick]
    return [await one_moment(kinds[n % len(kinds)], seed + n) for n in numbers]
