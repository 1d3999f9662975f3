"""Pairs become dollars again by way of the relayer, and nothing that goes wrong does it twice."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import orjson
import pytest
import trio
from shell_kit import LATE_MS, Scene, clean, playing, shell_config
from test_shell_restart import GRACE_S, killed, started
from venue_bent import Act, Handler, answer, lose_reply, silence

from polybot.account import Account
from polybot.domain.market_books import Holdings
from polybot.domain.orders import TradeSeen, TradeStatus
from polybot.domain.settling import Settling
from polybot.domain.units import SHARE
from polybot.exchange.net import Request, Response
from polybot.exchange.relayer_queue import CONFIRMED
from polybot.execution.inventory import InventoryParams
from polybot.journal.entries import Entry, Moved, decode
from polybot.journal.writer import Journal
from polybot.move_proof import MoveProof
from polybot.patient_clock import PatientClock

Decide = Callable[[], tuple[Entry, ...]]
UNTOLD_S = 90.0  # in place of the five minutes
FEW = attrs.evolve(
    shell_config(), inventory=InventoryParams(merge_shares=5, merge_equity_percent=0)
)
UNMERGED = attrs.evolve(
    shell_config(), inventory=InventoryParams(merge_shares=1_000, merge_equity_percent=0)
)


async def merging(it: Scene, enough: int = 20) -> str:
    """Let our bids be filled until a market's confirmed pairs are due; returns its condition."""
    ledger = it.bot.ctx.account.ledger

    def due() -> bool:
        books = ledger.books.get(it.market.condition_id)
        if books is None or books.holdings().pairs < enough * SHARE:
            it.hit()
        return books is not None and (
            books.holdings().mergeable >= enough * SHARE or bool(books.merged)
        )

    await it.until(due, "pairs that are due", 100)
    return it.market.condition_id


def moved(it: Scene) -> list[Moved]:
    """What the journal tells of operations, in order. Asked at every look, and few entries of many
    thousand: the others are not read.
    """
    rows = it.bot.ctx.account.journal.store._database.execute(
        "SELECT body FROM entries WHERE kind = 'Moved' ORDER BY seq"
    )
    entries = [decode("Moved", body) for (body,) in rows]
    return [entry for entry in entries if isinstance(entry, Moved)]


def steps(it: Scene) -> list[tuple[str, str]]:
    """Their kinds and steps."""
    return [(entry.kind, entry.step) for entry in moved(it)]


def merged_there(it: Scene, condition_id: str) -> int:
    """Pairs of our wallet that the venue has really merged."""
    return it.bot.ctx.account.ledger.books[condition_id].merged


async def disown(request: Request, handle: Handler) -> Response:
    """The venue does it, and answers 400 in words that nobody has seen before."""
    await handle(request)
    return Response(400, b'{"error": "INTERNAL: shard moved"}')


@pytest.mark.parametrize("reply", [lose_reply, disown], ids=["none", "in unknown words"])
async def test_a_lost_reply_is_found_in_the_list(reply: Act, fast_clock: PatientClock) -> None:
    """The relayer does it and nobody hears of it: its list shows the name that went with the
    calls, and it is not asked for again (F33, onchain.md 7.2, 8: a time-out is not a failure).
    """
    async with playing(config=FEW) as it:
        lost = it.venue.bend("POST", "/submit", act=reply, service="relayer", times=1)
        condition = await merging(it, 5)
        await it.idle()
        await it.until(lambda: merged_there(it, condition), "the merge is known", 200)
        told = steps(it)
        report = await it.end()

    assert lost.met == 1
    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "done")]
    clean(report)


@pytest.mark.parametrize(
    "list_",
    [answer(500), answer(200, b"[]"), answer(200, b'[{"id": 1}, 2]')],
    ids=["refused", "empty", "unreadable"],
)
async def test_without_a_list_the_chain_settles(list_: Act, fast_clock: PatientClock) -> None:
    """Where the relayer's list is not to be had, or lacks what was done, the shares tell (F33)."""
    async with playing(config=FEW) as it:
        it.venue.bend("POST", "/submit", act=lose_reply, service="relayer", times=1)
        it.venue.bend("GET", "/transactions", act=list_, service="relayer")
        condition = await merging(it, 5)
        await it.idle()
        await it.until(lambda: merged_there(it, condition), "the merge is known", 200)
        told = steps(it)
        report = await it.end()

    assert told[:2] == [("merge", "asked"), ("merge", "done")], "there was no id to note"
    clean(report)


