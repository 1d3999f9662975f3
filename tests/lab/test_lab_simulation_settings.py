"""Other settings, other wallets, less money: what seeds draw of them, and that a life has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import broken, calm, sound

from polybot.config import Config
from polybot.domain.halts import Halt
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_settings import (
    CHOICES,
    FUNDS,
    Means,
    said_why,
    usual_config,
    with_settings,
)
from polybot.risk.losses import LossLimits
from polybot.risk.undone import UNDONE

USUAL = usual_config(1, ("btc-5m",))
DRAWN = [draw(seed, 1.0) for seed in range(1, 401)]


def value_of(config: Config, section: str, key: str) -> Any:
    return getattr(getattr(config, section), key)


@pytest.mark.parametrize(("section", "key", "values"), CHOICES)
def test_each_is_a_setting_and_another_one(section: str, key: str, values: tuple[Any, ...]) -> None:
    """A start would take it, and it is not what every other seed has."""
    for value in values:
        config = with_settings(USUAL, ((section, key, value),))
        assert value_of(config, section, key) == value
        assert value_of(USUAL, section, key) != value


def test_what_contradicts_is_left_out() -> None:
    """The first one stands, and all that does not contradict it."""
    settings = (
        ("quote", "cutoff_twap_s", 110.0),
        ("quote", "stop_twap_s", 70.0),
        ("quote", "levels", 3),
    )
    quote = with_settings(USUAL, settings).quote

    assert (quote.cutoff_twap_s, quote.stop_twap_s, quote.levels) == (110.0, 120.0, 3)


def test_what_seeds_draw() -> None:
    """Half of them nothing, the same for ever; every setting, every kind of wallet, every sum."""
    set_so = [case.settings for case in DRAWN if case.settings]
    means = [case.means for case in DRAWN]

    assert 160 < len(set_so) < 240
    assert {(section, key) for some in set_so for section, key, _ in some} == {
        (section, key) for section, key, _ in CHOICES
    }
    assert 160 < sum(one == Means() for one in means) < 260
    assert {one.signature_type for one in means} == {0, 1, 2, 3}
    assert {one.funds for one in means} == set(FUNDS)
    assert DRAWN[6] == draw(7, 1.0)


def test_they_can_be_left_out_and_are_told() -> None:
    """As every part of a case."""
    case = next(one for one in DRAWN if one.settings and one.means != Means())
    keep = Keep(settings=False, means=False, terms=False, regime=False)
    plain = keep.of(case)
    section, key, value = case.settings[0]

    assert (plain.settings, plain.means, plain.terms) == ((), Means(), ())
    assert keep.words() == "--no-settings --no-means --no-terms --no-regime"
    assert f"{section}.{key} {value}" in case.text()
    assert f"type {case.means.signature_type} " in case.text()
    assert "settings as they are; wallet of type 3 with 2000 dollars" in plain.text()
    assert plain.text().endswith("; venue as we believe; regime as measured")


def life(**other: Any) -> Case:
    return attrs.evolve(calm(length_s=40.0), **other)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_another_kind_of_wallet_trades(kind: int) -> None:
    """And is judged by its own books: they agree with the bot's after fills (L2)."""
    assert sound(life(means=Means(kind, FUNDS[1]))).seen["TRADE"] > 0


HARSH = (
    ("risk", "max_daily_loss_percent", 1),
    ("risk", "max_drawdown_percent", 1),
    ("quote", "size_shares", 25.0),
    ("risk", "max_market_loss_percent", 10),
)


def test_a_loss_halts_and_is_one() -> None:
    """Of 120 dollars one per cent is soon gone: trading halts, an operator re-arms, and goes on."""
    case = Keep(deaths=False).of(calm(6, length_s=150.0))
    harsh = attrs.evolve(case, settings=HARSH, means=Means(3, FUNDS[2]), sniped=0.6)

    assert sound(harsh).seen["loss limit passed"] > 0


def test_a_halt_for_a_loss_that_is_none_is_found() -> None:
    """Somebody reckons shares at nothing: the wallet has lost nothing for sure (G25)."""
    with mock.patch.object(LossLimits, "_breach", return_value=(Halt.DAILY_LOSS, "a test")):
        found = simulate(life(settings=HARSH, means=Means(3, FUNDS[0])), until="G25")

    assert "G25" in broken(found)


@pytest.mark.parametrize(
    ("usual", "reasons", "refused", "halted", "troubles", "told"),
    [
        (True, ("no cash",), {}, {}, {}, False),  # nothing excuses the usual bot
        (False, (), {}, {}, {}, False),  # nor one that is silently off
        (False, ("no cash",), {}, {}, {}, True),
        (False, (), {"token limit": 1}, {}, {}, True),
        (False, (), {}, {"drawdown": "lost"}, {}, True),
        (False, (), {}, {}, {UNDONE: "3 of the last 20 trades failed"}, True),
        (False, (), {}, {}, {"heartbeat": "no answer"}, False),  # in quiet times it comes back
    ],
)
def test_what_excuses_a_market_without_orders(
    usual: bool, reasons: tuple[str, ...], refused: dict[str, int], halted: dict[str, str],
    troubles: dict[str, str], told: bool,
) -> None:  # fmt: skip
    """L7 with other settings or less money: only what the bot has said."""
    decision = SimpleNamespace(decision=SimpleNamespace(reasons=reasons))
    scope = SimpleNamespace(
        quote=SimpleNamespace(quoter=decision),
        orders=SimpleNamespace(desk=SimpleNamespace(refused=refused)),
    )
    bot: Any = SimpleNamespace(
        supervisor=SimpleNamespace(scopes={"btc-updown": scope}),
        ctx=SimpleNamespace(health=SimpleNamespace(halted=halted, troubles=troubles)),
    )
    market: Any = SimpleNamespace(slug="btc-updown")

    assert (not usual and said_why(bot, market)) is told


def test_settings_are_what_the_bot_goes_by() -> None:
    """With three levels more orders are placed, with none of the money nothing is."""
    few, many, none = (
        sound(life(quiet_s=0.0, **other)).seen.get("PLACEMENT", 0)
        for other in (
            {"settings": (("quote", "levels", 1),)},
            {"settings": (("quote", "levels", 3),)},
            {"means": Means(3, 1_000_000)},
        )
    )

    assert many > few > none == 0
