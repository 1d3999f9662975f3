"""The user channel: captured frames with all their traps, and frames that would do harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st
from venue_kit import CREDENTIALS, DOWN, UP, wire

from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, OrderSeen, TradeSeen, TradeStatus
from polybot.venue.private_rows import Me
from polybot.venue.user_messages import UserBatch, decode_user, user_greeting

KEY = CREDENTIALS.api_key
ME = Me.of(CREDENTIALS)
TWO_MAKERS = "a93a3d32-74fa-dd2b-4b67-98bfa6fc5cb5"


def me(key: str) -> Me:
    return Me(key, "0xnobody")


def only(batch: UserBatch) -> OrderSeen | TradeSeen:
    assert batch.bad == ()
    (event,) = batch.events
    return event


@pytest.mark.parametrize(
    ("name", "owner", "kind", "matched"),
    [
        ("nt_user_order_placement_2024.json", KEY, OrderSeen.Kind.LIVE, 0),
        ("nt_user_order_cancel_2024.json", KEY, OrderSeen.Kind.DEAD, 5_000_000),
        (
            "nt_user_order_fok_killed.json",
            "00000000-0000-0000-0000-000000000001",
            OrderSeen.Kind.DEAD,
            0,
        ),
        (
            "nt_user_order_venue_cancel.json",
            "00000000-0000-0000-0000-000000000001",
            OrderSeen.Kind.DEAD,
            0,
        ),
    ],
)
def test_captured_order_events(name: str, owner: str, kind: OrderSeen.Kind, matched: int) -> None:
    """Placement and cancellations, with empty numbers and free-text status, for their owner."""
    event = only(decode_user(wire(name), me(owner)))

    assert isinstance(event, OrderSeen)
    assert (event.kind, event.matched) == (kind, matched)
    assert event.at_ms > 1_700_000_000_000
    assert decode_user(wire(name), me("somebody else")) == UserBatch(ignored=1)


def test_a_makers_part_among_strangers() -> None:
    """Of six maker orders one is ours; its side, not sent in 2024, is the taker's opposite."""
    event = only(decode_user(wire("nt_user_trade_maker_mined_2024.json"), me(KEY)))

    assert isinstance(event, TradeSeen)
    assert event.status is TradeStatus.MINED
    (leg,) = event.legs
    assert (leg.side, leg.price, leg.shares, leg.maker) == (Side.SELL, 5180, 5_000_000, True)


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("0x01" + "AB" * 30, "0x01" + "ab" * 30 + "00"),
        ("0x01" + "ab" * 30 + "00", "0x01" + "ab" * 30 + "00"),
        ("0xAB" + "ab" * 31, "0xAB" + "ab" * 31),
    ],
)
def test_a_market_of_protocol_v2_is_known_by_either_of_its_ids(told: str, known: str) -> None:
    """Which of them these rows name nobody has seen (clob.md 3.2): with the shorter one every fill
    was of a market without books, and none of them booked.
    """
    row = json.loads(wire("nt_user_trade_maker_mined_2024.json")) | {"market": told}
    event = only(decode_user(json.dumps(row), me(KEY)))

    assert isinstance(event, TradeSeen)
    assert event.condition_id == known


def test_a_maker_of_the_other_outcome_has_the_takers_side() -> None:
    """Where the tokens differ both sides buy, a mint, or both sell, a merge."""
    owner = "78132bc3-22af-6aa2-79ae-11929f821cae"

    event = only(decode_user(wire("nt_user_trade_maker_mined_2024.json"), me(owner)))

    assert isinstance(event, TradeSeen)
    (leg,) = event.legs
    assert (leg.side, leg.price, leg.shares) == (Side.BUY, 4820, 10_000_000)


