"""A request's leave to be written, asked for in the last moment before its first byte.

Between the decision to send and the first byte there may be seconds: a connection is dialled, or
all are in use. A POST that leaves behind its market's end, or at prices of the past, is worse than
none; and one that is known never to have left needs no doubt, however its waiting has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

EXTENSION: Final = "leave"  # where it lies among an httpx request's extensions


@attrs.define(eq=False)
class Leave:
    """`still`: whether the request may be written now. `unsent`: surely none of it has been.
    `denied`: it was asked, and the answer was no.
    """

    still: Callable[[], bool]
    unsent: bool = True
    denied: bool = False

    def take(self) -> bool:
        """Whether to write now; who asks writes at once, or never."""
        self.denied = not self.still()
        self.unsent = self.denied
        return not self.denied
