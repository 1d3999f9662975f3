"""The doctor before a venue: well when all is well, and each ill named with its remedy."""

from __future__ import annotations

import importlib
import random
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import orjson
import pytest
import trio
from shell_kit import HOUR_MS, Scene, scene
from venue_bent import Act, Handler, answer, changed

from polybot import launch
from polybot.clock import Clock
from polybot.config import JournalParams, LiveParams
from polybot.discovery import current_market
from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.exchange.net import Request, Response
from polybot.journal.entries import Halted, Known, Resolved
from polybot.journal.store import Store, live_journal_place
from polybot.operator import doctor
from polybot.operator.checks_here import (
    CHECKS as HERE,
    PROXIES,
    disk_space,
    halts,
    key_and_funder,
    shares,
)
from polybot.operator.checks_venue import CLOCK_LOOKS, contract, node
from polybot.operator.doctor import examine, in_turn
from polybot.operator.findings import Grade, json_text, text, well
from polybot.operator.patient import Patient
from polybot.operator.preflight import AGAIN_S, CHECKS as PREFLIGHT, preflight
from polybot.options import BotOptions
from polybot.patient_clock import PatientClock
from polybot.quoting.params import QuoteParams
from polybot.risk.limits import RiskParams
from polybot.secrets_file import ApiKey, LiveKeys
from polybot.venue.clob import ClobClient
from polybot.venue.data_reads import Position
from polybot.venue.secret import Secret

OTHER = "0x6Cd089333445c89b55B7693c6009DCc229613738"


@asynccontextmanager
async def patient() -> AsyncGenerator[tuple[Scene, Patient]]:
    """A venue in the middle of a window, a wallet, and no journal yet."""
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        ctx = it.bot.ctx
        yield (
            it,
            Patient(
                config=ctx.config,
                site=ctx.site,
                wallet=ctx.wallet,
                client=ctx.client,
                http=it.http,
                rng=random.Random(1),
                journal=it.journal.with_name("none yet"),
                owner="scene",
            ),
        )


