"""`python -m polybot lab agreement`: the bot's ledger against the exchange's books, under faults.

Paper runs of half an hour each, with a fault plan, on both cores. Whenever an interval's books
close, the whole wallet is compared – cash and the shares of every open market, to the micro-unit –
and at the end of each run what it is worth. News of a fill take their way, the longer the more the
plan spoils the streams, so the books have `PATIENCE_S` of the venue's time to agree; a difference
that stays is one, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import attrs
import trio

from polybot.app import Bot
from polybot.config import BotParams
from polybot.domain.units import amount_text
from polybot.exchange.faults.plan import Plan, PlanError, load
from polybot.exchange.server import Exchange
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.host import ask_exchange
from polybot.in_flight import GRACE_S
from polybot.journal.entries import Moved
from polybot.lab import numbers
from polybot.lab.shares import each_of
from polybot.lab.stage import Sniper, Taps, bot_before, lab_config, scratch_journal, serving, until
from polybot.launch import PAPER_START_MS, run_watched
from polybot.patient_clock import PatientClock

SERIES = ("btc-5m", "eth-5m", "sol-5m", "btc-15m", "eth-15m", "sol-15m")
INTENSITY = 0.02  # a sniper sees to the fills: it costs less than a crowd for as many
SNIPED, SNIPE_WITHIN_S = 0.25, 5.0
RATE = 100.0
# A slow quoter, and pairs merged a few at a time: it is the books that are tried, not the quotes.
ORDERS = OrderParams(
    requote_min_ms=500, requote_max_ms=1000, routine_every_ms=2000, hysteresis_ticks=2
)
INVENTORY = InventoryParams(merge_shares=10, merge_equity_percent=0)
PATIENCE_S = 90.0  # two cadences of the reconciler, a reconnection, and the chain's own time
RESULT_S = 720.0  # Gamma may keep a result back for ten minutes, then the chain is asked alone
LOOK_EVERY_S = 0.25
RUN_HOURS = 0.5  # of the venue's time, times so many series


@attrs.frozen
class Interval:
    """How the wallet's two books stood when an interval had ended: `off` are the differences."""

    slug: str
    waited_s: float
    off: tuple[str, ...] = ()


@attrs.frozen
class Run:
    """One paper run. Money in 10⁻⁶ dollars."""

    seed: int
    market_hours: float
    intervals: tuple[Interval, ...]
    fills: int
    struck: dict[str, int]
    live_orders: int
    equity_bot: int | None
    equity_exchange: int
    exit_code: int
    halts: dict[str, int]

    @property
    def problems(self) -> list[str]:
        found = [f"{one.slug}: {text}" for one in self.intervals for text in one.off]
        if self.equity_bot != self.equity_exchange:
            found.append(f"equity {self.equity_bot} here, {self.equity_exchange} there at the end")
        if self.live_orders:
            found.append(f"{self.live_orders} orders left")
        if self.exit_code:
            found.append(f"exit code {self.exit_code}")
        if not self.intervals:
            found.append("no interval was compared")
        return found


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="polybot lab agreement", allow_abbrev=False,
        description="Compare the bot's ledger with the exchange's books after every interval.",
    )  # fmt: skip
    parser.add_argument(
        "--hours", type=numbers.above(0), default=3.0, help="market-hours in all (3)"
    )
    parser.add_argument("--faults", default="orders", metavar="NAME|FILE", help="a fault plan")
    parser.add_argument("--seed", type=numbers.seed, default=1)
    said = parser.parse_args(argv)
    try:
        load(said.faults)
    except PlanError as error:
        parser.error(str(error))
    runs = max(1, round(said.hours / (RUN_HOURS * len(SERIES))))
    seeds = [said.seed + n for n in range(runs)]
    done = []
    for run in each_of(partial(run_seed, said.faults), seeds):
        done.append(run)
        sys.stderr.write(f"{len(done)} of {runs} runs: {line(run)}\n")
        sys.stderr.flush()
    sys.stdout.write("\n".join(report(said.faults, done)) + "\n")
    return 1 if any(run.problems for run in done) else 0


def run_seed(faults: str, seed: int, hours: float = RUN_HOURS) -> Run:
    """One run in this process."""
    return trio.run(agreement_run, load(faults), seed, hours, clock=PatientClock(RATE))


async def agreement_run(plan: Plan, seed: int, hours: float) -> Run:
    """Trade for so many hours of the venue, comparing after every interval."""
    config = attrs.evolve(
        lab_config(seed, RATE), bot=BotParams(series=SERIES), orders=ORDERS, inventory=INVENTORY
    )
    stage = serving(
        seed=seed, intensity=INTENSITY, taps=Taps(), series=SERIES, start_ms=PAPER_START_MS,
        faults=plan,
    )  # fmt: skip
    with scratch_journal() as store:
        async with stage as (exchange, urls, http):
            bot = bot_before(exchange, urls, http, store, config)
            auditor = Auditor(bot, exchange)
            rng = random.Random(f"agreement {seed}")
            sniper = Sniper.on(exchange, rng, share=SNIPED, within_s=SNIPE_WITHIN_S)
            codes: list[int] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_run, bot, codes, nursery.cancel_scope)
                nursery.start_soon(auditor.run)
                nursery.start_soon(sniper.run)
                await trio.sleep(hours * 3600)
                await auditor.level()
                bot.stop("time is up")
            state = await ask_exchange(http, urls.admin, exchange.demo_wallets.deposit)
            assert state is not None, "the exchange answers to the end"
            summary = bot.summary()
            return Run(
                seed=seed,
                market_hours=hours * len(config.bot.series),
                intervals=tuple(auditor.intervals),
                fills=summary.totals.fills,
                struck=dict(exchange.faults.struck),
                live_orders=state["live_orders"],
                equity_bot=summary.equity_bot,
                equity_exchange=state["equity"],
                exit_code=codes[0],
                halts=dict(summary.halts),
            )


