"""What the Data API tells of dollars that came from outside trading: payments of the venue's
programs, and deposits (feeds.md 11).

Each row is a payment that was made, with its second and its transaction. The CLOB's own reads,
`/rebates/current` and `/rewards/user` (clob.md 5), tell what a day has *earned*: paid or not, below
the minimum or not. They are no evidence for a ledger, and were left out.
"""

from __future__ import annotations

import attrs

from polybot.domain import units
from polybot.domain.orders import Failure
from polybot.venue import fields
from polybot.venue.rest import Rest

PAGES_MOST = 10  # of a hundred rows each; a day pays a handful
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

    `evidence` names the row and is the same whenever it is read.
    """

    account: str
    amount: int
    at_s: int
    evidence: str


async def payments(rest: Rest, wallet: str, since_s: int) -> list[Payment] | Failure:
    """All payments to `wallet` since a Unix second, oldest first. `rest` has the Data API's URL.

    A row that cannot be read fails the whole: half a list would leave cash unexplained unnoticed.
    """
    found: dict[str, Payment] = {}
    cursor = ""
    for _ in range(PAGES_MOST):
        params = {
            "user": wallet,
            "type": ",".join(ACCOUNTS),
            "start": str(since_s),
            "limit": "100",
            "exclude_deposits_withdrawals": "false",
            "_": str(rest.clock.now_ms()),  # past the cache, which is up to 15 s old
        }
        reply = await rest.call(
            "GET", "/v2/activity", params=params | ({"cursor": cursor} if cursor else {})
        )
        if isinstance(reply, Failure):
            return reply
        if reply.status != 200:
            return reply.failure("GET /v2/activity")
        try:
            rows, cursor = _page(reply.json())
        except ValueError as error:
            return Failure(f"GET /v2/activity: unreadable: {error}")
        found |= {row.evidence: row for row in rows}
        if not cursor:
            return sorted(found.values(), key=lambda row: row.at_s)
    return Failure(f"GET /v2/activity: more than {PAGES_MOST} pages")


def _page(value: object) -> tuple[list[Payment], str]:
    """The rows of a page, and the cursor of the next; empty at the end."""
    page = fields.as_object(value)
    after = fields.as_object(page.get("pagination"))
    rows = [decode_payment(row) for row in fields.as_list(page.get("data"))]
    more = after.get("has_more") is True
    return [row for row in rows if row is not None], (
        fields.text(after, "next_cursor") if more else ""
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


def _dollars(value: object) -> int:
    """A JSON number of dollars. It was whole micro-dollars before it became a float, so what is
    beyond the sixth decimal is the float's own; dust is written with an exponent.
    """
    text = f"{value:.6f}" if isinstance(value, float) else fields.number_text(value)
    return units.parse_amount(text)
