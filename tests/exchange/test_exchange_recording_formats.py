"""Every recorded format: found by its files, read as far as it can be, played or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from engine_kit import T0, Kit
from world_kit import DATA, WINDOW_MS, Stage, write_rows

from polybot.exchange import recording_alihakan
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.invariants import check
from polybot.exchange.mirror_messages import Changes, Print, Snapshot
from polybot.exchange.model import BUY, DOWN, SELL, UP, Traded
from polybot.exchange.money import UNIT
from polybot.exchange.outside import Outside
from polybot.exchange.outside_book import OutsideBook
from polybot.exchange.recording import RecordedWorld, inferred_prints
from polybot.exchange.recording_files import Warnings, table

OPEN_MS = 1_795_132_800_000
SLUG = f"btc-updown-5m-{OPEN_MS // 1000}"
RECORDINGS = DATA / "recordings"
FULL_RATE = RECORDINGS / "btc5m_fullrate_alihakan"


def write_text(path: Path, text: str) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))
    return path


def entry(token: str, side: str, price: str, size: str) -> dict[str, str]:
    return {"asset_id": token, "side": side, "price": price, "size": size}


def full_rate(folder: Path) -> Path:
    """A book, a sale that takes the whole bid and its print, as the venue tells them."""
    at = OPEN_MS + 200_000
    level = [{"price": "0.5", "size": "20"}]
    book = {"event_type": "book", "asset_id": "u", "timestamp": str(at), "bids": level, "asks": []}
    change = {
        "event_type": "price_change", "timestamp": str(at + 1_000),
        "price_changes": [entry("u", "BUY", "0.5", "0"), entry("d", "SELL", "0.5", "0")],
    }  # fmt: skip
    sale = {
        "event_type": "last_trade_price", "asset_id": "u", "side": "SELL", "price": "0.5",
        "size": "25.5", "timestamp": str(at + 1_080),
    }  # fmt: skip
    messages = [book, {"event_type": "best_bid_ask", "asset_id": "u"}, change, sale]
    rows = [{"line": n, "recv_s": 0, "msg": m} for n, m in enumerate(messages)]
    write_rows(folder / recording_alihakan.NAME, rows)
    described = {"conditionId": "0x1", "slug": SLUG, "upTokenId": "u", "downTokenId": "d"}
    (folder / "markets.json").write_text(json.dumps({"current": described}))
    write_text(folder / "one_wallet_fills.csv.zst", "time_s,slug\n")
    return folder


def test_full_rate_prints_fill_by_queue_position(tmp_path: Path) -> None:
    """20 ahead of us, 25.5 sold: the recorded print gives us 5.5 (strategy.md 17)."""
    stage = Stage(RecordedWorld(full_rate(tmp_path)))
    stage.run(OPEN_MS + 200_500)
    ours = Hand.make(stage.engine, "ours")
    order = ours.rest(stage.market(OPEN_MS), BUY, 5000, 10 * UNIT, stage.now_ms)
    assert order is not None

    stage.run(OPEN_MS + 201_500)

    assert order.matched == 5_500_000
    assert [event.trade.shares for event in stage.heard(Traded)] == [25_500_000]
    check(stage.engine)


def test_a_tape_that_ends_early_leaves_an_empty_book(tmp_path: Path) -> None:
    """After the last message nothing is known: the book empties rather than lies."""
    stage = Stage(RecordedWorld(full_rate(tmp_path)))
    stage.run(OPEN_MS + 200_500)
    assert stage.engine.levels(stage.market(OPEN_MS).tokens[UP])[0]

    stage.run(OPEN_MS + 207_000)

    assert stage.engine.levels(stage.market(OPEN_MS).tokens[UP]) == ([], [])
    stage.run(OPEN_MS + WINDOW_MS + 170_000)
    assert stage.market(OPEN_MS).winner in {UP, DOWN}


def test_markets_json_is_needed(tmp_path: Path) -> None:
    """Without the token names nothing can be read; damage in them is named too."""
    folder = full_rate(tmp_path)
    (folder / "markets.json").write_text('{"current": {}}')
    with pytest.raises(ValueError, match=r"markets\.json"):
        RecordedWorld(folder)
    (folder / "markets.json").unlink()
    with pytest.raises(ValueError, match="restore it"):
        RecordedWorld(folder)


def session(folder: Path) -> Path:
    """Frames of three sources for a market of a day later."""
    later_s = OPEN_MS // 1000 + 86_400
    market = {
        "slug": f"btc-updown-15m-{later_s}", "condition_id": "0x1",
        "outcomes": [{"token_id": "u", "outcome": "Up"}, {"token_id": "d", "outcome": "Down"}],
    }  # fmt: skip
    (folder / "s1.markets.jsonl").write_text(json.dumps(market))
    book = {"asset_id": "u", "timestamp": str(OPEN_MS), "asks": [],
            "bids": [{"price": "0.4", "size": "7"}], "tick_size": "0.01"}  # fmt: skip
    data = [{"timestamp": OPEN_MS - 60_000 + n * 1000, "value": 90_000 + n} for n in range(60)]
    minute = {"topic": "crypto_prices", "payload": {"symbol": "btc/usd", "data": data}}
    update = {"payload": {"symbol": "btc/usd", "timestamp": OPEN_MS + 60_000, "value": 90_500.5}}
    trade = {"stream": "btcusdt@trade", "data": {"s": "BTCUSDT", "T": OPEN_MS, "p": "90100.5"}}
    frames = [("polymarket_clob", [book]), ("polymarket_clob", {"event_type": "new_market"}),
              ("polymarket_rtds_chainlink", minute), ("polymarket_rtds_chainlink", update),
              ("binance", trade), ("binance", {"result": None}), ("coinbase", {})]  # fmt: skip
    rows = [{"source": source, "payload": json.dumps(frame)} for source, frame in frames]
    write_rows(folder / "s1.raw_messages.jsonl.zst", rows)
    return folder


def test_raw_frames_give_books_and_prices(tmp_path: Path) -> None:
    """REST books without an event type, RTDS points, Binance trades (feeds.md 6, 7)."""
    world = RecordedWorld(session(tmp_path))
    stage = Stage(world)
    stage.run(OPEN_MS + 1_000)

    assert [series.key for series in world.series] == ["btc-15m"]
    assert world.source.chainlink("btc", OPEN_MS) == 90_059.0
    assert world.source.chainlink("btc", OPEN_MS + 60_000) == 90_500.5
    assert world.source.binance("btc", OPEN_MS + 1_000) == 90_100.5
    later = stage.lifecycle.by_slug[f"btc-updown-15m-{OPEN_MS // 1000 + 86_400}"]
    assert stage.engine.levels(later.tokens[UP])[0] == [(4000, 7 * UNIT)]


def price_world(folder: Path) -> Path:
    """Two markets: the second's strike is the first's final; its own second is missing."""
    lines = [f"{OPEN_MS - 120_000 + n * 1000},{90_000 + n / 10}" for n in range(420)]
    write_text(folder / "BTCUSD-x.csv.zst", "feed_ts_ms,value\n" + "\n".join(lines))
    markets = [
        (SLUG, "90012000000000000000000", ["1", "0"]),
        (SLUG.replace(str(OPEN_MS // 1000), str(OPEN_MS // 1000 + 300)), None, ["0", "1"]),
    ]
    rows = [{"slug": s, "strike_value": v, "outcome_prices": o} for s, v, o in markets]
    write_rows(folder / "BTC-5m-markets-x.jsonl.zst", rows)
    return folder


def test_prices_and_outcomes_with_an_invented_crowd(tmp_path: Path) -> None:
    """The crowd trades on recorded prices; strike and result are the file's (feeds.md 10.1)."""
    world = RecordedWorld(price_world(tmp_path), intensity=0.1)
    stage = Stage(world)
    stage.run(OPEN_MS + 20_000)

    assert "an invented crowd" in world.name
    assert stage.engine.levels(stage.market(OPEN_MS).tokens[UP])[0]
    assert world.source.chainlink("btc", OPEN_MS + 10_000) == 90_013.0
    assert world.settlement(stage.market(OPEN_MS)) == (90_012.0, 90_041.9)
    later = world.settlement(stage.market(OPEN_MS + WINDOW_MS))
    assert later is not None
    assert later[1] < later[0]
    assert stage.oracle.twap("btc", OPEN_MS) == 90_012.0


