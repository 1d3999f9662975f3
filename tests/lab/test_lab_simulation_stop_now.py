"""An operator's `stop --now` in a simulated life: what it says is so, and the wallet is halted."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
import pytest
import trio
from simulation_kit import all_of, calm, found_with, sound

from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_reach import EMPTIED
from polybot.operator import stop


def emptied(case: Case, end: End = End.STOP) -> Case:
    """Half a minute of trading, `stop --now`, and another life."""
    lives = (Life(30.0, end, 10.0, emptied=True), Life(60.0, End.STOP, 0.0))
    return attrs.evolve(calm(case.seed, length_s=100.0), lives=lives)


@pytest.mark.parametrize("end", list(End))
def test_the_wallet_is_emptied_and_halted(end: End) -> None:
    """Of a bot that lives and of one that is dead; the next start is halted, and so is the one
    after it, until somebody re-arms: then it quotes again.
    """
    found = sound(emptied(calm(), end))

    assert found.seen[EMPTIED] == 1
    assert found.seen.get("kill", 0) == (end is End.KILL)
    assert found.seen["stop"] == 3, "halted, halted after a restart, and at the end"
    assert found.quoted_s > 40


def test_one_at_the_end_of_all() -> None:
    """After the quiet, where nothing excuses it."""
    lives = (Life(40.0, End.STOP, 0.0, emptied=True),)
    found = sound(attrs.evolve(calm(length_s=40.0), lives=lives))

    assert found.seen[EMPTIED] == 1
    assert "stop" not in found.seen


def leaving_no_halt() -> Any:
    """S12: the wallet is empty, and the next start trades."""
    return mock.patch.object(stop, "halt", return_value=(0, []))


def dead(case: Case) -> Case:
    return emptied(case, End.KILL)


def test_a_stop_that_leaves_no_halt_is_found() -> None:
    """Whoever has called it wants nothing placed before somebody has looked."""
    found_with(leaving_no_halt, emptied, "S12")


def cancelling_nothing() -> Any:
    """S15: it believes the first list that it is shown to be an old one."""

    async def empty(_client: object, outcome: Any) -> None:
        outcome.empty = True

    return all_of(
        mock.patch.object(stop, "_empty_by", empty),
        mock.patch.object(stop, "_unanswered", return_value=[]),
    )


def test_a_stop_that_leaves_orders_is_found() -> None:
    """They are the orders of a bot that was killed a moment before."""
    found_with(cancelling_nothing, dead, "S15")


def losing_its_answer() -> Any:
    """L4: of a venue without any fault it says that orders may be live."""

    async def never(_client: object, outcome: Any) -> None:
        outcome.said = "the venue gives no answer"

    return mock.patch.object(stop, "_empty_by", never)


def test_a_stop_that_comes_to_no_end_is_found() -> None:
    """With the venue's answers in its hands."""
    found_with(losing_its_answer, dead, "L4")


def telling_nobody() -> Any:
    """S12: the engine trades on, and has the journal, which takes no halt."""

    async def nothing(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    return mock.patch.object(stop, "_end_engine", nothing)


def test_a_stop_that_tells_no_engine_is_found() -> None:
    """It says so; that is no end that anybody wants."""
    found_with(telling_nobody, emptied, "S12", "S15")


def test_one_seed_in_eight_has_some() -> None:
    """Some after a death, some in place of a signal; and they can be left out."""
    cases = [draw(seed, 1.0) for seed in range(1, 401)]
    with_some = [case for case in cases if any(life.emptied for life in case.lives)]
    ends = {life.end for case in with_some for life in case.lives if life.emptied}

    assert 25 <= len(with_some) <= 60
    assert ends == set(End)
    assert all(
        not life.emptied for case in with_some for life in Keep(emptied=False).of(case).lives
    )
    assert "-emptied" in with_some[0].text()
