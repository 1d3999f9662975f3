"""The backtest's loop: the bot's core against the engine, on recorded windows, without sockets."""

from __future__ import annotations

import functools

import attrs
import pytest
from backtest_kit import SLUGS, config, models, recording

from polybot.domain.market import Outcome
from polybot.exchange import invariants
from polybot.exchange.model import Event, Traded
from polybot.exchange.recording_prices import RecordedPrices
from polybot.lab.backtest_run import Play, WindowResult
from polybot.lab.backtest_stage import Stage
from polybot.lab.backtest_venue import KEY, told


@functools.cache
def outcome(queue: str = "pessimistic", latency: str = "25") -> tuple[Play, WindowResult]:
    """One window played."""
    play = Play(recording(), config(), models(queue, latency))
    (result,) = play.run()
    return play, result


@attrs.define
class Watched:
    """A play that is listened to: `moved` counts what moved our orders, `traded` is when and how
    much of them was. The exchange's invariants are looked at as it goes on.
    """

    play: Play
    result: WindowResult = attrs.field(init=False)
    events: int = 0
    moved: int = 0
    traded: list[tuple[int, int]] = attrs.field(factory=list)

    def hear(self, event: Event) -> None:
        self.events += 1
        ours = bool(told(event))
        self.moved += ours
        if ours or self.events % 100 == 0:
            invariants.check(self.play.venue.engine)
        if isinstance(event, Traded):
            fills = (fill for fill in event.trade.makers if fill.order.owner == KEY)
            self.traded += [(event.at_ms, fill.shares) for fill in fills]


@functools.cache
def watched() -> Watched:
    """One window played where whatever trades at our price fills us."""
    found = Watched(Play(recording(), config(), models("touch")))
    found.play.venue.engine.listeners.append(found.hear)
    (found.result,) = found.play.run()
    return found


def test_the_bot_trades_and_what_it_earned_adds_up() -> None:
    """Fills come, the parts are the profit, and our books are the venue's (strategy.md 17)."""
    play, result = outcome()

    assert result.slug == SLUGS[0]
    assert result.fills > 0
    assert result.orders > result.fills
    assert result.sources.total == result.profit
    assert play.wallet.ledger.equity == play.venue.engine.equity("0x" + "b0" * 20)


def test_a_feed_that_begins_late_is_silent_until_then() -> None:
    """Its first price was told all along before: it stood still while the other moved, and the
    distance that was taken for usual widened every edge to 25 cents for minutes after.
    """
    whole = recording()
    assert isinstance(whole.prices, RecordedPrices)
    seconds = range(whole.start_ms - 200_000, whole.end_ms, 1000)
    oracle = [(at_ms, whole.prices.chainlink("btc", at_ms)) for at_ms in seconds]
    spot = [(at_ms, whole.prices.binance("btc", at_ms)) for at_ms in seconds]
    start_ms = whole.tapes[0].start_ms
    moved = [  # by a tenth of a per cent in the two minutes before Binance's first price
        (at_ms, value * (1 + 1e-3 * min(0, at_ms - start_ms) / 120_000)) for at_ms, value in oracle
    ]
    late = [point for point in spot if point[0] >= start_ms]
    play = Play(
        attrs.evolve(
            whole, start_ms=start_ms - 120_000, prices=RecordedPrices({"btc": (moved, late)})
        ),
        config(),
        models(),
    )
    (found,) = play.run()

    assert found.fills > outcome()[1].fills / 2


def test_every_step_keeps_the_exchange_whole() -> None:
    """The exchange's own invariants hold after whatever moved our orders, and at every hundredth
    event of others (`Watched`).
    """
    assert watched().moved > 20


def test_the_same_seed_is_the_same_run() -> None:
    """A run is a function of recording, configuration, models and seed."""
    first = Play(recording(), config(), models(latency="lognormal:30:0.5"))
    again = Play(recording(), config(), models(latency="lognormal:30:0.5"))

    assert first.run() == again.run()
    assert first.fills == again.fills


def test_latency_counts() -> None:
    """A slower bot is another bot: it does not get the same fills."""
    fast, slow = outcome(latency="0")[0], outcome(latency="400")[0]

    assert fast.fills != slow.fills


def test_prints_come_after_their_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the real stream: a trade is told some 80 ms after the books have shown it (feeds.md 3),
    and on top of that comes the way.
    """
    late: set[int] = set()
    monkeypatch.setattr(
        Stage, "printed", lambda _, trade, now_ms: late.add(now_ms - trade.timestamp_ms)
    )
    Play(recording(), config(), models(latency="25")).run()

    assert late == {80 + 25}


def test_models_are_ordered_where_nobody_can_know() -> None:
    """Whoever is filled when anything trades at its price has more than who waits for the whole
    queue; who is only traded through has least (strategy.md 17).
    """
    shares = {name: outcome(name)[1].shares for name in ("trade-through", "pessimistic")}
    shares["touch"] = watched().result.shares

    assert shares["trade-through"] <= shares["pessimistic"] <= shares["touch"]
    assert shares["trade-through"] < shares["touch"]


def test_nothing_is_filled_before_the_window_or_after_the_cutoff() -> None:
    """The bot's own timetable holds: nothing before its start, nothing of ours from the cutoff on
    but what was on its way.
    """
    play = watched().play
    times = [fill.at_ms for fill in play.fills[SLUGS[0]]]
    start_ms = int(SLUGS[0].rpartition("-")[2]) * 1000

    assert min(times) >= start_ms
    assert max(times) <= start_ms + 240_000 + 1_000


def test_windows_in_a_row_share_a_wallet() -> None:
    """Two windows of one chunk, one ledger: both settle, each with its own books."""
    play = Play(recording(2), config(), models())
    results = play.run()

    assert [result.slug for result in results] == list(SLUGS)
    assert play.wallet.ledger.books == {}
    earned = sum(result.profit for result in results)
    rebates = sum(result.sources.rebates for result in results)
    assert play.wallet.ledger.cash - play.wallet.ledger.capital == earned - rebates


def test_fills_are_trades_of_the_venue() -> None:
    """Every fill that is reported was a trade of the engine's, to the share, in its order."""
    play = watched().play
    made = [(f.at_ms, abs(f.shares)) for f in play.fills[SLUGS[0]] if f.maker]

    assert made == watched().traded
    assert {fill.outcome for fill in play.fills[SLUGS[0]]} <= set(Outcome)


def test_a_wrong_book_would_be_found() -> None:
    """The last check can fail: dollars that only one side knows of end the run."""
    play = Play(recording(), config(), models())
    play.wallet.ledger.deposit(1, "a test")

    with pytest.raises(AssertionError, match="our books say"):
        play.run()
