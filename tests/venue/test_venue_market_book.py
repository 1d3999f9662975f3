"""Books believed only while their hashes match: every way to go wrong, and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import structs
from slow_venue import Venue, levels_of, opened, state_of, trade
from venue_kit import CONDITION, DOWN, UP, make_market

from polybot.domain.market import Outcome, Side
from polybot.venue.book_state import BookState
from polybot.venue.last_trade import LastTradeBelief, last_trade_text
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import (
    BestBidAsk,
    BookMessage,
    Change,
    MarketMessage,
    Noise,
    PriceChange,
    Resolved,
    TickSize,
    WireLevel,
)


def test_deltas_before_the_snapshot_are_not_applied() -> None:
    """Until its first book an outcome awaits one, whatever else arrives."""
    market = make_market()
    venue, book = Venue(market), MarketBook(market)

    applied = book.apply(venue.change(5, (Side.BUY, 4800, 1_000_000)))

    assert not applied
    assert book.counts.early == 2
    assert state_of(book) == {BookState.AWAITING_SNAPSHOT}
    book.apply(venue.snapshot(UP, 10))
    assert book.state(Outcome.UP) is BookState.VALID
    assert not book.valid


def test_a_verified_delta_changes_both_books() -> None:
    """One message moves the level on both tokens and both hashes match."""
    venue, book = opened()

    applied = book.apply(venue.change(1001, (Side.BUY, 5000, 3_000_000)))

    assert set(applied) == set(Outcome)
    assert book.book(Outcome.UP).best_bid == 5000
    assert book.book(Outcome.DOWN).best_ask == 5000
    assert book.valid
    assert book.counts.mismatches == 0


def test_several_changes_of_one_token_in_one_message() -> None:
    """A batch in one message is verified as a whole."""
    venue, book = opened()

    book.apply(venue.change(1001, (Side.BUY, 5000, 3_000_000), (Side.BUY, 4900, 0)))

    assert book.valid
    assert book.counts.mismatches == 0


def test_a_lost_delta_is_noticed_at_the_next_one_and_healed_by_a_snapshot() -> None:
    """A hash of a book we do not have makes both books a rumour until the next snapshot."""
    venue, book = opened()
    venue.change(1001, (Side.BUY, 4800, 9_000_000))  # never arrives

    book.apply(venue.change(1002, (Side.BUY, 5000, 3_000_000)))

    assert state_of(book) == {BookState.MISMATCH}
    for token in (UP, DOWN):
        book.apply(venue.snapshot(token, 1003, dump=False))
    assert book.valid


def test_a_mismatch_heals_when_the_late_delta_comes() -> None:
    """Two messages out of order disagree for a moment and agree again."""
    venue, book = opened()
    first = venue.change(1001, (Side.BUY, 4800, 9_000_000))
    second = venue.change(1001, (Side.BUY, 4700, 9_000_000))

    book.apply(second)
    assert not book.valid
    book.apply(first)
    assert not book.valid  # its hash is of a book that never was with us
    book.apply(venue.change(1002, (Side.BUY, 4600, 9_000_000)))
    assert book.valid


def test_a_doubled_delta_does_no_harm() -> None:
    """Sizes are totals: the same message twice is the same book."""
    venue, book = opened()
    delta = venue.change(1001, (Side.BUY, 5000, 3_000_000))

    book.apply(delta)
    book.apply(delta)

    assert book.valid
    assert dict(book.book(Outcome.UP).levels(Side.BUY))[5000] == 3_000_000


def test_without_a_hash_the_best_prices_decide() -> None:
    """An unhashed delta that contradicts the stated top is a mismatch; one that agrees is not."""
    venue, book = opened()
    good = venue.change(1001, (Side.BUY, 5000, 3_000_000))
    bare = [structs.replace(entry, hash="") for entry in good.entries]

    book.apply(structs.replace(good, entries=bare))
    assert book.valid
    wrong = [structs.replace(entry, bid_text="0.4") for entry in bare]
    book.apply(structs.replace(good, entries=wrong))
    assert state_of(book) == {BookState.MISMATCH}


def test_an_old_snapshot_is_dropped() -> None:
    """A snapshot older than what we hold would take us back in time."""
    venue, book = opened()
    stale = venue.snapshot(UP, 1000)
    book.apply(venue.change(1005, (Side.BUY, 5000, 3_000_000)))

    assert not book.apply(stale)
    assert book.book(Outcome.UP).best_bid == 5000
    assert book.counts.late == 1


def test_a_delta_from_before_the_snapshot_is_dropped() -> None:
    """What the snapshot contains already is not applied again: it may have been undone since."""
    venue, book = opened()
    old = venue.change(990, (Side.BUY, 5000, 3_000_000))
    venue.change(995, (Side.BUY, 5000, 0))
    for token in (UP, DOWN):
        book.apply(venue.snapshot(token, 1100))

    book.apply(old)

    assert book.book(Outcome.UP).best_bid == 4900
    assert book.valid


def test_a_new_connection_believes_nothing_held() -> None:
    """After `restart` the epoch is new and both outcomes await a snapshot, even an older one."""
    venue, book = opened()

    book.restart()

    assert book.epoch == 1
    assert state_of(book) == {BookState.AWAITING_SNAPSHOT}
    book.apply(venue.snapshot(UP, 900))
    assert book.state(Outcome.UP) is BookState.VALID


def tick_change(asset: str, new: str = "0.001", tick: int = 10, at_ms: int = 1500) -> TickSize:
    return TickSize(CONDITION, asset, "0.01", new, tick, at_ms)


def test_a_tick_change_waits_for_the_next_book() -> None:
    """The tick enters the hash; told twice it is one change; the next book is good again."""
    venue, book = opened()
    venue.tick = "0.001"

    for asset in (UP, DOWN, UP):
        book.apply(tick_change(asset))

    assert book.tick == 10
    assert state_of(book) == {BookState.TICK_CHANGED}
    book.apply(venue.change(1501, (Side.BUY, 4905, 1_000_000)))
    assert state_of(book) == {BookState.TICK_CHANGED}
    for token in (UP, DOWN):
        book.apply(venue.snapshot(token, 1502, dump=False))
    book.apply(tick_change(UP))
    assert book.valid
    assert book.counts.mismatches == 0


@pytest.mark.parametrize("token", [UP, DOWN])
@pytest.mark.parametrize("first", [UP, DOWN])
def test_a_book_read_before_the_tick_changed(token: str, first: str) -> None:
    """Its answer comes after the news, and no level has changed since: it brings no old tick back
    (brief seed 4205), of neither token, whichever was told first. One that was read since may be
    stamped as early, and is believed.
    """
    venue, book = opened()
    before = venue.snapshot(token, 1200)
    venue.tick = "0.001"
    after = [venue.snapshot(each, 1200) for each in (UP, DOWN)]

    book.apply(tick_change(first))
    assert not book.apply(before)
    for each in (UP, DOWN):
        book.apply(tick_change(each))
    assert not book.apply(before)

    assert (book.tick, book.counts.late) == (10, 2)
    assert state_of(book) == {BookState.TICK_CHANGED}
    for answer in after:
        book.apply(answer)
    assert book.valid


def test_tick_changes_out_of_order() -> None:
    """The older one says nothing any more; after a new connection all is told anew."""
    venue, book = opened()

    book.apply(tick_change(UP, "0.005", 50, at_ms=1600))
    book.apply(tick_change(UP, "0.001", 10, at_ms=1500))
    assert (book.tick, book.counts.late) == (50, 1)

    book.restart()
    book.apply(venue.snapshot(UP, 1200))
    assert book.tick == 100
    book.apply(tick_change(UP, at_ms=1500))
    assert book.tick == 10


@pytest.mark.parametrize("told", ["0", "0.003", "nonsense"])
def test_a_dump_with_an_impossible_tick_keeps_the_old_one(told: str) -> None:
    """The tick of a dump is believed only if it divides a dollar; the rest of the dump is used."""
    venue, book = opened()

    book.apply(structs.replace(venue.snapshot(UP, 2000), tick_text=told))

    assert book.tick == 100
    assert book.counts.bad == 1


def test_a_print_is_only_a_candidate() -> None:
    """The venue may hash the trade in the other token's terms: a print changes no belief."""
    venue, book = opened()
    venue.last_trade = "0.490"

    assert not book.apply(trade(5100))

    book.apply(venue.change(2001, (Side.BUY, 4800, 1_000_000)))
    assert book.valid
    assert book.counts.learned == 1


