"""Which halts of a simulated bot are true ones (G25).

Every halt is a false one but for a foreign order, for a venue that refuses us, for approvals that
are gone, for a loss where there is one, and for dollars or shares that a lost journal would
explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from polybot.app import Bot
from polybot.domain.halts import LOSSES, Halt
from polybot.lab.agreement import Unknown, differences, unexplained
from polybot.lab.simulation_plan import BARRING
from polybot.lab.simulation_reach import HALTED, LOST
from polybot.lab.simulation_unknown import Forgotten

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation


@attrs.define(eq=False)
class Halts:
    """`forgotten` is what lost journals knew of."""

    sim: Simulation
    forgotten: Forgotten = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.forgotten = Forgotten(self.sim.exchange, self.sim.address)

    def halted(self, name: str, why: str) -> None:
        """The living bot has halted."""
        sim = self.sim
        if not self._may_halt(name):
            sim.watch.break_("G25", f"halted: {name}: {why}")
        sim.rules.halted_at, sim.rules.written = sim.now_s(), frozenset(sim.confirmed)
        if not sim.lives.halt.is_set():
            sim.counts[HALTED.get(name, LOST)] += 1
        sim.lives.halt.set()

    def _may_halt(self, name: str) -> bool:
        """A loss is one if what the wallet is worth for sure, with open shares for nothing, is that
        far below the most that it may have been worth, with open shares at a dollar.
        """
        sim = self.sim
        if name in LOSSES:
            risk, daily = sim.config.risk, name == Halt.DAILY_LOSS.value
            percent = risk.max_daily_loss_percent if daily else risk.max_drawdown_percent
            return sim.worth.lost(percent, daily=daily)
        if name == Halt.LEDGER_DRIFT.value:
            return self._inexplicable()
        if name == Halt.VENUE_REFUSES.value:
            return any(sim.exchange.faults.struck[fault] for fault in BARRING)
        if name == Halt.NOT_APPROVED.value:
            return sim.rules.approvals.gone_of_late
        foreign = sim.exchange.faults.struck["foreign_order"] > 0
        return name == Halt.FOREIGN_ORDERS.value and foreign

    def _inexplicable(self) -> bool:
        """Whether the books of the living bot differ by what a lost journal knew, and by nothing
        beside it; or by somebody else's order.
        """
        sim, bot = self.sim, self.sim.lives.bot
        if bot is None:
            return False
        off = differences(bot, sim.exchange, sim.address)
        lost = bool(off) and not unexplained(bot, sim.exchange, sim.address, self.unknown())
        return lost or self.filled_elsewhere(bot)

    def unknown(self, *, patient: bool = True) -> list[Unknown]:
        """What the books need not know of: the end of operations that a lost journal knew, and,
        unless one is not patient, payments that have not been read yet.
        """
        paid = self.sim.brought.unread(patient=patient)
        return [
            Unknown(one.cash + dollars, one.shares)
            for one in self.forgotten.done()
            for dollars in paid
        ]

    def filled_elsewhere(self, bot: Bot) -> bool:
        """Whether somebody else's order, for which this bot has halted, was filled in a market that
        it has no books of (160).
        """
        foreign, books = self.sim.exchange.acts.foreign, bot.ctx.account.ledger.books
        return Halt.FOREIGN_ORDERS.value in bot.ctx.health.halted and any(
            fill.order.id in foreign and trade.market.condition_id not in books
            for trade in self.sim.exchange.engine.trades.values()
            for fill in trade.makers
        )
