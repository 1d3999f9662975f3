"""The way onto the chain: what surely did not leave, what nobody knows, and what is told later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import attrs
import httpx
import orjson
import pytest
import trio
from venue_kit import NOW_MS, WALLET, Handler, answering

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue.calls import Call
from polybot.venue.chain import Chain
from polybot.venue.relayer import (
    ABANDONED_MOST,
    GAS_LEAST,
    Answer,
    Fate,
    Progress,
    Refused,
    SdkWay,
    Sent,
    Submit,
)
from polybot.venue.rest import Rest

CALLS = (Call("0xto", "0xdata"),)
PATIENCE_S = 60  # no hang, only a limit for a machine that is busy
HASH = "0x" + "ab" * 32
BEGUN = "2027-01-15T09:00:00.819782Z"


def rest(handler: Handler) -> Rest:
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Rest(http, "http://relayer", Clock(NOW_MS))


@attrs.define
class Submitter:
    """The SDK's part: answers what it is told to, when it is let. `inside`: a thread is in it."""

    answer: Answer = Sent("tx-1")
    seen: list[tuple[str, tuple[Call, ...]]] = attrs.field(factory=list)
    let: threading.Event = attrs.field(factory=threading.Event)
    inside: threading.Event = attrs.field(factory=threading.Event)
    made: int = 0
    closed: int = 0

    def make(self) -> Submit:
        self.made += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def __call__(self, name: str, calls: Sequence[Call]) -> Answer:
        self.seen.append((name, tuple(calls)))
        self.inside.set()
        self.let.wait(PATIENCE_S)
        return self.answer


def way(sdk: Submitter, handler: Handler = answering({}), **more: object) -> SdkWay:
    asked = rest(handler)
    return SdkWay(sdk.make, asked, Chain(asked, WALLET.address), **more)  # type: ignore[arg-type]


