"""Lives that follow one another in a process leave nothing to the next."""

from __future__ import annotations

import gc
import weakref

from polybot.lab.seeded import no_collector


class _Knot:
    """An object that only a collection can free."""

    def __init__(self) -> None:
        self.self = self


def test_what_a_life_has_frozen_ends_with_it() -> None:
    """A bot freezes what is there when it begins; eighty lives of an hour had kept four gigabytes.
    Nothing is collected before the body says so.
    """
    with no_collector():
        assert not gc.isenabled()
        left = weakref.ref(_Knot())
        gc.freeze()
        gc.collect()
        assert left() is not None, "frozen"
    assert gc.isenabled()
    gc.collect()
    assert left() is None
