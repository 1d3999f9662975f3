"""The drills as rows of figures: stopping, Ctrl-C, the kill switch, heartbeats, doubts, money, on
request memory.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import trio
from loguru import logger
from trio.testing import MockClock

from polybot.clock import wall_seconds
from polybot.lab import money_rows
from polybot.lab.ctrl_c_drill import Graceful, Immediate, graceful, immediate
from polybot.lab.doubt_drill import Doubtful, doubt_drill
from polybot.lab.heartbeat_drill import Failing, Heartbeats, heartbeat_drill
from polybot.lab.kill_drill import Kill, kill_drill
from polybot.lab.memory_drill import Memory, memory_drill
from polybot.lab.report import Row
from polybot.lab.stop_drill import SPEED, Moment, stop_drill
from polybot.patient_clock import PatientClock

INTERRUPTS = 2
KILLS = 5
PROCESSES = 2
DOUBT_S, DOUBT_SPEED = 240.0, 20.0
HEARTBEAT_SPEED = 5.0
BEATS = 7
MEMORY_SPEED = 50.0
WARM_UP, INTERVALS = 10, 50
MEGABYTE = 1_000_000

Section = tuple[str, list[Row]]


def run(moments: int, seed: int, *, memory: bool) -> Iterator[Section]:
    """Run the drills one after the other; their figures as they come."""
    logger.remove()  # the table is the report; a drill provokes warnings on purpose
    begun = wall_seconds()
    stops = _stops(moments, seed)
    took = wall_seconds() - begun
    yield f"stop drill ({moments} moments, {took:.0f} s)", stop_rows(stops)
    yield "Ctrl-C drill (speed 1)", interrupt_rows(*trio.run(_interrupts))
    yield "kill drill (speed 1)", kill_rows(trio.run(kill_drill, KILLS, seed))
    beats = trio.run(_heartbeats, seed, clock=MockClock(rate=HEARTBEAT_SPEED))
    yield f"heartbeat drill (venue s, speed {HEARTBEAT_SPEED:g})", heartbeat_rows(beats)
    drill = partial(doubt_drill, seconds=DOUBT_S, seed=seed, speed=DOUBT_SPEED)
    doubtful = trio.run(drill, clock=PatientClock(DOUBT_SPEED))
    yield f"doubt drill (venue s, speed {DOUBT_SPEED:g})", doubt_rows(doubtful)
    yield from money_rows.sections(seed)
    if memory:
        yield f"memory drill (speed {MEMORY_SPEED:g})", memory_rows(_memory(seed))
    yield "drills", [Row("wall time", "", f"{wall_seconds() - begun:.0f} s")]


# --- stopping --------------------------------------------------------------------------------


def _stops(moments: int, seed: int) -> list[Moment]:
    """All moments, on two processors: most of a moment is the exchange's and the bot's own work."""
    shares = [range(start, moments, PROCESSES) for start in range(PROCESSES)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        return [one for part in pool.map(partial(_stops_of, seed), shares) for one in part]


def _stops_of(seed: int, numbers: range) -> list[Moment]:
    logger.remove()
    return trio.run(stop_drill, numbers, seed, clock=PatientClock(SPEED))


def stop_rows(stops: Sequence[Moment]) -> list[Row]:
    left = sum(one.verdict.live_orders for one in stops)
    differ = [one for one in stops if not one.verdict.agreed]
    unproven = sum(not one.verdict.proven_empty for one in stops)
    after = sum(one.posts_after for one in stops)
    merges = [one for one in stops if one.heir is not None]
    lost = sum(bool(one.heir) for one in merges)
    submits = sum(one.submits_after for one in stops)
    orders = sum(one.verdict.orders for one in stops)
    fills = sum(one.verdict.fills for one in stops)
    late = sorted(one.cancel_s for one in stops if one.cancel_s is not None)
    unread = len(stops) - len(late)
    rows = [
        Row("orders left, by the exchange's count", "0", str(left), met=left == 0,
            note=f"of {orders} orders; {fills} fills"),
        Row("stops whose equities differ", "0", str(len(differ)), met=not differ),
        Row("stops that did not prove it", "0", str(unproven), met=unproven == 0),
        Row("merges under way, not booked by the next start", "0", str(lost), met=lost == 0,
            note=f"of {len(merges)}"),
        Row("transactions begun after the stop", "0", str(submits), met=submits == 0),
        Row("POSTs begun after the stop", "0", str(after), met=after == 0),
        Row("stop → cancel-all read, median and worst", "",
            f"{_ms(late[len(late) // 2])}, {_ms(late[-1])}",
            note="both processors busy with the drill itself"),
        Row("stops without a cancel-all", "0", str(unread), met=unread == 0),
        Row("stop → end, worst", "≤ 3 s", f"{max(one.shutdown_s for one in stops):.2f} s",
            met=max(one.shutdown_s for one in stops) <= 3),
    ]  # fmt: skip
    return [*rows, *_unclean(stops)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _told(one: Moment) -> str:
    return "; ".join((str(one.verdict), *(one.heir or ())))


def _unclean(stops: Sequence[Moment]) -> list[Row]:
    """Each stop that went wrong, with what repeats it."""
    return [
        Row(f"  {one.when.value}, seed {one.seed}", "", "", note=_told(one), met=False)
        for one in stops
        if not one.verdict.clean or one.heir
    ]


# --- Ctrl-C ----------------------------------------------------------------------------------


async def _interrupts() -> tuple[list[Graceful], list[Immediate]]:
    return (
        [await graceful() for _ in range(INTERRUPTS)],
        [await immediate() for _ in range(INTERRUPTS)],
    )


def interrupt_rows(first: Sequence[Graceful], second: Sequence[Immediate]) -> list[Row]:
    cancel, ended = max(one.cancel_s for one in first), max(one.exit_s for one in first)
    at_once = max(one.exit_s for one in second)
    left = [one.summary["live_orders_at_exit"] for one in first]
    agree = all(one.summary["equity_bot"] == one.summary["equity_exchange"] for one in first)
    codes = [one.exit_code for one in first], [one.exit_code for one in second]
    return [
        Row("Ctrl-C → cancel-all answered", "≤ 50 ms", f"{cancel * 1000:.1f} ms",
            met=cancel <= 0.05, note="seen from outside; on the wire is earlier"),
        Row("Ctrl-C → exit", "≤ 3 s", f"{ended:.2f} s", met=ended <= 3),
        Row("orders left at exit", "0", str(sum(left)), met=not any(left)),
        Row("equities agree", "yes", "yes" if agree else "no", met=agree),
        Row("exit codes", "0; 130", f"{codes[0]}; {codes[1]}",
            met=set(codes[0]) == {0} and set(codes[1]) == {130}),
        Row("second Ctrl-C → gone", "≤ 0.5 s", f"{at_once:.3f} s", met=at_once <= 0.5),
    ]  # fmt: skip


# --- the kill switch -------------------------------------------------------------------------


def kill_rows(kills: Sequence[Kill]) -> list[Row]:
    """The target is that of the median: a busy machine may take the processor away for longer."""
    sent, read = sorted(one.sent_s for one in kills), sorted(one.read_s for one in kills)
    after, halted = sum(one.posts_after for one in kills), all(one.halted for one in kills)
    clean = all(one.verdict.clean for one in kills)
    middle = len(kills) // 2
    return [
        Row("risk decision → cancel-all written", "≤ 10 ms", f"{sent[middle] * 1000:.1f} ms",
            met=sent[middle] <= 0.01, note=f"worst {sent[-1] * 1000:.1f} ms of {len(kills)}"),
        Row("risk decision → read by the exchange", "≤ 10 ms", f"{read[middle] * 1000:.1f} ms",
            met=read[middle] <= 0.01, note=f"worst {read[-1] * 1000:.1f} ms; one process for both"),
        Row("POSTs begun after the decision", "0", str(after), met=after == 0),
        Row("halted for good, and clean", "yes", "yes" if halted and clean else "no",
            met=halted and clean),
    ]  # fmt: skip


# --- heartbeats ------------------------------------------------------------------------------


async def _heartbeats(seed: int) -> dict[Failing, Heartbeats]:
    """Every way to fail at once, each on a stage of its own: they are each other's load too."""
    seen: dict[Failing, Heartbeats] = {}

    async def one(failing: Failing) -> None:
        seen[failing] = await heartbeat_drill(
            failing=failing,
            beats=BEATS,
            seed=seed,
            speed=HEARTBEAT_SPEED,
            intensity=1.0,
        )

    async with trio.open_nursery() as nursery:
        for failing in Failing:
            nursery.start_soon(one, failing)
    return {failing: seen[failing] for failing in Failing}


