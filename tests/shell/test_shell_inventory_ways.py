"""Every wallet's way onto the chain, every protocol, every operation (onchain.md 5 to 7)."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import attrs
import orjson
import pytest
import trio
from desk_kit import MARKET
from shell_kit import LATE_MS, Scene, clean, playing, scene, shell_config
from test_shell_inventory import UNMERGED, merged_there, merging, moved, steps
from test_shell_turns import AFTER, OTHER
from venue_bent import answer

from polybot.account import Account
from polybot.clock import Clock
from polybot.config import BotParams
from polybot.core_tape import CoreTape
from polybot.domain.units import SHARE
from polybot.exchange.resolution import Bend
from polybot.exchange.terms import Terms
from polybot.execution.firewall import Admission
from polybot.execution.inventory import InventoryParams
from polybot.health import Health
from polybot.inventory import FAILED, PARKED_MS, UNCLEAR, Inventory
from polybot.journal.entries import Known, Moved, Resolved
from polybot.move_proof import MoveProof
from polybot.patient_clock import PatientClock
from polybot.risk.limits import RiskParams
from polybot.venue.relayer import GAS_LEAST
from polybot.venue.tap import NOBODY
from polybot.wallet_standing import SPLITS

BUSY = {"error": "wallet busy: 0xw has an active action"}
EARLY = InventoryParams(merge_shares=5, merge_equity_percent=0)
AT_ONCE = attrs.evolve(shell_config(), inventory=EARLY)


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["EOA", "proxy", "Safe"])
async def test_pairs_are_merged_from_every_kind_of_wallet(
    fast_clock: PatientClock, kind: int
) -> None:
    """A plain wallet sends its own transaction, a proxy and a Safe go through the relayer; each
    signs its own way, and the money is the same (onchain.md 5, 7.3, 8).
    """
    async with playing(config=AT_ONCE, kind=kind) as it:
        condition = await merging(it, 5)
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        submitted = it.venue.asked("POST", "/submit")
        report = await it.end()

    assert bool(submitted) is (kind != 0)
    clean(report)


async def test_a_plain_wallet_without_gas_says_so_and_waits(fast_clock: PatientClock) -> None:
    """Below the least, nothing is sent and the reason is told; with gas it goes on (issue C, 7)."""
    async with playing(config=AT_ONCE, kind=0) as it:
        it.venue.chain.chain.gas[it.venue.account] = GAS_LEAST - 1
        waits = it.bot.inventory.waits
        condition = await merging_due(it)
        await it.until(
            lambda: "POL left for gas" in it.bot.inventory.waits.get(condition, ""), "a reason", 60
        )
        assert steps(it) == []
        it.venue.chain.faucet.give_gas(it.venue.account)
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        report = await it.end()

    assert waits is not None
    clean(report)


async def merging_due(it: Scene) -> str:
    """Let bids be filled until five pairs are confirmed."""

    def due() -> bool:
        books = it.bot.ctx.account.ledger.books.get(it.market.condition_id)
        if books is None or books.holdings().pairs < 5 * SHARE:
            it.hit()
        return books is not None and books.holdings().mergeable >= 5 * SHARE

    await it.until(due, "five pairs", 100)
    return it.market.condition_id


async def test_protocol_v2_goes_through_the_router(fast_clock: PatientClock) -> None:
    """Positions of the new protocol are merged and redeemed by the Router, amounts named (6.2)."""
    async with playing(at_ms=LATE_MS, config=AT_ONCE, terms=Terms(protocol="v2")) as it:
        condition = await merging(it, 5)
        market = it.market
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        await it.filled()
        await it.idle()
        await it.until(lambda: condition not in it.bot.inventory.watched, "it is closed", 500)
        report = await it.end()
        kinds = {kind for kind, step in steps(it)}

    assert market.version == "v2"
    assert {"merge", "redeem"} <= kinds
    clean(report)


async def test_a_void_pays_half(fast_clock: PatientClock) -> None:
    """The chain's vector is (1, 1): every share is redeemed at half a dollar, rounded as on chain,
    and both books agree (F36).
    """
    async with playing(at_ms=LATE_MS, config=UNMERGED) as it:
        market = it.market
        it.venue.lifecycle.bend(market, Bend(void=True))
        await it.filled(3)
        await it.idle()
        watched = it.bot.inventory.watched
        await it.until(lambda: market.condition_id not in watched, "redeemed and closed", 600)
        record = it.bot.ctx.records.by_market[market.condition_id]
        kinds = steps(it)
        report = await it.end()

    assert record.outcome == "void, Up at 0.5"
    assert ("redeem", "done") in kinds
    assert record.final is not None
    assert record.final.redeemed > 0
    clean(report)


async def test_inventory_is_split_before_a_window_is_quoted(fast_clock: PatientClock) -> None:
    """Configured, each fresh window begins with so many pairs, at half a dollar a share (15)."""
    seeded = attrs.evolve(
        shell_config(), inventory=InventoryParams(seed_shares=10, merge_shares=1_000)
    )
    async with playing(config=seeded) as it:
        reserved, moving = it.bot.ctx.account.reserved, it.bot.ctx.account.moving
        await it.until(lambda: moving, "a split is under way", 100)
        assert reserved[SPLITS] == 10 * SHARE * len(moving), "no bid may spend it"
        await it.until(lambda: ("split", "done") in steps(it), "a split", 100)
        await it.until(lambda: not moving, "all are done", 100)
        assert not reserved[SPLITS]
        split = [b for b in it.bot.ctx.account.ledger.books.values() if b.holdings().up]
        assert all(
            books.cost(books.market.outcome_of(books.market.up_token)) >= 5 * SHARE
            for books in split
        )
        report = await it.end()

    assert split
    clean(report)


async def test_no_window_gets_more_pairs_than_the_limits_allow(fast_clock: PatientClock) -> None:
    """What pairs cost is at risk like any bid (S7)."""
    limits = RiskParams(max_order_usd=9, max_position_usd_per_market=9, max_total_usd=9)
    seeded = attrs.evolve(
        shell_config(),
        inventory=InventoryParams(seed_shares=10, merge_shares=1_000),
        risk=limits,
    )
    async with playing(config=seeded) as it:
        await it.until(lambda: it.bot.inventory.waits or moved(it), "a window waits", 100)
        waits, moves = it.bot.inventory.waits, steps(it)
        report = await it.end()

    assert all("limits of [risk]" in why for why in waits.values())
    assert not moves
    clean(report)


async def test_a_busy_wallet_is_asked_again(fast_clock: PatientClock) -> None:
    """400 with an action in flight: the SDK waits and sends the same again, and it is one
    operation of ours, merged once (onchain.md 7.4).
    """
    body, json = orjson.dumps(BUSY), ("content-type", "application/json")
    async with playing(config=AT_ONCE) as it:
        busy = it.venue.bend(
            "POST", "/submit", act=answer(400, body, json), service="relayer", times=2
        )
        condition = await merging(it, 5)
        await it.until(lambda: merged_there(it, condition), "the merge", 280)
        told = steps(it)
        report = await it.end()

    assert busy.met == 2
    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "done")]
    clean(report)


async def test_what_is_due_in_two_markets_goes_in_one_transaction(
    fast_clock: PatientClock,
) -> None:
    """While one transaction is on its way more becomes due: it goes together, and each market's
    part is booked for itself (onchain.md 7.4).
    """
    two = attrs.evolve(AT_ONCE, bot=BotParams(series=("btc-5m", "btc-15m")))
    async with scene(config=two) as it, trio.open_nursery() as nursery:
        it.venue.chain.relayer.queue.policy.extra_ms = 15_000
        ledger = it.bot.ctx.account.ledger
        nursery.start_soon(it.run)

        def batched() -> set[str]:
            """Submissions with more than one market in them."""
            for order in it.venue.live:
                if ledger.books[order.market.condition_id].holdings().pairs < 5 * SHARE:
                    it.venue.hit(order)
            names = Counter(one.submission for one in moved(it) if one.step == "done")
            return {name for name, count in names.items() if count > 1}

        await it.until(batched, "a batch that is done", 280)
        booked = {one.condition_id for one in moved(it) if one.submission in batched()}
        report = await it.end()

    assert len(booked) == 2
    clean(report)


async def test_no_merge_beside_what_may_be_one_done_again(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the chain leaves open whether an earlier move was done again, the market's next one is
    not asked for: beside it, the two would not be told apart.
    """
    async with playing(config=AT_ONCE) as it:
        inventory = it.bot.inventory
        look = MoveProof.moved_again

        async def left_open(proof: MoveProof, under_way: Moved | None = None) -> bool:
            found = await look(proof, under_way)
            proof.account.unclear[it.market.condition_id] = 0
            return found

        monkeypatch.setattr(MoveProof, "moved_again", left_open)
        condition = await merging(it, 5)
        await it.until(lambda: inventory.waits.get(condition) == UNCLEAR, "it is told", 20)
        await trio.sleep(10)  # five rounds
        assert not it.venue.asked("POST", "/submit")
        monkeypatch.undo()
        inventory.proof.account.unclear.clear()
        await it.until(lambda: it.venue.asked("POST", "/submit"), "the merge", 20)
        report = await it.end()

    clean(report)


