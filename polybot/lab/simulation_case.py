"""What a seed means: how long, on which markets, what goes wrong on the way, and how each life of
the bot ends.

The venue's own faults come from the `storm` plan, those of links, disks and processes from here.
`simulation_draw.py` draws a case, `simulation_keep.py` leaves parts of it out.
"""

from __future__ import annotations

import enum
import signal

import attrs

from polybot.exchange.faults.plan import Entry, Plan
from polybot.lab.simulation_dates import Date
from polybot.lab.simulation_money import Sent, sent_text
from polybot.lab.simulation_plan import Spell
from polybot.lab.simulation_regime import Conditions
from polybot.lab.simulation_settings import Means, Setting, settings_text
from polybot.lab.simulation_terms import Term, terms_text

QUIET_S = 150.0  # at the end, without faults: then everything must have recovered
EVERY = "every"  # port: the machine has no network
PORTS = ("clob", "market_ws", "user_ws", "prices_ws", "binance_ws", "gamma", "relayer", "rpc")


class Harm(enum.Enum):
    """What happens to the connections of a port."""

    CUT = "cut"  # reset, once
    HELD = "held"  # carry nothing for a while; both ends believe that all is well
    REFUSED = "refused"  # cut, and none is taken for a while
    DARK = "dark"  # carry nothing, and new ones that are asked for wait as long


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
class Stand:
    """The bot's process stands still, and the world goes on."""

    at_s: float
    for_s: float


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
class RevokedTerms:
    """The wallet's approvals are gone from the chain: when, and how long until they are back."""

    at_s: float
    last_s: int


@attrs.frozen
class StrikeTerms:
    """Each price to beat is published wrong by so much, and put right after a while."""

    error_bp: int
    for_s: float


@attrs.frozen
class Edited:
    """What the operator has in his file from a start on, in place of what was there."""

    series: tuple[str, ...]
    settings: tuple[Setting, ...]


