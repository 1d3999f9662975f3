"""A redemption that nobody of us has asked for is booked only by what no lagging node shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from polybot.results import Results


class _Ended:
    """A window that is over, with shares in the books and none on the chain."""

    def __init__(self, *, behind: bool) -> None:
        self.booked: list[object] = []
        market = SimpleNamespace(
            condition_id="0xc0", slug="w", end_ms=0, up_token="u", down_token="d"
        )
        books = SimpleNamespace(market=market, up_payout=1_000_000, worst_value=5)
        ledger = SimpleNamespace(books={"0xc0": books})
        account = SimpleNamespace(ledger=ledger, moving=set(), learn_as=self._learn_as)
        clock = SimpleNamespace(now_ms=lambda: 1_000)
        client = SimpleNamespace(refresh=self._refresh)
        ctx: Any = SimpleNamespace(account=account, clock=clock, client=client, tell=lambda _: None)
        proof: Any = SimpleNamespace(
            still=lambda _: True,
            held=lambda _: (5, 0),
            there=self._there,
            behind=lambda _key, there: behind and there == (0, 0),
        )
        chain: Any = SimpleNamespace(up_payout=self._payout)
        self.results = Results(ctx, chain, proof)

    async def _there(self, _: str) -> tuple[int, int]:
        return 0, 0

    async def _payout(self, _: object) -> int:
        return 1_000_000

    async def _refresh(self, _: object) -> None:
        return None

    async def _learn_as(self, make: Any) -> Any:
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
