"""What other hands do finds the bugs that a careless change would bring: one at a time, in lives of
a few seconds (L2, S7, S11, G25).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import all_of, broken, calm, rows_count_twice

from polybot import composition, market_scope, payments, reconciler, restart
from polybot.account import Account
from polybot.app import Bot
from polybot.config import Config
from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.execution.firewall import Firewall
from polybot.execution.lifecycle import TRANSITIONS, Event, State
from polybot.execution.throttle import Budget
from polybot.journal.entries import TradesRead
from polybot.journal.recovery import Recovered
from polybot.lab import simulation, simulation_life, simulation_money, simulation_rules
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case, Edited, End, Harm, Life, Trouble, Where
from polybot.lab.simulation_dates import Date
from polybot.lab.simulation_money import Sent
from polybot.lab.simulation_regime import Conditions
from polybot.lab.simulation_settings import Means, Setting
from polybot.loss_watch import LossWatch
from polybot.payments import Payments
from polybot.restart import Restart
from polybot.results import Results
from polybot.risk.limits import RiskParams
from polybot.risk.losses import Standing
from polybot.venue import data_reads, fields, slugs
from polybot.venue.rest import Rest

DOLLARS = 60_000_000
REWARD, DEPOSIT = Sent(6.0, DOLLARS, reward=True), Sent(6.0, DOLLARS, reward=False)
FORWARD = "New York's clocks go forward"
QUIET_CROWD = Conditions(intensity=0.002)  # somebody takes our orders on sight


def life(length_s: float, **other: Any) -> Case:
    case = attrs.evolve(calm(length_s=length_s), quiet_s=0.0, conditions=QUIET_CROWD)
    return attrs.evolve(case, **other)


def lives(*those: Life, last_s: float = 6.0, **other: Any) -> Case:
    return life(40.0, lives=(*those, Life(last_s, End.STOP, 0.0)), **other)


def edited(*settings: Setting, last_s: float = 6.0, series: tuple[str, ...] = ("btc-5m",)) -> Case:
    """The second start has another file, in which btc-5m is the last series that is left."""
    again = Life(last_s, End.STOP, 0.0, edited=Edited(series[-1:], settings))
    return life(20.0, lives=(Life(6.0, End.STOP, 1.0), again), series=series)


# --- another file ---------------------------------------------------------------------------


def the_file_of_before() -> Any:
    """S7: a configuration is read once, and kept."""
    build, read = composition.build, list[Config]()

    def kept(config: Config, *words: Any, **how: Any) -> Bot:
        read.append(config)
        return build(attrs.evolve(config, risk=read[0].risk), *words, **how)

    return mock.patch.object(simulation_life, "build", kept)


def the_limits_of_before() -> Any:
    """S7: the firewall's limits are those that the first market had."""
    read: list[RiskParams] = []

    def walled(market: Market, limits: RiskParams, *words: Any) -> Firewall:
        read.append(limits)
        return Firewall(market, read[0], *words)

    return mock.patch.object(market_scope, "Firewall", walled)


def the_budget_of_before() -> Any:
    """S13: and so is how many orders may be sent."""
    made, read = Budget.from_params, list[Any]()

    def of(params: Any) -> Budget:
        read.append(params)
        return made(read[0])

    return mock.patch.object(Budget, "from_params", of)


def the_series_of_before() -> Any:
    """S11: whatever the journal has books of is traded on."""
    made = Bot.__attrs_post_init__

    def with_those(self: Bot) -> None:
        known = {market.series for market in self.ctx.recovered.markets.values()}
        self.series = tuple(dict.fromkeys((*self.series, *sorted(known))))
        made(self)

    return mock.patch.object(Bot, "__attrs_post_init__", with_those)


# --- a start that is ended ------------------------------------------------------------------


