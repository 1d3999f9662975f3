"""Markets of the operator: listed, traded, re-ticked and resolved by admin calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clob_kit import SECRET, T0, Wallet, decoded
from hypothesis import given, settings, strategies as st
from polymarket._internal import protocol as sdk
from polymarket.models.gamma.event import Event as SdkEvent
from polymarket.models.gamma.market import Market as SdkMarket
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.exchange import contracts, market_messages
from polybot.exchange.engine import GRACE_MS
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP
from polybot.exchange.money import UNIT
from polybot.exchange.request import Request
from polybot.exchange.server import Exchange
from polybot.exchange.world import make_world

ELECTION = {
    "slug": "will-it-rain-in-paris",
    "question": "Will it rain in Paris on December 31?",
    "end": "2026-12-31T00:00:00Z",
}


class Venue:
    """A whole exchange without sockets, spoken to through its services."""

    def __init__(self) -> None:
        world = make_world("synthetic", seed=1, start_ms=T0, series=["btc-5m"], intensity=0.01)
        self.exchange = Exchange(world, Clock.starting_at(T0), 1)
        services = {names[0]: service for names, service in self.exchange.services()}
        self._gamma, self._admin = services["gamma http"], services["admin http"]

    async def admin(self, path: str, body: object) -> tuple[int, Any]:
        assert self._admin.http is not None
        request = Request("POST", path, {}, {}, json.dumps(body).encode())
        return decoded(await self._admin.http(request))

    async def gamma(self, path: str, **query: str) -> Any:
        assert self._gamma.http is not None
        status, reply = decoded(await self._gamma.http(Request("GET", path, query, {}, b"")))
        assert status == 200, reply
        return reply

    async def clob(self, path: str, **query: str) -> tuple[int, Any]:
        return decoded(await self.exchange.clob.handle(Request("GET", path, query, {}, b"")))

    async def place(self, wallet: Wallet, order: dict[str, Any]) -> tuple[int, Any]:
        request = wallet.request("POST", "/order", order)
        return decoded(await self.exchange.clob.handle(request))

    def fund(self, wallet: Wallet) -> None:
        creds = wallet.creds
        self.exchange.clob.keys.add_key(wallet.address, creds.api_key, SECRET, creds.api_passphrase)
        self.exchange.engine.accounts.deposit(wallet.address, 1_000 * UNIT)


@pytest.fixture
async def venue(autojump_clock: MockClock) -> Venue:
    return Venue()


async def listed(venue: Venue, **changes: object) -> dict[str, Any]:
    status, reply = await venue.admin("/markets", ELECTION | changes)
    assert status == 200, reply
    return dict(reply)


@pytest.mark.conforms("clob-6.1-fee-categories")
@pytest.mark.parametrize(
    ("category", "rate", "share"),
    [("crypto", 0.07, 20), ("sports", 0.05, 15), ("politics", 0.04, 25), ("geopolitics", 0, 25)],
)
async def test_a_category_brings_its_own_fees(
    venue: Venue, category: str, rate: float, share: int
) -> None:
    """The taker's rate and the makers' share go by the market's category (clob.md 6.1)."""
    shown = await listed(venue, category=category)
    _, terms = await venue.clob(f"/clob-markets/{shown['condition_id']}")
    assert terms.get("fd", {"r": 0})["r"] == rate
    if not rate:
        return
    engine, rebates = venue.exchange.engine, venue.exchange.clob.rebates
    ann, bob = Wallet(0x11), Wallet(0x22)
    market = engine.markets[shown["condition_id"]]
    for wallet in (ann, bob):
        venue.fund(wallet)
        engine.split(wallet.address, market, 200 * UNIT, T0)
    assert (await venue.place(ann, ann.limit(BUY, market.tokens[UP], 50, 100)))[0] == 200
    assert (await venue.place(bob, bob.limit(SELL, market.tokens[UP], 50, 100)))[0] == 200

    fee = round(100 * rate * 0.25 * UNIT)
    assert engine.accounts.fees == fee
    assert rebates.accrued(ann.address) == fee * share // 100


