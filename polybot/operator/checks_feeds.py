"""The doctor's checks of the streams: each must deliver something within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import trio

from polybot.operator.findings import Check, Finding, failed, ok
from polybot.operator.patient import Patient
from polybot.venue.market_messages import BookMessage, decode_market, market_greeting
from polybot.venue.price_messages import POLYBOLT_PING, PolyBolt, binance_url, decode_binance
from polybot.venue.site import POLYBOLT_PING_S, WS_PING_S
from polybot.venue.sockets import SocketPhase, SocketState, run_socket
from polybot.venue.user_messages import user_greeting

WITHIN_S = 10.0
PONG = "PONG"
PING_S = 0.5  # of the user stream, which says nothing else while nothing happens


@attrs.define(eq=False)
class _Feed:
    """One connection, watched until `hears` has taken in what it waits for."""

    url: str
    greet: Callable[[], Sequence[str]]
    hears: Callable[[str], tuple[bool, Sequence[str]]]  # is this it; what to send in answer
    ping: tuple[str, float] | None
    why: str = "nothing"
    _there: trio.Event = attrs.field(factory=trio.Event)

    async def look(self, patient: Patient, remedy: str) -> Finding:
        begun = trio.current_time()
        with trio.move_on_after(WITHIN_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run, patient)
                await self._there.wait()
                nursery.cancel_scope.cancel()
        took = trio.current_time() - begun
        if self._there.is_set():
            return ok(f"delivers, after {took:.1f} s")
        return failed(f"{self.why} within {WITHIN_S:g} s", remedy)

    async def _run(self, patient: Patient) -> None:
        await run_socket(
            self.url,
            greet=self.greet,
            on_text=self._on_text,
            on_state=self._on_state,
            ping=self.ping,
            silence_s=WITHIN_S,
            clock=patient.clock,
            rng=patient.rng,
        )

    def _on_text(self, text: str, _at_ms: int) -> Sequence[str]:
        found, answer = self.hears(text)
        if found:
            self._there.set()
        return answer

    def _on_state(self, state: SocketState) -> None:
        if state.phase is not SocketPhase.OPEN and state.why:
            self.why = state.why


async def market_feed(patient: Patient) -> Finding:
    """The books of a current window arrive (feeds.md 2)."""
    markets = await patient.markets()
    if not markets:
        return failed("no market to subscribe to", "see the check of the windows")
    tokens = [markets[0].up_token, markets[0].down_token]

    def hears(text: str) -> tuple[bool, Sequence[str]]:
        return any(isinstance(one, BookMessage) for one in decode_market(text)), ()

    feed = _Feed(
        patient.site.market_ws, lambda: [market_greeting(tokens)], hears, ("PING", WS_PING_S.value)
    )
    return await feed.look(patient, "the market stream or the way to it fails")


async def user_feed(patient: Patient) -> Finding:
    """The user stream keeps us, and answers: refused credentials are thrown out (feeds.md 4.1)."""

    def hears(text: str) -> tuple[bool, Sequence[str]]:
        return text.strip() == PONG, ()

    feed = _Feed(
        patient.site.user_ws,
        lambda: [user_greeting(patient.credentials)],
        hears,
        ("PING", PING_S),
    )
    return await feed.look(patient, "check the API credentials; without it fills are not seen")


async def polybolt(patient: Patient) -> Finding:
    """Reference prices of every asset traded: what the windows are settled by (feeds.md 5)."""
    symbols = [f"{asset}usd" for asset in _assets(patient)]
    dialogue, missing = PolyBolt(patient.credentials, symbols), set(symbols)

    def hears(text: str) -> tuple[bool, Sequence[str]]:
        batch = dialogue.decode(text)
        missing.difference_update(update.symbol for update in batch.updates)
        return not missing, batch.answer

    ping = (POLYBOLT_PING, float(POLYBOLT_PING_S.value))
    feed = _Feed(patient.site.prices_ws, dialogue.greet, hears, ping)
    return await feed.look(patient, "check the API credentials; without it nothing is quoted")


async def binance(patient: Patient) -> Finding:
    """Exchange prices of every asset traded (feeds.md 7)."""
    symbols = [f"{asset.upper()}USDT" for asset in _assets(patient)]
    missing = {symbol.lower() for symbol in symbols}

    def hears(text: str) -> tuple[bool, Sequence[str]]:
        updates = decode_binance(text, patient.clock.now_ms()).updates
        missing.difference_update(update.symbol.lower() for update in updates)
        return not missing, ()

    feed = _Feed(binance_url(patient.site.binance_ws, symbols), lambda: (), hears, None)
    return await feed.look(patient, "Binance is not reachable from here, or blocks this place")


def _assets(patient: Patient) -> list[str]:
    return sorted({series.split("-")[0] for series in patient.config.bot.series})


CHECKS = (
    Check("market stream", market_feed),
    Check("user stream", user_feed),
    Check("PolyBolt prices", polybolt),
    Check("Binance prices", binance),
)