def test_a_print_heals_the_hash_it_explains() -> None:
    """A hash that already knew the trade matches as soon as the print tells its price."""
    venue, book = opened()
    venue.last_trade = "0.330"
    book.apply(venue.change(1001, (Side.BUY, 4800, 1_000_000)))
    assert not book.valid

    applied = book.apply(trade(3300))

    assert book.valid
    assert set(applied) == set(Outcome)


def test_a_burst_is_judged_once_by_its_last_hash() -> None:
    """Two hashes prove both books, however many changes came; a change lost among them is seen."""
    venue, book = opened()
    before = book.counts.verified
    for stamp in range(1001, 1101):
        book.apply(venue.change(stamp, (Side.BUY, 4800, stamp * 1_000_000)))

    assert book.valid
    assert book.counts.verified == before + 2
    venue.change(1101, (Side.BUY, 4700, 1_000_000))  # never arrives
    for stamp in range(1102, 1110):
        book.apply(venue.change(stamp, (Side.BUY, 4800, stamp * 1_000_000)))
    assert not book.valid
    assert book.counts.mismatches == 2


def test_a_change_without_a_hash_hides_none_that_has_one() -> None:
    """A lost change shows in the hash that follows it, though an unhashed message with the right
    best prices comes before anybody looks.
    """
    venue, book = opened()
    venue.change(1001, (Side.BUY, 4700, 1_000_000))  # never arrives
    book.apply(venue.change(1002, (Side.BUY, 4800, 1_000_000)))
    good = venue.change(1003, (Side.BUY, 5000, 3_000_000))
    bare = [structs.replace(entry, hash="") for entry in good.entries]

    book.apply(structs.replace(good, entries=bare))

    assert state_of(book) == {BookState.MISMATCH}


