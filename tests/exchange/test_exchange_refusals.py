"""Every refusal of the order path, in the venue's words and order (clob.md 3.6, 10)."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import CASH, T0, Kit, make_market, resolved

from polybot.exchange import contracts
from polybot.exchange.fees import taker_fee
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, Refused, Status
from polybot.exchange.money import UNIT
from polybot.exchange.rules import (
    FAK_KILLED,
    FOK_KILLED,
    NO_BALANCE,
    NOT_READY,
    POST_ONLY_CROSSES,
    POST_ONLY_KIND,
)

SOON = T0 // 1000
TOO_FINE = (
    "the market buy orders maker amount supports a max accuracy of 2 decimals, "
    "taker amount a max of 4 decimals"
)


def short_of(balance: int, amount: int, sums: str = "") -> str:
    return (
        f"{NO_BALANCE}: the balance is not enough -> balance: {balance}, {sums}"
        f"order amount (inc. fees): {amount}"
    )


# what, (side, outcome, cents, shares), changes of the order, the text; an ask of Up rests at 0.10
CASES: list[tuple[str, tuple[str, int, float, float], dict[str, Any], str]] = [
    (
        "off the grid",
        (BUY, UP, 12.3, 10),
        {},
        "order 0x02 is invalid. Price (0.123) breaks minimum tick size rule: 0.01",
    ),
    (
        "price zero",
        (BUY, UP, 0, 10),
        {},
        "order 0x02 is invalid. Price (0) breaks minimum tick size rule: 0.01",
    ),
    (
        "price one",
        (SELL, UP, 100, 10),
        {},
        "order 0x02 is invalid. Price (1) breaks minimum tick size rule: 0.01",
    ),
    (
        "too small",
        (BUY, UP, 5, 4.99),
        {},
        "order 0x02 is invalid. Size (4.99) lower than the minimum: 5",
    ),
    (
        "three decimals",
        (BUY, UP, 5, 5.001),
        {},
        "Size 5.001 has 3 decimal places. Maximum lot size is 2",
    ),
    (
        "less than a dollar, marketable",
        (BUY, UP, 10, 6.5),
        {},
        "invalid amount for a marketable BUY order ($0.65), min size: $1",
    ),
    (
        "less than a dollar, FAK",
        (BUY, UP, 9, 5),
        {"kind": Kind.FAK, "dollars": 450_000},
        "invalid amount for a marketable BUY order ($0.45), min size: $1",
    ),
    (
        "half a cent",
        (BUY, UP, 10, 20),
        {"kind": Kind.FAK, "dollars": 2_005_000},
        TOO_FINE,
    ),
    (
        "five decimals of shares",
        (BUY, UP, 10, 20.00001),
        {"kind": Kind.FAK, "dollars": 2_000_000},
        TOO_FINE,
    ),
    (
        "GTD too soon",
        (BUY, UP, 5, 10),
        {"kind": Kind.GTD, "expiration_s": SOON + 179},
        "invalid expiration",
    ),
    ("GTD without", (BUY, UP, 5, 10), {"kind": Kind.GTD}, "invalid expiration"),
    ("GTC with", (BUY, UP, 5, 10), {"expiration_s": SOON + 1000}, "invalid expiration"),
    (
        "FAK with",
        (BUY, UP, 10, 10),
        {"kind": Kind.FAK, "expiration_s": SOON + 1000},
        "invalid expiration",
    ),
    ("post-only FOK", (BUY, UP, 9, 20), {"kind": Kind.FOK, "post_only": True}, POST_ONLY_KIND),
    ("seen before", (BUY, UP, 5, 10), {"id": "0x01"}, "order 0x01 is invalid. Duplicated."),
    ("too dear", (BUY, UP, 5, 200_001), {}, short_of(10_000_000_000, 10_000_050_000)),
    ("more than held", (SELL, UP, 50, 1_000.01), {}, short_of(1_000_000_000, 1_000_010_000)),
    ("post-only, crossing", (BUY, UP, 10, 50), {"post_only": True}, POST_ONLY_CROSSES),
    ("post-only, crossing by mint", (SELL, DOWN, 90, 50), {"post_only": True}, POST_ONLY_CROSSES),
    ("FOK, nothing there", (BUY, UP, 9, 50), {"kind": Kind.FOK}, FOK_KILLED),
    ("FAK, nothing there", (BUY, UP, 9, 50), {"kind": Kind.FAK}, FAK_KILLED),
]


@pytest.mark.conforms(
    "clob-3.6-tick-text",
    "clob-3.6-size-text",
    "clob-3.6-marketable-minimum",
    "clob-3.6-expiration-text",
    "clob-3.4-lot-size",
    "clob-3.8-gtd-minimum",
    "clob-3.8-no-expiration",
    "clob-3.8-post-only-kinds",
    "clob-3.8-minimum-size",
)
@pytest.mark.parametrize(("what", "terms", "changes", "text"), CASES, ids=[c[0] for c in CASES])
def test_refusal(
    what: str, terms: tuple[str, int, float, float], changes: dict[str, Any], text: str
) -> None:
    """Each fault is refused with its text, and book and balances stay as they were."""
    kit = Kit()
    kit.place("bob", SELL, UP, 10, 100)

    assert kit.refused("ann", *terms, **changes) == text
    assert kit.up_book() == ([], [(10, 100)])
    assert kit.cash_change("ann") == 0
    assert kit.engine.accounts.available("ann") == CASH


@pytest.mark.conforms("clob-3.8-one-dollar")
def test_small_resting_orders_need_no_dollar() -> None:
    """The dollar is for marketable BUYs: five shares may rest at a cent, and post-only below it."""
    kit = Kit()
    kit.place("ann", BUY, UP, 1, 5)
    kit.place("ann", SELL, UP, 2, 5)
    kit.place("ann", BUY, UP, 1, 5, post_only=True)
    kit.place("bob", SELL, UP, 1, 5)


@pytest.mark.conforms("clob-3.4-price-range")
def test_a_finer_tick_allows_more_decimals() -> None:
    """Grid and decimals follow the market's tick of the moment."""
    kit = Kit(auto_tick=False)
    text = "order 0x01 is invalid. Price (0.999) breaks minimum tick size rule: 0.01"
    assert kit.refused("ann", SELL, UP, 99.9, 10) == text
    kit.engine.change_tick(kit.market, 10, kit.now)
    kit.place("ann", SELL, UP, 99.9, 10)


