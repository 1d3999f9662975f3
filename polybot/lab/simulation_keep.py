"""A case without some of its parts: how a seed that failed is shrunk to what its failure needs."""

from __future__ import annotations

import attrs

from polybot.exchange.faults.plan import Plan
from polybot.lab.simulation_case import Case, ClockTerms, End, Life
from polybot.lab.simulation_regime import Conditions
from polybot.lab.simulation_settings import Means

# What can be left out, and what that is (docs/laboratory.md says how often each is drawn).
PARTS = {
    "storm": "the plan of the venue's faults",
    "delays": "the time that a message takes to each service",
    "deaths": "all ends of lives but the last: one life, and no kill",
    "sniper": "somebody who takes our orders on sight",
    "disks": "what is wrong with the disks of journal and tape",
    "clock": "what is wrong with the bot's clock",
    "foreign": "somebody else's order with the same key",
    "engine": "the restart of the matching engine",
    "strikes": "prices to beat that are published wrong",
    "series": "all series but the first",
    "settings": "what an operator has set otherwise",
    "means": "another kind of wallet, or less money",
    "terms": "other answers to what is open about the venue",
    "regime": "another market than the calibrated one",
    "amnesia": "the loss of journals",
    "haste": "starts that are ended before they are done",
    "soon": "starts so soon after a death that orders rest still",
    "edits": "starts with another configuration than the one before",
    "emptied": "wallets that an operator empties by `stop --now`",
    "certify": "the trial of the venue's dead-man switch at each start",
    "silence": "tokens of which the market stream tells nothing",
    "node": "a node of the chain that is behind",
    "listing": "a list of trades that is behind their matches",
    "bar": "a venue that refuses our key or our region",
    "revoked": "approvals that are gone from the chain",
    "lag": "a service that is seconds away",
    "index": "troubles of the links to the Data API",
    "dark": "links, or a whole network, that no packet passes",
    "trips": "the time that it takes to connect",
    "stands": "moments in which the bot's process stands still",
    "money": "dollars that come from outside, and what an operator redeems by hand",
    "date": "another day than the usual one",
    "pace": "the milliseconds that a write of a sound disk takes",
}


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
    haste: bool = True
    soon: bool = True
    edits: bool = True
    emptied: bool = True
    certify: bool = True
    silence: bool = True
    node: bool = True
    listing: bool = True
    bar: bool = True
    revoked: bool = True
    lag: bool = True
    index: bool = True
    dark: bool = True
    trips: bool = True
    stands: bool = True
    money: bool = True
    date: bool = True
    pace: bool = True
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
            listing=case.listing if self.listing else None,
            bar=case.bar if self.bar else None,
            revoked=case.revoked if self.revoked else None,
            lag=case.lag if self.lag else None,
            patient=case.patient and self.lag,
            index=case.index if self.index else (),
            dark=case.dark if self.dark else (),
            trips=case.trips if self.trips else 0,
            stands=case.stands if self.stands else (),
            sent=case.sent if self.money else (),
            date=case.date if self.date else None,
            pace_ms=case.pace_ms if self.pace else 0,
        )

    def _lives(self, case: Case) -> tuple[Life, ...]:
        lives = case.lives if self.deaths else (Life(case.length_s, End.STOP, 0.0),)
        return tuple(
            attrs.evolve(
                one,
                lost=one.lost and self.amnesia,
                emptied=one.emptied and self.emptied,
                edited=one.edited if self.edits else None,
                by_hand=one.by_hand and self.money,
                taken=one.taken if self.money else 0,
                haste_s=one.haste_s if self.haste else None,
                soon_s=one.soon_s if self.soon else None,
            )
            for one in lives
        )

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
