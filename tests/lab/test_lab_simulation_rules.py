"""Each rule of the simulation finds the bug that it forbids: one that never fires proves nothing.

The bugs are planted, one at a time, in lives with one trouble at most; as we are, such lives are
sound (`test_as_we_are`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from unittest import mock

import attrs
import pytest
import trio
from simulation_kit import all_of, calm, found_with, signing, sound

from polybot import app, discovery, market_scope, price_task, quoter
from polybot.account import Account
from polybot.app import Bot
from polybot.config import Config
from polybot.domain.accounts import Accounts, Kind, Posting
from polybot.domain.ledger import Ledger
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import (
    CancelResult,
    PrivateEvent,
    TimeInForce,
    TradeSeen,
)
from polybot.exchange.clob_orders import OrderCalls
from polybot.exchange.faults.plan import Entry, Plan
from polybot.execution.doubts import Doubts
from polybot.execution.throttle import Bucket
from polybot.health import Health
from polybot.heartbeat import Heartbeat
from polybot.inventory import Inventory
from polybot.lab import simulation, simulation_rules, simulation_settings
from polybot.lab.simulation_case import Case, End, Harm, Life, Trouble
from polybot.lab.stage import MID_WINDOW_MS, lab_config
from polybot.market_times import timetable
from polybot.pricing.board import PriceBoard
from polybot.risk.timetable import Timetable
from polybot.venue import gamma, sockets
from polybot.venue.book_state import BookState
from polybot.venue.clob import ClobClient
from polybot.venue.gamma import MarketMeta
from polybot.venue.market_book import MarketBook
from polybot.venue.rest import Rest
from polybot.venue.site import GTD_LEAD_S
from polybot.wallet_standing import WalletStanding

Patches = Iterator[None]
LATER_MS = 100_000


def too_small() -> Any:
    """S2: orders below the market's least size."""
    return signing(size=lambda _: 1_000_000)


def taking_by_accident() -> Any:
    """S2: orders that rest, without the flag that keeps them from taking."""
    return signing(post_only=lambda _: False)


def dying_too_soon() -> Any:
    """S2: an order's own end is nearer than the venue takes."""

    def backstop(_: int, now_ms: int) -> tuple[TimeInForce, int]:
        return TimeInForce.GTD, now_ms // 1000 + GTD_LEAD_S.value - 1

    return mock.patch.object(quoter, "_backstop", backstop)


def nobodys_book() -> Any:
    """S2: orders for tokens that the venue does not have."""
    return signing(market=lambda order: attrs.evolve(order.market, up_token="71", down_token="72"))


def half_a_trade() -> Any:
    """S5: of a trade with several orders of ours only the first is booked (Nautilus #3345)."""
    book = Ledger.book

    def booking(self: Ledger, trade: TradeSeen) -> bool:
        return book(self, attrs.evolve(trade, legs=trade.legs[:1]))

    return all_of(
        mock.patch.object(Ledger, "book", booking),
        mock.patch.object(simulation, "AGREE_S", 10.0),
    )


def a_slip_of_the_pen() -> Any:
    """S22: a micro-dollar that comes from nowhere with every trade."""
    post = Accounts.post

    def posting(self: Accounts, postings: Sequence[Posting]) -> None:
        post(self, postings)
        account, _ = postings[0]
        if account.kind.value == "cash" and len(postings) > 2:
            self._balances[account] = self._balances.get(account, 0) + 1

    return mock.patch.object(Accounts, "post", posting)


def burning_twice() -> Any:
    """S6: what leaves the wallet is taken off twice."""
    post = Accounts.post

    def posting(self: Accounts, postings: Sequence[Posting]) -> None:
        post(self, postings)
        for account, amount in postings:
            if account.kind is Kind.SHARES and amount < 0 and len(postings) > 6:
                self._balances[account] = self._balances.get(account, 0) + amount

    return mock.patch.object(Accounts, "post", posting)


