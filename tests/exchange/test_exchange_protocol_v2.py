"""Markets of Protocol V2: their ids, their metadata, and their whole life on every wire."""

from __future__ import annotations

import json
import random
from typing import Any

import attrs
import pytest
import trio
from clob_kit import ClobKit, Wallet, make_market
from engine_kit import Kit
from hypothesis import given, strategies as st
from polymarket._internal import protocol as sdk
from polymarket.models.gamma.market import Market as SdkMarket
from polymarket.models.types import to_market_condition_id
from trio.testing import MockClock
from wire_kit import Wire

from polybot.exchange import contracts
from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.engine import Engine
from polybot.exchange.gamma_figures import GammaFigures
from polybot.exchange.gamma_objects import GammaObjects, _oracle_ids
from polybot.exchange.identities import full_condition_id, identity, position_ids
from polybot.exchange.invariants import check
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import BUY, DOWN, SELL, UP, Accepted, Kind, Market, Phase
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.oracle import Oracle
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

START = 1_795_132_800_000
SEEN = "663574927012476832975694178961957910328055987427402067619466963999000625152"


@given(st.integers(0), st.sampled_from([1, 2, 3]))
def test_position_ids_are_structured_as_the_sdk_reads_them(number: int, module: int) -> None:
    """module | hash | arity | zeros in bits 40…103 | chain | condition | outcome (clob.md 3.2)."""
    up, down = position_ids(number, module)
    for outcome, one in enumerate((up, down)):
        assert sdk.is_v2_position_id(one)
        decoded = sdk.decode_v2_outcome_position_id(one)
        assert decoded.outcome_index == outcome
        assert decoded.condition_id == f"0x{int(up):064x}"[:-2]
    assert int(up) >> 248 == module


def test_the_one_id_seen_has_this_layout() -> None:
    """clob.md 2.3's position is what `position_ids` makes of its hash."""
    hash_128 = int(SEEN) >> 120 & (1 << 128) - 1
    assert position_ids(hash_128, 1)[0] == SEEN


def test_conditions_are_shown_padded() -> None:
    """31 bytes padded on the right with 00 (clob.md 3.2); the SDK pads the same way."""
    ids = identity(1, "some-slug", "v2")
    short = ids.condition_id[:-2]
    assert len(ids.condition_id) == 66
    assert ids.condition_id.startswith("0x01")
    assert int(ids.condition_id, 16) == int(ids.tokens[UP])
    assert full_condition_id(short) == to_market_condition_id(short) == ids.condition_id
    assert full_condition_id(ids.condition_id) == ids.condition_id
    assert full_condition_id("0x" + "ab" * 31) == "0x" + "ab" * 31
    assert identity(1, "some-slug", "v2", neg_risk=True).condition_id.startswith("0x02")


def test_v1_tokens_are_no_position_ids() -> None:
    """The SDK picks the exchange by the id alone, so v1 tokens must not look like v2 (3.2)."""
    for slug in map(str, range(200)):
        ids = identity(7, slug, "v1")
        assert not any(map(sdk.is_v2_position_id, ids.tokens))
        assert all(map(sdk.is_v2_position_id, ids.others))


def versions(protocol: str, seed: int = 1) -> list[str]:
    series, terms = SERIES["btc-5m"], Terms(protocol=protocol)
    starts = range(START, START + 100 * 300_000, 300_000)
    return [market_for(series, start, seed, terms).version for start in starts]


def test_the_term_decides_which_protocol_windows_use() -> None:
    """All v1, all v2, or drawn per window from the seed (clob.md 3.2 leaves it open)."""
    assert set(versions("v1")) == {"v1"}
    assert set(versions("v2")) == {"v2"}
    mixed = versions("mixed")
    assert 30 < mixed.count("v2") < 70
    assert mixed == versions("mixed")
    assert mixed != versions("mixed", seed=2)
    with pytest.raises(ValueError, match="protocol"):
        Terms(protocol="v3")


# --- Gamma ---------------------------------------------------------------------------------


def shown(terms: Terms) -> list[tuple[Market, dict[str, Any]]]:
    """Gamma's objects of a day of windows."""
    engine = Engine(rng=random.Random(1))
    source = SyntheticSource(1, START, {"btc": 90_000.0})
    oracle = Oracle(source, ["btc"], START, random.Random(2))
    series = [SERIES["btc-15m"]]
    lifecycle = Lifecycle(engine, oracle, series, random.Random(3), START, terms=terms)
    objects = GammaObjects(lifecycle, GammaFigures(engine, gaps=True))
    return [(m, objects.market(m, START)) for m in lifecycle.by_slug.values()]


