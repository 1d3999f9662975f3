"""The faults of the chain: what a match, a merge or a resolution comes to afterwards."""

from __future__ import annotations

from polybot.exchange.faults.kinds import VENUE, Kind, Param, When, millis

_VENUE = (VENUE,)

# Each may strike every trade in which a client has a part. The crowd's own are left alone: nobody
# could tell, and a fault that strikes there would be spent on nobody.
TRADES = (
    Kind("trade_failed", "a match is undone: FAILED after MATCHED", "F31", _VENUE, params=(
        millis("after_ms", 100, 30_000, most=600_000),)),
    Kind("trade_retried", "RETRYING for minutes, then MINED with another hash", "F32", _VENUE,
         params=(millis("for_ms", 60_000, 300_000, most=3_600_000),)),
    Kind("trade_reorganised", "FAILED after CONFIRMED", "F38", _VENUE, params=(
        millis("after_ms", 5_000, 60_000, most=3_600_000),)),
    Kind("trade_failed_at_merge", "a merge arrives, and the last trade behind it fails first",
         "F31", _VENUE),
)  # fmt: skip

# Each may strike every transaction that the relayer takes.
TRANSACTIONS = (
    Kind("transaction_lost", "the relayer's transaction is never mined", "F33", _VENUE),
    Kind("transaction_reverted", "mined as reverted, nothing done", "F33", _VENUE),
    Kind("transaction_twice", "done again in the block after it", "F33", _VENUE),
    Kind("transaction_late", "mined later than usual", "F33", _VENUE, params=(
        millis("extra_ms", 5_000, 90_000, most=600_000),)),
)  # fmt: skip

WALLETS = (
    Kind("balances_stale", "the venue goes by the balances of when the window began", "F34",
         _VENUE, When.WINDOW),
    Kind("allowance_revoked", "the wallet's approvals are gone from the chain, its orders with "
         "them", "F35", _VENUE, When.ONCE, params=(
             Param("last_s", "seconds", 1, 86_400, (60, 300)),), lasting=True),
    Kind("node_behind", "the node's share balances are of some blocks ago, its receipts are not",
         "F33 F34", _VENUE, When.WINDOW, params=(
             millis("lag_ms", 2_000, 20_000),), apart=True),
)  # fmt: skip

# Each strikes the windows under way; what it changes comes with their end.
RESOLUTIONS = (
    Kind("resolution_late", "the result comes later than usual", "F36", _VENUE, When.ONCE, params=(
        Param("late_s", "seconds", 1, 86_400, (120, 1_800)),)),
    Kind("resolution_void", "half a dollar for every share", "F36", _VENUE, When.ONCE),
    Kind("winner_disputed", "Gamma, CLOB and stream name the loser; the chain pays the winner",
         "F37", _VENUE, When.ONCE),
    Kind("closed_early", "no more orders, before the end", "F51", _VENUE, When.ONCE, params=(
        Param("early_s", "seconds before the end", 1, 3_600, (5, 60)),)),
)  # fmt: skip

KINDS = TRADES + TRANSACTIONS + WALLETS + RESOLUTIONS
