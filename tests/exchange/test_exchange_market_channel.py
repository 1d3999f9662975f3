"""What the market channel does that a client has to expect: noise, bounds, odd requests."""

from __future__ import annotations

import json
import random

import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, make_market
from polymarket.models.clob.market_events import parse_market_event
from trio.testing import MockClock, wait_all_tasks_blocked
from wire_kit import Wire, kinds
from world_kit import DATA

from polybot.exchange import market_messages
from polybot.exchange.book_wire import BookText, price_text
from polybot.exchange.foreign_markets import ForeignMarkets
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, Order
from polybot.exchange.terms import Terms

HOUR_MS = 3_600_000


async def watcher(kit: ClobKit, nursery: trio.Nursery, *tokens: str, **more: object) -> Wire:
    """A session subscribed to `tokens`, its dump already taken."""
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    await wire.tell({"type": "market", "assets_ids": list(tokens), **more})
    return wire


def foreign(hours: int, rate: int = 180) -> list[dict[str, object]]:
    markets, told = ForeignMarkets(rate, random.Random(4), T0), []
    while markets.due_ms < T0 + hours * HOUR_MS:
        told += [json.loads(text) for text in markets.next_event()]
    return told


@pytest.mark.conforms("feeds-12.1-foreign-noise")
async def test_listings_of_the_whole_venue_come_whatever_one_watches(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Who asked for custom events hears of sports, politics and other coins (feeds.md 12.1)."""
    kit = ClobKit()
    custom = await watcher(kit, nursery, UP_TOKEN, custom_feature_enabled=True)
    lifecycle = await watcher(kit, nursery, custom_feature_enabled=True)
    plain = await watcher(kit, nursery, UP_TOKEN)
    nursery.start_soon(kit.server.run)
    await wait_all_tasks_blocked()
    for _ in range(360):
        mock_clock.jump(10)
        await wait_all_tasks_blocked()
    told = custom.take()
    assert 100 < len(told) < 280
    assert set(kinds(told)) == {"new_market"}
    assert told == lifecycle.take()
    assert plain.take() == []
    assert not {m["slug"] for m in told} & {kit.market.slug}


@pytest.mark.conforms("feeds-12.1-foreign-noise")
async def test_the_noise_can_be_switched_off(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """A venue that lists nothing else is silent for an hour."""
    kit = ClobKit(terms=Terms(foreign_markets_per_hour=0))
    custom = await watcher(kit, nursery, UP_TOKEN, custom_feature_enabled=True)
    nursery.start_soon(kit.server.run)
    await wait_all_tasks_blocked()
    mock_clock.jump(3600)
    await wait_all_tasks_blocked()
    assert custom.take() == []


@pytest.mark.conforms("feeds-12.1-new-market")
def test_foreign_listings_have_the_keys_of_a_real_one() -> None:
    """Same keys in the same order as ours, which are the wire's; the SDK reads them all."""
    ours = json.loads(market_messages.new_market(make_market(), T0))
    told = foreign(hours=2)
    for message in told:
        assert list(message) == list(ours)
        parse_market_event(message)
    sample = DATA / "wire" / "live_market_new_market_btc5m_2026-10-02.json"
    if sample.exists():
        real = json.loads(sample.read_text())
        assert list(real) == list(ours)
        assert list(real["event_message"]) == list(ours["event_message"])
        assert list(real["fee_schedule"]) == list(ours["fee_schedule"])


def test_the_rate_is_as_told_and_the_stamps_are_those_of_the_listing() -> None:
    """About 180 an hour, all kinds, each with ids of its own, stamped in order."""
    told = foreign(hours=20)
    assert len(told) == pytest.approx(20 * 180, rel=0.1)
    assert len({message["market"] for message in told}) == len(told)
    assert {str(m["tags"]) for m in told} == {"[]", "['sports']", "['politics']"}
    stamps = [int(str(message["timestamp"])) for message in told]
    assert stamps == sorted(stamps)


@pytest.mark.conforms("feeds-12.1-many-ids")
async def test_above_five_hundred_tokens_no_snapshot_comes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The subscription counts all the same: deltas come (feeds.md 2.1)."""
    kit = ClobKit(terms=Terms(snapshot_tokens_most=3))
    others = [
        make_market(condition_id=f"0x{n:064x}", tokens=(f"{n}1", f"{n}2"), slug=f"m{n}")
        for n in range(2)
    ]
    for market in others:
        kit.engine.list_market(market, T0)
        kit.engine.open_market(market, T0)
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    many = [token for market in others for token in market.tokens]
    assert await wire.tell({"type": "market", "assets_ids": many}) == []
    assert await wire.tell({"operation": "subscribe", "assets_ids": [UP_TOKEN]}) == []
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert kinds(wire.take()) == ["price_change"]
    assert Terms().snapshot_tokens_most == 500


@pytest.mark.conforms("feeds-12.1-level")
@pytest.mark.parametrize("level", [1, 2, 3])
async def test_a_level_changes_nothing(
    level: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The key is in the venue's specification, its effect is not (feeds.md 2.1)."""
    kit = ClobKit()
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    (dump,) = await wire.tell({"type": "market", "assets_ids": [UP_TOKEN], "level": level})
    assert [book["asset_id"] for book in dump] == [UP_TOKEN]


@pytest.mark.conforms("feeds-12.1-empty-subscription")
async def test_no_tokens_and_the_flag_give_the_lifecycle_alone(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Listings and results of all markets, and no book (feeds.md 2.1)."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, custom_feature_enabled=True)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert wire.take() == []
    kit.engine.list_market(make_market(condition_id="0x" + "ee" * 32, tokens=("1", "2")), T0)
    kit.engine.close_market(kit.market, T0)
    kit.engine.resolve_market(kit.market, UP, T0)
    assert kinds(wire.take()) == ["new_market", "market_resolved"]


@pytest.mark.conforms("feeds-12.1-not-hydrated")
async def test_a_market_without_a_book_yet_gives_an_empty_dump_and_then_its_deltas(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Subscribed as soon as it is listed, before the CLOB trades it (feeds.md 8.3)."""
    kit = ClobKit()
    fresh = make_market(condition_id="0x" + "ee" * 32, tokens=("1", "2"), slug="fresh")
    kit.engine.list_market(fresh, T0)
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    assert await wire.tell({"type": "market", "assets_ids": ["1"]}) == [[]]
    assert (await kit.get("/book", token_id="1"))[0] == 404
    kit.engine.open_market(fresh, T0)
    kit.engine.accounts.deposit("crowd", 10**10)
    order = Order("0xf", "crowd", "crowd", fresh, "1", BUY, 5000, 10**7, Kind.GTC)
    kit.engine.place(order, T0, lambda _: None)
    assert kinds(wire.take()) == ["price_change"]


@pytest.mark.conforms("feeds-12.1-tick-text")
@pytest.mark.parametrize(
    ("tick", "text"), [(100, "0.01"), (50, "0.005"), (25, "0.0025"), (10, "0.001")]
)
def test_every_tick_has_its_text(tick: int, text: str) -> None:
    """In tick changes, in dumps and in what is hashed (clob.md 3.4)."""
    market = make_market(tick=tick)
    assert price_text(tick) == text
    change = json.loads(market_messages.tick_size_change(market, UP_TOKEN, 100, tick, T0))
    assert change["new_tick_size"] == text
    book = BookText(market, [(2 * tick, 10**7)], [], T0)
    assert json.loads(book.dump(UP))["tick_size"] == text
    assert f'"tick_size":"{text}"' in book.summary(DOWN)


@pytest.mark.conforms("feeds-12.1-both-outcomes")
async def test_a_venue_may_send_only_what_was_asked_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The other reading of feeds.md 2.3: entries, books and ticks of one's own tokens alone."""
    kit = ClobKit(terms=Terms(both_outcomes=False))
    up = await watcher(kit, nursery, UP_TOKEN, custom_feature_enabled=True)
    down = await watcher(kit, nursery, DOWN_TOKEN)
    both = await watcher(kit, nursery, UP_TOKEN, DOWN_TOKEN)
    kit.crowd(SELL, UP_TOKEN, 5200, 10)
    kit.crowd(BUY, UP_TOKEN, 5500, 6)
    kit.engine.change_tick(kit.market, 10, T0)
    heard = up.take()
    assert kinds(heard) == [
        "price_change", "best_bid_ask", "price_change", "book", "tick_size_change",
        "tick_size_change",
    ]  # fmt: skip
    for message in heard:
        entries = message.get("price_changes", [message])
        assert {entry["asset_id"] for entry in entries} == {UP_TOKEN}
    for message in down.take():
        entries = message.get("price_changes", [message])
        assert {entry["asset_id"] for entry in entries} == {DOWN_TOKEN}
    assert len(both.take()[0]["price_changes"]) == 2