async def test_a_reverted_transaction_is_asked_for_again_later(fast_clock: PatientClock) -> None:
    """FAILED with the shares still there is a failure: after a pause there is another (F33)."""
    async with playing(config=FEW) as it:
        policy = it.venue.chain.relayer.queue.policy
        policy.fail_ppm = 1_000_000
        condition = await merging(it, 5)
        await it.idle()
        await it.until(lambda: ("merge", "failed") in steps(it), "a failure", 100)
        policy.fail_ppm = 0
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        told = steps(it)
        report = await it.end()

    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "failed")]
    clean(report)


async def test_an_exhausted_quota_is_waited_for(fast_clock: PatientClock) -> None:
    """429 with its text: nothing more is sent until the venue has said, and the reason is told
    (onchain.md 7.4).
    """
    body = orjson.dumps(
        {"error": "quota exceeded: 0 units remaining, resets in 60 seconds",
         "retry_after_seconds": 60}
    )  # fmt: skip
    refuse = answer(429, body, ("content-type", "application/json"))
    async with playing(config=FEW) as it:
        bend = it.venue.bend("POST", "/submit", act=refuse, service="relayer")
        condition = await merging(it, 5)
        await it.idle()
        await it.until(lambda: ("merge", "failed") in steps(it), "a refusal", 100)
        tried = bend.met
        assert "RateLimitError" in str(it.bot.inventory.budget.obstacle(it.venue.clock.now_ms()))
        it.venue.bends.remove(bend)
        waits = it.bot.inventory.waits
        await it.until(lambda: condition in it.bot.inventory.waits, "a reason", 20)
        assert len(it.venue.asked("POST", "/submit")) == tried
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        report = await it.end()

    assert waits is not None
    clean(report)


