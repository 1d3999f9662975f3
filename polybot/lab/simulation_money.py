"""Money that moves by other hands than the bot's: dollars that somebody sends to its wallet or the
venue pays, and what an operator redeems or takes out on the venue's page while no bot runs.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

import attrs
import trio

from polybot.payments import UNASKED_S

if TYPE_CHECKING:
    from polybot.app import Bot
    from polybot.lab.simulation import Simulation

PER_HOUR = (0, 0, 0, 12)
AMOUNTS = (1, 10_000, 1_500_000, 60_000_000)  # 10⁻⁶ dollars
UNREAD_S = UNASKED_S + 60.0
DOUBTED = 6  # of them any may have been in the first balance
TAKEN = (0, 10_000, 25_000_000)
COME, REDEEMED, WITHDRAWN = "dollars that came", "redeemed by hand", "taken out by hand"


@attrs.frozen
class Sent:
    """So many dollars (10⁻⁶) come in: the venue's reward, or somebody's."""

    at_s: float
    amount: int
    reward: bool

    def squeezed(self, times: float) -> Sent:
        """The same of a life that is so many times shorter."""
        return attrs.evolve(self, at_s=self.at_s / times)


def draw_sent(rng: random.Random, length_s: float) -> tuple[Sent, ...]:
    """None in three seeds of four."""
    per_hour, at_s, found = rng.choice(PER_HOUR), 0.0, list[Sent]()
    while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < length_s:
        found.append(Sent(at_s, rng.choice(AMOUNTS), rng.random() < 0.5))
    return tuple(found)


def unread(came: list[tuple[float, int]], now_s: float) -> list[int]:
    """What the latest payments may come to that a bot has not read yet, 10⁻⁶ dollars: it asks for
    them where it finds more than it knows of, which trades under way may hide, or now and then.
    `came`: when, and how much.
    """
    late = [amount for at_s, amount in came if now_s < at_s + UNREAD_S]
    return [sum(late[first:]) for first in range(len(late) + 1)]


def unbooked(sim: Simulation, bot: Bot) -> list[int]:
    """What the payments that a bot has not booked yet may come to: the latest, and any of those
    about the second in which a new journal read its first balance. Which of these were in it the
    wallet tells, and for five minutes others may yet be listed that would come to as much.
    """
    payments, now_s = bot.ctx.reconciler.payments, sim.now_s()
    began_s = sim.exchange.clock.now_ms() / 1000 - now_s
    doubt = range(payments.doubt_s, payments.since_s + 1 if payments.doubt_s else 0)
    open_ = [much for at_s, much in sim.came if int(began_s + at_s) in doubt][-DOUBTED:]
    sure = [(at_s, much) for at_s, much in sim.came if int(began_s + at_s) not in doubt]
    some = {sum(those) for n in range(len(open_) + 1) for those in combinations(open_, n)}
    return sorted({late + more for late in unread(sure, now_s) for more in some})


async def send(sim: Simulation) -> None:
    """Let it come as drawn, whether a bot lives or not."""
    engine = sim.exchange.engine
    for sent in sim.case.sent:
        await trio.sleep(max(0.0, sent.at_s - sim.now_s()))
        give = engine.pay_reward if sent.reward else engine.deposit
        give(sim.address, sent.amount, sim.exchange.clock.now_ms())
        sim.came.append((sim.now_s(), sent.amount))
        sim.counts[COME] += 1


def on_the_wire(sim: Simulation, bot: Bot) -> bool:
    """Whether a bot has asked the chain for something that no list shows yet: a new journal
    waits for what is listed, and cannot know of the rest.
    """
    queue, key = sim.exchange.chain.relayer.queue, sim.exchange.demo_wallets.relayer_api_key
    listed = {one.work.metadata for one in queue.of_key(key)}
    flights = bot.inventory.under_way.flights
    return any(not one.evidence and one.name not in listed for one in flights)


def redeem_by_hand(sim: Simulation) -> None:
    """All that has won and is still held, while nobody else asks for it."""
    engine, now_ms = sim.exchange.engine, sim.exchange.clock.now_ms()
    for market in list(engine.markets.values()):
        held = any(engine.accounts.shares(sim.address, token) for token in market.tokens)
        if held and market.payouts is not None:
            sim.counts[REDEEMED] += isinstance(engine.redeem(sim.address, market, now_ms), int)


def take_out(sim: Simulation, amount: int) -> None:
    """So many dollars (10⁻⁶), or what there is. They are no loss, though nobody explains them."""
    engine = sim.exchange.engine
    amount = min(amount, engine.settled_cash(sim.address), engine.accounts.cash(sim.address))
    if amount > 0:
        engine.accounts.withdraw(sim.address, amount)
        engine.shed([sim.address], sim.exchange.clock.now_ms())
        sim.worth_most -= amount
        sim.counts[WITHDRAWN] += 1


def sent_text(those: tuple[Sent, ...]) -> str:
    said = (
        f"{'reward' if one.reward else 'deposit'} of {one.amount / 1e6:g} at {one.at_s:.0f}s"
        for one in those
    )
    return ", ".join(said) or "none"
