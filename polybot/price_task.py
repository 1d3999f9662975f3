"""The price task: PolyBolt, Binance and, if wanted, the legacy RTDS into the one price board, for
the assets we trade.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.core_tape import Restarted
from polybot.domain.prices import Feed, PriceUpdate, Source
from polybot.pricing.wires import RaceLine
from polybot.venue.price_messages import (
    POLYBOLT_PING,
    PolyBolt,
    PriceBatch,
    binance_url,
    decode_binance,
    decode_rtds,
    rtds_greeting,
)
from polybot.venue.site import POLYBOLT_PING_S, RTDS_PING_S
from polybot.venue.sockets import SocketState, run_socket

# Prices come every second on either stream; a quiet one is dead, whatever its pings say (F01, F58).
SILENCE_S = 10.0
RTDS_SILENCE_S = 20.0  # feeds.md 6: it stalls every half hour, and answers pings while it does
REPORT_S = 1800.0
POLYBOLT, BINANCE, RTDS = "prices polybolt", "prices binance", "prices rtds"


@attrs.define(eq=False)
class PriceTask:
    ctx: Context
    assets: Sequence[str]  # "btc", "eth", …
    _polybolt: PolyBolt = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        symbols = [f"{asset}usd" for asset in self.assets]
        self._polybolt = PolyBolt(self.ctx.credentials, symbols)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_polybolt, name="prices polybolt")
            nursery.start_soon(self._run_binance, name="prices binance")
            nursery.start_soon(self._report, name="prices report")
            if self.ctx.config.pricing.rtds:
                nursery.start_soon(self._run_rtds, name="prices rtds")

    async def _run_polybolt(self) -> None:
        await run_socket(
            self.ctx.site.prices_ws,
            greet=self._greet,
            on_text=self.on_polybolt,
            on_state=lambda state: self._note(Source.POLYBOLT, state),
            ping=(POLYBOLT_PING, POLYBOLT_PING_S.value),
            silence_s=SILENCE_S,
            clock=self.ctx.clock,
            rng=self.ctx.rng,
            tap=self.ctx.tape,
            name=POLYBOLT,
        )

    async def _run_binance(self) -> None:
        symbols = [f"{asset.upper()}USDT" for asset in self.assets]
        await run_socket(
            binance_url(self.ctx.site.binance_ws, symbols),
            greet=(),
            on_text=self.on_binance,
            on_state=lambda state: self._note(Source.BINANCE, state),
            ping=None,
            silence_s=SILENCE_S,
            clock=self.ctx.clock,
            rng=self.ctx.rng,
            tap=self.ctx.tape,
            name=BINANCE,
        )

    async def _run_rtds(self) -> None:
        """The legacy socket, dialled again when it falls silent: its empty answers to our pings
        are no sign of life.
        """
        while True:
            with trio.move_on_after(RTDS_SILENCE_S) as watchdog:
                await run_socket(
                    self.ctx.site.rtds_ws,
                    greet=[rtds_greeting()],
                    on_text=functools.partial(self._on_rtds, watchdog),
                    on_state=lambda state: self._note(Source.RTDS, state),
                    ping=("PING", RTDS_PING_S.value),
                    silence_s=SILENCE_S,
                    clock=self.ctx.clock,
                    rng=self.ctx.rng,
                    tap=self.ctx.tape,
                    name=RTDS,
                )
            self.ctx.records.note_bad("rtds: silent")

    def _on_rtds(self, watchdog: trio.CancelScope, text: str, at_ms: int) -> None:
        if any(not update.snapshot for update in self.on_rtds(text, at_ms)):
            watchdog.deadline = trio.current_time() + RTDS_SILENCE_S

    def _greet(self) -> tuple[str, ...]:
        self.ctx.core.fed(Restarted(POLYBOLT))
        return self.greeted()

    def greeted(self) -> tuple[str, ...]:
        """PolyBolt's greeting: its count of what it has sent begins anew with it."""
        return self._polybolt.greet()

    def on_polybolt(self, text: str, at_ms: int) -> tuple[str, ...]:
        """Take a frame; returns what the dialogue wants answered."""
        return self._take(Source.POLYBOLT, self._polybolt.decode(text), at_ms)

    def on_binance(self, text: str, at_ms: int) -> None:
        """Take a frame."""
        self._take(Source.BINANCE, decode_binance(text, at_ms), at_ms)

    def on_rtds(self, text: str, at_ms: int) -> tuple[PriceUpdate, ...]:
        """Take a frame; returns what of it is about our assets."""
        batch = decode_rtds(text)
        ours = tuple(update for update in batch.updates if self._is_ours(update))
        self._take(Source.RTDS, attrs.evolve(batch, updates=ours), at_ms)
        return ours

    def _is_ours(self, update: PriceUpdate) -> bool:
        """It cannot be asked for some symbols only: filters are a trap (feeds.md 6)."""
        symbol = update.symbol.lower()
        return symbol.removesuffix("t").removesuffix("usd") in self.assets

    async def _report(self) -> None:
        """Tell now and then which connection leads by how much."""
        while True:
            await trio.sleep(REPORT_S)
            for line in self.race_lines():
                logger.info("{}", line)

    def race_lines(self) -> list[str]:
        """The feed race as text: one line per connection, then what the streams say of time."""
        board = self.ctx.board
        lines = [race_text(line) for line in board.race()]
        for asset in self.assets:
            symbol = f"{asset}usd"
            lead, lag = board.exchange_lead_s(symbol), board.average_lag_s(symbol)
            told = "unknown" if lead is None else f"{lead} s"
            lines.append(f"{symbol}: exchange before oracle {told}, average trails {lag:g} s")
        return lines

    def _note(self, source: Source, state: SocketState) -> None:
        if state.why:
            self.ctx.records.note_bad(f"{source.value}: connection lost")

    def _take(self, source: Source, batch: PriceBatch, now_ms: int) -> tuple[str, ...]:
        """Give a frame's prices to the board; returns what the dialogue wants answered."""
        board, name = self.ctx.board, source.value
        if batch.lost:
            self.ctx.records.note_bad(f"{name}: lost updates")
            for feed, symbol in {(update.feed, update.symbol) for update in batch.updates}:
                board.on_loss(source, feed, symbol, batch.lost)
        stamps, now_s = self.ctx.reconciler.time.stamps, trio.current_time()
        for update in batch.updates:
            if not update.snapshot and update.feed is not Feed.CANDLE_OPEN:
                stamps.heard(name, update.stamp_ms, now_s)
            board.on_tick(
                update.feed,
                update.symbol,
                update.value,
                update.stamp_ms,
                now_ms,
                snapshot=update.snapshot,
                source=source,
            )
        if batch.bad is not None:
            self.ctx.records.note_bad(f"{name}: unreadable frame")
        if batch.notice is not None:
            logger.info("{}: {}", name, batch.notice)
        if batch.updates:
            for ring in self.ctx.on_price:
                ring()
        return batch.answer


def race_text(line: RaceLine) -> str:
    """One connection of one feed, as a line for the log."""
    first = "alone" if line.first_share is None else f"first {line.first_share:.0%}"
    delay = "?" if line.delay_ms is None else f"{line.delay_ms} ms"
    behind = "" if line.behind_ms is None else f", {line.behind_ms} ms behind the first"
    told = f"{line.feed.value} {line.symbol} by {line.source.value}: {line.seen} ticks"
    return (
        f"{told}, {delay} after their stamp, {first}{behind}, "
        f"{line.lost} lost, {line.conflicts} contradicted"
    )
