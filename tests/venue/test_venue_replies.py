"""What the answers to placements and cancels mean: the table of clob.md 3.6, 3.7, 4.1 and 7.3."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, strategies as st

from polybot.domain.orders import Acked, CancelResult, Failure, Reject, Rejected, Unknown
from polybot.venue.replies import decode_cancel, decode_post, reject_of
from polybot.venue.rest import Reply

A, B, C = ("0x" + letter * 64 for letter in "abc")


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def one(value: object, status: int = 200, **headers: str) -> object:
    (result,) = decode_post([A], reply(value, status, **headers), batch=False)
    return result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("invalid post-only order: order crosses book", Reject.POST_ONLY_CROSSES),
        ("order 0x1 crosses the book", Reject.POST_ONLY_CROSSES),
        ("not enough balance / allowance", Reject.NOT_ENOUGH_BALANCE),
        ("the balance is not enough -> balance: 5, order amount: 9", Reject.NOT_ENOUGH_BALANCE),
        ("order 0x is invalid. Price (0.123) breaks minimum tick size rule: 0.01", Reject.TICK),
        ("order 0x is invalid. Size (1) lower than the minimum: 5", Reject.SIZE),
        (
            "invalid amount for a marketable BUY order ($0.65), min size: $1",
            Reject.MARKETABLE_MINIMUM,
        ),
        (
            "invalid amount for a marketable BUY order (0.65), min size: 1",
            Reject.MARKETABLE_MINIMUM,
        ),
        ("invalid expiration", Reject.EXPIRATION),
        (
            "order couldn't be fully filled. FOK orders are fully filled or killed.",
            Reject.NO_MATCH,
        ),
        (
            (
                "no orders found to match with FAK order. FAK orders are partially filled or "
                "killed if no match is found."
            ),
            Reject.NO_MATCH,
        ),
        ("the market is not yet ready to process new orders", Reject.MARKET_CLOSED),
        ("the orderbook 123 does not exist", Reject.MARKET_CLOSED),
        ("invalid signature", Reject.SIGNATURE),
        ("order_version_mismatch", Reject.SIGNATURE),
        ("the order owner has to be the owner of the API KEY", Reject.NOT_AUTHORISED),
        (
            "the order signer address has to be the address of the API KEY",
            Reject.NOT_AUTHORISED,
        ),
        ("'0x1' address banned", Reject.NOT_AUTHORISED),
        ("'0x1' address in closed only mode", Reject.NOT_AUTHORISED),
        (
            "maker address not allowed, please use the deposit wallet flow",
            Reject.NOT_AUTHORISED,
        ),
        ("unauthorized", Reject.NOT_AUTHORISED),
        ("Unauthorized/Invalid api key", Reject.NOT_AUTHORISED),
        ("Invalid API key", Reject.NOT_AUTHORISED),
        ("Rate limit exceeded for tokenId: 1", Reject.RATE_LIMITED),
        ("Trading restricted in your region, see the docs", Reject.GEOBLOCKED),
        (
            "post-only mode: only post-only orders and cancels are allowed",
            Reject.POST_ONLY_MODE,
        ),
        (
            (
                "Trading is currently cancel-only. New orders are not accepted, but cancels are "
                "allowed."
            ),
            Reject.CANCEL_ONLY,
        ),
        (
            "Trading is currently disabled. Check polymarket.com for updates",
            Reject.CANCEL_ONLY,
        ),
        ("trading is disabled", Reject.CANCEL_ONLY),
        ("order canceled in the CTF exchange contract", Reject.OTHER),
        ("something new", Reject.OTHER),
    ],
)
def test_every_refusal_text_has_its_reason(text: str, reason: Reject) -> None:
    """The texts of the reference are typed, on HTTP 400 and inside a 200."""
    assert reject_of(text) is reason
    assert one({"error": text}, 400) == Rejected(A, reason, f"HTTP 400 {text}")
    assert one({"success": True, "errorMsg": text, "orderID": ""}) == Rejected(A, reason, text)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"error": "Invalid order payload"}, Reject.OTHER),
        (401, {"error": "Unauthorized/Invalid api key"}, Reject.NOT_AUTHORISED),
        (401, b"", Reject.NOT_AUTHORISED),
        (403, {"error": "Trading restricted in your region, see"}, Reject.GEOBLOCKED),
        (404, {"error": "the orderbook 1 does not exist"}, Reject.MARKET_CLOSED),
        (425, b"", Reject.RESTARTING),
        (425, {"error": "trading is disabled"}, Reject.RESTARTING),
        (
            503,
            {
                "error": "post-only mode: only post-only orders and cancels are allowed",
                "code": "post_only_mode",
            },
            Reject.POST_ONLY_MODE,
        ),
        (
            503,
            {"error": "Trading is currently cancel-only. New orders are not accepted"},
            Reject.CANCEL_ONLY,
        ),
        (
            503,
            {"error": "Trading is currently disabled. Check polymarket.com for updates"},
            Reject.CANCEL_ONLY,
        ),
        (503, {"error": "trading is disabled"}, Reject.CANCEL_ONLY),
    ],
)
def test_definite_statuses_refuse(status: int, body: object, reason: Reject) -> None:
    """A status that says the order was not taken gives Rejected with its reason."""
    result = one(body, status)

    assert isinstance(result, Rejected)
    assert result.reason is reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": "could not insert order"}),
        (500, {"error": "there are no matching orders"}),
        (502, b"<html>bad gateway</html>"),
        (503, b"<html>no server</html>"),
        (504, b""),
        (400, b"<html>"),
        (400, {"error": "context canceled"}),
        (400, {"error": "order match delayed due to market conditions"}),
        (403, b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"),
        (404, b""),
        (408, b""),
        (408, {"error": "timed out"}),
        (499, b""),
        (499, {"error": "client closed request"}),
        (503, {"error": "try again"}),
        (413, b"<html>"),
        (422, []),
        (429, {"error": "slow down"}),
        (302, b""),
        (200, b"<html>"),
        (200, []),
        (200, {}),
        (200, {"success": True}),
        (200, {"success": True, "orderID": A, "status": ""}),
        (200, {"success": True, "orderID": B, "status": "live"}),
        (200, {"success": True, "orderID": A, "status": "matched", "takingAmount": "many"}),
        (200, {"errorMsg": "order match delayed due to market conditions", "orderID": ""}),
        (200, {"errorMsg": "could not insert order", "orderID": ""}),
        (200, {"errorMsg": "rpc error: context deadline exceeded", "orderID": ""}),
        (200, {"errorMsg": "Internal server error", "orderID": ""}),
        (200, {"errorMsg": "could not insert order: invalid expiration", "orderID": ""}),
        (200, {"errorMsg": "something new", "orderID": A, "status": "live"}),
        (200, {"errorMsg": "something new", "orderID": A, "status": ""}),
        (200, {"errorMsg": f"order {A} crosses the book", "orderID": A, "status": "live"}),
        (200, {"errorMsg": "invalid expiration", "orderID": A, "status": "matched"}),
    ],
)
def test_ambiguous_answers_are_unknown(status: int, body: object) -> None:
    """Where the order may live, the answer is Unknown, never a refusal."""
    assert isinstance(one(body, status), Unknown)


def test_a_duplicate_is_unknown() -> None:
    """'Duplicated' means that the venue holds an order with this id: it must be looked up."""
    result = one({"error": f"order {A} is invalid. Duplicated."}, 400)

    assert isinstance(result, Unknown)


def test_the_signers_limiter_refuses_for_sure() -> None:
    """429 with the signer's headers is a refusal; without them the outcome is open."""
    limited = one({"error": "x"}, 429, poly_ratelimit_remaining="-3")

    assert isinstance(limited, Rejected)
    assert limited.reason is Reject.RATE_LIMITED


