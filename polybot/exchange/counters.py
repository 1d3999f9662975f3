"""How often things happened on the exchange, in all and by account: for admin pages and tests."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import attrs

from polybot.exchange import rules
from polybot.exchange.model import Event, OrderEvent, Trade, Traded, TradeUpdated

# A sound order is refused with these when the book moves while it is on its way.
_RACES = frozenset({rules.POST_ONLY_CROSSES, rules.FOK_KILLED, rules.FAK_KILLED})

_IDENTITY = re.compile(r" ->.*|0x[0-9a-fA-F]+|\d{8,}|[0-9a-f]{8}-[0-9a-f-]{27}")


@attrs.define
class Tally:
    """One account's share. Money is in 10⁻⁶ pUSD; rebates have an account of their own."""

    placed: int = 0
    cancelled: int = 0
    refused: int = 0
    invalid: int = 0  # refused for what the client could have known
    fills: int = 0
    volume: int = 0  # shares, 10⁻⁶
    fees: int = 0


class Counters:
    """Append `on_event` to the engine's listeners; the wire services call `count` and `refuse`."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.accounts: defaultdict[str, Tally] = defaultdict(Tally)

    def count(self, name: str) -> None:
        self.totals[name] += 1

    def refuse(self, account: str, error: str, *others: str) -> None:
        """An order was refused, of this account or one of the `others`. Ids and figures are cut out
        of the text, so that texts stay few.
        """
        self.count(f"refused: {_IDENTITY.sub('…', error)}")
        for one in (account, *others):
            self.accounts[one].refused += 1
            self.accounts[one].invalid += error not in _RACES

    def on_event(self, event: Event) -> None:
        if isinstance(event, OrderEvent):
            self._on_order(event)
        elif isinstance(event, Traded):
            self.count("trades")
            self._on_trade(event.trade, 1)
        elif isinstance(event, TradeUpdated) and event.trade.status == "FAILED":
            self.count("trades failed")
            self._on_trade(event.trade, -1)

    def _on_order(self, event: OrderEvent) -> None:
        tally = self.accounts[event.order.account]
        if event.kind == "PLACEMENT":
            self.count("placed")
            tally.placed += 1
        elif event.kind == "CANCELLATION":
            self.count(f"cancelled: {event.status}")
            tally.cancelled += 1

    def _on_trade(self, trade: Trade, sign: int) -> None:
        taker = self.accounts[trade.taker.account]
        taker.fees += sign * trade.fee
        taker.fills += sign
        taker.volume += sign * trade.shares
        for fill in trade.makers:
            maker = self.accounts[fill.order.account]
            maker.fills += sign
            maker.volume += sign * fill.shares