async def until(true: Callable[[], object]) -> None:
    """Wait for what a thread does, which tells nobody."""
    with trio.fail_after(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - see above
            await trio.sleep(0.01)


async def test_calls_go_as_one_by_a_client_made_once() -> None:
    """The name goes with them; the client is built at the first send and kept."""
    sdk = Submitter()
    sdk.let.set()
    it = way(sdk)
    assert await it.send("one", CALLS) == Sent("tx-1")
    assert await it.send("two", CALLS * 2) == Sent("tx-1")
    assert sdk.seen == [("one", CALLS), ("two", CALLS * 2)]
    assert sdk.made == 1
    assert it.late("one") == Sent("tx-1")


async def test_a_client_that_cannot_be_made_has_sent_nothing() -> None:
    """Whatever it was, it is a refusal, and the next send tries again."""

    def broken() -> Submit:
        raise RuntimeError("no certificate store")

    asked = rest(answering({}))
    it = SdkWay(broken, asked, Chain(asked, WALLET.address))
    for _ in range(2):
        answer = await it.send("one", CALLS)
        assert isinstance(answer, Refused)
        assert "no certificate store" in answer.why


async def test_who_is_waited_for_no_longer_is_still_heard() -> None:
    """A time-out is no failure: what the thread comes to is kept under its name, and until then
    nothing else is sent (onchain.md 8).
    """
    sdk = Submitter()
    it = way(sdk, patience_s=0.05)
    answer = await it.send("slow", CALLS)
    assert isinstance(answer, Failure)
    assert it.late("slow") is None
    second = await it.send("eager", CALLS)
    assert second == Refused("an earlier submission has not answered yet")
    sdk.let.set()
    await until(lambda: it.late("slow") is not None)
    assert it.late("slow") == Sent("tx-1")
    assert sdk.seen == [("slow", CALLS)]
    it.patience_s = PATIENCE_S
    await until(lambda: it._one.available_tokens)  # its place is free some time after its end
    assert await it.send("next", CALLS) == Sent("tx-1")


async def test_an_end_closes_the_client_whoever_has_it() -> None:
    """Its connections stay open otherwise. None was made, it is idle, or a thread is in it."""
    way(unused := Submitter()).close()
    assert unused.closed == 0

    (idle := Submitter()).let.set()
    it = way(idle)
    await it.send("one", CALLS)
    assert idle.closed == 0
    it.close()
    assert idle.closed == 1

    busy = Submitter()
    it = way(busy, patience_s=0.05)
    await it.send("slow", CALLS)
    await until(busy.inside.is_set)  # one that came to run after the end would make no client
    it.close()
    assert busy.closed == 0
    busy.let.set()
    await until(lambda: busy.closed)


async def test_an_end_between_an_answer_and_the_news_of_it_closes_the_client() -> None:
    """The thread has gone and the loop has not yet heard: each thought the other would close it,
    and its two sockets stayed open. Nor does a thread that comes to run after the end send.
    """
    (sdk := Submitter()).let.set()

    async def run_sync(work: Callable[..., Answer], *args: object, **_: object) -> Answer:
        async with it._one:
            answer = work(*args)
            it.close()
            return answer

    it = way(sdk, run_sync=run_sync)
    assert await it.send("one", CALLS) == Sent("tx-1")
    assert sdk.closed == 1
    assert await it.send("two", CALLS) == Refused("the program ends")
    assert [name for name, _ in sdk.seen] == ["one"]


async def test_only_so_many_answers_are_kept() -> None:
    """Names of long ago are forgotten, or a year of trading would be kept."""
    sdk = Submitter()
    sdk.let.set()
    it = way(sdk)
    for number in range(ABANDONED_MOST + 1):
        await it.send(str(number), CALLS)
    assert it.late("0") is None
    assert it.late("1") is not None


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        ("STATE_NEW", Fate.UNDER_WAY),
        ("STATE_EXECUTED", Fate.UNDER_WAY),
        ("STATE_MINED", Fate.UNDER_WAY),
        ("STATE_SUBMITTED", Fate.UNDER_WAY),
        ("STATE_CONFIRMED", Fate.DONE),
        ("STATE_FAILED", Fate.FAILED),
        ("STATE_INVALID", Fate.FAILED),
    ],
)
async def test_states_of_a_transaction(state: str, fate: Fate) -> None:
    """Done is CONFIRMED alone; a state nobody knows is under way (onchain.md 7.2)."""
    row = {"transaction_id": "id", "state": state, "transaction_hash": HASH, "error_msg": None}
    progress = await way(Submitter(), answering(row)).progress("id")
    assert isinstance(progress, Progress)
    assert (progress.fate, progress.evidence) == (fate, HASH)


async def test_a_transaction_that_shows_no_hash_is_known_by_its_id() -> None:
    """The hash may be empty to the end; why it failed is told."""
    row = {"state": "STATE_FAILED", "transaction_hash": "", "error_msg": "out of gas"}
    progress = await way(Submitter(), answering(row)).progress("id")
    assert progress == Progress(Fate.FAILED, "id", "out of gas")


@pytest.mark.parametrize(
    ("answer", "status"), [({}, 404), ({}, 500), ({}, 200), (b"<html>", 200), ({"state": 5}, 200)]
)
async def test_what_the_relayer_does_not_say_is_not_known(answer: object, status: int) -> None:
    """Not found, broken, unreadable: a Failure, on which nothing is asked for again."""
    assert isinstance(await way(Submitter(), answering(answer, status)).progress("id"), Failure)


@pytest.mark.parametrize(
    ("receipt", "fate"),
    [({"status": "0x1"}, Fate.DONE), ({"status": "0x0"}, Fate.FAILED), (None, Fate.UNDER_WAY)],
)
async def test_a_hash_is_followed_on_the_chain(receipt: object, fate: Fate) -> None:
    """A plain wallet's transaction has no id anywhere else (onchain.md 8)."""
    it = way(Submitter(), answering({"jsonrpc": "2.0", "id": 1, "result": receipt}), own_gas=True)
    progress = await it.progress(HASH)
    assert isinstance(progress, Progress)
    assert (progress.fate, progress.evidence) == (fate, HASH)


