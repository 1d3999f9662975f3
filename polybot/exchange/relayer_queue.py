"""The relayer's own state: transactions on their way, one at a time for a wallet (onchain.md 7.2).

STATE_NEW → STATE_EXECUTED (sent) → STATE_MINED → STATE_CONFIRMED, or STATE_FAILED for one that a
block holds as reverted, STATE_INVALID for one that was never sent. The delays are terms; what goes
wrong without anybody's fault is the mutable `RelayerPolicy`.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import attrs

from polybot.exchange.chain import Chain, Outcome, gas_of
from polybot.exchange.relayer_bodies import RELAY, Rejected, Work
from polybot.exchange.wallets import wallets_of

NEW, EXECUTED, MINED = "STATE_NEW", "STATE_EXECUTED", "STATE_MINED"
CONFIRMED, FAILED, INVALID = "STATE_CONFIRMED", "STATE_FAILED", "STATE_INVALID"
OVER = frozenset({CONFIRMED, FAILED, INVALID})
LOST_MS = (
    300_000  # until the relayer gives a lost transaction up: clients have by then (7.4: 200 s)
)
KEPT = 10_000
DROPPED = "transaction dropped"


@attrs.define
class RelayerPolicy:
    """What befalls sound transactions: odds in a million, extra time. Changed while running."""

    fail_ppm: int = 0  # mined as reverted, nothing done
    lose_ppm: int = 0  # sent, never mined
    extra_ms: int = 0  # until the block
    hide_hash: bool = False  # replies with an empty transaction hash, even at the end
    twice: bool = False  # done again in the next block, in a transaction of its own


@attrs.define(eq=False)
class Transaction:
    """One submission and how far it is."""

    id: str
    key: str  # the API key that submitted it
    work: Work
    created_ms: int
    updated_ms: int
    state: str = NEW
    tx_hash: str = ""
    error: str | None = None


class Queue:
    """All transactions of the relayer; `find` keeps the newest of them."""

    def __init__(self, chain: Chain, rng: random.Random) -> None:
        self.policy = RelayerPolicy()
        # How one transaction goes; a fault plan may say otherwise than the policy.
        self.policy_of: Callable[[Work, RelayerPolicy, int], RelayerPolicy] = _as_usual
        self._chain, self._rng = chain, rng
        self._known: dict[str, Transaction] = {}
        self._busy: dict[str, Transaction] = {}  # by wallet, from /submit to the block
        self._unregistered: set[str] = set()  # deployed, not yet confirmed

    def find(self, id_: str) -> Transaction | None:
        return self._known.get(id_)

    def of_key(self, key: str) -> list[Transaction]:
        """A key's transactions, newest first."""
        return [tx for tx in reversed(self._known.values()) if tx.key == key]

    def nonce_of(self, wallet: str) -> int:
        return self._chain.nonces.get(wallet, 0)

    def deposit_wallet_of(self, signer: str, now_ms: int) -> str:
        """The wallet that a signer's batches go to: a session key's, the old one, the current."""
        wallets = wallets_of(signer)
        sessions = self._chain.sessions.wallets_of(signer, now_ms // 1000)
        if wallets.deposit_uups in self._chain.deployed:
            return wallets.deposit_uups
        if wallets.deposit not in self._chain.deployed and sessions:
            return sessions[0]
        return wallets.deposit

    # --- taking work in --------------------------------------------------------------------

    def submit(self, work: Work, key: str, now_ms: int) -> Transaction:
        """Raises Rejected: the wallet is unknown or busy, the nonce or the deadline is past."""
        error = self._refusal(work, now_ms)
        if error is not None:
            raise Rejected(error)
        tx = Transaction(
            str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), key, work, now_ms, now_ms
        )
        self._known[tx.id] = self._busy[work.wallet] = tx
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        self._plan(tx, now_ms)
        return tx

    def _refusal(self, work: Work, now_ms: int) -> str | None:
        deployed = work.wallet in self._chain.deployed
        if work.kind == "WALLET-CREATE":
            if deployed:
                return f"wallet {work.wallet} is already deployed"
        elif work.kind != "PROXY" and (not deployed or work.wallet in self._unregistered):
            return f"wallet {work.wallet} is not registered"
        if work.wallet in self._busy:
            return f"wallet busy: {work.wallet} has an active action"
        nonce = self.nonce_of(work.wallet)
        if work.kind in {"WALLET", "PROXY"} and work.nonce != nonce:
            return f"batch nonce {work.nonce} does not match on-chain nonce {nonce}"
        if work.deadline_s is not None and work.deadline_s * 1000 <= now_ms:
            return f"batch deadline {work.deadline_s} has passed"
        return None

    # --- its way ---------------------------------------------------------------------------

    def _plan(self, tx: Transaction, now_ms: int) -> None:
        terms, rng, agenda = self._chain.terms, self._rng, self._chain.agenda
        policy = self.policy_of(tx.work, self.policy, now_ms)
        mined = _between(rng, terms.relayer_mined_least_ms, terms.relayer_mined_most_ms)
        confirmed = _between(rng, terms.relayer_confirmed_least_ms, terms.relayer_confirmed_most_ms)
        block_ms = self._chain.blocks.next_ms(now_ms + mined + policy.extra_ms)
        end_ms = max(now_ms + confirmed, block_ms + terms.block_ms)
        agenda.add(now_ms + mined // 2, lambda at_ms: self._send(tx, at_ms))
        if self._drawn(policy.lose_ppm):
            agenda.add(now_ms + LOST_MS, lambda at_ms: self._end(tx, FAILED, at_ms, DROPPED))
            return
        fails = self._drawn(policy.fail_ppm)
        agenda.add(block_ms, lambda at_ms: self._mine(tx, at_ms, fails=fails))
        if policy.twice:
            again_ms = block_ms + terms.block_ms
            agenda.add(again_ms, lambda at_ms: self._mine_again(tx.work, at_ms))
        agenda.add(end_ms, lambda at_ms: self._confirm(tx, at_ms))

    def _drawn(self, ppm: int) -> bool:
        return bool(ppm) and self._rng.randrange(1_000_000) < ppm

    def _send(self, tx: Transaction, now_ms: int) -> None:
        tx.state, tx.updated_ms = EXECUTED, now_ms
        tx.tx_hash = f"0x{self._rng.getrandbits(256):064x}"

    def _mine(self, tx: Transaction, now_ms: int, *, fails: bool) -> None:
        """Run it in its block. A revert leaves the nonce, but a proxy's: the hub counts those."""
        work = tx.work
        if work.deadline_s is not None and work.deadline_s * 1000 < now_ms:
            tx.tx_hash = ""
            self._end(tx, INVALID, now_ms, f"batch deadline {work.deadline_s} has passed")
            return
        outcome = Outcome(reverted="") if fails else self._run(work, now_ms)
        ok = outcome.reverted is None
        if work.nonce is not None and (ok or work.kind == "PROXY"):
            self._chain.nonces[work.wallet] = self.nonce_of(work.wallet) + 1
        self._chain.record(tx.tx_hash, RELAY, work.target, outcome, now_ms, gas=gas_of(work.calls))
        if ok:
            tx.state, tx.updated_ms = MINED, now_ms
            self._busy.pop(work.wallet)
        else:
            reason = f"execution reverted: {outcome.reverted}" if outcome.reverted else "reverted"
            self._end(tx, FAILED, now_ms, reason)

    def _mine_again(self, work: Work, now_ms: int) -> None:
        """What a relayer's blind retry does: the same calls once more, if they still can be done.

        Nobody hears of it: it shows in balances and blocks only (reliability.md F33).
        """
        tx_hash = f"0x{self._rng.getrandbits(256):064x}"
        outcome = self._chain.execute(work.sender, work.calls, now_ms)
        gas = gas_of(work.calls)
        self._chain.record(tx_hash, RELAY, work.target, outcome, now_ms, gas=gas)

    def _run(self, work: Work, now_ms: int) -> Outcome:
        if work.kind == "WALLET-CREATE":
            self._chain.deployed.add(work.wallet)
            self._unregistered.add(work.wallet)
            return Outcome()
        if work.nonce != self.nonce_of(work.wallet):
            return Outcome(reverted="GS026")  # what a Safe says of a signature over a stale nonce
        return self._chain.execute(work.sender, work.calls, now_ms)

    def _confirm(self, tx: Transaction, now_ms: int) -> None:
        if tx.state == MINED:
            tx.state, tx.updated_ms = CONFIRMED, now_ms
            self._unregistered.discard(tx.work.wallet)

    def _end(self, tx: Transaction, state: str, now_ms: int, error: str) -> None:
        tx.state, tx.updated_ms, tx.error = state, now_ms, error
        self._busy.pop(tx.work.wallet, None)


def _as_usual(_work: Work, policy: RelayerPolicy, _now_ms: int) -> RelayerPolicy:
    return policy


def _between(rng: random.Random, least: int, most: int) -> int:
    return rng.randint(least, max(least, most))
