"""Whether what is to be had at once is asked for once (S3), read from the wire and the venue's
books.

An order that takes is filled where it arrives, so one that is sent again is a position twice as
large, whatever is cancelled afterwards. Two things are asked of each that leaves: that the fate of
the one before it has been told, and that no more is taken than is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import orjson

from polybot.exchange.eip712 import order_digest
from polybot.exchange.model import BUY, Market
from polybot.exchange.order_shape import read_entry
from polybot.exchange.order_signatures import Domains
from polybot.exchange.server import Exchange
from polybot.execution.reconcile import LAG_MOST_MS
from polybot.execution.tracked import DUST
from polybot.journal.recorder import CORE

KINDS = ("FAK", "FOK")
# What no list shows after so long may be taken for lost. The edge may hold it back for longer, and
# until then it may still take what is missing.
LOST_AFTER_S = LAG_MOST_MS / 1000
EDGE_S = 30.0
# How an answer begins that says what became of an order; that to a POST, after its status.
SHOWN, ABSENT, PLACED = b"200 ", b"404 GET /data/order/", b" POST /order"


@attrs.define(eq=False)
class _Sent:
    id: str
    market: Market
    token: str
    shares: int  # at its limit: what is cheaper may be more
    at_s: float
    told: bool = False
    absent: bool = False  # as the venue has it, long enough after it was sent


@attrs.define(eq=False)
class Takes:
    """Of one wallet. `undone` tells of a market whether its position is not what its owner may have
    heard, `grace_s` how long after an order a look-up that does not find it says nothing.
    """

    exchange: Exchange
    address: str
    now_s: Callable[[], float]
    break_: Callable[[str, str], None]
    undone: Callable[[Market], bool]
    grace_s: float
    _sent: list[_Sent] = attrs.field(factory=list)
    _answered_s: float = -math.inf  # when a POST was last

    def forget(self) -> None:
        """Who has sent them is dead; his successor looks each of them up before he trades."""
        self._sent.clear()

    def sent(self, body: bytes) -> None:
        """An order leaves, or several."""
        if b'"FAK"' not in body and b'"FOK"' not in body:
            return
        self._sent = [one for one in self._sent if self.now_s() - one.at_s < EDGE_S]
        for take in self._taking(body):
            for before in self._sent:
                if before.market is take.market and self._in_doubt(before):
                    what = f"of {before.id[:10]}, {take.at_s - before.at_s:.3f} s before it"
                    self.break_("S3", f"{_name(take)}, and nothing was told {what}")
            room = self._missing(take)
            if take.shares > room + DUST and not self.undone(take.market):
                self.break_("S3", f"{_name(take)} where {room / 1e6:g} are missing")
            self._sent.append(take)

    def _taking(self, body: bytes) -> Iterator[_Sent]:
        said = orjson.loads(body.partition(b"\n")[2])
        rows: list[dict[str, Any]] = said if isinstance(said, list) else [said]
        for row in rows:
            entry = read_entry(row)
            if entry is None or entry.kind.value not in KINDS or row["order"]["side"] != BUY:
                continue
            market = self.exchange.engine.by_token.get(entry.token)
            if market is not None:
                domain = Domains.of(market.version, neg_risk=market.neg_risk).right
                order_id = "0x" + order_digest(entry.fields, domain).hex()
                shares = entry.fields.taker_amount
                yield _Sent(order_id, market, entry.token, shares, self.now_s())

    def _in_doubt(self, one: _Sent) -> bool:
        lost_s = max(LOST_AFTER_S, self.grace_s)
        return not (one.told or one.absent) and self.now_s() - one.at_s < lost_s

    def _missing(self, take: _Sent) -> int:
        """Shares that would pair what is held, with all that is on its way to take as well."""
        engine = self.exchange.engine
        up, down = (engine.accounts.shares(self.address, token) for token in take.market.tokens)
        net = up - down if take.token == take.market.tokens[1] else down - up
        held = {order.id for order in engine.held_orders(self.exchange.wallet.api_key)}
        coming = sum(
            one.shares
            for one in self._sent
            if one.token == take.token
            and (one.id in held or not (one.told or one.id in engine.orders))
        )
        return net - coming

    def heard(self, where: str, body: bytes) -> None:
        """What has come over a wire, or was handed to the core. A refusal may name no order: whose
        it is the bot tells, who knows what it had asked, and is believed where there was one.
        """
        on_wire = where == "rest clob"
        if on_wire and body[3:].startswith(PLACED):
            self._answered_s = self.now_s()
        for one in self._sent:
            if one.id.encode() not in body:
                continue
            if where == CORE:
                known = b"Posted" in body and b"Unknown" not in body
                one.told |= known and self._answered_s >= one.at_s
            else:
                one.told |= where == "user" or (on_wire and body.startswith(SHOWN))
                late = self.now_s() - one.at_s >= self.grace_s
                one.absent |= late and on_wire and body.startswith(ABSENT)


def _name(take: _Sent) -> str:
    return f"{take.shares / 1e6:g} to be taken in {take.market.slug}"
