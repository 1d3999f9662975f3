"""What the Data API tells of dollars that came from outside trading: payments of the venue's
programs, and deposits; and of shares that a wallet holds (feeds.md 11).

Each row is a payment that was made, with its second and its transaction. The CLOB's own reads,
`/rebates/current` and `/rewards/user` (clob.md 5), tell what a day has *earned*: paid or not, below
the minimum or not. They are no evidence for a ledger, and were left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from polybot.domain import units
from polybot.domain.orders import Failure
from polybot.venue import fields
from polybot.venue.rest import Rest

Row = TypeVar("Row")

# Of a hundred rows each. A day pays a handful, or a row for each of its markets: of those there are
# three hundred to an asset, and two days are read.
PAGES_MOST = 100
# The venue's word for a payment, and the account it belongs to. Withdrawals are not among them:
# dollars that leave without us are for an operator to look at (F35).
ACCOUNTS = {
    "MAKER_REBATE": "rebate",
    "TAKER_REBATE": "rebate",
    "REWARD": "reward",
    "REFERRAL_REWARD": "reward",
    "YIELD": "reward",
    "DEPOSIT": "deposit",
}


@attrs.frozen
class Payment:
    """`account` rebate | reward | deposit; `amount` 10⁻⁶ dollars; `at_s` the second of its block.

    `evidence` names the row: by its transaction, by its second where it tells none (yet).
    """

    account: str
    amount: int
    at_s: int
    evidence: str


@attrs.frozen
class Position:
    """What the shares of one outcome are worth at the last price, 10⁻⁶ dollars."""

    condition_id: str
    slug: str
    value: int


async def payments(rest: Rest, wallet: str, since_s: int) -> list[Payment] | Failure:
    """All payments to `wallet` since a Unix second, oldest first. `rest` has the Data API's URL.

    A row that cannot be read fails the whole: half a list would leave cash unexplained unnoticed.
    """
    kinds = {"type": ",".join(ACCOUNTS), "exclude_deposits_withdrawals": "false"}
    asked = {"user": wallet, "start": str(since_s), **kinds}
    rows = await _all(rest, "/v2/activity", asked, decode_payment)
    if isinstance(rows, Failure):
        return rows
    named = {row.evidence: row for row in rows}
    return sorted(named.values(), key=lambda row: row.at_s)


async def positions(rest: Rest, wallet: str) -> list[Position] | Failure:
    """What the wallet holds, as the index knows it: seconds late, minutes after a result. For an
    operator to look at; no ledger is kept by it.
    """
    return await _all(rest, "/v2/positions", {"user": wallet}, decode_position)


async def _all(
    rest: Rest, path: str, asked: dict[str, str], decode: Callable[[object], Row | None]
) -> list[Row] | Failure:
    """Every row of every page that is one, in the venue's order."""
    found: list[Row] = []
    cursor: dict[str, str] = {}
    for _ in range(PAGES_MOST):
        past_the_cache = {"_": str(rest.clock.now_ms())}  # it is up to 15 s old
        params = asked | {"limit": "100"} | past_the_cache | cursor
        reply = await rest.call("GET", path, params=params)
        if isinstance(reply, Failure):
            return reply
        if reply.status != 200:
            return reply.failure(f"GET {path}")
        try:
            page = fields.as_object(reply.json())
            after = fields.as_object(page.get("pagination"))
            rows = [decode(row) for row in fields.as_list(page.get("data"))]
            more = after.get("has_more") is True
            cursor = {"cursor": fields.text(after, "next_cursor")} if more else {}
        except ValueError as error:
            return Failure(f"GET {path}: unreadable: {error}")
        found += [row for row in rows if row is not None]
        if not cursor:
            return found
    return Failure(f"GET {path}: more than {PAGES_MOST} pages")


def decode_position(value: object) -> Position:
    """One row of positions."""
    row = fields.as_object(value)
    return Position(
        fields.text(row, "condition_id"),
        fields.optional_text(row, "slug") or fields.text(row, "condition_id"),
        _dollars(row.get("current_value")),
    )


def decode_payment(value: object) -> Payment | None:
    """One row of activity; None for what is no payment, should the filter be ignored.

    A day's payment may be told per market, in one transaction: the market is part of its name.
    """
    row = fields.as_object(value)
    kind = fields.text(row, "type")
    if kind not in ACCOUNTS:
        return None
    at_s = fields.stamp_ms(row.get("timestamp")) // 1000
    amount = _dollars(row.get("usdc_size"))
    named = (kind, fields.optional_text(row, "transaction_hash") or str(at_s))
    market = fields.optional_text(row, "condition_id")
    return Payment(ACCOUNTS[kind], amount, at_s, " ".join((*named, market)).rstrip())


def without_transaction(evidence: str, at_s: int) -> str:
    """The name of the same row where it does not tell its transaction."""
    kind, _, *market = evidence.split(" ")
    return " ".join((kind, str(at_s), *market))


def _dollars(value: object) -> int:
    """A JSON number of dollars. It was whole micro-dollars before it became a float, so what is
    beyond the sixth decimal is the float's own; dust is written with an exponent.
    """
    text = f"{value:.6f}" if isinstance(value, float) else fields.number_text(value)
    return units.parse_amount(text)
