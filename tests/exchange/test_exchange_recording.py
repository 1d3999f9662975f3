"""Recorded markets: the book shows the file, our orders stand in it, the outcome is the file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from world_kit import DATA, WINDOW_MS, Stage, write_rows

from polybot.exchange import recording_formats, recording_kaustubh
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.invariants import check
from polybot.exchange.mirror_messages import Snapshot
from polybot.exchange.model import BUY, DOWN, SELL, UP, Traded
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_prices import NOMINAL_PRICE, InferredPrices

OPEN_MS = 1_795_132_800_000
SLUG = f"btc-updown-5m-{OPEN_MS // 1000}"
OTHER_SLUG = f"btc-updown-5m-{(OPEN_MS + WINDOW_MS) // 1000}"
FIRST_MS = OPEN_MS - 150_000

Levels = list[list[float]]
BOOK: tuple[Levels, Levels] = (
    [[0.50, 120.5], [0.49, 40], [0.48, 3]],
    [[0.51, 80], [0.53, 200]],
)


def second(at_ms: int, book: tuple[Levels, Levels] | None, price: float) -> list[dict[str, Any]]:
    bids, asks = book if book is not None else ([], [])
    up = None if book is None else {"bids": bids, "asks": asks}
    return [
        {"ts": at_ms, "type": "orderbook_snapshot", "up": up, "down": None},
        {"ts": at_ms, "type": "ticker", "assetPrice": price, "binancePrice": price + 7},
    ]


def full_rows(changes: dict[int, tuple[Levels, Levels]]) -> list[dict[str, Any]]:
    """A market at 1 Hz: BOOK until a second of `changes` says otherwise. Down wins by a cent."""
    rows: list[dict[str, Any]] = [{"ts": FIRST_MS, "type": "slot", "action": "start", "slug": SLUG}]
    rows += second(FIRST_MS, None, 90_000.0)
    book = BOOK
    for number in range(1, 460):
        at_ms = FIRST_MS + number * 1000
        book = changes.get((at_ms - OPEN_MS) // 1000, book)
        rows += second(at_ms, book, 90_000.0 + number / 10)
    result = {"direction": "DOWN", "openPrice": 90_015.02, "closePrice": 90_015.01}
    return [*rows, {"ts": OPEN_MS + 310_000, "type": "resolution", **result}]


def full_stage(tmp_path: Path, changes: dict[int, tuple[Levels, Levels]] | None = None) -> Stage:
    path = write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", full_rows(changes or {}))
    return Stage(RecordedWorld(path))


def scaled(side: Levels) -> dict[int, int]:
    return {round(p * ONE): round(size * UNIT) for p, size in side}


def shown_of(stage: Stage, open_ms: int) -> tuple[dict[int, int], dict[int, int]]:
    bids, asks = stage.engine.levels(stage.market(open_ms).tokens[UP])
    return dict(bids), dict(asks)


def shown(stage: Stage, outcome: int = UP) -> tuple[dict[int, int], dict[int, int]]:
    bids, asks = stage.engine.levels(stage.market(OPEN_MS).tokens[outcome])
    return dict(bids), dict(asks)


# --- full markets ---------------------------------------------------------------------------------


def test_it_starts_ninety_seconds_early_with_a_minute_of_prices(tmp_path: Path) -> None:
    """The world begins before its window, late enough to know a whole average."""
    world = full_stage(tmp_path).world

    assert world.start_ms == OPEN_MS - 90_000
    assert world.source.chainlink("btc", world.start_ms - 60_000) == 90_000.0
    assert "as recorded" in world.name


def test_the_book_shows_the_recorded_levels(tmp_path: Path) -> None:
    """Both tokens' books equal the file, to the micro-share."""
    stage = full_stage(tmp_path)
    stage.run(OPEN_MS + 10_000)

    assert shown(stage) == (scaled(BOOK[0]), scaled(BOOK[1]))
    down_bids, down_asks = shown(stage, DOWN)
    assert down_bids == {ONE - price: size for price, size in scaled(BOOK[1]).items()}
    assert down_asks == {ONE - price: size for price, size in scaled(BOOK[0]).items()}
    check(stage.engine)


def test_changes_are_laid(tmp_path: Path) -> None:
    """Grown, shrunk, new and vanished levels follow the file."""
    after: tuple[Levels, Levels] = ([[0.50, 150], [0.49, 40]], [[0.51, 20], [0.52, 9], [0.53, 200]])
    stage = full_stage(tmp_path, {20: after})

    stage.run(OPEN_MS + 21_000)

    assert shown(stage) == (scaled(after[0]), scaled(after[1]))


