"""What an operator may have set otherwise than the simulation does: half of all seeds trade with
other settings, and half with another wallet or less money.

A fault that only shows where shares are always sold, where a signal acts, or where cash is short is
not found by any number of seeds that all trade alike (swarm testing, reliability.md 1.5). A few
values of each setting are enough, if they are far apart: beyond the default on both sides, and at
the ends that switch something off. Left out is what belongs to the world or to files.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from polybot.app import Bot
from polybot.config import BotParams, Config
from polybot.exchange.model import Market
from polybot.exchange.server import DEMO_FUNDS
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.lab.stage import lab_config
from polybot.risk.undone import UNDONE
from polybot.signal.params import NAMES

Setting = tuple[str, str, Any]  # section, key, value

SPEED = 1.0  # a second of Trio's virtual clock is one of the venue's
# Quick enough to meet every race, slow enough that a simulated hour is half a minute.
ORDERS = OrderParams(
    requote_min_ms=250, requote_max_ms=500, routine_every_ms=1000, hysteresis_ticks=2
)
INVENTORY = InventoryParams(merge_shares=10, merge_equity_percent=0)

MOST = 12  # settings that are others, in one seed
SECTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "quote": {
        "levels": (1, 3),
        "size_shares": (5.0, 25.0, 60.0),
        "size_growth": (1.5,),
        "size_floor": (0.0, 1.0),
        "fade_fraction": (0.0, 1.0),
        "step_ticks": (2, 5),
        "gamma_per_share": (0.0, 0.02),
        "base_edge": (0.0, 0.02),
        "rebate_counts": (0.0,),
        "model_weight_max": (0.0, 1.0),
        "disagree_log_odds": (0.1, 5.0),
        "target_total_max": (0.95, 0.999),
        "pair_jump": (0.01,),
        "pair_apart": (0.01,),
        "pair_unpaired": (0.02,),
        "pair_late": (0.02,),
        "stop_twap_s": (70.0, 200.0),
        "stop_move": (0.015, 0.5),
        "cutoff_twap_s": (20.0, 110.0),
        "cutoff_candle_s": (5.0, 50.0),
        "sell_held": ("always", "never"),
        "preopen_s": (15.0,),
    },
    "completion": {
        "enabled": (False,),
        "high_from": (0.3, 1.0),
        "slice_fraction": (1.0,),
        "every_s": (0.2, 5.0),
        "relieve": (False,),
        "relief_pay": (0.0, 0.1),
    },
    "rewards": {"enabled": (False,), "counts": (0.0,), "check_s": (5.0,)},
    "pricing": {
        "rtds": (True,),
        "jumps_per_hour": (6.0,),
        "oracle_stale_s": (1.5, 10.0),
        "apart_sides_s": (0.0, 300.0),
        "strike_pause_s": (0.0, 10.0),
    },
    "risk": {
        "max_order_shares": (20,),
        "max_open_orders_per_market": (3,),
        "max_open_orders": (6,),
        "max_net_shares": (20, 400),
        "max_position_usd_per_token": (30,),
        "max_position_usd_per_market": (200,),
        "max_market_loss_percent": (1, 10),
        "price_collar": (0.02, 1.0),
        "error_most_percent": (5, 100),
        "reject_most": (0, 2),
        "repeat_most": (0, 5),
        "undone_most": (1, 4),
        "undone_pause_s": (30,),
        "max_daily_loss_percent": (1, 3),
        "max_drawdown_percent": (1, 4),
    },
    "signals": {
        "acting": (NAMES,),
        "earn_calls": (0.0,),
        "toxic_least_fills": (3.0,),
        "regime_hold_s": (0.5,),
        "fast_sigmas": (1.0,),
    },
    "orders": {
        "requote_min_ms": (50,),
        "routine_every_ms": (0, 200, 3000),
        "hysteresis_ticks": (0, 3),
        "hysteresis_percent": (0, 100),
        "orders_per_s": (5,),
        "cancel_reserve": (0,),
        "post_timeout_s": (2, 10),
        "unknown_grace_s": (10,),
    },
    "inventory": {
        "merge_shares": (5, 1000),
        "cash_percent": (0, 80),
        "seed_shares": (20,),
        "submits_per_minute": (3,),
    },
}  # fmt: skip
CHOICES: tuple[tuple[str, str, tuple[Any, ...]], ...] = tuple(
    (section, key, values) for section, keys in SECTIONS.items() for key, values in keys.items()
)

FUNDS = (DEMO_FUNDS, 300_000_000, 120_000_000)  # 10⁻⁶ dollars


@attrs.frozen
class Means:
    """Whose money it is: the wallet's kind as the venue counts them (clob.md 3.3), and how much."""

    signature_type: int = 3
    funds: int = DEMO_FUNDS

    def text(self) -> str:
        return f"wallet of type {self.signature_type} with {self.funds // 1_000_000} dollars"


def draw_settings(rng: random.Random) -> tuple[Setting, ...]:
    """None for every second seed."""
    if rng.random() < 0.5:
        return ()
    chosen = rng.sample(CHOICES, rng.randint(1, MOST))
    return tuple((section, key, rng.choice(values)) for section, key, values in chosen)


def draw_means(rng: random.Random) -> Means:
    """A deposit wallet with much money for every second seed."""
    if rng.random() < 0.5:
        return Means()
    return Means(rng.randrange(4), rng.choice(FUNDS))


# Who is a second away from the venue would place nothing by the default, and has to say that slow
# answers are none.
PATIENCE: tuple[Setting, ...] = (("risk", "slow_answer_s", 0.0),)


def usual_config(seed: int, series: tuple[str, ...]) -> Config:
    """What the other half trades with."""
    return attrs.evolve(
        lab_config(seed, SPEED), bot=BotParams(series=series), inventory=INVENTORY, orders=ORDERS
    )


def with_settings(config: Config, settings: tuple[Setting, ...]) -> Config:
    """The configuration with them. One that contradicts what is set already is left out, as an
    operator whose start is refused would take it back.
    """
    for section, key, value in settings:
        change: Mapping[str, Any] = {key: value}
        try:
            config = attrs.evolve(
                config, **{section: attrs.evolve(getattr(config, section), **change)}
            )
        except ValueError:
            continue
    return config


def said_why(bot: Bot, market: Market) -> bool:
    """With other settings, less money or another crowd there may be good reasons not to quote a
    market; they are to be told.
    """
    if bot.ctx.health.halted or UNDONE in bot.ctx.health.troubles:
        return True
    scope = bot.supervisor.scopes.get(market.slug)
    told = scope and (scope.quote.quoter.decision.reasons or scope.orders.desk.refused)
    return bool(told)


def settings_text(settings: tuple[Setting, ...]) -> str:
    said = (
        f"{section}.{key} {'all' if value is NAMES else value}" for section, key, value in settings
    )
    return ", ".join(said) or "as they are"
