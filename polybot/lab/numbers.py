"""Numbers of a command line, checked before any work and told with the range they must keep."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from polybot.options import INTENSITY_MAX


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number, no less than `least`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {least} on, was {text!r}"
            )
        return number

    return read


def above(least: float, most: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a number above `least` and at most `most`."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (least < number <= most and math.isfinite(number)):
            up_to = f" and at most {most:g}" if math.isfinite(most) else ""
            raise argparse.ArgumentTypeError(
                f"expected a number above {least:g}{up_to}, was {text!r}"
            )
        return number

    return read


count, seed = whole(1), whole(0)
intensity = above(0, INTENSITY_MAX)
