"""What happened to each wallet on chain, and what it holds at what cost: the Data API's memory.

An engine's listener. A trade counts from its block on, not from the match; one that is undone after
that counts backwards. Shares and pUSD are 10⁻⁶, times Unix milliseconds. Memory is bounded: of a
wallet the newest `KEPT_ENTRIES` and `KEPT_HOLDINGS`, of the venue the newest `KEPT_TRADES`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Iterator

import attrs

from polybot.exchange.accounts import leg_cash
from polybot.exchange.model import (
    BUY,
    DOWN,
    UP,
    Event,
    Market,
    Move,
    Moved,
    Order,
    Paid,
    Trade,
    TradeUpdated,
)

KEPT_ENTRIES = 20_000
KEPT_HOLDINGS = 4_000
KEPT_TRADES = 20_000


@attrs.frozen
class Entry:
    """One row of a wallet's history: its side of a trade, or a move."""

    number: int  # rising
    kind: str  # "TRADE", a `Move`'s name or what the venue paid: REWARD, MAKER_REBATE
    wallet: str
    market: Market | None
    token: str  # "" but for a trade
    side: str
    shares: int
    cash: int  # pUSD that changed hands, without the fee
    fee: int
    block_ms: int
    tx_hash: str
    taker: bool = False
    trade_id: str = ""
    undone: bool = False  # takes back what an earlier entry of this trade said
    burnt: tuple[int, int] = (0, 0)  # of a move: change of (Up, Down)


@attrs.define(eq=False)
class Holding:
    """One wallet's shares of one token. `cost` is what the open shares cost, without fees."""

    market: Market
    outcome: int
    first_ms: int
    last_ms: int
    size: int = 0
    cost: int = 0
    fees: int = 0  # paid for what was ever bought
    bought: int = 0  # shares ever acquired
    spent: int = 0  # pUSD they cost, without fees
    realised: int = 0

    @property
    def token(self) -> str:
        return self.market.tokens[self.outcome]

    def gain(self, shares: int, cash: int, fee: int = 0) -> None:
        """Shares came in for so much; negative numbers take it back."""
        self.size += shares
        self.cost = max(0, self.cost + cash)
        self.fees += fee
        self.bought += shares
        self.spent += cash

    def give(self, shares: int, cash: int) -> None:
        """Shares went out for so much, at average cost; negative numbers take it back."""
        held = self.size
        basis = self.cost * shares // held if held else self.average(shares)
        self.size -= shares
        self.cost = max(0, self.cost - basis) if self.size else 0
        self.realised += cash - basis

    def average(self, shares: int) -> int:
        """What so many shares cost on the average of all ever bought."""
        return self.spent * shares // self.bought if self.bought else 0


@attrs.define(eq=False)
class Wallet:
    entries: deque[Entry] = attrs.field(factory=lambda: deque(maxlen=KEPT_ENTRIES))
    holdings: dict[str, Holding] = attrs.field(factory=dict)  # by token


