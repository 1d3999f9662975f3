"""Plays recorded windows with the bot in them: the loop of a backtest, and what each came to.

One heap moves the bot, the venue moves itself; whoever is due first goes first, and of what is due
together the venue. Decisions depend on nothing else, so a run is a function of the recording, the
configuration, the models and the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs

from polybot.config import Config
from polybot.domain.market import Candle, FeeSchedule, Market, Side, TwapPair, taker_fee
from polybot.domain.market_states import Happened
from polybot.domain.orders import NewOrder, SignedOrder, TradeSeen, TradeStatus
from polybot.domain.units import ONE, SHARE
from polybot.exchange import model
from polybot.exchange.book import Ladder
from polybot.exchange.latency_models import Latencies
from polybot.exchange.market_stream import PRINT_DELAY_MS
from polybot.exchange.model import (
    BUY,
    SELL,
    UP,
    Event,
    LevelChanged,
    MarketResolved,
    TickChanged,
    Traded,
    TradeUpdated,
)
from polybot.exchange.queue_models import QueueModel
from polybot.exchange.recording_model import Recording
from polybot.execution.desk import Desk
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.throttle import Budget
from polybot.lab.backtest_prices import HeardPrices
from polybot.lab.backtest_sources import Fill, Markout, MidTrack, Sources, markouts, sources
from polybot.lab.backtest_stage import Stage
from polybot.lab.backtest_time import Act, Stream, Timeline, Ways
from polybot.lab.backtest_venue import KEY, WALLET, Venue, told
from polybot.lab.backtest_wallet import Wallet
from polybot.lab.run_record import Run, RunMaker
from polybot.market_times import timetable
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair
from polybot.pricing.season import Season
from polybot.pricing.strikes import StrikeCorrection
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.timetable import MarketMachine
from polybot.signal.board import SignalMemory
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

WARM_UP_MS = 15_000  # a scope opens so long before its window (supervisor.py)
GAMMA_MS = 5_000  # between two looks at Gamma (discovery.py)
SETTLE_MOST_MS = 400_000  # after the last one is paid: our books are closed by then
REBATE_PPM = 200_000  # makers' part of the taker fees, where a market names none (clob.md 6.2)


@attrs.frozen
class Models:
    """What is assumed about the venue and the way to it."""

    queue: QueueModel
    latencies: Latencies
    seed: int
    # After the start, when we are subscribed to the oracle's prices, and to Binance's.
    joined_ms: tuple[int, int] = (0, 0)


@attrs.frozen
class WindowResult:
    """What one window came to. Money and shares 10⁻⁶; `profit` has the rebates in it."""

    slug: str
    start_ms: int
    end_ms: int
    winner: str
    profit: int
    sources: Sources
    markouts: tuple[Markout, ...]
    fills: int
    shares: int
    orders: int
    decisions: int
    halted: str = ""  # why nothing was placed any more at its end


@attrs.define(eq=False)
class _Window:
    """One market while it is played."""

    market: model.Market
    stage: Stage
    mids: MidTrack = attrs.field(factory=MidTrack)
    fills: list[Fill] = attrs.field(factory=list)


def market_of(traded: model.Market) -> Market:
    """A market as the bot knows it from its metadata."""
    series, percent = traded.series, traded.rebate_percent
    rebate_ppm = REBATE_PPM if percent is None else percent * 10_000
    return Market(
        series=series.key,
        slug=traded.slug,
        condition_id=traded.condition_id,
        up_token=traded.tokens[UP],
        down_token=traded.tokens[1 - UP],
        start_ms=traded.start_ms,
        end_ms=traded.end_ms,
        rule=_rule(series),
        tick=traded.tick,
        min_size=traded.min_size,
        fees=FeeSchedule(traded.fee_rate_ppm, traded.fee_exponent, rebate_ppm),
        neg_risk=traded.neg_risk,
        version=traded.version,
    )


def _rule(series: model.Series) -> TwapPair | Candle:
    if series.rule == "candle":
        return Candle(f"{series.asset.upper()}USDT", series.name)
    return TwapPair(f"{series.asset}usd", 60)


class Play:
    """One recording, one configuration, one set of models."""

    def __init__(
        self, recording: Recording, config: Config, models: Models,
        seasons: Mapping[str, Season] | None = None,
    ) -> None:  # fmt: skip
        self.results: list[WindowResult] = []
        self.fills: dict[str, list[Fill]] = {}  # of each window, by slug
        self._config, self._tapes = config, recording.tapes
        self.venue = Venue(recording, models.queue, models.seed)
        self._timeline, self._ways = Timeline(), Ways.of(models.latencies, models.seed)
        self._board = PriceBoard(config.pricing, seasons or {})
        self._admission, self._errors = Admission(), ErrorRate(config.risk)
        self._budget = Budget.from_params(config.orders)
        self._signals = SignalMemory(config.signals)
        self._windows: dict[str, _Window] = {}  # by condition id, from their opening to their end
        self.record = RunMaker(Run("backtest"))  # of all windows, for `lab divergence`
        self._left = len(recording.tapes)
        self._signed = 0
        self.wallet = Wallet(config, self.venue, self._timeline, self._admission, self._fair)
        self.wallet.changed = self._moved
        start_ms = self.venue.now_ms
        candles = any(tape.series.rule == "candle" for tape in recording.tapes)
        oracle_ms, binance_ms = models.joined_ms
        HeardPrices(
            self._board, self.venue.oracle, self._timeline, self._ways.prices, self._ring_all,
            candles,
        ).join(start_ms + oracle_ms, start_ms + binance_ms)  # fmt: skip
        self.venue.engine.listeners.append(self._hear)
        self.wallet.begin(start_ms)
        for tape in recording.tapes:
            open_ms = max(start_ms, tape.start_ms - WARM_UP_MS)
            self._timeline.at(open_ms, partial(self._open, tape.slug))

    def run(self) -> list[WindowResult]:
        """Play to the end of the last window's settlement; the results in order of their ends.

        AssertionError when our books and the venue's differ: a bug of ours.
        """
        timeline, venue = self._timeline, self.venue
        last_ms = max(tape.paid_ms for tape in self._tapes) + SETTLE_MOST_MS
        while self._left:
            (due_ms, first), bot_ms = venue.due(), timeline.next_ms()
            if bot_ms is None or due_ms <= bot_ms:
                assert due_ms <= last_ms, f"{self._left} windows are not settled"
                venue.advance(due_ms, first)
            else:
                timeline.step()
        ledger, theirs = self.wallet.ledger, venue.engine.equity(WALLET)
        assert ledger.equity == theirs, f"our books say {ledger.equity}, the venue's {theirs}"
        assert not venue.engine.live_orders(KEY), "orders rest after the end"
        return self.results

    # --- a window's life ---------------------------------------------------------------------

    def _open(self, slug: str, now_ms: int) -> None:
        traded = self.venue.lifecycle.by_slug[slug]
        market, config = market_of(traded), self._config
        self.wallet.ledger.open(market)
        self.wallet.moved()
        self.record.know(market)
        self.record.lasts(now_ms)
        machine = MarketMachine(market, timetable(market, config))
        brakes = MarketBrakes(config.risk, self._errors)
        firewall = Firewall(market, config.risk, machine, self._admission, brakes)
        desk = Desk(market, config.orders, firewall, self._budget, self._sign)
        ears = SignalEars(market, self._signals.board(market, config.quote.latency_s))
        self.wallet.desks[market.condition_id] = desk
        stage = Stage(
            config, self._board, self.wallet, self.venue, self._timeline, self._ways,
            desk, ears, self.record,
        )  # fmt: skip
        window = self._windows[market.condition_id] = _Window(traded, stage)
        book = self.venue.engine.desk.resting.books[market.condition_id]
        stage.open(
            now_ms,
            [
                (side, level.price, level.total)
                for side in (BUY, SELL)
                for level in book.side(side).best_first()
            ],
        )
        self._note_mid(window, now_ms)
        self._timeline.at(market.end_ms, stage.close)
        self._strike(window, now_ms)

    def _sign(self, order: NewOrder) -> SignedOrder:
        """An id of its own; nobody checks a signature here."""
        self._signed += 1
        return SignedOrder(f"0x{self._signed:064x}", order, b"")

    def _strike(self, window: _Window, now_ms: int) -> None:
        """Look at Gamma for the price to beat, until it is there."""
        market = window.stage.market
        found = self.venue.lifecycle.shown_strike(window.market, now_ms)
        if found is None:
            if now_ms < market.end_ms:
                self._timeline.at(now_ms + GAMMA_MS, partial(self._strike, window))
        elif isinstance(self._board.official_strike(market, found, now_ms), StrikeCorrection):
            self._ring_all(now_ms)

    def _resolved(self, window: _Window, now_ms: int) -> None:
        """The result is known here: the wallet redeems, then the books are closed."""
        market, winner = window.stage.market, window.market.winner
        assert winner is not None, "no recording voids a market"
        payout = SHARE if winner == UP else 0
        key = market.condition_id
        self.wallet.resolve(key, payout)
        self.record.resolved(key, payout)
        self.record.lasts(market.end_ms)
        window.stage.machine.at(now_ms)
        window.stage.machine.hear(Happened.PAYOUT, now_ms)
        self._signals.settled(key, payout)
        self._close(window, now_ms)

    def _close(self, window: _Window, now_ms: int) -> None:
        market = window.stage.market
        if not self.wallet.settled(market):
            self._timeline.at(now_ms + 1_000, partial(self._close, window))
            return
        self.results.append(self._result(window))
        self.fills[market.slug] = window.fills
        self.wallet.forget(market)
        del self._windows[market.condition_id]
        self._left -= 1

    def _result(self, window: _Window) -> WindowResult:
        stage, market = window.stage, window.stage.market
        books = self.wallet.ledger.books[market.condition_id]
        payout = books.up_payout
        assert payout is not None, "a settled window has a result"
        parts = sources(window.fills, window.mids, market.end_ms, payout)
        profit = books.realised + books.rebate_estimate
        assert parts.total == profit, f"{market.slug}: parts {parts} do not add up to {profit}"
        return WindowResult(
            market.slug, market.start_ms, market.end_ms, "Up" if payout else "Down", profit, parts,
            markouts(window.fills, window.mids, market.end_ms), len(window.fills),
            sum(abs(fill.shares) for fill in window.fills), stage.desk.counts.orders,
            stage.decisions, self._admission.closed_because or "",
        )  # fmt: skip

    def _moved(self, condition_id: str, now_ms: int) -> None:
        if condition_id in self._windows:
            self._windows[condition_id].stage.ring(now_ms)

    def _fair(self, condition_id: str, now_ms: int) -> int | None:
        window = self._windows[condition_id]
        found = self._board.fair(window.stage.market, now_ms)
        return round(found.q * ONE) if isinstance(found, Fair) else None

    # --- what the venue says -----------------------------------------------------------------

    def _ring_all(self, now_ms: int) -> None:
        for window in self._windows.values():
            window.stage.ring(now_ms)

    def _hear(self, event: Event) -> None:
        """The engine's listener: nothing acts here, everything goes its way."""
        window = self._windows.get(_condition_of(event))
        if window is not None:
            self._public(event, window)
            if not isinstance(event, LevelChanged):
                self._private(event, window)

    def _public(self, event: Event, window: _Window) -> None:
        books, stage = self._ways.books, window.stage
        match event:
            case LevelChanged():
                self._note_mid(window, event.at_ms)
                changes = [(side, price, total) for _, side, price, total in event.changes]
                self._send(books, event.at_ms, partial(stage.changed, changes, event.at_ms))
            case Traded():
                hear = partial(stage.printed, _last_trade(event))
                later = partial(self._send_now, books, hear)
                self._timeline.at(event.at_ms + sum(PRINT_DELAY_MS) // 2, later)
                self._send(books, event.at_ms, stage.renewed)
            case TickChanged():
                self._send(books, event.at_ms, partial(stage.retick, event.new))
            case MarketResolved():
                at_ms = self._ways.answer(event.at_ms)
                self._timeline.at(at_ms, partial(self._resolved, window))

    def _private(self, event: Event, window: _Window) -> None:
        for private in told(event):
            if isinstance(private, TradeSeen) and private.status is TradeStatus.MATCHED:
                window.fills += _fills(window.stage.market, private, event.at_ms)
            self._send(self._ways.private, event.at_ms, partial(window.stage.heard, private))

    def _send(self, stream: Stream, at_ms: int, hear: Act) -> None:
        """Something happened, and is heard when it has come its way."""
        self._timeline.at(stream.arrival(at_ms), hear)

    def _send_now(self, stream: Stream, hear: Act, now_ms: int) -> None:
        self._send(stream, now_ms, hear)

    def _note_mid(self, window: _Window, at_ms: int) -> None:
        book = self.venue.engine.desk.resting.books[window.market.condition_id]
        window.mids.note(at_ms, _best_of_others(book.side(BUY)), _best_of_others(book.side(SELL)))


def _condition_of(event: Event) -> str:
    if isinstance(event, model.OrderEvent):
        return event.order.market.condition_id
    if isinstance(event, Traded | TradeUpdated):
        return event.trade.market.condition_id
    market: model.Market | None = getattr(event, "market", None)  # of a payment there is none
    return "" if market is None else market.condition_id


def _best_of_others(ladder: Ladder) -> int | None:
    for level in ladder.best_first():
        for order in level.orders.values():
            if order.owner != KEY:
                return level.price
    return None


def _last_trade(event: Traded) -> LastTrade:
    trade = event.trade
    return LastTrade(
        trade.market.condition_id, trade.taker.token, trade.price, trade.shares,
        Side(trade.taker.side), event.at_ms, trade.tx_hash,
    )  # fmt: skip


def _fills(market: Market, trade: TradeSeen, at_ms: int) -> list[Fill]:
    """A trade's legs as fills, with fee and rebate as they are booked."""
    found = []
    for leg in trade.legs:
        buys = leg.side is Side.BUY
        fee = taker_fee(market.fees, leg.price, leg.shares)
        rebate = fee * market.fees.rebate_ppm // 1_000_000 if leg.maker else 0
        found.append(
            Fill(
                at_ms, market.outcome_of(leg.token), leg.price,
                leg.shares if buys else -leg.shares, -leg.dollars if buys else leg.dollars,
                0 if leg.maker else fee, rebate, leg.maker, leg.order_id,
            )
        )  # fmt: skip
    return found
