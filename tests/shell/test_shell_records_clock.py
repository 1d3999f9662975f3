"""What is counted of a window: where the clock is set back, and where nobody else trades."""

from __future__ import annotations

import attrs
import pytest
from desk_kit import MARKET, START

from polybot.quoting.model import Decision
from polybot.quoting.tally import NOBODY
from polybot.records import Records


@pytest.mark.parametrize("back_ms", [1, 1_500, 60_000])
def test_a_clock_that_is_set_back_takes_no_counted_time_away(back_ms: int) -> None:
    """The machine's clock was ahead, and the bot has set it by the venue's: the step took a minute
    of quoting away again, and told of as much in which no quoter was running.
    """
    records = Records()
    record = records.of(MARKET)
    record.quotable_from_ms, record.quotable_to_ms = START, START + 100_000
    both = {"bids_up": True, "bids_down": True}
    early = range(0, 20_001, 500)
    ahead = range(20_000 + back_ms, 21_001 + back_ms, 500)  # the clock jumped, and is set back
    after = range(21_000, 100_001, 500)
    for at_ms in (*early, *ahead, *after):
        record.why.add(record.time(START + at_ms, **both), Decision((), ()), (), {})

    assert 100_000 - 2_000 <= record.counted_ms <= 100_000
    assert record.quoted_ms == record.two_sided_ms == record.counted_ms
    told = records.reasons(START + 100_000)["Up"].get(NOBODY)
    assert told is None or told.withheld <= 0.02


def test_time_in_a_market_that_nobody_trades_is_no_share_of_the_others() -> None:
    """Its quotable time is left out, and with it what was quoted of it: more than all of the time
    read as quoted.
    """
    records = Records()
    for key, two_sided in (("0xa", False), ("0xb", True)):
        record = records.of(attrs.evolve(MARKET, condition_id=key))
        record.quotable_from_ms, record.quotable_to_ms = START, START + 1_000
        record.book_read, record.book_two_sided = True, two_sided
        for at_ms in (START, START + 1_000):
            record.time(at_ms, bids_up=True, bids_down=False)

    assert records.share(lambda record: record.quoted_ms, START + 2_000) == 1.0