@pytest.mark.parametrize("status", ["live", "matched", "delayed", "unmatched"])
def test_accepted_orders_are_acked_with_exact_amounts(status: str) -> None:
    """Amounts are decimal texts in human units, empty for none."""
    row = {
        "success": True,
        "errorMsg": "",
        "orderID": A,
        "status": status,
        "makingAmount": "0.999999",
        "takingAmount": "14.285713",
        "tradeIDs": ["t1"],
    }

    assert one(row) == Acked(A, status, 999_999, 14_285_713, ("t1",))
    assert one(row | {"makingAmount": "", "takingAmount": "0", "tradeIDs": None}) == Acked(
        A, status, 0, 0, ()
    )


def test_a_killed_fok_is_no_match_though_it_has_an_id() -> None:
    """The 200 reply with an order id and the FOK text is a refusal (clob.md 3.6)."""
    result = one(
        {
            "success": True,
            "orderID": A,
            "errorMsg": "order couldn't be fully filled. FOK orders are fully filled or killed.",
        }
    )

    assert isinstance(result, Rejected)
    assert result.reason is Reject.NO_MATCH


def live(order_id: str) -> dict[str, object]:
    return {"success": True, "errorMsg": "", "orderID": order_id, "status": "live"}


def refused(text: str) -> dict[str, object]:
    return {"success": True, "errorMsg": text, "orderID": "", "status": ""}


def kinds(rows: list[object]) -> list[type]:
    return [type(result) for result in decode_post([A, B, C], reply(rows), batch=True)]


