"""Which queue model our fills speak for: recovered where it is known, refused where it is not."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Mapping
from pathlib import Path

import attrs
import msgpack
import pytest
from market_kit import BTC_5M

from polybot.core_tape import INPUTS, Applied, Input, Learnt, Restarted, ScopeBegan
from polybot.domain.market import Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import Acked, CancelResult, FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.exchange.queue_models import QueueModel, probabilistic, queue_model
from polybot.journal.entries import Told
from polybot.journal.recorder import CORE
from polybot.journal.tape import Event, Header, Kind, Writer
from polybot.lab.latency_fit import LEAST, trouble, ways
from polybot.lab.queue_fit import EXPONENTS, Fit, fit, judge, lines, main
from polybot.lab.queue_watch import Did, Stay, Step, stays
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import ClockTerms, End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.tape import Tapes, tapes
from polybot.order_messages import CancelAnswered, Posted


def lived(rng: random.Random, model: QueueModel) -> Stay:
    """A stay in a queue that is known to shrink by a model; a cent of noise in none of it."""
    stay = Stay(size=10 * SHARE, ahead=rng.randrange(20, 200) * SHARE)
    ahead, behind, left = stay.ahead, 0, stay.size
    for n in range(60):
        did = rng.choice([Did.ADDED, Did.CANCELLED, Did.CANCELLED, Did.TRADED])
        shares = rng.randrange(1, 30) * SHARE
        step = Step(n * 1_000, did, shares)
        if did is Did.ADDED:
            behind += shares
        elif did is Did.CANCELLED:
            step.shares = shares = min(shares, ahead + behind)
            least, most = max(0, shares - behind), min(ahead, shares)
            front = min(most, max(least, model.advance(ahead, behind, shares)))
            ahead, behind = ahead - front, behind - (shares - front)
        else:
            step.ours = min(left, max(0, shares - ahead))
            ahead, left = max(0, ahead - shares), left - step.ours
        if step.shares:
            stay.steps.append(step)
        if not left:
            break
    return stay


@pytest.mark.parametrize("exponent", [EXPONENTS[4], EXPONENTS[9], EXPONENTS[12]])
def test_a_known_exponent_is_found(exponent: float) -> None:
    """Out of three hundred orders in queues that shrink by it, within its own interval."""
    rng = random.Random(5)
    found = fit([lived(rng, probabilistic(exponent)) for _ in range(300)])

    assert isinstance(found, Fit)
    assert found.least <= exponent <= found.most
    assert found.exponent == pytest.approx(exponent, rel=0.3)
    assert found.errors[found.model] == min(found.errors.values())


def test_a_model_without_an_exponent_is_chosen_where_it_is_the_true_one() -> None:
    """Who cancels stands behind us: no exponent says it as well, as on the crowd's tapes."""
    rng = random.Random(9)
    found = fit([lived(rng, queue_model("pessimistic")) for _ in range(200)])

    assert isinstance(found, Fit)
    assert (found.model, found.sure) == ("pessimistic", 1.0)
    assert (
        found.errors["pessimistic"]
        == 0
        < min(error for name, error in found.errors.items() if name != "pessimistic")
    )


def test_the_true_model_makes_no_error() -> None:
    """And another one does: an error is the part of a print that was not ours, squared."""
    model, rng = probabilistic(2.0), random.Random(6)
    rows = [lived(rng, model) for _ in range(100)]

    assert sum(judge(one, model).error for one in rows) == 0
    assert sum(judge(one, queue_model("pessimistic")).error for one in rows) > 0


def test_too_few_orders_say_nothing() -> None:
    """No number is told where models agree about nearly everything."""
    rng = random.Random(7)
    told = fit([lived(rng, probabilistic(2.0)) for _ in range(10)])

    assert isinstance(told, str)
    assert "are needed" in told


# --- from tapes -----------------------------------------------------------------------------------

T0 = BTC_5M.start_ms + 60_000
UP, DOWN = BTC_5M.up_token, BTC_5M.down_token
ID = "0xabc"


def book(at_ms: int, shares: int) -> Event:
    body = {
        "event_type": "book", "market": BTC_5M.condition_id, "asset_id": UP, "hash": "x",
        "timestamp": str(at_ms), "bids": [{"price": "0.48", "size": str(shares)}], "asks": [],
    }  # fmt: skip
    return frame(at_ms, body)


