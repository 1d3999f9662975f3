"""The Data API's JSON rows (feeds.md 11; field names and types as the official SDK parses them).

Amounts are JSON numbers of shares and dollars, as this API alone has them, and stamps whole seconds
of the block. Where no source says what a figure is, our reading: `total_size` is what was ever
acquired, `total_cost_usdc` the open cost with the fees, a SELL's fee lowers its realised profit.
"""

from __future__ import annotations

import hashlib

from polybot.exchange.engine import Engine
from polybot.exchange.gamma_objects import event_id, icon, iso
from polybot.exchange.model import Market, Phase
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.wallet_history import Entry, Holding

Row = dict[str, object]

LATE_MS = 60_000, 180_000  # from the resolution to the flag `redeemable` (feeds.md 11)
_NOBODY: Row = {
    "name": "", "pseudonym": "", "bio": "", "profile_image": "", "profile_image_optimized": "",
}  # fmt: skip


def dollars(amount: int) -> float:
    """10⁻⁶ as this API spells it."""
    return amount / UNIT


def redeemable(market: Market, now_ms: int) -> bool:
    """Whether the index has noticed the resolution: one to three minutes after it."""
    if market.phase is not Phase.RESOLVED or market.resolved_ms is None:
        return False
    first, last = LATE_MS
    spread = int(hashlib.sha256(market.slug.encode()).hexdigest()[:8], 16)
    return now_ms >= market.resolved_ms + first + spread % (last - first)


def price(engine: Engine, market: Market, outcome: int, now_ms: int) -> int:
    """The price this API shows, in 10⁻⁶: the payout, the middle, the last trade, or a half."""
    if market.payouts is not None and redeemable(market, now_ms):
        return UNIT * market.payouts[outcome] // sum(market.payouts)
    bid, ask = engine.best(market.tokens[outcome])
    if bid is not None and ask is not None:
        return (bid + ask) * UNIT // (2 * ONE)
    return UNIT // 2


def _about(market: Market) -> Row:
    return {
        "title": market.question,
        "slug": market.slug,
        "icon": icon(market),
        "event_slug": market.slug,
    }


def trade_row(entry: Entry) -> Row:
    """A fill as `/v2/trades` shows it: the price is what was paid a share, not the limit."""
    assert entry.market is not None, "a trade has a market"
    outcome = entry.market.outcome_of(entry.token)
    return {
        "proxy_wallet": entry.wallet,
        "side": entry.side,
        "token_id": entry.token,
        "condition_id": entry.market.condition_id,
        "size": dollars(entry.shares),
        "price": round(entry.cash / entry.shares, 6),
        "timestamp": entry.block_ms // 1000,
        **_about(entry.market),
        "outcome": entry.market.outcomes[outcome],
        "outcome_index": outcome,
        **_NOBODY,
        "transaction_hash": entry.tx_hash,
    }


def activity_row(entry: Entry) -> Row:
    """Anything a wallet did. Of what belongs to no market the market's fields are empty."""
    if entry.kind == "TRADE":
        fields = trade_row(entry)
    else:
        about = (
            _about(entry.market)
            if entry.market
            else dict.fromkeys(("title", "slug", "icon", "event_slug"), "")
        )
        fields = {
            "proxy_wallet": entry.wallet,
            "condition_id": entry.market.condition_id if entry.market else "",
            "token_id": "",
            "side": "",
            "size": dollars(entry.shares),
            "price": 0,
            "timestamp": entry.block_ms // 1000,
            **about,
            "outcome": "",
            "outcome_index": 999,  # "none" on this wire
            **_NOBODY,
            "transaction_hash": entry.tx_hash,
        }
    return {"type": entry.kind, **fields, "usdc_size": dollars(entry.cash), "is_combo": False}


