"""What a seed means: how long, on which markets, what goes wrong on the way, and how each life of
the bot ends.

Every part is drawn from a stream of its own, so that more of one does not move another. Faults are
subsets with intensities (swarm testing, reliability.md 1.5): the venue's own come from the `storm`
plan, those of links, disks and processes from here.
"""

from __future__ import annotations

import enum
import random
import signal

import attrs

from polybot.exchange.faults.plan import Entry, Plan
from polybot.lab.simulation_plan import Spell, draw_node, draw_plan, draw_silence
from polybot.lab.simulation_regime import Conditions, draw_conditions
from polybot.lab.simulation_settings import (
    Means,
    Setting,
    draw_means,
    draw_settings,
    settings_text,
)
from polybot.lab.simulation_terms import Term, draw_terms, terms_text

WARM_UP_S = 60.0
QUIET_S = 150.0  # at the end, without faults: then everything must have recovered
PORTS = ("clob", "market_ws", "user_ws", "prices_ws", "binance_ws", "gamma", "relayer", "rpc")
DELAYS_S = (0.0, 0.0, 0.01, 0.03, 0.1, 0.2)  # one way; half of all seeds have a quick link
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
CLOCK_OVER_S = 30.0  # before the end: it is noticed within twenty
DISK_OVER_S = 60.0  # before the end: a bot that its disk has ended is started again in time


class Harm(enum.Enum):
    """What happens to the connections of a port."""

    CUT = "cut"  # reset, once
    HELD = "held"  # carry nothing for a while; both ends believe that all is well
    REFUSED = "refused"  # cut, and none is taken for a while


class Ail(enum.Enum):
    """What is wrong with a file."""

    SLOW = "slow"
    FULL = "full"  # no page more is given
    BROKEN = "broken"  # no byte is taken
    SHORT = "short"  # of the next write only the beginning is taken


class End(enum.Enum):
    """How a life of the bot ends."""

    STOP = "stop"
    KILL = "kill"


class Where(enum.Enum):
    """In which step a kill meets the bot."""

    ANYWHERE = "anywhere"
    WRITTEN = "written"  # the intent of an order is durable, nothing of it is on the wire
    SENT = "sent"  # an order is on the wire, its answer will find nobody


@attrs.frozen
class Trouble:
    at_s: float
    port: str
    harm: Harm
    for_s: float


@attrs.frozen
class DiskTrouble:
    """`file`: one of `FILES`. `wait_s` is how long each write of a slow disk takes, `bytes` how
    many a short one takes.
    """

    at_s: float
    file: str
    ail: Ail
    for_s: float
    wait_s: float
    bytes: int


FILES = ("journal", "tape")


@attrs.frozen
class Step:
    """The bot's clock jumps: back where the machine has slept, ahead where it was set."""

    at_s: float
    by_ms: int


@attrs.frozen
class ClockTerms:
    """The bot's clock beside the venue's: how far ahead at every start, how much faster, and when
    it jumps. Trio's own clock, by which everybody sleeps, goes on.
    """

    skew_ms: int = 0
    drift_ppm: int = 0
    steps: tuple[Step, ...] = ()


@attrs.frozen
class EngineTerms:
    """The matching engine restarts: when, and for how long it is away. Two minutes of post-only
    follow.
    """

    at_s: float
    last_s: int


@attrs.frozen
class StrikeTerms:
    """Each price to beat is published wrong by so much, and put right after a while."""

    error_bp: int
    for_s: float


@attrs.frozen
class Life:
    """`down_s`: from its end until the next start. A stop is this signal, and the other one after
    `again_s`, if any. `lost`: the next one begins without this one's journal.
    """

    lasts_s: float
    end: End
    down_s: float
    signal: signal.Signals = signal.SIGINT
    again_s: float | None = None
    where: Where = Where.ANYWHERE
    lost: bool = False