def test_what_is_not_judged_yet_is_not_believed_by_default() -> None:
    """Whoever asks for the state gets a judgement; `judged_state` is the only way round it."""
    venue, book = opened()
    venue.change(1001, (Side.BUY, 4800, 9_000_000))  # never arrives
    book.apply(venue.change(1002, (Side.BUY, 5000, 3_000_000)))

    assert book.judged_state(Outcome.UP) is BookState.VALID
    assert book.state(Outcome.UP) is BookState.MISMATCH
    assert book.judged_state(Outcome.UP) is BookState.MISMATCH


def test_a_trade_in_a_burst_is_learnt_from_the_level_it_shrank() -> None:
    """The hash at the end knows a trade of the middle, whose print has not come (feeds.md 3)."""
    venue, book = opened()
    book.apply(venue.change(1001, (Side.SELL, 5200, 9_000_000)))
    assert book.valid
    venue.last_trade = "0.490"
    book.apply(venue.change(1002, (Side.BUY, 4900, 6_000_000)))
    for stamp in range(1003, 1030):
        book.apply(venue.change(stamp, (Side.SELL, 5200, (2000 - stamp) * 1_000_000)))

    assert book.valid
    assert book.counts.learned == 1


def test_a_snapshot_we_hold_already_is_not_read() -> None:
    """Its hash proves that our book is the same: the levels may be nonsense, and are not looked at.

    With another hash they are, and a level that cannot be read spoils the snapshot alone.
    """
    venue, book = opened()
    before = levels_of(book, Outcome.UP)
    nonsense = (WireLevel("x", "y"),)
    same = structs.replace(venue.snapshot(UP, 1005, dump=False), bids=nonsense)

    assert book.apply(same) == (Outcome.UP,)
    assert not book.apply(structs.replace(same, hash="ab"))

    assert book.counts.bad == 1
    assert book.valid
    assert levels_of(book, Outcome.UP) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"price_text": "NaN"},
        {"price_text": "1e-2"},
        {"price_text": "1.01"},
        {"price_text": "-0.1"},
        {"size_text": "Infinity"},
        {"size_text": "0.0000001"},
        {"size_text": ""},
        {"size_text": "9" * 31},
    ],
)
def test_a_change_off_its_grid_is_bad(wrong: dict[str, str]) -> None:
    """It moves nothing and the book that lacks it is no more believed than if it had been lost,
    until a snapshot mends it.
    """
    venue, book = opened()
    before = levels_of(book, Outcome.UP)
    message = venue.change(1001, (Side.BUY, 5000, 3_000_000))
    entries = [structs.replace(message.entries[0], **wrong), message.entries[1]]

    assert not book.apply(structs.replace(message, entries=entries))

    assert book.counts.bad == 1
    assert levels_of(book, Outcome.UP) == before
    assert book.state(Outcome.UP) is BookState.MISMATCH
    for token in (UP, DOWN):
        book.apply(venue.snapshot(token, 1002))
    assert book.valid


