"""What the venue itself does wrong, or at a bad time: acts on the engine and its surroundings."""

from __future__ import annotations

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.faults.kinds import VENUE
from polybot.exchange.faults.settlement_acts import under_way
from polybot.exchange.faults.state import Faults, Strike
from polybot.exchange.heartbeats import Heartbeats
from polybot.exchange.model import BUY, Accepted, Kind, Order, Refused
from polybot.exchange.modes import Modes

USUAL_TICK = 100


@attrs.frozen
class VenueActs:
    """Registers with `faults`. A foreign order is placed with `api_key` for the wallet that trades
    by it, or `wallet` while none does; `foreign` are their ids.
    """

    faults: Faults
    engine: Engine
    modes: Modes
    heartbeats: Heartbeats
    wallet: str
    api_key: str
    foreign: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        for act in (
            self.engine_restarted, self.cancel_only, self.trading_disabled, self.tick_changed,
            self.foreign_order, self.heartbeat_rotated,
        ):  # fmt: skip
            self.faults.on_act(VENUE, act.__name__, act)

    def engine_restarted(self, strike: Strike, now_ms: int) -> None:
        strike.land()
        self.modes.restart(now_ms, strike["last_s"])

    def cancel_only(self, strike: Strike, now_ms: int) -> None:
        strike.land()
        self.modes.cancel_only(now_ms, strike["last_s"])

    def trading_disabled(self, strike: Strike, now_ms: int) -> None:
        strike.land()
        self.modes.disable(now_ms, strike["last_s"])

    def tick_changed(self, strike: Strike, now_ms: int) -> None:
        for market in under_way(self.engine, strike, now_ms):
            strike.land()
            finer = market.tick == USUAL_TICK
            self.engine.change_tick(market, strike["tick"] if finer else USUAL_TICK, now_ms)

    def foreign_order(self, strike: Strike, now_ms: int) -> None:
        """A bid far from the market, as another program with the same key would place it."""
        market = next(under_way(self.engine, strike, now_ms), None)
        if market is None:
            return
        resting = self.engine.live_orders(self.api_key)
        account = resting[0].account if resting else self.wallet
        order = Order(
            f"0x{strike.rng.getrandbits(256):064x}", self.api_key, account, market,
            market.tokens[strike.rng.randrange(2)], BUY, market.tick, market.min_size, Kind.GTC,
            created_ms=now_ms,
        )  # fmt: skip

        self.foreign.add(order.id)

        def done(outcome: Accepted | Refused) -> None:
            if isinstance(outcome, Accepted):
                strike.land()

        self.engine.place(order, now_ms, done)

    def heartbeat_rotated(self, strike: Strike, _now_ms: int) -> None:
        for _ in range(self.heartbeats.rotate()):
            strike.land()