async def test_a_quota_told_only_in_words_is_not_hammered(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client drops the words of a 429: without a field that says when, no market asks again for
    minutes, here one and a half, and the reason is told (onchain.md 7.4).
    """
    monkeypatch.setattr("polybot.venue.sdk.UNTOLD_S", UNTOLD_S)
    body = b"quota exceeded: 0 units remaining, resets in 3600 seconds"
    async with playing(config=FEW) as it:
        bend = it.venue.bend("POST", "/submit", act=answer(429, body), service="relayer")
        condition = await merging(it, 5)
        await it.idle()
        # The client keeps the refusal to itself for as long; before that the pairs must confirm.
        await it.until(lambda: ("merge", "failed") in steps(it), "a refusal", UNTOLD_S + 60)
        tried, until = bend.met, trio.current_time() + UNTOLD_S - 20
        await it.until(lambda: condition in it.bot.ctx.account.unmergeable, "it is told", 20)
        while trio.current_time() < until:
            assert bend.met == tried
            await trio.sleep(5)
        assert "RateLimitError" in str(it.bot.inventory.budget.obstacle(it.venue.clock.now_ms()))
        await it.until(lambda: bend.met > tried, "another try", 120)


async def test_an_operation_survives_a_death(fast_clock: PatientClock) -> None:
    """Killed after the submission, before its end: the next run follows the same transaction, and
    merges the pairs once (G11, F33).
    """
    async with started(FEW) as it:
        it.venue.chain.relayer.queue.policy.extra_ms = 20_000
        condition = await merging(it, 5)
        await it.until(lambda: ("merge", "sent") in steps(it), "it is sent", 60)
        assert not merged_there(it, condition)
        async with killed(it) as again:
            await again.until(lambda: merged_there(again, condition), "it is known", 200)
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            told = steps(again)
            report = await again.end()

    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "done")]
    clean(report)


async def test_a_merge_is_booked_when_the_fills_it_used_are_certain(
    fast_clock: PatientClock,
) -> None:
    """A confirmed fill is undone while its pair is being merged, and another of the same shares is
    not yet certain for us when the chain has merged it: the books wait, they do not halt (F31, F33;
    found by an agreement run under `settlement`).
    """
    async with playing() as it:
        it.venue.chain.relayer.queue.policy.extra_ms = 60_000
        condition = await merging(it)
        await it.until(lambda: ("merge", "sent") in steps(it), "it is sent", 60)
        ctx = it.bot.ctx
        books = ctx.account.ledger.books[condition]
        it.venue.crowd.hushed = True  # or new fills would be pairs as well
        await it.until(lambda: not books.unsettled(), "no other fill is on its way")
        trades = [
            TradeSeen(key, condition, part.status, tuple(part.legs.elements()), part.at_ms)
            for (key, _), part in books.trades.items()
        ]
        held, market = books.holdings(), books.market
        lighter = market.up_token if held.up <= held.down else market.down_token
        undone = [
            trade for trade in trades
            if trade.legs[0].token == lighter and trade.status is TradeStatus.CONFIRMED
        ]  # fmt: skip
        again = [
            attrs.evolve(trade, trade_id=f"again {trade.trade_id}", status=TradeStatus.MATCHED)
            for trade in undone
        ]
        failed = [attrs.evolve(trade, status=TradeStatus.FAILED) for trade in undone]
        await ctx.account.learn_of(failed + again)
        queue = it.venue.chain.relayer.queue
        sent = it.bot.inventory.under_way.flights[0].evidence
        await it.until(lambda: getattr(queue.find(sent), "state", "") == CONFIRMED, "merged", 100)
        await trio.sleep(10)
        assert not ctx.health.halted
        assert not merged_there(it, condition)
        certain = [attrs.evolve(trade, status=TradeStatus.CONFIRMED) for trade in again]
        await ctx.account.learn_of(certain)
        await it.until(lambda: merged_there(it, condition), "the merge is known", 30)
        report = await it.end()

    clean(report)


async def test_a_stop_lets_no_transaction_begin(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that comes while a merge is being written down finds it before it has left: it stays
    here, and the journal says so (F33).
    """
    async with playing() as it:
        append = Journal.append

        async def interrupted(journal: Journal, *entries: Entry) -> None:
            await append(journal, *entries)
            if any(isinstance(one, Moved) and one.step == "asked" for one in entries):
                it.bot.stop("test")

        monkeypatch.setattr(Journal, "append", interrupted)
        await merging(it)
        report = await it.ending()
        told = steps(it)

    assert told == [("merge", "asked"), ("merge", "failed")]
    assert not it.venue.asked("POST", "/submit")
    clean(report)


async def test_what_never_left_holds_a_start_up_for_a_minute(fast_clock: PatientClock) -> None:
    """Killed when a merge was written down and had not left: it is on no list a minute after the
    start, so it never was, and the pairs are merged once by another (F18, F33, F63).
    """
    async with started(FEW) as it:
        it.venue.bend("POST", "/submit", act=silence, service="relayer", times=1)
        condition = await merging(it, 5)
        await it.until(lambda: ("merge", "asked") in steps(it), "it is written down", 60)
        it.venue.crowd.hushed = True
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree", 200)
            assert steps(again)[:2] == [("merge", "asked"), ("merge", "failed")]
            await again.idle()
            await again.until(lambda: merged_there(again, condition), "another has merged", 200)
            report = await again.end()

    clean(report)


async def test_a_start_knows_what_was_merged_before_it(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its repetition would be taken for a deposit, and the shares for lost ones (F33)."""
    async with started(FEW) as it:
        condition = await merging(it, 5)
        await it.until(lambda: merged_there(it, condition), "the merge is known", 200)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree", 200)
            proof = again.bot.inventory.proof
            merge = next(one for one in moved(again) if one.step == "done")
            booked: list[Moved] = []

            async def short(self: MoveProof, _: str) -> tuple[int, int]:
                return self.after(merge)

            def settled(self: MoveProof, key: str) -> tuple[Settling, Settling]:
                up, down = self.held(key)
                return Settling(up, ()), Settling(down, ())

            async def learn_as(account: Account, decide: Decide) -> tuple[Entry, ...]:
                facts = decide()
                booked.extend(one for one in facts if isinstance(one, Moved))
                # What another task learns in these moments, as a window's end, is no part of it.
                await account.learn(*(one for one in facts if not isinstance(one, Moved)))
                return facts

            with monkeypatch.context() as bent:
                bent.setattr(MoveProof, "_settling", settled)
                bent.setattr(MoveProof, "there", short)
                bent.setattr(Account, "learn_as", learn_as)
                # Whether so many are confirmed again by now is the crowd's luck.
                bent.setattr(Holdings, "mergeable", property(lambda _: merge.shares))
                # As it is whether the next merge is under way, whose follower would look then.
                bent.setattr(proof.account, "moving", set())
                assert await proof.moved_again()
            report = await again.end()

    assert [one.shares for one in booked] == [merge.shares]
    clean(report)


async def test_what_may_come_yet_is_waited_for(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the relayer's list nothing is given up before its deadline has passed, here after two
    and a half minutes: a second merge of the same pairs would be a second spending of them
    (onchain.md 7.3, F33).
    """
    monkeypatch.setattr("polybot.in_flight.GRACE_S", GRACE_S)
    async with started(FEW) as it:
        it.venue.bend("POST", "/submit", act=silence, service="relayer", times=1)
        it.venue.bend("GET", "/transactions", act=answer(500), service="relayer")
        await merging(it, 5)
        await it.until(lambda: ("merge", "asked") in steps(it), "it is written down", 60)
        it.venue.crowd.hushed = True
        async with killed(it) as again:
            await trio.sleep(GRACE_S - 60)
            assert not again.bot.ready
            assert steps(again) == [("merge", "asked")]
            await again.until(lambda: again.bot.ready, "venue and journal agree", 300)
            told = steps(again)
            await again.end()

    assert told[:2] == [("merge", "asked"), ("merge", "failed")]


async def test_disputed_results_are_not_redeemed(fast_clock: PatientClock) -> None:
    """Gamma names the other winner: an alarm, books that follow the chain, and no redemption until
    the two agree, also after a restart (F37; found by the storm of seed 4, whose books differed).
    """

    async def lie(request: Request, handle: Handler) -> Response:
        reply = await handle(request)
        row = orjson.loads(reply.body)
        if isinstance(row, dict) and row.get("closed"):
            prices = row["outcomePrices"]
            told = prices if isinstance(prices, list) else orjson.loads(prices)
            row["outcomePrices"] = orjson.dumps(told[::-1]).decode()
        return Response(reply.status, orjson.dumps(row), reply.headers)

    async with started(UNMERGED, at_ms=LATE_MS) as it:
        bend = it.venue.bend("GET", "/markets", act=lie, service="gamma")
        await it.filled(3)
        await it.idle()
        condition = it.market.condition_id
        conflicts = it.bot.inventory.results.conflicts
        await it.until(lambda: condition in conflicts, "the dispute is seen", 500)
        assert it.bot.ctx.records.faults["result disputed"] >= 1
        books = it.bot.ctx.account.ledger.books[condition]
        await it.until(lambda: books.up_payout is not None, "the chain's word is booked")
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            await again.idle()
            await trio.sleep(60)
            held = again.bot.ctx.account.ledger.books[condition].holdings()
            assert held.up + held.down, "nothing of it is redeemed"
            wallet = it.venue.demo_wallets.deposit
            assert again.bot.ctx.account.ledger.equity == it.venue.engine.equity(wallet)
            it.venue.bends.remove(bend)
            watched = again.bot.inventory.watched
            await again.until(lambda: condition not in watched, "redeemed and closed", 100)
            report = await again.end()

    assert report.equity_bot == report.equity_exchange


async def test_a_merge_that_the_relayer_does_twice_is_booked_twice(
    fast_clock: PatientClock,
) -> None:
    """Nobody tells of the second, a retry of the relayer's own: the balances do, in both tokens and
    by the same number. Trading goes on, and the books are the venue's (F33).
    """
    async with playing(config=FEW) as it:
        policy = it.venue.chain.relayer.queue.policy
        policy.twice, policy.extra_ms = True, 20_000
        condition = await merging(it, 5)
        books = it.bot.ctx.account.ledger.books[condition]
        await it.until(lambda: it.venue.asked("POST", "/submit"), "the merge", 60)
        (asked,) = it.bot.inventory.under_way.flights[0].left
        policy.twice = False

        def enough() -> bool:
            it.hit()
            return books.holdings().pairs >= 2 * asked.shares

        await it.until(enough, "pairs for the second time", 60)
        again = f"{asked.operation_id} again"

        def told() -> list[str]:
            return [entry.operation_id for entry in moved(it) if entry.step == "done"]

        # The market's next merge may have been asked for before the block of the repetition.
        await it.until(lambda: again in told(), "both are booked", 200)
        assert books.merged >= 2 * asked.shares
        halted = dict(it.bot.ctx.health.halted)
        report = await it.end()

    assert halted == {}
    clean(report)