async def test_all_is_well(fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check of the doctor passes on a sound venue, `--order` leaves nothing resting, and both
    forms of the report say so.
    """
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with patient() as (it, one):
        report = await examine(one, place_order=True)
        assert [n for n, f in report if f.grade is not Grade.OK] == []
        assert "fee 7 %, 20 % of it to makers" in dict(report)["windows"].found
        assert len(it.venue.placed()) == 1, "one order, sent once"
        assert it.venue.live == []

    assert text(report).endswith(f"{len(report)} checks, none failed\n")
    told = orjson.loads(json_text(report))
    assert told["ok"] is True
    assert {row["check"] for row in told["checks"]} >= {"geoblock", "far order", "heartbeat"}


def _set(key: str, value: object) -> Act:
    def change(body: dict[str, object]) -> None:
        body[key] = value

    return changed(change)


NO_ALLOWANCES = _set("allowances", {})
ILLS: list[tuple[str, str, str, Act, str]] = [
    ("API credentials", "GET", "/auth/api-keys", answer(401), "401"),
    ("API credentials", "GET", "/auth/api-keys", _set("apiKeys", []), "does not list"),
    ("closed-only flag", "GET", "/auth/ban-status", _set("closed_only", True), "only reduce"),
    ("closed-only flag", "GET", "/auth/ban-status", _set("closed_only", "no"), "unreadable"),
    ("clock", "GET", "/time", answer(200, b"1795000000"), "against the venue"),
    ("cash and sizes", "GET", "/balance-allowance", _set("balance", "4999999"), "4.999999 pUSD"),
    ("allowances", "GET", "/balance-allowance", NO_ALLOWANCES, "may not take our pUSD"),
    ("windows", "GET", "/clob-markets", answer(500), "500"),
    ("far order", "POST", "/order", answer(400, b'{"error": "no"}'), "refused"),
    ("heartbeat", "POST", "/v1/heartbeats", answer(503), "503"),
]


@pytest.mark.parametrize(("check", "method", "path", "act", "found"), ILLS)
async def test_an_ill_is_named(
    check: str, method: str, path: str, act: Act, found: str, fast_clock: PatientClock
) -> None:
    """Each thing that is wrong at the venue fails its check, with a remedy, and the doctor still
    runs to its end.
    """
    async with patient() as (it, one):
        it.venue.bend(method, path, act=act)
        report = dict(await examine(one, place_order=check == "far order"))

    assert report[check].grade is Grade.FAILED
    assert found in report[check].found
    assert report[check].remedy
    assert not well(list(report.items()))


async def no_shares(request: Request, handle: Handler) -> Response:
    """The exchange may take dollars and no shares."""
    if request.query.get("asset_type") != "CONDITIONAL":
        return await handle(request)
    return await NO_ALLOWANCES(request, handle)


@pytest.mark.parametrize(
    ("sell_held", "grade"),
    [("when short", Grade.FAILED), ("always", Grade.FAILED), ("never", Grade.WARNING)],
)
async def test_shares_that_may_not_be_sold(
    sell_held: str, grade: Grade, fast_clock: PatientClock
) -> None:
    """Where held shares are to be offered, an exchange that may not take them is no warning: every
    ask would be refused (clob.md 5.1). A live start asks the same.
    """
    async with patient() as (it, one):
        it.venue.bend("GET", "/balance-allowance", act=no_shares)
        quote = attrs.evolve(one.config.quote, sell_held=sell_held)
        one.config = attrs.evolve(one.config, quote=quote)
        report = dict(await examine(one, place_order=False))
        forbidden = await preflight(one)

    assert report["allowances"].grade is grade
    assert "may not take shares" in report["allowances"].found
    assert ('sell_held = "never"' in report["allowances"].remedy) is (grade is Grade.FAILED)
    assert (forbidden is not None) is (grade is Grade.FAILED)


async def test_a_blocked_place(fast_clock: PatientClock) -> None:
    """From a blocked country nothing may be placed: the probe's answer is a hard check (clob.md
    7.3), and a live start refuses on it.
    """
    async with patient() as (it, one):
        it.venue.clob.geoblock.country = "US"
        forbidden = await preflight(one)

    assert forbidden is not None
    assert [line.split(":")[0] for line in forbidden.why] == ["geoblock"]
    assert not forbidden.passing


@pytest.mark.parametrize("line", ["market_ws", "user_ws", "prices_ws", "binance_ws"])
async def test_a_stream_that_says_nothing(line: str, fast_clock: PatientClock) -> None:
    """A stream that connects and delivers nothing, or is not there, fails its check alone."""
    names = {"market_ws": "market stream", "user_ws": "user stream",
             "prices_ws": "PolyBolt prices", "binance_ws": "Binance prices"}  # fmt: skip
    async with patient() as (_, one):
        closed = attrs.evolve(one.site, **{line: "ws://127.0.0.1:9"})
        report = dict(await examine(attrs.evolve(one, site=closed), place_order=False))

    assert [n for n, f in report.items() if f.grade is Grade.FAILED] == [names[line]]


async def test_orders_that_rest_are_left_alone(fast_clock: PatientClock) -> None:
    """Where something rests no beat is sent, for its lapse would cancel that; a warning says so
    (clob.md 4.2).
    """
    async with patient() as (it, one):
        row = {"data": [{"id": "0x1", "status": "LIVE", "asset_id": "1", "market": "0x2",
                         "side": "BUY", "original_size": "5", "size_matched": "0", "price": "0.1",
                         "order_type": "GTC", "owner": "x"}], "next_cursor": "LTE="}  # fmt: skip
        it.venue.bend("GET", "/data/orders", act=answer(200, orjson.dumps(row)))
        report = dict(await examine(one, place_order=False))
        assert not it.venue.asked("POST", "/v1/heartbeats")

    assert report["heartbeat"].grade is report["open orders"].grade is Grade.WARNING


def _live(one: Patient, funder: str, kind: int) -> Patient:
    """The same wallet as a live configuration has it."""
    live = LiveParams(funder=funder, signature_type=kind)
    keys = LiveKeys(Secret("0x" + "11" * 32), funder, None)
    client = ClobClient(
        one.http, one.site, one.credentials, one.clock, funder=funder, signature_type=kind
    )
    return attrs.evolve(one, config=attrs.evolve(one.config, live=live, keys=keys), client=client)


async def test_a_funder_of_another_key(fast_clock: PatientClock) -> None:
    """Signature type and funder must be of one key: the own wallet is no proxy of itself, and the
    remedy names the address that would be right (onchain.md 5).
    """
    async with patient() as (_, one):
        assert (await key_and_funder(one)).grade is Grade.OK
        wrong = await key_and_funder(_live(one, OTHER, 1))

    assert wrong.grade is Grade.FAILED
    assert "its own would be 0x" in wrong.remedy


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_that_is_not_used(
    name: str, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is behind one is told that no connection takes it, and where nothing can be reached
    it is told beside that.
    """
    # The venue's package connects as its surroundings are when it is read, for the whole process.
    importlib.import_module("py_clob_client_v2.client")
    monkeypatch.setenv(name, "http://10.0.0.1:3128")
    async with patient() as (_, one):
        report = dict(await examine(one, place_order=False))

    class Nowhere:
        async def client(self, *_: object) -> Failure:
            return Failure("GET /auth/derive-api-key: ConnectError")

    told = dict(await doctor._examine(Nowhere(), 1.0, place_order=False))  # type: ignore[arg-type]
    assert report["proxies"] == told["proxies"]
    assert report["proxies"].grade is Grade.WARNING
    assert name in report["proxies"].found
    assert told["API credentials"].grade is Grade.FAILED


