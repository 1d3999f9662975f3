"""Any decision, whatever it depends on: bids, asks and what is taken, side by side."""

from __future__ import annotations

import math
import random
from collections import Counter

import decision_kit

from polybot.domain.market import Outcome, Side
from polybot.domain.units import LOT, ONE
from polybot.pricing.fair import Fair
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, Quote, QuoteInputs
from polybot.quoting.pairs import target

UP, DOWN = Outcome.UP, Outcome.DOWN


def as_bid(quote: Quote) -> int:
    """The price of the bid that has its place in the book."""
    return quote.price if quote.side is Side.BUY else ONE - quote.price


def ladders(found: Decision) -> dict[Outcome, list[Quote]]:
    return {side: [it for it in found.quotes if it.toward is side] for side in Outcome}


def priced(found: Decision, inputs: QuoteInputs) -> None:
    """Below its cap and the fair price, on the grid, no pair too dear."""
    assert found.fair is not None
    caps = {UP: (found.cap_up, found.fair), DOWN: (found.cap_down, 1 - found.fair)}
    assert all((cap or 0) % inputs.tick == 0 for cap, _ in caps.values())
    assert math.isfinite(found.fair)
    for quote in found.quotes:
        cap, fair = caps[quote.toward]
        assert 0 < quote.price < ONE
        assert quote.price % inputs.tick == 0
        assert as_bid(quote) <= (cap or 0)
        assert as_bid(quote) / ONE <= fair - inputs.tick / ONE / 2 + 1e-9


def sized(found: Decision, inputs: QuoteInputs) -> None:
    """Whole lots, within the net limit, sold only where they are at hand, no share taken twice."""
    for side, quotes in ladders(found).items():
        total = sum(quote.size for quote in quotes)
        held = inputs.net if side is UP else -inputs.net
        assert all(quote.size >= inputs.market.min_size for quote in quotes)
        assert not any(quote.size % LOT for quote in quotes)
        assert not quotes or held + total <= inputs.net_limit
        sold = sum(quote.size for quote in quotes if quote.side is Side.SELL)
        assert not sold or (inputs.stock is not None and sold <= inputs.stock.sellable(side.other))
        if found.take is not None and found.take.outcome is side:
            resting = sum(size for (of, _), size in inputs.own.items() if of is side)
            assert found.take.size + max(total, resting) <= -held


def lawful(found: Decision, inputs: QuoteInputs) -> None:
    assert isinstance(inputs.fair, Fair)
    assert inputs.advice.veto is None
    priced(found, inputs)
    sized(found, inputs)
    if found.take is not None:
        assert not inputs.taking
        assert not inputs.post_only
        assert 0 < found.take.price < ONE
        assert found.take.price % inputs.tick == 0


def test_every_decision_is_lawful() -> None:
    """With own orders in the book, signals, rewards, sales and completions: what is wanted keeps to
    every cap, what may not be quoted is not, and asked again the answer is the same.
    """
    seen = Counter[str]()
    for seed in range(4000):
        rng = random.Random(seed)
        inputs, settings = decision_kit.situation(rng), decision_kit.settings(rng)
        found = decide(inputs, *settings)
        most, _ = target(inputs, settings[0])
        tops = [max(map(as_bid, quotes), default=0) for quotes in ladders(found).values()]

        assert found == decide(inputs, *settings)
        assert min(tops) == 0 or sum(tops) <= most
        assert found.fair is None or found.pair_cap == most
        if found.quotes or found.take is not None:
            lawful(found, inputs)
        seen["pair"] += min(tops) > 0
        seen["ask"] += any(quote.side is Side.SELL for quote in found.quotes)
        seen["take"] += found.take is not None
    assert seen["pair"] > 500
    assert min(seen.values()) >= 5
