"""What the benchmark times: single steps of the hot path, on invented data.

Where it means something a case has a floor: the part of its work that no Python can avoid, done
alone on the same bytes in the same rounds. Ratios to it hold on any machine; microseconds do not.
"""

from __future__ import annotations

from polybot.lab import core_cases, wire_cases
from polybot.lab.bench_kit import Case


def cases() -> list[Case]:
    return [
        wire_cases.signing(),
        wire_cases.price_change(1),
        wire_cases.price_change(2),
        core_cases.fair_value(left_s=200, target_us=5),
        core_cases.fair_value(left_s=30, target_us=10),  # two means of seconds more
        core_cases.decision(),
        core_cases.desk_act(),
        core_cases.whole_decision(),
        core_cases.signals_of_a_decision(),
        core_cases.signals_of_a_print(),
        core_cases.signals_of_a_fill(),
        core_cases.an_order_checked(),
        core_cases.the_kill_switch(),
        wire_cases.user_trade(),
        wire_cases.place_and_cancel(),
    ]