async def test_a_wallet_that_is_not_deployed(fast_clock: PatientClock) -> None:
    """The address of a deposit wallet is known, and may hold money, before there is a contract: a
    start is refused for it, and not for what only follows from it. A node that does not say may
    say so later.
    """
    async with patient() as (it, one):
        assert (await contract(one)).grade is Grade.OK, "a plain key needs none"
        deposit = it.venue.demo_wallets.deposit
        live = _live(one, deposit, 3)
        assert (await contract(live)).grade is Grade.OK
        it.venue.chain.chain.deployed.discard(deposit)
        forbidden = await preflight(live)
        it.venue.bend("POST", "", "/", act=answer(502), service="rpc")
        unknown = await contract(live)

    assert forbidden is not None
    assert not forbidden.passing
    assert any("wallet contract" in line and "not deployed" in line for line in forbidden.why)
    assert unknown.passing


async def test_sizes_that_cannot_trade(fast_clock: PatientClock) -> None:
    """A clip below the venue's minimum and limits below it are told before a start quotes nothing
    for hours.
    """
    async with patient() as (_, one):
        for part in (
            {"quote": QuoteParams(size_shares=4.0)},
            {"risk": RiskParams(max_order_shares=4)},
        ):
            config = attrs.evolve(one.config, **part)
            forbidden = await preflight(attrs.evolve(one, config=config))
            assert forbidden is not None
            assert [line.split(":")[0] for line in forbidden.why] == ["cash and sizes"]


async def test_journal_and_halts(fast_clock: PatientClock, tmp_path: Path) -> None:
    """A journal in use is a warning, somebody else's fails, and a halt on record fails with what to
    do about it; nothing is created by looking.
    """
    async with patient() as (it, one):
        report = dict(await in_turn(one, HERE))
        assert report["journal"].grade is report["halts"].grade is Grade.OK
        assert one.journal is not None
        assert not one.journal.exists()
        used = dict(await in_turn(attrs.evolve(one, journal=it.journal), HERE))
        assert "in use by process" in used["journal"].found
        store = it.bot.ctx.account.journal.store
        store.append([(1, Halted("foreign orders", "2 we did not place"))])
        store.close()
        ours = attrs.evolve(one, journal=it.journal)
        halted = await halts(ours)
        assert halted.grade is Grade.FAILED
        assert "rearm" in halted.remedy
        with closing(Store.open(it.journal, one.owner)) as again:
            again.append([(2, Resolved("0xgone", 1_000_000, "chain"))])
        untaken = dict(await in_turn(ours, HERE))["journal"]
        assert "of market 0xgone" in untaken.found
        assert "puts it aside" in untaken.remedy
        other = dict(await in_turn(attrs.evolve(ours, owner="somebody"), HERE))
        assert other["journal"].grade is Grade.FAILED


