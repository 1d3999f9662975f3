"""Whoever listens in hears every frame, and no credentials."""

from __future__ import annotations

import pytest

from polybot.venue.market_messages import market_greeting
from polybot.venue.price_messages import POLYBOLT_PING, PolyBolt
from polybot.venue.secret import Credentials, Secret
from polybot.venue.tap import HIDDEN, without_credentials
from polybot.venue.user_messages import user_greeting

CREDENTIALS = Credentials("0x" + "ab" * 20, "the-key", Secret("the-secret"), Secret("the-phrase"))


def test_logins_are_left_out() -> None:
    """The user stream's subscription and PolyBolt's authentication carry secrets (S22)."""
    frames = [user_greeting(CREDENTIALS), *PolyBolt(CREDENTIALS, ["btcusd"]).greet()]

    recorded = b"\n".join(map(without_credentials, frames))

    assert HIDDEN in recorded
    for secret in (b"the-secret", b"the-phrase", b"the-key"):
        assert secret not in recorded


@pytest.mark.parametrize("frame", [market_greeting(("1", "2")), "PING", POLYBOLT_PING])
def test_everything_else_is_as_it_was(frame: str) -> None:
    """Subscriptions and keepalives say nothing that is secret."""
    assert without_credentials(frame) == frame.encode()


@pytest.mark.parametrize("frame", ["", "not JSON", "[1]", '"text"', '{"op":"auth"}'])
def test_what_is_not_understood_is_left_out(frame: str) -> None:
    """Of our own frames: better a gap than a leak."""
    assert without_credentials(frame) == HIDDEN