def test_outcomes_with_opens_and_closes(tmp_path: Path) -> None:
    """Prices run straight from open to close; the outcome stands where the prices deny it."""
    header = "timestamp,outcome,btc_open,btc_close\n"
    lines = [f"{OPEN_MS // 1000},up,90000,90030", f"{OPEN_MS // 1000 + 300},down,90030,90031"]
    write_text(tmp_path / "btc5m_outcomes.csv.zst", header + "\n".join(lines))
    world = RecordedWorld(tmp_path)
    stage = Stage(world)

    assert world.source.binance("btc", OPEN_MS + 150_000) == pytest.approx(90_015, abs=0.01)
    assert world.settlement(stage.market(OPEN_MS)) == (90_000.0, 90_030.0)
    denied = world.settlement(stage.market(OPEN_MS + WINDOW_MS))
    assert denied is not None
    assert denied[1] < denied[0]


def test_binance_trades_as_prices(tmp_path: Path) -> None:
    """Trades are the price; book tickers and depth are passed over (feeds.md 7)."""

    def line(kind: str, **data: Any) -> str:
        return f"1 {json.dumps({'stream': f'btcusdt@{kind}', 'data': data})}"

    lines = [line("bookTicker"), line("trade", T=OPEN_MS, p="61000.5"),
             line("trade", T=OPEN_MS + 5_000, p="61001")]  # fmt: skip
    write_text(tmp_path / "btcusdt_1.txt.zst", "\n".join(lines))
    world = RecordedWorld(tmp_path)

    assert world.source.binance("btc", OPEN_MS + 4_999) == 61_000.5
    assert world.source.chainlink("btc", OPEN_MS + 5_000) == 61_001.0


