"""What a simulation has to say about garbage."""

from __future__ import annotations

import gc
import weakref

from polybot.lab.seeded import no_collector


class Knot:
    """Only the collector takes it away."""

    def __init__(self) -> None:
        self.self = self


def test_garbage_goes_when_a_life_says_so_and_what_was_before_is_not_walked() -> None:
    """By nobody's counting; and what the program and others have left costs no collection of this
    life anything.
    """
    before = [object()]
    with no_collector():
        knots = [weakref.ref(Knot()) for _ in range(10_000)]
        assert all(knot() is not None for knot in knots)

        assert not any(one is before for one in gc.get_objects())
        assert gc.collect() >= len(knots)
        assert not any(knot() is not None for knot in knots)
    assert gc.isenabled()
    gc.unfreeze()


def test_what_a_life_left_goes_before_the_next() -> None:
    """Or it would be kept for ever, and its end be heard in another."""
    with no_collector():
        left = weakref.ref(Knot())
    with no_collector():
        assert left() is None
    gc.unfreeze()
