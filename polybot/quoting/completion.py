"""Completion: buying the missing side of a position as a taker, so that it pairs before the end.

What a position has cost is not the test (strategy.md 7): a share of the missing side is bought when
it costs, fee included, less than it is worth to us *now* – its reservation price of strategy.md
5.1, which falls with every share bought – less the value of waiting for a passive fill, which melts
as the cutoff comes nearer. Only confirmed shares are completed: a provisional fill may yet fail,
and its twin would be left alone.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import attrs

from polybot.domain import units
from polybot.domain.market import DOWN, UP, FeeSchedule, Market, Outcome
from polybot.domain.orders import TimeInForce
from polybot.pricing.blend import logit
from polybot.quoting.params import CompletionParams

MIN_DOLLARS = units.USD  # a marketable buy below a dollar is refused (clob.md 3.4)


class Stage(enum.Enum):
    """How urgent a completion is (strategy.md 7)."""

    LOW = "passive only"
    MEDIUM = "slices"
    HIGH = "all that is left"
    LAST = "last call"
    RELIEF = "over a limit on losses"


class Held(enum.Enum):
    """Why nothing is taken now."""

    PAIRED = "nothing left to pair"
    PROVISIONAL = "the shares to pair are not confirmed yet"
    PENDING = "an order that takes is still under way"
    POST_ONLY = "the venue takes resting orders only"
    PATIENT = "a passive fill may still come"
    NO_OFFER = "nobody offers the missing side"
    DEAR = "the missing side costs more than it is worth to us"
    SMALL = "less than the market's minimum is left"

    __hash__ = object.__hash__


@attrs.frozen
class Unpaired:
    """What a completion looks at. Shares 10⁻⁶, prices 10⁻⁴; `net_*` is Up less Down.

    `offers` are the others' asks for the missing side, best first. `to_cutoff_s` counts down from
    `window_s`, the time between stop and cutoff.
    """

    market: Market
    net_confirmed: int
    net_told: int
    q: float
    offers: Sequence[tuple[int, int]]
    to_cutoff_s: float
    window_s: float
    pending: bool = False
    post_only: bool = False

    @property
    def missing(self) -> Outcome:
        return DOWN if self.net_told > 0 else UP

    @property
    def shares(self) -> int:
        """What may be paired: as many as both the confirmed and the told position want."""
        if self.net_confirmed * self.net_told <= 0:
            return 0
        return min(abs(self.net_confirmed), abs(self.net_told))


@attrs.frozen
class Take:
    """Buy at most `size` of the missing side at `price` or better, now or never."""

    outcome: Outcome
    tif: TimeInForce
    price: int
    size: int
    stage: Stage


def worth_taking(q: float, gamma: float, net: float, cost: float) -> float:
    """Shares of the missing side that are worth `cost` dollars each, of all that are missing.

    The last of them is worth its cost: the position left is the optimal holding of strategy.md 5.1,
    I* = (logit q − logit a) / γ, where `a` = 1 − cost is what one more of the heavy side would have
    to cost to be worth having.
    """
    heavy = q if net > 0 else 1 - q
    if cost >= 1:
        return 0.0
    if cost <= 0:
        return abs(net)  # for nothing: a broken book, whose price no order of ours may have
    distance = logit(heavy) - logit(1 - cost)
    if gamma == 0:
        return abs(net) if distance <= 0 else 0.0
    return min(max(abs(net) - distance / gamma, 0.0), abs(net))


def all_in(price: int, fees: FeeSchedule) -> float:
    """Dollars per share that taking at `price` (10⁻⁴) costs, fee included (strategy.md 8.1)."""
    p = price / units.ONE
    return p + fees.rate_ppm / 1e6 * (p * (1 - p)) ** fees.exponent


def urgency(to_cutoff_s: float, window_s: float, params: CompletionParams) -> float:
    """0 at the stop, 1 when the last call comes, slowly first (strategy.md 7)."""
    span = window_s - params.last_call_s
    if span <= 0:
        return 1.0
    return min(max((window_s - to_cutoff_s) / span, 0.0), 1.0) ** 2


def stage_of(urgent: float, to_cutoff_s: float, params: CompletionParams) -> Stage:
    if to_cutoff_s <= params.last_call_s:
        return Stage.LAST
    if urgent < params.medium_from:
        return Stage.LOW
    return Stage.MEDIUM if urgent < params.high_from else Stage.HIGH


def plan(unpaired: Unpaired, gamma: float, params: CompletionParams) -> Take | Held:
    """Take now, or why not. Merging what is paired is the inventory's own business."""
    urgent = urgency(unpaired.to_cutoff_s, unpaired.window_s, params)
    stage = stage_of(urgent, unpaired.to_cutoff_s, params)
    if (reason := _not_now(unpaired, stage)) is not None:
        return reason
    wanted = _wanted(unpaired, stage, params)
    if wanted < unpaired.market.min_size:
        return Held.SMALL
    if not unpaired.offers:
        return Held.NO_OFFER
    return _take(unpaired, stage, wanted, gamma, (1 - urgent) * params.wait_value)


