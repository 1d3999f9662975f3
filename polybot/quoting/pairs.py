"""What a pair of bids, one on each outcome, may cost together (strategy.md 6.2, 4).

    target = clamp(1 − 2·base edge − penalties, 0.90, `target_total_max`)

| penalty | is paid | how much |
|---|---|---|
| jump | while single jumps make most of the variance | `pair_jump` |
| apart | while oracle and exchange drift apart | `pair_apart` |
| unpaired | as fills stay without their twin | `pair_unpaired` · net / (paired + limit) |
| late | over the last part of the window before the stop | `pair_late`, from nought in a line |

A pair is bought in two fills, and between them the price moves: what each penalty prices is not the
edge of one bid, which has its own, but the risk that the second fill never comes or comes dearer.
They bind only where they ask for more than both bids keep anyway.

Of the unpaired the limit stands for a history: after one fill nothing is paired, and that says
little. All four are nought until somebody has measured what they are worth.
"""

from __future__ import annotations

from polybot.domain import units
from polybot.pricing.fair import Caution, Fair, NoFair
from polybot.quoting.model import QuoteInputs
from polybot.quoting.params import QuoteParams

Penalties = tuple[tuple[str, float], ...]


def target(inputs: QuoteInputs, params: QuoteParams) -> tuple[int, Penalties]:
    """The most that a pair may cost, 10⁻⁴, and the penalties in it, in dollars."""
    if not params.has_pair_penalties:
        return params.target_total, ()
    fair = inputs.fair
    told = [*_of_prices(fair, params), *_of_fills(inputs, params), *_of_time(inputs, params)]
    penalties = tuple((name, dollars) for name, dollars in told if dollars > 0)
    total = params.target_less(sum(dollars for _, dollars in penalties))
    # Prices are on the grid: between two of its points a lower target asks for nothing more, and
    # would have every order looked at anew.
    return units.floor_to(total, inputs.tick), penalties


def _of_prices(fair: Fair | NoFair, params: QuoteParams) -> Penalties:
    if isinstance(fair, NoFair):
        return ()
    cautions = [why for why, _ in fair.quality.cautions]
    return (
        ("jump", params.pair_jump if Caution.JUMP in cautions else 0.0),
        ("apart", params.pair_apart if Caution.SOURCES_APART in cautions else 0.0),
    )


def _of_fills(inputs: QuoteInputs, params: QuoteParams) -> Penalties:
    alone = abs(inputs.net)
    return (("unpaired", params.pair_unpaired * alone / max(1, inputs.paired + inputs.net_limit)),)


def _of_time(inputs: QuoteInputs, params: QuoteParams) -> Penalties:
    table = inputs.table
    fade_ms = params.fade_fraction * (table.end_ms - table.start_ms)
    if not fade_ms:
        return ()
    left = min(1.0, max(0.0, (table.stop_ms - inputs.now_ms) / fade_ms))
    return (("late", params.pair_late * (1 - left)),)
