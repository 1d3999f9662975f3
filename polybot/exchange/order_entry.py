"""From the JSON of a signed order to the engine's `Order`, or the venue's refusal.

Source: clob.md 3.1–3.6 and 10. Checks here, in this order: shape, owner, signer, wallet, signature
under the market's own exchange, price exact on 10⁻⁴. Ticks, sizes, balances, the rest are the
engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import attrs

from polybot.exchange import eip712, order_signatures
from polybot.exchange.auth import ApiKey
from polybot.exchange.eip712 import OrderFields
from polybot.exchange.model import BUY, SELL, Kind, Market, Order, Refused
from polybot.exchange.money import ONE, decimal_text
from polybot.exchange.order_shape import Entry, is_v1, read_entry
from polybot.exchange.order_signatures import Domains
from polybot.exchange.restrictions import Restrictions
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import WalletKind

BAD_PAYLOAD = "Invalid order payload"
WRONG_OWNER = "the order owner has to be the owner of the API KEY"
WRONG_SIGNER = "the order signer address has to be the address of the API KEY"
OLD_WALLET = "maker address not allowed, please use the deposit wallet flow"


@attrs.frozen
class OrderReader:
    """Reads and verifies orders for one engine. `by_token` is the engine's own mapping."""

    by_token: Mapping[str, Market]
    sessions: SessionSigners
    restrictions: Restrictions
    terms: Terms = Terms()

    def read(self, payload: object, key: ApiKey, now_ms: int) -> Order | Refused:
        """The order one entry stands for; its account is the maker's wallet."""
        entry = read_entry(payload)
        if entry is None:
            wrong = order_signatures.WRONG_VERSION if is_v1(payload) else BAD_PAYLOAD
            return Refused(wrong)
        if entry.owner != key.key:
            return Refused(WRONG_OWNER)
        fields = entry.fields
        session = self._by_session(fields, key, now_ms)
        if not session and not _signs_for(fields, key):
            return Refused(WRONG_SIGNER)
        if self.terms.deposit_wallets_only and fields.signature_type != WalletKind.DEPOSIT:
            return Refused(OLD_WALLET)
        market = self.by_token.get(entry.token)
        if market is None:
            return Refused(f"the orderbook {entry.token} does not exist")
        domains = Domains.of(market.version, neg_risk=market.neg_risk)
        error = _signature_refusal(entry, key, domains, session=session)
        if error is not None:
            return Refused(error)
        order_id = "0x" + eip712.order_digest(fields, domains.right).hex()
        order = _to_order(entry, market, order_id, now_ms)
        if isinstance(order, Refused):
            return order
        return self.restrictions.refusal(order, key.address) or order

    def _by_session(self, fields: OrderFields, key: ApiKey, now_ms: int) -> bool:
        """Whether the key is one that the maker, a deposit wallet, has let sign for it."""
        if fields.signature_type != WalletKind.DEPOSIT or fields.signer != fields.maker:
            return False
        return self.sessions.allowed(fields.maker, key.address, now_ms // 1000)


def _signs_for(fields: OrderFields, key: ApiKey) -> bool:
    """The signer rule: the key's EOA, but a deposit wallet of it signs for itself."""
    if fields.signature_type != WalletKind.DEPOSIT:
        return fields.signer == key.address
    return fields.signer == fields.maker and order_signatures.owns(key.address, fields)


def _signature_refusal(entry: Entry, key: ApiKey, domains: Domains, *, session: bool) -> str | None:
    """The contract believes a maker only with its own signature, whatever the API key says."""
    if not session and not order_signatures.owns(key.address, entry.fields):
        return order_signatures.BAD_SIGNATURE
    return order_signatures.refusal(
        entry.fields, entry.signature, key.address, domains, session=session
    )


def _to_order(entry: Entry, market: Market, order_id: str, now_ms: int) -> Order | Refused:
    fields = entry.fields
    side = SELL if fields.side else BUY
    money, shares = fields.maker_amount, fields.taker_amount
    if side == SELL:
        money, shares = shares, money
    market_type = entry.kind in (Kind.FOK, Kind.FAK)
    if market_type:
        price = implied_limit(side, money, shares, market.tick)
    elif money * ONE % shares:
        return _off_grid(order_id, money, shares, market.tick)
    else:
        price = money * ONE // shares
    return Order(
        id=order_id,
        owner=entry.owner,
        account=fields.maker,
        market=market,
        token=entry.token,
        side=side,
        price=price,
        size=shares,
        kind=entry.kind,
        post_only=entry.post_only,
        expiration_s=entry.expiration_s,
        created_ms=now_ms,
        dollars=money if market_type and side == BUY else None,
    )


def implied_limit(side: str, money: int, shares: int, tick: int) -> int:
    """The worst price a market-type order allows: its ratio, on the grid, in the signer's favour.

    $10 for 19.2307 shares is signed for a limit of 0.52 (clob.md 3.4): the clients round the share
    side, so the ratio itself is seldom on the grid.
    """
    if side == BUY:
        return money * ONE // shares // tick * tick
    return -(-money * ONE // (shares * tick)) * tick


def _off_grid(order_id: str, money: int, shares: int, tick: int) -> Refused:
    price = round(Decimal(money) / shares, 6).normalize()
    rule = decimal_text(tick, ONE)
    text = f"order {order_id} is invalid. Price ({price:f}) breaks minimum tick size rule: {rule}"
    return Refused(text, order_id)
