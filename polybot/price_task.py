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
from polybot.price_watch import Key, PriceWatch
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
# Each price by itself. An exchange tells of trades: of a small coin there may be none for a while.
ORACLE_SILENCE_S, EXCHANGE_SILENCE_S = 15.0, 60.0
RTDS_SILENCE_S = 20.0  # feeds.md 6: it stalls every half hour, and answers pings while it does
ORACLES = (Feed.CHAINLINK, Feed.TWAP60)
REPORT_S = 1800.0
POLYBOLT, BINANCE, RTDS = "prices polybolt", "prices binance", "prices rtds"


@attrs.define(eq=False)
class PriceTask:
    ctx: Context
    assets: Sequence[str]  # "btc", "eth", …
    _polybolt: PolyBolt = attrs.field(init=False)
    _watches: dict[Source, PriceWatch] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        symbols = [f"{asset}usd" for asset in self.assets]
        self._polybolt = PolyBolt(self.ctx.credentials, symbols)
        oracles = [(feed, symbol) for feed in ORACLES for symbol in symbols]
        pairs = [(Feed.BINANCE, f"{asset}usdt") for asset in self.assets]
        self._watches = {
            source: PriceWatch(wanted, patience_s, functools.partial(self._missed, source))
            for source, wanted, patience_s in (
                (Source.POLYBOLT, oracles, ORACLE_SILENCE_S),
                (Source.BINANCE, pairs, EXCHANGE_SILENCE_S),
                (Source.RTDS, oracles, RTDS_SILENCE_S),
            )
        }

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            dials = {Source.POLYBOLT: self._run_polybolt, Source.BINANCE: self._run_binance}
            if self.ctx.config.pricing.rtds:
                dials[Source.RTDS] = self._run_rtds
            for source, dial in dials.items():
                nursery.start_soon(self._watches[source].run, dial, name=f"prices {source.value}")
            nursery.start_soon(self._report, name="prices report")

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
            greet=self._greet_exchange,
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
        await run_socket(
            self.ctx.site.rtds_ws,
            greet=[rtds_greeting()],
            on_text=self.on_rtds,
            on_state=lambda state: self._note(Source.RTDS, state),
            ping=("PING", RTDS_PING_S.value),
            silence_s=SILENCE_S,
            clock=self.ctx.clock,
            rng=self.ctx.rng,
            tap=self.ctx.tape,
            name=RTDS,
        )

    def _missed(self, source: Source, key: Key, silent_s: float) -> None:
        feed, symbol = key
        self.ctx.records.note_bad(f"{source.value}: {symbol} {feed.value} silent")
        logger.warning(
            "{}: no {} of {} for {:.0f} s: dialled again",
            source.value,
            feed.value,
            symbol,
            silent_s,
        )

    def _greet(self) -> tuple[str, ...]:
        self.ctx.core.fed(Restarted(POLYBOLT))
        return self.greeted()

    def greeted(self) -> tuple[str, ...]:
        """PolyBolt's greeting: its count of what it has sent begins anew with it. What came while
        nobody listened is lost, where no snapshot brings it.
        """
        self._tear(Source.POLYBOLT, ORACLES, 0)
        return self._polybolt.greet()

    def _greet_exchange(self) -> tuple[str, ...]:
        self.ctx.core.fed(Restarted(BINANCE))
        self.exchange_greeted()
        return ()

    def exchange_greeted(self) -> None:
        """Of the exchange no snapshot brings the trades that came while nobody listened."""
        for asset in self.assets:
            self.ctx.board.on_loss(Source.BINANCE, Feed.BINANCE, f"{asset.upper()}USDT", 0)

    def on_polybolt(self, text: str, at_ms: int) -> tuple[str, ...]:
        """Take a frame; returns what the dialogue wants answered."""
        return self._take(Source.POLYBOLT, self._polybolt.decode(text), at_ms)

    def on_binance(self, text: str, at_ms: int) -> None:
        """Take a frame."""
        self._take(Source.BINANCE, decode_binance(text, at_ms), at_ms)

    def on_rtds(self, text: str, at_ms: int) -> None:
        """Take what of a frame is about our assets."""
        batch = decode_rtds(text)
        ours = tuple(update for update in batch.updates if self._is_ours(update))
        self._take(Source.RTDS, attrs.evolve(batch, updates=ours), at_ms)

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
        self._watches[source].note(state)
        if state.why:
            # Counted without the peer's words, of which there may be any number of kinds.
            self.ctx.records.note_bad(f"{source.value}: connection lost")
            logger.warning("{}: connection lost: {}", source.value, state.why)

    def _take(self, source: Source, batch: PriceBatch, now_ms: int) -> tuple[str, ...]:
        """Give a frame's prices to the board; returns what the dialogue wants answered."""
        board, name = self.ctx.board, source.value
        if batch.lost:
            self.ctx.records.note_bad(f"{name}: lost updates")
            # The count is the channel's, over all its symbols: nobody knows whose are missing.
            self._tear(source, ORACLES if batch.feed is None else (batch.feed,), batch.lost)
        self._watches[source].heard(batch.updates)
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

    def _tear(self, source: Source, feeds: Sequence[Feed], lost: int) -> None:
        for feed in feeds:
            for asset in self.assets:
                self.ctx.board.on_loss(source, feed, f"{asset}usd", lost)


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
