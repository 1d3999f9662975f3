"""The book of one token against a slow obvious model."""

from __future__ import annotations

from hypothesis import given, strategies as st

from polybot.domain.book import Book
from polybot.domain.market import Side

prices = st.integers(1, 99).map(lambda tick: tick * 100)
sizes = st.integers(0, 5).map(lambda lots: lots * 10_000)
updates = st.lists(st.tuples(st.sampled_from(Side), prices, sizes), max_size=60)


def model_levels(model: dict[tuple[Side, int], int], side: Side) -> list[tuple[int, int]]:
    rows = [(price, size) for (each, price), size in model.items() if each is side and size]
    return sorted(rows, reverse=side is Side.BUY)


@given(updates, st.integers(0, 8))
def test_every_update_leaves_what_the_model_has(
    changes: list[tuple[Side, int, int]], depth: int
) -> None:
    """Best prices, depth and sizes equal those of a plain dict after every single change."""
    book = Book()
    model: dict[tuple[Side, int], int] = {}
    for side, price, size in changes:
        old = book.set(side, price, size)

        assert old == model.get((side, price), 0)
        model[side, price] = size
        for each in Side:
            levels = model_levels(model, each)
            assert book.levels(each) == levels
            assert book.levels(each, depth) == levels[:depth]
            best = book.best_bid if each is Side.BUY else book.best_ask
            assert best == (levels[0][0] if levels else None)


@given(updates, updates)
def test_a_replaced_book_remembers_nothing(
    before: list[tuple[Side, int, int]], after: list[tuple[Side, int, int]]
) -> None:
    """`replace` gives the same book whatever was there, and goes on as if built level by level."""
    used = Book()
    for side, price, size in before:
        used.set(side, price, size)
    fresh = Book()
    for side, price, size in after:
        fresh.set(side, price, size)

    used.replace(fresh.levels(Side.BUY), fresh.levels(Side.SELL)[::-1])

    assert used.levels(Side.BUY) == fresh.levels(Side.BUY)
    assert used.levels(Side.SELL) == fresh.levels(Side.SELL)
    assert (used.best_bid, used.best_ask) == (fresh.best_bid, fresh.best_ask)


def test_empty_sizes_are_no_levels() -> None:
    """A snapshot level of size zero is left out, and a removal of nothing is nothing."""
    book = Book()

    book.replace([(5000, 0), (4900, 10)], [])

    assert book.levels(Side.BUY) == [(4900, 10)]
    assert book.set(Side.SELL, 5100, 0) == 0
    assert book.best_ask is None
    assert not book.levels(Side.SELL)


def test_the_mirror_is_the_other_outcomes_book() -> None:
    """A bid at 0.40 is an ask at 0.60 of the other token, and twice mirrored is the same book."""
    book = Book()
    book.replace([(4000, 7)], [(4300, 9), (4500, 1)])

    mirror = book.mirrored()

    assert mirror.levels(Side.SELL) == [(6000, 7)]
    assert mirror.levels(Side.BUY) == [(5700, 9), (5500, 1)]
    assert mirror.mirrored().levels(Side.SELL) == book.levels(Side.SELL)