@pytest.mark.parametrize(
    ("own_gas", "gas", "words"),
    [
        (True, GAS_LEAST, None),
        (True, GAS_LEAST - 1, "0.050 POL left for gas"),
        (True, 0, "0.000 POL left for gas"),
        (False, 0, None),
    ],
)
async def test_a_plain_wallet_needs_gas(own_gas: bool, gas: int, words: str | None) -> None:
    """Below what a few transactions cost nothing is sent, and the operator is told where to; the
    relayer pays for the others. Only theirs go in batches: a plain wallet's are not atomic.
    """
    it = way(
        Submitter(), answering({"jsonrpc": "2.0", "id": 1, "result": hex(gas)}), own_gas=own_gas
    )
    told = await it.obstacle()
    assert (told is None) is (words is None)
    assert words is None or (words in str(told) and WALLET.address in str(told))
    assert it.batches is not own_gas


async def test_gas_that_cannot_be_read_is_an_obstacle() -> None:
    """Not knowing is not having."""
    told = await way(Submitter(), answering({}, 500), own_gas=True).obstacle()
    assert told is not None
    assert "could not be read" in told


def listed(
    state: object = "STATE_NEW", wallet: object = WALLET.address, begun: object = BEGUN
) -> dict[str, object]:
    """A row of the relayer's list, as its documentation has it."""
    return {"transactionID": "id", "state": state, "proxyAddress": wallet, "createdAt": begun}


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (listed("STATE_NEW"), True),
        (listed("STATE_EXECUTED"), True),
        (listed("STATE_MINED"), True),
        (listed("STATE_SUBMITTED"), True),
        (listed("STATE_CONFIRMED"), False),
        (listed("STATE_FAILED"), False),
        (listed("STATE_INVALID"), False),
        (listed(wallet="0x" + "ab" * 20), False),
        (listed(wallet=WALLET.address.upper().replace("0X", "0x")), True),
        (listed(wallet=""), True),
        (listed(wallet=None), True),
        (listed(begun="2026-07-14T21:13:08.819Z"), False),
        (listed(begun="2026-07-14T21:13:08.819782"), False),
        (listed(begun="2027-01-15T08:00:01.819782Z"), True),
        (listed(begun="yesterday"), True),
        (listed(begun=None), True),
        (listed(begun=7), True),
    ],
)
async def test_what_is_on_its_way_by_the_list(row: dict[str, object], *, counts: bool) -> None:
    """A state that nobody knows is no end; what a row does not tell of its wallet or its time
    speaks for its counting. Another wallet of the key, and what is long past, do not count.
    """
    found = await way(Submitter(), answering([row, listed("STATE_CONFIRMED")])).unended(NOW_MS)
    assert found == counts


@pytest.mark.parametrize(
    ("said", "status", "refused"),
    [
        ({}, 500, False), ({}, 200, False), ([{}], 200, False), ([listed(7)], 200, False),
        ([7], 200, False), ({}, 401, True), ({"error": "no"}, 404, True), ({}, 410, True),
    ],
)  # fmt: skip
async def test_a_list_that_cannot_be_read(said: object, status: int, *, refused: bool) -> None:
    """Is not taken for an empty one; and it is told where it makes no sense to ask again."""
    found = await way(Submitter(), answering(said, status)).unended(NOW_MS)
    assert isinstance(found, Failure)
    assert found.refused is refused


@pytest.mark.parametrize(("held", "asked", "left"), [(4, 6, 2), (4, 4, 0), (5, 4, 0)])
async def test_what_is_on_its_way_of_a_plain_wallet(held: int, asked: int, left: int) -> None:
    """It has no relayer: what its node knows beyond the newest block. Two nodes behind one address
    may contradict each other.
    """

    def node(request: httpx.Request) -> httpx.Response:
        row = orjson.loads(request.content)
        assert (row["method"], row["params"][0]) == ("eth_getTransactionCount", WALLET.address)
        count = asked if row["params"][1] == "pending" else held
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": hex(count)})

    assert await way(Submitter(), node, own_gas=True).unended(NOW_MS) == left


async def test_a_node_that_does_not_count_is_no_proof() -> None:
    """Nor what is no number."""
    for answer in (answering({}, 500), answering({"jsonrpc": "2.0", "id": 1, "result": 7})):
        assert isinstance(await way(Submitter(), answer, own_gas=True).unended(NOW_MS), Failure)
