"""What shares are worth: at fair, at worst, and when nobody can say (strategy.md 15)."""

from __future__ import annotations

from typing import cast

import attrs
from desk_kit import MARKET, START

from polybot.account import Account
from polybot.clock import Clock
from polybot.domain.baseline import Baseline
from polybot.domain.halts import Halt
from polybot.domain.ledger import Ledger
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, USD
from polybot.health import Health
from polybot.loss_watch import PRICES_MS, LossWatch
from polybot.marks import Marks
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.risk.limits import RiskParams
from polybot.risk.losses import LossLimits

OTHER = attrs.evolve(MARKET, condition_id="0xd", slug="other", up_token="333", down_token="444")


@attrs.define
class Board:
    """A price board that says what it is told to say."""

    q: dict[str, float] = attrs.field(factory=dict)

    def fair(self, market: Market, now_ms: int) -> Fair | NoFair:
        q = self.q.get(market.condition_id)
        if q is None:
            return NoFair(WhyNoFair.SPOT_STALE)
        return Fair(q, d=0.0, v=0.0, phi_d=0.0, sigma=0.5, tau_s=60.0, spot=90_000.0)


@attrs.define
class Bench:
    """Marks on a ledger and a board of their own."""

    ledger: Ledger = attrs.field(factory=Ledger)
    board: Board = attrs.field(factory=Board)
    now: int = START
    marks: Marks = attrs.field(init=False)
    day_loss: int = 0
    halted: list[Halt] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.marks = Marks(cast(PriceBoard, self.board), cast(Account, self), cast(Clock, self))
        self.ledger.deposit(1_000 * USD, "start")

    def now_ms(self) -> int:
        return self.now

    def buy(self, market: Market, outcome: Outcome, price: int, shares: int) -> None:
        self.ledger.open(market)
        token = market.token(outcome)
        leg = FillLeg("0x1", token, Side.BUY, price, shares * SHARE, maker=True)
        key = f"{market.slug} {outcome}"
        self.ledger.book(TradeSeen(key, market.condition_id, TradeStatus.MATCHED, (leg,), START))

    @property
    def journal(self) -> Bench:
        return self

    def note(self, _entry: object) -> None: ...

    def halt(self, halt: Halt, _why: str) -> None:
        self.halted.append(halt)

    def watch(self, began: int = 1_000 * USD) -> LossWatch:
        """The loss limits at work, of a day that the journal says began with so much."""
        base = Baseline("2026-09-21", began, began, 1_000 * USD)
        limits = LossLimits(RiskParams(), base)
        account, health = cast(Account, self), cast(Health, self)
        return LossWatch(account, health, cast(Clock, self), self.marks, limits)

    def looks(self, watch: LossWatch, times: int) -> list[Halt]:
        """What so many looks halt, one a second."""
        for _ in range(times):
            watch.look()
            self.now += 1_000
        return self.halted

    def figures(self) -> tuple[int | None, int | None, int]:
        """Equity, unrealised at fair and at worst, in whole dollars where they are."""
        marks = self.marks
        found = (marks.equity(), marks.unrealised(), marks.unrealised_worst())
        assert all(one is None or one % 10_000 == 0 for one in found)
        return found


def test_pairs_are_sure_and_the_rest_is_marked() -> None:
    """100 Up at 0.48 and 80 Down at 0.50: 80 pairs earn 1.60 whatever comes, 20 Up go by fair."""
    it = Bench()
    it.buy(MARKET, Outcome.UP, 4_800, 100)
    it.buy(MARKET, Outcome.DOWN, 5_000, 80)
    it.board.q["0xc"] = 0.7
    assert it.figures() == (1_006 * USD, 6 * USD, -8 * USD)
    it.board.q["0xc"] = 0.2
    assert it.figures() == (996 * USD, -4 * USD, -8 * USD)


def test_down_is_marked_at_what_up_leaves() -> None:
    """A net position in Down is worth one less Up's fair price."""
    it = Bench()
    it.buy(MARKET, Outcome.DOWN, 5_000, 10)
    it.board.q["0xc"] = 0.7
    assert it.figures() == (998 * USD, -2 * USD, -5 * USD)


