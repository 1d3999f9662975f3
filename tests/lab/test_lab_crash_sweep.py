"""The crash sweep, a share of it: what a death must not cost, and that the sweep would see it."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio

from polybot import restart as starting
from polybot.domain.orders import SignedOrder
from polybot.exchange.request import Request, Response, json_response
from polybot.journal.entries import Halted
from polybot.journal.store import Store
from polybot.lab import crash_sweep
from polybot.lab.crash_sweep import Death, report, row_of_seed
from polybot.lab.deaths import Fate, Killed, MortalStore, Where
from polybot.orders_task import OrdersTask
from polybot.restart import Restart

# Who is killed leaves sockets and half-written requests to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def lives(seed: int, count: int) -> list[Death]:
    try:
        return row_of_seed(seed, count)
    finally:
        gc.collect()


def note(number: int) -> Halted:
    return Halted(str(number), "why " * 100)


def wrong(deaths: Sequence[Death]) -> str:
    return "; ".join(text for death in deaths for text in death.wrong)


def test_a_death_costs_nothing() -> None:
    """Killed again and again, in the middle of appends and requests: no intent is lost, no order
    sent twice or placed too early, no file corrupt, and the books are the exchange's (F63, S16).
    """
    deaths = lives(7, 5)

    assert wrong(deaths) == ""
    assert sum(death.came for death in deaths) >= 4
    assert "0 wrong" in list(report(deaths))[-1]


def test_orders_without_intents_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that sends first and writes afterwards loses intents, and the sweep says so."""

    async def careless(task: OrdersTask, orders: Sequence[SignedOrder]) -> None:
        return None

    monkeypatch.setattr(OrdersTask, "_write_down", careless)

    assert "without an intent" in wrong(lives(7, 2))


def test_quotes_before_the_books_agree_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that learns nothing of what happened meanwhile, and does not wait until balances and
    books meet, is not ready, and the sweep says so: within a few lives, for what is filled just
    before a death depends on the wall's time, too.
    """

    async def hasty(restart: Restart) -> None:
        return None

    monkeypatch.setattr(Restart, "_catch_up", hasty)
    monkeypatch.setattr(starting, "AGREE_S", 0.0)
    monkeypatch.setattr(starting, "LISTED_S", 0.0)
    monkeypatch.setattr(starting, "SETTLING_S", 0.0)
    monkeypatch.setattr(crash_sweep, "SNIPED", 1.0)
    monkeypatch.setattr(crash_sweep, "SNIPE_WITHIN_S", 0.1)
    rows = (wrong(lives(seed, 2)) for seed in range(317, 324))

    assert any("differs from the journal" in row for row in rows)


def test_a_dead_bot_submits_nothing(tmp_path: Path) -> None:
    """What the thread of a dead bot still tries at its door to the relayer is not executed; what
    had passed it is, as a request that was on the wire at a `kill -9`.
    """
    submit = Request("POST", "/submit", {}, {}, b"")
    done: list[Request] = []

    async def handle(request: Request) -> Response:
        done.append(request)
        return json_response({})

    async def knock(fate: Fate) -> None:
        for _ in range(2):
            with pytest.raises(Killed):
                await fate.relayed(submit, handle)

    for where, executed in ((Where.SUBMITTING, 0), (Where.SUBMITTED, 1)):
        done.clear()
        trio.run(knock, Fate(where, 1, tmp_path / "1", tmp_path / "2", random.Random(1)))
        assert len(done) == executed


def test_a_finished_row_is_not_done_again(tmp_path: Path) -> None:
    """An interrupted sweep goes on where it was: rows on file are read back as they were."""
    death = Death(3, 0, Where.TORN, 5, came=True, appends=5, wrong=("text",))
    done = tmp_path / "done"
    done.write_bytes(crash_sweep.line_of([death]))

    assert crash_sweep._read(done) == {3: [death]}
    assert crash_sweep._read(tmp_path / "none") == {}
    assert any(text.startswith("WRONG seed 3") for text in report([death]))
    assert attrs.evolve(death, wrong=()) != death


def test_a_torn_image_has_lost_its_last_append(tmp_path: Path) -> None:
    """An image torn in the middle of an append opens, and holds all appends before it (F67)."""
    for seed in range(20):
        place = tmp_path / str(seed)
        image = place / "image" / "journal"
        fate = Fate(Where.TORN, 3, place / "journal", image, random.Random(seed))
        store = MortalStore.under(fate, "owner")
        for number in (1, 2):
            store.append([(number, note(number))])
        with pytest.raises(Killed):
            store.append([(3, note(3))])
        with pytest.raises(Killed):
            store.append([(4, note(4))])
        store.close()

        after = Store.open(image, "owner")
        assert [one.entry for one in after.live()] == [note(1), note(2)]
        after.close()