@pytest.mark.parametrize("stamp", ["", "x", "-1", "1e3", "9" * 17, "²"])
def test_a_stamp_that_is_none_is_bad(stamp: str) -> None:
    """Neither a change nor a snapshot without a time is taken."""
    venue, book = opened()
    change = structs.replace(venue.change(1001, (Side.BUY, 5000, 3_000_000)), timestamp=stamp)
    snapshot = structs.replace(venue.snapshot(UP, 1002), timestamp=stamp)

    assert not book.apply(change)
    assert not book.apply(snapshot)

    assert book.counts.bad == 2
    assert book.book(Outcome.UP).best_bid == 4900


def test_a_top_that_is_no_price_differs() -> None:
    """The hash decides: what is told of the top is only counted."""
    venue, book = opened()
    message = venue.change(1001, (Side.BUY, 5000, 3_000_000))
    entries = [structs.replace(entry, bid_text="x") for entry in message.entries]

    book.apply(structs.replace(message, entries=entries))

    assert book.valid
    assert book.counts.top_differs == 2


def test_candidates_are_few_and_likeliest_first() -> None:
    """Where the book's top is trades are, so these come first, in both spellings, of two as near
    the newer; then what was believed; then the tops themselves.
    """
    belief = LastTradeBelief()
    belief.believe("0.500")
    for price in (1300, 4900, 5100, 4800):
        belief.perhaps(price)

    newest = ["0.480", "0.520", "0.510", "0.490"]  # 0.49 is 0.51 of the other token
    tried = list(belief.candidates([5000, 6000]))
    assert tried == [*newest[2:], *newest[:2], "0.130", "0.870", "", "0.600", "0.400"]
    for price in range(10, 9900, 10):
        belief.perhaps(price)
    assert len(list(belief.candidates())) < 140


@pytest.mark.parametrize(
    ("price", "spelling"),
    [(8500, "0.850"), (100, "0.010"), (10, "0.001"), (25, "0.0025"), (10_000, "1.000")],
)
def test_the_last_trade_is_spelled_with_three_decimals(price: int, spelling: str) -> None:
    """As in snapshots; a fourth only where the price has one."""
    assert last_trade_text(price) == spelling


def test_tops_are_compared_and_counted() -> None:
    """`best_bid_ask` that differs is counted; it alone invalidates nothing."""
    _, book = opened()

    book.apply(BestBidAsk(CONDITION, UP, "0.49", "0.51"))
    assert book.counts.top_differs == 0
    book.apply(BestBidAsk(CONDITION, UP, "0.48", "0.51"))
    assert book.counts.top_differs == 1
    assert book.valid


def test_resolution_ends_the_books() -> None:
    """The winner is kept, and nothing that comes later revives a book."""
    venue, book = opened()

    book.apply(Resolved(CONDITION, DOWN, "Down", 3000))
    book.apply(venue.snapshot(UP, 4000))
    book.apply(venue.change(4001, (Side.BUY, 100, 1_000_000)))
    book.apply(tick_change(UP))
    book.restart()

    assert book.winner is Outcome.DOWN
    assert state_of(book) == {BookState.RESOLVED}