def test_without_a_price_there_is_no_gain_but_for_pairs() -> None:
    """Nothing ever known of an open window: no figure of what it has gained, rather than a wrong
    one, and for the limits what it cost. Of pairs alone it is known without a price.
    """
    it = Bench()
    it.buy(MARKET, Outcome.UP, 4_800, 10)
    it.buy(OTHER, Outcome.UP, 4_000, 10)
    it.buy(OTHER, Outcome.DOWN, 4_000, 10)
    assert it.figures() == (1_002 * USD, None, -2_800_000)
    it.buy(MARKET, Outcome.DOWN, 4_800, 10)
    assert it.figures() == (1_002_400_000, 2_400_000, 2_400_000)


def test_the_last_price_stands_when_the_feed_is_gone() -> None:
    """Stale, and after the end until the result: as it was last seen (F36)."""
    it = Bench()
    it.buy(MARKET, Outcome.UP, 5_000, 10)
    it.board.q["0xc"] = 0.9
    it.marks.note()
    seen = it.figures()
    it.board.q.clear()
    it.now = MARKET.end_ms + 60_000
    it.marks.note()
    assert it.figures() == seen == (1_004 * USD, 4 * USD, -5 * USD)
    it.ledger.resolve("0xc", 0)
    assert it.figures() == (995 * USD, -5 * USD, -5 * USD)


def test_who_looks_moves_nothing() -> None:
    """Only a look of the loss limits is remembered: a screen that somebody watches, or nobody, is
    the same bot.
    """
    it = Bench()
    it.buy(MARKET, Outcome.UP, 5_000, 10)
    it.board.q["0xc"] = 0.9
    assert it.figures() == (1_004 * USD, 4 * USD, -5 * USD)
    it.board.q.clear()
    assert it.figures() == (1_000 * USD, None, -5 * USD)


def test_an_ended_window_that_was_never_priced_counts_as_its_cost() -> None:
    """After a restart between a window's end and its result: neither hope nor fear."""
    it = Bench()
    it.buy(MARKET, Outcome.UP, 5_000, 10)
    it.now = MARKET.end_ms
    assert it.figures() == (1_000 * USD, 0, -5 * USD)


# --- and the loss limits, by them -----------------------------------------------------------------


def test_shares_without_a_price_put_no_limit_off() -> None:
    """Five shares of a window that this run has never priced, as after a restart: elsewhere 192 of
    a thousand dollars are lost. That halts, and shrinks the limits, with them as without (S12).
    """
    it = Bench()
    it.buy(MARKET, Outcome.UP, 4_000, 5)
    it.buy(OTHER, Outcome.UP, 5_000, 400)
    it.board.q["0xd"] = 0.02
    watch = it.watch()

    assert it.looks(watch, 2) == [Halt.DAILY_LOSS]
    assert it.day_loss == 192 * USD
    assert watch.today() is None, "a screen has no figure"


def test_a_start_waits_for_the_prices_that_may_make_up_for_a_loss() -> None:
    """Forty dollars are lost by what is done, and a hundred Up, bought at half a dollar, may have
    won them back: while their price may come in a moment only the limits shrink. They are worth
    0.80: nothing was to halt.
    """
    it = Bench()
    it.buy(MARKET, Outcome.UP, 5_000, 100)
    watch = it.watch(1_040 * USD)

    assert it.looks(watch, 10) == []
    assert it.day_loss == 40 * USD
    it.board.q["0xc"] = 0.8
    assert it.looks(watch, 60) == []


def test_a_price_that_never_comes_is_not_waited_for() -> None:
    """The same, while the feed stays down: after half a minute the shares are what they cost."""
    it = Bench()
    it.buy(MARKET, Outcome.UP, 5_000, 100)
    watch = it.watch(1_040 * USD)

    assert it.looks(watch, PRICES_MS // 1_000) == []
    assert it.looks(watch, 2) == [Halt.DAILY_LOSS]
