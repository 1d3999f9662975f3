"""What a desk asks for: the only ways in which anything leaves for the venue."""

from __future__ import annotations

import attrs

from polybot.domain.orders import SignedOrder
from polybot.execution.doubts import LookUp, Survey


@attrs.frozen
class Post:
    orders: tuple[SignedOrder, ...]


@attrs.frozen
class Cancel:
    ids: tuple[str, ...]
    cause: str


@attrs.frozen
class Refresh:
    """Have the venue look at the chain again for a token: its cache of balances lags (F34)."""

    token: str


Action = Post | Cancel | LookUp | Survey | Refresh
