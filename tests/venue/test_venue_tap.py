"""Whoever listens in hears every frame, and no credentials."""

from __future__ import annotations

import random
from functools import partial

import attrs
import httpx
import pytest
import trio
from trio_websocket import WebSocketRequest, serve_websocket

from polybot.clock import Clock
from polybot.venue.market_messages import market_greeting
from polybot.venue.price_messages import POLYBOLT_PING, PolyBolt
from polybot.venue.rest import Reply, Rest
from polybot.venue.secret import Credentials, Secret
from polybot.venue.sockets import SocketState, run_socket
from polybot.venue.tap import HIDDEN, Nobody, without_credentials
from polybot.venue.user_messages import user_greeting

CREDENTIALS = Credentials(
    "0x" + "ab" * 20, "the-key", Secret("dGhlLXNlY3JldA=="), Secret("the-phrase")
)
SECRETS = ("dGhlLXNlY3JldA==", "the-phrase")


@attrs.define
class Ear(Nobody):
    """All that is on the tape."""

    on_tape: bytes = b""

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        self.on_tape += body

    def sent(self, stream: str, body: bytes) -> None:
        self.on_tape += body


def test_logins_are_left_out() -> None:
    """The user stream's subscription and PolyBolt's authentication carry secrets (S22)."""
    frames = [user_greeting(CREDENTIALS), *PolyBolt(CREDENTIALS, ["btcusd"]).greet()]

    recorded = b"\n".join(map(without_credentials, frames))

    assert HIDDEN in recorded
    for secret in (*SECRETS, "the-key"):
        assert secret.encode() not in recorded


@pytest.mark.parametrize("frame", [market_greeting(("1", "2")), "PING", POLYBOLT_PING])
def test_everything_else_is_as_it_was(frame: str) -> None:
    """Subscriptions and keepalives say nothing that is secret."""
    assert without_credentials(frame) == frame.encode()


@pytest.mark.parametrize("frame", ["", "not JSON", "[1]", '"text"', '{"op":"auth"}'])
def test_what_is_not_understood_is_left_out(frame: str) -> None:
    """Of our own frames: better a gap than a leak."""
    assert without_credentials(frame) == HIDDEN


@pytest.mark.parametrize("status", [200, 401, 502])
async def test_a_gateway_that_quotes_our_headers(status: int) -> None:
    """What it says goes to the screen, the journal and the tape, and from there into the record
    that is made for somebody elsewhere (F72).
    """
    signatures: list[str] = []

    def quote(request: httpx.Request) -> httpx.Response:
        signatures.append(request.headers["POLY_SIGNATURE"])
        return httpx.Response(status, json={"error": f"bad request: {dict(request.headers)}"})

    ear = Ear()
    async with httpx.AsyncClient(transport=httpx.MockTransport(quote)) as http:
        key = {"RELAYER_API_KEY": "the-relayer-key"}
        rest = Rest(http, "https://venue", Clock(0.0), CREDENTIALS, headers=key, tap=ear)
        reply = await rest.call("GET", "/data/orders")
    assert isinstance(reply, Reply)
    said = reply.failure("GET").what + ear.on_tape.decode()
    assert "bad request" in said
    for secret in (*SECRETS, *signatures, "the-relayer-key"):
        assert secret not in said


async def test_a_stream_that_quotes_our_login() -> None:
    """Likewise, in a frame and in the reason of its close (F72)."""
    ear, states = Ear(), list[SocketState]()

    async def peer(request: WebSocketRequest) -> None:
        socket = await request.accept()
        login = str(await socket.get_message())
        await socket.send_message(f"what is {login}?")
        await socket.aclose(1008, f"not {SECRETS[0]}, {SECRETS[1]}")

    def on_state(state: SocketState) -> None:
        states.append(state)
        if state.why:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, peer, "127.0.0.1", 0, None, disconnect_timeout=1)
        server = await nursery.start(serve)
        await run_socket(
            f"ws://127.0.0.1:{server.port}/ws", greet=[user_greeting(CREDENTIALS)],
            on_text=lambda *_: None, on_state=on_state, ping=None, silence_s=9,
            clock=Clock(0.0), rng=random.Random(1), tap=ear,
        )  # fmt: skip
    said = states[-1].why + ear.on_tape.decode()
    assert "what is" in said
    assert "closed 1008 not" in said
    for secret in SECRETS:
        assert secret not in said