def test_our_orders_are_never_deleted(tmp_path: Path) -> None:
    """Ours rest beside the recorded ones, and alone where the recording has nothing."""
    stage = full_stage(tmp_path, {20: ([[0.47, 10]], [[0.53, 200]])})
    stage.run(OPEN_MS + 10_000)
    market, ours = stage.market(OPEN_MS), Hand.make(stage.engine, "ours")
    ours.rest(market, BUY, 5000, 10 * UNIT, stage.now_ms)
    ours.rest(market, BUY, 4600, 10 * UNIT, stage.now_ms)
    assert shown(stage)[0][5000] == round(130.5 * UNIT)

    stage.run(OPEN_MS + 21_000)

    assert shown(stage)[0] == {5000: 10 * UNIT, 4700: 10 * UNIT, 4600: 10 * UNIT}
    assert not stage.heard(Traded)


def test_a_recorded_level_that_crosses_us_fills_us(tmp_path: Path) -> None:
    """When recorded bids reach our ask, it is taken at our price, without a delay."""
    stage = full_stage(tmp_path, {20: ([[0.52, 100]], [[0.54, 200]])})
    stage.run(OPEN_MS + 10_000)
    market, ours = stage.market(OPEN_MS), Hand.make(stage.engine, "ours")
    ours.rest(market, SELL, 5100, 30 * UNIT, stage.now_ms)

    stage.run(OPEN_MS + 20_000)

    [event] = stage.heard(Traded)
    assert event.trade.shares == 30 * UNIT
    assert event.trade.price == 5100
    assert event.trade.makers[0].order.account == ours.account
    assert stage.engine.live_orders(ours.owner) == []
    stage.run(OPEN_MS + 22_000)
    assert shown(stage) == ({5200: 70 * UNIT}, {5400: 200 * UNIT})


def test_what_we_take_is_back_when_the_level_changes(tmp_path: Path) -> None:
    """Liquidity we consumed is not there a second time; the level's next change is new."""
    stage = full_stage(tmp_path, {15: (BOOK[0], [[0.51, 81], [0.53, 200]])})
    stage.run(OPEN_MS + 10_000)
    market, ours = stage.market(OPEN_MS), Hand.make(stage.engine, "ours")
    token = market.tokens[UP]
    ours.take(market, token, BUY, 5100, 50 * UNIT, stage.now_ms, seen=5100)
    stage.run(OPEN_MS + 10_000 + market.taker_delay_ms)
    assert shown(stage)[1][5100] == 30 * UNIT

    stage.run(OPEN_MS + 12_000)
    assert shown(stage)[1][5100] == 30 * UNIT
    stage.run(OPEN_MS + 15_000)

    assert shown(stage)[1][5100] == 81 * UNIT


def test_strike_final_and_winner_are_the_files(tmp_path: Path) -> None:
    """Whatever today's rule would read from the prices, the market settles as it did."""
    stage = full_stage(tmp_path)
    stage.run(OPEN_MS + WINDOW_MS)
    market = stage.market(OPEN_MS)
    assert shown(stage) == ({}, {})

    stage.run(OPEN_MS + WINDOW_MS + 170_000)

    assert (market.strike, market.final, market.winner) == (90_015.02, 90_015.01, DOWN)
    assert stage.world.settlement(stage.market(OPEN_MS + WINDOW_MS)) is None
    assert stage.world.next_due_ms() is None


def test_prices_hold_beyond_both_ends(tmp_path: Path) -> None:
    """Before the first and after the last tick the nearest value holds; other coins: unknown."""
    source = full_stage(tmp_path).world.source

    assert source.chainlink("btc", 0) == 90_000.0
    assert source.binance("btc", OPEN_MS * 2) == pytest.approx(90_052.9)
    assert source.chainlink("btc", FIRST_MS + 20_999) == 90_002.0
    assert 0 < source.sigma("btc", OPEN_MS) < 1e-3
    with pytest.raises(LookupError, match="eth"):
        source.chainlink("eth", OPEN_MS)


# --- books only -----------------------------------------------------------------------------------

INDEX = "slug,start_s,end_s,condition_id,token_a,token_b,winner_token\n"