def heartbeat_rows(seen: dict[Failing, Heartbeats]) -> list[Row]:
    gaps = [gap for one in seen.values() for gap in one.gaps]
    worst = max(abs(gap - 5) for gap in gaps)
    rows = [
        Row("between heartbeats, under load", "5 ± 0.5 s", f"5 ± {worst:.2f} s", met=worst <= 0.5,
            note=f"{len(gaps)} gaps; own delays count {HEARTBEAT_SPEED:g}-fold"),
    ]  # fmt: skip
    for failing, one in seen.items():
        rows += _failure_rows(failing.value, one)
    return rows


def _failure_rows(how: str, one: Heartbeats) -> list[Row]:
    cancel, again = one.cancel_s, f"quoting {one.again_s:.1f} s after the next good answer"
    clean = one.verdict.clean
    return [
        Row(f"{how}: known after", "< 10 s", f"{one.known_s:.1f} s",
            met=one.known_s < 10, note="the venue cancels for us after 10 s"),
        Row(f"{how}: orders sent after that", "0", str(one.posts_after),
            met=one.posts_after == 0, note=f"{one.accepted_after} were on the wire already"),
        Row(f"{how}: until a cancel was read", "≤ 1 s",
            f"{cancel:.2f} s" if cancel is not None else "–",
            met=cancel is not None and cancel <= 1 if one.resting else None,
            note=f"{one.resting} rested; empty after {one.empty_s:.2f} s"),
        Row(f"{how}: in the end", "clean", "clean" if clean else "not clean",
            met=clean, note=again),
    ]  # fmt: skip


