"""How the venue may be otherwise than we believe: half of all seeds trade on one that is.

Much of its conduct no source settles, and some has changed before: each such question is a field of
`exchange.terms.Terms`, with what is known of it. A bot must be right whatever the answers are, so
each seed gives some of them another one. Left out are those that forbid a start.
"""

from __future__ import annotations

import random
from typing import Any

import attrs

from polybot.exchange.signer_limits import TIERS
from polybot.exchange.terms import Terms

Term = tuple[str, Any]  # field, value

MOST = 8  # answers that are others, in one seed
ANSWERS: dict[str, tuple[Any, ...]] = {
    "protocol": ("v2", "mixed"),
    "taker_delay_ms": (0, 1_000),
    "killed_fok_is_200": (True,),
    "unmatched_is_told": (True,),
    "tick_fine_at": (9_100,),
    "close_at_end": (True,),
    "close_invalidates": (True,),
    "hydration_ms": (5_000,),
    "gamma_gaps": (False,),
    "balance_lag_ms": (0, 10_000),
    "data_caches": (False,),
    "post_only_s": (10, 300),
    "restart_retry_after_s": (5,),
    "orders_survive_restart": (False,),
    "foreign_markets_per_hour": (0, 3_600),
    "both_outcomes": (False,),
    "fill_lag_ms": (100, 600),
    "prices_auth_s": (15, 120),
    "rtds_stalls": (False,),
    "binance_life_s": (20, 600),
    "signer_limits_enforced": (False,),
    "signer_tier": tuple(TIERS),
    "orders_per_token_per_s": (2,),
    "timestamp_tolerance_s": (5,),
    "ip_limits": (False,),
    "ip_delay_ms": (0, 20_000),
    "maker_rebate_percent": (0, 25),
    "rewards_daily_pool": (500, 20_000),
    "rewards_min_size": (5,),
    "rewards_min_age_s": (1,),
    "block_ms": (500, 12_000),
    "relayer_mined_most_ms": (40_000,),
    "relayer_confirmed_most_ms": (90_000,),
    "relayer_submits_per_minute": (2,),
    "relayer_submits_per_day": (5,),
}


def draw_terms(rng: random.Random) -> tuple[Term, ...]:
    """None for every second seed."""
    if rng.random() < 0.5:
        return ()
    chosen = rng.sample(sorted(ANSWERS), rng.randint(1, MOST))
    return tuple((field, rng.choice(ANSWERS[field])) for field in chosen)


def terms_of(answers: tuple[Term, ...]) -> Terms:
    return attrs.evolve(Terms(), **dict(answers))


def terms_text(answers: tuple[Term, ...]) -> str:
    return ", ".join(f"{field} {value}" for field, value in answers) or "as we believe"