@attrs.frozen
class Life:
    """`down_s`: from its end until the next start. A stop is this signal, and the other one after
    `again_s`, if any. `lost`: the next one begins without this one's journal. `emptied`:
    an operator empties the wallet by `stop --now`, in place of a signal or after a death.
    `edited`: it begins with another file than the one before. `by_hand`: before the next one begins
    the operator redeems what has won, and takes out `taken` dollars (10⁻⁶). `haste_s`: it ends so
    soon instead, at any moment, perhaps while it starts. `soon_s`: the next one starts so soon
    after its end instead, perhaps while what rested at a death does so still.
    """

    lasts_s: float
    end: End
    down_s: float
    signal: signal.Signals = signal.SIGINT
    again_s: float | None = None
    where: Where = Where.ANYWHERE
    lost: bool = False
    emptied: bool = False
    edited: Edited | None = None
    by_hand: bool = False
    taken: int = 0
    haste_s: float | None = None
    soon_s: float | None = None

    @property
    def ends_s(self) -> float:
        """After its start."""
        return self.lasts_s if self.haste_s is None else self.haste_s


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
    date: Date | None = None  # when it begins instead
    lag: tuple[str, float] | None = None  # one service is that many seconds away, each way
    patient: bool = False  # slow answers are no trouble, says the operator: it trades with them
    sent: tuple[Sent, ...] = ()
    index: tuple[Trouble, ...] = ()  # of the links to the Data API alone
    dark: tuple[Trouble, ...] = ()  # no packet comes through
    stands: tuple[Stand, ...] = ()
    trips: int = 0  # until a connection is there; a service that lags takes it at once
    certify: bool = False  # as a live start does: the venue's switch is tried first
    silence: Spell | None = None  # one token of each market falls silent
    node: Spell | None = None  # the chain's node is behind
    listing: Spell | None = None  # trades are listed late
    bar: Spell | None = None  # our key or our region is refused
    revoked: RevokedTerms | None = None
    pace_ms: int = 0  # what a write of the journal takes in the mean, with a sound disk

    @property
    def usual(self) -> bool:
        """Whether nothing of bot, wallet or crowd is a good reason not to quote."""
        edited = any(life.edited for life in self.lives)
        usual = (self.means, self.conditions) == (Means(), Conditions())
        return usual and not (self.settings or edited or self.lag)

    @property
    def far(self) -> bool:
        """Whether a start may take longer than is waited for here: each request takes seconds, and
        a clock that is off twenty of them.
        """
        return self.lag is not None and self.lag[0] == "clob"

    @property
    def links(self) -> tuple[Trouble, ...]:
        """All troubles of links."""
        return (*self.troubles, *self.index, *self.dark)

    @property
    def faults(self) -> Plan:
        """The plan, with the foreign order, the engine's restart, what is revoked and the spells
        in it.
        """
        more: tuple[Entry, ...] = ()
        if self.foreign_s is not None:
            more += (Entry("foreign_order", from_ms=int(self.foreign_s * 1000), times=1),)
        if self.engine is not None:
            last = {"last_s": (self.engine.last_s, self.engine.last_s)}
            at_ms = int(self.engine.at_s * 1000)
            more += (Entry("engine_restarted", from_ms=at_ms, times=1, values=last),)
        if self.revoked is not None:
            last = {"last_s": (self.revoked.last_s, self.revoked.last_s)}
            at_ms = int(self.revoked.at_s * 1000)
            more += (Entry("allowance_revoked", from_ms=at_ms, times=1, values=last),)
        spells = (self.bar, self.silence, self.node, self.listing)
        more += tuple(spell.entry for spell in spells if spell is not None)
        return attrs.evolve(self.plan, entries=(*self.plan.entries, *more))

    def text(self) -> str:
        """All that was drawn, in a line for a report."""
        ends = " ".join(
            f"{_edit_text(life.edited)}{life.ends_s:.0f}s-{life.end.value}"
            f"{'-emptied' * life.emptied}{'-lost' * life.lost}{'-redeemed' * life.by_hand}"
            f"{'' if life.soon_s is None else f'-{life.soon_s:.1f}s-later'}"
            f"{f'-less-{life.taken / 1e6:g}' if life.taken else ''}"
            for life in self.lives
        )
        harms = ", ".join(f"{t.harm.value} {t.port} {t.at_s:.0f}s" for t in self.links)
        slow = ", ".join(f"{port} {delay:g}s" for port, delay in self.delays if delay)
        ails = ", ".join(f"{d.ail.value} {d.file} {d.at_s:.0f}s" for d in self.disks)
        steps = "".join(f", {step.by_ms:+d} ms {step.at_s:.0f}s" for step in self.clock.steps)
        stands = ", ".join(f"{one.for_s:.1f}s at {one.at_s:.0f}s" for one in self.stands)
        return (
            f"{' '.join(self.series)}; lives {ends}; links {harms or 'sound'}; "
            f"delays {slow or 'none'}, dialled in {self.trips} trips; lag {self._lag_text()}; "
            f"disks {ails or 'sound'}; clock {self.clock.skew_ms:+d} ms "
            f"{self.clock.drift_ppm:+d} ppm{steps}; stands still {stands or 'never'}; "
            f"foreign order {'none' if self.foreign_s is None else f'{self.foreign_s:.0f}s'}; "
            f"engine {self._engine_text()}; strikes {self._strikes_text()}; "
            f"silent tokens {_spell_text(self.silence)}; node behind {_spell_text(self.node)}; "
            f"trades listed late {_spell_text(self.listing)}; "
            f"barred {_spell_text(self.bar)}; approvals {self._approvals_text()}; "
            f"a write takes {self.pace_ms} ms; money {sent_text(self.sent)}; "
            f"{self._date_text()}; settings {settings_text(self.settings)}; "
            f"{self.means.text()}; switch {'tried' if self.certify else 'trusted'}; "
            f"venue {terms_text(self.terms)}; regime {self.conditions.text()}"
        )

    def _lag_text(self) -> str:
        patience = ", with patience" if self.patient else ""
        return "none" if self.lag is None else f"{self.lag[0]} {self.lag[1]:g}s{patience}"

    def _date_text(self) -> str:
        return f"begins {self.later_s} s later" if self.date is None else self.date.text()

    def _engine_text(self) -> str:
        engine = self.engine
        return "sound" if engine is None else f"away {engine.last_s}s at {engine.at_s:.0f}s"

    def _approvals_text(self) -> str:
        gone = self.revoked
        return "hold" if gone is None else f"gone for {gone.last_s}s at {gone.at_s:.0f}s"

    def _strikes_text(self) -> str:
        wrong = self.strikes
        return "right" if wrong is None else f"{wrong.error_bp:+d} bp for {wrong.for_s:.0f}s"


def _edit_text(edited: Edited | None) -> str:
    if edited is None:
        return ""
    return f"(then {' '.join(edited.series)}, {settings_text(edited.settings)}) "


def _spell_text(spell: Spell | None) -> str:
    return "never" if spell is None else spell.text()
