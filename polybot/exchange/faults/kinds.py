"""What a fault is: a named kind with parameters, the links it lives on, and when it strikes."""

from __future__ import annotations

import enum

import attrs

REST = ("clob", "gamma", "data", "binance_rest", "relayer", "rpc")
STREAMS = ("market_ws", "user_ws", "prices_ws", "rtds_ws", "binance_ws")
VENUE = "venue"  # not a link: the exchange's own conduct

PLACING = ("POST /order", "POST /orders")
CANCELLING = (
    "DELETE /order", "DELETE /orders", "DELETE /cancel-all", "DELETE /cancel-market-orders",
)  # fmt: skip


class When(enum.Enum):
    """How an entry of a plan meets the world while it is on."""

    EACH = "each"  # every request or frame may be struck, with the entry's probability
    WINDOW = "window"  # drawn once when a window begins; then everything in it is struck
    ONCE = "once"  # an act of the venue's own, when a window begins


@attrs.frozen
class Param:
    """One parameter: whole numbers only, `low` to `high`, in `unit`.

    Where an entry says nothing, each strike draws from `default` (both ends included), or one of
    `among`.
    """

    name: str
    unit: str
    low: int
    high: int
    default: tuple[int, int] = (0, 0)
    among: tuple[int, ...] = ()


@attrs.frozen
class Kind:
    """One row of the catalogue. `numbers` are those of the fault catalogue, reliability.md 2.

    `match` is what it meets unless an entry says otherwise: routes on REST links, texts in a frame
    on streams. `lasting`: a sound client stops for good and waits for its operator, so a storm,
    which wants to see recovery, leaves the kind out. `apart`: what seeds draw for a storm was known
    before the kind was, so whoever wants it names it, as a preset may.
    """

    name: str
    does: str
    numbers: str
    links: tuple[str, ...]
    when: When = When.EACH
    params: tuple[Param, ...] = ()
    match: tuple[str, ...] = ()
    lasting: bool = False
    apart: bool = False

    @property
    def storms(self) -> bool:
        """Whether storms draw it."""
        return not (self.lasting or self.apart)


DONE = Param("done", "1: the venue did it all the same; 0: it did not", 0, 1, (0, 1))


def millis(name: str, low: int, high: int, *, most: int = 60_000) -> Param:
    return Param(name, "ms of venue time", 1, most, (low, high))
