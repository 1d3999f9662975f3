"""What loss limits are measured from; it outlives the process (reliability.md S12)."""

from __future__ import annotations

import attrs


@attrs.frozen
class Baseline:
    """Equity at the start of a UTC day, and its highest since trading was last allowed; 10⁻⁶
    dollars, shares marked at fair. `capital` is what had been brought in by then: what comes or
    goes later is no profit and no loss.
    """

    day: str
    equity: int
    peak: int
    capital: int
