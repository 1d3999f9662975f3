"""Reference prices through the whole bot: a second source, a corrected strike, logged chances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio
from shell_kit import HOUR_MS, SERIES, clean, playing, scene, shell_config
from venue_bent import changed

from polybot.calibration_log import read
from polybot.config import Config
from polybot.domain.prices import Feed, Source
from polybot.patient_clock import PatientClock
from polybot.price_task import PriceTask, race_text
from polybot.pricing.strikes import Trust
from polybot.pricing.wires import RaceLine

PATH = f"/markets/slug/btc-updown-5m-{HOUR_MS // 1000}"


def with_rtds() -> Config:
    made = shell_config()
    return attrs.evolve(made, pricing=attrs.evolve(made.pricing, rtds=True))


async def test_the_legacy_socket_bridges_a_stall(fast_clock: PatientClock) -> None:
    """PolyBolt falls silent, the same ticks come by the old socket: quoting goes on (feeds.md
    6).
    """
    async with playing(config=with_rtds()) as it:
        board = it.bot.ctx.board
        await it.until(lambda: sources(board.race()) >= {Source.RTDS}, "both are heard")
        it.venue.lines["prices_ws"].stall()
        await trio.sleep(6)
        await it.requoting()
        lines = PriceTask(it.bot.ctx, ["btc"]).race_lines()
        report = await it.end()

    assert report.halts == {}
    assert any("by rtds" in line for line in lines)
    assert any("average trails" in line for line in lines)
    clean(report)


@pytest.mark.parametrize("channel", [b'"price.crypto.twap"', b'"price.crypto",'])
async def test_one_price_that_stays_away(channel: bytes, fast_clock: PatientClock) -> None:
    """One subscription of the connection is dead, the other goes on: it is dialled again, and then
    both come. Without that nothing would be priced for the rest of the night (F01, F58).
    """
    async with playing() as it:
        line = it.venue.lines["prices_ws"]
        opened = line.opened
        line.passes = lambda data: (
            line.opened > opened or b"payload" not in data or channel not in data
        )
        await it.until(lambda: line.opened > opened, "it is dialled again", 25.0)
        await it.requoting()
        report = await it.end()

    faults = [name for name in report.bad_input if name.endswith("silent")]
    assert len(faults) == 1
    assert ("twap60" in faults[0]) is (b"twap" in channel)
    clean(report)


async def test_the_legacy_sockets_oracle_stalls(fast_clock: PatientClock) -> None:
    """Its exchange prices flow on, as they do in each of its stalls (feeds.md 6): they are no sign
    of life of the others.
    """
    async with playing(config=with_rtds()) as it:
        board, line = it.bot.ctx.board, it.venue.lines["rtds_ws"]
        await it.until(lambda: sources(board.race()) >= {Source.RTDS}, "both are heard")
        opened = line.opened
        line.passes = lambda data: line.opened > opened or b"btc/usd" not in data
        await it.until(lambda: line.opened > opened, "it is dialled again", 30.0)
        clean(await it.end())


@pytest.mark.parametrize("fault", ["lost", "unreadable", "reconnected"])
async def test_a_loss_is_everybodys(fault: str, fast_clock: PatientClock) -> None:
    """The venue counts a channel over all its symbols: whose update is missing nobody knows, so no
    hole in any is bridged (F62); nor is one across a connection that was made anew.
    """
    async with scene() as it:
        task = PriceTask(it.bot.ctx, ["btc", "eth"])
        task.greeted()
        sent, start = 0, HOUR_MS // 1000
        for second in range(140):
            if fault == "reconnected" and second == 103:
                task.greeted()
                sent = 0
            for asset in ("btc", "eth"):
                missing = asset == "btc" and second in (100, 101, 102)
                sent += 1
                away = fault == "reconnected" and 100 <= second < 103
                if away or (missing and fault == "lost"):
                    continue
                frame = tick(asset, sent, start + second, bad=missing)
                task.on_polybolt(frame, HOUR_MS + 1_000 * (second + 1))
        track = it.bot.ctx.board._assets["btcusd"].oracle

    assert track.mean(start + 80, start + 139) is None
    assert track.mean(start + 104, start + 139) is not None


@pytest.mark.parametrize("dialled", [True, False])
async def test_an_exchange_dialled_anew_was_not_still(
    dialled: bool, fast_clock: PatientClock
) -> None:
    """Seconds without a trade are seconds without a move, unless nobody listened: a mean over the
    five that a connection was away had them at the price of before, in a window's last minute.
    """
    async with scene() as it:
        task = PriceTask(it.bot.ctx, ["btc"])
        start = HOUR_MS // 1000
        for second in range(140):
            if dialled and second == 105:
                task.exchange_greeted()
            if not 100 <= second < 105:
                at_ms = HOUR_MS + 1_000 * second
                trade = {"e": "trade", "s": "BTCUSDT", "p": str(80_000 + second), "T": at_ms}
                task.on_binance(orjson.dumps(trade).decode(), at_ms)
        track = it.bot.ctx.board._assets["btcusd"].exchange

    assert (track.mean(start + 80, start + 139) is None) is dialled
    assert track.mean(start + 106, start + 139) is not None


def tick(asset: str, number: int, second: int, *, bad: bool) -> str:
    """One update of the oracle's spot, as PolyBolt sends it."""
    value = {"btc": 80_000.0, "eth": 3_000.0}[asset] + second % 100
    payload = {
        "symbol": f"{asset}usd", "source": "chainlink", "value": value,
        "full_accuracy_value": "NaN" if bad else str(value), "timestamp": second * 1000,
    }  # fmt: skip
    row = {"v": 1, "channel": "price.crypto", "seq": number, "ts": 0, "payload": payload}
    return orjson.dumps(row).decode()


