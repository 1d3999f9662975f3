"""The fuzz finds nothing in the exchange, and does find what is planted."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest

from polybot.exchange.clob_reads import PublicReads
from polybot.exchange.faucet import Faucet
from polybot.exchange.market_stream import MarketStream
from polybot.exchange.relayer_queue import Queue
from polybot.exchange.request import Request, Response, error_response
from polybot.exchange.rpc import RpcService
from polybot.exchange.user_stream import UserStream
from polybot.lab import fuzz
from polybot.lab.fuzz import Findings, main, search
from polybot.lab.fuzz_input import ODD, bent, dumps, mangled

INPUTS = 12_000


def silent(done: int) -> None:
    pass


def test_thousands_of_inputs_break_nothing() -> None:
    """No exception, no 500, invariants held, and the control lost neither order nor event."""
    found = search(INPUTS, seed=5, progress=silent)

    assert found.faults == []
    assert found.requests + found.frames + found.over_sockets == INPUTS
    assert found.control_steps == -(-(INPUTS - found.over_sockets) // 250)
    # It gets behind the first checks: much is refused by rules, and much is accepted.
    assert found.statuses[200] > 2_000
    assert found.statuses[400] > 2_000
    assert found.statuses[429] > 20
    least = {"clob": 600, "gamma": 100, "binance_rest": 20, "relayer": 60, "rpc": 200, "data": 40,
             "admin": 60, "site": 3}  # fmt: skip
    for service, count in least.items():
        assert found.services[service] > count, found.services
    assert set(found.statuses) <= {200, 400, 401, 403, 404, 405, 422, 425, 429, 503}


def crash(self: object, request: Request) -> Response:
    raise RuntimeError("planted")


def crash_any(self: object, *told: object) -> object:
    raise RuntimeError("planted")


def five_hundred(self: object, request: Request) -> Response:
    return error_response("planted", 500)


def swallow(self: object, *told: object) -> None:
    """An event that nobody hears of."""


@pytest.mark.parametrize(
    ("where", "name", "bug", "says"),
    [
        (PublicReads, "midpoint", crash, "planted"),
        (PublicReads, "midpoint", five_hundred, "500 GET /midpoint"),
        (Faucet, "_wallets", crash, "planted"),
        (Queue, "submit", crash_any, "planted"),
        (RpcService, "_receipt", crash_any, "planted"),
        (UserStream, "_tell_order", swallow, "lost: "),
        (MarketStream, "_on_levels", swallow, "lost: deltas"),
        (MarketStream, "_take", crash, "session: "),
    ],
)
def test_what_is_planted_is_found(
    monkeypatch: pytest.MonkeyPatch,
    where: type,
    name: str,
    bug: Callable[..., object],
    says: str,
) -> None:
    """Crashes, 500s and losses each come to light."""
    monkeypatch.setattr(where, name, bug)

    found = search(1_500, seed=6, progress=silent)

    assert any(says in fault for fault in found.faults), found.faults


@pytest.mark.parametrize("faults", [[], ["planted"]])
def test_a_finding_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], faults: list[str]
) -> None:
    """Findings are written out, and the command fails."""
    monkeypatch.setattr(fuzz, "search", lambda *_: attrs.evolve(Findings(), faults=faults))

    assert main(["--requests", "10", "--seed", "3"]) == len(faults)
    out = capsys.readouterr().out
    assert "seed 3" in out
    assert ("FOUND planted" in out) is bool(faults)


def test_bending_changes_something_and_any_value_can_be_sent() -> None:
    """Most copies differ from the original, which stays as it was."""
    rng = random.Random(1)
    value: dict[str, object] = {"a": [1, {"b": "c"}], "d": "e"}

    copies = [dumps(bent(value, rng)) for _ in range(200)]

    assert value == {"a": [1, {"b": "c"}], "d": "e"}
    assert sum(copy != dumps(value) for copy in copies) > 180
    for odd in ODD:
        assert isinstance(mangled(dumps(odd), rng), bytes)