async def test_shares_that_no_journal_knows(fast_clock: PatientClock) -> None:
    """What a lost journal, or a hand, has left in the wallet is told with its worth; what ours
    knows is not, and an index that does not answer is a warning.
    """
    async with patient() as (it, one):
        assert (await shares(one)).grade is Grade.OK
        now_ms = it.venue.clock.now_ms()
        it.venue.engine.split(it.venue.demo_wallets.deposit, it.market, 5 * SHARE, now_ms)
        await trio.sleep(10)  # the index trails the chain
        strange = await shares(one)
        assert strange.grade is Grade.WARNING
        assert strange.found.startswith("shares worth 5 dollars")
        assert strange.found.endswith(it.market.slug)
        assert strange.remedy
        in_use = await shares(attrs.evolve(one, journal=it.journal))
        assert in_use.grade is Grade.OK
        assert "not looked at" in in_use.found
        gamma = one.rest(one.site.gamma)
        market = await current_market(one.client, gamma, "btc-5m", one.clock.now_ms())
        assert isinstance(market, Market)
        store = it.bot.ctx.account.journal.store
        store.append([(1, Known(market))])
        store.close()
        assert (await shares(attrs.evolve(one, journal=it.journal))).grade is Grade.OK
        nowhere = attrs.evolve(one.site, data="http://127.0.0.1:9")
        assert (await shares(attrs.evolve(one, site=nowhere))).grade is Grade.WARNING


