"""Pairs become dollars again by way of the relayer, and nothing that goes wrong does it twice."""

from __future__ import annotations

import orjson
import trio
from shell_kit import Scene, clean, playing
from test_shell_restart import killed, started
from venue_bent import Handler, answer, lose_reply

from polybot.domain.units import SHARE
from polybot.exchange.net import Request, Response
from polybot.journal.entries import Moved
from polybot.patient_clock import PatientClock


async def merging(it: Scene, enough: int = 20) -> str:
    """Let our bids be filled until a market's confirmed pairs are due; returns its condition."""
    ledger = it.bot.ctx.account.ledger

    def due() -> bool:
        for order in it.venue.live:
            it.venue.hit(order)
        books = ledger.books.get(it.market.condition_id)
        return books is not None and (
            books.holdings().mergeable >= enough * SHARE or bool(books.merged)
        )

    await it.until(due, "pairs that are due", 100)
    return it.market.condition_id


def steps(it: Scene) -> list[tuple[str, str]]:
    """What the journal tells of operations: kind and step, in order."""
    entries = [stamped.entry for stamped in it.bot.ctx.account.journal.store.live()]
    return [(entry.kind, entry.step) for entry in entries if isinstance(entry, Moved)]


def merged_there(it: Scene, condition_id: str) -> int:
    """Pairs of our wallet that the venue has really merged."""
    return it.bot.ctx.account.ledger.books[condition_id].merged


async def test_a_lost_reply_is_settled_by_the_chain(fast_clock: PatientClock) -> None:
    """The relayer does it and nobody hears of it: the shares tell, and it is not asked for again
    (F33, onchain.md 8: a time-out is not a failure).
    """
    async with playing() as it:
        lost = it.venue.bend("POST", "/submit", act=lose_reply, service="relayer", times=1)
        condition = await merging(it)
        await it.until(lambda: merged_there(it, condition), "the merge is known", 200)
        told = steps(it)
        report = await it.end()

    assert lost.met == 1
    assert told[:2] == [("merge", "asked"), ("merge", "done")], "there was no id to note"
    clean(report)


async def test_a_reverted_transaction_is_asked_for_again_later(fast_clock: PatientClock) -> None:
    """FAILED with the shares still there is a failure: after a pause there is another (F33)."""
    async with playing() as it:
        policy = it.venue.chain.relayer.queue.policy
        policy.fail_ppm = 1_000_000
        condition = await merging(it)
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
    async with playing() as it:
        bend = it.venue.bend("POST", "/submit", act=answer(429, body), service="relayer")
        condition = await merging(it)
        await it.until(lambda: ("merge", "failed") in steps(it), "a refusal", 100)
        tried = bend.met
        it.venue.bends.remove(bend)
        waits = it.bot.inventory.waits
        await it.until(lambda: condition in it.bot.inventory.waits, "a reason", 20)
        assert len(it.venue.asked("POST", "/submit")) == tried
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        report = await it.end()

    assert waits is not None
    clean(report)


async def test_an_operation_survives_a_death(fast_clock: PatientClock) -> None:
    """Killed after the submission, before its end: the next run follows the same transaction, and
    merges the pairs once (G11, F33).
    """
    async with started() as it:
        it.venue.chain.relayer.queue.policy.extra_ms = 20_000
        condition = await merging(it)
        await it.until(lambda: ("merge", "sent") in steps(it), "it is sent", 60)
        assert not merged_there(it, condition)
        async with killed(it) as again:
            await again.until(lambda: merged_there(again, condition), "it is known", 200)
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            told = steps(again)
            report = await again.end()

    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "done")]
    clean(report)


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

    async with started() as it:
        bend = it.venue.bend("GET", "/markets", act=lie, service="gamma")
        await it.filled(3)
        condition = it.market.condition_id
        conflicts = it.bot.inventory.conflicts
        await it.until(lambda: condition in conflicts, "the dispute is seen", 500)
        assert it.bot.ctx.records.faults["result disputed"] >= 1
        books = it.bot.ctx.account.ledger.books[condition]
        await it.until(lambda: books.up_payout is not None, "the chain's word is booked")
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
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