@pytest.mark.conforms("clob-3.2-position-ids")
def test_v2_markets_trade_their_position_ids() -> None:
    """`positionIds` is a true array; `clobTokenIds` may be there, too, or not (clob.md 3.2)."""
    rows = shown(Terms(protocol="v2"))
    with_tokens = 0
    for market, row in rows:
        assert row["version"] == "v2"
        assert row["positionIds"] == list(market.tokens)
        assert row["conditionId"] == market.condition_id
        assert row["requestId"] == market.condition_id
        assert row["onchainEventId"].endswith("000000")
        assert row["resolutionStatus"] == "active"
        if "clobTokenIds" in row:
            with_tokens += 1
            assert not set(json.loads(row["clobTokenIds"])) & set(market.tokens)
        parsed = SdkMarket.model_validate(row)
        outcomes = parsed.outcomes
        assert (outcomes.yes.position_id, outcomes.no.position_id) == market.tokens
        assert parsed.condition_id == market.condition_id
    assert 10 < with_tokens < len(rows) - 10


def test_some_v1_markets_carry_position_ids_that_look_right() -> None:
    """A third of them: well-formed ids for which no book exists (feeds.md 8.4)."""
    rows = shown(Terms())
    carrying = [(m, row["positionIds"]) for m, row in rows if "positionIds" in row]
    assert 0.2 < len(carrying) / len(rows) < 0.5
    for market, positions in carrying:
        assert all(map(sdk.is_v2_position_id, positions))
        assert not set(positions) & set(market.tokens)
        assert "resolutionStatus" not in dict(rows[0][1])


@pytest.mark.parametrize(
    ("phase", "status"),
    [(Phase.LISTED, "inactive"), (Phase.OPEN, "active"), (Phase.RESOLVED, "resolved")],
)
def test_the_resolution_status_of_v2(phase: Phase, status: str) -> None:
    """inactive, active, resolved (feeds.md 8.4)."""
    market = make_market(version="v2", condition_id="0x01" + "0" * 62, phase=phase)
    assert _oracle_ids(market)["resolutionStatus"] == status


# --- the CLOB ------------------------------------------------------------------------------

IDS = identity(1, "btc-updown-5m-1795132800", "v2")


@pytest.fixture
async def kit(autojump_clock: MockClock) -> ClobKit:
    """One V2 market; `ann` and `bob` sign for Exchange V3."""
    kit = ClobKit(version="v2", condition_id=IDS.condition_id, tokens=IDS.tokens)
    for name, byte in (("ann", 0x11), ("bob", 0x22)):
        setattr(kit, name, Wallet(byte, contract=contracts.EXCHANGE_V3, version="3"))
    return kit


@pytest.mark.conforms("clob-3.2-padded-condition", "clob-3.2-version-text")
async def test_the_clob_knows_the_padded_form_only(kit: ClobKit) -> None:
    """404 to the 62-hex form, 200 with `"v":"v2"` to the padded one (clob.md 3.2)."""
    status, reply = await kit.get(f"/clob-markets/{IDS.condition_id}")
    assert (status, reply["v"], reply["c"]) == (200, "v2", IDS.condition_id)
    assert [entry["t"] for entry in reply["t"]] == list(IDS.tokens)
    assert (await kit.get(f"/clob-markets/{IDS.condition_id[:-2]}"))[0] == 404
    status, book = await kit.get("/book", token_id=IDS.tokens[UP])
    assert (status, book["version"], book["market"]) == (200, "v2", IDS.condition_id)


async def test_orders_trade_and_cancel(kit: ClobKit) -> None:
    """Position ids in the field `tokenId`, the V3 domain, both widths to cancel (clob.md 3.2)."""
    up = IDS.tokens[UP]
    for condition in (IDS.condition_id, IDS.condition_id[:-2]):
        _, resting = await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, up, 50, 10))
        assert resting["status"] == "live"
        _, reply = await kit.call(kit.ann, "DELETE", "/cancel-market-orders", {"market": condition})
        assert reply["canceled"] == [resting["orderID"]]
    await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, up, 50, 10))
    _, taken = await kit.call(kit.bob, "POST", "/order", kit.bob.limit(SELL, up, 50, 10))
    assert (taken["status"], taken["takingAmount"]) == ("matched", "5")
    for condition in (IDS.condition_id, IDS.condition_id[:-2]):
        _, page = await kit.call(kit.ann, "GET", "/data/trades", market=condition)
        assert [row["asset_id"] for row in page["data"]] == [up]


