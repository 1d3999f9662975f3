"""One of every entry, and drawn ones, for the journal's tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from polybot.domain.baseline import Baseline
from polybot.domain.earned import Earned, Worth
from polybot.domain.market import (
    Candle,
    FeeSchedule,
    Market,
    Outcome,
    Side,
    TwapPair,
    UnknownRule,
)
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.orders import (
    Acked,
    FillLeg,
    OrderSeen,
    Reject,
    Rejected,
    TimeInForce,
    TradeSeen,
    TradeStatus,
    Unknown,
)
from polybot.journal import entries as e

OWNER = "0xwallet at the test venue"
CONDITION = "0x" + "ab" * 32
T0 = 1_795_132_800_000


def market(rule: Any = TwapPair("btcusd", 60), condition_id: str = CONDITION) -> Market:
    return Market(
        series="btc-5m",
        slug="btc-updown-5m-1795132800",
        condition_id=condition_id,
        up_token="11",
        down_token="22",
        start_ms=T0,
        end_ms=T0 + 300_000,
        rule=rule,
        tick=100,
        min_size=5_000_000,
        fees=FeeSchedule(70_000, 1, 200_000),
    )


def intent(number: int = 1, condition_id: str = CONDITION) -> e.Intent:
    return e.Intent(
        order_id=f"0x{number:064x}",
        condition_id=condition_id,
        outcome=Outcome.UP,
        side=Side.BUY,
        price=5_300,
        size=10_000_000,
        tif=TimeInForce.GTD,
        expires_s=1_795_133_000,
        post_only=True,
        level=1,
        cause="quote",
        body=b'{"order":{"salt":1}}',
    )


def trade(status: TradeStatus = TradeStatus.MATCHED, number: int = 1) -> TradeSeen:
    leg = FillLeg(f"0x{number:064x}", "11", Side.BUY, 5_300, 4_000_000, maker=True)
    return TradeSeen(f"trade-{number}", CONDITION, status, (leg,), T0)


def seen(kind: OrderSeen.Kind = OrderSeen.Kind.LIVE, number: int = 1) -> OrderSeen:
    return OrderSeen(f"0x{number:064x}", kind, 0, kind.name, T0)


ONE_OF_EACH: tuple[e.Entry, ...] = (
    e.Session("start", "0.1.0", "digest"),
    e.Session("end", "0.1.0", "digest"),
    e.Known(market()),
    e.Known(market(Candle("BTCUSDT", "1h"))),
    e.Known(market(UnknownRule("said nothing we know"))),
    e.Entered(CONDITION, MarketState.REDUCE, MarketState.QUOTING, Happened.STOP),
    intent(),
    e.Answered(CONDITION, Acked(intent().order_id, "live", 0, 0, ("trade-1",))),
    e.Answered(CONDITION, Rejected(intent().order_id, Reject.TICK, "breaks the tick")),
    e.Answered(CONDITION, Unknown(intent().order_id, "timed out")),
    e.Told(CONDITION, seen()),
    e.Told(CONDITION, trade()),
    e.Ended(CONDITION, intent().order_id, "cancelled"),
    e.Moved(CONDITION, "merge", "done", "merge-1", 20_000_000, 20_000_000, "0xhash"),
    e.Paid("rebate", 120_000, "row of 2026-11-26", 1_795_134_600),
    e.Resolved(CONDITION, 1_000_000, "payout vector"),
    e.Halted("foreign orders", "1 we did not place"),
    e.Rearmed("operator"),
    e.Certified(12_500),
    e.TradesRead(1_795_132_800),
    Baseline("2026-11-26", 2_000_000_000, 2_010_000_000, 1_990_000_000),
    Earned("abc", (Worth("flow", 0.0125, 31.5, 20.25, 1e-7), Worth("parity", -0.1, 1.0, 1.0, 0.0))),
    e.Carried(2_000_000_000, 5, 4, 3, 2, 1, 1_795_132_800, (("row", 1_795_134_600),)),
    e.Closed(CONDITION, 3_100_070, 699_930, 803_208),
)

numbers = st.integers(0, 99)
drawn = st.one_of(
    st.sampled_from(ONE_OF_EACH),
    st.builds(intent, st.integers(0, 2**200)),
    st.builds(e.Told, st.just(CONDITION), st.builds(trade, st.sampled_from(TradeStatus), numbers)),
    st.builds(
        e.Told, st.just(CONDITION), st.builds(seen, st.sampled_from(OrderSeen.Kind), numbers)
    ),
    st.builds(
        e.Entered, st.just(CONDITION), st.sampled_from(MarketState), st.sampled_from(MarketState),
        st.sampled_from(Happened),
    ),
    st.builds(e.Halted, st.text(max_size=40), st.text(max_size=200)),
)  # fmt: skip