async def _run(bot: Bot, codes: list[int], everything: trio.CancelScope) -> None:
    """Run the bot to its end, and then let nobody wait any longer."""
    codes.append(await run_watched(bot))
    everything.cancel()


@attrs.define(eq=False)
class Auditor:
    """Compares one bot's books with its exchange's whenever an interval has been closed."""

    bot: Bot
    exchange: Exchange
    intervals: list[Interval] = attrs.field(factory=list)
    _seen: set[str] = attrs.field(factory=set)

    async def run(self) -> None:
        while True:
            for key, record in list(self.bot.ctx.records.by_market.items()):
                if record.final is not None and key not in self._seen:
                    self._seen.add(key)
                    self.intervals.append(await self._compare(record.market.slug))
            await trio.sleep(LOOK_EVERY_S)

    async def level(self) -> None:
        """Wait until both value the wallet alike: the exchange does so by a result the moment the
        chain has it, the bot when nobody contradicts it any more (F37).
        """
        ledger, engine = self.bot.ctx.account.ledger, self.exchange.engine
        address = self.exchange.demo_wallets.deposit
        with suppress(trio.TooSlowError):
            await until(
                lambda: ledger.equity == engine.equity(address),
                every_s=LOOK_EVERY_S, within_s=RESULT_S,
            )  # fmt: skip

    async def _compare(self, slug: str) -> Interval:
        begun = trio.current_time()
        while (off := differences(self.bot, self.exchange)) and not self.bot.ctx.stopping:
            waited = trio.current_time() - begun
            # A transaction that the plan delays is in the chain's books before it is in ours.
            if waited > (GRACE_S if self.bot.inventory.under_way.flights else PATIENCE_S):
                return Interval(slug, waited, tuple(off))
            await trio.sleep(LOOK_EVERY_S)
        return Interval(slug, trio.current_time() - begun)


@attrs.frozen
class Unknown:
    """What a wallet may have got that no book knows of: 10⁻⁶ dollars, and 10⁻⁶ shares by token."""

    cash: int = 0
    shares: Mapping[str, int] = attrs.field(factory=dict)


NOTHING = Unknown()


def differences(
    bot: Bot,
    exchange: Exchange,
    address: str | None = None,
    done: Iterable[Moved] = (),
    beside: Unknown = NOTHING,
) -> list[str]:
    """What the bot's books and the exchange's say differently of a wallet at this moment, as if
    those operations and what is `beside` them had been booked; None: of the deposit wallet.
    """
    ledger, accounts = bot.ctx.account.ledger, exchange.engine.accounts
    address = address or exchange.demo_wallets.deposit
    cash, gone = ledger.cash + beside.cash, Counter[str]()
    for one in done:
        books, shares = ledger.books[one.condition_id], one.shares
        held = books.holdings()
        brought, less = {
            "redeem": (books.worst_value, max(held.up, held.down)),
            "merge": (shares, shares),
            "split": (-shares, -shares),
        }[one.kind]
        cash += brought
        gone[one.condition_id] += less
    pairs = [("cash", cash, accounts.cash(address))]
    for books in ledger.books.values():
        market, held = books.market, books.holdings()
        for token, ours in ((market.up_token, held.up), (market.down_token, held.down)):
            there = accounts.shares(address, token)
            left = max(0, ours - gone[market.condition_id]) + beside.shares.get(token, 0)
            pairs.append((f"shares of {market.slug}", left, there))
    return [
        f"{what}: {amount_text(ours)} here, {amount_text(theirs)} there"
        for what, ours, theirs in pairs
        if ours != theirs
    ]


def unexplained(
    bot: Bot, exchange: Exchange, address: str, unknown: Iterable[Unknown] = (NOTHING,)
) -> list[str]:
    """The same, but for what operations under way explain: the chain has done with a block what we
    book when the relayer calls it confirmed, and with pairs always being merged one always is. So
    may what the books need not know of, which comes to one of `unknown`.
    """
    left = [one for flight in bot.inventory.under_way.flights for one in flight.left]
    unknown = list(unknown)
    for count in range(len(left) + 1):
        for done in itertools.combinations(left, count):
            if not all(differences(bot, exchange, address, done, beside) for beside in unknown):
                return []
    return differences(bot, exchange, address)


# --- the report ---------------------------------------------------------------------------------


def line(run: Run) -> str:
    waited = max((one.waited_s for one in run.intervals), default=0.0)
    verdict = "; ".join(run.problems) or "agreed"
    return (
        f"seed {run.seed}: {run.market_hours:g} market-hours, {len(run.intervals)} intervals, "
        f"{run.fills} fills, {sum(run.struck.values())} faults struck, "
        f"longest wait {waited:.1f} s: {verdict}"
    )


def report(faults: str, runs: Sequence[Run]) -> Iterator[str]:
    yield from map(line, runs)
    count: Callable[[Callable[[Run], int]], int] = lambda of: sum(map(of, runs))  # noqa: E731
    yield (
        f"faults {faults}: {sum(run.market_hours for run in runs):g} market-hours, "
        f"{count(lambda run: len(run.intervals))} intervals, {count(lambda run: run.fills)} fills, "
        f"{count(lambda run: len(run.problems))} differences"
    )
