"""Payments and positions as the Data API lists them: whole lists or none, always the same."""

from __future__ import annotations

import httpx
import pytest
from polymarket.models.data.activity import parse_activities
from venue_kit import CONDITION, NOW_MS, WALLET, Handler, answering

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue.data_reads import (
    ACCOUNTS,
    Payment,
    Position,
    decode_payment,
    payments,
    positions,
)
from polybot.venue.rest import Rest

NOW_S = NOW_MS // 1000
HASH = "0x" + "5a" * 32


def row(kind: str = "MAKER_REBATE", dollars: object = 1.4, **changes: object) -> dict[str, object]:
    """A row as the exchange's Data API writes it (feeds.md 11)."""
    return {
        "type": kind, "proxy_wallet": WALLET.address, "condition_id": "", "token_id": "",
        "side": "", "size": 0.0, "price": 0, "timestamp": NOW_S, "title": "", "slug": "",
        "icon": "", "event_slug": "", "outcome": "", "outcome_index": 999, "name": "",
        "pseudonym": "", "bio": "", "profile_image": "", "profile_image_optimized": "",
        "transaction_hash": HASH, "usdc_size": dollars, "is_combo": False,
    } | changes  # fmt: skip


def page(*rows: object, cursor: str | None = None) -> dict[str, object]:
    after = {"has_more": cursor is not None, "next_cursor": cursor}
    return {"data": list(rows), "pagination": after}


def rest(handler: Handler) -> Rest:
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Rest(http, "http://data", Clock(NOW_MS))


async def read(*answers: object) -> list[Payment] | Failure:
    """What a venue that gives these answers in turn tells of payments."""
    left = list(answers)
    return await payments(rest(lambda _: httpx.Response(200, json=left.pop(0))), "0xw", 7)


async def test_every_kind_of_payment_has_its_account() -> None:
    """Rebates, rewards and deposits are told apart; a trade is none of them (feeds.md 11)."""
    kinds = [*ACCOUNTS, "TRADE", "WITHDRAWAL"]
    found = await read(page(*(row(kind) for kind in kinds)))
    assert isinstance(found, list)
    assert [one.account for one in found] == list(ACCOUNTS.values())
    assert found[0] == Payment("rebate", 1_400_000, NOW_S, f"MAKER_REBATE {HASH}")


def test_the_official_client_reads_the_same() -> None:
    """The unified SDK's model of a reward has our amount, second and transaction."""
    (theirs,) = parse_activities([row("REWARD", 2.000001)])
    ours = decode_payment(row("REWARD", 2.000001))
    assert ours is not None
    assert int(getattr(theirs, "amount") * 10**6) == ours.amount == 2_000_001  # noqa: B009
    assert theirs.timestamp.timestamp() == ours.at_s  # type: ignore[union-attr]
    assert ours.evidence == f"REWARD {getattr(theirs, 'transaction_hash')}"  # noqa: B009


async def test_pages_are_followed_and_repeats_are_one() -> None:
    """A row on two pages is one payment, and the oldest comes first (F47)."""
    early = row(timestamp=NOW_S - 60, transaction_hash="0x01")
    found = await read(page(row(), early, cursor="c"), page(row(), row(condition_id=CONDITION)))
    assert isinstance(found, list)
    assert [one.evidence.split()[1] for one in found] == ["0x01", HASH, HASH]


async def test_days_that_are_paid_market_by_market() -> None:
    """Two days of the five-minute and hourly windows of four assets, should each have a row of its
    own: more than ten pages were no answer, and the cash in them unexplained for ever.
    """
    told = [row(condition_id=f"0x{number:064x}") for number in range(2 * 4 * (288 + 24))]
    pages = [told[at : at + 100] for at in range(0, len(told), 100)]
    answers = [page(*rows, cursor="c" if rows is not pages[-1] else None) for rows in pages]

    found = await read(*answers)

    assert isinstance(found, list)
    assert len(found) == len(told)


async def test_what_is_asked() -> None:
    """Our wallet, our kinds, since a second, deposits not left out, and past the cache."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=page())

    assert await payments(rest(handler), "0xw", 7) == []
    asked = dict(seen[0].url.params)
    assert seen[0].url.path == "/v2/activity"
    assert asked.pop("_").isdigit()
    assert asked == {
        "user": "0xw", "type": ",".join(ACCOUNTS), "start": "7", "limit": "100",
        "exclude_deposits_withdrawals": "false",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "amount"),
    [
        (1, 1_000_000),
        (0.1, 100_000),
        (12.3456789, 12_345_679),
        (7.000000000000001, 7_000_000),
        (1e-06, 1),
    ],
)
def test_a_float_of_dollars_is_whole_micro_dollars(number: float, amount: int) -> None:
    """What is beyond the sixth decimal is the float's own (onchain.md: base units of 10⁻⁶)."""
    found = decode_payment(row(dollars=number))
    assert found is not None
    assert found.amount == amount


@pytest.mark.parametrize(
    "answer",
    [
        page(row(dollars=None)), page(row(dollars=-1.0)), page(row(dollars="1.5e3")),
        page(row(dollars="1.0000001x")), page(row(timestamp="yesterday")), page(row(type="")),
        page("x"), {"data": []}, [], {"data": "x", "pagination": {"has_more": False}},
        page(cursor=""),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_fails_the_whole(answer: object) -> None:
    """No payment is skipped: cash would stay unexplained with nobody knowing why."""
    found = await read(answer)
    assert isinstance(found, Failure)


async def test_refusals_and_endless_lists_fail() -> None:
    """A status of its own, and a cursor that never ends (F47)."""
    assert isinstance(await payments(rest(answering({}, 500)), "0xw", 7), Failure)
    looping = await payments(rest(answering(page(row(), cursor="c"))), "0xw", 7)
    assert isinstance(looping, Failure)
    assert "pages" in looping.what


def held(**changes: object) -> dict[str, object]:
    """A row of positions with what is read of it; the others are in the acceptance tests."""
    return {
        "condition_id": CONDITION, "slug": "btc-updown-5m-1", "current_value": 6.25,
        "status": "OPEN",
    } | changes  # fmt: skip


async def test_what_a_wallet_holds() -> None:
    """Markets and their worth, over all pages; one without a slug goes by its condition."""
    left = [page(held(), cursor="c"), page(held(slug="", current_value=1e-06))]
    found = await positions(rest(lambda _: httpx.Response(200, json=left.pop(0))), "0xw")

    assert found == [
        Position(CONDITION, "btc-updown-5m-1", 6_250_000),
        Position(CONDITION, CONDITION, 1),
    ]


@pytest.mark.parametrize(
    "answer",
    [page(held(current_value=None)), page(held(condition_id="")), page("x"), {"data": []}, []],
)
async def test_positions_that_cannot_be_read(answer: object) -> None:
    """All or nothing: who looks must not take half a list for the whole."""
    assert isinstance(await positions(rest(answering(answer)), "0xw"), Failure)
    assert isinstance(await positions(rest(answering({}, 500)), "0xw"), Failure)
