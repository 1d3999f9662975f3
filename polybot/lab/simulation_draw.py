"""How a seed becomes a case: what is drawn, and how often.

Every part is drawn from a stream of its own, so that more of one does not move another. Faults are
subsets with intensities (swarm testing, reliability.md 1.5).
"""

from __future__ import annotations

import random
import signal

import attrs

from polybot.lab.simulation_case import (
    EVERY,
    FILES,
    PORTS,
    QUIET_S,
    Ail,
    Case,
    ClockTerms,
    DiskTrouble,
    Edited,
    End,
    EngineTerms,
    Harm,
    Life,
    RevokedTerms,
    Stand,
    Step,
    StrikeTerms,
    Trouble,
    Where,
)
from polybot.lab.simulation_dates import draw_date
from polybot.lab.simulation_money import TAKEN, draw_sent
from polybot.lab.simulation_plan import draw_bar, draw_listing, draw_node, draw_plan, draw_silence
from polybot.lab.simulation_regime import draw_conditions
from polybot.lab.simulation_settings import draw_means, draw_settings
from polybot.lab.simulation_terms import draw_terms

WARM_UP_S = 60.0
DELAYS_S = (0.0, 0.0, 0.01, 0.03, 0.1, 0.2)  # one way; half of all seeds have a quick link
LAGS_S = (0.6, 1.5, 2.4)  # each way: below half of what an answer is waited for
TROUBLES_PER_HOUR = (0, 6, 20, 60)
DEATHS_PER_HOUR = 2.0
STEPS_PER_HOUR = (0, 0, 6)
SKEWS_MS = (0, 0, 400, 3_000, 30_000)  # of a start: half of all seeds have a good clock
STEPS_MS = (500, 2_000, 15_000, 60_000)
DRIFT_PPM = (0, 0, 50, 500)
# A series costs a processor about as much as the first: one seed in four has one alone.
SERIES = (
    ("btc-5m",),
    ("btc-5m", "btc-15m"),
    ("btc-5m", "eth-5m"),
    ("btc-5m", "btc-15m", "btc-1h"),
)
AWAY_S = (15, 40, 90)
ERRORS_BP = (-20, -3, 3, 20)
CORRECTED_S = (5.0, 60.0)
DISKS_PER_HOUR = (0, 0, 4, 12)
REVOKED_S = (20, 60, 240)
HASTE_S = 6.0  # a start takes up to four seconds, and fifteen more where it tries the switch
SOON_S = 8.0  # a service manager waits some seconds
CLOCK_OVER_S = 30.0  # before the end: it is noticed within twenty
TRIPS = (0, 0, 1, 2)
STANDS_PER_HOUR = (0, 0, 0, 12)
STANDS_S = (0.2, 0.6, 2.0, 8.0, 30.0)  # a collector, a neighbour, a backup, a pause
PACES_MS = (0, 0, 2, 8, 40)  # a sync of a good disk takes some, of a shared one many
REVOKED_OVER_S = 120.0  # before the end: who halts for it is re-armed in time
DISK_OVER_S = 60.0  # before the end: a bot that its disk has ended is started again in time


def draw(seed: int, hours: float) -> Case:
    """The case of a seed: the same for ever, for a given length."""
    length_s = hours * 3600
    series = random.Random(f"series {seed}").choice(SERIES)
    return Case(
        seed=seed,
        length_s=length_s,
        series=series,
        lives=_all_lives(seed, length_s, series),
        troubles=_troubles(random.Random(f"links {seed}"), length_s),
        disks=_disks(random.Random(f"disks {seed}"), length_s),
        clock=_clock(random.Random(f"clock {seed}"), length_s),
        delays=_delays(random.Random(f"delays {seed}")),
        sniped=random.Random(f"crowd {seed}").uniform(0.05, 0.3),
        plan=draw_plan(random.Random(f"plan {seed}"), WARM_UP_S),
        foreign_s=_foreign(random.Random(f"foreign {seed}"), length_s),
        engine=_engine(random.Random(f"engine {seed}"), length_s),
        strikes=_strikes(random.Random(f"strikes {seed}")),
        settings=draw_settings(random.Random(f"settings {seed}")),
        means=draw_means(random.Random(f"means {seed}")),
        terms=draw_terms(random.Random(f"terms {seed}")),
        # A stream keeps its name whatever its part is called: another one would draw other cases.
        conditions=draw_conditions(random.Random(f"weather {seed}")),
        certify=random.Random(f"switch {seed}").randrange(4) == 0,
        silence=draw_silence(random.Random(f"silence {seed}"), WARM_UP_S),
        node=draw_node(random.Random(f"node {seed}"), WARM_UP_S),
        bar=draw_bar(random.Random(f"bar {seed}"), WARM_UP_S),
        revoked=_revoked(random.Random(f"revoked {seed}"), length_s),
        listing=draw_listing(random.Random(f"listing {seed}"), WARM_UP_S),
        pace_ms=random.Random(f"pace {seed}").choice(PACES_MS),
        date=draw_date(random.Random(f"date {seed}"), length_s),
        sent=draw_sent(random.Random(f"money {seed}"), length_s),
        lag=_lag(random.Random(f"lag {seed}")),
        patient=random.Random(f"patience {seed}").random() < 0.5,
        index=_index(random.Random(f"index {seed}"), length_s),
        dark=_dark(random.Random(f"dark {seed}"), length_s),
        trips=random.Random(f"trips {seed}").choice(TRIPS),
        stands=_stands(random.Random(f"stands {seed}"), length_s),
    )


