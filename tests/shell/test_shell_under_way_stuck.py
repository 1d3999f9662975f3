"""An operation in whose market a trade never settles (clob.md 5.1) has an end all the same."""

from __future__ import annotations

import pytest
from test_shell_under_way import HASH, KEY, SENT, TEN, Scene

from polybot.domain.market import Outcome
from polybot.domain.orders import Failure, TradeStatus
from polybot.in_flight import GRACE_S, LAGS_S
from polybot.move_proof import Pair
from polybot.venue.relayer import Fate, Progress

UNMOVED = [(3 * TEN, 3 * TEN), (3 * TEN + 7, 3 * TEN)]  # without the trade, and with it


def stuck(fate: Progress | Failure, there: Pair) -> Scene:
    """A merge of ten pairs, and a fill of a few shares that the chain does not take."""
    it = Scene(fate=fate, there=there)
    it.fill(Outcome.UP, 7, TradeStatus.RETRYING)
    it.begin()
    return it


@pytest.mark.parametrize("there", UNMOVED)
async def test_what_has_failed_ends_beside_a_trade_that_never_settles(there: Pair) -> None:
    """A merge that the relayer has called failed was followed for as long as the fill beside it was
    retried: nothing was merged there any more, and no start came to its end.
    """
    it = stuck(Progress(Fate.FAILED, SENT), there)
    assert await it.look()
    assert await it.look(GRACE_S)
    assert not await it.look(1)

    assert (it.failed, it.pairs) == (["failed"], 30)
    assert KEY not in it.account.claims
    assert it.health.halted == {}


@pytest.mark.parametrize("fate", [Failure("503"), Progress(Fate.UNDER_WAY, HASH)])
async def test_what_never_came_ends_when_no_node_is_so_far_behind(
    fate: Progress | Failure,
) -> None:
    """Nothing of it can be mined any more, and it was not a minute later either."""
    it = stuck(fate, UNMOVED[0])
    assert await it.look(GRACE_S + 1)
    assert await it.look(LAGS_S)
    assert not await it.look(1)

    assert it.failed == ["it never came to the chain"]


@pytest.mark.parametrize("there", [(2 * TEN, 2 * TEN), (2 * TEN + 7, 2 * TEN), (TEN, TEN)])
async def test_what_has_moved_shares_or_may_have_goes_on(there: Pair) -> None:
    """It is not called failed, to be asked for once more, by what shows that it was done."""
    it = stuck(Failure("503"), there)
    for _ in range(5):
        assert await it.look(GRACE_S + LAGS_S)

    assert it.failed == []