def level(at_ms: int, shares: int) -> Event:
    change = {
        "asset_id": UP, "price": "0.48", "size": str(shares), "side": "BUY", "hash": "x",
        "best_bid": "0.48", "best_ask": "0.52",
    }  # fmt: skip
    body = {
        "event_type": "price_change", "market": BTC_5M.condition_id, "price_changes": [change],
        "timestamp": str(at_ms),
    }  # fmt: skip
    return frame(at_ms, body)


def printed(at_ms: int, shares: int, *, twin: bool = False) -> Event:
    asset, price, side = (DOWN, "0.52", "BUY") if twin else (UP, "0.48", "SELL")
    body = {
        "event_type": "last_trade_price", "market": BTC_5M.condition_id, "asset_id": asset,
        "price": price, "size": str(shares), "side": side, "timestamp": str(at_ms),
        "fee_rate_bps": "0", "transaction_hash": "0x1",
    }  # fmt: skip
    return frame(at_ms, body)


def frame(at_ms: int, body: Mapping[str, object]) -> Event:
    stream = f"market {BTC_5M.slug}"
    return Event(at_ms * 10**6, Kind.HEARD, stream, json.dumps(body).encode())


def fed(at_ms: int, value: Input) -> Event:
    return Event(at_ms * 10**6, Kind.FED, CORE, INPUTS.pack(value))


def posted(at_ms: int) -> list[Event]:
    """Ten shares at 0.48 for Up, sent and taken."""
    post = ["post", [ID, "Up", "BUY", 4800, 10 * SHARE, "GTC", 0, True, 0, "quote"]]
    acked = Posted((Acked(ID, "live", 0, 0, ()),))
    return [
        Event(at_ms * 10**6, Kind.DECIDED, f"orders {BTC_5M.slug}", msgpack.packb([post])),
        fed(at_ms + 50, Applied(BTC_5M.slug, acked)),
    ]


def filled(at_ms: int, shares: int) -> Event:
    leg = FillLeg(ID, UP, Side.BUY, 4800, shares * SHARE, maker=True)
    trade = TradeSeen("t1", BTC_5M.condition_id, TradeStatus.MATCHED, (leg,), at_ms)
    return fed(at_ms, Learnt((Told(BTC_5M.condition_id, trade),)))


def ended(at_ms: int) -> Event:
    gone = CancelAnswered((ID,), CancelResult(frozenset({ID}), {}))
    return fed(at_ms, Applied(BTC_5M.slug, gone))


BEGIN = [fed(T0 - 9_000, ScopeBegan(BTC_5M, MarketState.QUOTING)), book(T0 - 5_000, 100)]