def selling_what_is_promised() -> Any:
    """S8: shares that no block holds yet are offered."""

    def sellable(self: WalletStanding, condition_id: str, outcome: Outcome) -> int:
        books = self.ledger.books.get(condition_id)
        return books.shares(outcome) if books is not None else 0

    def config(*words: Any) -> Any:
        made = lab_config(*words)
        return attrs.evolve(made, quote=attrs.evolve(made.quote, sell_held="always"))

    return all_of(
        mock.patch.object(WalletStanding, "sellable", sellable),
        mock.patch.object(simulation_settings, "lab_config", config),
    )


def quoting_from_memory() -> Any:
    """S10: the book of a connection that is gone will do."""

    def restart(self: MarketBook) -> None:
        for token in self._tokens.values():
            token.state = BookState.AWAITING_SNAPSHOT

    return all_of(
        mock.patch.object(MarketBook, "restart", restart),
        mock.patch.object(MarketBook, "valid", True),
    )


def up_is_down() -> Any:
    """S11: the order of the tokens is guessed (py-clob-client #276)."""
    look_up = gamma.market_by_slug

    async def swapped(*words: Any) -> Any:
        meta = await look_up(*words)
        if not isinstance(meta, MarketMeta):
            return meta
        market = meta.market
        market = attrs.evolve(market, up_token=market.down_token, down_token=market.up_token)
        return attrs.evolve(meta, market=market)

    return all_of(
        mock.patch.object(discovery, "market_by_slug", swapped),
        mock.patch.object(discovery, "mismatch", return_value=None),
    )


def halting_in_words() -> Any:
    """S12: a halt is told, and trading goes on."""

    def halt(self: Health, halt: Any, why: str) -> None:
        for hear in self.on_halt if halt.value not in self.halts else []:
            hear(halt.value, why)
        self.halts[halt.value] += 1

    return mock.patch.object(Health, "halt", halt)


def halting_in_silence() -> Any:
    """L10: the gate is closed, and the screen shows nothing of it."""
    snapshot = Bot.snapshot

    def fine(self: Bot) -> Any:
        return attrs.evolve(snapshot(self), state="running")

    return mock.patch.object(Bot, "snapshot", fine)


def without_a_budget() -> Any:
    """S13: whoever asks may send, and is asked all the time."""
    return all_of(
        mock.patch.object(Bucket, "take", lambda _self, wanted, _now_ms, **_: wanted),
        mock.patch.object(
            simulation_settings, "ORDERS", attrs.evolve(simulation_settings.ORDERS, orders_per_s=1)
        ),
    )


def another_strike() -> Any:
    """S14: the price to beat is misread by a tenth of a percent."""
    official = PriceBoard.official_strike

    def misread(self: PriceBoard, market: Market, value: float, now_ms: int) -> Any:
        return official(self, market, value * 1.001, now_ms)

    return mock.patch.object(PriceBoard, "official_strike", misread)


def keeping_the_login() -> Any:
    """S17: the frame that logs in is recorded like any other."""
    return mock.patch.object(sockets, "without_credentials", lambda frame: frame.encode())


def leaking_tasks() -> Any:
    """S20: every request leaves a task behind."""
    call = Rest.call

    async def leaking(self: Rest, *words: Any, **how: Any) -> Any:
        for _ in range(3):
            trio.lowlevel.spawn_system_task(trio.sleep, 3_600)
        return await call(self, *words, **how)

    return mock.patch.object(Rest, "call", leaking)


def leaving_it_in_doubt() -> Any:
    """L1: nobody looks up an order without an answer (Nautilus #3797)."""
    return all_of(
        mock.patch.object(Doubts, "due", return_value=[]),
        mock.patch.object(Doubts, "overdue", return_value=None),
    )


def waiting_for_its_money() -> Any:
    """L5: nobody asks for the result."""

    async def settle(*_: Any, **__: Any) -> None:
        await trio.lowlevel.checkpoint()

    return all_of(
        mock.patch.object(Inventory, "_settle", settle),
        mock.patch.object(simulation_rules, "REDEEMED_WITHIN_S", 60.0),
        late_in_the_window(),
    )


def trusting_silence() -> Any:
    """L3: a stream that says nothing is taken to be well (py-clob-client #292)."""
    names = ("SILENCE_S", "ORACLE_SILENCE_S", "EXCHANGE_SILENCE_S")
    return all_of(*(mock.patch.object(price_task, name, 1e9) for name in names))