def test_two_of_our_makers_in_one_trade() -> None:
    """Every element of ours is a leg, at its own price, never at the trade's."""
    event = only(decode_user(wire("nt_user_trade_two_own_makers_2025.json"), me(TWO_MAKERS)))

    assert isinstance(event, TradeSeen)
    assert [(leg.price, leg.shares, leg.side) for leg in event.legs] == [
        (4000, 5_000_000, Side.BUY),
        (3000, 5_000_000, Side.BUY),
    ]


def test_our_wallet_counts_as_well_as_our_key() -> None:
    """A leg is ours by the key or by the wallet, in whatever case it is written."""
    wallet = Me("another key", "0xa3d82ed56f4c68d2328fb8c29e568ba2caf7d7c8")

    event = only(decode_user(wire("nt_user_trade_maker_cross_outcome_2025.json"), wallet))

    assert isinstance(event, TradeSeen)
    assert event.legs[0].price == 5130
    assert event.at_ms == 1_762_776_436_000  # seconds on the wire


def test_our_part_as_the_taker() -> None:
    """TAKER: the trade itself is our leg."""
    event = only(decode_user(wire("nt_user_trade_taker_matched_2024.json"), me(KEY)))

    assert isinstance(event, TradeSeen)
    (leg,) = event.legs
    assert not leg.maker
    assert (leg.price, leg.shares, leg.side) == (5200, 5_000_000, Side.BUY)


@pytest.mark.parametrize(
    ("said", "known"),
    [("1762776430", 1_762_776_430), ("", 0), (None, 0), ("soon", 0), ([], 0)],
)
def test_when_a_trade_was_matched(said: object, known: int) -> None:
    """To the second where it is told; what cannot be read of it costs no fill."""
    row = json.loads(wire("nt_user_trade_taker_matched_2024.json"))
    for name in ("match_time", "matchtime"):
        row.pop(name, None)
    row["timestamp"] = "1762776436000"

    event = only(decode_user(json.dumps(row | {"matchtime": said}), me(KEY)))

    assert isinstance(event, TradeSeen)
    assert (event.matched_s, event.at_ms) == (known, 1_762_776_436_000)
    assert event.legs


def maker_row(token: str, price: str, amount: str, owner: str = "x") -> dict[str, object]:
    return {
        "order_id": f"0xm{price}",
        "owner": owner,
        "maker_address": "0x",
        "matched_amount": amount,
        "price": price,
        "asset_id": token,
        "side": "SELL" if token == UP else "BUY",
    }


def taker_trade(*makers: dict[str, object], **changes: object) -> str:
    row = {
        "event_type": "trade",
        "type": "TRADE",
        "id": "t",
        "taker_order_id": "0xtaker",
        "market": "0xc",
        "asset_id": UP,
        "side": "BUY",
        "size": "15",
        "price": "0.637",
        "status": "MATCHED",
        "trader_side": "TAKER",
        "maker_orders": list(makers),
        "timestamp": "1795132800123",
    }
    return json.dumps(row | changes)


def test_a_leg_of_another_wallet_of_our_key_is_told_as_such() -> None:
    """The key is ours, the funds are not; a wallet that is not named says nothing."""
    two = wire("nt_user_trade_two_own_makers_2025.json")
    here = only(decode_user(two, Me(TWO_MAKERS, "0xa3d82ed56f4c68d2328fb8c29e568ba2caf7d7c8")))
    there = only(decode_user(two, me(TWO_MAKERS)))
    assert isinstance(here, TradeSeen)
    assert isinstance(there, TradeSeen)
    assert here.elsewhere == ()
    assert there.elsewhere == tuple(leg.order_id for leg in there.legs)

    taker = only(decode_user(taker_trade(maker_address="0xother"), ME))
    assert isinstance(taker, TradeSeen)
    assert taker.elsewhere == ("0xtaker",)
    for silent in ({}, {"maker_address": ""}, {"maker_address": None}):
        taker = only(decode_user(taker_trade(**silent), ME))
        assert isinstance(taker, TradeSeen)
        assert taker.elsewhere == ()


