"""The core, run again on a tape: the objects of a bot without its tasks, its sockets and its clock.

The program's own composition root puts them together, and each input of the tape is handed to the
method that got it in the run, with the reading of the clock that it got then. What they decide goes
to an examiner instead of a tape, who holds it against what the tape says was decided.
"""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import httpx
from trio.abc import Clock as TrioClock

from polybot.account import Route
from polybot.clock import NS, Clock
from polybot.composition import build
from polybot.config import restored
from polybot.core_tape import (
    INPUTS,
    Acted,
    AnsweredFor,
    Applied,
    Began,
    Closing,
    CoreTape,
    Doubted,
    Emptied,
    Input,
    InTime,
    Kept,
    Learnt,
    Mended,
    Outside,
    Released,
    Restarted,
    ScopeBegan,
    ScopeEnded,
    Scored,
    Seen,
    Settled,
    Stepped,
    Struck,
    WindowClosed,
)
from polybot.domain.orders import NewOrder, SignedOrder
from polybot.health import Fault
from polybot.journal.entries import Entry, decode
from polybot.journal.store import Store
from polybot.journal.tape import FED, HEARD, Event
from polybot.market_scope import MarketScope
from polybot.options import BotOptions
from polybot.price_task import BINANCE, POLYBOLT, RTDS, PriceTask
from polybot.purse import Purse
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site

# Nothing is signed and nothing is sent: the venue's answers are on the tape.
_KEY = Secret("0x" + "11" * 32)
_NOWHERE = Site(**{field.name: "" for field in attrs.fields(Site)})
_NOBODY = Credentials("0x" + "00" * 20, "", Secret(""), Secret(""))

SHORT, SHORT_KEPT = 80, 256  # bytes of an input, and how many of them are remembered
NO_BEGINNING = "the tape does not hold the beginning of its run"
Decided = tuple[str, bytes]  # by whom, what


def _unasked(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"a replay asks nobody: {request.url}")


class NotReplayable(Exception):
    """The tape does not hold what a replay needs; the text says what."""


class TapeTime(TrioClock):
    """Trio's clock, standing where the tape is."""

    def __init__(self) -> None:
        self.at_ns = 0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.at_ns / 1e9

    def deadline_to_sleep_time(self, _deadline: float) -> float:
        return math.inf


class Examiner(CoreTape):
    """Gets the decisions of the objects that are run again. What they were fed comes from the tape
    already.
    """

    def __init__(self, clock: Clock) -> None:
        self.decisions: deque[Decided] = deque()
        super().__init__(self, clock)

    on = True

    def fed(self, value: object, at_ns: int | None = None) -> None:
        pass

    def outside(self, slug: str, seen: Seen, at_ns: int) -> None:
        pass

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        pass

    def sent(self, stream: str, body: bytes) -> None:
        pass

    def decided(self, stream: str, body: bytes, _at_ns: int) -> None:
        self.decisions.append((stream, body))


