"""The drills about money as rows of figures: durability, restart, blindness, death."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import trio

from polybot.lab.blind_drill import Blind, blind_drill
from polybot.lab.death_drill import Death, death_drill
from polybot.lab.journal_drill import Appends, journal_drill, within
from polybot.lab.report import Row
from polybot.lab.restart_drill import Restarted, restart_drill

APPENDS, LOSSES = 300, 5


def sections(seed: int) -> Iterator[tuple[str, list[Row]]]:
    """Run them one after the other at speed 1, each with the machine's load at its end."""
    appends = trio.run(journal_drill, APPENDS)
    yield f"journal ({APPENDS} appends of four intents{_load()})", append_rows(appends)
    restarted = trio.run(restart_drill, seed)
    yield f"restart drill (speed 1{_load()})", restart_rows(restarted)
    blind = trio.run(partial(blind_drill, times=LOSSES, seed=seed))
    yield f"blind drill (speed 1{_load()})", blind_rows(blind)
    death = trio.run(death_drill)
    yield f"death drill (processes of their own, speed 1{_load()})", death_rows(death)


def _load() -> str:
    return f", load {os.getloadavg()[0]:.1f}"


def append_rows(seen: Appends) -> list[Row]:
    """The target is for a disk that syncs in less; on a slower one the floor is what counts."""
    rows = []
    for name, hundredth in (("median", 50), ("99 of 100", 99)):
        ours, floor = within(seen.ours_ms, hundredth), within(seen.floor_ms, hundredth)
        against = f"{ours / floor:.2f} × the same bytes written and synced ({floor:.2f} ms)"
        target = "≤ 1 ms" if hundredth == 99 else ""
        met = ours <= 1 if target and floor <= 0.5 else None
        rows.append(Row(f"before a POST may leave, {name}", target, f"{ours:.2f} ms", against, met))
    return rows


def restart_rows(seen: Restarted) -> list[Row]:
    clean, before = seen.verdict.clean, seen.posts_before
    scene = f"{seen.resting} orders rested, {seen.trades} trades, {seen.unheard} of them unheard"
    return [
        Row("start → venue and journal agree", "≤ 3 s", f"{seen.ready_s:.2f} s", scene,
            met=seen.ready_s <= 3),
        Row("orders sent before that", "0", str(before), met=before == 0),
        Row("in the end", "clean", "clean" if clean else "not clean", met=clean),
    ]  # fmt: skip


def blind_rows(seen: Blind) -> list[Row]:
    cancel, empty = max(seen.cancel_s), max(seen.empty_s)
    after, clean = seen.posts_after, seen.verdict.clean
    return [
        Row("user stream lost → cancel on the wire", "≤ 250 ms", f"{cancel * 1000:.0f} ms",
            f"worst of {len(seen.cancel_s)}; nothing rested after {empty * 1000:.0f} ms",
            met=cancel <= 0.25),
        Row("the same, half open", "≤ 6 s", f"{seen.mute_s:.1f} s", met=seen.mute_s <= 6),
        Row("orders sent while blind", "0", str(after), met=after == 0),
        Row("in the end", "clean", "clean" if clean else "not clean", met=clean),
    ]  # fmt: skip


def death_rows(seen: Death) -> list[Row]:
    return [
        Row("kill −9 → no live order", "≤ 15 s", f"{seen.alone_s:.1f} s",
            f"{seen.resting} rested; the venue's dead-man switch", met=seen.alone_s <= 15),
        Row("stop --now, engine dead → no live order", "≤ 2 s", f"{seen.stop_s:.2f} s",
            f"the command ended after {seen.stopped_s:.2f} s", met=seen.stop_s <= 2),
        Row("its exit code", "0", str(seen.stop_code), met=seen.stop_code == 0),
    ]  # fmt: skip