def _all_lives(seed: int, length_s: float, series: tuple[str, ...]) -> tuple[Life, ...]:
    lives = _lives(random.Random(f"lives {seed}"), length_s)
    lives = _signalled(random.Random(f"signals {seed}"), lives)
    lives = _lost(random.Random(f"journals {seed}"), lives)
    lives = _emptied(random.Random(f"emptied {seed}"), lives)
    lives = _edited(random.Random(f"edits {seed}"), lives, series)
    lives = _by_hand(random.Random(f"hands {seed}"), lives)
    lives = _hasty(random.Random(f"haste {seed}"), lives)
    return _soon(random.Random(f"soon {seed}"), lives)


def _lives(rng: random.Random, length_s: float) -> tuple[Life, ...]:
    lives: list[Life] = []
    left_s = length_s
    while left_s > 0:
        lasts_s = WARM_UP_S + rng.expovariate(DEATHS_PER_HOUR / 3600)
        if lasts_s > left_s - WARM_UP_S:
            break
        end = rng.choice((End.STOP, End.KILL, End.KILL))
        lives.append(Life(lasts_s, end, down_s=rng.uniform(20, 60)))
        left_s -= lasts_s + lives[-1].down_s
    return (*lives, Life(max(left_s, WARM_UP_S), End.STOP, 0.0))


