"""Double entry in integers: where every micro-dollar and every micro-share came from and went.

A transaction is a list of postings that sum to zero in each unit, so nothing appears or vanishes by
a slip of ours. Two units of account: dollars (10⁻⁶) and, per token, shares (10⁻⁶).

Dollars                                        Shares of one token
  CASH       in the wallet                       SHARES   in the wallet
  COST       what held shares of a token cost    OUTSIDE  everybody else's: the other side
  CAPITAL    brought in, less taken out (−)
  MERGED, SOLD, REDEEMED, CORRECTED   results, as income is written: a profit is negative
  REBATES, REWARDS                    paid by the venue, likewise

Memoranda, with MEMO as their other side: FEES (already inside COST and SOLD) and REBATES_DUE (our
estimate; nobody has paid it).

CASH, COST and SHARES are kept twice: `final` is what the chain has confirmed, the rest what a match
has promised. A confirmation moves a trade's postings from one to the other; a failure posts their
exact opposite.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import attrs


class Kind(enum.Enum):
    CASH = "cash"
    COST = "cost"
    CAPITAL = "capital"
    MERGED = "merged"
    SOLD = "sold"
    REDEEMED = "redeemed"
    CORRECTED = "corrected"
    REBATES = "rebates"
    REWARDS = "rewards"
    FEES = "fees"
    REBATES_DUE = "rebates due"
    MEMO = "memo"
    SHARES = "shares"
    OUTSIDE = "outside"

    __hash__ = object.__hash__  # there is one object of each: the enum's own hash is a Python call


RESULTS = (Kind.MERGED, Kind.SOLD, Kind.REDEEMED, Kind.CORRECTED)
PAID = (Kind.REBATES, Kind.REWARDS)
_IN_SHARES = (Kind.SHARES, Kind.OUTSIDE)


class Account(NamedTuple):
    """One account. `market` and `token` are empty where the account is the wallet's own."""

    kind: Kind
    market: str = ""
    token: str = ""
    final: bool = True

    @property
    def unit(self) -> str:
        """The token whose shares these are; empty for dollars."""
        return self.token if self.kind in _IN_SHARES else ""


Posting = tuple[Account, int]


@attrs.frozen
class Transaction:
    """One fact booked. `evidence` names what told us: a stream message, a REST row, a receipt."""

    at_ms: int
    evidence: str
    postings: tuple[Posting, ...]


def opposite(postings: Iterable[Posting]) -> list[Posting]:
    """The postings that undo these."""
    return [(account, -amount) for account, amount in postings]


def confirmed(postings: Iterable[Posting]) -> list[Posting]:
    """The postings that make promised amounts final."""
    moved: list[Posting] = []
    for account, amount in postings:
        if not account.final:
            moved += [(account, -amount), (account._replace(final=True), amount)]
    return moved


class NotTheWriter(AssertionError):
    """Somebody else than a sealed ledger's only writer was about to change it (S18)."""


class Accounts:
    """All balances of one wallet. Only `post` changes them; `changes` counts how often. While they
    are `sealed` nobody may: the running bot's account breaks the seal for the facts that it books,
    and for nothing else.
    """

    def __init__(self) -> None:
        self.changes = 0
        self.sealed = False
        self._balances: dict[Account, int] = {}

    def written(self) -> None:
        """Raises NotTheWriter while sealed; called before each change."""
        if self.sealed:
            raise NotTheWriter("the ledger is written by `Account.take` alone")

    def post(self, postings: Sequence[Posting]) -> None:
        """Book postings that sum to zero in every unit; anything else is our bug."""
        self.written()
        sums: dict[str, int] = {}
        for account, amount in postings:
            sums[account.unit] = sums.get(account.unit, 0) + amount
        if any(sums.values()):
            raise AssertionError(f"postings do not sum to zero: {sums}")
        self.changes += 1
        for account, amount in postings:
            balance = self._balances.get(account, 0) + amount
            if balance:
                self._balances[account] = balance
            else:
                self._balances.pop(account, None)

    def __getitem__(self, account: Account) -> int:
        return self._balances.get(account, 0)

    def both(self, kind: Kind, market: str = "", token: str = "") -> int:
        """The balance with what is only promised included."""
        return self[Account(kind, market, token)] + self[Account(kind, market, token, final=False)]

    def total(self, *kinds: Kind, market: str | None = None) -> int:
        """Sum over all accounts of these kinds, of one market if given. Slow: for reports."""
        return sum(
            balance
            for account, balance in self._balances.items()
            if account.kind in kinds and market in {None, account.market}
        )

    def of_market(self, market: str) -> list[Posting]:
        """Every balance of one market, as postings."""
        return [posting for posting in self._balances.items() if posting[0].market == market]
