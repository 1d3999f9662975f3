"""What an API key hears on the user channel (feeds.md 4)."""

from __future__ import annotations

import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, Wallet
from polymarket.models.clob.user_events import parse_user_events
from trio.testing import MockClock
from wire_kit import Wire, kinds

from polybot.exchange.model import BUY, SELL, UP


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
