"""A stop is a signal, as the kernel delivers it: once, twice, both at once (F64, F65)."""

from __future__ import annotations

import signal
from unittest import mock

import attrs
import pytest
from simulation_kit import broken, calm, sound

from polybot.app import Bot
from polybot.lab.memory_net import Network
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case, End, Harm, Life, Trouble
from polybot.lab.simulation_draw import draw


def stopped(number: signal.Signals, again_s: float | None) -> Case:
    first = Life(15.0, End.STOP, 5.0, number, again_s)
    return attrs.evolve(calm(), lives=(first, Life(15.0, End.STOP, 0.0)))


def test_one_signal() -> None:
    """An orderly end, after which nothing rests, and a start on the same journal (S15, L4)."""
    outcome = sound(stopped(signal.SIGTERM, None))

    assert outcome.seen["stop"] == 2
    assert "double signal" not in outcome.seen


@pytest.mark.parametrize("again_s", [0.0, 0.05])
def test_two_signals(again_s: float) -> None:
    """The second leaves with the cancel-all on the wire, also when both come in one step (G9)."""
    outcome = sound(stopped(signal.SIGINT, again_s))

    assert outcome.seen["double signal"] == 1


@pytest.mark.parametrize("at_s", [1.3, 15.0])
def test_two_signals_far_away(at_s: float) -> None:
    """A connection takes 0.8 s, longer than the second signal waits. One that is ready has one for
    its cancel-all, whatever the reads of that moment take (brief seed 17926); at a start none may
    be there yet (brief seed 25).
    """
    first = Life(at_s, End.STOP, 5.0, signal.SIGINT, 0.0)
    lives = (first, Life(15.0, End.STOP, 0.0))
    outcome = sound(attrs.evolve(calm(), lives=lives, delays=(("clob", 0.2),), trips=2))

    assert outcome.seen["double signal"] == 1


def test_who_leaves_before_anything_is_withdrawn_is_found() -> None:
    """As we did it until both were sent at once: G9 says so."""

    async def at_once(_: Bot) -> None:
        """Waits for nothing."""

    with mock.patch.object(Bot, "until_withdrawn", at_once):
        outcome = simulate(stopped(signal.SIGINT, 0.0), until="G9")

    assert broken(outcome) == {"G9"}


def test_a_venue_that_takes_no_connection_is_told_nothing() -> None:
    """Seed 724: who leaves at the second signal has withdrawn in vain, which is not G9."""
    refused = Trouble(13.0, "clob", Harm.REFUSED, 8.0)
    outcome = sound(attrs.evolve(stopped(signal.SIGINT, 2.0), troubles=(refused,)))

    assert outcome.seen["double signal"] == 1


def test_a_venue_that_takes_one_as_somebody_leaves_was_told_in_vain() -> None:
    """Brief seed 7403: it took none until then, which is not G9 either."""
    refused = Trouble(14.0, "clob", Harm.REFUSED, 1.399)
    networks: list[Network] = []
    refuses = Network.refuses

    def asked(self: Network, port: int, since: float) -> bool:
        networks.append(self)
        assert port not in self.refused, "it takes connections again"
        return refuses(self, port, since)

    with mock.patch.object(Network, "refuses", asked):
        outcome = sound(attrs.evolve(stopped(signal.SIGINT, 0.0), troubles=(refused,)))

    assert outcome.seen["double signal"] == 1
    assert networks


def test_a_venue_that_takes_one_again_is_told_before_anybody_leaves() -> None:
    """Brief seed 88016: the stop's cancel-all was refused and not tried again, though the venue was
    there before the second signal; who left had withdrawn nothing.
    """
    refused = Trouble(14.5, "clob", Harm.REFUSED, 0.75)
    outcome = sound(attrs.evolve(stopped(signal.SIGINT, 0.3), troubles=(refused,)))

    assert outcome.seen["double signal"] == 1


def test_signals_are_drawn_apart() -> None:
    """Both kinds, once and twice, at once and later; the last life ends by one."""
    lives = [life for seed in range(200) for life in draw(seed, 1.0).lives]

    assert {life.signal for life in lives} == {signal.SIGINT, signal.SIGTERM}
    assert {None, 0.0} < {life.again_s for life in lives}
    assert all(draw(seed, 1.0).lives[-1].again_s is None for seed in range(200))
