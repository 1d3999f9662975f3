"""What the venue refuses, in the venue's words and in its order (clob.md 3.4, 3.6, 3.8 and 10).

Each function returns the error text, or None when it has nothing against the order.
"""

from __future__ import annotations

from polybot.exchange.accounts import Accounts
from polybot.exchange.fees import taker_fee
from polybot.exchange.matching import LOT
from polybot.exchange.model import BUY, Kind, Market, Order, Phase
from polybot.exchange.money import ONE, UNIT, decimal_text

GTD_NOTICE_MS = 180_000  # a GTD order states an expiration at least this far ahead …
GTD_EARLY_MS = 60_000  # … and dies this long before it
CENT = 10_000  # 10⁻⁶ pUSD

NO_BALANCE = "not enough balance / allowance"
NOT_READY = "the market is not yet ready to process new orders"
POST_ONLY_CROSSES = "invalid post-only order: order crosses book"
POST_ONLY_KIND = "invalid post-only order: only GTC and GTD orders can be post-only"
FOK_KILLED = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
NOT_CANCELABLE = "order can't be found - already canceled or matched"
DELAYED = "order is delayed and can't be canceled until it is matched or booked"

# Decimals that the share side of a market BUY may have (clob.md 3.4, "amount decimals").
AMOUNT_DECIMALS = {1000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}
TICKS = tuple(AMOUNT_DECIMALS)


def is_market_kind(order: Order) -> bool:
    """FOK and FAK: orders that never rest."""
    return order.kind is Kind.FOK or order.kind is Kind.FAK


def notional(order: Order) -> int:
    """What the whole order gives at its limit: pUSD for a BUY (rounded up), shares for a SELL."""
    if order.side != BUY:
        return order.size
    return order.dollars if order.dollars is not None else -(-order.price * order.size // ONE)


def needed(order: Order, *, marketable: bool) -> int:
    """What must be free to accept the order, and what a held one reserves.

    A marketable BUY needs its fee on top, reckoned at the limit: cost plus fee of a share only
    falls as the price improves. A SELL pays its fee out of the proceeds.
    """
    amount = notional(order)
    if not marketable or order.side != BUY:
        return amount
    shares = order.size if order.dollars is None else order.dollars * ONE // order.price
    return amount + taker_fee(order.market, shares, order.price)


def market_refusal(market: Market, token: str) -> str | None:
    """Trading is possible in OPEN only."""
    if market.phase is Phase.OPEN:
        return None
    return NOT_READY if market.phase is Phase.LISTED else f"the orderbook {token} does not exist"


def tick_refusal(order: Order) -> str | None:
    tick = order.market.tick
    if tick <= order.price <= ONE - tick and order.price % tick == 0:
        return None
    price, rule = decimal_text(order.price, ONE), decimal_text(tick, ONE)
    return f"order {order.id} is invalid. Price ({price}) breaks minimum tick size rule: {rule}"


def size_refusal(order: Order) -> str | None:
    if order.size < order.market.min_size:
        size, least = decimal_text(order.size, UNIT), decimal_text(order.market.min_size, UNIT)
        return f"order {order.id} is invalid. Size ({size}) lower than the minimum: {least}"
    if order.dollars is not None:
        return _market_buy_refusal(order, order.dollars)
    if order.size % LOT:
        text = decimal_text(order.size, UNIT)
        places = len(text.partition(".")[2])
        return f"Size {text} has {places} decimal places. Maximum lot size is 2"
    return None


def _market_buy_refusal(order: Order, dollars: int) -> str | None:
    places = AMOUNT_DECIMALS[order.market.tick]
    if dollars % CENT == 0 and order.size % 10 ** (6 - places) == 0:
        return None
    return (
        "the market buy orders maker amount supports a max accuracy of 2 decimals, "
        f"taker amount a max of {places} decimals"
    )


def dollar_refusal(order: Order) -> str | None:
    """A BUY that would trade at once is worth a dollar at least; call for marketable ones."""
    if order.side != BUY or notional(order) >= UNIT:
        return None
    amount = decimal_text(notional(order), UNIT)
    return f"invalid amount for a marketable BUY order (${amount}), min size: $1"


def term_refusal(order: Order, now_ms: int) -> str | None:
    """Time in force: expiration belongs to GTD only, post-only to what can rest."""
    if order.kind is Kind.GTD:
        if order.expiration_s * 1000 < now_ms + GTD_NOTICE_MS:
            return "invalid expiration"
    elif order.expiration_s:
        return "invalid expiration"
    return POST_ONLY_KIND if order.post_only and is_market_kind(order) else None


def balance_refusal(
    order: Order, accounts: Accounts, known: int, incoming: int, *, marketable: bool
) -> str | None:
    """`known` is the balance that the venue has read from the chain, `incoming` what trades that no
    block holds yet bring, which pays for nothing.

    Clients found the rule by the figures of hundreds of refusals: balance ≥ active orders + matched
    orders + this one's amount, matched being what trades have spent that no block holds yet
    (rs-clob-client-v2 issue 36, of May 2026). Those figures are in the text, which has changed its
    form several times since: ours is one of those seen from May to October 2026.
    """
    amount = needed(order, marketable=marketable)
    active = accounts.active(order)
    matched = max(0, known - (accounts.booked(order) - incoming))
    if known < active + matched + amount:
        figures = _figures(active, matched, amount)
        return f"{NO_BALANCE}: the balance is not enough -> balance: {known}, {figures}"
    allowance = accounts.allowance(order)
    if allowance is None:
        return None
    spender, allowed, used = allowance
    if allowed < used + amount:
        figures = f"spender: {spender}, allowance: {allowed}, {_figures(used, 0, amount)}"
        return f"{NO_BALANCE}: the allowance is not enough -> {figures}"
    return None


def _figures(active: int, matched: int, amount: int) -> str:
    sums = (("active", active), ("matched", matched))
    told = "".join(f"sum of {name} orders: {value}, " for name, value in sums if value)
    return f"{told}order amount (inc. fees): {amount}"