def _signalled(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """By which signals each life is stopped; the last one by a single one, to be judged."""
    found = []
    for life in lives:
        number = rng.choice((signal.SIGINT, signal.SIGTERM))
        again_s = rng.choice((None, None, 0.0, rng.uniform(0, 3)))
        where = rng.choice(list(Where))
        found.append(attrs.evolve(life, signal=number, again_s=again_s, where=where))
    return (*found[:-1], attrs.evolve(found[-1], again_s=None))


def _lost(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """In one seed of four every other journal is lost with the machine, or moved away."""
    chance = rng.choice((0.0, 0.0, 0.0, 0.5))
    losing = (attrs.evolve(one, lost=rng.random() < chance) for one in lives[:-1])
    return (*losing, lives[-1])


def _emptied(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """In one seed of eight every other life ends by `stop --now`, or is dead when it comes."""
    chance = rng.choice((0.0,) * 7 + (0.5,))
    return tuple(attrs.evolve(one, emptied=rng.random() < chance) for one in lives)


def _edited(
    rng: random.Random, lives: tuple[Life, ...], series: tuple[str, ...]
) -> tuple[Life, ...]:
    """In one seed of three every other start is made with another file: of the same series or
    fewer, and with other settings or the usual ones.
    """
    chance = rng.choice((0.0, 0.0, 0.5))

    def edit() -> Edited | None:
        some = tuple(one for one in series if rng.random() < 0.5) or series
        edited = Edited(some, draw_settings(rng))
        return edited if rng.random() < chance else None

    return (lives[0], *(attrs.evolve(one, edited=edit()) for one in lives[1:]))


def _by_hand(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """In one seed of four every other pause sees the operator redeem what has won, and perhaps take
    some of the dollars out.
    """
    chance, found = rng.choice((0.0, 0.0, 0.0, 0.5)), list[Life]()
    for one in lives:
        by_hand, taken = rng.random() < chance, rng.choice(TAKEN)
        found.append(attrs.evolve(one, by_hand=by_hand, taken=taken if by_hand else 0))
    return tuple(found)


def _hasty(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """In one seed of four every other start is ended before it is done, or soon after."""
    chance, found = rng.choice((0.0, 0.0, 0.0, 0.5)), list[Life]()
    for one in lives[:-1]:
        hasty, haste_s = rng.random() < chance, rng.uniform(0, HASTE_S)
        found.append(attrs.evolve(one, haste_s=haste_s if hasty else None))
    return (*found, lives[-1])


def _soon(rng: random.Random, lives: tuple[Life, ...]) -> tuple[Life, ...]:
    """In one seed of four whoever looks after the program starts it again at once after every other
    death, before the venue's switch has done its work.
    """
    chance, found = rng.choice((0.0, 0.0, 0.0, 0.5)), list[Life]()
    for one in lives[:-1]:
        soon, soon_s = rng.random() < chance, rng.uniform(0, SOON_S)
        found.append(attrs.evolve(one, soon_s=soon_s if soon and not one.emptied else None))
    return (*found, lives[-1])


def _troubles(rng: random.Random, length_s: float) -> tuple[Trouble, ...]:
    return _harms(rng, length_s, rng.choice(TROUBLES_PER_HOUR), PORTS)


def _index(rng: random.Random, length_s: float) -> tuple[Trouble, ...]:
    """None in three seeds of four."""
    return _harms(rng, length_s, rng.choice((0, 0, 0, 20)), ("data",))


def _dark(rng: random.Random, length_s: float) -> tuple[Trouble, ...]:
    """None in three seeds of four; every other one is the whole network's."""
    ports = (EVERY,) * len(PORTS) + PORTS
    return _harms(rng, length_s, rng.choice((0, 0, 0, 20)), ports, (Harm.DARK,))


def _harms(
    rng: random.Random,
    length_s: float,
    per_hour: float,
    ports: tuple[str, ...],
    harms: tuple[Harm, ...] = (Harm.CUT, Harm.HELD, Harm.REFUSED),
) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    at_s = WARM_UP_S
    while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < length_s:
        harm = rng.choice(harms)
        for_s = 0.0 if harm is Harm.CUT else rng.uniform(0.5, 30)
        found.append(Trouble(at_s, rng.choice(ports), harm, for_s))
    return tuple(found)


def _stands(rng: random.Random, length_s: float) -> tuple[Stand, ...]:
    """None in three seeds of four."""
    per_hour, at_s, found = rng.choice(STANDS_PER_HOUR), WARM_UP_S, list[Stand]()
    while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < length_s:
        found.append(Stand(at_s, rng.choice(STANDS_S) * rng.uniform(0.5, 2)))
        at_s += found[-1].for_s
    return tuple(found)


def _disks(rng: random.Random, length_s: float) -> tuple[DiskTrouble, ...]:
    """Troubles of files, one after the other."""
    per_hour = rng.choice(DISKS_PER_HOUR)
    found: list[DiskTrouble] = []
    at_s = WARM_UP_S
    while per_hour:
        at_s += rng.expovariate(per_hour / 3600)
        for_s = rng.uniform(1, 30)
        if at_s + for_s > length_s - DISK_OVER_S:
            break
        ail, file = rng.choice(list(Ail)), rng.choice(FILES)
        wait_s, some = rng.choice((0.05, 0.5, 3.0)), rng.randrange(5_000)
        found.append(DiskTrouble(at_s, file, ail, for_s, wait_s, some))
        at_s += for_s
    return tuple(found)


def _clock(rng: random.Random, length_s: float) -> ClockTerms:
    def either_way(most: int) -> int:
        return rng.randint(-most, most)

    steps: list[Step] = []
    per_hour, at_s = rng.choice(STEPS_PER_HOUR), WARM_UP_S
    while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < length_s - CLOCK_OVER_S:
        steps.append(Step(at_s, either_way(rng.choice(STEPS_MS))))
    return ClockTerms(
        either_way(rng.choice(SKEWS_MS)), either_way(rng.choice(DRIFT_PPM)), tuple(steps)
    )


def _foreign(rng: random.Random, length_s: float) -> float | None:
    """One seed in eight: a person clicks in the browser."""
    at_s = rng.uniform(WARM_UP_S, max(WARM_UP_S, length_s - QUIET_S))
    return at_s if rng.randrange(8) == 0 else None


def _engine(rng: random.Random, length_s: float) -> EngineTerms | None:
    """One seed in six: as on the venue's Tuesday, somewhat shorter."""
    terms = EngineTerms(
        rng.uniform(WARM_UP_S, max(WARM_UP_S, length_s - QUIET_S)), rng.choice(AWAY_S)
    )
    return terms if rng.randrange(6) == 0 else None


def _revoked(rng: random.Random, length_s: float) -> RevokedTerms | None:
    """One seed in twelve, as rare as a bar and for the same reason."""
    last_s = rng.choice(REVOKED_S)
    latest_s = max(WARM_UP_S, length_s - REVOKED_OVER_S - last_s)
    terms = RevokedTerms(rng.uniform(WARM_UP_S, latest_s), last_s)
    return terms if rng.randrange(12) == 0 else None


def _strikes(rng: random.Random) -> StrikeTerms | None:
    """One seed in four."""
    terms = StrikeTerms(rng.choice(ERRORS_BP), rng.uniform(*CORRECTED_S))
    return terms if rng.randrange(4) == 0 else None


def _lag(rng: random.Random) -> tuple[str, float] | None:
    """One seed in six: a bad way to one service, or a gateway that dozes."""
    lag = rng.choice((*PORTS, "data")), rng.choice(LAGS_S)
    return lag if rng.randrange(6) == 0 else None


def _delays(rng: random.Random) -> tuple[tuple[str, float], ...]:
    return tuple((port, rng.choice(DELAYS_S)) for port in PORTS)