async def test_strange_markets_are_counted_once(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up and Down of one are one; of many three are named, and how many more there are."""

    async def held(*_: object) -> list[Position]:
        return [Position(f"0x{n}", f"market-{n}", 500_000) for n in range(markets) for _ in "ud"]

    monkeypatch.setattr("polybot.operator.checks_here.positions", held)
    async with patient() as (_, one):
        markets = 2
        two = (await shares(one)).found
        markets = 5
        five = (await shares(one)).found

    assert two.endswith("worth 2 dollars that the journal does not know: market-0, market-1")
    assert five.endswith("market-0, market-1, market-2 and 2 more")


async def test_a_full_disk(fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room for a day of journal forbids a start (F66)."""
    async with patient() as (_, one):
        monkeypatch.setattr(
            "polybot.operator.checks_here.shutil.disk_usage",
            lambda _: attrs.make_class("Usage", {"free": attrs.field(default=10)})(),
        )
        assert (await disk_space(one)).grade is Grade.FAILED


def test_the_preflight_is_a_part_of_the_doctor() -> None:
    """The start looks at what can lose money at once, and at nothing that takes long."""
    assert [check.name for check in PREFLIGHT] == [
        "key and funder", "disk space", "API credentials", "closed-only flag", "geoblock", "clock",
        "cash and sizes", "allowances", "Polygon node", "wallet contract",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "paths", [("/balance-allowance",), ("/auth/api-keys",), ("/auth/ban-status/closed-only",)]
)
async def test_what_may_pass_is_waited_for(
    paths: tuple[str, ...], fast_clock: PatientClock
) -> None:
    """At night, after a crash, the venue may be away for a while as well: the start waits, looks
    again at what it could not read and at nothing else, and goes on.
    """
    async with patient() as (it, one):
        it.venue.bend("GET", *paths, act=answer(502), times=3)
        began = trio.current_time()

        assert await preflight(one) is None
        assert trio.current_time() - began >= AGAIN_S
        assert len(it.venue.asked("GET", "/time")) == CLOCK_LOOKS


@pytest.mark.parametrize(
    ("act", "grade", "passing", "found"),
    [
        (answer(401, b"tenant disabled"), Grade.FAILED, True, "tenant disabled"),
        (answer(200, b"<html>"), Grade.FAILED, True, "unreadable"),
        (answer(200, b'{"result": "0x1"}'), Grade.FAILED, False, "of chain 1, not of 137"),
        (answer(200, b'{"result": "0x89"}'), Grade.OK, False, "chain 137"),
    ],
    ids=["disabled", "a page", "another chain", "ours"],
)
async def test_the_node_must_be_of_our_chain(
    fast_clock: PatientClock, act: Act, grade: Grade, passing: bool, found: str
) -> None:
    """No result is known without a Polygon node: one that does not answer may do so later, one of
    another chain never will; both remedies name the setting (onchain.md 2.3).
    """
    async with patient() as (it, one):
        it.venue.bend("POST", "", "/", act=act, service="rpc")
        finding = await node(one)

    assert (finding.grade, finding.passing) == (grade, passing)
    assert found in finding.found
    assert ("PM_RPC" in finding.remedy) is (grade is Grade.FAILED)


async def test_what_does_not_pass_in_time(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is no start, and another one may do."""
    monkeypatch.setattr("polybot.operator.preflight.PASSES_WITHIN_S", 12.0)
    async with patient() as (it, one):
        it.venue.bend("GET", "/balance-allowance", act=answer(502))
        forbidden = await preflight(one)

    assert forbidden is not None
    assert forbidden.passing
    assert [line.split(":")[0] for line in forbidden.why] == ["cash and sizes", "allowances"]


async def test_what_does_not_pass_is_told_at_once(fast_clock: PatientClock) -> None:
    """Whatever else is missing: nobody waits twelve minutes to hear that he may not trade here,
    or that his key is none.
    """
    async with patient() as (it, one):
        it.venue.bend("GET", "/balance-allowance", act=answer(502))
        it.venue.clob.geoblock.country = "US"
        it.venue.bend("GET", "/auth/api-keys", act=answer(401))
        began = trio.current_time()
        forbidden = await preflight(one)
        assert trio.current_time() - began < 2 * AGAIN_S

    assert forbidden is not None
    assert not forbidden.passing
    names = [line.split(":")[0] for line in forbidden.why]
    assert names == ["API credentials", "geoblock", "cash and sizes", "allowances"]


async def test_a_clock_that_is_set_late(fast_clock: PatientClock) -> None:
    """After a boot the clock may be off, and the venue takes no key from us: nothing is concluded
    from that before it is set.
    """
    async with patient() as (it, one):
        behind = it.venue.clock.copy()
        behind.set_right(-3_600_000)
        at_home = attrs.evolve(one, client=ClobClient(
            one.http, one.site, one.credentials, behind, funder=one.funder,
            signature_type=one.signature_type,
        ))  # fmt: skip
        async with trio.open_nursery() as nursery:

            async def set_it() -> None:
                await trio.sleep(3 * AGAIN_S)
                behind.set_right(3_600_000)

            nursery.start_soon(set_it)
            began = trio.current_time()
            assert await preflight(at_home) is None
            assert trio.current_time() - began >= 3 * AGAIN_S


async def test_cash_that_is_tied_up_in_shares(fast_clock: PatientClock) -> None:
    """Who has shares starts without cash: only a running bot sells, merges and redeems them."""
    async with patient() as (it, one):
        it.venue.bend("GET", "/balance-allowance", act=changed(lambda row: row.update(balance="0")))
        forbidden = await preflight(one)
        assert forbidden is not None
        assert [line.split(":")[0] for line in forbidden.why] == ["cash and sizes"]

        assert await preflight(attrs.evolve(one, holds=True)) is None


async def test_a_start_that_is_refused(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A live start whose preflight fails raises what was found, has placed nothing, and lets the
    journal go.
    """
    async with patient() as (it, one):
        it.venue.clob.geoblock.country = "US"
        monkeypatch.setattr(launch, "POLYMARKET", one.site)
        monkeypatch.setattr(Clock, "from_system", it.venue.clock.copy)
        wallet, known = it.venue.wallet, one.credentials
        api = ApiKey(known.api_key, known.secret, known.passphrase)
        config = attrs.evolve(
            one.config,
            keys=LiveKeys(Secret(wallet.private_key), None, api),
            journal=JournalParams(str(tmp_path)),
        )
        with pytest.raises(launch.StartRefused, match=r"(?s)preflight found.*geoblock"):
            await launch.run_live(config, BotOptions(Path("config.toml")))
        assert it.venue.placed() == []
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), "no file may ever hold the key"
    Store.open(*live_journal_place(tmp_path, wallet.address)).close()
