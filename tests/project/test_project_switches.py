"""Every signal and every guard can be switched off in config.toml, and what then changes is what
the page of the configuration says.

Each case goes the whole way: a file with the one key, the loader, and the part of the bot that is
meant. What the page says of the key must stand in it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from risk_switches import RISK
from switch_kit import (
    MARKET,
    START,
    Prices,
    Switch,
    believed,
    book,
    cautioned,
    decided,
    fair,
    sides,
    warm,
)

from polybot.config import Config, load
from polybot.domain.prices import Feed
from polybot.domain.units import SHARE
from polybot.execution.throttle import Budget
from polybot.lab.config_docs import keys, sections
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoting.reasons import Why
from polybot.risk.checks import Limit, Over
from polybot.risk.limits import RiskParams
from polybot.signal.advice import Readings, advise
from polybot.signal.competitors import Response, Rivals
from polybot.signal.fast_move import Move
from polybot.signal.inputs import Depth
from polybot.signal.params import NAMES
from polybot.signal.parity import view
from polybot.signal.regime import Liquidity, Regime
from polybot.signal.toxicity import Standing, Toxicity

ROOT = Path(__file__).resolve().parents[2]

# --- signals --------------------------------------------------------------------------------------

CHEAP = Depth(((4000, 100 * SHARE),), ((4500, 100 * SHARE),))  # on both sides: a pair for 90 c
LOUD = {
    "flow": Readings(flow_shift=0.03),
    "toxicity": Readings(toxicity=Toxicity(Standing.STOPPED)),
    "competitors": Readings(rivals=Rivals(Response.DEEPER, None, 0, None, 0, None)),
    "regime": Readings(liquidity=Liquidity(Regime.LOW, 0.05, 100.0, 0.0, 0)),
    "fast_move": Readings(move=Move(5.0, fast=True)),
    "parity": Readings(
        parity=view(MARKET, CHEAP, CHEAP, buffer=0.002, chance=0.0, v=0.02, latency_s=0.15)
    ),
    "correlation": Readings(crowding=1.0),
}


def swayed(config: Config, name: str) -> str:
    """Whether a signal at its loudest changes the quotes."""
    advice = advise(LOUD[name], config.signals)
    plain, said = decided(config), decided(config, advice=advice)
    return "the same quotes" if plain.quotes == said.quotes else "others"


def signal(name: str) -> Switch:
    return Switch(
        "signals.acting",
        "the others are only computed, shown and scored",
        lambda config: swayed(config, name),
        {f'["{name}"]': "others", "[]": "the same quotes"},
    )


# --- quotes ---------------------------------------------------------------------------------------


def shifted(config: Config) -> str:
    found = decided(config, up=60)
    assert found.fair is not None
    assert found.reservation_up is not None
    return "lower" if found.reservation_up < found.fair - 0.001 else "fair"


def kept_back(config: Config) -> str:
    """The edge of a quote whose model may be wrong, and whose price moves."""
    edge = decided(config, q=fair(0.6, d=0.8, v=0.02)).edge
    assert edge is not None
    return f"{edge:.4f}"


def believed_of(config: Config) -> str:
    found = decided(config, q=fair(0.6))
    return "the market" if found.fair == found.market else "both"


def disputing(config: Config) -> str:
    found = decided(config, q=fair(0.8), view=book(4800, 5200), apart_s=60)
    return "withheld" if Why.DISAGREE in {reason.why for reason in found.reasons} else "quoted"


def taken(config: Config) -> str:
    found = decided(config, at_s=235, q=fair(0.5), up=80, view=book(4900, 5000))
    return "rests only" if found.take is None else "takes"


def relieved(config: Config) -> str:
    """Eighty Up, ten dollars over the limit of their cluster, long before the stop."""
    over = Over(Limit.CLUSTER_LOSS, 10_000_000)
    found = decided(config, q=fair(0.5), up=80, view=book(4900, 5000), over=over)
    return "goes on" if found.take is None else "takes"


QUOTES = [
    Switch("quote.gamma_per_share", "by which one net share moves the reservation price", shifted,
           {"0.002": "lower", "0.0": "fair"}),
    Switch("quote.kappa", "standard deviations over the latency", kept_back,
           {"1.0": "0.0417", "0.0": "0.0340"}),
    Switch("quote.sigma_error", "widens bids away from even odds", kept_back,
           {"0.1": "0.0417", "0.0": "0.0097"}),
    Switch("quote.base_edge", "before the model's own risks are added", kept_back,
           {"0.002": "0.0417", "0.0": "0.0397"}),
    Switch("quote.model_weight_max", "Most that the model may count", believed_of,
           {"0.8": "both", "0.0": "the market"}),
    Switch("quote.disagree_log_odds", "we are probably the one who is wrong", disputing,
           {"0.8": "withheld", "5.0": "quoted"}),
    Switch("quote.disagree_s", "Seconds of such a gap", disputing,
           {"5.0": "withheld", "600.0": "quoted"}),
    Switch("quote.stop_twap_s", "when only the light side is quoted",
           lambda c: sides(decided(c, at_s=200, up=20)),
           {"120.0": "Down", "0.0": "Up Down"},
           ("cutoff_twap_s = 0.0", "latency_s = 0.01", "stop_move = 0.5")),
    Switch("quote.stop_move", "even before the stop",
           lambda c: sides(decided(c, at_s=200, up=20)),
           {"0.01": "Down", "0.5": "Up Down"}, ("cutoff_twap_s = 0.0", "stop_twap_s = 0.0")),
    Switch("quote.cutoff_twap_s", "when nothing is quoted any more",
           lambda c: sides(decided(c, at_s=260, up=20)),
           {"60.0": "", "0.0": "Down"}),
    Switch("quote.preopen_s", "before the open when quoting may begin",
           lambda c: sides(decided(c, at_s=-10)),
           {"15.0": "Up Down", "0.0": ""}),
    Switch("completion.relieve", "held over a limit on losses is paired at once", relieved,
           {"true": "takes", "false": "goes on"}),
    Switch("completion.enabled", "without it positions are paired by resting bids only", taken,
           {"true": "takes", "false": "rests only"}),
]  # fmt: skip


# --- prices ---------------------------------------------------------------------------------------


def chance(config: Config) -> str:
    """The chance of Up, ten basis points above the strike."""
    return "surer" if believed(warm(config, 100, 10.0)).q > SURE else "less sure"


SURE = 0.85


def drifting(config: Config, shift: float) -> Prices:
    prices = warm(config)
    prices.shift = shift
    return prices.run(8)


def widened(config: Config) -> str:
    return "wider" if believed(drifting(config, 50.0)).quality.apart else "as usual"


def across(config: Config) -> str:
    """Oracle and exchange on two sides of the strike, a hundred seconds before the end."""
    prices = warm(config, 190, 0.5)
    prices.shift = -0.0002 * prices.price
    return "priced" if prices.run(8).told() == "priced" else "not priced"


def frozen(config: Config) -> str:
    prices = warm(config)
    prices.stuck = prices.price
    return prices.run(30, drift_bp=0.3).told()


def corrected(config: Config) -> str:
    return warm(config).strike(-3.0).told()


def alone(config: Config) -> str:
    """The size quoted when the exchange has been silent for five seconds."""
    prices = warm(config)
    prices.silent = frozenset({Feed.BINANCE})
    return f"{believed(prices.run(5)).quality.size:g}"


def early(config: Config) -> str:
    return Prices(config, START // 1000 - 5).run(20).told()


def jumped(config: Config) -> str:
    prices = warm(config)
    prices.price *= 1.004
    return cautioned(prices.run(3), Caution.JUMP)


NEVER = "1000000.0"
PRICES = [
    Switch("pricing.vol_error", "probabilities are averaged over it", chance,
           {"0.5": "less sure", "0.0": "surer"}),
    Switch("pricing.jumps_per_hour", "0 prices none", chance,
           {"60.0": "less sure", "0.0": "surer"}, ("vol_error = 0.0", "jump_bp = 50.0")),
    Switch("pricing.jump_share", "told as a caution", jumped,
           {"0.7": "told", "1.0": "not told"}),
    Switch("pricing.vol_prior_annual", "0 means wait instead", early,
           {"0.45": "priced", "0.0": WhyNoFair.VOLATILITY_UNKNOWN.value}),
    Switch("pricing.apart_warn_bp", "the edge is widened by that much", widened,
           {"3.0": "wider", NEVER: "as usual"}, (f"apart_halt_bp = {NEVER}",)),
    Switch("pricing.apart_halt_bp", "from which nothing is priced",
           lambda c: drifting(c, 200.0).told(),
           {"10.0": WhyNoFair.SOURCES_APART.value, NEVER: "priced"}),
    Switch("pricing.apart_sides_s", "on two sides of the strike stop quotes", across,
           {"120.0": "not priced", "0.0": "priced"}),
    Switch("pricing.frozen_move_bp", "to call a value frozen", frozen,
           {"2.0": WhyNoFair.FROZEN.value, NEVER: "priced"}),
    Switch("pricing.strike_pause_s", "nothing is priced, so that every old quote is gone",
           corrected, {"1.0": WhyNoFair.STRIKE_CORRECTED.value, "0.0": "priced"}),
    Switch("pricing.strike_correction_bp", "is a correction: everything is withdrawn", corrected,
           {"0.5": WhyNoFair.STRIKE_CORRECTED.value, NEVER: "priced"}),
    Switch("pricing.stale_exchange_size", "while the exchange is stale", alone,
           {"0.5": "0.5", "1.0": "1"}),
]  # fmt: skip


def requotes(config: Config) -> str:
    """How many cancels routine requotes may send at once, withdrawals kept in mind."""
    budget = Budget.from_params(config.orders)
    return str(budget.cancels.take(1_000, START, keep=budget.cancel_reserve))


MESSAGES = [
    Switch("orders.cancel_reserve", "it is kept for withdrawals", requotes, {"10": "30", "0": "40"})
]

SWITCHES = [*map(signal, NAMES), *QUOTES, *PRICES, *RISK, *MESSAGES]

# Proven where a whole bot, a socket or a disk is needed to see it: the file that does.
ELSEWHERE = {
    "pricing.rtds": "tests/shell/test_shell_prices.py",
    "pricing.vol_seasons": "tests/project/test_project_config.py",
    "live.certify": "tests/shell/test_shell_certify.py",
    "journal.calibration": "tests/shell/test_shell_prices.py",
    "tape.folder": "tests/journal/test_journal_recorder.py",
    "rewards.enabled": "tests/quoting/test_quoting_rewards.py",
    "inventory.seed_shares": "tests/shell/test_shell_inventory.py",
    "risk.slow_answer_s": "tests/shell/test_shell_answer_watch.py",
    "risk.undone_most": "tests/risk/test_risk_undone.py",
}


def configured(folder: Path, text: str) -> Config:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {})


def named(switch: Switch) -> str:
    first = next(iter(switch.values))
    return f"{switch.key}={first}"


@pytest.mark.parametrize("switch", SWITCHES, ids=named)
def test_a_switch_does_what_the_page_says(switch: Switch, tmp_path: Path) -> None:
    """With each of its values the behaviour named beside it, and the two are not the same."""
    found = {
        value: switch.behaves(configured(tmp_path, switch.text(value))) for value in switch.values
    }

    assert found == dict(switch.values)
    assert len(set(found.values())) == len(found) >= 2


@pytest.mark.parametrize("switch", SWITCHES, ids=named)
def test_the_page_says_what_a_switch_does(switch: Switch) -> None:
    """The sentence in docs/config.md is the one the case has proven."""
    section, _, name = switch.key.partition(".")
    (line,) = [
        line
        for part in (ROOT / "docs/config.md").read_text(encoding="utf-8").split("\n## ")
        if part.startswith(f"[{section}]")
        for line in part.splitlines()
        if line.startswith(f"| `{name}` |")
    ]

    assert switch.sentence in line


OFF = re.compile(
    r"is never|prices none|splits none|no collar|empty: n|means wait|leaves them alone|Whether"
)


def test_no_switch_is_forgotten() -> None:
    """Every key that is true or false, and every one whose sentence names the value that turns it
    off, has its case here or the file that proves it; so has every signal.
    """
    cases = {switch.key for switch in SWITCHES}
    offs = {
        f"{section}.{key.name}"
        for section, cls in sections()
        for key in keys(cls)
        if key.unit == "true or false" or OFF.search(key.sentence)
    }

    assert offs - cases == set(ELSEWHERE)
    assert not [file for file in ELSEWHERE.values() if not (ROOT / file).exists()]
    assert set(LOUD) == set(NAMES)
    assert {f"risk.{key.name}" for key in keys(RiskParams)} - cases - set(ELSEWHERE) == LENGTHS


# Of the limits, those that say for how long or from how many on another one counts.
LENGTHS = {
    f"risk.{name}"
    for name in (
        "error_window_s", "error_least_requests", "error_pause_s", "reject_window_s",
        "reject_pause_s", "repeat_window_s", "shrink_at_loss_percent", "undone_pause_s",
    )
}  # fmt: skip