@pytest.mark.conforms("clob-3.6-market-not-ready", "clob-3.6-no-orderbook")
def test_where_there_is_no_book() -> None:
    """Before the opening not ready; after the close, and for a stranger's token, no book."""
    kit = Kit()
    fresh = make_market("fresh")
    kit.engine.list_market(fresh, kit.now)
    order = {"market": fresh, "token": fresh.tokens[UP]}
    assert kit.refused("ann", BUY, UP, 50, 10, **order) == NOT_READY

    kit.engine.close_market(kit.market, kit.now)
    gone = "the orderbook m-up does not exist"
    assert kit.refused("ann", BUY, UP, 50, 10) == gone
    resolved(kit, UP)
    assert kit.refused("ann", BUY, UP, 50, 10) == gone


def test_the_first_fault_is_the_one_told() -> None:
    """Checks run in the reference's order: tick, size, term, duplicate, balance, post-only."""
    kit = Kit()
    kit.place("bob", SELL, UP, 10, 100)
    bad: dict[str, Any] = {"id": "0x01", "post_only": True, "expiration_s": 1}
    assert "tick" in kit.refused("ann", BUY, UP, 10.5, 1, **bad)
    assert "Size" in kit.refused("ann", BUY, UP, 10, 1, **bad)
    assert kit.refused("ann", BUY, UP, 10, 1e6, **bad) == "invalid expiration"
    del bad["expiration_s"]
    assert "Duplicated" in kit.refused("ann", BUY, UP, 10, 1e6, **bad)
    del bad["id"]
    assert NO_BALANCE in kit.refused("ann", BUY, UP, 10, 1e6, **bad)
    assert kit.refused("ann", BUY, UP, 10, 100, **bad) == POST_ONLY_CROSSES


@pytest.mark.conforms("clob-3.8-balance-rule")
def test_open_orders_reserve_what_they_would_give() -> None:
    """An order may use the balance minus the open remainder of the account's other orders."""
    kit = Kit()
    first = kit.place("ann", BUY, UP, 50, 19_990)  # 9,995 of 10,000
    assert kit.refused("ann", BUY, DOWN, 40, 12.51) == short_of(
        10_000_000_000, 5_004_000, "sum of active orders: 9995000000, "
    )
    kit.place("ann", BUY, DOWN, 40, 12.5)

    kit.place("ann", SELL, UP, 90, 600)
    assert NO_BALANCE in kit.refused("ann", SELL, UP, 95, 401)
    kit.place("ann", SELL, UP, 95, 400)

    assert kit.engine.cancel(first.id, "key-ann", kit.now) is None
    assert kit.engine.accounts.available("ann") == 9_995 * UNIT


