"""What the benchmark times: single steps of the hot path, on invented data.

Where it means something a case has a floor: the part of its work that no Python can avoid, done
alone on the same bytes in the same rounds. Ratios to it hold on any machine; microseconds do not.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable

import attrs
import orjson
from coincurve import PrivateKey

from polybot.domain.market import FeeSchedule, Market, Outcome, Side, TwapPair
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, SignedOrder
from polybot.domain.prices import Feed
from polybot.domain.units import ONE, SHARE
from polybot.exchange import model
from polybot.exchange.book_wire import BookText, Change
from polybot.exchange.engine import Engine
from polybot.exchange.wire_records import trade_event
from polybot.execution.desk import Action, Budget, Desk
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.lifecycle import Event
from polybot.execution.params import OrderParams
from polybot.execution.wish import Desired
from polybot.lab.decision_case import Decisions
from polybot.lab.risk_cases import Market5m, guarded
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import decode_market
from polybot.venue.private_rows import Me
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet, sign_order
from polybot.venue.user_messages import decode_user

KEY = "0x" + "11" * 32
API_KEY = "3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe"
START_MS = 1_795_201_200_000
UP_ID = "104173557214744537570424345347209544585775842950109756851652855913015295701992"
DOWN_ID = "21742633143463906290569050155826241533067272736897614950488156847949938836455"
CONDITION = "0x" + "ab" * 32
SPREAD_AT = 50  # cents: the one level of 99 that a change moves in and out of the book is the best

Work = Callable[[], object]


@attrs.frozen(eq=False)
class Case:
    """One timed step. `per` units are done in one call of `work`, and of `floor`."""

    name: str
    target_us: float | None  # per unit; the step of a decision is P17 in performance.md
    work: Work
    per: int = 1
    floor: Work | None = None
    floor_name: str = ""
    check: Work = lambda: None  # raises when the work was not what it claims to be


def cases() -> list[Case]:
    return [
        signing(),
        price_change(1),
        price_change(2),
        fair_value(left_s=200, target_us=5),
        fair_value(left_s=30, target_us=10),  # two means of seconds more
        decision(),
        desk_act(),
        whole_decision(),
        signals_of_a_decision(),
        signals_of_a_print(),
        signals_of_a_fill(),
        an_order_checked(),
        the_kill_switch(),
        user_trade(),
        place_and_cancel(),
    ]


def _market() -> Market:
    return Market(
        series="btc-5m",
        slug="btc-updown-5m-1795201200",
        condition_id=CONDITION,
        up_token=UP_ID,
        down_token=DOWN_ID,
        start_ms=START_MS,
        end_ms=START_MS + 300_000,
        rule=TwapPair("btcusd", 60),
        tick=100,
        min_size=5 * SHARE,
        fees=FeeSchedule(70_000, 1, 200_000),
    )


def venue_market() -> model.Market:
    return model.Market(
        condition_id=CONDITION,
        question_id="0x" + "cd" * 32,
        gamma_id="1",
        slug="btc-updown-5m-1795201200",
        question="Up or Down?",
        series=model.Series("btc", "5m", 300, "twap"),
        tokens=(UP_ID, DOWN_ID),
        listed_ms=START_MS,
        start_ms=START_MS,
        end_ms=START_MS + 300_000,
    )


def _order(outcome: Outcome = Outcome.UP, price: int = 5300, level: int = 0) -> NewOrder:
    return NewOrder(_market(), outcome, Side.BUY, price, 10 * SHARE, level=level)


# --- the cases -------------------------------------------------------------------------------


def signing() -> Case:
    """An order to the bytes of its POST. Floor: the curve's own operation."""
    wallet, order, raw = Wallet(Secret(KEY)), _order(), PrivateKey(bytes.fromhex(KEY[2:]))
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
    book, text = MarketBook(_market()), _book_text()
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


def fair_value(left_s: int, target_us: float) -> Case:
    """From fresh prices to the probability of Up, and so of Down, `left_s` before the end."""
    market, board, rng = _market(), PriceBoard(), random.Random(7)
    now_ms, price, average = market.end_ms - left_s * 1000, 90_000.0, 90_000.0
    for at_ms in range(now_ms - 300_000, now_ms + 1, 1000):
        price *= 1 + rng.gauss(0, 8e-5)
        board.on_tick(Feed.BINANCE, "BTCUSDT", price + 20.0, at_ms, at_ms)
        board.on_tick(Feed.CHAINLINK, "btcusd", price, at_ms, at_ms)
        average += (price - average) / 60
        board.on_tick(Feed.TWAP60, "btcusd", average, at_ms, at_ms)
    board.official_strike(market, price, market.start_ms)

    def check() -> None:
        assert isinstance(board.fair(market, now_ms), Fair), "it prices"

    name = f"fair value, {left_s} s before the end"
    return Case(name, target_us, lambda: board.fair(market, now_ms), check=check)