def position_row(wallet: str, holding: Holding, opposite: int, engine: Engine, now_ms: int) -> Row:
    """One wallet's holding of one token; `opposite` is what it has of the other outcome."""
    market, size = holding.market, holding.size
    now = price(engine, market, holding.outcome, now_ms)
    value = size * now // UNIT
    open_profit, seen = value - holding.cost, redeemable(market, now_ms)
    total = holding.realised + open_profit
    status = "CLOSED" if not size else "REDEEMABLE" if seen else "OPEN"
    return {
        "proxy_wallet": wallet,
        "token_id": holding.token,
        "condition_id": market.condition_id,
        "current_size": dollars(size),
        "avg_price": _average(holding),
        "entry_cost_usdc": dollars(holding.cost),
        "entry_fees_usdc": dollars(holding.fees),
        "total_cost_usdc": dollars(holding.cost + holding.fees),
        "current_price": dollars(now),
        "current_value": dollars(value),
        "total_size": dollars(holding.bought),
        "realized_pnl": dollars(holding.realised),
        "unrealized_pnl": dollars(open_profit),
        "total_pnl": dollars(total),
        "percent_pnl": _percent(total, holding.spent),
        "percent_realized_pnl": _percent(holding.realised, holding.spent),
        "status": status,
        "redeemable": seen and bool(size),
        "mergeable": status == "OPEN" and opposite > 0,
        "negative_risk": market.neg_risk,
        "archived": False,
        "verified": False,
        **_about(market),
        "event_id": int(event_id(market)),
        "outcome": market.outcomes[holding.outcome],
        "outcome_index": holding.outcome,
        "opposite_outcome": market.outcomes[1 - holding.outcome],
        "opposite_token_id": market.tokens[1 - holding.outcome],
        "end_date": iso(market.end_ms)[:10],
        "last_event_at": holding.last_ms // 1000,
        "first_entry_at": holding.first_ms // 1000,
        "name": "",
        "profile_image": "",
    }


def _average(holding: Holding) -> float:
    """Of the open shares; of a closed position what was ever paid."""
    if holding.size:
        return round(holding.cost / holding.size, 6)
    return round(holding.spent / holding.bought, 6) if holding.bought else 0.0


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0


def resolution_row(market: Market, proposed_ms: int | None) -> Row:
    """The life of a result. `payouts` are 10⁻⁶ a share; "69" is an unset price (feeds.md 10.2)."""
    twap = market.series.rule == "twap"
    row: Row = {
        "question_id": market.question_id,
        "condition_id": market.condition_id,
        "status": "posed",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "proposed_price": "69",
        "reproposed_price": "69",
        "price": "69",
        "transaction_hash": "",
        "log_index": "",
        "last_update_timestamp": market.listed_ms // 1000,
        "market_type": "BINARY",
        "reporter": "CHAINLINK" if twap else "UMA_OO",
    }
    if market.payouts is not None and market.resolved_ms is not None:
        whole = sum(market.payouts)
        paid = [UNIT * part // whole for part in market.payouts]
        digest = hashlib.sha256(f"{market.slug} resolved".encode()).hexdigest()
        row |= {
            "status": "resolved",
            "price": f"{paid[0] / UNIT:g}",
            "payouts": paid,
            "resolution_source": "reported",
            "transaction_hash": "0x" + digest,
            "resolved_at": iso(market.resolved_ms),
            "last_update_timestamp": market.resolved_ms // 1000,
        }
    elif proposed_ms is not None and not twap:
        row |= {
            "status": "proposed",
            "expected_settlement_time": iso(proposed_ms + 600_000),
            "settlement_time_basis": "liveness",
            "last_update_timestamp": proposed_ms // 1000,
        }
    return row


def holder_row(wallet: str, market: Market, outcome: int, shares: int) -> Row:
    return {
        "proxy_wallet": wallet,
        "token_id": market.tokens[outcome],
        "amount": dollars(shares),
        "outcome_index": outcome,
        "display_username_public": False,
        "verified": False,
        **_NOBODY,
    }


def token_row(market: Market, outcome: int) -> Row:
    """`/v2/tokens`: what a token is."""
    resolved = market.payouts is not None
    v2 = market.version == "v2"
    row: Row = {
        "token_id": market.tokens[outcome],
        "condition_id": market.condition_id,
        "structural_condition_id": None,
        "module": ("neg_risk" if market.neg_risk else "binary") if v2 else "v1_ctf",
        "outcome_index": outcome,
        "clob_index": outcome,
        "outcome": market.outcomes[outcome],
        "opposite_token_id": market.tokens[1 - outcome],
        "resolved": resolved,
        "final_price": None,
        "title": market.question,
        "market_slug": market.slug,
        "closed": market.phase is Phase.RESOLVED,
        "neg_risk": market.neg_risk,
        "neg_risk_market_id": None,
        "question_index": None,
        "event_id": int(event_id(market)),
        "event_slug": market.slug,
    }
    if market.payouts is not None:
        row["final_price"] = market.payouts[outcome] / sum(market.payouts)
    return row
