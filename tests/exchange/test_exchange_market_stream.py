"""What a subscriber of the market channel hears, message by message."""

from __future__ import annotations

import json

import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, Wallet, make_market
from hypothesis import given, settings, strategies as st
from polymarket.models.clob.market_events import parse_market_event
from wire_kit import Wire, kinds

from polybot.exchange import market_messages
from polybot.exchange.book_wire import BookText
from polybot.exchange.gamma_objects import description, event_id
from polybot.exchange.model import BUY, DOWN, SELL, UP, LevelChanged, TickChanged


def subscription(*tokens: str, **more: object) -> dict[str, object]:
    return {"type": "market", "assets_ids": list(tokens), **more}


async def watcher(kit: ClobKit, nursery: trio.Nursery, *tokens: str, **more: object) -> Wire:
    """A session subscribed to `tokens`, its dump already taken."""
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    await wire.tell(subscription(*tokens, **more))
    return wire


@pytest.mark.conforms(
    "feeds-12.1-dump-one-frame",
    "feeds-12.1-unknown-ids",
    "feeds-12.1-no-new-assets",
    "feeds-12.1-pong",
    "feeds-12.1-subscribe-more",
    "feeds-12.1-unsubscribe",
)
async def test_the_dialogue_of_subscribing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Dump, duplicates, unknown tokens, pings and unsubscribing (feeds.md 2.1)."""
    kit = ClobKit()
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    assert await wire.tell("PING") == ["PONG"]
    (dump,) = await wire.tell(subscription(UP_TOKEN, DOWN_TOKEN))
    assert [book["asset_id"] for book in dump] == [UP_TOKEN, DOWN_TOKEN]
    assert await wire.tell(subscription(UP_TOKEN)) == ["NO NEW ASSETS"]
    more = {"operation": "subscribe", "assets_ids": ["999"]}
    assert await wire.tell(more) == [[]]
    assert await wire.tell({"operation": "unsubscribe", "assets_ids": [UP_TOKEN, "999"]}) == []
    (again,) = await wire.tell({"operation": "subscribe", "assets_ids": [UP_TOKEN]})
    assert [book["asset_id"] for book in again] == [UP_TOKEN]


@pytest.mark.conforms("feeds-12.1-dump-off")
async def test_the_dump_can_be_declined(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """`initial_dump: false` subscribes without snapshots."""
    kit = ClobKit()
    wire = Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    assert await wire.tell(subscription(UP_TOKEN, initial_dump=False)) == []
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert kinds(wire.take()) == ["price_change"]


@pytest.mark.conforms("feeds-12.1-both-outcomes", "feeds-12.1-mirrored")
async def test_a_subscription_to_one_token_hears_both_sides(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Whichever token the order was for, the delta has Up's entry and Down's."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, DOWN_TOKEN)
    kit.crowd(SELL, DOWN_TOKEN, 4700, 10)
    (message,) = wire.take()
    entries = [(e["asset_id"], e["side"], e["price"]) for e in message["price_changes"]]
    assert entries == [(UP_TOKEN, BUY, "0.53"), (DOWN_TOKEN, SELL, "0.47")]


@pytest.mark.conforms("feeds-12.1-two-books", "feeds-12.1-print-late", "feeds-12.1-print-text")
async def test_a_trade_is_delta_two_books_and_a_later_print(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    """The books come at once, the print 70 to 90 ms later with the match's own stamp."""
    kit = ClobKit()
    nursery.start_soon(kit.server.run)
    kit.crowd(SELL, UP_TOKEN, 5200, 10)
    wire = await watcher(kit, nursery, UP_TOKEN, DOWN_TOKEN)
    kit.crowd(BUY, UP_TOKEN, 5500, 6)
    messages = wire.take()
    assert kinds(messages) == ["price_change", "book", "book"]
    assert [m["asset_id"] for m in messages[1:]] == [UP_TOKEN, DOWN_TOKEN]
    assert messages[1]["asks"] == [{"price": "0.52", "size": "4"}]
    entries = messages[0]["price_changes"]
    assert [e["hash"] for e in entries] == [m["hash"] for m in messages[1:]]
    mock_clock.jump(0.069)
    await trio.testing.wait_all_tasks_blocked()
    assert wire.take() == []
    mock_clock.jump(0.022)
    await trio.testing.wait_all_tasks_blocked()
    (printed,) = wire.take()
    assert (printed["price"], printed["size"], printed["side"]) == ("0.52", "6", BUY)
    assert (printed["asset_id"], printed["timestamp"]) == (UP_TOKEN, str(T0))