def test_a_stay_is_read_from_its_tape() -> None:
    """What was ahead, our own showing left out, a trade once and not as a cancel too, and our part
    of it; a purchase of the other token trades at our price as well (feeds.md 2.3).
    """
    rows = [
        *BEGIN, *posted(T0), level(T0 + 100, 110), level(T0 + 1_000, 80), level(T0 + 2_000, 95),
        level(T0 + 3_000, 55), printed(T0 + 3_080, 40), level(T0 + 4_000, 25),
        printed(T0 + 4_080, 30, twin=True), filled(T0 + 4_100, 3), ended(T0 + 9_000),
    ]  # fmt: skip
    (stay,) = stays(rows)

    assert (stay.size, stay.ahead) == (10 * SHARE, 100 * SHARE)
    assert [(step.did, step.shares // SHARE, step.ours // SHARE) for step in stay.steps] == [
        (Did.CANCELLED, 30, 0),
        (Did.ADDED, 15, 0),
        (Did.TRADED, 40, 0),
        (Did.TRADED, 30, 3),
    ]


def test_what_joins_while_an_order_is_on_its_way_is_before_it() -> None:
    """The place in a queue is that of the arrival, not of the decision (strategy.md 17): whoever
    came in between is no one who may cancel behind us, and his shares trade first.
    """
    rows = [
        *BEGIN, *posted(T0), level(T0 + 20, 104), level(T0 + 40, 108), level(T0 + 60, 118),
        level(T0 + 900, 125), level(T0 + 3_000, 17), printed(T0 + 3_080, 108), ended(T0 + 9_000),
    ]  # fmt: skip
    (stay,) = stays(rows)

    assert stay.ahead == 108 * SHARE
    assert [(step.did, step.shares // SHARE) for step in stay.steps] == [
        (Did.ADDED, 7), (Did.TRADED, 108),
    ]  # fmt: skip
    assert judge(stay, queue_model("pessimistic")).error == 0


@pytest.mark.parametrize(
    "rows",
    [
        [*posted(T0), ended(T0 + 9_000)],
        [*posted(T0), fed(T0 + 10, Restarted(f"market {BTC_5M.slug}")), ended(T0 + 9_000)],
        [*posted(T0), filled(T0 + 100, 3), printed(T0 + 9_000, 5), ended(T0 + 9_100)],
        [*posted(T0)[:1], printed(T0 + 9_000, 5), ended(T0 + 9_100)],
    ],
    ids=["no print", "connection lost", "fill without a print", "never acknowledged"],
)
def test_stays_that_prove_nothing_are_left_out(rows: list[Event]) -> None:
    """Where nothing traded, or not all was seen, nothing is concluded."""
    assert stays([*BEGIN, *rows]) == []


def test_before_the_book_is_shown_nothing_is_known() -> None:
    """An order sent then stands in a queue of unknown length."""
    rows = [BEGIN[0], *posted(T0), printed(T0 + 9_000, 5), ended(T0 + 9_100)]

    assert stays(rows) == []


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lives: list[list[Event]] = []
    case = Keep(deaths=False, series=False, pace=False, revoked=False, date=False).of(draw(3, 0.1))
    one, clock = (Life(60.0, End.STOP, 0.0),), ClockTerms(skew_ms=600)
    simulate(attrs.evolve(case, lives=one, quiet_s=0.0, sniped=0.3, clock=clock), lives)
    path = tmp_path_factory.mktemp("tapes") / "run-1-0000.tape"
    writer = Writer(path, Header("run-1", 0, 0, "", {}, {}))
    writer.write([(one.at_ns, int(one.kind), one.stream, one.body) for one in lives[0]])
    writer.close()
    return path


def test_the_command(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A minute is too little, which is said with the number that are needed; code 1."""
    assert main([str(tape)]) == 1
    assert "are needed" in capsys.readouterr().out
    assert main([str(tape.parent / "nothing.tape")]) == 2


def test_an_order_is_one_witness(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run named by its folder and by its file made 60 orders of 30, and a choice surer than its
    fills are.
    """
    assert main([str(tape.parent), str(tape)]) == 2
    assert "name each run once" in capsys.readouterr().err


def test_the_ways_of_the_same_tape(tape: Path) -> None:
    """The other half of a calibration: of a bot's own run each way is seen. Its clock is ahead of
    its venue's, too little to be set, which is found; there and back is right all the same.
    """
    with tapes(tape) as files:
        found = ways(Tapes(files).events())

    assert min(len(values) for values in found.values()) >= LEAST
    there, back = statistics.median(found["order"]), statistics.median(found["news"])
    assert there < 0 < there + back < 250  # its links are slow
    assert "below zero" in (trouble(found) or "")


def test_the_chosen_model_is_what_others_read(tmp_path: Path) -> None:
    """The file is a model for paper and backtest; one that is none is refused with its name."""
    rng = random.Random(5)
    found = fit([lived(rng, probabilistic(1.526)) for _ in range(200)])
    assert isinstance(found, Fit)
    path = tmp_path / "queue.json"
    path.write_text(json.dumps({"queue": found.model}))

    assert queue_model(f"fitted:{path}").name == found.model
    assert lines(found)[-1] == f"chosen: {found.model}, in 100% of redraws"
    for text in ("{}", "nothing", '{"queue": "fitted:x"}', '{"queue": "strange"}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="queue"):
            queue_model(f"fitted:{path}")
    with pytest.raises(ValueError, match=f"{path}.gone cannot be read: No such file or directory$"):
        queue_model(f"fitted:{path}.gone")
