"""What an API key hears on the user channel (feeds.md 4)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, Wallet
from polymarket.models.clob.user_events import parse_user_events
from trio.testing import MockClock
from wire_kit import Wire, kinds

from polybot.exchange.model import BUY, SELL, UP
from polybot.exchange.terms import Terms


def login(wallet: Wallet, **changes: str) -> dict[str, object]:
    creds = wallet.creds
    auth = {
        "apiKey": creds.api_key,
        "secret": creds.api_secret,
        "passphrase": creds.api_passphrase,
    }
    return {"type": "user", "auth": auth | changes, "markets": []}


class Users:
    """A CLOB with one listening session each for ann and bob."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.kit = ClobKit()
        self.nursery = nursery
        self.ann, self.bob = Wire(), Wire()

    async def session(self, wire: Wire) -> None:
        await self.kit.server._user_stream.session(wire)

    async def start(self) -> Users:
        for wire, wallet in ((self.ann, self.kit.ann), (self.bob, self.kit.bob)):
            self.nursery.start_soon(self.session, wire)
            assert await wire.tell(login(wallet)) == []
        return self

    async def place(self, wallet: Wallet, *order: object) -> str:
        payload = wallet.limit(*order)  # type: ignore[arg-type]
        status, reply = await self.kit.call(wallet, "POST", "/order", payload)
        assert status == 200, reply
        return str(reply["orderID"])


# The clock is an argument of each test: pytest-trio looks for it there only.
@pytest.fixture
async def users(
    nursery: trio.Nursery,
) -> Users:
    return await Users(nursery).start()


@pytest.mark.conforms("feeds-12.3-placement", "feeds-12.3-cancellation", "feeds-12.3-own-only")
async def test_an_orders_life(users: Users, autojump_clock: MockClock) -> None:
    """PLACEMENT and CANCELLATION, to the owner only, with the reference's keys."""
    order_id = await users.place(users.kit.ann, BUY, UP_TOKEN, 50, 10)
    (placed,) = users.ann.take()
    assert (placed["type"], placed["status"], placed["size_matched"]) == ("PLACEMENT", "LIVE", "0")
    assert (placed["id"], placed["outcome"], placed["price"]) == (order_id, "Up", "0.5")
    assert placed["timestamp"] == str(T0)
    assert placed["associate_trades"] is None
    await users.kit.call(users.kit.ann, "DELETE", "/order", {"orderID": order_id})
    (gone,) = users.ann.take()
    assert (gone["type"], gone["status"], gone["size_matched"]) == ("CANCELLATION", "CANCELED", "0")
    assert users.bob.take() == []


@pytest.mark.conforms("feeds-12.3-taker-view", "feeds-12.3-cross-outcome")
async def test_a_trade_is_told_to_both_sides(users: Users, autojump_clock: MockClock) -> None:
    """The taker hears TAKER, the maker MAKER; both see the taker's view and all maker orders."""
    maker = await users.place(users.kit.ann, BUY, DOWN_TOKEN, 48, 10)
    users.ann.take()
    taker = await users.place(users.kit.bob, BUY, UP_TOKEN, 55, 6)
    mine = users.ann.take()
    assert sorted(kinds(mine)) == ["order", "trade"]
    trade = next(m for m in mine if m["event_type"] == "trade")
    assert (trade["trader_side"], trade["status"], trade["taker_order_id"]) == (
        "MAKER", "MATCHED", taker,
    )  # fmt: skip
    assert (trade["asset_id"], trade["price"], trade["size"]) == (UP_TOKEN, "0.52", "6")
    (leg,) = trade["maker_orders"]
    assert (leg["order_id"], leg["asset_id"], leg["price"]) == (maker, DOWN_TOKEN, "0.48")
    assert (leg["side"], leg["matched_amount"], leg["outcome"]) == (BUY, "6", "Down")
    update = next(m for m in mine if m["event_type"] == "order")
    assert (update["type"], update["size_matched"]) == ("UPDATE", "6")
    assert update["associate_trades"] == [trade["id"]]
    theirs = [m for m in users.bob.take() if m["event_type"] == "trade"]
    assert [m["trader_side"] for m in theirs] == ["TAKER"]
    assert theirs[0]["maker_orders"] == trade["maker_orders"]


