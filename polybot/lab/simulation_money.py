"""Money that moves by other hands than the bot's: dollars that somebody sends to its wallet or the
venue pays, and what an operator redeems on the venue's page while no bot runs.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation

PER_HOUR = (0, 0, 0, 12)
AMOUNTS = (1, 10_000, 1_500_000, 60_000_000)  # 10⁻⁶ dollars
COME, REDEEMED = "dollars that came", "redeemed by hand"


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


def sent_text(those: tuple[Sent, ...]) -> str:
    said = (
        f"{'reward' if one.reward else 'deposit'} of {one.amount / 1e6:g} at {one.at_s:.0f}s"
        for one in those
    )
    return ", ".join(said) or "none"