@contextmanager
def workplace() -> Iterator[tuple[Store, TapeTime]]:
    """A journal for the replay's start, and the time that its Trio is to be run with."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "replay.sqlite3", "replay", fresh=True)
        try:
            yield store, TapeTime()
        finally:
            store.close()


@attrs.define(eq=False, slots=False)
class Core:
    """Call within Trio, whose clock `time` is. `take` every event of a tape, in order."""

    store: Store
    time: TapeTime
    examiner: Examiner = attrs.field(init=False)
    clock: Clock = attrs.field(factory=lambda: Clock(0.0))
    scopes: dict[str, MarketScope] = attrs.field(factory=dict)  # by slug
    inputs: int = 0
    began: Began | None = None
    _short: dict[bytes, Input] = attrs.field(factory=dict)
    _kept: list[Kept] = attrs.field(factory=list)
    _seen: dict[str, Outside] = attrs.field(factory=dict)  # by slug
    _ids: deque[str] = attrs.field(factory=deque)  # what the next orders were signed as

    def __attrs_post_init__(self) -> None:
        self.examiner = Examiner(self.clock)
        self._ears: dict[str, Callable[[str, int], object]] = {}
        self._acts: dict[type, Callable[[Any, int], None]] = {
            Restarted: self._restarted,
            Struck: self._struck,
            Doubted: self._doubted,
            ScopeBegan: self._scope_began,
            ScopeEnded: self._scope_ended,
            WindowClosed: lambda it, _: self.scopes[it.slug].ears.board.ended(),
            Closing: lambda it, at_ns: self.scopes[it.slug].orders.close(at_ns // NS),
            Stepped: self._stepped,
            Applied: self._applied,
            Acted: self._acted,
            Mended: self._mended,
            InTime: lambda it, _: self.scopes[it.slug].feed.lateness.in_time(),
            Scored: self._scored,
            Outside: self._outside,
            AnsweredFor: lambda it, _: self.ctx.account.answer_for(*attrs.astuple(it)),
            Learnt: lambda it, at_ns: self.ctx.account.take(it.facts, at_ns // NS),
            Settled: lambda it, _: self.ctx.settled(it.condition_id, it.up_payout),
            Emptied: lambda it, _: self.ctx.account.emptied(it.condition_id),
            Released: lambda it, _: self.ctx.account.release(it.condition_id),
        }

    def take(self, event: Event) -> None:
        """Hand an input to whom it is for. What it makes them decide is then in the examiner's
        hands. Raises NotReplayable, or whatever the core raises that it did not in the run.
        """
        self.time.at_ns = event.at_ns
        if event.kind is HEARD:
            # The beginning is handed over in one step; prices may be heard before anything else.
            if self.began is not None and not self._ears:
                self._begin()
            ear = self._ears.get(event.stream)
            if ear is not None:
                self.inputs += 1
                ear(event.body.decode(), event.at_ns // NS)
        elif event.kind is FED:
            self.inputs += 1
            self._fed(self._input(event.body), event.at_ns)

    def _input(self, body: bytes) -> Input:
        """Most inputs are a market's next turn, and the same bytes each time."""
        if len(body) > SHORT:
            return _unpacked(body)
        known = self._short.get(body)
        if known is None:
            known = self._short[body] = _unpacked(body)
            if len(self._short) > SHORT_KEPT:
                self._short.clear()
        return known

    def _fed(self, value: Input, at_ns: int) -> None:
        if isinstance(value, Began):
            self.began = value
        elif isinstance(value, Kept):
            self._kept.append(value)
        else:
            if not hasattr(self, "ctx"):
                self._begin()
            self._acts[type(value)](value, at_ns)

    def _begin(self) -> None:
        """Put the bot together as its run did."""
        if self.began is None:
            raise NotReplayable(NO_BEGINNING)
        config = restored(self.began.settings)
        seasonless = attrs.evolve(config.pricing, vol_seasons="")
        config = attrs.evolve(config, pricing=seasonless, keys=None)
        self.store.append([(one.at_ms, _entry(one)) for one in self._kept])
        bot = build(
            config, BotOptions(Path("config.toml")), self.clock, _NOWHERE, _KEY, _NOBODY, Purse(),
            httpx.AsyncClient(transport=httpx.MockTransport(_unasked)), self.store, world="tape",
            speed=1.0, tape=self.examiner,
        )  # fmt: skip
        self.ctx = bot.ctx
        self.ctx.core = self.ctx.account.core = self.examiner
        self.ctx.board.seasons = self.began.seasons
        self.ctx.account.journal.failed = "a replay writes none"
        self.examiner.decisions.clear()
        self.prices = PriceTask(self.ctx, sorted({one.split("-")[0] for one in bot.series}))
        self._ears = {
            POLYBOLT: self.prices.on_polybolt,
            BINANCE: self.prices.on_binance,
            RTDS: self.prices.on_rtds,
        }

    # --- streams ------------------------------------------------------------------------------

    def _restarted(self, it: Restarted, _at_ns: int) -> None:
        if it.stream == POLYBOLT:
            self.prices.greeted()
        elif it.stream == BINANCE:
            self.prices.exchange_greeted()
        else:
            self.scopes[it.stream.removeprefix("market ")].feed.book.restart()

    def _struck(self, it: Struck, at_ns: int) -> None:
        self.ctx.board.official_strike(it.market, it.value, at_ns // NS)

    def _doubted(self, it: Doubted, _at_ns: int) -> None:
        self.ctx.board.doubt(it.condition_id, it.why)

    # --- markets ------------------------------------------------------------------------------

    def _scope_began(self, it: ScopeBegan, _at_ns: int) -> None:
        scope = MarketScope(self.ctx, it.market)
        slug, table = it.market.slug, scope.orders.desk.table
        scope.orders.desk.sign = self._signed
        self.examiner.forget(slug)
        self.scopes[slug] = scope
        self.ctx.account.routes[it.market.condition_id] = Route(
            # The desk hears it from the inbox, whose messages are inputs of their own.
            hear=lambda event, now_ms: scope.ears.told(event, table, now_ms),
            missing=lambda *_: None,
            resting=lambda *_: None,
            orders=list,
        )
        self._ears[scope.feed.name] = scope.feed.on_text

    def _scope_ended(self, it: ScopeEnded, _at_ns: int) -> None:
        scope = self.scopes.pop(it.slug)
        del self.ctx.account.routes[scope.market.condition_id]
        del self._ears[scope.feed.name]

    def _stepped(self, it: Stepped, at_ns: int) -> None:
        self._see_outside(it.slug)
        with suppress(Fault):  # as in the run, whose scope ends next
            self.scopes[it.slug].quote.turn(at_ns)

    def _applied(self, it: Applied, at_ns: int) -> None:
        orders = self.scopes[it.slug].orders
        orders.waiting()  # a wish of ours, which the slot holds
        orders.apply(it.message, at_ns // NS)

    def _acted(self, it: Acted, at_ns: int) -> None:
        self._see_outside(it.slug)
        self._ids = deque(it.ids)
        self.scopes[it.slug].orders.act(at_ns)

    def _signed(self, order: NewOrder) -> SignedOrder:
        """An order as it was signed; one that the run did not have is told by its lack of an id."""
        order_id = self._ids.popleft() if self._ids else "not on the tape"
        self.ctx.account.own(order_id, order.market.condition_id)
        return SignedOrder(order_id, order, b"")

    def _scored(self, it: Scored, _at_ns: int) -> None:
        watch = self.scopes[it.slug].scoring
        assert watch is not None, "only a market with a pool is asked about"
        watch.asked, watch.scored, watch.unscored = it.asked, it.scored, it.unscored

    def _mended(self, it: Mended, _at_ns: int) -> None:
        self.scopes[it.slug].feed.book.apply(it.book)

    def _outside(self, it: Outside, _at_ns: int) -> None:
        self._seen[it.slug] = it

    def _see_outside(self, slug: str) -> None:
        """Each market was told when it changed; what it last saw is what holds at its turn."""
        it = self._seen[slug]
        account, key = self.ctx.account, self.scopes[slug].market.condition_id
        self.ctx.admission.trouble, self.ctx.admission.stopped = it.closed_because, None
        account.day_loss = it.day_loss
        account.claims[key] = it.claimed
        if it.unmergeable is None:
            account.unmergeable.pop(key, None)
        else:
            account.unmergeable[key] = it.unmergeable


def _unpacked(body: bytes) -> Input:
    try:
        value: Input = INPUTS.unpack(body)
    except ValueError as error:
        raise NotReplayable(str(error)) from error
    return value


def _entry(kept: Kept) -> Entry:
    try:
        return decode(kept.kind, kept.body)
    except ValueError as error:
        raise NotReplayable(str(error)) from error
