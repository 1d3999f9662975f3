"""The way onto the chain: Polymarket's relayer, or the wallet's own transactions (onchain.md 7, 8).

`polymarket-client` signs and submits, in a worker thread, for it knows only asyncio and blocking
calls; whatever asks afterwards how a transaction fares is our own. An answer is one of three:
`Sent` with an id to ask by, `Refused` when surely nothing left, and Failure when nobody knows. A
thread that is waited for no longer goes on: what it comes to is kept under the batch's name, and
nothing else is sent before it has ended.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import attrs
import trio

from polybot.domain.orders import Failure
from polybot.venue import fields
from polybot.venue.calls import Call
from polybot.venue.chain import Chain
from polybot.venue.rest import Reply, Rest, decoded
from polybot.venue.secret import Secret

SEND_S = 90.0  # the SDK tries up to eleven times, two seconds apart, with 10 s for each answer
ABANDONED_MOST = 64
CONFIRMED, FAILED = "STATE_CONFIRMED", ("STATE_FAILED", "STATE_INVALID")  # onchain.md 7.2
ENDED = (CONFIRMED, *FAILED)
NO_LIST = (404, 410)  # the list is of its older API
POL = 10**18
GAS_LEAST, GAS_LOW = POL // 20, POL // 2  # a redemption costs about a hundredth of a POL


@attrs.frozen
class Sent:
    """`evidence`: the relayer's id of the transaction, or a hash where there is no relayer."""

    evidence: str


@attrs.frozen
class Refused:
    """Surely nothing was sent. `again_s`: when to ask again, where the venue has said so."""

    why: str
    again_s: float | None = None


class Fate(enum.Enum):
    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"


@attrs.frozen
class Progress:
    """How a transaction fares; `evidence` is its hash, or its id where the hash is not told."""

    fate: Fate
    evidence: str
    why: str = ""


Answer = Sent | Refused | Failure


class Submit(Protocol):
    """Blocks, and keeps its connections until it is closed."""

    def __call__(self, name: str, calls: Sequence[Call], /) -> Answer: ...
    def close(self) -> None: ...


def relayer_headers(key: Secret | None, address: str) -> dict[str, str]:
    """What proves a relayer key, for the calls that want it (onchain.md 7.1)."""
    if key is None:
        return {}
    return {"RELAYER_API_KEY": key.reveal(), "RELAYER_API_KEY_ADDRESS": address}


class Way(Protocol):
    """How calls get onto the chain, whoever pays for them."""

    @property
    def batches(self) -> bool:
        """Whether several calls go as one, all or nothing."""

    async def send(self, name: str, calls: Sequence[Call]) -> Answer: ...

    def late(self, name: str) -> Answer | None:
        """What a send has come to, waited for or not; None while its thread may still send."""

    async def listed(self, name: str) -> Sent | Failure | None:
        """What was sent under this name as the relayer lists it; None when it does not."""

    async def unended(self, since_ms: int) -> int | Failure:
        """How many transactions of the wallet were begun since then and have no end, whoever has
        asked for them.
        """

    async def progress(self, evidence: str) -> Progress | Failure: ...

    async def obstacle(self) -> str | None:
        """Why nothing should be sent now; None when all is well."""

    def close(self) -> None:
        """Nothing is sent any more."""


