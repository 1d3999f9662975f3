"""Values on the tape: they come back as they were, and only those that were foreseen."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

import attrs
import msgpack
import pytest
from hypothesis import given, strategies as st

from polybot.journal.values import Values


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Spot(NamedTuple):
    x: int
    colour: Colour


@attrs.frozen
class Inner:
    text: str
    price: float


@attrs.frozen
class Outer:
    inner: Inner | None
    spots: tuple[Spot, ...]
    counts: Mapping[str, int]
    ids: frozenset[str]
    raw: bytes
    doubled: int = attrs.field(init=False)

    @doubled.default
    def _twice(self) -> int:
        return 2 * len(self.spots)


@attrs.frozen
class Stranger:
    text: str


VALUES = Values(Outer)

inners = st.builds(Inner, st.text(), st.floats(allow_nan=False))
spots = st.builds(Spot, st.integers(-(2**63), 2**63 - 1), st.sampled_from(Colour))
outers = st.builds(
    Outer,
    st.none() | inners,
    st.lists(spots, max_size=3).map(tuple),
    st.dictionaries(st.text(), st.integers(0, 9), max_size=3),
    st.frozensets(st.text(), max_size=3),
    st.binary(),
)


@given(outers)
def test_what_is_packed_comes_back(value: Outer) -> None:
    """Classes, named tuples, enums, maps, sets and bytes, each with its own type."""
    back = VALUES.unpack(VALUES.pack(value))
    assert back == value
    assert all(type(spot) is Spot for spot in back.spots)


@given(outers)
def test_packing_is_exact(value: Outer) -> None:
    """The same value has the same bytes, and after a round trip too: replays compare them."""
    packed = VALUES.pack(value)
    assert VALUES.pack(VALUES.unpack(packed)) == packed


def test_lists_come_back_as_tuples() -> None:
    """What was a list is a tuple: a value on the tape is frozen."""
    assert VALUES.unpack(VALUES.pack([1, [2.5, None]])) == (1, (2.5, None))


def test_a_class_nobody_foresaw_is_not_packed() -> None:
    """What could not be read again is refused where it is written."""
    with pytest.raises(TypeError, match="Stranger"):
        VALUES.pack(Stranger("a"))


class Step(NamedTuple):
    """Integers and enums alone: what is equal has the same bytes, and rows are remembered."""

    x: int
    colour: Colour


class Figure(NamedTuple):
    x: float | int


@attrs.frozen
class Heaps:
    heaps: tuple[Mapping[str, int], ...]


def test_what_is_equal_and_not_the_same_keeps_its_own_bytes() -> None:
    """0.0 and -0.0, 1 and 1.0 are equal: a row remembered for the one must not be the other's."""
    figures = Values(Figure)
    packed = {figures.pack(Figure(x)) for x in (0.0, -0.0, 0, 1, 1.0)}

    assert len(packed) == 5


def test_a_row_that_is_remembered_is_the_same_each_time() -> None:
    """Two equal values of steady types, packed one after the other and within another."""
    steps = Values(Step)
    first = steps.pack((Step(1, Colour.RED), Step(2, Colour.RED)))

    assert steps.pack((Step(1, Colour.RED), Step(2, Colour.RED))) == first
    assert steps.unpack(first) == (Step(1, Colour.RED), Step(2, Colour.RED))


def test_a_map_within_a_sequence_is_refused_where_its_type_is_learnt() -> None:
    """It could not be told from a row when it is read: no value of such a type is ever written."""
    with pytest.raises(AssertionError, match="not foreseen"):
        Values(Heaps)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgpack.packb({"is": "Stranger", "text": "a"}),
        msgpack.packb({"is": "Inner", "text": "a"}),
        msgpack.packb({"is": "Inner", "text": "a", "price": 1.0, "more": 1}),
        msgpack.packb({"is": "Colour", "of": "green"}),
        msgpack.packb({"text": "a"}),
        msgpack.packb(1) + b"x",
    ],
)
def test_foreign_bytes_make_no_object(body: bytes) -> None:
    """Names that were not foreseen, fields that are missing or too many, and noise: ValueError."""
    with pytest.raises(ValueError, match="not a value of ours"):
        VALUES.unpack(body)