async def test_timestamps_may_be_in_seconds(kit: ClobKit) -> None:
    """Orders of Exchange V3 may carry a timestamp in seconds (onchain.md 5)."""
    payload = kit.ann.order(BUY, IDS.tokens[UP], 5_000_000, 10 * UNIT, timestamp=START // 1000)
    status, reply = await kit.call(kit.ann, "POST", "/order", payload)
    assert (status, reply["status"]) == (200, "live")


@pytest.mark.parametrize("condition", [IDS.condition_id, IDS.condition_id[:-2]])
async def test_the_streams_carry_v2_markets(
    kit: ClobKit, nursery: trio.Nursery, condition: str
) -> None:
    """Books, deltas and own events by position id and padded condition; the user filter takes
    either width (clob.md 3.2); the hash of a delta is the one REST gives.
    """
    server, up = kit.server, IDS.tokens[UP]
    market, user = Wire(), Wire()
    nursery.start_soon(server._market_stream.session, market)
    nursery.start_soon(server._user_stream.session, user)
    (dump,) = await market.tell({"type": "market", "assets_ids": list(IDS.tokens)})
    assert [(book["asset_id"], book["market"]) for book in dump] == [
        (token, IDS.condition_id) for token in IDS.tokens
    ]
    creds = kit.ann.creds
    auth = {
        "apiKey": creds.api_key,
        "secret": creds.api_secret,
        "passphrase": creds.api_passphrase,
    }
    await user.tell({"type": "user", "auth": auth, "markets": [condition]})
    await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, up, 50, 10))
    (delta,) = market.take()
    _, book = await kit.get("/book", token_id=up)
    (change,) = [one for one in delta["price_changes"] if one["asset_id"] == up]
    assert (delta["market"], change["hash"]) == (IDS.condition_id, book["hash"])
    (placed,) = user.take()
    assert (placed["asset_id"], placed["market"]) == (up, IDS.condition_id)


# --- fill arithmetic -----------------------------------------------------------------------


@pytest.mark.conforms("clob-3.2-v3-arithmetic")
@given(
    price=st.integers(1, 99),
    dollars=st.integers(100, 20_000),
    other=st.integers(1, 99),
    sizes=st.lists(st.integers(500, 5_000), min_size=1, max_size=4),
)
def test_v3_fills_follow_from_what_the_maker_gives(
    price: int, dollars: int, other: int, sizes: list[int]
) -> None:
    """Each maker gets floor(given · takerAmount / makerAmount) base units (clob.md 3.2), whether
    it gives shares or pUSD; and nothing is left that no fill could ever take.
    """
    kit = Kit(version="v2")
    for number, lots in enumerate(sizes):
        side, outcome, cents = (SELL, UP, price) if number % 2 else (BUY, DOWN, 100 - price)
        kit.place("ann", side, outcome, cents, lots / 100)
    taker = kit.spend("bob", UP, max(price, other), dollars / 100)
    reply = kit.send(taker)
    if not isinstance(reply, Accepted):
        return
    for trade in kit.engine.trades.values():
        for fill in trade.makers:
            _follows(fill.order.side, fill.order.price, fill.shares)
            assert fill.shares % 10_000 == 0
    check(kit.engine)


def _follows(side: str, price: int, shares: int) -> None:
    """The signed amounts of a one-lot order at this price give exactly the booked cash."""
    cash, rest = divmod(price * shares, ONE)
    assert not rest
    lot_cash = price * 10_000 // ONE
    given, wanted = (lot_cash, 10_000) if side == BUY else (10_000, lot_cash)
    gives, gets = (cash, shares) if side == BUY else (shares, cash)
    assert gives * wanted // given == gets


def test_a_whole_life_leaves_every_unit_accounted_for() -> None:
    """Mint, trade, resolve and redeem on a V2 market (onchain.md 6.2)."""
    kit = Kit(version="v2")
    kit.place("ann", BUY, DOWN, 36, 10)
    assert isinstance(kit.send(attrs.evolve(kit.spend("bob", UP, 64, 5), kind=Kind.FAK)), Accepted)
    assert kit.share_change("bob", UP) == 7_810_000  # $5 at 0.64 is 7.8125 shares: whole lots
    kit.advance(20_000)
    kit.engine.resolve_market(kit.market, UP, kit.now)
    for who in ("ann", "bob", "cy"):
        kit.engine.redeem(who, kit.market, kit.now)
    check(kit.engine)