def decision() -> Case:
    """Fair value, books and holdings to six desired quotes."""
    up = BookView(
        tuple((5300 - 100 * n, 200 * SHARE) for n in range(5)),
        tuple((5500 + 100 * n, 200 * SHARE) for n in range(5)),
    )
    down = BookView(
        tuple((ONE - price, size) for price, size in up.asks),
        tuple((ONE - price, size) for price, size in up.bids),
    )
    inputs = QuoteInputs(
        market=_market(),
        now_ms=START_MS + 60_000,
        fair=Fair(0.54, 0.1, 0.01, 0.39, 8e-5, 240.0, 90_010.0, 90_000.0),
        up=up,
        down=down,
        tick=100,
        held_up=30 * SHARE,
        held_down=20 * SHARE,
        own={(Outcome.UP, 5300): 10 * SHARE, (Outcome.DOWN, 4500): 10 * SHARE},
        net_limit=100 * SHARE,
        state=MarketState.QUOTING,
        table=Timetable.of(_market(), Times(120_000, 60_000)),
    )
    params = QuoteParams(levels=3)

    def check() -> None:
        assert len(decide(inputs, params).quotes) == 6, "it quotes"

    return Case("one decision, six quotes", 25, lambda: decide(inputs, params), check=check)


def desk_act() -> Case:
    """Wanted against live with eight orders resting and all of them still good."""
    wallet, market, params = Wallet(Secret(KEY)), _market(), OrderParams()
    wanted = tuple(
        _order(outcome, top - 100 * level, level)
        for outcome, top in ((Outcome.UP, 5300), (Outcome.DOWN, 4400))
        for level in range(4)
    )
    limits, table = RiskParams(), Timetable.of(market, Times(0, 0))
    machine = MarketMachine(market, table, MarketState.QUOTING)
    firewall = Firewall(
        market, limits, machine, Admission(), MarketBrakes(limits, ErrorRate(limits))
    )
    desk = Desk(market, params, firewall, Budget.from_params(params), sign=_no_signature)
    for n, order in enumerate(wanted):
        signed = sign_order(
            order, wallet=wallet, funder=None, owner_key=API_KEY, salt=n, timestamp_ms=START_MS
        )
        desk.table.record(signed, START_MS)
        desk.table.move(desk.table[signed.id], Event.ACK_LIVE, START_MS)
    # Two wishes in turn, or what was found for the one before would do.
    caps = itertools.cycle((5400, 5500))
    standing = Standing(free_cash=10**9, equity=10**9)

    def work() -> list[Action]:
        desk.desired = Desired(wanted, next(caps), 4500, pair_cap=9900, fair_up=5400)
        return desk.act(START_MS, standing)

    def check() -> None:
        assert len(desk.table.open()) == 8, "all of them rest"
        assert work() == [], "and all of them are good"

    return Case("desk.act, 8 orders resting", 25, work, check=check)


def whole_decision() -> Case:
    """All of it for two tokens: fair value, six quotes, and what they mean for six orders that
    rest, from a price and books that are others in each call (issue D's figure).
    """
    made = Decisions(_market())
    return Case("a decision whole, six orders resting", 15, made.step, check=made.check)


def _no_signature(order: NewOrder) -> SignedOrder:
    raise AssertionError(f"nothing is to be placed, was {order}")


def signals_of_a_decision() -> Case:
    """Every signal brought up to now, all of them acting: before and after one decision."""
    scene = Market5m(_market())
    scene.look()  # a move needs two prices

    def check() -> None:
        readings = scene.board.readings
        assert readings.liquidity is not None, "the book was read"
        assert readings.move.sigmas, "and the spot"

    return Case("signals, one decision", 100, scene.look, check=check)


def signals_of_a_print() -> Case:
    """One trade of the tape."""
    scene = Market5m(_market())

    def check() -> None:
        assert scene.memory.refused == {}, "every print was taken"

    return Case("signals, one print", 10, scene.print, check=check)


def signals_of_a_fill() -> Case:
    """One fill of ours, and its share of the markouts that come due."""
    scene = Market5m(_market())

    def check() -> None:
        assert scene.memory.refused == {}, "every fill was taken"

    return Case("signals, one fill", 100, scene.fill, check=check)


def an_order_checked() -> Case:
    """One order through the firewall: state, brakes, collar, and every limit."""
    market = _market()
    firewall, order, wish, standing = guarded(market)
    now_ms = market.start_ms + 60_000

    def work() -> str | None:
        return firewall.check(order, wish, (), standing, now_ms)

    def check() -> None:
        assert work() is None, "it is a good one"

    return Case("firewall, one order", 50, work, check=check)


def the_kill_switch() -> Case:
    """The gate closed and the next order refused by it; the cancel-all is the stop drill's."""
    market = _market()
    firewall, order, wish, standing = guarded(market)
    now_ms = market.start_ms + 60_000

    def work() -> str | None:
        firewall.admission = Admission()
        firewall.admission.stop("kill")
        return firewall.check(order, wish, (), standing, now_ms)

    def check() -> None:
        assert work() == "gate closed: kill", "nothing passes"

    return Case("kill switch, gate closed", 10_000, work, check=check)


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
