"""Money that moves by other hands than the bot's: dollars that somebody sends to its wallet or the
venue pays, and what an operator redeems or takes out on the venue's page while no bot runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import trio

from polybot.domain.accounts import Kind
from polybot.payments import UNASKED_S

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation

PER_HOUR = (0, 0, 0, 12)
AMOUNTS = (1, 10_000, 1_500_000, 60_000_000)  # 10⁻⁶ dollars
UNREAD_S = UNASKED_S + 60.0
# So much is seen by then, whatever trades may explain; not sooner by a wallet whose books change
# with every look (brief seed 10473).
NOTICED_S, HIDDEN_MOST = 120.0, 30_000_000
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


@attrs.frozen
class Came:
    """Dollars (10⁻⁶) from outside, at a second of the run and one of the venue's; with a negative
    amount to it.
    """

    at_s: float
    kind: Kind
    amount: int
    stamp_s: int = 0


def unread(came: Sequence[Came], now_s: float) -> Iterator[list[Came]]:
    """Which of the latest payments a bot may not have read yet: it asks for them now and then, and
    where it finds more than it knows of. Trades under way may hide a few dollars from it, and not
    many for long.
    """
    late = [one for one in came if one.amount > 0 and now_s < one.at_s + UNREAD_S]
    for first in range(len(late) + 1):
        some = late[first:]
        if sum(one.amount for one in some if now_s >= one.at_s + NOTICED_S) < HIDDEN_MOST:
            yield some


async def send(sim: Simulation) -> None:
    """Let it come as drawn, whether a bot lives or not."""
    engine = sim.exchange.engine
    for sent in sim.case.sent:
        await trio.sleep(max(0.0, sent.at_s - sim.now_s()))
        give = engine.pay_reward if sent.reward else engine.deposit
        give(sim.address, sent.amount, sim.exchange.clock.now_ms())
        sim.counts[COME] += 1


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
        sim.worth.took(amount)
        sim.brought.taken_out(amount)
        sim.counts[WITHDRAWN] += 1


def sent_text(those: tuple[Sent, ...]) -> str:
    said = (
        f"{'reward' if one.reward else 'deposit'} of {one.amount / 1e6:g} at {one.at_s:.0f}s"
        for one in those
    )
    return ", ".join(said) or "none"