@attrs.frozen
class Case:
    """One seed. `lives` are in order; the last is always stopped, `quiet_s` after all faults."""

    seed: int
    length_s: float
    series: tuple[str, ...]
    lives: tuple[Life, ...]
    troubles: tuple[Trouble, ...]
    disks: tuple[DiskTrouble, ...]
    clock: ClockTerms
    delays: tuple[tuple[str, float], ...]
    sniped: float  # share of our orders that somebody takes on sight
    plan: Plan
    foreign_s: float | None = None  # when somebody else places an order with the same key
    engine: EngineTerms | None = None
    strikes: StrikeTerms | None = None
    settings: tuple[Setting, ...] = ()
    means: Means = Means()
    terms: tuple[Term, ...] = ()
    conditions: Conditions = Conditions()
    quiet_s: float = QUIET_S
    later_s: int = 0  # than the middle of a window it begins
    certify: bool = False  # as a live start does: the venue's switch is tried first
    silence: Spell | None = None  # one token of each market falls silent
    node: Spell | None = None  # the chain's node is behind

    @property
    def usual(self) -> bool:
        """Whether nothing of bot, wallet or crowd is a good reason not to quote."""
        return not self.settings and (self.means, self.conditions) == (Means(), Conditions())

    @property
    def faults(self) -> Plan:
        """The plan, with the foreign order, the engine's restart and the spells in it."""
        more: tuple[Entry, ...] = ()
        if self.foreign_s is not None:
            more += (Entry("foreign_order", from_ms=int(self.foreign_s * 1000), times=1),)
        if self.engine is not None:
            last = {"last_s": (self.engine.last_s, self.engine.last_s)}
            at_ms = int(self.engine.at_s * 1000)
            more += (Entry("engine_restarted", from_ms=at_ms, times=1, values=last),)
        more += tuple(spell.entry for spell in (self.silence, self.node) if spell is not None)
        return attrs.evolve(self.plan, entries=(*self.plan.entries, *more))

    def text(self) -> str:
        """All that was drawn, in a line for a report."""
        ends = " ".join(
            f"{life.lasts_s:.0f}s-{life.end.value}{'-lost' * life.lost}" for life in self.lives
        )
        harms = ", ".join(f"{t.harm.value} {t.port} {t.at_s:.0f}s" for t in self.troubles)
        slow = ", ".join(f"{port} {delay:g}s" for port, delay in self.delays if delay)
        ails = ", ".join(f"{d.ail.value} {d.file} {d.at_s:.0f}s" for d in self.disks)
        steps = "".join(f", {step.by_ms:+d} ms {step.at_s:.0f}s" for step in self.clock.steps)
        return (
            f"{' '.join(self.series)}; lives {ends}; links {harms or 'sound'}; "
            f"delays {slow or 'none'}; disks {ails or 'sound'}; clock {self.clock.skew_ms:+d} ms "
            f"{self.clock.drift_ppm:+d} ppm{steps}; "
            f"foreign order {'none' if self.foreign_s is None else f'{self.foreign_s:.0f}s'}; "
            f"engine {self._engine_text()}; strikes {self._strikes_text()}; "
            f"silent tokens {_spell_text(self.silence)}; node behind {_spell_text(self.node)}; "
            f"begins {self.later_s} s later; settings {settings_text(self.settings)}; "
            f"{self.means.text()}; switch {'tried' if self.certify else 'trusted'}; "
            f"venue {terms_text(self.terms)}; regime {self.conditions.text()}"
        )

    def _engine_text(self) -> str:
        engine = self.engine
        return "sound" if engine is None else f"away {engine.last_s}s at {engine.at_s:.0f}s"

    def _strikes_text(self) -> str:
        wrong = self.strikes
        return "right" if wrong is None else f"{wrong.error_bp:+d} bp for {wrong.for_s:.0f}s"


def _spell_text(spell: Spell | None) -> str:
    return "never" if spell is None else spell.text()


