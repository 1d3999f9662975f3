"""Steps at the wire: what is signed, read from the streams, and matched by the exchange."""

from __future__ import annotations

import hashlib
import random

import attrs
import orjson
from coincurve import PrivateKey

from polybot.domain.units import SHARE
from polybot.exchange import model
from polybot.exchange.book_wire import BookText, Change
from polybot.exchange.engine import Engine
from polybot.exchange.wire_records import trade_event
from polybot.lab.bench_kit import (
    API_KEY,
    DOWN_ID,
    KEY,
    START_MS,
    UP_ID,
    Case,
    invented_market,
    invented_order,
    venue_market,
)
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import decode_market
from polybot.venue.private_rows import Me
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet, sign_order
from polybot.venue.user_messages import decode_user

SPREAD_AT = 50  # cents: the one level of 99 that a change moves in and out of the book is the best


def signing() -> Case:
    """An order to the bytes of its POST. Floor: the curve's own operation."""
    wallet, order, raw = Wallet(Secret(KEY)), invented_order(), PrivateKey(bytes.fromhex(KEY[2:]))
    digest = hashlib.sha256(b"any 32 bytes").digest()

    def work() -> object:
        return sign_order(
            order, wallet=wallet, funder=None, owner_key=API_KEY, salt=1, timestamp_ms=START_MS
        )

    def floor() -> object:
        return raw.sign_recoverable(digest, hasher=None)

    return Case("sign one order", 60, work, floor=floor, floor_name="sign_recoverable")


def price_change(changes: int, frames: int = 100) -> Case:
    """Frames of so many changes on a 99-level book: decoded, applied, both books' hashes checked.

    A change is two entries on the wire, one for each token. Floor: the JSON decoded and the two
    hashed texts hashed.
    """
    book, text = MarketBook(invented_market()), _book_text()
    rng = random.Random(changes)
    acts = [[_change(rng) for _ in range(changes)] for _ in range(frames)]
    for act in acts:  # afterwards the state at each frame is the same in every turn
        text.apply(act, START_MS)
    for outcome in (model.UP, model.DOWN):
        for message in decode_market(text.dump(outcome)):
            book.apply(message)
    wire: list[str] = []
    hashed: list[bytes] = []
    for n, act in enumerate(acts):
        text.apply(act, START_MS + n)
        wire.append(text.price_change(act))
        hashed += [text.summary(outcome).encode() for outcome in (model.UP, model.DOWN)]

    def work() -> None:
        for frame in wire:
            for message in decode_market(frame):
                book.apply(message)
            book.judge()  # for every frame, as if a decision followed each

    def floor() -> None:
        for frame in wire:
            orjson.loads(frame)
        for summary in hashed:
            hashlib.sha1(summary, usedforsecurity=False).hexdigest()

    def check() -> None:
        counts = book.counts
        assert book.valid, "the books are verified"
        assert not counts.mismatches + counts.learned + counts.late + counts.early, (
            "and every frame took part"
        )

    entries = 2 * changes
    name = f"price_change, {entries} entries, per entry"
    return Case(name, 15, work, entries * frames, floor, "loads + two SHA-1", check)


def _book_text() -> BookText:
    """99 levels: bids from 0.01 to 0.50, asks from 0.51 to 0.99."""
    bids = [(cent * 100, (1_000 + cent) * SHARE) for cent in range(1, SPREAD_AT + 1)]
    asks = [(cent * 100, (2_000 + cent) * SHARE) for cent in range(SPREAD_AT + 1, 100)]
    return BookText(venue_market(), bids, asks, START_MS)


def _change(rng: random.Random) -> Change:
    """A new total somewhere near the middle; now and then the best bid goes or comes."""
    if rng.random() < 0.1:
        return UP_ID, model.BUY, SPREAD_AT * 100, rng.choice((0, 700)) * SHARE
    cent = rng.randint(SPREAD_AT - 10, SPREAD_AT + 10)
    if cent == SPREAD_AT:
        cent -= 1
    side = model.BUY if cent <= SPREAD_AT else model.SELL
    return UP_ID, side, cent * 100, rng.randint(500, 500_000) * SHARE // 100


def user_trade() -> Case:
    """A trade of ours on the user stream. Floor: its JSON decoded."""
    market, address = venue_market(), Wallet(Secret(KEY)).address
    ours = _venue_order(market, "0x" + "01" * 32, API_KEY, address, model.BUY)
    taker = _venue_order(market, "0x" + "02" * 32, "another", "0x" + "22" * 20, model.SELL)
    trade = model.Trade(
        id="e1a3f3a4-2a6e-4a4f-9d4c-1b7f2b9d4c11",
        market=market,
        taker=taker,
        shares=taker.size,
        price=5300,
        fee=0,
        makers=(model.MakerFill(ours, taker.size, 5300),),
        matched_ms=START_MS,
        tx_hash="0x" + "ef" * 32,
    )
    frame = orjson.dumps(trade_event(trade, "MAKER", START_MS)).decode()
    me = Me(API_KEY, address.lower())

    def check() -> None:
        batch = decode_user(frame, me)
        assert (len(batch.events), batch.bad) == (1, ()), "one trade, and it is ours"

    return Case(
        "user trade decoded", None, lambda: decode_user(frame, me),
        floor=lambda: orjson.loads(frame), floor_name="loads", check=check,
    )  # fmt: skip


def place_and_cancel() -> Case:
    """The embedded exchange: an order rests on a 98-level book and is cancelled again."""
    engine, market = Engine(rng=random.Random(1)), venue_market()
    engine.list_market(market, START_MS)
    engine.open_market(market, START_MS)
    engine.accounts.deposit("maker", 10**15)
    engine.unread.add("key")  # its dead orders are dropped, or the rounds would pile them up
    order = _venue_order(market, "", "key", "maker", model.BUY)
    replies: list[model.Accepted | model.Refused] = []
    serial = iter(range(10**9))

    def place(token: str = UP_ID, cents: int = SPREAD_AT - 1) -> model.Order:
        order_id = f"0x{next(serial):064x}"
        placed = attrs.evolve(order, id=order_id, token=token, price=cents * 100, trades=[])
        engine.place(placed, START_MS, replies.append)
        return placed

    for cents in range(1, SPREAD_AT):
        place(UP_ID, cents)
        place(DOWN_ID, cents)

    def work() -> object:
        replies.clear()
        return engine.cancel(place().id, "key", START_MS)

    def check() -> None:
        assert isinstance(replies[-1], model.Accepted), "it was accepted"
        assert len(engine.live_orders("key")) == 98, "and is gone"

    return Case("exchange: place + cancel", None, work, check=check)


def _venue_order(
    market: model.Market, order_id: str, owner: str, account: str, side: str
) -> model.Order:
    return model.Order(
        id=order_id,
        owner=owner,
        account=account,
        market=market,
        token=market.tokens[model.UP],
        side=side,
        price=4900,
        size=10 * SHARE,
        kind=model.Kind.GTC,
        post_only=side == model.BUY,
        created_ms=START_MS,
    )
