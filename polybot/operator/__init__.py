"""Commands beside the program: modules with a `main(words)` of their own, imported when called."""

from __future__ import annotations

COMMANDS = {
    "backtest": "polybot.lab.backtest",
    "doctor": "polybot.operator.doctor",
    "rearm": "polybot.operator.rearm",
    "replay": "polybot.lab.replay",
    "soak": "polybot.lab.soak",
    "stop": "polybot.operator.stop",
    "sweep": "polybot.lab.sweep",
    "tape": "polybot.lab.tape",
}