def read_before_it_is_read() -> Any:
    """L2: a start notes how far trades are read before it has read them."""
    catch_up = Restart._catch_up

    async def noting(self: Restart) -> None:
        await self.ctx.account.journal.append(TradesRead(self.ctx.clock.now_ms() // 1000))
        await catch_up(self)

    return mock.patch.object(Restart, "_catch_up", noting)


def not_knowing_its_own() -> Any:
    """G25: orders of the journal are ours as soon as they have been looked up."""
    return mock.patch.object(Restart, "_own_orders")


def killed_as_it_reads(_: Case) -> Case:
    """The first life dies with an order on the wire, of which the next one hardly reads."""
    hasty = Life(50.0, End.KILL, 1.0, haste_s=2.2, soon_s=1.0)
    first = Life(8.0, End.KILL, 330.0, where=Where.SENT)
    return lives(first, hasty, sniped=1.0, delays=(("clob", 0.2),))


def killed_at_once(_: Case) -> Case:
    hasty = Life(50.0, End.KILL, 1.0, haste_s=0.05, soon_s=0.5)
    return lives(Life(8.0, End.KILL, 1.0, where=Where.SENT, soon_s=1.0), hasty)


# --- another day ----------------------------------------------------------------------------


def an_offset_for_good() -> Any:
    """S11: how far New York is from Greenwich is asked once."""
    local, known = slugs._local, list[dt.timedelta]()

    def by_that(unix_ms: int) -> dt.datetime:
        known.append(local(unix_ms).utcoffset() or dt.timedelta())
        return dt.datetime.fromtimestamp(unix_ms / 1000, dt.timezone(known[0]))

    return mock.patch.object(slugs, "_local", by_that)


def an_hour_later_in_summer() -> Any:
    """L7: hours are counted from New York's noon of winter."""
    at = slugs.window_at

    def window(series: str, now_ms: int) -> slugs.Window:
        found = at(series, now_ms)
        summer = slugs._local(now_ms).dst()
        late_ms = int(summer.total_seconds() * 1000) if summer is not None else 0
        return slugs.Window(found.start_ms + late_ms, found.end_ms + late_ms)

    return all_of(
        mock.patch.object(slugs, "window_at", window),
        mock.patch.object(simulation_rules, "QUOTED_WITHIN_S", 20.0),
    )


def by_the_hour(ahead_s: float, quiet_s: float) -> Callable[[Case], Case]:
    date = Date(FORWARD, ahead_s)
    return lambda _: attrs.evolve(
        life(ahead_s + 5.0, date=date, series=("btc-1h",)), quiet_s=quiet_s
    )


# --- money ----------------------------------------------------------------------------------


def redeemed_once_more() -> Any:
    """G25: who has redeemed by hand has taken the shares away."""

    async def nothing(*_: Any) -> bool:
        return False

    return mock.patch.object(Results, "redeemed", nothing)


def redeemed_for_nothing() -> Any:
    """L2: what was redeemed by hand is a loss, and its dollars have come from somewhere."""
    look, learn, without = Results._redeemed_without_us, Results._learn, list[Any]()

    async def looking(self: Results, books: Any) -> bool:
        without.append(books)
        try:
            return await look(self, books)
        finally:
            without.pop()

    async def learning(self: Results, market: Market, payout: int, source: str) -> None:
        await learn(self, market, SHARE - payout if without else payout, source)

    return all_of(
        mock.patch.object(Results, "_redeemed_without_us", looking),
        mock.patch.object(Results, "_learn", learning),
    )


def by_hand(_: Case) -> Case:
    """While a result is told, of shares that have won."""
    return lives(Life(25.0, End.KILL, 230.0, by_hand=True), later_s=100)


def a_withdrawal_is_lost() -> Any:
    """G25: the limits on losses go by what was once brought in."""
    standing, most = LossWatch.standing, list[int]()

    def remembering(self: LossWatch, hope: int = 0) -> Standing:
        found = standing(self, hope)
        most.append(found.capital)
        return attrs.evolve(found, capital=max(most))

    return mock.patch.object(LossWatch, "standing", remembering)


def a_withdrawal_is_nothing() -> Any:
    """G25: a start looks for more than it knows of, and not for less."""
    beyond = restart.beyond
    more = lambda *words: max(0, beyond(*words))  # noqa: E731
    return mock.patch.object(restart, "beyond", more)


def taken_out(_: Case) -> Case:
    """25 of 300 dollars, of somebody who holds nothing."""
    taking = Life(8.0, End.STOP, 1.0, by_hand=True, taken=25_000_000)
    limit = (("risk", "max_daily_loss_percent", 3),)
    return lives(
        taking, last_s=24.0, sniped=0.0, settings=limit, means=Means(funds=300_000_000)
    )  # fmt: skip


def what_is_brought_is_earned() -> Any:
    """L2: a deposit is a reward."""
    return mock.patch.dict(data_reads.ACCOUNTS, DEPOSIT="reward")


def what_is_earned_is_brought() -> Any:
    """L2: a reward is a deposit."""
    return mock.patch.dict(data_reads.ACCOUNTS, REWARD="deposit")


def forgetting_what_was_paid() -> Any:
    """L2: a start knows of no payment: it is booked again, and taken off as a withdrawal."""
    made = composition._payments

    def without(data: Rest, account: Account, wallet: str, recovered: Recovered) -> Payments:
        return made(data, account, wallet, attrs.evolve(recovered, payments={}))

    return mock.patch.object(composition, "_payments", without)


def found_and_read() -> Any:
    """L2: what a start has found without a word is booked beside it when the word comes."""
    return mock.patch.object(Payments, "found")


def paid(*sent: Sent) -> Callable[[Case], Case]:
    return lambda _: life(10.0, sent=sent)


def paid_before_a_start(_: Case) -> Case:
    return lives(Life(14.0, End.STOP, 1.0), sent=(REWARD,))


def paid_unheard(_: Case) -> Case:
    """Between two lives, of which the second begins without the Data API."""
    silent = Trouble(8.0, "data", Harm.REFUSED, 28.0)
    between = Sent(18.0, DOLLARS, reward=True)
    return lives(Life(8.0, End.STOP, 14.0), last_s=14.0, sent=(between,), index=(silent,))


# --- the index, and a service that is far away ------------------------------------------------


def the_first_page_is_all() -> Any:
    """L2: whether there are more is not asked."""

    async def first(rest: Rest, path: str, asked: dict[str, str], decode: Any) -> Any:
        reply = await rest.call("GET", path, params=asked | {"limit": "100"})
        if isinstance(reply, Failure) or reply.status != 200:
            return []
        rows = fields.as_list(fields.as_object(reply.json()).get("data"))
        return [one for one in map(decode, rows) if one is not None]

    return mock.patch.object(data_reads, "_all", first)


def risen_from_the_dead() -> Any:
    """S23: the older answer counts, for it came last."""
    alive = {Event.SEEN_LIVE: State.LIVE, Event.ACK_LIVE: State.LIVE}
    return mock.patch.dict(TRANSITIONS[State.CANCELLED], alive)


def far_away(_: Case) -> Case:
    """From the venue's orders, of which the stream tells at once."""
    return life(60.0, lag=("clob", 0.6), patient=True)


MANY = (
    *[Sent(6.0, 7_000_000, reward=True)] * 20,
    *[Sent(6.5, 1_000_000, reward=True)] * 100,
)  # fmt: skip

FEW_DOLLARS: tuple[Setting, ...] = (
    ("risk", "max_order_usd", 10), ("risk", "max_position_usd_per_market", 10),
    ("risk", "max_total_usd", 10),
)  # fmt: skip
BUGS: list[tuple[Callable[[], Any], Callable[[Case], Case], set[str]]] = [
    (the_file_of_before, lambda _: edited(("risk", "price_collar", 0.02)), {"S7"}),
    (
        the_limits_of_before,
        lambda _: edited(*FEW_DOLLARS, last_s=20.0),
        {"S7"},
    ),
    (
        the_budget_of_before,
        lambda _: edited(
            ("orders", "orders_per_s", 1), ("orders", "requote_min_ms", 50), last_s=12
        ),
        {"S13"},
    ),
    (the_series_of_before, lambda _: edited(series=("btc-5m", "btc-15m")), {"S11"}),
    (read_before_it_is_read, killed_as_it_reads, {"G25", "L2", "S5"}),
    (not_knowing_its_own, killed_at_once, {"G25"}),
    (an_offset_for_good, by_the_hour(5.0, 0.0), {"S11"}),
    (an_hour_later_in_summer, by_the_hour(5.0, 112.0), {"L7"}),
    (redeemed_once_more, by_hand, {"G25", "L2"}),
    (redeemed_for_nothing, by_hand, {"L2"}),
    (a_withdrawal_is_lost, taken_out, {"G25"}),
    (a_withdrawal_is_nothing, taken_out, {"G25", "L2"}),
    (what_is_brought_is_earned, paid(DEPOSIT), {"L2"}),
    (what_is_earned_is_brought, paid(REWARD), {"L2"}),
    (forgetting_what_was_paid, paid_before_a_start, {"L2"}),
    (found_and_read, paid_unheard, {"L2"}),
    (rows_count_twice, paid(REWARD), {"G25", "L2"}),
    (risen_from_the_dead, far_away, {"S23"}),
    (the_first_page_is_all, paid(*MANY), {"L2"}),
]


def soon_compared() -> Any:
    """The bot looks often, and the judge waits less."""
    return all_of(
        mock.patch.object(reconciler, "RECONCILE_EVERY_S", 2.0),
        mock.patch.object(payments, "AGAIN_S", 3.0),
        mock.patch.object(simulation, "AGREE_S", 10.0),
        mock.patch.object(simulation_money, "NOTICED_S", 8.0),
    )


@pytest.mark.parametrize(
    ("bug", "with_", "rules"), BUGS, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_planted_bug_is_found(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rules: set[str]
) -> None:
    """By its rules, and by no other."""
    with soon_compared(), bug():
        found = simulate(with_(calm()))

    told = "; ".join(map(str, found.violations)) or "nothing was found"
    assert broken(found), told
    assert broken(found) <= rules, told


SOUND = (
    BUGS[1][1], BUGS[2][1], killed_as_it_reads, killed_at_once, by_hand, taken_out,
    paid(DEPOSIT, *MANY), paid_before_a_start, paid_unheard, by_the_hour(5.0, 0.0), far_away,
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(SOUND)))
def test_as_we_are(number: int) -> None:
    """The same lives without a bug break no rule."""
    with soon_compared():
        found = simulate(SOUND[number](calm()))

    assert not found.violations, "; ".join(map(str, found.violations))
