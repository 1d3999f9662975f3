"""What a bot cannot know whose journal was lost: operations that were under way, and trades.

The journal after it begins when what the relayer lists has ended, and trades have. A merge that was
on its way to the relayer brings dollars later that nobody explains: the bot waits ten minutes for a
word of them, and halts, as it does for a split at once (brief seed 1084), and for a trade that no
list showed when it began (1548). Nor does it book what somebody else's order has bought in a window
that is never traded: when it is re-armed the next start takes its dollars for taken out (9646).
That much is excused, in dollars and in shares of its market, and nothing else.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import attrs

from polybot.app import Bot
from polybot.exchange.accounts import Accounts
from polybot.exchange.model import Trade
from polybot.exchange.server import Exchange
from polybot.exchange.settlement import parties
from polybot.in_flight import InFlight
from polybot.journal.entries import Moved
from polybot.lab.agreement import Unknown
from polybot.lab.simulation_watch import LATE

MOST = 8  # of which all ends are tried together


@attrs.define(eq=False)
class Forgotten:
    """What may be done or not, as far as the journals after lost ones know."""

    exchange: Exchange
    address: str
    _moves: dict[str, Unknown] = attrs.field(factory=dict)  # by the id of operation or trade
    _begins: bool = False  # the next journal is still to begin
    _traded_in: set[str] = attrs.field(factory=set)  # markets that any bot had books of, by id

    def lose(self, bot: Bot) -> None:
        """The journal of this bot is gone."""
        self._begins = True
        for flight in self._unheard(bot):
            self._moves |= {one.operation_id: _operation(bot, one) for one in flight.left}

    def _unheard(self, bot: Bot) -> Iterator[InFlight]:
        """What a bot has asked the chain for, and no list shows yet."""
        exchange = self.exchange
        rows = exchange.chain.relayer.queue.of_key(exchange.demo_wallets.relayer_api_key)
        listed = {one.work.metadata for one in rows}
        for flight in bot.inventory.under_way.flights:
            if not flight.evidence and flight.name not in listed:
                yield flight

    def look(self, bot: Bot) -> None:
        """To be called with a bot that is ready."""
        self._traded_in.update(bot.ctx.account.ledger.books)
        if self._begins:
            self._begins = False
            self._moves |= {one.id: _traded(self.address, one) for one in self._unlisted()}

    def _unlisted(self) -> Iterator[Trade]:
        """Trades that settle, while lists are late: they may have shown none of them."""
        running = self.exchange.faults.running.values()
        if any(it.entry.fault == LATE for it in running):
            for trade in self.exchange.engine.trades.values():
                if self.address in parties(trade) and trade.status not in ("CONFIRMED", "FAILED"):
                    yield trade

    def _elsewhere(self) -> Iterator[Trade]:
        """Trades in windows that no bot ever had books of."""
        for trade in self.exchange.engine.trades.values():
            never = trade.market.condition_id not in self._traded_in
            if never and self.address in parties(trade):
                yield trade

    def done(self) -> Iterator[Unknown]:
        """What it may come to, in whatever way each of them ends; nothing comes first."""
        elsewhere = {one.id: _traded(self.address, one) for one in self._elsewhere()}
        latest = list((self._moves | elsewhere).values())[-MOST:]
        for count in range(len(latest) + 1):
            for those in itertools.combinations(latest, count):
                shares: Counter[str] = Counter()
                for one in those:
                    shares.update(one.shares)
                yield Unknown(sum(one.cash for one in those), shares)


def _operation(bot: Bot, one: Moved) -> Unknown:
    """What an operation of the bot's adds to its wallet."""
    books = bot.ctx.account.ledger.books[one.condition_id]
    market, held = books.market, books.holdings()
    if one.kind == "redeem":
        gone = {market.up_token: -held.up, market.down_token: -held.down}
        return Unknown(books.worst_value, gone)
    pairs = one.shares if one.kind == "split" else -one.shares
    return Unknown(-pairs, dict.fromkeys((market.up_token, market.down_token), pairs))


def _traded(address: str, trade: Trade) -> Unknown:
    """What a trade adds to a wallet."""
    alone = Accounts()
    alone.settle(trade)
    return Unknown(alone.cash(address), dict(alone.wallet(address).shares))