def message(at_ms: int, token: str, bids: Levels, asks: Levels) -> dict[str, Any]:
    def rows(side: Levels) -> list[dict[str, str]]:
        return [{"price": f"{price:g}", "size": f"{size:g}"} for price, size in side]

    book = {"asset_id": token, "bids": rows(bids), "asks": rows(asks), "timestamp": str(at_ms)}
    return {"recv_ms": at_ms + 0.5, "msg": book}


def books_folder(tmp_path: Path) -> Path:
    """Two windows; in the first a message of token b between two of token a."""
    rows = [
        message(OPEN_MS + 5_000, "a", *BOOK),
        message(OPEN_MS + 6_000, "b", [[0.45, 60]], [[0.47, 70]]),
        message(OPEN_MS + 6_000, "a", [[0.53, 70]], [[0.55, 60]]),
        message(OPEN_MS + 280_000, "a", [[0.991, 70]], []),
    ]
    write_rows(tmp_path / f"{SLUG}.jsonl.zst", rows)
    later = [message(OPEN_MS + WINDOW_MS + 5_000, "x", *BOOK)]
    write_rows(tmp_path / f"{OTHER_SLUG}.jsonl.zst", later)
    start_s = OPEN_MS // 1000
    lines = [
        f"{SLUG},{start_s},{start_s + 300},0x1,a,b,a",
        f"{OTHER_SLUG},{start_s + 300},{start_s + 600},0x2,x,,b",
    ]
    (tmp_path / "index.csv").write_text(INDEX + "\n".join(lines))
    return tmp_path


def test_a_folder_of_books_is_replayed_in_turn(tmp_path: Path) -> None:
    """Token a is Up, b its mirror, a fine price brings the fine tick, winners are known."""
    stage = Stage(RecordedWorld(books_folder(tmp_path)))
    assert "inferred from the book" in stage.world.name
    stage.run(OPEN_MS + 5_500)
    assert shown(stage) == (scaled(BOOK[0]), scaled(BOOK[1]))
    stage.run(OPEN_MS + 6_500)
    assert shown(stage) == (scaled([[0.53, 70]]), scaled([[0.55, 60]]))
    stage.run(OPEN_MS + 281_000)
    assert shown(stage) == ({9910: 70 * UNIT}, {})
    assert stage.market(OPEN_MS).tick == 10

    stage.run(OPEN_MS + 2 * WINDOW_MS + 170_000)

    winners = [stage.market(OPEN_MS).winner, stage.market(OPEN_MS + WINDOW_MS).winner]
    assert winners == [UP, DOWN]


def test_one_file_of_a_folder_can_be_named(tmp_path: Path) -> None:
    """A single book file finds its row in the index beside it."""
    world = RecordedWorld(books_folder(tmp_path) / f"{OTHER_SLUG}.jsonl.zst")

    assert world.start_ms == OPEN_MS + WINDOW_MS - 90_000


def test_inferred_prices_agree_with_the_book() -> None:
    """Above the strike when Up is likelier, below when Down is, and further with more time left."""
    up, down = {6900: UNIT}, {7100: UNIT}
    prices = InferredPrices()
    assert prices.chainlink("btc", OPEN_MS) == NOMINAL_PRICE
    prices.learn(Snapshot(OPEN_MS, up, down), OPEN_MS + WINDOW_MS)
    early = prices.chainlink("btc", OPEN_MS)
    prices.learn(Snapshot(OPEN_MS + 280_000, up, down), OPEN_MS + WINDOW_MS)
    late = prices.binance("btc", OPEN_MS + 280_000)
    prices.learn(Snapshot(OPEN_MS + 281_000, {}, {3000: UNIT}), OPEN_MS + WINDOW_MS)
    prices.learn(Snapshot(OPEN_MS + 282_000, {}, {}), OPEN_MS + WINDOW_MS)

    assert early > late > NOMINAL_PRICE
    assert prices.chainlink("btc", OPEN_MS + 283_000) < NOMINAL_PRICE
    assert prices.chainlink("btc", OPEN_MS + 10_000) == early


# --- refusals -------------------------------------------------------------------------------------


def test_nothing_to_replay(tmp_path: Path) -> None:
    """A missing path, an empty folder and a foreign file are refused with the remedy."""
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="give a file or a folder"):
            RecordedWorld(path)