def test_a_taker_moves_what_its_makers_leave_of_a_dollar_a_pair() -> None:
    """Each maker's amount is rounded down: in a mint the taker pays one more (clob.md 3.2; found by
    an agreement run, whose cash drifted by a micro-dollar at a time).
    """
    makers = (maker_row(DOWN, "0.37", "5.000001"), maker_row(DOWN, "0.37", "1.000003"))
    event = only(decode_user(taker_trade(*makers, size="6.000004"), ME))

    assert isinstance(event, TradeSeen)
    (leg,) = event.legs
    paid_by_makers = 1_850_000 + 370_001
    assert leg.dollars == 6_000_004 - paid_by_makers == 3_780_003
    assert leg.dust == 1

    same = only(
        decode_user(
            taker_trade(
                maker_row(UP, "0.63", "5.000001"),
                maker_row(UP, "0.63", "1.000001"),
                size="6.000002",
            ),
            ME,
        )
    )
    assert isinstance(same, TradeSeen)
    assert [leg.dollars for leg in same.legs] == [3_150_000 + 630_000]


def test_a_taker_over_several_prices_gets_exact_legs() -> None:
    """One leg per price the makers gave, a mint's price seen from our token."""
    frame = taker_trade(maker_row(UP, "0.63", "5"), maker_row(DOWN, "0.36", "10"))

    event = only(decode_user(frame, ME))

    assert isinstance(event, TradeSeen)
    assert event.legs == (
        FillLeg("0xtaker", UP, Side.BUY, 6300, 5_000_000, maker=False),
        FillLeg("0xtaker", UP, Side.BUY, 6400, 10_000_000, maker=False),
    )


@pytest.mark.parametrize(("side", "price"), [("BUY", 6371), ("SELL", 6370)])
def test_makers_that_do_not_add_up_leave_the_trades_price(side: str, price: int) -> None:
    """Without the makers' prices an average is taken, its fifth decimal rounded against us."""
    frame = taker_trade(maker_row(UP, "0.63", "5"), side=side, price="0.637049")

    event = only(decode_user(frame, ME))

    assert isinstance(event, TradeSeen)
    assert [(leg.price, leg.shares) for leg in event.legs] == [(price, 15_000_000)]


def test_both_sides_of_a_self_match_are_legs() -> None:
    """If taker and maker are ours, nothing of the trade is left out."""
    event = only(decode_user(taker_trade(maker_row(UP, "0.63", "15", KEY)), ME))

    assert isinstance(event, TradeSeen)
    assert sorted(leg.maker for leg in event.legs) == [False, True]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("MATCHED", TradeStatus.MATCHED),
        ("RETRYING", TradeStatus.RETRYING),
        ("MINED", TradeStatus.MINED),
        ("CONFIRMED", TradeStatus.CONFIRMED),
        ("FAILED", TradeStatus.FAILED),
        ("TRADE_STATUS_FAILED", TradeStatus.FAILED),
        ("MATCHED_NOT_BROADCASTED", TradeStatus.MATCHED),
    ],
)
def test_trade_statuses(word: str, status: TradeStatus) -> None:
    """Plain, prefixed and REST-only words."""
    event = only(decode_user(taker_trade(maker_row(UP, "0.63", "15"), status=word), ME))

    assert isinstance(event, TradeSeen)
    assert event.status is status


def order_event(**changes: object) -> str:
    row = {
        "event_type": "order",
        "type": "UPDATE",
        "id": "0xo",
        "owner": KEY,
        "market": "0xc",
        "asset_id": UP,
        "side": "BUY",
        "price": "0.5",
        "original_size": "10",
        "size_matched": "4",
        "order_type": "GTC",
        "status": "LIVE",
        "timestamp": "1795132800",
    }
    return json.dumps(row | changes)


