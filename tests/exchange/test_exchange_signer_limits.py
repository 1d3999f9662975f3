"""The token buckets themselves (clob.md 7.2)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from polybot.exchange.signer_limits import (
    TIERS,
    TOKEN,
    Bucket,
    SignerLimits,
    Verdict,
    tier_of_volume,
)
from polybot.exchange.token_limits import MAX_KNOWN, TokenLimits

T0 = 1_795_132_800_000
STANDARD, ELITE = TIERS["standard"], TIERS["elite"]
SPANS = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 150)), max_size=60)


def headers(verdict: Verdict, now_ms: int = T0) -> dict[str, str]:
    return dict(verdict.headers(now_ms))


def test_the_table_grows_with_volume() -> None:
    """Every tier allows more than the one below, in both buckets (clob.md 7.2)."""
    figures = [(t.volume_usd, t.order_rate, t.order_burst, t.cancel_rate, t.cancel_burst)
               for t in TIERS.values()]  # fmt: skip
    assert figures == sorted(figures)
    assert all(t.cancel_rate == 2 * t.order_rate for t in TIERS.values())
    assert [name for name, t in TIERS.items() if not t.debt] == ["platinum", "diamond", "elite"]


@pytest.mark.parametrize(
    ("usd", "name"),
    [(0, "standard"), (29_999, "standard"), (30_000, "copper"), (10**9, "elite")],
)
def test_volume_earns_a_tier(usd: int, name: str) -> None:
    """Reached is reached (clob.md 7.2)."""
    assert tier_of_volume(usd).name == name


@pytest.mark.conforms("clob-7.2-buckets")
def test_a_full_bucket_is_spent_at_once_and_refills_steadily() -> None:
    """Standard: 60 orders in one instant, then one each 25 ms (clob.md 7.2)."""
    limits = SignerLimits()
    for left in range(59, -1, -1):
        verdict = limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0)
        assert (verdict.admitted, verdict.level) == (True, left * TOKEN)
    refused = limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0)
    assert (refused.admitted, refused.wait_ms) == (False, 25)
    assert not limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0 + 24).admitted
    assert limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0 + 25).admitted
    assert limits.admit("a", Bucket.ORDERS, 60, STANDARD, T0 + 10_000).level == 0, "no more"


def test_signers_and_buckets_are_apart() -> None:
    """Orders never use up cancels, nor one signer another's (clob.md 7.2)."""
    limits = SignerLimits()
    assert limits.admit("a", Bucket.ORDERS, 60, STANDARD, T0).level == 0
    assert limits.admit("a", Bucket.CANCELS, 120, STANDARD, T0).level == 0
    assert limits.admit("b", Bucket.ORDERS, 60, STANDARD, T0).level == 0


@pytest.mark.conforms("clob-7.2-all-or-nothing")
def test_a_batch_passes_whole_or_not_at_all() -> None:
    """A refused batch takes nothing; one larger than the bucket never passes (clob.md 7.2)."""
    limits = SignerLimits()
    limits.admit("a", Bucket.ORDERS, 50, STANDARD, T0)
    refused = limits.admit("a", Bucket.ORDERS, 15, STANDARD, T0)
    assert (refused.admitted, refused.level, refused.wait_ms) == (False, 10 * TOKEN, 125)
    hopeless = limits.admit("a", Bucket.ORDERS, 61, STANDARD, T0 + 3_600_000)
    assert (hopeless.admitted, hopeless.wait_ms) == (False, None)
    assert "retry-after" not in headers(hopeless)


@pytest.mark.conforms("clob-7.2-debt")
def test_a_mass_cancel_may_run_into_debt() -> None:
    """Standard to Gold: later cancels wait until it is paid back (clob.md 7.2)."""
    limits = SignerLimits()
    limits.admit("a", Bucket.CANCELS, 1, STANDARD, T0)
    paid = limits.debit("a", Bucket.CANCELS, 200, STANDARD, T0)
    assert paid.level == -81 * TOKEN
    refused = limits.admit("a", Bucket.CANCELS, 1, STANDARD, T0)
    assert (refused.admitted, refused.wait_ms) == (False, 1_025)
    assert limits.admit("a", Bucket.CANCELS, 1, STANDARD, T0 + 1_025).admitted


@pytest.mark.conforms("clob-7.2-debt")
def test_the_highest_tiers_never_owe() -> None:
    """Their balance stops at zero, however many orders were cancelled (clob.md 7.2)."""
    limits = SignerLimits()
    assert limits.debit("a", Bucket.CANCELS, 5_000, ELITE, T0).level == 0


@pytest.mark.conforms("clob-7.2-warning")
def test_warning_mode_lets_everything_pass_and_says_so() -> None:
    """What would have been refused is marked and costs nothing (clob.md 7.2)."""
    limits = SignerLimits(enforced=False)
    fine = limits.admit("a", Bucket.ORDERS, 60, STANDARD, T0)
    assert "poly-ratelimit-warning" not in headers(fine)
    warned = limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0)
    assert (warned.admitted, warned.level) == (True, 0)
    assert headers(warned)["poly-ratelimit-warning"] == "true"
    assert "retry-after" not in headers(warned)