def test_other_markets_are_counted_and_left_alone() -> None:
    """Messages about foreign tokens touch nothing."""
    _venue, book = opened()
    other = make_market(up="1", down="2", condition="0xother")
    foreign = Venue(other)
    before = levels_of(book, Outcome.UP)

    for message in (
        foreign.change(5000, (Side.BUY, 100, 1_000_000)),
        foreign.snapshot("1", 5000),
        trade(100, asset="1"),
        tick_change("1"),
        BestBidAsk("0xother", "1"),
        Resolved("0xother", "1", "Up", 0),
        Noise("PONG"),
    ):
        assert not book.apply(message)

    assert levels_of(book, Outcome.UP) == before
    assert book.valid
    assert book.counts.foreign == 7


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_books_state_tells_the_truth(data: st.DataObject) -> None:
    """Whatever is lost, doubled or delayed: VALID means equal to the venue's book at that moment.

    Each step changes a level at the venue; the message may get lost or be sent twice, or a
    snapshot or a reconnection may come. After any delivered message valid books equal the venue's.
    """
    venue, book = opened()
    grid = st.integers(1, 99).map(lambda tick: tick * 100)
    for stamp in range(1001, 1001 + data.draw(st.integers(1, 25))):
        delta = venue.change(
            stamp,
            (
                data.draw(st.sampled_from(Side)),
                data.draw(grid),
                data.draw(st.integers(0, 4)) * 1_000_000,
            ),
        )
        fate = data.draw(st.sampled_from(["sent", "sent", "sent", "lost", "twice", "book", "gone"]))
        if fate == "gone":
            book.restart()
        if fate in ("sent", "twice"):
            for _ in range(1 + (fate == "twice")):
                book.apply(delta)
        elif fate == "book":
            for token in (UP, DOWN):
                book.apply(venue.snapshot(token, stamp))
        if fate in ("lost", "gone"):
            continue
        for outcome in Outcome:
            if book.state(outcome) is BookState.VALID:
                theirs = venue.books[book.market.token(outcome)]
                assert levels_of(book, outcome) == (
                    sorted(theirs["bids"].items()),
                    sorted(theirs["asks"].items(), reverse=True),
                )


level_texts = st.sampled_from(["0.5", "0.49", "0.510", "0", "1", "0.0001"])
wire_rows = st.builds(
    WireLevel,
    level_texts,
    st.sampled_from(["0", "1", "2.5"]),
)
bad_rows = st.sampled_from([WireLevel("x", "1"), WireLevel("0.5", "-1")])
tops = st.sampled_from([None, "", "0", "0.5", "x"])
tokens = st.sampled_from([UP, DOWN, "7"])
stamps = st.integers(0, 5).map(str)
any_message = st.one_of(
    st.builds(
        BookMessage,
        st.just(CONDITION),
        tokens,
        stamps,
        st.lists(wire_rows | bad_rows, max_size=4).map(tuple),
        st.lists(wire_rows, max_size=4).map(tuple),
        st.sampled_from(["", "ab"]),
        st.sampled_from([None, "0.01", "0.001", "x", ""]),
        st.sampled_from([None, "", "0.5", "junk"]),
    ),
    st.builds(
        PriceChange,
        st.just(CONDITION),
        stamps,
        st.lists(
            st.builds(
                lambda asset, side, level, top: Change(
                    level.price_text,
                    level.size_text,
                    asset=asset,
                    side=side,
                    hash="ab",
                    bid_text=top,
                ),
                tokens,
                st.sampled_from(Side),
                wire_rows | bad_rows,
                tops,
            ),
            max_size=4,
        ).map(tuple),
    ),
    st.builds(trade, st.integers(0, 10_000), st.just(1), tokens),
    tokens.map(tick_change),
    st.builds(BestBidAsk, st.just(CONDITION), tokens, tops, tops),
    st.builds(Resolved, st.just(CONDITION), tokens, st.just("Up"), st.just(1)),
)


@settings(max_examples=150)
@given(st.lists(any_message, max_size=20))
def test_no_sequence_of_messages_breaks_the_book(messages: list[MarketMessage]) -> None:
    """Any messages in any order: no exception, and best prices that are the best of the levels."""
    book = MarketBook(make_market())
    for message in messages:
        book.apply(message)
    for outcome in Outcome:
        ours = book.book(outcome)
        bids = [price for price, _ in ours.levels(Side.BUY)]
        asks = [price for price, _ in ours.levels(Side.SELL)]
        assert ours.best_bid == max(bids, default=None)
        assert ours.best_ask == min(asks, default=None)
