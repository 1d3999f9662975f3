"""A venue whose connections cannot be had: what waits for one has not left, and is known not to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import attrs
import httpx
import pytest
import trio
from shell_kit import clean, playing
from venue_bent import PLACING

from polybot.domain.orders import EDGE_S
from polybot.patient_clock import PatientClock
from polybot.venue.lean_http import Connection, LeanTransport, Origin

AWAY_S = 20.0
PACED = 4 * AWAY_S / 2  # four sides, each quiet for two seconds after it has found nobody

_placing: ContextVar[bool] = ContextVar("placing", default=False)


@attrs.define(eq=False)
class Dialling:
    """What each POST of orders meets that is to dial; without `meet` they find what is kept."""

    meet: Callable[[], Awaitable[None]] | None = None
    met: int = 0

    async def hang(self) -> None:
        await trio.sleep_forever()

    async def refuse(self) -> None:
        await trio.lowlevel.checkpoint()
        raise httpx.ConnectError("nobody there")


@pytest.fixture
def dialling(monkeypatch: pytest.MonkeyPatch) -> Dialling:
    """Only orders have no connection: all else would end them too."""
    made = Dialling()
    handle, kept, dial = (
        LeanTransport.handle_async_request,
        LeanTransport._kept,
        Connection.dial,
    )

    async def handled(self: LeanTransport, request: httpx.Request) -> httpx.Response:
        _placing.set(request.method == "POST" and request.url.path in PLACING)
        return await handle(self, request)

    async def dialled(origin: Origin) -> Connection:
        if _placing.get() and made.meet is not None:
            made.met += 1
            await made.meet()
        return await dial(origin)

    def none_kept(self: LeanTransport, origin: Origin, left: int, **how: bool) -> Connection | None:
        return None if _placing.get() and made.meet is not None else kept(self, origin, left, **how)

    monkeypatch.setattr(LeanTransport, "handle_async_request", handled)
    monkeypatch.setattr(LeanTransport, "_kept", none_kept)
    monkeypatch.setattr(Connection, "dial", dialled)
    return made


async def test_what_waits_for_a_connection_leaves_no_doubt(
    dialling: Dialling, fast_clock: PatientClock
) -> None:
    """It was given up as a request that may come yet, and the edge's minute was waited for it."""
    async with playing() as it:
        dialling.meet = dialling.hang
        await it.until(lambda: dialling.met, "an order waits for its connection")
        began, after = trio.current_time(), len(it.venue.seen)
        clean(await it.end("SIGINT"))
        assert not it.waits_for_late
        assert not it.venue.placed(after=after)
    assert it.code == 0
    assert trio.current_time() - began < EDGE_S / 2


async def test_orders_that_find_nobody_are_asked_for_again(
    dialling: Dialling, fast_clock: PatientClock
) -> None:
    """Each was in doubt, and nothing was placed beside it until the edge's minute was over. They
    never left: others take their place, at the pace of a venue in trouble.
    """
    async with playing() as it:
        dialling.meet = dialling.refuse
        await it.until(lambda: dialling.met, "an order finds nobody")
        await trio.sleep(AWAY_S)
        scope = it.bot.supervisor.scopes[it.market.slug]
        assert 2 <= dialling.met <= PACED
        assert not scope.orders.desk.counts.unknowns
        dialling.meet = None
        await it.requoting()
        clean(await it.end())
        assert not it.waits_for_late
    assert it.code == 0
