"""The firewall: one case per refusal, and a good order passes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from execution_kit import (
    CUTOFF,
    DOWN,
    MARKET,
    RICH,
    STOP,
    T0,
    UP,
    machine,
    order,
    seen,
    signed,
    standing,
    wanting,
)
from hypothesis import given, strategies as st
from msgspec.structs import replace

from polybot.domain.market import Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import LOT, SHARE
from polybot.execution import firewall as module
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.table import OrderTable
from polybot.execution.tracked import Tracked
from polybot.execution.wish import Desired
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Limit, Standing
from polybot.risk.exposure import Elsewhere
from polybot.risk.limits import RiskParams

LIMITS = RiskParams(
    max_order_shares=200,
    max_order_usd=100,
    max_open_orders_per_market=3,
    max_position_usd_per_market=150,
    max_total_usd=400,
    price_collar=0.10,
    max_net_shares=1000,
)


GOOD = order()


def returned(of: object) -> set[str]:
    """The refusals that a module returns as they are; the limits' own are an enum's values."""
    tree = ast.parse(inspect.getsource(of))  # type: ignore[arg-type]  # a module
    returns = [n.value for n in ast.walk(tree) if isinstance(n, ast.Return)]
    return {v.value for v in returns if isinstance(v, ast.Constant) and isinstance(v.value, str)}


@attrs.define
class Case:
    """A good order, 10 Up at 0.48; a test spoils one thing about it."""

    order: NewOrder = GOOD
    wish: Desired = wanting(GOOD)
    resting: tuple[Tracked, ...] = ()
    standing: Standing = standing(100 * SHARE)
    limits: RiskParams = LIMITS
    now_ms: int = T0
    admission: Admission = attrs.field(factory=Admission)
    state: MarketState = MarketState.QUOTING

    def check(self) -> str | None:
        brakes = MarketBrakes(self.limits, ErrorRate(self.limits))
        firewall = Firewall(MARKET, self.limits, machine(self.state), self.admission, brakes)
        return firewall.check(self.order, self.wish, self.resting, self.standing, self.now_ms)


def tracked(made: NewOrder, *, matched: int = 0) -> Tracked:
    table = OrderTable()
    table.record(signed("0x1", made), T0)
    table.seen(seen("0x1", matched=matched), T0)
    return table["0x1"]


def with_order(**changes: Any) -> Callable[[Case], None]:
    def spoil(case: Case) -> None:
        case.order = attrs.evolve(case.order, **changes)

    return spoil


def with_case(**changes: Any) -> Callable[[Case], None]:
    def spoil(case: Case) -> None:
        for name, value in changes.items():
            setattr(case, name, value)

    return spoil


def taking(
    *, net: int = -10 * SHARE, free_cash: int = 100 * SHARE, **changes: Any
) -> Callable[[Case], None]:
    """Ten Up bought now or never by somebody who is long Down."""

    def spoil(case: Case) -> None:
        case.order = attrs.evolve(case.order, tif=TimeInForce.FAK, post_only=False)
        case.standing = standing(free_cash, down=-net)
        for name, value in changes.items():
            setattr(case, name, value)

    return spoil


ELSEWHERE = attrs.evolve(MARKET, condition_id="0xd")
THREE = tuple(tracked(order(UP, price)) for price in (4500, 4600, 4700))

BUSY = attrs.evolve(RICH, others=Elsewhere(orders=64))
POOR = attrs.evolve(RICH, equity=159_999_999)  # of which 3 % are just below one good order


def losing(cluster: int = 0, total: int = 0) -> Standing:
    return attrs.evolve(RICH, others=Elsewhere(cluster_loss=cluster, total_loss=total))


SHAPE = "neither a post-only order nor a buy that takes"
ASK = attrs.evolve(GOOD, side=Side.SELL, price=5200)
TAKING_ASK = attrs.evolve(ASK, tif=TimeInForce.FAK, post_only=False)
STOCK = attrs.evolve(standing(0, 5 * SHARE, up=20 * SHARE), sellable_up=10 * SHARE)

FLAT = attrs.evolve(STOCK, held=attrs.evolve(STOCK.held, down=20 * SHARE))
INDEBTED = attrs.evolve(STOCK, free_cash=-SHARE, held=attrs.evolve(STOCK.held, cost_up=10**12))
CLUSTERED = attrs.evolve(
    FLAT,
    held=attrs.evolve(FLAT.held, cost_up=40 * SHARE),
    others=Elsewhere(cluster_loss=1200 * SHARE),
)


def selling(**changes: Any) -> Callable[[Case], None]:
    """Ten Up offered at 0.52 by somebody who holds twenty, of which ten may be sold: no cash."""

    def spoil(case: Case) -> None:
        case.order, case.standing = ASK, STOCK
        for name, value in changes.items():
            setattr(case, name, value)

    return spoil


CASES: list[tuple[str, Callable[[Case], None]]] = [
    ("another market's order", with_order(market=ELSEWHERE)),
    ("past the cutoff", with_case(now_ms=CUTOFF)),
    ("off the tick", with_order(price=4850)),
    ("off the tick", with_order(price=0)),
    ("off the tick", with_order(price=10_000)),
    ("below the minimum size", with_order(size=5 * SHARE - LOT)),
    ("below the minimum size", with_order(size=10 * SHARE + 1)),
    ("above the largest order", with_order(size=200 * SHARE + LOT, price=100)),
    ("above the largest order value", with_order(size=200 * SHARE, price=5100)),
    (SHAPE, with_order(post_only=False)),
    (SHAPE, with_order(tif=TimeInForce.FAK)),
    (SHAPE, with_order(side=Side.SELL, post_only=False)),
    (SHAPE, taking(order=TAKING_ASK)),
    ("takes more than is missing", taking(net=-10 * SHARE + LOT)),
    (
        "takes more than is missing",
        taking(net=-10 * SHARE, resting=(tracked(order(UP, 4000, 5)),)),
    ),
    ("pair with a resting order too dear", taking(resting=(tracked(order(DOWN, 5200)),))),
    ("not enough free cash", taking(free_cash=4_800_000)),
    ("above its cap", with_case(wish=wanting(cap=4799))),
    ("above its cap", with_case(wish=Desired(cap_down=9900, pair_cap=9900, fair_up=5000))),
    ("net share limit", with_case(limits=attrs.evolve(LIMITS, max_net_shares=9))),
    ("token limit", with_case(limits=attrs.evolve(LIMITS, max_position_usd_per_token=4))),
    ("too many open orders over all markets", with_case(standing=BUSY)),
    ("market loss limit", with_case(standing=POOR)),
    ("cluster loss limit", with_case(standing=losing(cluster=1_195_200_001))),
    ("total loss limit", with_case(standing=losing(total=3_995_200_001))),
    ("quote: not while awaiting strike", with_case(state=MarketState.AWAIT_STRIKE)),
    ("quote: not while reduce", with_case(now_ms=STOP)),
    ("no fair price", with_case(wish=replace(wanting(), fair_up=None))),
    ("outside the price collar", with_case(wish=replace(wanting(), fair_up=3799))),
    (
        "outside the price collar",
        with_case(order=order(DOWN), wish=replace(wanting(), fair_up=6201)),
    ),
    ("pair with a resting order too dear", with_case(resting=(tracked(order(DOWN, 5200)),))),
    (
        "pair with a resting order too dear",
        with_case(resting=(tracked(order(DOWN, 5200)),), wish=wanting(pair_cap=10_100)),
    ),
    ("too many open orders", with_case(resting=THREE)),
    ("not enough free cash", with_case(standing=standing(4_799_999))),
    (
        "not enough free cash",
        with_case(standing=standing(9 * SHARE), resting=THREE[:1]),
    ),
    ("more than may be sold of it", selling(order=attrs.evolve(ASK, size=10 * SHARE + LOT))),
    ("more than may be sold of it", selling(resting=(tracked(attrs.evolve(ASK, size=LOT)),))),
    ("more than may be sold of it", selling(order=attrs.evolve(ASK, outcome=DOWN))),
    ("above its cap", selling(wish=replace(wanting(), cap_down=4799))),
    ("outside the price collar", selling(wish=replace(wanting(), fair_up=6201))),
    ("pair with a resting order too dear", selling(resting=(tracked(order(UP, 5200)),))),
    ("pair with a resting order too dear", selling(resting=(tracked(order(UP, 5102)),))),
    (
        "above the largest order value",
        selling(
            order=attrs.evolve(ASK, size=200 * SHARE),
            standing=attrs.evolve(STOCK, sellable_up=200 * SHARE),
        ),
    ),
    ("net share limit", selling(resting=(tracked(order(DOWN, 4000, 1011)),))),
    ("net share limit", with_case(standing=attrs.evolve(RICH, coming_up=991 * SHARE))),
    ("net share limit", selling(standing=attrs.evolve(STOCK, coming_down=1011 * SHARE))),
    ("cluster loss limit", selling(standing=CLUSTERED)),
    ("quote: not while reduce", selling(now_ms=STOP, standing=FLAT)),
    ("market limit", with_case(standing=standing(100 * SHARE, 145_200_001, 0))),
    ("total limit", with_case(standing=standing(100 * SHARE, 0, 395_200_001))),
]


def test_what_takes_is_measured_by_what_whole_cents_buy() -> None:
    """Five shares at 0.485 are 2.42 dollars and 4.98 shares, which the venue refuses (clob.md 3.5);
    a bid for the same five is fine, and so is a taker at 0.48.
    """
    case = Case(state=MarketState.QUOTING)
    taking(net=-5 * SHARE)(case)
    fine = attrs.evolve(MARKET, tick=10)
    firewall = Firewall(
        fine, LIMITS, machine(MarketState.QUOTING), case.admission,
        MarketBrakes(LIMITS, ErrorRate(LIMITS)),
    )  # fmt: skip

    def shape(price: int, *, takes: bool) -> str | None:
        asked = case.order if takes else GOOD
        order = attrs.evolve(asked, market=fine, size=5 * SHARE, price=price)
        return firewall.check(order, case.wish, (), case.standing, T0)

    assert shape(4850, takes=True) == "below the minimum size"
    assert shape(4800, takes=True) is None
    assert shape(4750, takes=False) is None


@pytest.mark.parametrize(
    ("heard", "price", "refusal"),
    [(100, 4750, "off the tick"), (50, 4750, None), (10, 4760, None), (10, 4755, "off the tick")],
)
def test_the_tick_is_the_one_that_was_heard_last(
    heard: int, price: int, refusal: str | None
) -> None:
    """Not the one by which the wish was made: between the news and the quoter's next turn a price
    of before is refused here, and one that is on both grids is not (S2, F08).
    """
    case, tick = Case(), [100]
    finest = attrs.evolve(MARKET, tick=10)
    firewall = Firewall(
        finest, LIMITS, machine(MarketState.QUOTING), case.admission,
        MarketBrakes(LIMITS, ErrorRate(LIMITS)), lambda: tick[0],
    )  # fmt: skip
    tick[0] = heard
    order = attrs.evolve(GOOD, market=finest, price=price)

    assert firewall.check(order, case.wish, (), case.standing, T0) == refusal


NAMES = [f"{text} {n}" for n, (text, _) in enumerate(CASES)]


@pytest.mark.parametrize(("refusal", "spoil"), CASES, ids=NAMES)
def test_one_fault_is_one_refusal(refusal: str, spoil: Callable[[Case], None]) -> None:
    """A single thing wrong with an otherwise good order is refused by its name."""
    case = Case()
    assert case.check() is None

    spoil(case)
    assert case.check() == refusal


def test_every_refusal_has_its_case() -> None:
    """No refusal text of the firewall without a case above."""
    texts = returned(module) | {limit.value for limit in Limit}

    assert texts <= {text for text, _ in CASES}


ALLOWED: dict[str, Callable[[Case], None]] = {
    "just before the stop": with_case(now_ms=STOP - 1),
    "what pairs, just before the cutoff": with_case(
        now_ms=CUTOFF - 1, standing=standing(100 * SHARE, down=10 * SHARE)
    ),
    "smallest size": with_order(size=5 * SHARE),
    "largest size": with_order(size=200 * SHARE, price=4900),
    "largest value": with_case(
        order=attrs.evolve(GOOD, size=200 * SHARE, price=5000), wish=wanting(cap=5000)
    ),
    "token limit": with_case(
        limits=attrs.evolve(LIMITS, max_position_usd_per_token=5),
        standing=standing(100 * SHARE, 200_000),
    ),
    "cap": with_case(wish=wanting(cap=4800)),
    "collar": with_case(wish=replace(wanting(), fair_up=3800)),
    "pair cap": with_case(resting=(tracked(order(DOWN, 5100)),)),
    "same outcome": with_case(resting=(tracked(order(UP, 9000)),)),
    "one place left": with_case(resting=THREE[:2]),
    "all the cash": with_case(standing=standing(4_800_000)),
    "market limit": with_case(standing=standing(100 * SHARE, 145_200_000, 0)),
    "total limit": with_case(standing=standing(100 * SHARE, 0, 395_200_000)),
    "an ask on all that may be sold, without cash": selling(),
    "an ask that pairs, just before the cutoff": selling(now_ms=CUTOFF - 1),
    "an ask at its cap": selling(wish=replace(wanting(), cap_down=4800)),
    "an ask beside a bid on the same token": selling(resting=(tracked(order(UP, 5100)),)),
    "an ask with every limit on dollars passed": selling(standing=INDEBTED),
    "taking what is missing, above the bids' cap": taking(wish=wanting(cap=4000)),
    "taking with its fee": taking(free_cash=4_800_000 + 336_000),
    "taking beside a pair": taking(resting=(tracked(order(DOWN, 5199)),), wish=wanting(pair_cap=0)),
}


@pytest.mark.parametrize("spoil", ALLOWED.values(), ids=ALLOWED)
def test_a_limit_itself_is_allowed(spoil: Callable[[Case], None]) -> None:
    """Exactly at a limit is inside it."""
    case = Case(limits=attrs.evolve(LIMITS, max_order_usd=100))
    spoil(case)

    assert case.check() is None


def test_what_is_filled_is_not_reserved_twice() -> None:
    """A resting order counts with what it may still spend, not with what it spent."""
    half = tracked(order(UP, 4700), matched=5)

    case = Case(resting=(half,), standing=standing(4_800_000 + 2_350_000))
    assert case.check() is None
    case.standing = standing(4_800_000 + 2_349_999)
    assert case.check() == "not enough free cash"


def test_a_closed_gate_is_the_first_answer() -> None:
    """While anything required is unwell nothing passes, and the reason names it (S9)."""
    case = Case(now_ms=CUTOFF)
    case.admission.set("user stream: closed")

    assert case.check() == "gate closed: user stream: closed"


def test_trouble_passes_and_a_stop_does_not() -> None:
    """The gate opens when trouble ends, never after a stop, and the first stop keeps its word."""
    gate = Admission()
    gate.set("heartbeat: late")
    gate.set(None)
    assert gate.closed_because is None

    gate.stop("operator")
    gate.stop("later reason")
    gate.set(None)
    assert gate.closed_because == "operator"
    case = Case(admission=gate)
    assert case.check() == "gate closed: operator"


@given(
    st.integers(0, 10_000),
    st.integers(0, 300 * SHARE),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 200 * SHARE),
)
def test_what_passes_breaks_nothing(
    price: int, size: int, cap: int, other: int, spent: int
) -> None:
    """Whatever is asked, an admitted order is on the grid, under its caps and inside all limits."""
    made = attrs.evolve(order(), price=price, size=size)
    rest = tracked(order(DOWN, other))
    stands = standing(150 * SHARE, spent)
    case = Case(made, wanting(cap=cap), (rest,), stands)

    if case.check() is None:
        assert price % 100 == 0
        assert 0 < price <= min(cap, 6000)
        assert price + other <= 9900
        assert 5 * SHARE <= size <= 200 * SHARE
        total = price * size // 10_000 + rest.reserved
        assert total <= stands.free_cash
        assert total + spent <= 150 * SHARE
