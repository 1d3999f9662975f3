"""What every part of the shell is handed: the configuration,
the clock, and the owners of shared facts.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot.account import Account
from polybot.channels import Published
from polybot.clock import Clock
from polybot.config import Config
from polybot.console.snapshot import Event, Snapshot
from polybot.core_tape import CoreTape, Settled
from polybot.domain.orders import NewOrder, SignedOrder
from polybot.execution.firewall import Admission
from polybot.execution.throttle import Budget
from polybot.health import Health
from polybot.heartbeat import Heartbeat
from polybot.journal.recovery import Recovered
from polybot.lapse import Lapse
from polybot.loss_watch import LossWatch
from polybot.marks import Marks
from polybot.pricing.board import PriceBoard
from polybot.reconciler import Reconciler
from polybot.records import Records
from polybot.risk.breakers import ErrorRate
from polybot.signal.board import SignalMemory
from polybot.venue.clob import ClobClient
from polybot.venue.rest import Rest
from polybot.venue.secret import Credentials
from polybot.venue.signing import SALT_MAX, Wallet, sign_order
from polybot.venue.site import Site
from polybot.venue.tap import NOBODY, Tap

EVENTS_KEPT = 12


@attrs.define(eq=False)
class Context:
    config: Config
    clock: Clock
    site: Site
    wallet: Wallet
    credentials: Credentials
    client: ClobClient
    gamma: Rest
    account: Account
    heartbeat: Heartbeat
    reconciler: Reconciler
    recovered: Recovered  # what the journal knew at the start
    admission: Admission
    health: Health
    board: PriceBoard
    marks: Marks
    losses: LossWatch
    budget: Budget
    errors: ErrorRate
    signals: SignalMemory
    rng: random.Random
    records: Records
    published: Published[Snapshot | None]
    core: CoreTape
    tape: Tap = NOBODY
    funder: str | None = None  # None: the wallet's own address holds the money
    signature_type: int = 0
    stopping: bool = False
    trading: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    on_price: list[Callable[[], None]] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    lapse: Lapse = attrs.field(init=False)

    @lapse.default
    def _lapse(self) -> Lapse:
        client, health, owner = self.client, self.health, self.account.owner
        return Lapse(client, health, self.heartbeat, owner, self.tell)

    def sign(self, order: NewOrder) -> SignedOrder:
        """Sign an order and note whose it is, before anybody can send it."""
        signed = sign_order(
            order,
            wallet=self.wallet,
            funder=self.funder,
            signature_type=self.signature_type,
            owner_key=self.credentials.api_key,
            salt=self.rng.randint(0, SALT_MAX),
            timestamp_ms=self.clock.now_ms(),
        )
        self.account.own(signed.id, order.market.condition_id)
        return signed

    def settled(self, condition_id: str, up_payout: int) -> None:
        """A market's result is known: what one Up share pays, 10⁻⁶ dollars."""
        self.core.fed(Settled(condition_id, up_payout))
        self.signals.settled(condition_id, up_payout)
        self.keep_earned()

    def keep_earned(self) -> None:
        """Write down what the signals have earned, for the next run. It is told when a market
        settles, and at an orderly end: what a crash loses is judged again.
        """
        earned = self.signals.evidence.news()
        if earned is not None:
            self.account.journal.note(earned)

    def tell_halts(self) -> None:
        """Tell of each halt, and log it, for there may be nobody at the screen: those of before,
        and new ones when all who withdraw for them have heard.
        """
        for name, why in self.health.halted.items():
            self._tell_halt(name, why)
        self.health.on_halt.append(self._tell_halt)

    def _tell_halt(self, name: str, why: str) -> None:
        logger.error("trading is halted: {}: {}", name, why)
        self.tell(f"halted: {name}: {why}")

    def tell(self, text: str) -> None:
        """Put a line before the operator: fills, halts, settlements."""
        number = self.events[-1].number + 1 if self.events else 1
        self.events = [*self.events, Event(number, self.clock.now_ms(), text)][-EVENTS_KEPT:]
