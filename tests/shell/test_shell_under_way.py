"""A transaction is followed to its end by whatever can be had: each kind of proof, and none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from desk_kit import MARKET

from polybot.account import Account
from polybot.clock import NS
from polybot.core_tape import CoreTape
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import EDGE_S, Failure, FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, USD
from polybot.execution.firewall import Admission
from polybot.execution.inventory import SubmitBudget
from polybot.execution.reconcile import STALE_MS
from polybot.health import Health
from polybot.in_flight import GRACE_S, LAGS_S, SLOW_S, InFlight
from polybot.journal.entries import Known, Moved, Paid, Resolved, Told
from polybot.move_proof import MoveProof, Pair
from polybot.under_way import WEARY_AFTER, UnderWay
from polybot.venue.relayer import Answer, Fate, Progress, Refused, Sent
from polybot.venue.tap import NOBODY

KEY, TEN = MARKET.condition_id, 10 * SHARE
SENT, HASH = "relayer-id", "0xabc"
NO_ANSWER = Failure("503")


def fill(name: str, outcome: Outcome, shares: int, status: TradeStatus) -> Told:
    """A bid at 0.50 is filled."""
    leg = FillLeg(name, MARKET.token(outcome), Side.BUY, 5000, shares, maker=True)
    return Told(KEY, TradeSeen(f"t{name}", KEY, status, (leg,), MARKET.start_ms))


def confirmed(told: Told) -> Told:
    assert isinstance(told.event, TradeSeen)
    return Told(KEY, attrs.evolve(told.event, status=TradeStatus.CONFIRMED))


@attrs.define(eq=False)
class Scene:
    """Thirty pairs in the books and on the chain, ten of which are being merged; a venue's way and
    node that answer as they are told to, and a journal that keeps all.
    """

    now_ms: int = MARKET.start_ms
    fate: Progress | Failure = Progress(Fate.UNDER_WAY, SENT)
    receipt: bool | Failure | None = None
    there: Pair | Failure = (3 * TEN, 3 * TEN)
    answer: Answer | None = None  # of the thread that sends
    on_list: Sent | Failure | None = None
    notes: list[Any] = attrs.field(factory=list)
    told: list[str] = attrs.field(factory=list)
    account: Account = attrs.field(init=False)
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    under_way: UnderWay = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        clock: Any = SimpleNamespace(now_ms=lambda: self.now_ms, now_ns=lambda: self.now_ms * NS)
        me: Any = self
        self.account = Account(me, clock, self.health, me, CoreTape(NOBODY, clock))
        self.account.take([Known(MARKET), Paid("deposit", 100 * USD, "a test")], 0)
        for outcome in Outcome:
            self.fill(outcome, 3 * TEN)
        ctx: Any = SimpleNamespace(
            account=self.account, clock=clock, health=self.health, tell=self.told.append
        )
        proof = MoveProof(self.account, me)
        self.under_way = UnderWay(ctx, me, proof, SubmitBudget(10, 100))
        self.now_ms += 3_600_000  # what the books said of before is no node's any more

    def fill(
        self, outcome: Outcome, shares: int, status: TradeStatus = TradeStatus.CONFIRMED
    ) -> None:
        name = f"0x{len(self.account.ledger.books[KEY].trades)}"
        self.account.own(name, KEY)
        self.account.take([fill(name, outcome, shares, status)], self.now_ms)

    def begin(self, kind: str = "merge", shares: int = TEN, evidence: str = SENT) -> InFlight:
        asked = Moved(KEY, kind, "asked", "polybot-1.0", shares)
        flight = InFlight("polybot-1", self.now_ms, [asked], evidence)
        self.account.claims[KEY] = shares
        self.under_way.begin(flight)
        return flight

    async def look(self, later_s: float = 0, *, way: bool = True) -> bool:
        """Follow what is under way; whether anything still is."""
        self.now_ms += round(later_s * 1000)
        me: Any = self
        await self.under_way.follow(me if way else None)
        assert bool(self.under_way.flights) == (KEY in self.account.moving)
        return bool(self.under_way.flights)

    @property
    def pairs(self) -> int:
        return self.account.ledger.books[KEY].holdings().pairs // SHARE

    @property
    def failed(self) -> list[str]:
        return [one.evidence for one in self.notes if one.step == "failed"]

    # --- what stands around it: journal, node and way ---------------------------------------

    async def append(self, *facts: object) -> None:
        self.notes += facts

    def note(self, *facts: object) -> None:
        self.notes += facts

    async def shares(self, _: object) -> Pair | Failure:
        return self.there

    async def succeeded(self, _: str) -> bool | Failure | None:
        return self.receipt

    async def progress(self, _: str) -> Progress | Failure:
        return self.fate

    def late(self, _: str) -> Answer | None:
        return self.answer

    async def listed(self, _: str) -> Sent | Failure | None:
        return self.on_list


async def test_what_is_done_is_booked_and_shown_to_the_venue() -> None:
    """Its pairs are dollars, nothing is claimed or under way any more, the venue looks at all three
    balances, and what the chain does again is known for what it is.
    """
    it = Scene(fate=Progress(Fate.DONE, SENT), there=(2 * TEN, 2 * TEN))
    it.under_way.setbacks.failed(KEY, it.now_ms)
    it.begin()
    assert not await it.look()

    assert it.pairs == 20
    assert not it.account.claims
    assert not it.under_way.setbacks.alone(KEY)
    assert [*it.under_way.stale] == [None, MARKET.up_token, MARKET.down_token]
    assert it.told == [f"{MARKET.slug}: merge 10 done"]
    it.now_ms += 3_600_000
    it.there = (TEN, TEN)
    assert await it.under_way.proof.moved_again()
    assert it.pairs == 10

    it.there = (0, 0)
    it.begin()
    assert not await it.look()
    assert it.pairs == 0, "to the last one"


@pytest.mark.parametrize("evidence", ["", SENT])
async def test_a_start_without_a_way_goes_by_the_chain(evidence: str) -> None:
    """The key of the relayer is gone, and nobody tells what became of what the last run has sent:
    the start waited eleven minutes for it, with all of it on the chain.
    """
    it = Scene(there=(2 * TEN, 2 * TEN))
    it.under_way.take_over([Moved(KEY, "merge", "sent", "polybot-1.0", TEN, 0, evidence)])

    assert not await it.look(2, way=False)
    assert it.pairs == 20


@pytest.mark.parametrize("receipt", [None, NO_ANSWER])
async def test_what_the_relayer_calls_done_waits_for_its_receipt(
    receipt: Failure | None,
) -> None:
    """Its row may tell of a transaction that the chain has not, or not yet (onchain.md 7.5)."""
    it = Scene(fate=Progress(Fate.DONE, HASH), receipt=receipt, there=(2 * TEN, 2 * TEN))
    it.begin()
    assert await it.look(5)
    assert it.pairs == 30

    it.receipt = True
    assert not await it.look(5)
    assert it.pairs == 20


async def test_what_has_reverted_fails_when_the_chain_agrees() -> None:
    """The relayer calls it done, its receipt says that it is not. Where the shares have moved all
    the same the receipt was another's.
    """
    it = Scene(fate=Progress(Fate.DONE, HASH), receipt=False, there=NO_ANSWER)
    it.begin()
    assert await it.look(5), "a node that does not answer proves nothing"
    it.there = (3 * TEN, 3 * TEN)
    assert not await it.look(5)
    assert it.failed == ["its receipt says that it reverted"]
    assert (it.pairs, it.account.claims) == (30, {})
    assert it.under_way.setbacks.alone(KEY)

    it = Scene(fate=Progress(Fate.FAILED, SENT), there=(2 * TEN, 2 * TEN))
    it.begin()
    assert not await it.look(5)
    assert (it.pairs, it.failed) == (20, [])


async def test_what_is_done_and_moved_nothing_has_failed() -> None:
    """A wallet's call may succeed around one that failed. The balances may be of a node that lags:
    not before it no longer can.
    """
    it = Scene(fate=Progress(Fate.DONE, SENT))
    it.begin()
    assert await it.look()
    it.there = NO_ANSWER
    assert await it.look(LAGS_S)
    it.there = (3 * TEN, 3 * TEN)
    assert await it.look()
    assert not await it.look(1)
    assert it.failed == [f"{SENT} moved nothing"]


async def test_an_answer_that_was_not_waited_for() -> None:
    """While the thread may still send, nothing is said of its absence; then it has its id, or was
    refused: by a quota, which is kept for all.
    """
    it = Scene(there=NO_ANSWER)
    flight = it.begin(evidence="")
    assert await it.look(EDGE_S + 1)
    assert flight.silent_ms is None
    it.answer = Sent(SENT)
    assert await it.look(1)
    assert flight.evidence == SENT
    assert [one.step for one in it.notes] == ["sent"], "a later start can follow it"

    it = Scene(answer=Refused("quota used up", 90.0))
    it.begin(evidence="")
    assert not await it.look()
    assert it.failed == ["quota used up"]
    assert it.under_way.budget.obstacle(it.now_ms + 89_999) == "quota used up"
    assert it.under_way.budget.obstacle(it.now_ms + 90_000) is None


async def test_what_no_list_shows_never_came() -> None:
    """When what the edge held has appeared, or never will; if the shares are where they were. A
    list that cannot be read says nothing, and without one nothing is over before its deadline.
    """
    it = Scene(answer=NO_ANSWER)
    it.begin(evidence="")
    assert await it.look()
    assert await it.look(EDGE_S)
    it.on_list = NO_ANSWER
    assert await it.look(1)
    it.on_list, it.there = None, NO_ANSWER
    assert await it.look(1)
    it.there = (3 * TEN, 3 * TEN)
    assert not await it.look(1)
    assert it.failed == ["it never came to the chain"]

    it = Scene(answer=NO_ANSWER, on_list=NO_ANSWER)
    it.begin(evidence="")
    assert await it.look(GRACE_S)
    assert not await it.look(1)


async def test_what_the_list_shows_is_followed() -> None:
    """By the name that went with it: its id was in the answer that was lost."""
    it = Scene(answer=NO_ANSWER, on_list=Sent(SENT))
    flight = it.begin(evidence="")
    assert await it.look(EDGE_S + 1)
    assert flight.evidence == SENT

    it.fate, it.there = Progress(Fate.DONE, SENT), (2 * TEN, 2 * TEN)
    assert not await it.look()


async def test_while_a_trade_is_on_its_way_no_shares_decide() -> None:
    """They are not those of the books, whatever they are."""
    it = Scene(fate=Progress(Fate.FAILED, SENT))
    it.begin()
    it.fill(Outcome.UP, TEN, TradeStatus.MATCHED)
    for it.there in ((3 * TEN, 3 * TEN), (4 * TEN, 3 * TEN), (3 * TEN, 2 * TEN)):
        assert await it.look()


async def test_a_node_that_is_behind_shows_no_merge() -> None:
    """Ten pairs were bought a moment ago: without them the chain shows what the merge would leave.
    It was booked, and its dollars spent, while it may yet fail.
    """
    it = Scene(fate=NO_ANSWER)
    for outcome in Outcome:
        it.fill(outcome, TEN)
    it.begin()
    assert await it.look(STALE_MS / 1000)
    assert it.pairs == 40
    assert not await it.look(1)
    assert it.pairs == 30


@pytest.mark.parametrize("fate", [NO_ANSWER, Progress(Fate.UNDER_WAY, HASH)])
async def test_what_nobody_calls_failed_has_not(fate: Progress | Failure) -> None:
    """Not by a relayer that does not answer, nor by a receipt of what it calls under way: it sends
    another transaction in the place of one that has reverted.
    """
    it = Scene(fate=fate, receipt=False)
    it.begin()
    assert await it.look(GRACE_S)
    assert it.failed == []


async def test_an_earlier_merge_done_again_is_not_this_ones_failure() -> None:
    """It is booked first, whatever the time; what is left to explain then decides."""
    it = Scene()
    it.under_way.proof.moved(Moved(KEY, "merge", "done", "polybot-0.0", TEN // 2, TEN // 2))
    it.there = (3 * TEN - TEN // 2, 3 * TEN - TEN // 2)
    it.begin()
    assert await it.look(GRACE_S + 1)
    assert (it.pairs, it.failed) == (25, [])

    assert not await it.look()
    assert it.failed == ["it never came to the chain"]


async def test_what_it_cannot_have_made_ends_with_its_deadline() -> None:
    """Somebody else has moved shares: it ends here, and who compares balances halts trading. Until
    then the dollars that it may have brought are expected.
    """
    it = Scene(fate=Progress(Fate.UNDER_WAY, SENT), there=(3 * TEN, TEN))
    it.begin()
    assert await it.look(GRACE_S)
    assert not it.account.overdue
    assert not await it.look(1)
    assert "which it cannot have made" in it.failed[0]
    assert not it.account.overdue

    it = Scene(there=NO_ANSWER)
    it.begin("split")
    assert await it.look(GRACE_S + 1)
    assert it.account.overdue == {KEY: -TEN}
    it.there = (4 * TEN, 4 * TEN)
    assert not await it.look()
    assert (it.pairs, it.account.overdue) == (40, {})


async def test_a_split_may_be_larger_than_what_is_held() -> None:
    """A merge may not: there the books are not the wallet's, and trading halts, but while a fill
    that would explain it is on its way.
    """
    it = Scene(fate=Progress(Fate.DONE, SENT), there=(8 * TEN, 8 * TEN))
    it.begin("split", 5 * TEN)
    assert not await it.look()
    assert (it.pairs, it.health.halted) == (80, {})

    it = Scene(fate=Progress(Fate.DONE, SENT), there=(0, 0))
    it.fill(Outcome.UP, TEN, TradeStatus.MATCHED)
    it.begin("merge", 4 * TEN)
    assert await it.look()
    assert it.health.halted == {}
    it.account.ledger.books[KEY].trades.popitem()
    assert await it.look()
    assert [*it.health.halted] == [Halt.LEDGER_DRIFT.value]


async def test_what_is_redeemed_is_no_move_that_is_done_again() -> None:
    """All that is there is burnt, and is worth what won of it."""
    it = Scene(fate=Progress(Fate.DONE, SENT), there=(0, 0))
    it.account.take([Resolved(KEY, SHARE, "chain")], it.now_ms)
    cash = it.account.ledger.cash
    it.begin("redeem", 6 * TEN)
    it.account.take([trade := fill("late", Outcome.UP, TEN, TradeStatus.MATCHED)], it.now_ms)
    assert await it.look(), "a trade that would confirm later would leave shares behind"
    it.account.take([confirmed(trade)], it.now_ms)
    assert not await it.look()

    assert it.account.ledger.cash == cash - TEN // 2 + 4 * TEN
    assert not it.under_way.proof._moved


async def test_what_takes_long_is_told_once() -> None:
    """And what fails again and again, for nothing is merged there meanwhile."""
    it = Scene()
    it.begin()
    assert await it.look(SLOW_S)
    assert it.told == []
    for _ in range(2):
        assert await it.look(1)
        assert it.told == ["merge: no answer for 60 s; looking for it on the chain"]

    it = Scene(answer=Refused("no"))
    for count in range(1, WEARY_AFTER + 2):
        it.begin(evidence="")
        assert not await it.look()
        assert bool(it.told) is (count >= WEARY_AFTER)
    assert it.told == [f"{MARKET.slug}: merge has failed {WEARY_AFTER} times: no"]


async def test_a_batch_of_the_last_run_is_one_flight() -> None:
    """The id of any of its parts is that of all: the disk may have failed between two of them."""
    it = Scene()
    asked = [Moved(key, "merge", "asked", f"polybot-1.{n}", TEN) for n, key in enumerate("abc")]
    asked[1] = attrs.evolve(asked[1], step="sent", evidence=SENT)
    it.under_way.take_over([*asked, Moved("d", "merge", "asked", "polybot-2.0", TEN)])

    first, second = it.under_way.flights
    assert ([one.condition_id for one in first.left], first.evidence) == (["a", "b", "c"], SENT)
    assert [one.condition_id for one in second.left] == ["d"]
    assert it.account.moving == {*"abcd"}


async def test_a_batch_that_is_refused_ends_whole() -> None:
    """Every part of it is free to be asked for again."""
    it = Scene(answer=Refused("no"))
    flight = it.begin(evidence="")
    flight.left.append(Moved(KEY, "split", "asked", "polybot-1.1", TEN))

    assert not await it.look()
    assert it.failed == ["no", "no"]


async def test_what_the_last_run_has_sent_is_looked_for_in_the_list() -> None:
    """No thread of this run sends it; its answer died with that run."""
    it = Scene(on_list=Sent(SENT), there=NO_ANSWER)
    it.under_way.take_over([Moved(KEY, "merge", "asked", "polybot-1.0", TEN)])

    assert await it.look()
    assert it.under_way.flights[0].evidence == SENT