def test_two_kinds_in_one_folder(tmp_path: Path) -> None:
    """A folder is of one kind; the remedy is to name a file."""
    books_folder(tmp_path)
    write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", full_rows({}))

    with pytest.raises(ValueError, match="name one file"):
        RecordedWorld(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        b"no compression at all",
        b"",
    ],
)
def test_a_damaged_file(tmp_path: Path, damage: bytes) -> None:
    """A file that cannot be read is named in the error."""
    path = tmp_path / f"{SLUG}.orderbook.jsonl.zst"
    path.write_bytes(damage)

    with pytest.raises(ValueError, match=SLUG):
        RecordedWorld(path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    """The readable part is replayed, with a warning in the world's name; the last mid decides."""
    everything = full_rows({})
    path = write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", everything[:600])
    whole = path.read_bytes()
    path.write_bytes(whole + write_rows(path, everything[600:]).read_bytes()[:-20])
    stage = Stage(RecordedWorld(path))
    stage.run(OPEN_MS + 10_000)

    assert "cut short" in stage.world.name
    assert shown(stage) == (scaled(BOOK[0]), scaled(BOOK[1]))


def test_a_contradiction(tmp_path: Path) -> None:
    """An outcome that its own prices deny is not replayed."""
    rows = full_rows({})
    rows[-1]["direction"] = "UP"
    path = write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", rows)

    with pytest.raises(ValueError, match="contradict"):
        RecordedWorld(path)


def test_another_kind_of_market(tmp_path: Path) -> None:
    """Only windows of coins that have any are known."""
    rows = full_rows({})
    rows[0]["slug"] = "gold-updown-5m-1795132800"
    path = write_rows(tmp_path / "gold.orderbook.jsonl.zst", rows)

    with pytest.raises(ValueError, match="no 5m, 15m, 1h or 4h window"):
        RecordedWorld(path)


def test_the_index_is_needed(tmp_path: Path) -> None:
    """Without index, without a row, or with a row that says nothing, the winner is unknown."""
    folder = books_folder(tmp_path)
    index = folder / "index.csv"
    text = index.read_text()
    index.write_text(text.replace(OTHER_SLUG, "other"))
    with pytest.raises(ValueError, match="no row"):
        RecordedWorld(folder)
    index.write_text(text.replace(",a,b,a", ",a,b,?"))
    with pytest.raises(ValueError, match=r"index\.csv"):
        RecordedWorld(folder)
    index.unlink()
    with pytest.raises(ValueError, match="missing"):
        RecordedWorld(folder)


# --- the real recordings --------------------------------------------------------------------------

FULL = DATA / "recordings" / "full_market_1hz_kaustubh"
BOOKS = DATA / "recordings" / "btc5m_books_cronos"


@pytest.mark.skipif(not FULL.is_dir(), reason="the recorded market is not there")
def test_a_real_market_shows_its_file_and_outcome() -> None:
    """At every tenth second the exchange's book is the recorded one; Up wins, as it did."""
    world = RecordedWorld(FULL)
    [tape] = recording_kaustubh.load(sorted(FULL.glob("*.zst")), Warnings()).tapes
    stage = Stage(world)
    open_ms = tape.start_ms

    for snapshot in list(tape.beats())[::10]:
        assert isinstance(snapshot, Snapshot)
        if world.start_ms <= snapshot.at_ms < open_ms + WINDOW_MS:
            stage.run(snapshot.at_ms)
            assert shown_of(stage, open_ms) == (snapshot.bids, snapshot.asks)
    check(stage.engine)
    stage.run(open_ms + WINDOW_MS + 170_000)

    market = stage.market(open_ms)
    assert (market.strike, market.final, market.winner) == (77643.36752, 77644.65, UP)


@pytest.mark.skipif(not BOOKS.is_dir(), reason="the recorded books are not there")
def test_real_books_show_their_file() -> None:
    """Half a minute of a full-depth recording, every hundredth event compared with the book."""
    world = RecordedWorld(BOOKS)
    first = recording_formats.read(BOOKS).tapes[0]
    stage = Stage(world)

    for number, snapshot in enumerate(first.beats()):
        assert isinstance(snapshot, Snapshot)
        if snapshot.at_ms > first.start_ms + 30_000:
            break
        if number % 100 == 0:
            stage.run(snapshot.at_ms)
            assert shown_of(stage, first.start_ms) == (snapshot.bids, snapshot.asks)
    assert stage.now_ms > first.start_ms
    assert world.settlement(stage.market(first.start_ms)) is not None