def _not_now(unpaired: Unpaired, stage: Stage) -> Held | None:
    if unpaired.net_told == 0:
        return Held.PAIRED
    if unpaired.pending:
        return Held.PENDING
    if not unpaired.shares:
        return Held.PROVISIONAL
    if unpaired.post_only:
        return Held.POST_ONLY
    return Held.PATIENT if stage is Stage.LOW else None


def _wanted(unpaired: Unpaired, stage: Stage, params: CompletionParams) -> int:
    """Shares to take at this stage: a slice is never below the market's minimum."""
    wanted = unpaired.shares
    if stage is Stage.MEDIUM:
        part = int(wanted * params.slice_fraction)
        wanted = min(wanted, max(part, unpaired.market.min_size))
    return units.floor_to(wanted, units.LOT)


def _take(
    unpaired: Unpaired, stage: Stage, wanted: int, gamma: float, waiting: float
) -> Take | Held:
    """Walk the offers while they are worth it. The order spends what the walk costs, at its worst
    price: a taker's buy is filled by dollars, so a book that has improved could buy more than is
    missing.
    """
    reach = spent = price = 0
    net = unpaired.net_told / units.SHARE
    for offer, size in unpaired.offers:
        limit = _on_grid(offer, unpaired.market)
        cost = all_in(limit, unpaired.market.fees) + waiting
        worth = int(worth_taking(unpaired.q, gamma, net, cost) * units.SHARE)
        part = min(size, min(wanted, worth) - reach)
        if part <= 0:
            break
        reach, spent, price = reach + part, spent + units.notional(offer, part), limit
    return _spend(unpaired, stage, spent, price)


def relieve(unpaired: Unpaired, dollars: int, pay: float) -> Take | Held:
    """Take so much of the missing side that the worst loss falls by `dollars` (10⁻⁶), where a share
    costs at most its fair price and `pay`, fee included. Each share lowers that loss by what it
    costs less than a dollar.

    It is a sale of what is held by another name: the venue's two books are one (feeds.md 2.3), a
    share of Down bought at p comes from the order that would have bought a share of Up at 1 − p,
    and the pair is a dollar. Rejected: a sale that takes. It would bring the same and need a second
    kind of order that takes, whose fills are counted in shares and not in dollars.
    """
    if (reason := _not_now(unpaired, Stage.RELIEF)) is not None:
        return reason
    most, least = units.floor_to(unpaired.shares, units.LOT), unpaired.market.min_size
    if most < least:
        return Held.SMALL
    if not unpaired.offers:
        return Held.NO_OFFER
    fair = 1 - unpaired.q if unpaired.net_told > 0 else unpaired.q
    reach = spent = price = 0
    for offer, size in unpaired.offers:
        limit = _on_grid(offer, unpaired.market)
        cost = all_in(limit, unpaired.market.fees)
        if cost > fair + pay or cost >= 1 or (dollars <= 0 and reach >= least):
            break
        wanted = max(least - reach, math.ceil(max(0, dollars) / (1 - cost)))
        part = min(size, wanted, most - reach)
        if part <= 0:
            break
        reach, spent, price = reach + part, spent + units.notional(offer, part), limit
        dollars -= int(part * (1 - cost))
    return _spend(unpaired, Stage.RELIEF, spent, price)


def _on_grid(offer: int, market: Market) -> int:
    """The limit that reaches an offer. A tick that has grown leaves offers between the prices that
    an order may have: what lies below the next of them may be filled too, so that one is judged.
    """
    return offer + -offer % market.tick


def _whole_cents(price: int, shares: int, market: Market) -> int:
    """The lowest limit from `price` up at which a buy of so many shares is large enough. The venue
    drops what is beyond whole cents, and on fine ticks the last five shares would become 4.99: too
    few to be taken, and left alone to the end. It spends dollars at the price that is offered, so a
    higher limit costs at most a cent, for as much more of a share as a cent buys.
    """
    if units.bought(price, shares) >= market.min_size or shares < market.min_size:
        return price
    last = price + -(-units.CENT * units.ONE // shares)
    enough = (p for p in range(price, last + 1, market.tick) if _is_enough(p, shares, market))
    return next(enough, price)


def _is_enough(price: int, shares: int, market: Market) -> bool:
    return price < units.ONE and units.bought(price, shares) >= market.min_size


def _spend(unpaired: Unpaired, stage: Stage, spent: int, price: int) -> Take | Held:
    """The order that spends so much at that price or better, if the venue takes it."""
    if not price:
        return Held.DEAR
    shares = units.floor_to(spent * units.ONE // price, units.LOT)
    price = _whole_cents(price, shares, unpaired.market)
    if units.bought(price, shares) < unpaired.market.min_size:
        return Held.SMALL
    if units.notional(price, shares) < MIN_DOLLARS:
        return Held.SMALL
    tif = TimeInForce.FOK if stage is Stage.LAST else TimeInForce.FAK
    return Take(unpaired.missing, tif, price, shares, stage)