async def test_what_a_split_was_to_take_is_free_when_it_has_failed() -> None:
    """Also where there is no way onto the chain any more: the run before had asked for it, this one
    follows it to its end, and held its dollars back for as long as it ran.
    """
    nothing: Any = None
    clock = Clock(0.0)
    health, journal = Health(Admission()), SimpleNamespace(note=lambda *_: None)
    account = Account(nothing, clock, health, cast(Any, journal), CoreTape(NOBODY, clock))
    account.take([Known(MARKET)], 0)
    ctx: Any = SimpleNamespace(
        account=account, clock=clock, health=health, tell=lambda _: None,
        recovered=SimpleNamespace(submissions_ms=[], moves=[]),
    )  # fmt: skip
    chain: Any = SimpleNamespace(reads=SimpleNamespace(silence=None))
    inventory = Inventory(ctx, InventoryParams(), chain, None, "no relayer key")
    asked = Moved(MARKET.condition_id, "split", "asked", "polybot-1.0", 20 * SHARE)
    inventory.take_over([asked])
    assert account.reserved[SPLITS] == 20 * SHARE

    inventory.under_way._failed(inventory.under_way.flights[0], asked, "it never came to the chain")
    await inventory._act()
    assert account.reserved[SPLITS] == 0


async def test_what_is_under_way_is_claimed_and_what_failed_is_told() -> None:
    """No ask may sell the pairs of a merge, which a split under way is none of; and quotes know
    where pairs stay pairs: everywhere without a way, else where the last merge has failed.
    """
    nothing: Any = None
    clock = Clock(0.0)
    health, journal = Health(Admission()), SimpleNamespace(note=lambda *_: None)
    account = Account(nothing, clock, health, cast(Any, journal), CoreTape(NOBODY, clock))
    account.take([Known(MARKET), Known(OTHER)], 0)
    ctx: Any = SimpleNamespace(
        account=account, clock=clock, health=health, tell=lambda _: None,
        recovered=SimpleNamespace(submissions_ms=[1, 2], moves=[]),
    )  # fmt: skip
    inventory = Inventory(ctx, InventoryParams(), nothing, None, "no relayer key")
    for market in (MARKET, OTHER):
        inventory.watch(market)
    merge = Moved(MARKET.condition_id, "merge", "asked", "polybot-1.0", 20 * SHARE)
    split = Moved(OTHER.condition_id, "split", "asked", "polybot-2.0", 7 * SHARE)
    inventory.take_over([merge, split])
    assert account.claims == {MARKET.condition_id: 20 * SHARE}
    assert account.reserved[SPLITS] == 7 * SHARE

    inventory.under_way._failed(inventory.under_way.flights[0], merge, "reverted")
    inventory._tell_unmergeable(None)
    assert account.unmergeable == {MARKET.condition_id: FAILED}
    inventory._tell_unmergeable("no gas")
    assert account.unmergeable == dict.fromkeys((MARKET.condition_id, "0xd"), "no gas")