def test_what_is_spent_counts_until_the_venue_has_read_it() -> None:
    """The venue's balance is the chain's; what matched trades have spent of it that no block holds
    yet is told beside it (clob.md 3.6, 3.8).
    """
    kit = Kit()
    kit.place("bob", SELL, UP, 50, 1_000)
    kit.place("ann", BUY, UP, 50, 1_000)
    kit.engine.desk.known = lambda order: kit.engine.settled_cash(order.account)
    spent = 500_000_000 + 17_500_000

    assert kit.refused("ann", BUY, UP, 10, 95_000) == short_of(
        10_000_000_000, 9_500_000_000, f"sum of matched orders: {spent}, "
    )
    kit.place("ann", BUY, UP, 10, 94_000)


def test_an_allowance_is_told_with_its_spender() -> None:
    """What others have claimed of it beside it (clob.md 3.6)."""
    kit = Kit()
    approvals = kit.engine.accounts.approvals
    approvals.approve("ann", contracts.COLLATERAL, contracts.EXCHANGE, 7_000_000)
    kit.place("ann", BUY, UP, 50, 10)

    assert kit.refused("ann", BUY, UP, 50, 5) == (
        f"{NO_BALANCE}: the allowance is not enough -> spender: {contracts.EXCHANGE}, "
        "allowance: 7000000, sum of active orders: 5000000, order amount (inc. fees): 2500000"
    )
    kit.place("ann", BUY, UP, 40, 5)


def test_a_taker_must_afford_the_fee() -> None:
    """A marketable BUY needs its cost and its fee; the same order resting needs the cost alone."""
    kit = Kit()
    kit.place("bob", SELL, UP, 50, 1_000)
    kit.place("ann", BUY, DOWN, 10, (10_000 - 51) * 10)  # leaves 51 pUSD

    refused = kit.refused("ann", BUY, UP, 50, 100)
    assert refused.endswith(" order amount (inc. fees): 51750000")  # 50 + 1.75
    kit.place("ann", BUY, UP, 49, 100)


@pytest.mark.parametrize("spare", [0, 1])
def test_dust_cannot_overdraw(spare: int) -> None:
    """Where a mint's dust makes the fills dearer than the limit, they decide: it must be there."""
    kit = Kit(tick=10)
    maker = kit.place("bob", BUY, DOWN, 66.7, 20)
    kit.send(kit.spend("cy", UP, 33.3, 3.01))  # leaves an odd remainder, so dust in both legs
    assert kit.engine.accounts.claims[maker.id] == 7_310_961  # 0.667 · 10.960961, rounded up
    kit.place("bob", BUY, DOWN, 66.7, 20)
    at_limit = 6_660_000 + taker_fee(kit.market, 20 * UNIT, 3330)
    kit.engine.accounts.deposit("dee", at_limit + spare)

    if spare:
        kit.place("dee", BUY, UP, 33.3, 20)
        assert kit.engine.accounts.cash("dee") == 0
    else:
        assert kit.refused("dee", BUY, UP, 33.3, 20) == NO_BALANCE
        assert kit.engine.accounts.available("dee") == at_limit


def test_a_refused_id_may_come_again_but_a_killed_one_may_not() -> None:
    """A refusal leaves no trace; a killed FOK is on record as cancelled (clob.md 3.6)."""
    kit = Kit()
    assert kit.refused("ann", BUY, UP, 50, 1, id="0xaa")
    kit.place("ann", BUY, UP, 50, 10, id="0xaa")

    assert kit.refused("ann", SELL, UP, 60, 10, id="0xbb", kind=Kind.FOK) == FOK_KILLED
    assert kit.engine.orders["0xbb"].status is Status.CANCELED
    again = kit.refused("ann", SELL, UP, 60, 10, id="0xbb", kind=Kind.FOK)
    assert again == "order 0xbb is invalid. Duplicated."


def test_refusals_carry_the_order_id() -> None:
    """A client can tell which order of a batch was refused."""
    kit = Kit()
    reply = kit.send(kit.order("ann", BUY, UP, 50, 1, id="0xaa"))
    assert isinstance(reply, Refused)
    assert (reply.order_id, reply.http_status) == ("0xaa", 400)