@attrs.define(eq=False)
class SdkWay:
    """By the SDK's sync client (`sdk.py`). `make` builds it, in the thread of the first send."""

    make: Callable[[], Submit]
    relayer: Rest
    chain: Chain
    own_gas: bool = False  # a plain wallet: it pays its transactions itself, one call in each
    patience_s: float = SEND_S
    run_sync: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync  # a simulation has its own
    _submit: Submit | None = None
    _ended: dict[str, Answer] = attrs.field(factory=dict)
    _closed: bool = False
    _sending: bool = False
    _hand_over: threading.Lock = attrs.field(factory=threading.Lock)
    _one: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))

    @property
    def batches(self) -> bool:
        return not self.own_gas

    async def send(self, name: str, calls: Sequence[Call]) -> Answer:
        """Submit calls as one transaction. `name` goes with them, to be found by."""
        if self._one.available_tokens < 1:
            return Refused("an earlier submission has not answered yet")
        with trio.move_on_after(self.patience_s):
            answer: Answer = await self.run_sync(
                self._in_thread, name, tuple(calls), abandon_on_cancel=True, limiter=self._one
            )
            return answer
        return Failure(f"no answer within {self.patience_s:g} s")

    def late(self, name: str) -> Answer | None:
        return self._ended.get(name)

    def close(self) -> None:
        """A thread that is under way still has the client: it closes it when it has ended. The
        limiter cannot tell: a thread's place is free only some time after its end.
        """
        with self._hand_over:
            self._closed = True
            self._close_unused()

    def _close_unused(self) -> None:
        if self._closed and not self._sending and self._submit is not None:
            self._submit.close()

    def _in_thread(self, name: str, calls: tuple[Call, ...]) -> Answer:
        with self._hand_over:
            if self._closed:
                return Refused("the program ends")
            self._sending = True
        try:
            answer = self._ended[name] = self._answer(name, calls)
        finally:
            with self._hand_over:
                self._sending = False
                self._close_unused()
        if len(self._ended) > ABANDONED_MOST:
            del self._ended[next(iter(self._ended))]
        return answer

    def _answer(self, name: str, calls: tuple[Call, ...]) -> Answer:
        try:
            if self._submit is None:
                self._submit = self.make()
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing has been sent
            return Refused(f"the relayer's client: {type(error).__name__}: {error}"[:300])
        return self._submit(name, calls)

    async def listed(self, name: str) -> Sent | Failure | None:
        """Look a submission up in the relayer's list of our key's, whose answer nobody has read."""
        if self.own_gas:
            return Failure("no relayer, no list")
        reply = await self.relayer.call("GET", "/transactions")
        return decoded("GET /transactions", reply, lambda said: _named(name, said))

    async def unended(self, since_ms: int) -> int | Failure:
        """By the relayer's list of our key's; a plain wallet's are those that no block holds."""
        if self.own_gas:
            return await self.chain.pending()
        reply = await self.relayer.call("GET", "/transactions")
        if isinstance(reply, Reply) and reply.status in NO_LIST:
            return Failure("GET /transactions: there is none", refused=True)
        wallet = self.chain.wallet
        return decoded("GET /transactions", reply, lambda said: _unended(wallet, since_ms, said))

    async def progress(self, evidence: str) -> Progress | Failure:
        """How a transaction fares, by its id at the relayer or its hash on the chain."""
        if evidence.startswith("0x"):
            return await self._by_hash(evidence)
        path = f"/v1/account/transactions/{evidence}"
        reply = await self.relayer.call("GET", path)
        return decoded(f"GET {path}", reply, lambda said: _progress(evidence, said))

    async def _by_hash(self, evidence: str) -> Progress | Failure:
        succeeded = await self.chain.succeeded(evidence)
        if isinstance(succeeded, Failure):
            return succeeded
        if succeeded is None:
            return Progress(Fate.UNDER_WAY, evidence)
        return Progress(Fate.DONE if succeeded else Fate.FAILED, evidence, "reverted")

    async def obstacle(self) -> str | None:
        """A plain wallet needs gas; the relayer pays for the others."""
        gas = await self.chain.gas() if self.own_gas else GAS_LOW
        if isinstance(gas, Failure):
            return f"the wallet's gas could not be read: {gas.what}"
        if gas < GAS_LEAST:
            return f"{gas / POL:.3f} POL left for gas: send some to {self.chain.wallet}"
        return None


def _named(name: str, said: object) -> Sent | None:
    """The row of a list that bears this name. Raises ValueError."""
    rows = [fields.as_object(row) for row in fields.as_list(said)]
    mine = [row for row in rows if row.get("metadata") == name]
    return Sent(fields.text(mine[0], "transactionID")) if mine else None


def _unended(wallet: str, since_ms: int, said: object) -> int:
    """How many rows of a list are of this wallet, begun since then and without an end. What a row
    does not tell speaks for its counting. Raises ValueError.
    """
    rows = [fields.as_object(row) for row in fields.as_list(said)]
    return sum(
        fields.text(row, "state") not in ENDED
        and (fields.optional_text(row, "proxyAddress") or wallet).lower() == wallet.lower()
        and not _begun_before(row, since_ms)
        for row in rows
    )


def _begun_before(row: fields.Json, since_ms: int) -> bool:
    try:
        begun = datetime.fromisoformat(fields.optional_text(row, "createdAt"))
    except ValueError:
        return False
    begun = begun if begun.tzinfo else begun.replace(tzinfo=UTC)
    return begun < datetime.fromtimestamp(since_ms / 1000, UTC)


def _progress(evidence: str, said: object) -> Progress:
    """What the relayer's row of one transaction says. Raises ValueError."""
    row = fields.as_object(said)
    state, hash_ = fields.text(row, "state"), row.get("transaction_hash")
    shown = hash_ if isinstance(hash_, str) and hash_ else evidence
    if state in FAILED:
        return Progress(Fate.FAILED, shown, fields.shown(row.get("error_msg") or state, 200))
    done = state == CONFIRMED  # not at MINED: the next call may fail (onchain.md 7.2)
    return Progress(Fate.DONE if done else Fate.UNDER_WAY, shown)