def sources(lines: list[RaceLine]) -> set[Source]:
    return {line.source for line in lines if line.feed is Feed.TWAP60}


async def test_a_corrected_strike_withdraws_and_rebuilds(fast_clock: PatientClock) -> None:
    """The venue puts its price to beat right by ten basis points: every quote made against the old
    one is withdrawn, and quoting begins anew against the new one (F57).
    """
    async with playing(at_ms=HOUR_MS + 40_000) as it:
        board, market = it.bot.ctx.board, it.bot.discovery.markets[SERIES, HOUR_MS]

        def official() -> bool:
            held = board.strike(market)
            return held is not None and held.trust is Trust.OFFICIAL

        await it.until(official, "the official strike", 120)
        old = board.strike(market)
        it.venue.bend("GET", PATH, act=changed(other_strike), service="gamma")
        await it.until(lambda: board.strike(market) != old, "the correction", 60)
        await it.until(lambda: not it.venue.live, "everything is withdrawn", 10)
        told = [event.text for event in it.bot.ctx.events]
        await it.requoting()
        new = board.strike(market)
        report = await it.end()

    assert old is not None
    assert new is not None
    assert new.value == pytest.approx(old.value * 1.001)
    assert any("strike corrected by 10.00 bp" in text for text in told)
    clean(report)


def other_strike(row: Any) -> None:
    for event in row["events"]:
        event["eventMetadata"]["priceToBeat"] *= 1.001


async def test_chances_are_logged_when_the_result_is_known(
    fast_clock: PatientClock, tmp_path: Path
) -> None:
    """After a window has resolved its samples stand in the log, the market's price beside ours
    (strategy.md 3.5).
    """
    path = tmp_path / "calibration.jsonl"
    made = shell_config()
    config = attrs.evolve(made, journal=attrs.evolve(made.journal, calibration=str(path)))
    async with playing(at_ms=HOUR_MS + 205_000, config=config) as it:
        slug = it.market.slug
        await it.until(lambda: it.market.slug != slug, "the end of the window", 200)
        await it.idle()
        await it.until(lambda: path.exists() and read(path, []), "the log is written", 500)
        report = await it.end()

    rows = read(path, [])
    assert {row.slug for row in rows} == {slug}
    assert len(rows) >= 5
    assert any(row.sample.market is not None for row in rows)
    result = next(one.outcome for one in report.intervals if one.slug == slug)
    assert {row.up for row in rows} == {int(result == "Up")}
    clean(report)


def test_a_line_of_the_race() -> None:
    """Everything an operator asks of a connection, in words."""
    line = RaceLine(Feed.TWAP60, "btcusd", Source.RTDS, 40, 1350, 0.1, 250, 1, 2)
    alone = RaceLine(Feed.BINANCE, "BTCUSDT", Source.BINANCE, 9, None, None, None, 0, 0)

    assert race_text(line) == (
        "twap60 btcusd by rtds: 40 ticks, 1350 ms after their stamp, first 10%, "
        "250 ms behind the first, 2 lost, 1 contradicted"
    )
    assert "? after their stamp, alone, 0 lost" in race_text(alone)
