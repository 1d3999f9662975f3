"""Commands beside the program: modules with a `main(words)` of their own, imported when called."""

from __future__ import annotations

COMMANDS = {
    "doctor": "polybot.operator.doctor",
    "rearm": "polybot.operator.rearm",
    "replay": "polybot.lab.replay",
    "soak": "polybot.lab.soak",
    "stop": "polybot.operator.stop",
    "tape": "polybot.lab.tape",
}
