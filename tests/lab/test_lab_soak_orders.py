"""The soak of orders: a share of it in every run of the tests, and proof that it finds what it is
there to find.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from polybot.domain import ledger
from polybot.domain.orders import OrderSeen, TradeSeen, TradeStatus
from polybot.execution import desk, firewall, table
from polybot.execution.doubts import Doubts
from polybot.execution.inventory import Place
from polybot.execution.lifecycle import OPEN, TRANSITIONS, Event, State
from polybot.execution.tracked import Tracked
from polybot.lab.report import table as written
from polybot.lab.soak_orders import RARE, Failed, Soaked, rows, sequence, spread
from polybot.lab.toy_venue import ToyVenue

SHARE_OF_IT = 7_000
SEED = 7


def test_a_share_of_the_soak_holds() -> None:
    """Seven thousand random lives: S3 to S8, S23, S24 after every step, L1 and L2 at the end, and
    every rare state has come up (reliability.md 3).
    """
    total = spread(SEED, 0, SHARE_OF_IT)

    assert total.failed == []
    assert total.sequences == SHARE_OF_IT
    assert [name for name in RARE if not total.seen[name]] == []


def test_a_sequence_repeats_by_its_number() -> None:
    """The same seed and number play the same life: a finding can be looked at alone."""
    one, again = (sequence(SEED, 123)[0] for _ in range(2))

    assert (one.sent, one.truth.told, one.now) == (again.sent, again.truth.told, again.now)
    assert one.table.rare == again.table.rare


Patch = pytest.MonkeyPatch


def time_out_is_a_refusal(patch: Patch) -> None:
    patch.setitem(TRANSITIONS[State.IN_FLIGHT], Event.NO_ANSWER, State.REJECTED)


def a_cancel_sent_is_a_cancel(patch: Patch) -> None:
    patch.setitem(TRANSITIONS[State.LIVE], Event.CANCEL_SENT, State.CANCELLED)


def a_refused_cancel_is_the_end(patch: Patch) -> None:
    patch.setitem(TRANSITIONS[State.CANCELLING], Event.CANCEL_REFUSED, State.CANCELLED)


def one_absent_read_is_enough(patch: Patch) -> None:
    patch.setattr(Doubts, "_proven", lambda *_: True)


def nothing_is_looked_up(patch: Patch) -> None:
    patch.setattr(Doubts, "due", lambda *_: [])


def doubt_blocks_nothing(patch: Patch) -> None:
    patch.setattr(desk.Desk, "_blocked", lambda *_: None)


def a_cancelling_order_counts_no_more(patch: Patch) -> None:
    patch.setattr("polybot.execution.table.OPEN", OPEN - {State.CANCELLING})


def failed_is_final_too_late(patch: Patch) -> None:
    book = ledger.Ledger.book

    def believing(self: ledger.Ledger, trade: TradeSeen) -> bool:
        return trade.status is not TradeStatus.FAILED and book(self, trade)

    patch.setattr(ledger.Ledger, "book", believing)


def the_word_matched_is_believed(patch: Patch) -> None:
    seen = table.OrderTable.seen

    def believing(self: table.OrderTable, event: OrderSeen, now_ms: int) -> None:
        seen(self, event, now_ms)
        if event.kind is OrderSeen.Kind.LIVE and event.matched and event.order_id in self:
            self.move(self[event.order_id], Event.SEEN_FILLED, now_ms)

    patch.setattr(table.OrderTable, "seen", believing)


def what_takes_may_overlap(patch: Patch) -> None:
    patch.setattr(desk.Desk, "taking", False)


def what_takes_is_not_held_to_what_is_missing(patch: Patch) -> None:
    patch.setattr(firewall.Firewall, "_only_pairs", staticmethod(lambda *_: None))


def asks_are_not_held_to_what_is_held(patch: Patch) -> None:
    patch.setattr(firewall.Firewall, "_covered", staticmethod(lambda *_: None))


def an_ask_in_doubt_binds_nothing(patch: Patch) -> None:
    def sure(self: Tracked) -> int:
        return self.remaining if self.order.selling and self.state is State.LIVE else 0

    patch.setattr(Tracked, "pledged", property(sure))


def a_sale_is_booked_when_it_is_told(patch: Patch) -> None:
    patch.setattr(table.OrderTable, "unbooked_sales", lambda _self: iter(()))


def shares_move_nothing_before_their_trade_is_told(patch: Patch) -> None:
    patch.setattr(table.OrderTable, "untold_toward", lambda *_: 0)


def an_end_frees_its_room_at_once(patch: Patch) -> None:
    patch.setattr(table, "LATE_FILL_MS", 0)


def what_the_edge_may_hold_costs_nothing(patch: Patch) -> None:
    patch.setattr(table.OrderTable, "possible", lambda self: list(self.open()))


def a_merge_takes_what_asks_bind(patch: Patch) -> None:
    patch.setattr(Place, "free_pairs", property(lambda self: self.held.mergeable))


NAIVE: tuple[Callable[[Patch], None], ...] = (
    time_out_is_a_refusal,
    a_cancel_sent_is_a_cancel,
    a_refused_cancel_is_the_end,
    one_absent_read_is_enough,
    nothing_is_looked_up,
    doubt_blocks_nothing,
    a_cancelling_order_counts_no_more,
    failed_is_final_too_late,
    the_word_matched_is_believed,
    what_takes_may_overlap,
    what_takes_is_not_held_to_what_is_missing,
    asks_are_not_held_to_what_is_held,
    an_ask_in_doubt_binds_nothing,
    a_sale_is_booked_when_it_is_told,
    a_merge_takes_what_asks_bind,
    shares_move_nothing_before_their_trade_is_told,
    an_end_frees_its_room_at_once,
    what_the_edge_may_hold_costs_nothing,
)


@pytest.mark.parametrize("naive", NAIVE, ids=lambda naive: str(naive.__name__))
def test_the_soak_bites(naive: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """Each common mistake breaks an invariant within two thousand lives, most of them soon."""
    naive(monkeypatch)

    assert any(sequence(SEED, number)[1] is not None for number in range(2000))


def test_a_venue_that_gets_an_order_twice_says_so() -> None:
    """The toy venue itself is the last to notice a POST that is sent again (S3)."""
    play, _ = sequence(SEED, 1)
    venue: ToyVenue = play.venue
    held = next(iter(venue.orders.values()))
    with pytest.raises(AssertionError, match="twice"):
        venue._accept(held.signed, OrderSeen.Kind.LIVE, play.now)


def test_a_soak_that_reached_nothing_rare_has_failed() -> None:
    """A rare state with a count of zero misses its target, but not in a short look."""
    seen = dict.fromkeys(RARE, 1) | {"reversal": 0}
    for sequences, met in ((1_000_000, False), (10, True)):
        total = Soaked(sequences)
        total.seen.update(seen)
        assert written(io.StringIO(), "soak", rows(total, 1.0)) is met


def test_what_broke_is_told_with_its_number() -> None:
    """Ten findings at most, each with what repeats it."""
    total = Soaked(5, failed=[Failed(n, 3, "Broken: S4") for n in range(12)])
    text = io.StringIO()

    assert not written(text, "soak", rows(total, 1.0))
    assert text.getvalue().count("Broken: S4") == 10
    assert "sequence 7, step 3" in text.getvalue()