# --- doubts ----------------------------------------------------------------------------------


def doubt_rows(seen: Doubtful) -> list[Row]:
    half, most, longest = seen.within(50), seen.within(99), seen.within(100)
    clean = seen.verdict.clean
    return [
        Row("orders sent twice", "0", str(seen.twice), met=seen.twice == 0,
            note=f"of {len(seen.sent)}; the link was spoilt {seen.struck} times"),
        Row("orders whose fate was unknown", "", str(len(seen.doubts_ms))),
        Row("known again, half of them", "≤ 0.7 s", f"{half / 1000:.2f} s", met=half <= 700),
        Row("known again, 99 of 100", "≤ 3 s", f"{most / 1000:.2f} s", met=most <= 3000),
        Row("known again, all", "≤ 10 s", f"{longest / 1000:.2f} s", met=longest <= 10_000),
        Row("in the end", "clean", "clean" if clean else "not clean", met=clean,
            note=", ".join(seen.halts)),
    ]  # fmt: skip


# --- memory ----------------------------------------------------------------------------------


def _memory(seed: int) -> Memory:
    drill = partial(
        memory_drill, warm_up=WARM_UP, intervals=INTERVALS, speed=MEMORY_SPEED, seed=seed
    )
    return trio.run(drill, clock=MockClock(rate=MEMORY_SPEED))


def memory_rows(seen: Memory) -> list[Row]:
    exchange = seen.exchange_after - seen.exchange_before
    clean = seen.live_orders == 0 and seen.equity_bot == seen.equity_exchange
    return [
        Row(f"growth over {seen.intervals} intervals", "≤ 5 MB", f"{_mb(seen.growth)} MB",
            met=seen.growth <= 5 * MEGABYTE,
            note=f"from {_mb(seen.before)} MB after {seen.warm_up}; exchange {_mb(exchange)} MB"),
        Row("left in order", "yes", "yes" if clean else "no", met=clean,
            note=f"{seen.fills} fills, {seen.halts} halts"),
    ]  # fmt: skip


def _mb(size: int) -> str:
    return f"{size / MEGABYTE:.1f}"