@pytest.mark.parametrize(
    ("changes", "kind", "matched"),
    [
        ({}, OrderSeen.Kind.LIVE, 4_000_000),
        ({"status": "MATCHED"}, OrderSeen.Kind.LIVE, 4_000_000),
        ({"status": "MATCHED", "size_matched": "10"}, OrderSeen.Kind.MATCHED, 10_000_000),
        ({"status": "DELAYED", "type": "PLACEMENT"}, OrderSeen.Kind.DELAYED, 4_000_000),
        ({"type": "CANCELLATION", "status": "LIVE"}, OrderSeen.Kind.DEAD, 4_000_000),
        ({"type": "CANCELLATION", "status": None}, OrderSeen.Kind.DEAD, 4_000_000),
    ],
)
def test_order_events_decide_by_type(
    changes: dict[str, object], kind: OrderSeen.Kind, matched: int
) -> None:
    """A cancellation is one whatever its status says; an update follows status and size."""
    event = only(decode_user(order_event(**changes), ME))

    assert isinstance(event, OrderSeen)
    assert (event.kind, event.matched, event.at_ms) == (kind, matched, 1_795_132_800_000)


@pytest.mark.parametrize(
    "frame",
    [
        '{"cut',
        "7",
        '{"event_type":"order","owner":"' + KEY + '","type":"UPDATE"}',
        order_event(type="NEW"),
        order_event(size_matched="NaN"),
        order_event(id=""),
        taker_trade(status="LOST"),
        taker_trade(size=None),
        taker_trade(maker_orders=7),
        taker_trade(maker_row(UP, "0.63", "1e3", KEY)),
        taker_trade(price="abc"),
    ],
)
def test_bad_records_are_told(frame: str) -> None:
    """What may have been a fill and cannot be read is reported, so that REST is asked."""
    batch = decode_user(frame, ME)

    assert batch.events == ()
    assert len(batch.bad) == 1


def test_a_bad_record_spoils_only_itself() -> None:
    """In an array the others count."""
    good = json.loads(order_event())

    batch = decode_user(json.dumps([good, 1, good]), ME)

    assert (len(batch.events), len(batch.bad)) == (2, 1)


def test_keepalive_is_noise() -> None:
    """PONG and unknown events are neither bad nor events."""
    assert decode_user("PONG", ME) == UserBatch(ignored=1)
    assert decode_user('{"event_type":"new"}', ME) == UserBatch(ignored=1)


def test_the_greeting_subscribes_to_every_market() -> None:
    """Credentials in clear, where they must be, and no market filter."""
    greeting = json.loads(user_greeting(CREDENTIALS))

    assert greeting["auth"]["secret"] == CREDENTIALS.secret.reveal()
    assert (greeting["type"], greeting["markets"]) == ("user", [])


scraps = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
scraps |= st.sampled_from(["0.5", "10", KEY, UP, "BUY", "MATCHED", "TAKER", "1795132800", ""])
names = st.sampled_from(
    [
        "id",
        "owner",
        "type",
        "status",
        "side",
        "price",
        "size",
        "size_matched",
        "original_size",
        "asset_id",
        "market",
        "trader_side",
        "maker_orders",
        "timestamp",
        "matched_amount",
        "order_id",
        "taker_order_id",
        "maker_address",
    ]
)
rows = st.recursive(
    scraps,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=10),
    max_leaves=20,
)


@given(st.sampled_from(["order", "trade", "x"]), st.dictionaries(names, rows, max_size=14))
def test_no_record_raises(kind: str, row: dict[str, object]) -> None:
    """Every record is an event, bad, or ignored: never lost and never an exception."""
    frame = json.dumps(row | {"event_type": kind})

    batch = decode_user(frame, ME)

    assert len(batch.events) + len(batch.bad) + batch.ignored == 1


@given(st.text())
def test_no_text_raises(frame: str) -> None:
    """Nor does any text."""
    decode_user(frame, ME)
