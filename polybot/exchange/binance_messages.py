"""What Binance's streams and candles look like (feeds.md 7).

Sizes other than a print's own, and the order book around it, are invented in proportion: nothing
here depends on them.
"""

from __future__ import annotations

from collections.abc import Callable

from polybot.exchange.oracle import Kline, PriceTick

Message = dict[str, object]
DEPTHS = (5, 10, 20)


def text(value: float) -> str:
    return f"{value:.8f}"


def _seller_aggressed(tick: PriceTick) -> bool:
    """Which side crossed the spread: invented, but the same in every stream."""
    return tick.trade_id * 2_654_435_761 % 2**32 < 2**31


def _trade(tick: PriceTick) -> Message:
    return {
        "e": "trade", "E": tick.at_ms, "s": f"{tick.asset.upper()}USDT", "t": tick.trade_id,
        "p": text(tick.value), "q": text(tick.quantity), "T": tick.stamp_ms,
        "m": _seller_aggressed(tick), "M": True,
    }  # fmt: skip


def _agg_trade(tick: PriceTick) -> Message:
    return {
        "e": "aggTrade", "E": tick.at_ms, "s": f"{tick.asset.upper()}USDT", "a": tick.trade_id,
        "p": text(tick.value), "q": text(tick.quantity), "f": tick.trade_id, "l": tick.trade_id,
        "T": tick.stamp_ms, "m": _seller_aggressed(tick), "M": True,
    }  # fmt: skip


def _touch(tick: PriceTick) -> tuple[float, float]:
    """(best bid, tick size). The print happened on one side; the other is a tick away."""
    step = 0.01 if tick.value >= 10 else 0.0001
    return (tick.value if _seller_aggressed(tick) else tick.value - step), step


def _book_ticker(tick: PriceTick) -> Message:
    bid, step = _touch(tick)
    return {
        "u": tick.trade_id, "s": f"{tick.asset.upper()}USDT", "b": text(bid),
        "B": text(tick.quantity * 3), "a": text(bid + step), "A": text(tick.quantity * 2),
    }  # fmt: skip


def depth(tick: PriceTick, levels: int) -> Message:
    """A partial book: the touch of `bookTicker` and what stands behind it."""
    bid, step = _touch(tick)
    sizes = [text(tick.quantity * (3 + n % 7)) for n in range(levels)]
    return {
        "lastUpdateId": tick.trade_id,
        "bids": [[text(bid - n * step), sizes[n]] for n in range(levels)],
        "asks": [[text(bid + (n + 1) * step), sizes[-n]] for n in range(levels)],
    }


PRINTS: dict[str, Callable[[PriceTick], Message]] = {
    "trade": _trade,
    "aggTrade": _agg_trade,
    "bookTicker": _book_ticker,
}


def kline_event(tick: PriceTick, interval: str, candle: Kline) -> Message:
    symbol, quote = f"{tick.asset.upper()}USDT", candle.volume * candle.close
    return {
        "e": "kline", "E": tick.at_ms, "s": symbol,
        "k": {
            "t": candle.open_ms, "T": candle.close_ms, "s": symbol, "i": interval,
            "f": candle.first_trade_id, "L": candle.first_trade_id + candle.trades - 1,
            "o": text(candle.open), "c": text(candle.close), "h": text(candle.high),
            "l": text(candle.low), "v": text(candle.volume), "n": candle.trades,
            "x": candle.closed, "q": text(quote), "V": text(candle.volume / 2),
            "Q": text(quote / 2), "B": "0",
        },
    }  # fmt: skip


def row(candle: Kline) -> list[object]:
    quote = candle.volume * candle.close
    return [
        candle.open_ms, text(candle.open), text(candle.high), text(candle.low),
        text(candle.close), text(candle.volume), candle.close_ms, text(quote), candle.trades,
        text(candle.volume / 2), text(quote / 2), "0",
    ]  # fmt: skip


def in_microseconds(message: Message) -> Message:
    """The same message as `timeUnit=MICROSECOND` has it; a candle's end is its last microsecond."""
    scaled: Message = {}
    for key, value in message.items():
        if key == "k" and isinstance(value, dict):
            scaled[key] = {**value, "t": value["t"] * 1000, "T": value["T"] * 1000 + 999}
        elif key in {"E", "T"} and isinstance(value, int):
            scaled[key] = value * 1000
        else:
            scaled[key] = value
    return scaled
