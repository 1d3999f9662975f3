"""Whether what leaves the bot is on the grid that it has heard of, and lives long enough to be
taken (S2), read from the wire alone.

A tick changes at the venue before anybody hears of it, so what the venue refuses may be nobody's
fault. What a bot sends after the news was in its own hands is its fault, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import attrs
import orjson

from polybot.exchange.money import ONE
from polybot.exchange.rules import GTD_NOTICE_MS
from polybot.exchange.server import Exchange

OBEYED_WITHIN_S = 0.05  # from the wire to where orders are asked about it
RESTING = ("GTC", "GTD")  # the amounts of an order that takes are rounded otherwise


@attrs.define(eq=False)
class HeardGrid:
    """The ticks that a bot was told of, as far as they are true, by token: by its market streams
    and by books that it has asked for.
    """

    exchange: Exchange
    now_s: Callable[[], float]
    owner: str = ""  # the bot whose knowledge this is
    _heard: dict[str, tuple[int, float]] = attrs.field(factory=dict)  # tick, since when

    def belongs_to(self, owner: str) -> None:
        """Another bot has heard nothing yet."""
        if owner != self.owner:
            self.owner = owner
            self._heard.clear()

    def heard(self, where: str, body: bytes) -> None:
        """What has come over a wire; a frame that a fault has bent says nothing that counts."""
        if not where.startswith(("market ", "rest clob")) or b"tick_size" not in body:
            return
        for row in _rows(body.partition(b"\n")[2] if where == "rest clob" else body):
            token = str(row.get("asset_id"))
            tick = _tick(row.get("new_tick_size", row.get("tick_size")))
            known = self._heard.get(token)
            if tick is not None and self._true(token) == tick and (known or (0, 0))[0] != tick:
                self._heard[token] = (tick, self.now_s())

    def _true(self, token: str) -> int | None:
        market = self.exchange.engine.by_token.get(token)
        return market.tick if market is not None else None

    def off(self, body: bytes) -> Iterator[str]:
        """The orders of a request that are off the grid which their sender has heard of, and which
        still holds: of one that has changed again he may know as well.
        """
        for order, price in resting_orders(body):
            tick, since_s = self._heard.get(order["tokenId"], (0, 0.0))
            known_for_s = self.now_s() - since_s
            if not tick or self._true(order["tokenId"]) != tick or known_for_s <= OBEYED_WITHIN_S:
                continue
            steps, rest = divmod(price * ONE, tick)
            if rest or not 0 < steps * tick < ONE:
                what = f"{order['side']} at {float(price):g}"
                yield f"{what}, {known_for_s:.3f} s after a tick of {tick}"


def too_short(body: bytes, now_ms: int) -> Iterator[str]:
    """The orders of a request whose expiration is nearer than the venue takes, by the venue's clock
    and by that of whoever sends it. What the edge holds back may be refused for it, and is nobody's
    fault.
    """
    for order, _ in resting_orders(body):
        expires_s = int(order["expiration"])
        if expires_s and expires_s * 1000 < now_ms + GTD_NOTICE_MS:
            yield f"an expiration {expires_s - now_ms / 1000:.1f} s ahead"


def _rows(body: bytes) -> list[dict[str, Any]]:
    try:
        said = orjson.loads(body)
    except ValueError:
        return []
    rows = said if isinstance(said, list) else [said]
    return [row for row in rows if isinstance(row, dict) and "asset_id" in row]


def _tick(text: object) -> int | None:
    try:
        return round(float(str(text)) * ONE)
    except (ValueError, OverflowError):
        return None


def resting_orders(body: bytes) -> Iterator[tuple[dict[str, Any], Fraction]]:
    """The resting orders of a request, as they were signed, each with its price: the bot's own
    words, which are JSON.
    """
    said = orjson.loads(body.partition(b"\n")[2])
    for one in said if isinstance(said, list) else [said]:
        if one["orderType"] in RESTING:
            order = one["order"]
            making, taking = int(order["makerAmount"]), int(order["takerAmount"])
            buys = order["side"] == "BUY"
            yield order, Fraction(making, taking) if buys else Fraction(taking, making)