def test_headers_of_an_admitted_and_of_a_refused_request() -> None:
    """Remaining may have a fraction; the reset of an admitted request is now (clob.md 7.2)."""
    limits = SignerLimits()
    limits.admit("a", Bucket.ORDERS, 2, STANDARD, T0)
    later = limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0 + 30)
    assert headers(later, T0 + 30) == {
        "poly-ratelimit-remaining": "58.2",
        "poly-ratelimit-reset": str(T0 // 1000 + 1),
        "poly-ratelimit-tier": "standard",
    }
    limits.debit("a", Bucket.CANCELS, 320, STANDARD, T0)
    refused = limits.admit("a", Bucket.CANCELS, 1, STANDARD, T0)
    assert headers(refused) == {
        "poly-ratelimit-remaining": "-200",
        "poly-ratelimit-reset": str(T0 // 1000 + 3),
        "poly-ratelimit-tier": "standard",
        "retry-after": "3",
    }


def test_a_new_tier_keeps_what_is_there() -> None:
    """A promotion adds capacity, not tokens; a demotion cuts what no longer fits."""
    limits = SignerLimits()
    limits.admit("a", Bucket.ORDERS, 60, STANDARD, T0)
    assert not limits.admit("a", Bucket.ORDERS, 1, ELITE, T0).admitted
    assert limits.admit("a", Bucket.ORDERS, 1, ELITE, T0 + 10_000).level == 899 * TOKEN
    assert limits.admit("a", Bucket.ORDERS, 1, STANDARD, T0 + 10_000).level == 59 * TOKEN


@given(SPANS)
def test_no_window_ever_takes_more_than_burst_and_refill(steps: list[tuple[int, int]]) -> None:
    """The property a bucket exists for, exact to the thousandth (clob.md 7.2)."""
    limits, now, taken = SignerLimits(), T0, [(T0, 0)]
    for gap, cost in steps:
        now += gap
        if limits.admit("a", Bucket.CANCELS, cost, STANDARD, now).admitted:
            taken.append((now, cost))
    for first in range(len(taken)):
        spent = 0
        for moment, cost in taken[first:]:
            spent += cost
            assert spent * TOKEN <= 120 * TOKEN + 80 * (moment - taken[first][0])


@given(SPANS, st.booleans())
def test_it_is_the_textbook_bucket(steps: list[tuple[int, int]], debits: bool) -> None:
    """Against a model in exact fractions, debits included."""
    limits, now, level = SignerLimits(), T0, Fraction(120)
    for turn, (gap, cost) in enumerate(steps):
        now += gap
        level = min(Fraction(120), level + Fraction(80 * gap, 1000))
        if debits and turn % 3 == 0:
            level -= cost
            verdict = limits.debit("a", Bucket.CANCELS, cost, STANDARD, now)
        else:
            verdict = limits.admit("a", Bucket.CANCELS, cost, STANDARD, now)
            assert verdict.admitted == (level >= cost)
            level -= cost if verdict.admitted else 0
        assert Fraction(verdict.level, TOKEN) == level


@given(SPANS)
def test_whoever_waits_as_told_passes(steps: list[tuple[int, int]]) -> None:
    """The wait of a refusal is enough, and one millisecond less is not (clob.md 7.2)."""
    for gap, cost in steps:
        limits = SignerLimits()
        limits.debit("a", Bucket.CANCELS, gap, STANDARD, T0)
        refused = limits.admit("a", Bucket.CANCELS, cost, STANDARD, T0)
        if refused.wait_ms:
            early, due = T0 + refused.wait_ms - 1, T0 + refused.wait_ms
            assert not limits.admit("a", Bucket.CANCELS, cost, STANDARD, early).admitted
            assert limits.admit("a", Bucket.CANCELS, cost, STANDARD, due).admitted


# --- per token ---------------------------------------------------------------------------


def test_a_token_has_a_limit_only_if_the_terms_say_so() -> None:
    """The venue documents the text, no figure (clob.md 3.6)."""
    free = TokenLimits(0)
    assert all(free.refusal("a", "1", T0) is None for _ in range(1_000))
    tight = TokenLimits(2)
    answers = [tight.refusal("a", "1", T0) for _ in range(3)]
    assert answers == [None, None, "Rate limit exceeded for tokenId: 1"]
    assert tight.refusal("a", "2", T0) is None
    assert tight.refusal("b", "1", T0) is None
    assert tight.refusal("a", "1", T0 + 499) is not None
    assert tight.refusal("a", "1", T0 + 500) is None


def test_invented_tokens_do_not_fill_the_memory() -> None:
    """A client that names a new token each time is forgotten in the order of use."""
    tight = TokenLimits(1)
    for token in range(3 * MAX_KNOWN):
        tight.refusal("a", str(token), T0)
    assert len(tight._levels) == MAX_KNOWN
