"""What the chain does late, wrong or not at all, through the hooks of those who settle.

Everything here really happens: the engine's books, the chain's and every service agree on it
afterwards, as far as they would on the venue. What only one link says is in `rest_lies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import attrs

from polybot.exchange.approvals import STANDARD
from polybot.exchange.balance_cache import Asset, BalanceCache
from polybot.exchange.chain_calls import FUNCTIONS
from polybot.exchange.chain_positions import merge_positions, router_merge
from polybot.exchange.engine import PAYOUTS, Engine
from polybot.exchange.faults.kinds import VENUE
from polybot.exchange.faults.state import Faults, Strike
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import Market, Phase, Trade
from polybot.exchange.relayer_bodies import Work
from polybot.exchange.relayer_queue import Queue, RelayerPolicy
from polybot.exchange.resolution import winner
from polybot.exchange.settlement import FINAL, MILLION, ClearingPolicy, parties

MERGES = tuple(
    selector
    for (_, selector), function in FUNCTIONS.items()
    if function in {merge_positions, router_merge}
)
KNOWN_MS = 1_000  # after the end: the final has been read, and nothing has been resolved yet


@attrs.frozen
class SettlementActs:
    """Registers with `faults`, and sets the hooks of engine and relayer. `wallets` are those whose
    approvals can be revoked.
    """

    faults: Faults
    engine: Engine
    lifecycle: Lifecycle
    queue: Queue
    balances: BalanceCache
    wallets: tuple[str, ...]

    def __attrs_post_init__(self) -> None:
        for act in (
            self.allowance_revoked, self.resolution_late, self.resolution_void,
            self.winner_disputed, self.closed_early,
        ):  # fmt: skip
            self.faults.on_act(VENUE, act.__name__, act)
        self.engine.desk.clearing.policy_of = self._policy_of
        self.balances.bend = self._stale
        self.queue.policy_of = self._relayed

    # --- trades and transactions -----------------------------------------------------------

    def _strike(self, fault: str, market: Market | None, now_ms: int) -> Strike | None:
        """As `Faults.strike`, and only in the markets that the entry names by parts of slugs."""
        for running in self.faults.at(VENUE):
            match = running.entry.match
            if match and not (market and any(text in market.slug for text in match)):
                continue
            if running.entry.fault == fault and (strike := running.meet(now_ms)):
                strike.land()
                return strike
        return None

    def _policy_of(self, trade: Trade, usual: ClearingPolicy) -> ClearingPolicy:
        """How this one trade goes: the usual way, or the worst that strikes it."""
        orders = (trade.taker, *(fill.order for fill in trade.makers))
        if not self.faults.at(VENUE) or all(o.owner in self.engine.unread for o in orders):
            return usual
        strike = partial(self._strike, market=trade.market, now_ms=trade.matched_ms)
        if failed := strike("trade_failed"):
            span = (failed["after_ms"],) * 2
            return attrs.evolve(usual, fail_ppm=MILLION, fail_ms=span)
        if retried := strike("trade_retried"):
            span = (retried["for_ms"],) * 2
            return attrs.evolve(usual, fail_ppm=0, retry_ppm=MILLION, retry_ms=span)
        if undone := strike("trade_reorganised"):
            span = (undone["after_ms"],) * 2
            return attrs.evolve(usual, fail_ppm=0, reorg_ppm=MILLION, reorg_ms=span)
        return usual

    def _before_merge(self, account: str, now_ms: int) -> None:
        """The wallet's youngest trade that is not final fails, if it can."""
        trades = [
            trade
            for trade in self.engine.trades.values()
            if trade.status not in FINAL and account in parties(trade)
        ]
        if trades and self._strike("trade_failed_at_merge", trades[-1].market, now_ms):
            self.engine.desk.clearing.fail(trades[-1], now_ms)

    def _relayed(self, work: Work, usual: RelayerPolicy, now_ms: int) -> RelayerPolicy:
        """How one transaction goes, after the trade that fails as a merge comes in."""
        if any(one in call.data for one in MERGES for call in work.calls):  # wrapped or not
            self._before_merge(work.wallet, now_ms)
        strike = partial(self._strike, market=None, now_ms=now_ms)
        if strike("transaction_lost"):
            return attrs.evolve(usual, lose_ppm=MILLION)
        if strike("transaction_reverted"):
            return attrs.evolve(usual, fail_ppm=MILLION)
        if work.kind != "WALLET-CREATE" and strike("transaction_twice"):
            return attrs.evolve(usual, twice=True)
        if late := strike("transaction_late"):
            return attrs.evolve(usual, extra_ms=usual.extra_ms + late["extra_ms"])
        return usual

    # --- wallets -----------------------------------------------------------------------------

    def _stale(self, wallet: str, asset: Asset, figure: int, now_ms: int) -> int:
        """The figure as first asked for in the window: nothing a wallet gains counts after it."""
        for running in self.faults.at(VENUE):
            if running.entry.fault == "balances_stale" and (strike := running.meet(now_ms)):
                kept: int = strike.memory.setdefault((wallet, asset), figure)
                if kept < figure:
                    strike.land()
                    return kept
        return figure

    def allowance_revoked(self, strike: Strike, now_ms: int) -> None:
        """All standard approvals of the demo key's wallets, until they are given back."""
        approvals = self.engine.accounts.approvals
        had = {
            (wallet, *pair): approvals.allowance(wallet, *pair)
            for wallet in self.wallets
            for pair in STANDARD
        }
        for wallet, *pair in had:
            approvals.approve(wallet, pair[0], pair[1], 0)
        strike.land()
        self.engine.shed(self.wallets, now_ms)
        self.faults.later(now_ms + strike["last_s"] * 1000, partial(self._give_back, had))

    def _give_back(self, had: dict[tuple[str, str, str], int], _now_ms: int) -> None:
        """Who has approved anew in the meantime keeps that."""
        approvals = self.engine.accounts.approvals
        for (wallet, token, spender), amount in had.items():
            if approvals.allowance(wallet, token, spender) == 0:
                approvals.approve(wallet, token, spender, amount)

    # --- resolutions ---------------------------------------------------------------------------

    def resolution_late(self, strike: Strike, now_ms: int) -> None:
        self._bend(strike, now_ms, resolve_late_ms=strike["late_s"] * 1000)

    def resolution_void(self, strike: Strike, now_ms: int) -> None:
        self._bend(strike, now_ms, void=True)

    def closed_early(self, strike: Strike, now_ms: int) -> None:
        self._bend(strike, now_ms, close_early_ms=strike["early_s"] * 1000)

    def winner_disputed(self, strike: Strike, now_ms: int) -> None:
        """Decided when the final is known: before that nobody can name the loser."""
        for market in self._under_way(strike, now_ms):
            self.faults.later(market.end_ms + KNOWN_MS, partial(self._dispute, strike, market))

    def _dispute(self, strike: Strike, market: Market, _now_ms: int) -> None:
        if market.phase is Phase.RESOLVED or market.final is None or market.strike is None:
            return
        won = winner(market)
        if won is not None:
            bent = self.lifecycle.bent(market)
            self.lifecycle.bend(market, attrs.evolve(bent, told=1 - won, payouts=PAYOUTS[won]))
            strike.land()

    def _bend(self, strike: Strike, now_ms: int, **changes: bool | int) -> None:
        for market in self._under_way(strike, now_ms):
            bent = attrs.evolve(self.lifecycle.bent(market), **changes)  # type: ignore[arg-type]
            self.lifecycle.bend(market, bent)
            strike.land()

    def _under_way(self, strike: Strike, now_ms: int) -> Iterator[Market]:
        return under_way(self.engine, strike, now_ms)


def under_way(engine: Engine, strike: Strike, now_ms: int) -> Iterator[Market]:
    """The markets whose window is running, of those the entry names."""
    for market in list(engine.markets.values()):
        named = not strike.match or any(text in market.slug for text in strike.match)
        if named and market.phase is Phase.OPEN and market.start_ms <= now_ms < market.end_ms:
            yield market