PARTS = (
    "storm", "delays", "deaths", "sniper", "disks", "clock", "foreign", "engine", "strikes",
    "series", "settings", "means", "terms", "regime", "amnesia", "certify",
    "silence", "node",
)  # fmt: skip


@attrs.frozen
class Keep:
    """Which parts of a case are lived through: all of them, or what a failure needs.

    `links`: numbers of the troubles, None for all.
    """

    storm: bool = True
    delays: bool = True
    deaths: bool = True
    sniper: bool = True
    disks: bool = True
    clock: bool = True
    foreign: bool = True
    engine: bool = True
    strikes: bool = True
    series: bool = True
    settings: bool = True
    means: bool = True
    terms: bool = True
    regime: bool = True
    amnesia: bool = True
    certify: bool = True
    silence: bool = True
    node: bool = True
    links: tuple[int, ...] | None = None

    def of(self, case: Case) -> Case:
        links = range(len(case.troubles)) if self.links is None else self.links
        return attrs.evolve(
            case,
            plan=case.plan if self.storm else Plan(),
            delays=case.delays if self.delays else (),
            lives=self._lives(case),
            sniped=case.sniped if self.sniper else 0.0,
            disks=case.disks if self.disks else (),
            clock=case.clock if self.clock else ClockTerms(),
            foreign_s=case.foreign_s if self.foreign else None,
            engine=case.engine if self.engine else None,
            strikes=case.strikes if self.strikes else None,
            series=case.series if self.series else case.series[:1],
            settings=case.settings if self.settings else (),
            means=case.means if self.means else Means(),
            terms=case.terms if self.terms else (),
            conditions=case.conditions if self.regime else Conditions(),
            troubles=tuple(case.troubles[number] for number in links),
            certify=case.certify and self.certify,
            silence=case.silence if self.silence else None,
            node=case.node if self.node else None,
        )

    def _lives(self, case: Case) -> tuple[Life, ...]:
        if not self.deaths:
            return (Life(case.length_s, End.STOP, 0.0),)
        return tuple(attrs.evolve(one, lost=one.lost and self.amnesia) for one in case.lives)

    def without(self, part: str) -> Keep:
        """The same without one of the `PARTS`."""
        kept = {name: getattr(self, name) and name != part for name in PARTS}
        return Keep(**kept, links=self.links)

    def words(self) -> str:
        """As the command line says it."""
        said = [f"--no-{part}" for part in PARTS if not getattr(self, part)]
        if self.links is not None:
            said.append("--links " + (",".join(map(str, self.links)) or "none"))
        return " ".join(said)


def draw(seed: int, hours: float) -> Case:
    """The case of a seed: the same for ever, for a given length."""
    length_s = hours * 3600
    return Case(
        seed=seed,
        length_s=length_s,
        series=random.Random(f"series {seed}").choice(SERIES),
        lives=_lost(
            random.Random(f"journals {seed}"),
            _signalled(
                random.Random(f"signals {seed}"), _lives(random.Random(f"lives {seed}"), length_s)
            ),
        ),
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
    )


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


def _troubles(rng: random.Random, length_s: float) -> tuple[Trouble, ...]:
    per_hour = rng.choice(TROUBLES_PER_HOUR)
    found: list[Trouble] = []
    at_s = WARM_UP_S
    while per_hour and (at_s := at_s + rng.expovariate(per_hour / 3600)) < length_s:
        harm = rng.choice(list(Harm))
        for_s = 0.0 if harm is Harm.CUT else rng.uniform(0.5, 30)
        found.append(Trouble(at_s, rng.choice(PORTS), harm, for_s))
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


def _strikes(rng: random.Random) -> StrikeTerms | None:
    """One seed in four."""
    terms = StrikeTerms(rng.choice(ERRORS_BP), rng.uniform(*CORRECTED_S))
    return terms if rng.randrange(4) == 0 else None


def _delays(rng: random.Random) -> tuple[tuple[str, float], ...]:
    return tuple((port, rng.choice(DELAYS_S)) for port in PORTS)
