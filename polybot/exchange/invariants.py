"""What must be true of an engine after every act. Slow and obvious: for tests and drills."""

from __future__ import annotations

from collections import Counter

from polybot.exchange.accounts import Accounts, resting_claim
from polybot.exchange.approvals import route_of
from polybot.exchange.book import Book
from polybot.exchange.engine import Engine
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market, Order, Phase, Status
from polybot.exchange.money import UNIT
from polybot.exchange.settlement import income

REBATE_PERCENT_MAX = 25  # the largest share any category has (clob.md 6.1)


def check(engine: Engine) -> None:
    """Raise AssertionError, saying which rule is broken, unless all of them hold."""
    _check_balances(engine.accounts)
    _check_money(engine)
    _check_unmined(engine)
    _check_claims(engine)
    resting: set[str] = set()
    for condition_id, book in engine.desk.resting.books.items():
        if not book.empty:  # a day's markets are listed, and two of them are traded
            orders = book.orders()
            _check_book(engine.markets[condition_id], book, orders)
            resting.update(order.id for order in orders)
    _check_orders(engine, resting)


def _check_balances(accounts: Accounts) -> None:
    for account, wallet in accounts.wallets.items():
        assert wallet.cash >= 0, f"{account} has cash {wallet.cash}"
        assert wallet.claimed_cash >= 0, f"{account} has claims of {wallet.claimed_cash}"
        assert wallet.claimed_cash <= wallet.cash, f"{account} has claimed more cash than it has"
        for token, amount in wallet.shares.items():
            assert amount >= 0, f"{account} has {amount} of {token}"
        for token, amount in wallet.claimed_shares.items():
            held = wallet.shares.get(token, 0)
            assert 0 < amount <= held, f"{account} has claimed {amount} of {held} of {token}"
    assert accounts.fees >= 0, "fees are collected, not paid"
    collected = accounts.fees + accounts.rebated
    most = collected * REBATE_PERCENT_MAX // 100
    assert 0 <= accounts.rebated <= most, "rebates are a share of the fees"


def _check_unmined(engine: Engine) -> None:
    """What the chain lacks is the sum of the trades that no block holds, and of nothing else."""
    unmined, on_the_way = Accounts(), Counter[tuple[str, str | None]]()
    for trade in engine.trades.values():
        if trade.block_ms is None and trade.status != "FAILED":
            unmined.settle(trade)
            for account, token, amount in income(trade):
                on_the_way[account, token] += amount
    assert engine.desk.clearing.on_the_way == on_the_way, "income on its way is wrong"
    for account, wallet in engine.desk.clearing.unmined.wallets.items():
        expected = unmined.wallet(account)
        assert (wallet.cash, wallet.shares) == (expected.cash, expected.shares), (
            f"{account}: the chain's part is wrong"
        )


def _check_money(engine: Engine) -> None:
    """Cash + collateral + fees = deposits, and every share is backed by exactly its payout."""
    accounts = engine.accounts
    cash = sum(wallet.cash for wallet in accounts.wallets.values())
    backing = sum(accounts.collateral.values())
    assert cash + backing + accounts.fees == accounts.deposited, "money was made or lost"
    outstanding: Counter[str] = Counter()
    for wallet in accounts.wallets.values():
        outstanding.update(wallet.shares)
    held = {engine.by_token[token].condition_id for token in outstanding}
    for condition_id in held | accounts.collateral.keys():  # of the others both sides are nothing
        market = engine.markets[condition_id]
        shares = [outstanding[token] for token in market.tokens]
        behind = accounts.collateral.get(condition_id, 0)
        if market.payouts is None:
            assert shares[UP] == shares[DOWN] == behind, f"{market.slug}: pairs do not match"
        else:
            whole = sum(market.payouts)
            owed = sum(n * part for n, part in zip(shares, market.payouts, strict=True))
            # A payout is floored: of a void, a redemption leaves up to one micro-unit behind.
            dust = whole * behind - owed
            assert 0 <= dust < (whole - 1) * UNIT + 1, f"{market.slug}: payouts are not backed"


def _check_claims(engine: Engine) -> None:
    """Every reserved unit belongs to one live or held order, and is what that order may cost."""
    desk, accounts = engine.desk, engine.accounts
    live = {key: order for mine in desk.resting.live.values() for key, order in mine.items()}
    assert set(accounts.claims) == set(live) | set(desk.held), "claims without orders, or reverse"
    for order in live.values():
        assert accounts.claims[order.id] == resting_claim(order), f"{order.id} claims a wrong sum"
    claimed: Counter[tuple[str, str]] = Counter()
    approved: Counter[tuple[str, str, str]] = Counter()
    for order in (*live.values(), *(held.order for held in desk.held.values())):
        asset = "" if order.side == BUY else order.token
        claimed[order.account, asset] += accounts.claims[order.id]
        approved[(order.account, *route_of(order))] += accounts.claims[order.id]
    kept: Counter[tuple[str, str]] = Counter()
    routes: Counter[tuple[str, str, str]] = Counter()
    for account, wallet in accounts.wallets.items():
        kept[account, ""] = wallet.claimed_cash
        kept.update({(account, token): n for token, n in wallet.claimed_shares.items()})
        routes.update({(account, *route): n for route, n in wallet.claimed_by.items()})
    assert +claimed == +kept, "wallets and orders disagree about what is reserved"
    assert +approved == +routes, "wallets and orders disagree about what approvals are used"
    for (account, token, exchange), amount in routes.items():
        allowed = accounts.approvals.allowance(account, token, exchange)
        assert amount <= allowed, f"{account} has claimed {amount} of {allowed} allowed"


def _check_book(market: Market, book: Book, resting: list[Order]) -> None:
    """Not crossed, empty unless trading or closed, totals right, priority by price, then time."""
    bid, ask = book.best()
    assert bid is None or ask is None or bid < ask, f"{market.slug}: crossed, {bid} and {ask}"
    assert not resting or market.phase in {Phase.OPEN, Phase.CLOSED}, f"{market.slug}: not empty"
    bids = [order for order in resting if order.up_side == BUY]
    asks = [order for order in resting if order.up_side == SELL]
    assert bids == sorted(bids, key=lambda o: (-o.up_price, o.sequence)), "bids out of priority"
    assert asks == sorted(asks, key=lambda o: (o.up_price, o.sequence)), "asks out of priority"
    best_last = book.levels(UP)
    for orders, levels in zip((bids, asks), best_last, strict=True):
        assert levels == _totals(orders)[::-1], f"{market.slug}: a level's total is wrong"


def _totals(orders: list[Order]) -> list[tuple[int, int]]:
    totals: dict[int, int] = {}
    for order in orders:
        totals[order.up_price] = totals.get(order.up_price, 0) + order.remaining
    return list(totals.items())


def _check_orders(engine: Engine, resting: set[str]) -> None:
    """An order is live exactly when it rests, delayed exactly when it is held."""
    desk, live, delayed = engine.desk, Status.LIVE, Status.DELAYED
    for order in engine.orders.values():
        status, rests = order.status, order.id in resting
        assert (status is live) == rests, f"{order.id} is {status}"
        assert (status is delayed) == (order.id in desk.held), f"{order.id} not held"
        if rests:
            assert order.remaining > 0, f"{order.id} rests with nothing left"
            assert order.id in desk.resting.live.get(order.owner, {}), f"{order.id} is on no list"
    listed = sum(len(mine) for mine in desk.resting.live.values())
    assert listed == len(resting), "an order is listed as live but does not rest"
