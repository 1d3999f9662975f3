"""What the wallet's signals have earned so far; it outlives the process (strategy.md 11)."""

from __future__ import annotations

import attrs


@attrs.frozen
class Worth:
    """A fading mean as it stands: of one signal's judged calls, in dollars per share or what one
    is better than a coin. The sums are those of `signal.tally.Tally`.
    """

    name: str
    mean: float
    weight: float
    squares: float
    spread: float


@attrs.frozen
class Earned:
    """`made_by` names the settings under which the calls were made: with others they would have
    been other calls, and what these were worth says nothing of those.
    """

    made_by: str
    signals: tuple[Worth, ...]