@pytest.mark.parametrize(
    "name", ["one_wallet_fills.csv", "clob_book.json", "frames-2026.jsonl", "gamma_markets.json"]
)
def test_what_is_no_market_says_what_it_is_good_for(tmp_path: Path, name: str) -> None:
    """A refusal names the file and its use."""
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=f"{name}.*is no market but .*; choose another"):
        RecordedWorld(tmp_path)


def test_a_table_that_ends_within_a_row(tmp_path: Path) -> None:
    """The rows before the cut are used, with a warning."""
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n3")
    warnings = Warnings()
    assert list(table(path, warnings)) == [{"a": "1", "b": "2"}]
    assert "ends within a row" in warnings[0]


def test_a_bad_line_in_the_middle_is_told(tmp_path: Path) -> None:
    """What is before the damage is played; the world's name tells it from then on."""
    folder = full_rate(tmp_path)
    path = folder / recording_alihakan.NAME
    good = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    write_text(path, good.decode() + '{"msg": {"event_type": "book", "asset_id": "u"}}\n')
    stage = Stage(RecordedWorld(folder))
    stage.run(OPEN_MS + 204_000)

    assert "is damaged" in stage.world.name
    assert stage.heard(Traded)


# --- inferred trades ------------------------------------------------------------------------------


def snapshots(before: dict[int, int], after: dict[int, int]) -> tuple[Snapshot, Snapshot]:
    return Snapshot(0, before, {60: 5}), Snapshot(100, after, {60: 5})


def test_a_trade_is_what_is_missing_at_the_touch() -> None:
    """Best level down, levels swept: sales. Deeper decreases are cancels."""
    took = [*inferred_prints(*snapshots({50: 9, 49: 4, 48: 3}, {50: 2, 49: 1, 48: 3}))]
    assert [(p.side, p.price, p.shares) for p in took] == [(SELL, 50, 7)]
    swept = [*inferred_prints(*snapshots({50: 9, 49: 4, 48: 3}, {49: 1, 48: 1}))]
    assert [(p.price, p.shares) for p in swept] == [(50, 9), (49, 3)]
    assert not [*inferred_prints(*snapshots({50: 9, 49: 4}, {50: 9, 49: 1}))]


def test_both_sides_smaller_is_no_trade() -> None:
    """One of them was cancelled, and nothing says which."""
    before, after = Snapshot(0, {50: 9}, {51: 9}), Snapshot(1, {50: 8}, {51: 8})
    assert not [*inferred_prints(before, after)]


# --- the real recordings --------------------------------------------------------------------------


@pytest.mark.skipif(not FULL_RATE.is_dir(), reason="the full-rate recording is not there")
def test_real_deltas_rebuild_every_later_snapshot() -> None:
    """The mirror, fed with deltas and prints alone, equals every later book (feeds.md 2.4)."""
    recording = recording_alihakan.load(sorted(FULL_RATE.iterdir()), Warnings())
    compared = 0
    for tape in recording.tapes:
        kit = Kit(auto_tick=False)
        mirror = OutsideBook(Outside(kit.engine), kit.market)
        for beat in tape.beats():
            match beat:
                case Snapshot() if mirror.valid:
                    compared += 1
                    bids, asks = kit.engine.levels(kit.market.tokens[UP])
                    assert (dict(bids), dict(asks)) == (beat.bids, beat.asks)
                case Snapshot():
                    mirror.replace(beat.bids, beat.asks, T0)
                case Changes():
                    mirror.change(beat.changes, T0)
                case Print():
                    token = kit.market.tokens[beat.outcome]
                    mirror.traded(token, beat.side, beat.price, beat.shares, T0)
        check(kit.engine)
    assert compared >= 140


@pytest.mark.parametrize("folder", sorted(p.name for p in RECORDINGS.glob("*") if p.is_dir()))
def test_every_real_folder_is_a_world_or_refused_with_its_use(folder: str) -> None:
    """Each data set plays its first seconds, or says what it is good for."""
    if folder in {"rest_samples_hugompt", "rtds_frames_polyoxide"}:
        with pytest.raises(ValueError, match="is no market but"):
            RecordedWorld(RECORDINGS / folder)
        return
    world = RecordedWorld(RECORDINGS / folder)
    assert world.name.startswith(f"recording {folder}")
    assert not world.name.endswith("is used"), "nothing of these files is damaged"
    stage = Stage(world)
    stage.run(world.start_ms + 15_000)
    check(stage.engine)
    assert world.end_ms is not None
    assert stage.engine.markets
