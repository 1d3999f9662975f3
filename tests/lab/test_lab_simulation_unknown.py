"""A lost journal excuses what it knew of, by its amount, and nothing else (L2, G25)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import broken, calm, rows_count_twice

from polybot.lab import simulation, simulation_unknown
from polybot.lab.agreement import Unknown
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_money import COME, Sent
from polybot.lab.simulation_reach import JOURNAL_LOST
from polybot.lab.simulation_unknown import Forgotten

PAIRS, WORTH = 27_000_000, 40_000_000


def merging_when_it_is_lost() -> Case:
    """A journal is lost with a merge under way, and dollars come in the life after it, which waits
    a minute for trades of before.
    """
    first, second = Life(20.0, End.KILL, 1.0, lost=True), Life(84.0, End.STOP, 0.0)
    reward = Sent(118.0, 60_000_000, reward=True)
    return attrs.evolve(
        calm(length_s=105.0), quiet_s=0.0, lives=(first, second), sniped=0.9, sent=(reward,),
        settings=(("inventory", "merge_shares", 5),),
    )  # fmt: skip


def test_what_a_lost_journal_does_not_explain_is_found() -> None:
    """Sixty dollars too many, and a merge of 27 that the relayer lists and a new journal waits for.
    All differences of cash were excused for the rest of such a life.
    """
    lost: list[int] = []
    lose = Forgotten.lose

    def noted(self: Forgotten, bot: Any) -> None:
        lose(self, bot)
        lost.extend(one.cash for one in self.done())

    with (
        mock.patch.object(Forgotten, "lose", noted),
        mock.patch.object(simulation, "AGREE_S", 20.0),
        rows_count_twice(),
    ):
        found = simulate(merging_when_it_is_lost())

    assert lost == [0]
    assert found.seen[COME] == found.seen[JOURNAL_LOST] == 1
    assert "L2" in broken(found)


def operation(kind: str) -> Any:
    return SimpleNamespace(operation_id=kind, kind=kind, shares=PAIRS, condition_id="0x1")


def venue(*listed: str) -> Any:
    """Whose relayer lists transactions of these names."""
    rows = [SimpleNamespace(work=SimpleNamespace(metadata=name)) for name in listed]
    relayer = SimpleNamespace(queue=SimpleNamespace(of_key=lambda _: rows))
    return SimpleNamespace(
        chain=SimpleNamespace(relayer=relayer),
        demo_wallets=SimpleNamespace(relayer_api_key="key"),
        engine=SimpleNamespace(trades={}),
    )


def bot_with(*kinds: str, evidence: str = "") -> Any:
    market = SimpleNamespace(up_token="up", down_token="down")
    books = SimpleNamespace(
        market=market, worst_value=WORTH, holdings=lambda: SimpleNamespace(up=WORTH, down=3)
    )
    left = [operation(kind) for kind in kinds]
    flight = SimpleNamespace(left=left, evidence=evidence, name="all")
    ledger = SimpleNamespace(books={"0x1": books})
    return SimpleNamespace(
        inventory=SimpleNamespace(under_way=SimpleNamespace(flights=[flight])),
        ctx=SimpleNamespace(account=SimpleNamespace(ledger=ledger)),
    )


@pytest.mark.parametrize(
    ("kinds", "ends"),
    [
        ((), [(0, 0, 0)]),
        (("merge",), [(0, 0, 0), (PAIRS, -PAIRS, -PAIRS)]),
        (("split",), [(0, 0, 0), (-PAIRS, PAIRS, PAIRS)]),
        (("redeem",), [(0, 0, 0), (WORTH, -WORTH, -3)]),
        (
            ("merge", "redeem"),
            [
                (0, 0, 0),
                (PAIRS, -PAIRS, -PAIRS),
                (WORTH, -WORTH, -3),
                (PAIRS + WORTH, -PAIRS - WORTH, -PAIRS - 3),
            ],
        ),
    ],
)
def test_what_may_have_been_done(kinds: tuple[str, ...], ends: list[tuple[int, int, int]]) -> None:
    """Each operation may have come to the chain or not, in dollars and in shares."""
    forgotten = Forgotten(venue(), "0xwallet")
    forgotten.lose(bot_with(*kinds))

    found = [
        (one.cash, one.shares.get("up", 0), one.shares.get("down", 0)) for one in forgotten.done()
    ]
    assert found == ends


@pytest.mark.parametrize(
    ("listed", "evidence", "ends"),
    [((), "", 2), (("other",), "", 2), (("all",), "", 1), ((), "0x1", 1)],
)
def test_what_the_relayer_lists_is_waited_for(
    listed: tuple[str, ...], evidence: str, ends: int
) -> None:
    """A new journal begins when it has ended, and so knows of it."""
    forgotten = Forgotten(venue(*listed), "0xwallet")
    forgotten.lose(bot_with("merge", evidence=evidence))

    assert len(list(forgotten.done())) == ends


def test_what_is_bought_where_no_bot_trades_is_excused() -> None:
    """Somebody else's order was filled in a window that no books are of (brief seed 9646); in one
    that had books all is judged.
    """
    market = SimpleNamespace(condition_id="0x2")
    there = venue()
    there.engine.trades = {"1": SimpleNamespace(id="1", market=market)}
    forgotten = Forgotten(there, "0xwallet")
    bot = bot_with()
    with (
        mock.patch.object(simulation_unknown, "parties", return_value={"0xwallet"}),
        mock.patch.object(simulation_unknown, "_traded", return_value=Unknown(-5000, {})),
    ):
        forgotten.look(bot)
        assert [one.cash for one in forgotten.done()] == [0, -5000]
        bot.ctx.account.ledger.books["0x2"] = None
        forgotten.look(bot)
        assert [one.cash for one in forgotten.done()] == [0]