def test_batch_entries_go_to_their_orders() -> None:
    """Named entries by id, in any order; unnamed refusals by place while places can be trusted."""
    assert kinds([live(A), live(B), live(C)]) == [Acked, Acked, Acked]
    assert kinds([live(C), live(A), live(B)]) == [Acked, Acked, Acked]
    assert kinds([live(A), refused("invalid expiration"), live(C)]) == [Acked, Rejected, Acked]
    assert kinds([live(A), live(C)]) == [Acked, Unknown, Acked]
    assert kinds([]) == [Unknown, Unknown, Unknown]


def test_an_unnamed_refusal_out_of_place_condemns_nobody() -> None:
    """If entries are out of order or missing, a refusal without an id is nobody's."""
    assert kinds([live(B), refused("invalid expiration"), live(C)]) == [Unknown, Acked, Acked]
    assert kinds([refused("invalid expiration"), live(C)]) == [Unknown, Unknown, Acked]


def test_a_refusal_that_names_its_order_in_the_text_is_that_orders() -> None:
    """The venue quotes the id in most refusal texts: that beats the place."""
    text = f"order {C} is invalid. Size (1) lower than the minimum: 5"

    assert kinds([refused(text), live(A)]) == [Acked, Unknown, Rejected]


def test_a_foreign_order_id_acks_nothing() -> None:
    """An id we did not send leaves the leg in its place unknown."""
    assert kinds([live("0x" + "d" * 64), live(B), live(C)]) == [Unknown, Acked, Acked]


def test_a_failure_leaves_every_leg_unknown() -> None:
    """A transport failure says nothing about any order, and keeps its reason."""
    results = decode_post([A, B], Failure("lost"), batch=True)

    assert results == [Unknown(A, "lost"), Unknown(B, "lost")]


def test_cancel_replies() -> None:
    """The venue's word by id; trouble is told as such and claims nothing."""
    said = decode_cancel(reply({"canceled": [A], "not_canceled": {B: "Order not found"}}))

    assert said == CancelResult(frozenset({A}), {B: "Order not found"})
    for answer in (
        Failure("lost"),
        reply({"error": "Invalid orderID"}, 400),
        reply(b"<html>"),
        reply({"canceled": [7]}),
        reply({"canceled": [], "not_canceled": []}),
    ):
        result = decode_cancel(answer)
        assert not result.cancelled
        assert (result.failure is None) == (
            isinstance(answer, Reply) and b"not_canceled" in answer.body
        )


def test_an_order_that_is_cancelled_and_not_in_one_breath_is_not() -> None:
    """What is not cancelled may have been filled, or rest: it is looked up, not believed away."""
    said = decode_cancel(reply({"canceled": [A, B], "not_canceled": {B: "Order not found"}}))

    assert said == CancelResult(frozenset({A}), {B: "Order not found"})


def test_a_refusal_with_the_status_of_an_answer_cancels_nothing() -> None:
    """What says no with a 200 was taken for a cancel-all that had found nothing: it is the proof on
    which a heart that fell silent beats again. An answer that names nothing is one.
    """
    refused = decode_cancel(reply({"error": "trading is disabled"}))

    assert refused == CancelResult(frozenset(), {}, "refused: trading is disabled")
    empty: list[dict[str, object]] = [{"canceled": None, "not_canceled": None}, {}]
    for nothing in (*empty, {"not_canceled": {}}):
        assert decode_cancel(reply(nothing)).failure is None
    assert decode_cancel(reply({"canceled": [A], "error": "x"})).cancelled == {A}


def test_what_an_answer_says_is_bounded() -> None:
    """It goes to the screen, the log and the journal. What it is about is said at its beginning."""
    text = "invalid signature " + "x" * 1_000_000

    (refused,) = decode_post([A], reply({"error": text}, 400), batch=False)
    (inside,) = decode_post([A], reply({"errorMsg": text, "orderID": ""}), batch=False)
    cancel = decode_cancel(reply({"error": text}, 400))

    for result in (refused, inside):
        assert isinstance(result, Rejected)
        assert result.reason is Reject.SIGNATURE
        assert len(result.text) < 2_000
    assert cancel.failure is not None
    assert len(cancel.failure) < 2_000
    assert len(reply({"error": text}, 500).failure("x").what) < 2_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
    | st.text(max_size=20) | st.sampled_from([A, B, "live", "matched", "1.5"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["orderID", "errorMsg", "status", "makingAmount", "tradeIDs", "error", "canceled",
             "not_canceled"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.integers(200, 599), st.booleans())
def test_no_answer_raises(value: object, status: int, batch: bool) -> None:
    """Whatever comes back, every order gets exactly one result, and only its own id's ack."""
    results = decode_post([A, B], reply(value, status), batch=batch)

    assert [result.order_id for result in results] == [A, B]
    if not 400 <= status < 500 and status not in (200, 503):
        assert all(isinstance(result, Unknown) for result in results)
    decode_cancel(reply(value, status))