async def test_what_has_won_and_is_not_paid_is_told() -> None:
    """A trade that never settles keeps its market's shares from being redeemed, and nobody heard of
    it (L5). Told once, after minutes that each market has to itself.
    """
    nothing: Any = None
    told: list[str] = []
    clock: Any = SimpleNamespace(ms=AFTER)
    clock.now_ms, clock.now_ns = lambda: clock.ms, lambda: clock.ms * 10**6
    account = Account(nothing, clock, nothing, nothing, CoreTape(NOBODY, clock))
    account.take([Known(MARKET), Known(OTHER), Resolved(MARKET.condition_id, SHARE, "chain")], 0)
    ctx: Any = SimpleNamespace(account=account, clock=clock, tell=told.append)
    inventory = Inventory(ctx, InventoryParams(), nothing, nothing)
    for later_ms in (0, PARKED_MS - 1, 2, 1_000):
        clock.ms += later_ms
        inventory.waits = {
            MARKET.condition_id: "a fill",
            OTHER.condition_id: "no result",
            "0xe": "",
        }
        inventory._tell_parked()
        assert bool(told) is (clock.ms > AFTER + PARKED_MS)
    assert told == [f"{MARKET.slug}: not redeemed for 10 minutes: a fill"]

    inventory.waits = {}
    inventory._tell_parked()
    inventory.waits = {MARKET.condition_id: "no gas"}
    inventory._tell_parked()
    clock.ms += PARKED_MS
    inventory._tell_parked()
    assert told[1:] == [f"{MARKET.slug}: not redeemed for 10 minutes: no gas"]
