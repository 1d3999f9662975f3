"""A redemption that nobody of us has asked for is booked only by what no lagging node shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock
from unittest.mock import Mock

import pytest
import trio
from trio.testing import MockClock

from polybot import results
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.journal.entries import Resolved
from polybot.move_proof import Pair
from polybot.results import GAMMA_LATE_S, RESULT_POLL_S, Results
from polybot.venue.gamma import MarketMeta


class _Ended:
    """A window that is over and that Up has won, with shares in the books and others on the chain.
    One more is bought while what is `late` is waited for.
    """

    def __init__(
        self,
        *,
        behind: bool = False,
        held: Pair = (5, 0),
        there: Pair | None = (0, 0),
        payout: int | Failure | None = SHARE,
        late: str = "",
        end_ms: int = 0,
        moving: bool = False,
        still: bool = True,
    ) -> None:
        self.booked: list[object] = []
        self.held, self.shown, self.payout, self.late = held, there, payout, late
        market = SimpleNamespace(
            condition_id="0xc0", slug="w", end_ms=end_ms, up_token="u", down_token="d"
        )
        books = SimpleNamespace(market=market, up_payout=SHARE, worst_value=5)
        ledger = SimpleNamespace(books={"0xc0": books})
        account = SimpleNamespace(
            ledger=ledger, moving={"0xc0"} if moving else set(), learn_as=self._learn_as
        )
        clock = SimpleNamespace(now_ms=lambda: 1_000)
        client = SimpleNamespace(refresh=self._refresh)
        ctx: Any = SimpleNamespace(account=account, clock=clock, client=client, tell=lambda _: None)
        proof: Any = SimpleNamespace(
            still=lambda _: still,
            held=lambda _: self.held,
            there=self._there,
            behind=lambda _key, there: behind and there == (0, 0),
        )
        chain: Any = SimpleNamespace(up_payout=self._payout)
        self.results = Results(ctx, chain, proof)

    async def _there(self, _: str) -> Pair | None:
        return self.shown

    def _meanwhile(self, what: str) -> None:
        self.held = self.held[0] + (what == self.late), self.held[1]

    async def _payout(self, _: object) -> int | Failure | None:
        self._meanwhile("node")
        return self.payout

    async def _refresh(self, _: object) -> None:
        return None

    async def _learn_as(self, make: Any) -> Any:
        self._meanwhile("disk")
        done = make()
        self.booked += done
        return done


@pytest.mark.parametrize("behind", [True, False])
async def test_a_node_that_lags_redeems_nothing(behind: bool) -> None:
    """A wallet without shares is what the books themselves said a moment before their last fills:
    beside a payout that another node told, it was booked as a redemption that nobody did.
    """
    made = _Ended(behind=behind)

    assert await made.results.redeemed() is not behind
    assert len(made.booked) == (not behind)


@pytest.mark.parametrize(
    ("held", "there", "payout", "redeemed"),
    [
        ((5, 3), (0, 3), SHARE, True),
        ((5, 3), (0, 0), SHARE, True),
        ((5, 3), (5, 0), SHARE, False),
        ((5, 3), (0, 2), SHARE, False),
        ((5, 3), (0, 3), SHARE // 2, False),
        ((0, 3), (0, 3), SHARE, False),
        ((0, 3), (0, 0), SHARE, True),
    ],
)
async def test_what_has_lost_may_stay(held: Pair, there: Pair, payout: int, redeemed: bool) -> None:
    """Whoever redeems for us has no reason to burn what pays nothing; all that pays is gone."""
    made = _Ended(held=held, there=there, payout=payout)

    assert await made.results.redeemed() is redeemed
    assert len(made.booked) == redeemed


@pytest.mark.parametrize(
    "spoilt",
    [
        {"end_ms": 1_000},
        {"moving": True},
        {"still": False},
        {"there": None},
        {"payout": None},
        {"payout": Failure("timed out")},
    ],
)
async def test_what_is_not_known_to_be_redeemed_is_not_booked(spoilt: dict[str, Any]) -> None:
    """While the window lasts, while anything of it is on its way, and where the chain says nothing:
    shares that are gone may be a trade's, or our own operation's.
    """
    made = _Ended(**spoilt)

    assert not await made.results.redeemed()
    assert made.booked == []


async def test_only_the_markets_asked_for_are_looked_at() -> None:
    """Who follows an operation asks for its market alone."""
    made = _Ended()

    assert not await made.results.redeemed({"0xd0"})
    assert await made.results.redeemed({"0xc0"})


@pytest.mark.parametrize("late", ["node", "disk"])
async def test_what_comes_meanwhile_is_not_redeemed(late: str) -> None:
    """A fill that is learnt before the redemption gets its turn has not been redeemed by whoever
    took the shares of before: it was burnt with them, and its dollars were booked.
    """
    made = _Ended(late=late)

    assert not await made.results.redeemed()
    assert made.booked == []


@pytest.mark.parametrize(("held", "told"), [((5, 0), 1), ((0, 0), 0)])
async def test_a_window_that_gets_no_result_is_told(held: Pair, told: int) -> None:
    """Its shares may wait for hours, and nobody heard of it (F36)."""
    made, heard = _Ended(held=held), list[str]()

    async def nobody(*_: object) -> Failure:
        return Failure("away")

    async def nothing(_: object) -> None:
        return None

    ctx: Any = made.results.ctx
    ctx.gamma, ctx.tell = SimpleNamespace(call=nobody), heard.append
    made.results.chain.up_payout = nothing  # type: ignore[method-assign,assignment]
    market = ctx.account.ledger.books["0xc0"].market
    market.series = "btc-5m"
    for late_s in (-1, 0, 60):
        ctx.clock.now_ms = lambda at_s=GAMMA_LATE_S + late_s: at_s * 1000
        await made.results.look(market, final=True)
    assert len(heard) == told


@pytest.mark.parametrize(("said", "source"), [(SHARE, "chain and Gamma"), (None, "chain")])
async def test_a_result_is_asked_for_now_and_then(
    said: int | None, source: str, autojump_clock: MockClock
) -> None:
    """Every five seconds, or at once where it is for the last time; without Gamma's word only when
    that is late. Who has it learns it once, and from whom is written down.
    """
    made, asked, learnt = _Ended(), list[float](), list[Resolved]()
    known = Resolved("0xc0", SHARE, source)
    ctx: Any = made.results.ctx
    books = ctx.account.ledger.books["0xc0"]
    books.market.series, books.up_payout = "btc-5m", None

    async def gamma(*_: object) -> Mock:
        asked.append(trio.current_time())
        return Mock(spec=MarketMeta, up_payout=said)

    async def learn(fact: Resolved) -> None:
        learnt.append(fact)
        books.up_payout = fact.up_payout

    ctx.account.learn, ctx.settled, ctx.gamma = learn, lambda *_: None, None
    with mock.patch.object(results, "market_by_slug", gamma):
        ctx.clock.now_ms = lambda: GAMMA_LATE_S * 1000 - 1
        await trio.sleep(100)
        for _ in range(3):
            await made.results.look(books.market, final=False)
            await trio.sleep(RESULT_POLL_S / 2)
        await made.results.look(books.market, final=True)
        assert asked == [100.0, 105.0, 107.5]
        assert learnt == [known] * (said is not None)

        ctx.clock.now_ms = lambda: GAMMA_LATE_S * 1000
        await made.results.look(books.market, final=True)
    assert learnt == [known]