def reading_slowly() -> Any:
    """L6: private events are taken one every four seconds."""

    async def listen(self: Account) -> None:
        while True:
            await trio.sleep(4)
            events: list[PrivateEvent] = []
            with suppress(trio.WouldBlock):
                events.append(self._receive.receive_nowait())
            await self.learn_of(events)

    return mock.patch.object(Account, "listen", listen)


def always_halted() -> Any:
    """L7: safe, because nothing is ever placed."""
    return mock.patch.object(Health, "good")


def giving_up() -> Any:
    """L8: a stream that was refused is not dialled again."""
    dial, refused = sockets._dial, []

    async def once(url: str) -> Any:
        if url in refused:
            await trio.sleep_forever()
        try:
            return await dial(url)
        except OSError:
            refused.append(url)
            raise

    return mock.patch.object(sockets, "_dial", once)


def late_in_the_window() -> Any:
    """What happens at its end need not be waited for."""
    late_ms = MID_WINDOW_MS + LATER_MS
    return mock.patch.object(simulation, "MID_WINDOW_MS", late_ms)


def no_cutoff() -> Any:
    """S1: quotes until ten seconds before the end."""
    return all_of(
        mock.patch.object(market_scope, "timetable", late_timetable),
        mock.patch.object(app, "timetable", late_timetable),
        late_in_the_window(),
    )


def late_timetable(market: Market, config: Config) -> Timetable:
    quote = attrs.evolve(config.quote, stop_twap_s=10.0, cutoff_twap_s=10.0, stop_move=0.5)
    return timetable(market, attrs.evolve(config, quote=quote))


def a_switch_that_sleeps() -> Any:
    """G11: the bug is the venue's, and no fault of a plan: those are told (F46)."""
    return mock.patch.object(OrderCalls, "sweep", return_value=None)


def leaving_them_there() -> Any:
    """L4: who stops withdraws nothing any more, and at least says so. The venue's switch, which
    would do it, sleeps.
    """
    stop, delete = Bot.stop, ClobClient._delete
    stopped: list[str] = []

    def stopping(self: Bot, reason: str) -> None:
        stopped.append(reason)
        stop(self, reason)

    async def deleting(self: ClobClient, path: str, value: object) -> CancelResult:
        await trio.lowlevel.checkpoint()
        if stopped:
            return CancelResult(frozenset(), {}, "never sent")
        return await delete(self, path, value)

    return all_of(
        mock.patch.object(Bot, "stop", stopping),
        mock.patch.object(ClobClient, "_delete", deleting),
        a_switch_that_sleeps(),
    )


def beating_for_ever() -> Any:
    """L4: what cannot be withdrawn is kept for us by the venue, because we ask it to (F40)."""
    return mock.patch.object(Heartbeat, "lapse", return_value=None)


def with_trading_disabled(case: Case) -> Case:
    entry = Entry("trading_disabled", from_ms=15_000, values={"last_s": (80, 80)})
    return attrs.evolve(case, plan=Plan((entry,)))


def with_no_way_out(case: Case) -> Case:
    """The venue's switch does nothing either. Half a minute later it is set again, by two requests:
    the first learns that the venue has forgotten us (seed 1294).
    """
    case = with_trading_disabled(case)
    ignored = Entry("heartbeat_lapse_ignored", from_ms=0)
    return attrs.evolve(case, plan=Plan((*case.plan.entries, ignored)))


def killed(_: Case) -> Case:
    case, lives = calm(length_s=60.0), (Life(40.0, End.KILL, 1.0), Life(5.0, End.STOP, 0.0))
    return attrs.evolve(case, lives=lives)


def to_the_cutoff(_: Case) -> Case:
    return attrs.evolve(calm(length_s=250.0 - LATER_MS / 1000), quiet_s=0.0)


def with_foreign(case: Case) -> Case:
    return attrs.evolve(case, foreign_s=30.0)


def with_trouble(port: str, harm: Harm, for_s: float = 30.0) -> Callable[[Case], Case]:
    return lambda case: attrs.evolve(case, troubles=(Trouble(30.0, port, harm, for_s),))