@pytest.mark.parametrize(("category", "share"), [("crypto", 20), ("sports", 15), ("politics", 25)])
async def test_a_category_tells_the_share_that_it_pays(
    venue: Venue, category: str, share: int
) -> None:
    """Gamma's `rebateRate` and the listing's are the official source of the makers' share (clob.md
    6.1): told as crypto's of every market, a maker reckoned with a rebate that nobody paid.
    """
    shown = await listed(venue, category=category)
    row = await venue.gamma(f"/markets/slug/{ELECTION['slug']}")
    assert row["feeSchedule"]["rebateRate"] == share / 100
    market = venue.exchange.engine.markets[shown["condition_id"]]
    told = json.loads(market_messages.new_market(market, T0))
    assert told["fee_schedule"]["rebate_rate"] == f"{share / 100:g}"


async def test_an_unknown_category_is_told(venue: Venue) -> None:
    """A category nobody has heard of is a fault of the request."""
    status, reply = await venue.admin("/markets", ELECTION | {"category": "moon"})

    assert status == 400
    assert "category" in reply["error"]


async def test_a_market_about_anything_is_on_gamma_and_clob(venue: Venue) -> None:
    """Listed with its defaults, it has a book, a Gamma market and event, and no series (5.2)."""
    shown = await listed(venue, description="As measured by Meteo France.")
    row = await venue.gamma(f"/markets/slug/{ELECTION['slug']}")
    assert json.loads(row["outcomes"]) == shown["outcomes"] == ["Yes", "No"]
    assert json.loads(row["clobTokenIds"]) == shown["tokens"]
    assert (row["description"], row["feesEnabled"]) == ("As measured by Meteo France.", False)
    assert "cryptoMarketConfig" not in row
    assert "feeSchedule" not in row
    SdkMarket.model_validate(row)
    event = await venue.gamma(f"/events/slug/{ELECTION['slug']}")
    assert event["series"] == []
    SdkEvent.model_validate(event)
    status, short = await venue.clob(f"/clob-markets/{shown['condition_id']}")
    assert (status, short["mos"], short["mts"], short["mbf"]) == (200, 5, 0.01, 0)
    assert not {"fd", "nr", "itode"} & set(short)
    assert (await venue.clob("/book", token_id=shown["tokens"][UP]))[0] == 200
    assert (await venue.gamma("/markets", series_id="10684", limit="100"))[0]["slug"] != row["slug"]


