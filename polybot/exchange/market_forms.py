"""The forms in which the CLOB shows a market: short, long and simplified (clob.md 5.2)."""

from __future__ import annotations

from datetime import UTC, datetime

from polybot.exchange.gamma_objects import description, iso, plain_number
from polybot.exchange.model import STANDING, Market, Phase
from polybot.exchange.money import ONE, UNIT

BASE_FEE = 1000  # legacy cap in basis points, never the rate (clob.md 5.2)
REWARDS_MIN_SIZE, REWARDS_MAX_SPREAD = 50, 4.5


def base_fee(market: Market) -> int:
    return BASE_FEE if market.fee_rate_ppm else 0


def short_form(market: Market) -> dict[str, object]:
    """`/clob-markets`: short keys; what is false or free is left out (clob.md 5.2)."""
    reply: dict[str, object] = {
        "c": market.condition_id,
        "v": market.version,
        "t": [{"t": t, "o": o} for t, o in zip(market.tokens, market.outcomes, strict=True)],
        "mos": plain_number(market.min_size, UNIT),
        "mts": market.tick / ONE,
        "mbf": base_fee(market),
        "tbf": base_fee(market),
        "r": {"mi": REWARDS_MIN_SIZE, "ma": REWARDS_MAX_SPREAD, "moas": 30},
        "ao": market.phase is Phase.OPEN,
        "aot": iso(market.listed_ms),  # as Gamma's `acceptingOrdersTimestamp`
    }
    if market.fee_rate_ppm:
        rate = market.fee_rate_ppm / UNIT
        reply["fd"] = {"r": rate, "e": market.fee_exponent, "to": True}
    if market.taker_delay_ms:
        reply["itode"] = True
    if market.neg_risk:
        reply["nr"] = True
    return reply


def long_form(market: Market) -> dict[str, object]:
    """`/markets`, which no page documents: it was seen stale after a tick change, while all else
    followed (clob.md 3.8).
    """
    return {
        "enable_order_book": True,
        "active": True,
        "closed": market.phase is Phase.RESOLVED,
        "archived": False,
        "accepting_orders": market.phase is Phase.OPEN,
        "minimum_order_size": plain_number(market.min_size, UNIT),
        "minimum_tick_size": market.listed_tick / ONE,
        "condition_id": market.condition_id,
        "question_id": market.question_id,
        "question": market.question,
        "description": description(market),
        "market_slug": market.slug,
        "end_date_iso": datetime.fromtimestamp(market.end_ms // 1000, UTC).isoformat(),
        "seconds_delay": market.seconds_delay,
        "maker_base_fee": base_fee(market),
        "taker_base_fee": base_fee(market),
        "neg_risk": market.neg_risk,
        "rewards": _rewards(),
        "tokens": _tokens(market),
        "tags": [] if market.series is STANDING else ["Crypto"],
    }


def _tokens(market: Market) -> list[dict[str, object]]:
    resolved = market.phase is Phase.RESOLVED
    return [
        {
            "token_id": token,
            "outcome": label,
            "price": 0.5 if market.winner is None else float(market.winner == outcome),
            "winner": resolved and market.winner == outcome,
        }
        for outcome, (token, label) in enumerate(zip(market.tokens, market.outcomes, strict=True))
    ]


def _rewards() -> dict[str, object]:
    return {"rates": None, "min_size": REWARDS_MIN_SIZE, "max_spread": REWARDS_MAX_SPREAD}


def simplified_form(market: Market) -> dict[str, object]:
    return {
        "condition_id": market.condition_id,
        "rewards": _rewards(),
        "tokens": _tokens(market),
        "active": True,
        "closed": market.phase is Phase.RESOLVED,
        "archived": False,
        "accepting_orders": market.phase is Phase.OPEN,
    }