class WalletHistory:
    """Append `on_event` to the engine's listeners.

    Owners and accounts in `unread` (the crowd) get no wallet here, only their trades are in the
    market's list. `lag_ms` is how long after its block a wallet's entry can be seen.
    """

    def __init__(self, unread: Container[str], lag_ms: int) -> None:
        self.lag_ms = lag_ms
        self.trades: deque[Entry] = deque(maxlen=KEPT_TRADES)  # of everybody, oldest first
        self.volume: dict[str, int] = {}  # by condition id: shares that takers traded
        self._unread = unread
        self._wallets: dict[str, Wallet] = {}
        self._pending: deque[Entry] = deque()
        self._number = 0

    def on_event(self, event: Event) -> None:
        if isinstance(event, TradeUpdated):
            trade = event.trade
            if trade.status == "MINED":
                self._on_trade(trade, event.at_ms, 1)
            elif trade.status == "FAILED" and trade.block_ms is not None:
                self._on_trade(trade, event.at_ms, -1)
        elif isinstance(event, Moved):
            self._on_move(event, event.move.value)
        elif isinstance(event, Paid):
            paid = Moved(Move.DEPOSIT, event.account, None, (0, 0), event.amount, event.at_ms)
            self._on_move(paid, event.kind)

    def wallet(self, wallet: str, now_ms: int) -> Wallet:
        """What can be seen of a wallet now; empty for one that never did anything."""
        self._catch_up(now_ms)
        return self._wallets.get(wallet) or Wallet()

    def holdings_of(self, market: Market, now_ms: int) -> Iterator[tuple[str, Holding]]:
        """(wallet, holding) of everybody who is known to hold or have held of a market."""
        self._catch_up(now_ms)
        for address, wallet in self._wallets.items():
            for token in market.tokens:
                if token in wallet.holdings:
                    yield address, wallet.holdings[token]

    def _catch_up(self, now_ms: int) -> None:
        while self._pending and self._pending[0].block_ms + self.lag_ms <= now_ms:
            entry = self._pending.popleft()
            wallet = self._wallets.get(entry.wallet)
            if wallet is None:
                wallet = self._wallets[entry.wallet] = Wallet()
            _enter(wallet, entry)

    def _on_trade(self, trade: Trade, at_ms: int, sign: int) -> None:
        """The taker's row and one per maker order; an undone trade leaves the market's list."""
        condition = trade.market.condition_id
        self.volume[condition] = self.volume.get(condition, 0) + sign * trade.shares
        if sign < 0:
            kept = [entry for entry in self.trades if entry.trade_id != trade.id]
            self.trades = deque(kept, maxlen=KEPT_TRADES)
        paid = 0
        for fill in trade.makers:
            theirs, ours = leg_cash(trade.taker, fill.order, fill.shares)
            paid += ours
            self._side(trade, fill.order, fill.shares, theirs, at_ms, sign)
        self._side(trade, trade.taker, trade.shares, paid, at_ms, sign)
        self._catch_up(at_ms)

    def _side(
        self, trade: Trade, order: Order, shares: int, cash: int, at_ms: int, sign: int
    ) -> None:
        taker = order is trade.taker
        entry = Entry(
            number=self._next(), kind="TRADE", wallet=order.account, market=trade.market,
            token=order.token, side=order.side, shares=shares, cash=cash,
            fee=trade.fee if taker else 0, block_ms=at_ms, tx_hash=trade.tx_hash, taker=taker,
            trade_id=trade.id, undone=sign < 0,
        )  # fmt: skip
        if sign > 0:
            self.trades.append(entry)
        if order.owner not in self._unread:
            self._pending.append(entry)

    def _on_move(self, event: Moved, kind: str) -> None:
        if event.account in self._unread:
            return
        number = self._next()
        digest = hashlib.sha256(f"{event.account}:{event.at_ms}:{number}".encode()).hexdigest()
        self._pending.append(
            Entry(
                number=number, kind=kind, wallet=event.account, market=event.market,
                token="", side="", shares=max(map(abs, event.shares)), cash=abs(event.cash), fee=0,
                block_ms=event.at_ms, tx_hash=event.tx_hash or "0x" + digest,
                burnt=event.shares,
            )
        )  # fmt: skip
        self._catch_up(event.at_ms)

    def _next(self) -> int:
        self._number += 1
        return self._number


def _enter(wallet: Wallet, entry: Entry) -> None:
    if entry.undone:
        kept = [one for one in wallet.entries if one.trade_id != entry.trade_id]
        wallet.entries = deque(kept, maxlen=KEPT_ENTRIES)
    else:
        wallet.entries.append(entry)
    if entry.market is None:
        return
    if entry.kind == "TRADE":
        outcome = entry.market.outcome_of(entry.token)
        _trade(_holding(wallet, entry.market, outcome, entry.block_ms), entry)
    else:
        _move(wallet, entry, entry.market)
    while len(wallet.holdings) > KEPT_HOLDINGS:
        oldest = next(iter(wallet.holdings))
        del wallet.holdings[oldest]


def _holding(wallet: Wallet, market: Market, outcome: int, at_ms: int) -> Holding:
    token = market.tokens[outcome]
    holding = wallet.holdings.get(token)
    if holding is None:
        holding = wallet.holdings[token] = Holding(market, outcome, at_ms, at_ms)
    holding.last_ms = at_ms
    return holding


def _trade(holding: Holding, entry: Entry) -> None:
    sign = -1 if entry.undone else 1
    if entry.side == BUY:
        holding.gain(sign * entry.shares, sign * entry.cash, sign * entry.fee)
    else:
        holding.give(sign * entry.shares, sign * (entry.cash - entry.fee))


def _move(wallet: Wallet, entry: Entry, market: Market) -> None:
    """A pair made or given up counts half a dollar a side; what is redeemed, its payout."""
    for outcome, shares in zip((UP, DOWN), entry.burnt, strict=True):
        if not shares:
            continue
        holding = _holding(wallet, market, outcome, entry.block_ms)
        if entry.kind == Move.SPLIT.value:
            holding.gain(shares, (shares + outcome) // 2)
        elif entry.kind == Move.MERGE.value:
            holding.give(-shares, (-shares + outcome) // 2)
        elif market.payouts is not None:
            worth = -shares * market.payouts[outcome] // sum(market.payouts)
            holding.give(-shares, worth)
