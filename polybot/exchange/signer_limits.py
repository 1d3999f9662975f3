"""Per-signer rate limits: two token buckets for each address behind an API key (clob.md 7.2).

They count orders, not requests, and all of a signer's keys share them. Clob.md calls the key the
maker wallet; the venue's own page says that the buckets belong to the signer, and that only the
tier comes from the volume of the maker wallets. That is what we do.

Exact integers: a level is in thousandths of a token, so that tokens per second times milliseconds
is one. Pure; time is passed in.
"""

from __future__ import annotations

import enum

import attrs

from polybot.exchange.money import decimal_text
from polybot.exchange.request import Headers

TOKEN = 1_000  # thousandths


class Bucket(enum.Enum):
    """What a request draws from; the one never touches the other."""

    ORDERS = "orders"
    CANCELS = "cancels"


@attrs.frozen
class Tier:
    """Tokens per second and capacity of both buckets; whether cancels may run into debt."""

    name: str
    volume_usd: int  # least 30-day volume
    order_rate: int
    order_burst: int
    cancel_rate: int
    cancel_burst: int
    debt: bool

    def rate(self, bucket: Bucket) -> int:
        return self.order_rate if bucket is Bucket.ORDERS else self.cancel_rate

    def burst(self, bucket: Bucket) -> int:
        return self.order_burst if bucket is Bucket.ORDERS else self.cancel_burst


# clob.md 7.2, unchanged since 2026-07-24.
TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier("standard", 0, 40, 60, 80, 120, True),
        Tier("copper", 30_000, 60, 90, 120, 180, True),
        Tier("bronze", 50_000, 80, 120, 160, 240, True),
        Tier("silver", 100_000, 200, 300, 400, 600, True),
        Tier("gold", 500_000, 400, 600, 800, 1_200, True),
        Tier("platinum", 2_500_000, 450, 675, 900, 1_350, False),
        Tier("diamond", 5_000_000, 525, 787, 1_050, 1_575, False),
        Tier("elite", 10_000_000, 600, 900, 1_200, 1_800, False),
    )
}


def tier_of_volume(usd: int) -> Tier:
    """The highest tier that a 30-day volume reaches."""
    return max((t for t in TIERS.values() if t.volume_usd <= usd), key=lambda t: t.volume_usd)


@attrs.frozen
class Verdict:
    """What the limiter says of one request.

    `level` is what the bucket holds afterwards, in thousandths of a token. `wait_ms` is how long
    until a refused request could pass: 0 for an admitted one, None when its cost exceeds the
    bucket's capacity and no waiting helps.
    """

    admitted: bool
    bucket: Bucket
    tier: str
    level: int
    wait_ms: int | None = 0
    warning: bool = False  # refused, were the limits enforced

    def headers(self, now_ms: int) -> Headers:
        """`Poly-RateLimit-*`, and `Retry-After` with a refusal that waiting can heal.

        The reset is no refill: for an admitted request it is the present moment.
        """
        reset_s = -(-(now_ms + (self.wait_ms or 0)) // 1000)
        headers = [
            ("poly-ratelimit-remaining", decimal_text(self.level, TOKEN)),
            ("poly-ratelimit-reset", str(reset_s)),
            ("poly-ratelimit-tier", self.tier),
        ]
        if self.warning:
            headers.append(("poly-ratelimit-warning", "true"))
        if not self.admitted and self.wait_ms is not None:
            headers.append(("retry-after", str(max(1, -(-self.wait_ms // 1000)))))
        return tuple(headers)


@attrs.define
class _Level:
    """One bucket's content as of a moment."""

    amount: int
    at_ms: int

    def refill(self, rate: int, burst: int, now_ms: int) -> None:
        passed_ms = max(0, now_ms - self.at_ms)
        self.amount = min(burst * TOKEN, self.amount + rate * passed_ms)
        self.at_ms += passed_ms


class SignerLimits:
    """The buckets of all signers, full at first sight. With `enforced` off it only warns."""

    def __init__(self, *, enforced: bool = True) -> None:
        self._enforced = enforced
        self._levels: dict[tuple[str, Bucket], _Level] = {}

    def admit(self, signer: str, bucket: Bucket, cost: int, tier: Tier, now_ms: int) -> Verdict:
        """Take `cost` tokens, all of them or none.

        In warning mode what would be refused passes and takes nothing: the page says no more than
        that it is processed, and a debt nobody enforces would make every later warning wrong.
        """
        level = self._refilled(signer, bucket, tier, now_ms)
        missing = cost * TOKEN - level.amount
        if missing <= 0:
            level.amount -= cost * TOKEN
            return Verdict(True, bucket, tier.name, level.amount)
        wait_ms = None if cost > tier.burst(bucket) else -(-missing // tier.rate(bucket))
        return Verdict(
            not self._enforced, bucket, tier.name, level.amount, wait_ms, not self._enforced
        )

    def debit(self, signer: str, bucket: Bucket, cost: int, tier: Tier, now_ms: int) -> Verdict:
        """Take tokens for what has already happened. A tier without debt stops at zero."""
        level = self._refilled(signer, bucket, tier, now_ms)
        level.amount -= cost * TOKEN
        if not tier.debt:
            level.amount = max(level.amount, 0)
        return Verdict(True, bucket, tier.name, level.amount)

    def _refilled(self, signer: str, bucket: Bucket, tier: Tier, now_ms: int) -> _Level:
        """The bucket as of now. Another tier than last time only changes what it can hold."""
        rate, burst = tier.rate(bucket), tier.burst(bucket)
        level = self._levels.get((signer, bucket))
        if level is None:
            level = self._levels[signer, bucket] = _Level(burst * TOKEN, now_ms)
        level.refill(rate, burst, now_ms)
        return level
