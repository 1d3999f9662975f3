"""The real desk and ledger against a venue that loses, delays, repeats and lies: safety after every
step. The play itself and its invariants are polybot/lab/order_play.py.
"""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polybot.domain.market import Outcome
from polybot.domain.orders import TradeStatus
from polybot.lab.order_play import Play
from polybot.lab.order_truth import CUTOFF_MS
from polybot.lab.toy_venue import CancelFate, Fates, PostFate, ReadFate

picks = st.integers(0, 10**6)
fates = st.builds(
    Fates,
    st.lists(st.sampled_from(PostFate), min_size=1, max_size=4).map(tuple),
    st.sampled_from(CancelFate),
    st.sampled_from(ReadFate),
)
ladder = st.integers(30, 65).map(lambda cents: cents * 100)


class Desks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.play = Play()

    @initialize(left_ms=st.sampled_from((240_000, 5_000)), stocked=st.booleans())
    def start(self, left_ms: int, *, stocked: bool) -> None:
        self.play.now = CUTOFF_MS - left_ms

        if stocked:
            self.play.begin_stocked(12, 16)

    @rule(
        up=ladder,
        down=ladder,
        levels=st.integers(0, 2),
        shares=st.integers(5, 12),
        sells=st.frozensets(st.sampled_from(Outcome)),
    )
    def wish(self, up: int, down: int, levels: int, shares: int, sells: frozenset[Outcome]) -> None:
        self.play.wish(up, down, levels, shares, sells)

    @rule(percent=st.sampled_from((30, 100)))
    def merge(self, percent: int) -> None:
        self.play.merge(percent)

    @rule(ms=st.sampled_from((0, 1, 50, 200, 1000, 2500)))
    def act(self, ms: int) -> None:
        self.play.act(ms)

    @rule(trouble=st.sampled_from((None, None, "user stream: closed")))
    def gate_moves(self, trouble: str | None) -> None:
        self.play.gate.set(trouble)

    @precondition(lambda self: self.play.venue.requests)
    @rule(n=picks, fates=fates)
    def request_arrives(self, n: int, fates: Fates) -> None:
        self.play.arrive(n, fates)

    @rule(n=picks, several=st.integers(1, 3), lots=st.integers(1, 1200))
    def fill(self, n: int, several: int, lots: int) -> None:
        self.play.fill(n, several, lots)

    @precondition(lambda self: self.play.venue.trades)
    @rule(n=picks, status=st.sampled_from(TradeStatus))
    def trade_moves(self, n: int, status: TradeStatus) -> None:
        self.play.trade_moves(n, status)

    @precondition(lambda self: self.play.venue.replies)
    @rule(n=picks)
    def reply_arrives(self, n: int) -> None:
        self.play.reply(n)

    @precondition(lambda self: self.play.venue.stream)
    @rule(n=picks, again=st.booleans(), lost=st.booleans())
    def message_arrives(self, n: int, again: bool, lost: bool) -> None:
        self.play.message(n, again=again, lost=lost)

    @rule(lag_ms=st.sampled_from((0, 500, 2000, 7000)))
    def reconcile(self, lag_ms: int) -> None:
        self.play.reconcile(lag_ms)

    @invariant()
    def holds(self) -> None:
        """S3 to S8, S23 and S24 (reliability.md 3)."""
        self.play.check()

    def teardown(self) -> None:
        self.play.finish()


TestDesks = Desks.TestCase
TestDesks.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
