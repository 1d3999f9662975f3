"""The price task: PolyBolt and Binance streams into the one
price board, for the assets we trade.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.venue.price_messages import (
    POLYBOLT_PING,
    PolyBolt,
    PriceBatch,
    binance_url,
    decode_binance,
)
from polybot.venue.site import POLYBOLT_PING_S
from polybot.venue.sockets import SocketState, run_socket

# Prices come every second on either stream; a quiet one is dead, whatever its pings say (F01, F58).
SILENCE_S = 10.0


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

    async def _run_polybolt(self) -> None:
        await run_socket(
            self.ctx.site.prices_ws,
            greet=self._polybolt.greet,
            on_text=lambda text: self._take("polybolt", self._polybolt.decode(text)),
            on_state=lambda state: self._note("polybolt", state),
            ping=(POLYBOLT_PING, POLYBOLT_PING_S.value),
            silence_s=SILENCE_S,
            rng=self.ctx.rng,
        )

    async def _run_binance(self) -> None:
        symbols = [f"{asset.upper()}USDT" for asset in self.assets]
        await run_socket(
            binance_url(self.ctx.site.binance_ws, symbols),
            greet=(),
            on_text=self._on_binance,
            on_state=lambda state: self._note("binance", state),
            ping=None,
            silence_s=SILENCE_S,
            rng=self.ctx.rng,
        )

    def _on_binance(self, text: str) -> None:
        self._take("binance", decode_binance(text, self.ctx.clock.now_ms()))

    def _note(self, source: str, state: SocketState) -> None:
        if state.why:
            self.ctx.records.note_bad(f"{source}: connection lost")

    def _take(self, source: str, batch: PriceBatch) -> tuple[str, ...]:
        """Give a frame's prices to the board; returns what the dialogue wants answered."""
        now_ms, board = self.ctx.clock.now_ms(), self.ctx.board
        for update in batch.updates:
            board.on_tick(
                update.feed,
                update.symbol,
                update.value,
                update.stamp_ms,
                now_ms,
                snapshot=update.snapshot,
            )
        if batch.bad is not None:
            self.ctx.records.note_bad(f"{source}: unreadable frame")
        if batch.lost:
            self.ctx.records.note_bad(f"{source}: lost updates")
        if batch.notice is not None:
            logger.info("{}: {}", source, batch.notice)
        if batch.updates:
            for ring in self.ctx.on_price:
                ring()
        return batch.answer
