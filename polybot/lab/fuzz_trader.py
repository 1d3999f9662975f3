"""Whose requests are bent: a real wallet with real credentials."""

from __future__ import annotations

import attrs

from polybot.venue.secret import Credentials
from polybot.venue.signing import Wallet


@attrs.frozen
class Trader:
    """`relayer_key` is its key for the relayer."""

    wallet: Wallet
    credentials: Credentials
    relayer_key: str = ""
