"""The rule engine: exact readings, ties, and every recorded outcome reproduced (strategy.md 1)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import Candle, Market, Outcome, TwapPair, UnknownRule
from polybot.exchange.recording_files import Warnings, rows, table
from polybot.pricing.contract import Unsettled, reading, settled
from polybot.venue.gamma import parse_market

TODAY = TwapPair("btcusd", 60)
JULY = TwapPair("btcusd", 0)
HOUR = Candle("BTCUSDT", "1h")
RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "recordings"
VENDOR = RECORDINGS / "chainlink_btc_ligengxin"
TICKS = VENDOR / "BTCUSD-chainlink-2026-07-24T00-13.csv.zst"
MARKETS = VENDOR / "BTC-5m-markets-2026-07-24T00-13.jsonl.zst"
JOINED = RECORDINGS / "full_market_1hz_kaustubh/btc-updown-5m-1777108200.orderbook.jsonl.zst"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings are not on this machine"
)


@pytest.mark.parametrize("rule", [TODAY, JULY, HOUR])
def test_at_or_above_is_up(rule: TwapPair | Candle) -> None:
    """A higher end is Up, a lower one Down, and the same one is the tie the rule names."""
    assert settled(rule, "65048.07", "65048.08") is Outcome.UP
    assert settled(rule, "65048.08", "65048.07") is Outcome.DOWN
    assert settled(rule, "65048.08", "65048.080") is Outcome.UP


def test_the_last_decimal_decides() -> None:
    """Two readings that are one number as floats are still two readings."""
    above, below = "65048.078902260626000001", "65048.078902260626000000"

    assert float(above) == float(below)
    assert settled(TODAY, above, below) is Outcome.DOWN
    assert settled(TODAY, below, above) is Outcome.UP


def test_a_tie_pays_what_the_rule_says() -> None:
    """The tie is part of the contract, not of the code."""
    assert settled(TwapPair("btcusd", 60, tie=Outcome.DOWN), "1", "1") is Outcome.DOWN


@pytest.mark.parametrize(
    "text", ["", "NaN", "Infinity", "-1", "0", "-0.0", "1e400", "abc", "1.0000000000000000001"]
)
def test_what_is_no_reading_settles_nothing(text: str) -> None:
    """A typed refusal, never a number and never a guess."""
    assert isinstance(reading(TODAY, text), Unsettled)
    assert isinstance(settled(TODAY, text, "1"), Unsettled)
    assert isinstance(settled(TODAY, "1", text), Unsettled)


def test_an_unknown_rule_settles_nothing() -> None:
    """What we do not understand we do not pay out, and say why."""
    assert settled(UnknownRule("new kind"), "1", "2") == Unsettled("new kind")


@given(st.integers(1, 10**23), st.integers(1, 10**23))
def test_it_is_the_order_of_integers(one: int, other: int) -> None:
    """Eighteen decimals written out and read back are the venue's own integers."""
    texts = [str(Decimal(number).scaleb(-18)) for number in (one, other)]

    assert reading(TODAY, texts[0]) == one
    assert settled(TODAY, *texts) is (Outcome.UP if other >= one else Outcome.DOWN)


def decimal_text(scaled: int) -> str:
    return f"{scaled // 10**18}.{scaled % 10**18:018d}"


@needs_recordings
def test_recorded_outcomes_are_reproduced() -> None:
    """Where the closing second was recorded, the metadata's own rule gives the paid outcome in 130
    of 130 windows, and the tick at the start is the published strike in 142 of 142.
    """
    warnings = Warnings()
    ticks = {
        int(row["feed_ts_ms"]): int(row["full_accuracy_value"]) for row in table(TICKS, warnings)
    }
    agreed = strikes = compared = 0
    for line in rows(MARKETS, warnings):
        market = parse_market(line["raw"], "btc-5m")
        assert isinstance(market, Market), market
        assert market.rule == JULY
        paid = Outcome.UP if line["outcome_prices"] == ["1", "0"] else Outcome.DOWN
        told, final = line["strike_value"], ticks.get(market.end_ms)
        opening = ticks.get(market.start_ms)
        if told is not None and opening is not None:
            compared += 1
            strikes += int(str(told)) == opening
        if told is None or final is None:
            continue
        outcome = settled(market.rule, decimal_text(int(str(told))), decimal_text(final))
        assert outcome is paid, market.slug
        agreed += 1

    assert not warnings
    assert (agreed, strikes, compared) == (130, 142, 142)


@needs_recordings
def test_the_joined_market_is_reproduced() -> None:
    """The one market recorded with book, prices and result together (April 2026, spot rule)."""
    result = [line for line in rows(JOINED, Warnings()) if line["type"] == "resolution"]

    assert len(result) == 1
    told = result[0]
    outcome = settled(JULY, str(told["openPrice"]), str(told["closePrice"]))
    assert isinstance(outcome, Outcome)
    assert outcome.value.upper() == told["direction"]