def well_at_once(_: Case) -> Case:
    return attrs.evolve(calm(length_s=10.0), quiet_s=110.0)


def as_it_is(case: Case) -> Case:
    return case


def briefly(_: Case) -> Case:
    """Books are compared at the end, when four orders rest."""
    return calm(length_s=42.0)


def over_the_end(_: Case) -> Case:
    """A seed in which much is held of what wins."""
    return attrs.evolve(calm(length_s=450.0 - LATER_MS / 1000), quiet_s=0.0)


def with_losses(case: Case) -> Case:
    return attrs.evolve(calm(length_s=60.0, plan="orders"), quiet_s=80.0)


def whatever_the_rule() -> Any:
    """S14: a rule is read once, when the market is admitted (F55)."""
    return mock.patch.object(discovery.Discovery, "_as_admitted", return_value=True)


def with_another_rule(_: Case) -> Case:
    entry = Entry("rule_changed", from_ms=30_000)
    return attrs.evolve(calm(length_s=60.0), plan=Plan((entry,)))


def with_no_orders_taken(_: Case) -> Case:
    entry = Entry("stops_accepting", from_ms=30_000)
    return attrs.evolve(calm(length_s=60.0), plan=Plan((entry,)))


BUGS: list[tuple[Callable[[], Any], Callable[[Case], Case], str]] = [
    (no_cutoff, to_the_cutoff, "S1"),
    (a_switch_that_sleeps, killed, "G11"),
    (too_small, as_it_is, "S2"),
    (taking_by_accident, as_it_is, "S2"),
    (dying_too_soon, as_it_is, "S2"),
    (nobodys_book, as_it_is, "S2"),
    (half_a_trade, briefly, "S5"),
    (a_slip_of_the_pen, as_it_is, "S22"),
    (burning_twice, as_it_is, "S6"),
    (selling_what_is_promised, as_it_is, "S8"),
    (quoting_from_memory, with_trouble("market_ws", Harm.REFUSED), "S10"),
    (up_is_down, as_it_is, "S11"),
    (halting_in_words, with_foreign, "S12"),
    (without_a_budget, as_it_is, "S13"),
    (another_strike, as_it_is, "S14"),
    (whatever_the_rule, with_another_rule, "S14"),
    (whatever_the_rule, with_no_orders_taken, "S14"),
    (keeping_the_login, as_it_is, "S17"),
    (leaking_tasks, as_it_is, "S20"),
    (leaving_it_in_doubt, with_losses, "L1"),
    (leaving_them_there, briefly, "L4"),
    (leaving_them_there, with_losses, "L4"),
    (beating_for_ever, with_trading_disabled, "L4"),
    (waiting_for_its_money, over_the_end, "L5"),
    (trusting_silence, with_trouble("prices_ws", Harm.HELD, 25.0), "L3"),
    (reading_slowly, as_it_is, "L6"),
    (always_halted, well_at_once, "L7"),
    (giving_up, with_trouble("binance_ws", Harm.REFUSED, 5.0), "L8"),
    (halting_in_silence, with_foreign, "L10"),
]
ALSO = {"S5": {"L2", "S7"}, "S6": {"L2", "G25"}, "S22": {"L2"}}  # what the same bug breaks as well


@pytest.mark.parametrize(
    ("bug", "with_", "rule"), BUGS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_bug_is_found(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rule: str
) -> None:
    """By its rule, and by no other that does not say the same."""
    found_with(bug, with_, rule, *ALSO.get(rule, ()))


@pytest.mark.parametrize(
    "with_",
    [
        with_trouble("market_ws", Harm.REFUSED),
        with_trouble("prices_ws", Harm.HELD, 25.0),
        with_losses,
        with_another_rule,
        with_no_orders_taken,
        with_trading_disabled,
        with_no_way_out,
        well_at_once,
    ],
    ids=[
        "no books",
        "mute prices",
        "lost answers",
        "another rule",
        "no orders",
        "no trading",
        "no switch",
        "nothing",
    ],
)
def test_as_we_are(with_: Callable[[Case], Case]) -> None:
    """Under the same troubles no rule is broken."""
    assert sound(with_(calm(length_s=60.0))).quoted_s > 30