@pytest.mark.conforms("feeds-12.1-rest-agrees")
async def test_deltas_and_books_agree_with_rest(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The last delta's hash and stamp are those of `GET /book`."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)
    for price in (5000, 4900, 5100):
        kit.crowd(BUY, UP_TOKEN, price, 10)
    last = wire.take()[-1]
    for entry in last["price_changes"]:
        status, book = await kit.get("/book", token_id=entry["asset_id"])
        assert status == 200
        assert (book["hash"], book["timestamp"]) == (entry["hash"], last["timestamp"])


@pytest.mark.conforms(
    "feeds-12.1-best-bid-ask", "feeds-12.1-custom-off", "feeds-12.1-no-new-assets"
)
async def test_the_custom_flag_adds_best_prices_and_can_be_toggled(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Only when the top changes; naming an active token again switches the flag (feeds.md 2.1)."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert kinds(wire.take()) == ["price_change"]
    assert await wire.tell(subscription(UP_TOKEN, custom_feature_enabled=True)) == ["NO NEW ASSETS"]
    kit.crowd(BUY, UP_TOKEN, 4000, 10)
    assert kinds(wire.take()) == ["price_change"]
    kit.crowd(BUY, UP_TOKEN, 5100, 10)
    messages = wire.take()
    assert kinds(messages) == ["price_change", "best_bid_ask", "best_bid_ask"]
    assert (messages[1]["best_bid"], messages[2]["best_ask"]) == ("0.51", "0.49")


@pytest.mark.conforms("feeds-12.1-tick-twice", "feeds-12.1-tick-in-hash")
async def test_a_tick_change_is_told_twice_for_each_token(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """And the new tick is in the next hash."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)
    kit.engine.change_tick(kit.market, 10, T0 + 5)
    messages = wire.take()
    assert kinds(messages) == ["tick_size_change"] * 4
    assert [m["asset_id"] for m in messages] == [UP_TOKEN] * 2 + [DOWN_TOKEN] * 2
    assert (messages[0]["old_tick_size"], messages[0]["new_tick_size"]) == ("0.01", "0.001")
    _, book = await kit.get("/book", token_id=UP_TOKEN)
    assert (book["tick_size"], book["timestamp"]) == ("0.001", str(T0 + 5))


@pytest.mark.conforms(
    "feeds-12.1-new-market",
    "feeds-12.1-market-resolved",
    "feeds-12.1-custom-off",
    "clob-8-no-closed-push",
)
async def test_listings_and_results_are_custom_events(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """new_market goes to all who want custom events, market_resolved to that market's watchers."""
    kit = ClobKit()
    plain = await watcher(kit, nursery, UP_TOKEN)
    custom = await watcher(kit, nursery, UP_TOKEN, custom_feature_enabled=True)
    lifecycle = await watcher(kit, nursery, custom_feature_enabled=True)
    other = make_market(condition_id="0x" + "ef" * 32, tokens=("5", "6"), slug="other")
    kit.engine.list_market(other, T0)
    kit.engine.close_market(kit.market, T0)
    kit.engine.resolve_market(kit.market, DOWN, T0 + 1)
    assert plain.take() == []
    assert kinds(lifecycle.take()) == kinds(told := custom.take())
    assert kinds(told) == ["new_market", "market_resolved"]
    assert told[0]["slug"] == "other"
    assert told[0]["description"] == description(other)  # as Gamma has it: the rule
    assert told[0]["event_message"]["id"] == event_id(other)
    assert (told[1]["winning_asset_id"], told[1]["winning_outcome"]) == (DOWN_TOKEN, "Down")
    kit.engine.resolve_market(other, UP, T0 + 2)
    assert kinds(custom.take()) == []
    assert kinds(lifecycle.take()) == ["market_resolved"]


async def test_a_delta_that_is_told_late_has_the_tick_of_its_moment(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """When acts follow each other at once, no delta is hashed with a tick not yet announced."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)

    def follow(event: object) -> None:
        if isinstance(event, LevelChanged) and not hashes:
            hashes.append("")
            kit.crowd(SELL, UP_TOKEN, 9700, 10)
            hashes.append(BookText(kit.market, *kit.engine.levels(UP_TOKEN), T0).hash(UP))
            kit.engine.change_tick(kit.market, 10, T0)

    hashes: list[str] = []
    kit.engine.listeners.append(follow)
    kit.crowd(BUY, UP_TOKEN, 9600, 10)
    heard = wire.take()
    assert kinds(heard) == 2 * ["price_change"] + 4 * ["tick_size_change"]
    assert heard[1]["price_changes"][0]["hash"] == hashes[1]


@pytest.mark.conforms("feeds-12.1-unknown-ids")
async def test_a_resolved_market_is_forgotten(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Subscribing to it gives the empty frame, and nothing of it is kept."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kit.engine.close_market(kit.market, T0)
    late = Wire()
    nursery.start_soon(kit.server._market_stream.session, late)
    assert await late.tell(subscription(UP_TOKEN)) == [[]]
    kit.engine.resolve_market(kit.market, UP, T0)
    wire.take()
    assert await wire.tell(subscription(UP_TOKEN)) == [[]]
    stream = kit.server._market_stream
    assert not stream._watched
    assert not stream._changed_ms


async def test_what_nobody_watches_is_not_laid_out(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Level texts live from the first watcher to the last."""
    kit = ClobKit()
    stream = kit.server._market_stream
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert not stream._watched
    one = await watcher(kit, nursery, UP_TOKEN)
    two = await watcher(kit, nursery, DOWN_TOKEN)
    assert len(stream._watched) == 1
    one.say.close()
    await trio.testing.wait_all_tasks_blocked()
    assert len(stream._watched) == 1
    await two.tell({"operation": "unsubscribe", "assets_ids": [DOWN_TOKEN]})
    assert not stream._watched
    assert len(stream._watchers) == 1


@pytest.mark.conforms("feeds-12.1-bad-first-frame")
@pytest.mark.parametrize(
    "noise", ["", "{", "[]", "5", "null", '{"assets_ids":5}', '{"type":"market","assets_ids":[1]}']
)
async def test_noise_is_ignored(
    noise: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A message that makes no sense changes nothing and gets no answer."""
    kit = ClobKit()
    wire = await watcher(kit, nursery, UP_TOKEN)
    assert await wire.tell(noise) == []
    assert len(await wire.tell(subscription(DOWN_TOKEN))) == 1


def test_the_official_sdk_reads_the_other_messages() -> None:
    """Ticks, listings and results parse with polymarket-client."""
    market = make_market()
    for text in (
        market_messages.tick_size_change(market, UP_TOKEN, 100, 10, T0),
        market_messages.new_market(market, T0),
        market_messages.market_resolved(market, UP, T0),
    ):
        parse_market_event(json.loads(text))


ACT = st.tuples(
    st.sampled_from([BUY, SELL]), st.sampled_from([UP_TOKEN, DOWN_TOKEN]),
    st.integers(1, 99).map(lambda cents: cents * 100), st.integers(5, 20),
)  # fmt: skip


@pytest.mark.conforms("feeds-12.1-delta-total")
@given(st.lists(ACT, min_size=1, max_size=25))
@settings(max_examples=25, deadline=None)
def test_a_client_that_applies_every_delta_has_the_book(
    acts: list[tuple[str, str, int, int]],
) -> None:
    """From the dump and the deltas alone, both books equal the exchange's after any trading."""

    async def follow() -> None:
        kit = ClobKit()
        async with trio.open_nursery() as nursery:
            wire = await watcher(kit, nursery, UP_TOKEN, DOWN_TOKEN)
            for act in acts:
                kit.crowd(*act)
            books: dict[tuple[str, str], dict[str, str]] = {}
            for message in wire.take():
                for entry in message.get("price_changes", []):
                    rows = books.setdefault((entry["asset_id"], entry["side"]), {})
                    rows[entry["price"]] = entry["size"]
            for token in (UP_TOKEN, DOWN_TOKEN):
                _, shown = await kit.get("/book", token_id=token)
                for side, name in ((BUY, "bids"), (SELL, "asks")):
                    mine = {p: s for p, s in books.get((token, side), {}).items() if s != "0"}
                    assert mine == {row["price"]: row["size"] for row in shown[name]}
            nursery.cancel_scope.cancel()

    trio.run(follow, clock=trio.testing.MockClock())


def test_tick_events_of_unwatched_markets_cost_nothing() -> None:
    """No watcher, no message."""

    async def main() -> None:
        kit = ClobKit()
        kit.server._market_stream.on_event(TickChanged(kit.market, 100, 10, T0))
        assert not kit.server._market_stream._watched
        assert Wallet(0x11).address == kit.ann.address

    trio.run(main)
