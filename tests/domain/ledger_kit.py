"""Trades and markets for the ledger's tests, and the ledger's slow twin."""

from __future__ import annotations

from fractions import Fraction

import attrs

from polybot.domain.ledger import Ledger
from polybot.domain.market import FeeSchedule, Market, Outcome, Side, TwapPair, taker_fee
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import ONE, SHARE

UP, DOWN = Outcome.UP, Outcome.DOWN
BUY, SELL = Side.BUY, Side.SELL


def market(name: str = "0xc") -> Market:
    return Market(
        series="btc-5m",
        slug=f"btc-updown-5m-{name}",
        condition_id=name,
        up_token=f"{name}-up",
        down_token=f"{name}-down",
        start_ms=0,
        end_ms=300_000,
        rule=TwapPair("btcusd", 60),
        tick=100,
        min_size=5 * SHARE,
        fees=FeeSchedule(70_000, 1, 200_000),
    )


MARKET = market()


def funded(cash: int = 0) -> Ledger:
    """A ledger that begins with so many micro-dollars."""
    ledger = Ledger()
    ledger.deposit(cash, "start")
    return ledger


def leg(
    outcome: Outcome = UP,
    price: int = 5000,
    shares: int = 10,
    *,
    side: Side = BUY,
    maker: bool = True,
    order_id: str = "0x1",
    of: Market = MARKET,
) -> FillLeg:
    """One leg; `shares` in whole shares."""
    return FillLeg(order_id, of.token(outcome), side, price, shares * SHARE, maker)


def trade(
    trade_id: str,
    *legs: FillLeg,
    status: TradeStatus = TradeStatus.MATCHED,
    of: Market = MARKET,
) -> TradeSeen:
    return TradeSeen(trade_id, of.condition_id, status, legs, at_ms=0)


@attrs.define
class Holding:
    """One token of the twin: exact fractions of a micro-dollar."""

    shares: int = 0
    confirmed: int = 0
    cost: Fraction = Fraction(0)
    confirmed_cost: Fraction = Fraction(0)


@attrs.define
class Done:
    """What one leg moved in the twin."""

    leg: FillLeg
    cash: int
    cost: Fraction


@attrs.define
class SlowBooks:
    """One market told in fractions, one fact at a time: the ledger must agree."""

    market: Market
    cash: int = 0
    fees: int = 0
    fills: int = 0
    realised: Fraction = Fraction(0)
    held: dict[Outcome, Holding] = attrs.field(factory=lambda: {o: Holding() for o in Outcome})
    trades: dict[str, tuple[TradeStatus, list[Done]]] = attrs.field(factory=dict)

    def hear(self, told: TradeSeen) -> None:
        before, done = self.trades.get(told.trade_id, (None, []))
        if before is not None and told.status <= before:
            return
        if before is None and told.status is not TradeStatus.FAILED:
            done = [self._book(part) for part in told.legs]
        if told.status is TradeStatus.CONFIRMED:
            self._confirm(done, 1)
        if told.status is TradeStatus.FAILED:
            if before is TradeStatus.CONFIRMED:
                self._confirm(done, -1)
            self._undo(done)
            done = []
        self.trades[told.trade_id] = (told.status, done)
        self._sweep()

    def _holding(self, part: FillLeg) -> Holding:
        return self.held[self.market.outcome_of(part.token)]

    def _book(self, part: FillLeg) -> Done:
        dollars = part.price * part.shares // ONE
        fee = 0 if part.maker else taker_fee(self.market.fees, part.price, part.shares)
        holding = self._holding(part)
        if part.side is BUY:
            done = Done(part, -dollars - fee, Fraction(dollars + fee))
        elif part.shares >= holding.shares:
            done = Done(part, dollars - fee, -holding.cost)
        else:
            done = Done(part, dollars - fee, -holding.cost * part.shares / holding.shares)
        self._move(done, 1)
        return done

    def _move(self, done: Done, sign: int) -> None:
        holding, buy = self._holding(done.leg), done.leg.side is BUY
        self.cash += sign * done.cash
        self.fills += sign
        if not done.leg.maker:
            self.fees += sign * taker_fee(self.market.fees, done.leg.price, done.leg.shares)
        holding.cost += sign * done.cost
        holding.shares += sign * done.leg.shares * (1 if buy else -1)
        if not buy:
            holding.confirmed -= sign * done.leg.shares
            holding.confirmed_cost += sign * done.cost
            self.realised += sign * (done.cash + done.cost)

    def _undo(self, done: list[Done]) -> None:
        for part in done:
            self._move(part, -1)

    def _sweep(self) -> None:
        for holding in self.held.values():
            if holding.shares == holding.confirmed == 0:
                self.realised -= holding.cost
                holding.cost = holding.confirmed_cost = Fraction(0)

    def _confirm(self, done: list[Done], sign: int) -> None:
        for part in done:
            if part.leg.side is BUY:
                self._holding(part.leg).confirmed += sign * part.leg.shares
                self._holding(part.leg).confirmed_cost += sign * part.cost

    def merge(self, shares: int) -> None:
        self.cash += shares
        self.realised += shares
        for holding in self.held.values():
            cost = holding.confirmed_cost * shares / holding.confirmed
            holding.shares -= shares
            holding.confirmed -= shares
            holding.cost -= cost
            holding.confirmed_cost -= cost
            self.realised -= cost

    def split(self, shares: int) -> None:
        self.cash -= shares
        for outcome, cost in ((UP, shares // 2), (DOWN, shares - shares // 2)):
            holding = self.held[outcome]
            holding.shares += shares
            holding.confirmed += shares
            holding.cost += cost
            holding.confirmed_cost += cost
        self._sweep()

    def redeem(self, up_payout: int) -> int:
        payouts = ((UP, up_payout), (DOWN, SHARE - up_payout))
        paid = sum(self.held[outcome].shares * payout // SHARE for outcome, payout in payouts)
        self.cash += paid
        self.realised += paid - sum(holding.cost for holding in self.held.values())
        self.held = {outcome: Holding() for outcome in Outcome}
        return paid