KINDS: dict[str, tuple[dict[str, object], str, str]] = {
    "normal": ({}, contracts.EXCHANGE, "2"),
    "neg-risk": ({"neg_risk": True}, contracts.NEG_RISK_EXCHANGE, "2"),
    "v2": ({"version": "v2"}, contracts.EXCHANGE_V3, "3"),
    "v2 neg-risk": ({"version": "v2", "neg_risk": True}, contracts.EXCHANGE_V3, "3"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_it_trades_and_resolves(venue: Venue, name: str) -> None:
    """Each kind under its own exchange (clob.md 3.2), to the winner the operator names."""
    changes, contract, version = KINDS[name]
    shown = await listed(venue, fee_rate="0.04", **changes)
    ann, bob = (Wallet(b, contract=contract, version=version) for b in (0x11, 0x22))
    venue.fund(ann)
    venue.fund(bob)
    yes, no = shown["tokens"]
    assert sdk.is_v2_position_id(yes) == (version == "3")
    if changes.get("neg_risk"):
        assert shown["condition_id"].startswith("0x02") == (version == "3")
    assert (await venue.place(ann, ann.limit(BUY, no, 40, 10)))[1]["status"] == "live"
    status, reply = await venue.place(bob, bob.limit(BUY, yes, 60, 10))
    assert (status, reply["status"], reply["makingAmount"]) == (200, "matched", "6")
    engine = venue.exchange.engine
    assert engine.accounts.fees == 96_000  # 10 · 0.04 · 0.6 · 0.4
    check(engine)

    market = engine.by_token[yes]
    status, done = await venue.admin(
        "/markets/resolve", {"market": shown["condition_id"], "winner": "No"}
    )
    assert (status, done["phase"], done["winner"]) == (200, "resolved", "No")
    assert market.winner == DOWN
    row = await venue.gamma(f"/markets/slug/{ELECTION['slug']}")
    assert (row["closed"], json.loads(row["outcomePrices"])) == (True, ["0", "1"])
    engine.advance(T0 + 5_000)  # the trade is in a block
    assert engine.redeem(ann.address, market, engine.now_ms) == 10 * UNIT
    assert (await venue.clob("/book", token_id=yes))[0] == 404
    check(engine)


async def test_a_fraction_of_a_share_can_be_the_minimum(venue: Venue) -> None:
    """Ticks and minimum sizes are per market (clob.md 3.4, 3.8)."""
    shown = await listed(venue, min_size="0.5", tick=0.0025, outcomes=["Rain", "Sun"])
    _, short = await venue.clob(f"/clob-markets/{shown['condition_id']}")
    assert (short["mos"], short["mts"]) == (0.5, 0.0025)
    assert [entry["o"] for entry in short["t"]] == ["Rain", "Sun"]


@pytest.mark.conforms("clob-3.8-tick-follows")
async def test_the_operator_moves_the_tick(venue: Venue) -> None:
    """Finer and back; what rests off the coarse grid stays, new orders obey it (clob.md 3.8)."""
    shown = await listed(venue)
    ann = Wallet(0x11)
    venue.fund(ann)
    yes = shown["tokens"][UP]
    fine = {"market": ELECTION["slug"], "tick": "0.001"}
    assert (await venue.admin("/markets/tick", fine))[1]["tick"] == "0.001"
    assert await venue.clob("/tick-size", token_id=yes) == (200, {"minimum_tick_size": 0.001})
    assert (await venue.clob(f"/clob-markets/{shown['condition_id']}"))[1]["mts"] == 0.001
    row = await venue.gamma(f"/markets/slug/{ELECTION['slug']}")
    assert row["orderPriceMinTickSize"] == 0.001
    order = ann.order(BUY, yes, 4_010_000, 10 * UNIT)
    assert (await venue.place(ann, order))[1]["status"] == "live"
    coarse = fine | {"tick": "0.01"}
    assert (await venue.admin("/markets/tick", coarse))[0] == 200
    _, book = await venue.clob("/book", token_id=yes)
    assert (book["tick_size"], book["bids"]) == ("0.01", [{"price": "0.401", "size": "10"}])
    status, reply = await venue.place(ann, ann.order(BUY, yes, 4_020_000, 10 * UNIT))
    assert status == 400
    assert reply["error"].endswith("Price (0.402) breaks minimum tick size rule: 0.01")
    assert (await venue.admin("/markets/tick", coarse))[0] == 200  # no change, no event


@pytest.mark.conforms("clob-5.2-stale-tick")
async def test_the_long_form_keeps_the_tick_of_the_listing(venue: Venue) -> None:
    """`GET /markets/{condition}` was seen stale after a tick change (clob.md 3.8): whoever sets his
    grid by it must be wrong here, too.
    """
    shown = await listed(venue)
    condition = shown["condition_id"]
    fine = {"market": ELECTION["slug"], "tick": "0.001"}
    assert (await venue.admin("/markets/tick", fine))[1]["tick"] == "0.001"
    assert (await venue.clob(f"/markets/{condition}"))[1]["minimum_tick_size"] == 0.01
    assert (await venue.clob(f"/clob-markets/{condition}"))[1]["mts"] == 0.001


FAULTS: list[tuple[dict[str, object], str]] = [
    ({"slug": ""}, "slug"),
    ({"slug": "Upper Case"}, "slug"),
    ({"slug": 5}, "slug"),
    ({"question": None}, "question"),
    ({"end": "soon"}, "end"),
    ({"end": "2026-12-31T00:00:00"}, "end"),
    ({"end": 5}, "end"),
    ({"tick": "0.02"}, "tick"),
    ({"tick": 0.00001}, "tick"),
    ({"tick": True}, "tick"),
    ({"min_size": "0.001"}, "min_size"),
    ({"min_size": "-5"}, "min_size"),
    ({"min_size": "NaN"}, "min_size"),
    ({"neg_risk": "no"}, "neg_risk"),
    ({"version": "v3"}, "version"),
    ({"fee_rate": "1.5"}, "fee_rate"),
    ({"taker_delay_ms": -1}, "taker_delay_ms"),
    ({"taker_delay_ms": 60_001}, "taker_delay_ms"),
    ({"outcomes": ["Yes"]}, "outcomes"),
    ({"outcomes": ["Yes", "Yes"]}, "outcomes"),
    ({"outcomes": "Yes,No"}, "outcomes"),
    ({"owner": "me"}, "owner"),
]


@pytest.mark.parametrize(("changes", "named"), FAULTS)
async def test_what_cannot_be_listed(venue: Venue, changes: dict[str, object], named: str) -> None:
    """A request with a fault lists nothing and names the field."""
    before = len(venue.exchange.engine.markets)
    status, reply = await venue.admin("/markets", ELECTION | changes)
    assert (status, len(venue.exchange.engine.markets)) == (400, before)
    assert reply["error"].startswith(named), reply


async def test_all_faults_are_told_at_once(venue: Venue) -> None:
    """One answer names every field that is wrong."""
    _, reply = await venue.admin("/markets", {"slug": "a", "tick": "1", "when": "now"})
    assert [part.split(":")[0] for part in reply["error"].split("; ")] == [
        "question", "end", "tick", "when",
    ]  # fmt: skip


async def test_a_seconds_delay_shows(venue: Venue) -> None:
    """The hold of sports markets is on Gamma and in the long form (clob.md 3.6)."""
    shown = await listed(venue, seconds_delay=3)
    assert (await venue.gamma(f"/markets/slug/{shown['slug']}"))["secondsDelay"] == 3
    _, form = await venue.clob(f"/markets/{shown['condition_id']}")
    assert form["seconds_delay"] == 3


async def test_what_is_long_resolved_is_forgotten(venue: Venue) -> None:
    """Orders go with the next listing after the grace; the market stays for its shares."""
    shown = await listed(venue)
    ann, engine = Wallet(0x11), venue.exchange.engine
    venue.fund(ann)
    await venue.place(ann, ann.limit(BUY, shown["tokens"][UP], 40, 10))
    await venue.admin("/markets/resolve", {"market": shown["slug"], "winner": "Yes"})
    engine.advance(T0 + GRACE_MS - 1)
    await listed(venue, slug="second")
    assert [one for one in engine.orders.values() if one.owner == ann.creds.api_key]
    engine.advance(T0 + 2 * GRACE_MS)
    await listed(venue, slug="third")
    assert not [one for one in engine.orders.values() if one.owner == ann.creds.api_key]
    assert shown["condition_id"] in engine.markets


async def test_a_name_is_given_once(venue: Venue) -> None:
    """A slug that is taken is refused, whoever has it."""
    await listed(venue)
    assert (await venue.admin("/markets", ELECTION))[0] == 400
    window = next(iter(venue.exchange.lifecycle.by_slug))
    assert (await venue.admin("/markets", ELECTION | {"slug": window}))[0] == 400


def _wrong_calls(window: str) -> Iterator[tuple[str, dict[str, object]]]:
    yield "/markets/resolve", {"market": "nothing", "winner": "Yes"}
    yield "/markets/resolve", {"market": ELECTION["slug"], "winner": "Maybe"}
    yield "/markets/resolve", {"market": ELECTION["slug"]}
    yield "/markets/resolve", {"market": window, "winner": "Up"}
    yield "/markets/tick", {"market": ELECTION["slug"], "tick": "0.02"}
    yield "/markets/tick", {"market": ELECTION["slug"]}
    yield "/markets/tick", {"market": ELECTION["slug"], "tick": "0.01", "more": 1}


async def test_wrong_calls_change_nothing(venue: Venue) -> None:
    """Unknown markets, ticks and winners; a window's own series decides it."""
    shown = await listed(venue)
    window = next(iter(venue.exchange.lifecycle.by_slug))
    for path, body in _wrong_calls(window):
        assert (await venue.admin(path, body))[0] == 400, body
    done = {"market": shown["slug"], "winner": "Yes"}
    assert (await venue.admin("/markets/resolve", done))[0] == 200
    assert (await venue.admin("/markets/resolve", done))[0] == 400
    assert (await venue.admin("/markets/tick", {"market": shown["slug"], "tick": "0.1"}))[0] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(
    field=st.sampled_from([*ELECTION, "tick", "min_size", "fee_rate", "outcomes", "x"]), value=JSON
)
@settings(max_examples=80, deadline=None)
async def test_no_json_breaks_a_listing(field: str, value: object) -> None:
    """Any value in any field is listed or refused, never an exception."""
    body = ELECTION | {field: value}
    status, _ = await SHARED.admin("/markets", body)
    assert status in {200, 400}
    assert (await SHARED.admin("/markets", value))[0] == 400


class _Shared:
    """One venue for all examples of a property."""

    venue: Venue | None = None

    async def admin(self, path: str, body: object) -> tuple[int, Any]:
        self.venue = self.venue or Venue()
        return await self.venue.admin(path, body)


SHARED = _Shared()