async def test_a_placement_names_no_trade_that_comes_after_it(
    users: Users, autojump_clock: MockClock
) -> None:
    """The venue tells an order that matches at once by a PLACEMENT without trades, then an UPDATE
    with them (feeds.md 4.2): events of one act are told together, each as of itself.
    """
    users.kit.crowd(SELL, UP_TOKEN, 5_000, 6)
    await users.place(users.kit.ann, BUY, UP_TOKEN, 50, 10)

    messages = users.ann.take()
    [trade] = [m["id"] for m in messages if m["event_type"] == "trade"]
    orders = [m for m in messages if m["event_type"] == "order"]
    assert [(m["type"], m["size_matched"], m["associate_trades"]) for m in orders] == [
        ("PLACEMENT", "0", None),
        ("UPDATE", "6", [trade]),
    ]


@pytest.mark.conforms("feeds-12.3-trade-matched")
async def test_a_trade_goes_on_to_be_mined_and_confirmed(
    users: Users, autojump_clock: MockClock
) -> None:
    """The same id comes again with each status, and with a hash once mined."""
    await users.place(users.kit.ann, SELL, UP_TOKEN, 52, 10)
    await users.place(users.kit.bob, BUY, UP_TOKEN, 52, 10)
    users.kit.engine.advance(T0 + 600_000)
    trades = [m for m in users.ann.take() if m["event_type"] == "trade"]
    assert [m["status"] for m in trades] == ["MATCHED", "MINED", "CONFIRMED"]
    assert [m["match_time"] for m in trades] == 3 * [str(T0 // 1000)]
    assert trades[0]["last_update"] == str(T0 // 1000) < trades[1]["last_update"]
    assert len({m["id"] for m in trades}) == 1
    assert trades[1]["transaction_hash"].startswith("0x")
    assert int(trades[2]["timestamp"]) > T0


async def test_a_key_on_both_sides_hears_both_roles(
    users: Users, autojump_clock: MockClock
) -> None:
    """A wallet that trades with itself is told once as taker and once as maker."""
    await users.place(users.kit.ann, SELL, UP_TOKEN, 52, 10)
    await users.place(users.kit.ann, BUY, UP_TOKEN, 52, 10)
    roles = [m["trader_side"] for m in users.ann.take() if m["event_type"] == "trade"]
    assert roles == ["TAKER", "MAKER"]


@pytest.mark.conforms("feeds-12.3-several-own")
async def test_several_own_makers_come_in_one_message(
    users: Users, autojump_clock: MockClock
) -> None:
    """One level, two orders of one key: one message with both legs."""
    await users.place(users.kit.ann, SELL, UP_TOKEN, 52, 5)
    await users.place(users.kit.ann, BUY, DOWN_TOKEN, 48, 5)
    await users.place(users.kit.bob, BUY, UP_TOKEN, 52, 10)
    (trade,) = [m for m in users.ann.take() if m["event_type"] == "trade"]
    assert [leg["asset_id"] for leg in trade["maker_orders"]] == [UP_TOKEN, DOWN_TOKEN]


async def test_the_official_sdk_reads_every_event(users: Users, autojump_clock: MockClock) -> None:
    """Orders and trades of all kinds parse with polymarket-client."""
    await users.place(users.kit.ann, SELL, UP_TOKEN, 52, 10)
    await users.place(users.kit.bob, BUY, UP_TOKEN, 52, 6)
    users.kit.engine.advance(T0 + 600_000)
    users.kit.engine.close_market(users.kit.market, T0 + 600_000)
    users.kit.engine.resolve_market(users.kit.market, UP, T0 + 600_001)
    messages = users.ann.take()
    assert messages[-1]["status"] == "CANCELED_MARKET_RESOLVED"
    events, ignored = parse_user_events(messages)
    assert (len(events), ignored) == (len(messages), 0)


@pytest.mark.conforms("feeds-12.3-markets-filter", "feeds-12.3-dynamic-filter")
async def test_filters_can_be_set_and_changed(users: Users, autojump_clock: MockClock) -> None:
    """With a filter only its markets are told; without one, all."""
    await users.ann.tell({"operation": "subscribe", "markets": ["0xother"]})
    await users.place(users.kit.ann, BUY, UP_TOKEN, 50, 10)
    assert users.ann.take() == []
    await users.ann.tell({"operation": "subscribe", "markets": [users.kit.market.condition_id]})
    await users.place(users.kit.ann, BUY, UP_TOKEN, 49, 10)
    assert len(users.ann.take()) == 1
    everything = ["0xother", users.kit.market.condition_id]
    await users.ann.tell({"operation": "unsubscribe", "markets": everything})
    await users.place(users.kit.ann, BUY, UP_TOKEN, 48, 10)
    assert len(users.ann.take()) == 1


@pytest.mark.conforms("feeds-12.3-bad-auth-drop")
@pytest.mark.parametrize(
    "first",
    [
        {"type": "user"},
        {"type": "user", "auth": {"apiKey": 5, "secret": None}},
        {"type": "market", "assets_ids": []},
        "garbage",
        "[]",
        login(Wallet(0x11), passphrase="wrong"),
        login(Wallet(0x11), secret="wrong"),
        login(Wallet(0x33)),
    ],
)
async def test_bad_credentials_cut_tcp(
    users: Users, autojump_clock: MockClock, first: object
) -> None:
    """No answer and no close frame: the connection is dropped (feeds.md 4.1)."""
    wire = Wire()
    users.nursery.start_soon(users.session, wire)
    assert await wire.tell(first) == []
    assert wire.dropped


@pytest.mark.conforms("feeds-12.3-user-pong")
async def test_pings_are_answered_before_and_after_login(
    users: Users, autojump_clock: MockClock
) -> None:
    """PING gets PONG at any time."""
    wire = Wire()
    users.nursery.start_soon(users.session, wire)
    assert await wire.tell("PING") == ["PONG"]
    assert await wire.tell(login(users.kit.ann)) == []
    assert await wire.tell("PING") == ["PONG"]


async def test_a_session_that_ends_leaves_nothing(users: Users, autojump_clock: MockClock) -> None:
    """Neither listeners nor work remain."""
    for wire in (users.ann, users.bob):
        wire.say.close()
    await trio.testing.wait_all_tasks_blocked()
    assert not users.kit.server._user_stream._listeners
    await users.place(users.kit.ann, BUY, UP_TOKEN, 50, 10)


async def lagging(nursery: trio.Nursery) -> Users:
    """A venue whose user channel hears of matches 50 ms late."""
    users = Users(nursery)
    users.kit = ClobKit(terms=Terms(fill_lag_ms=50))
    nursery.start_soon(users.kit.server.run)
    return await users.start()


def shown(messages: list[Any]) -> list[tuple[str, str]]:
    """Kind and size of each: cumulative of an order, own leg of a trade."""
    return [
        (m["type"], m["size_matched"])
        if m["event_type"] == "order"
        else (m["type"], m["maker_orders"][0]["matched_amount"])
        for m in messages
    ]


@pytest.mark.conforms("feeds-12.3-fill-after-cancel", "feeds-12.3-repeated-cancel")
async def test_a_cancellation_may_overtake_fills_and_is_then_repeated(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """The real sequence of feeds.md 4.5: cancelled at 0, then each fill with a grown total."""
    users = await lagging(nursery)
    kit = users.kit
    order_id = await users.place(kit.ann, SELL, UP_TOKEN, 50, 20)
    users.ann.take()
    for shares in (5, 6):
        kit.crowd(BUY, UP_TOKEN, 5000, shares)
    assert users.ann.take() == []
    _, reply = await kit.call(kit.ann, "DELETE", "/order", {"orderID": order_id})
    assert reply["canceled"] == [order_id]
    assert shown(users.ann.take()) == [("CANCELLATION", "0")]
    mock_clock.jump(0.051)
    await trio.testing.wait_all_tasks_blocked()
    assert shown(users.ann.take()) == [
        ("TRADE", "5"), ("CANCELLATION", "5"), ("TRADE", "6"), ("CANCELLATION", "11"),
    ]  # fmt: skip
    stream = kit.server._user_stream
    assert not stream._told
    assert not stream._untold
    assert not stream._cancelled


async def test_a_fill_that_was_told_is_in_the_cancellation(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Only what the stream does not know yet is missing, and a filled order ends once."""
    users = await lagging(nursery)
    kit = users.kit
    order_id = await users.place(kit.ann, SELL, UP_TOKEN, 50, 20)
    kit.crowd(BUY, UP_TOKEN, 5000, 5)
    mock_clock.jump(0.051)
    await trio.testing.wait_all_tasks_blocked()
    assert shown(users.ann.take()) == [("PLACEMENT", "0"), ("TRADE", "5"), ("UPDATE", "5")]
    kit.crowd(BUY, UP_TOKEN, 5000, 6)
    await kit.call(kit.ann, "DELETE", "/order", {"orderID": order_id})
    assert shown(users.ann.take()) == [("CANCELLATION", "5")]
    await users.place(kit.ann, SELL, UP_TOKEN, 60, 5)
    kit.crowd(BUY, UP_TOKEN, 6000, 5)
    mock_clock.jump(0.051)
    await trio.testing.wait_all_tasks_blocked()
    assert shown(users.ann.take())[1:] == [
        ("TRADE", "6"), ("CANCELLATION", "11"), ("TRADE", "5"), ("UPDATE", "5"),
    ]  # fmt: skip
    assert not kit.server._user_stream._told


@pytest.mark.conforms("feeds-12.3-no-ack")
async def test_a_login_is_answered_by_silence(users: Users, autojump_clock: MockClock) -> None:
    """No acknowledgement, and no snapshot of what is open already (feeds.md 4.1)."""
    await users.place(users.kit.ann, BUY, UP_TOKEN, 50, 10)
    late = Wire()
    users.nursery.start_soon(users.session, late)
    assert await late.tell(login(users.kit.ann)) == []
    await users.place(users.kit.ann, BUY, UP_TOKEN, 49, 10)
    assert kinds(late.take()) == ["order"]


@pytest.mark.conforms("feeds-12.3-update", "feeds-12.3-foreign-makers", "clob-3.6-partial-rests")
async def test_a_match_updates_the_order_and_names_everybody_it_hit(
    users: Users, autojump_clock: MockClock
) -> None:
    """size_matched is cumulative, a strangers' legs are in the same list (feeds.md 4.2, 4.4)."""
    kit = users.kit
    mine = await users.place(kit.ann, SELL, UP_TOKEN, 50, 10)
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    users.ann.take()
    status, reply = await kit.call(kit.bob, "POST", "/order", kit.bob.limit(BUY, UP_TOKEN, 50, 25))
    assert (status, reply["status"], reply["takingAmount"]) == (200, "matched", "20")
    trade, update = users.ann.take()
    assert [leg["owner"] for leg in trade["maker_orders"]] == [kit.ann.creds.api_key, "crowd"]
    assert (update["type"], update["id"], update["size_matched"]) == ("UPDATE", mine, "10")
    rest = [m for m in users.bob.take() if m["event_type"] == "order"][-1]
    assert (rest["type"], rest["status"], rest["size_matched"]) == ("UPDATE", "LIVE", "20")
    assert kit.engine.best(UP_TOKEN) == (5000, None)


@pytest.mark.conforms("feeds-12.3-free-status", "clob-3.6-fok-on-user-stream")
async def test_a_killed_fok_has_its_reason_as_status(
    users: Users, autojump_clock: MockClock
) -> None:
    """CANCELED_ and the English text, as in a real frame (feeds.md 4.2)."""
    text = "order couldn't be fully filled. FOK orders are fully filled or killed."
    order = users.kit.ann.limit(BUY, UP_TOKEN, 50, 10, "FOK")
    assert (await users.kit.call(users.kit.ann, "POST", "/order", order))[0] == 400
    (told,) = users.ann.take()
    assert (told["type"], told["status"]) == ("CANCELLATION", f"CANCELED_{text}")


@pytest.mark.conforms("feeds-12.3-market-closed-cancel", "clob-8-resolved-orders")
async def test_a_resolution_cancels_what_rests(users: Users, autojump_clock: MockClock) -> None:
    """Told as a cancellation with its own status (feeds.md 4.2)."""
    kit = users.kit
    await users.place(kit.ann, BUY, UP_TOKEN, 50, 10)
    users.ann.take()
    kit.engine.close_market(kit.market, T0)
    assert users.ann.take() == []
    kit.engine.resolve_market(kit.market, UP, T0)
    (told,) = users.ann.take()
    assert (told["type"], told["status"]) == ("CANCELLATION", "CANCELED_MARKET_RESOLVED")


@pytest.mark.conforms("feeds-12.3-trade-retrying", "feeds-12.3-trade-failed")
async def test_a_trade_that_fails_is_told_with_another_hash(
    users: Users, autojump_clock: MockClock
) -> None:
    """MATCHED, RETRYING, FAILED under one id; the retry has a hash of its own (feeds.md 4.5)."""
    kit = users.kit
    kit.engine.clearing_policy.fail_ppm = 1_000_000
    await users.place(kit.ann, SELL, UP_TOKEN, 50, 10)
    await users.place(kit.bob, BUY, UP_TOKEN, 50, 10)
    kit.engine.advance(T0 + 60_000)
    told = [m for m in users.ann.take() if m["event_type"] == "trade"]
    assert [m["status"] for m in told] == ["MATCHED", "RETRYING", "FAILED"]
    assert len({m["id"] for m in told}) == 1
    assert told[0]["transaction_hash"] != told[1]["transaction_hash"]
