"""The screen and the line: everything the operator must see is there, and nothing else gets out."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given, strategies as st

from polybot.console import view
from polybot.console.snapshot import Event, LostLine, MarketSnapshot, QuoteLine, Snapshot

NOON = 1_795_176_000_000  # 2026-11-20 12:00:00 UTC

MARKET = MarketSnapshot(
    slug="btc-updown-5m-1795176000",
    state="quoting",
    start_ms=NOON,
    end_ms=NOON + 300_000,
    spot=91_234.5,
    strike=91_200.25,
    fair=0.5437,
    bid=5300,
    ask=5500,
    up_quotes=(QuoteLine(5250, 10_000_000), QuoteLine(5200, 12_500_000)),
    down_quotes=(QuoteLine(4400, 10_000_000), QuoteLine(4900, 5_000_000, asks=True)),
    up=30_000_000,
    down=12_340_000,
    fills=4,
    realised=1_230_000,
    unrealised=-450_000,
    reasons=("UP level 3: inventory",),
    lost=(
        LostLine("Up", "book crossed", 0.12, 0.301),
        LostLine("Up", "of no account", 0.0, 0.001),
        LostLine("Down", "thin book", 0.0, 0.5),
    ),
    ahead=(("cutoff", NOON + 240_000), ("averaging", NOON + 30_000), ("payout", NOON + 386_000)),
    signals=("liquidity low", "flow +0.40 (n 31)"),
    rewards="rewards: 3.20 an hour expected",
)
SNAPSHOT = Snapshot(
    mode="paper",
    world="synthetic",
    now_ms=NOON + 55_000,
    speed=20.0,
    uptime_s=3725.0,
    state="running",
    markets=(MARKET,),
    equity=1_001_230_000,
    cash=950_000_000,
    realised=1_230_000,
    unrealised=-450_000,
    unrealised_worst=-8_120_000,
    today=780_000,
    heartbeat_lag_s=0.0123,
    fills=4,
    open_orders=3,
    intervals_settled=2,
    events=(Event(1, NOON + 50_000, "fill Up 10 @ 52.5"),),
)

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def lines(snapshot: Snapshot, width: int = 200, height: int = 60) -> list[str]:
    return ANSI.sub("", view.render(snapshot, width, height)).split("\r\n")


def test_the_screen_tells_everything() -> None:
    """Mode, world, time, prices, fair, quotes, inventory, profit, state and reasons are all
    shown.
    """
    screen = "\n".join(lines(SNAPSHOT))

    for words in (
        "paper, synthetic",
        "2026-11-20 12:00:55 UTC",
        "speed ×20",
        "up 1:02:05",
        "state running",
        "equity 1001.23",
        "today +0.78  open P&L -0.45 at fair, -8.12 at worst  heartbeat 12 ms",
        "cash 950.00",
        "P&L +1.23",
        "fills 4",
        "orders 3",
        "settled 2",
        "btc 5m-1795176000",
        "4:05",
        "91234.50",
        "91200.25",
        "54.4",
        "53/55",
        "Up 52.5×10 52×12.5",
        "    cutoff in 3:05, payout in 5:31",
        "Down 44×10 ask 49×5",
        "30 12.34 12.34",
        "-0.45",
        "rewards: 3.20 an hour expected",
        "now: UP level 3: inventory",
        "Up so far: none 12%, less 30% – book crossed",
        "Down so far: less 50% – thin book",
        "liquidity low; flow +0.40 (n 31)",
        "12:00:50  fill Up 10 @ 52.5",
    ):
        assert words in screen, words
    assert "of no account" not in screen


def test_live_is_said_loudly() -> None:
    """Nobody takes a live bot for a paper one."""
    assert "LIVE" in lines(attrs.evolve(SNAPSHOT, mode="live"))[0]
    assert "LIVE" not in lines(SNAPSHOT)[0]


def test_what_is_unknown_is_a_dash() -> None:
    """No price is not a price of zero."""
    bare = MarketSnapshot("slug", "waiting", NOON + 60_000, NOON + 360_000)

    row = lines(attrs.evolve(SNAPSHOT, markets=(bare,)))[6]

    assert " ".join(row.split()) == "slug waiting in 0:05 – – – –/– 0 0 0 +0.00 –"


@given(width=st.integers(1, 250), height=st.integers(1, 80), count=st.integers(0, 6))
def test_the_screen_fits(width: int, height: int, count: int) -> None:
    """No line is wider than the terminal and no screen is higher: either would scroll it."""
    shown = lines(attrs.evolve(SNAPSHOT, markets=(MARKET,) * count), width, height)

    assert len(shown) <= max(1, height - 1)
    assert max(map(len, shown)) <= width


def test_columns_stand_under_their_titles() -> None:
    """A long slug or number is cut, so that it does not push the others aside."""
    long = attrs.evolve(MARKET, slug="x" * 80, spot=1e12)

    shown = lines(attrs.evolve(SNAPSHOT, markets=(MARKET, long)))
    normal, cut = shown[6], shown[14]

    assert cut.index("54.4") == normal.index("54.4") == shown[5].index("fair")


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120])
def test_what_the_table_has_no_room_for_stands_below(width: int) -> None:
    """On a usual terminal of 80 columns nobody saw what a market had won or lost."""
    market = attrs.evolve(MARKET, realised=650_000, unrealised=-310_000)
    shown = lines(attrs.evolve(SNAPSHOT, markets=(market,)), width)
    screen = " ".join(" ".join(shown).split())

    for words in ("91234.50", "54.4", "53/55", "30 12.34 12.34", "+0.65", "-0.31"):
        assert words in screen, words


@given(st.text(max_size=30))
def test_texts_cannot_command_the_terminal(text: str) -> None:
    """A slug or reason with escape codes in it is shown, not obeyed."""
    market = attrs.evolve(MARKET, slug=text, state=text, reasons=(text,))
    hostile = attrs.evolve(
        SNAPSHOT, world=text, state=text, markets=(market,), events=(Event(1, NOON, text),)
    )

    screen = ANSI.sub("", view.render(hostile, 200, 60)).replace("\r\n", "")

    assert screen.isprintable()
    assert view.plain_line(hostile).isprintable()


def test_the_line_is_one_line_with_state_and_reason() -> None:
    """A pipe or a log gets the same truth in a line."""
    line = view.plain_line(SNAPSHOT)

    assert "\n" not in line
    for words in ("12:00:55", "running", "equity 1001.23", "fair 54.4", "Up 30", "inventory"):
        assert words in line


def test_a_line_without_markets_is_whole() -> None:
    """Before the first market there is still something to say."""
    line = view.plain_line(attrs.evolve(SNAPSHOT, markets=()))

    assert line.endswith("heartbeat 12 ms")


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "+0.00"),
        (-4_999, "+0.00"),
        (5_000, "+0.01"),
        (-5_000, "-0.01"),
        (1_234_567_890, "+1234.57"),
    ],
)
def test_gains_are_rounded_to_the_cent(micro: int, text: str) -> None:
    """Half a cent goes away from zero, and nothing is not shown as a loss."""
    assert view.gain_text(micro) == text


@pytest.mark.parametrize(
    ("price", "text"), [(5300, "53"), (5350, "53.5"), (1000, "10"), (5301, "53.01"), (None, "–")]
)
def test_prices_are_in_cents(price: int | None, text: str) -> None:
    """5300 is 53 cents, and fine ticks keep their digits."""
    assert view.price_text(price) == text


@given(st.integers(-(10**15), 10**15))
def test_shares_are_never_rounded_up(micro: int) -> None:
    """The screen never shows more than is held."""
    assert abs(float(view.shares_text(micro))) * 1_000_000 <= abs(micro) + 1


def test_what_is_not_known_is_not_a_number() -> None:
    """No fair price, no marked profit; no heartbeat, no lag: neither is shown as zero."""
    unknown = attrs.evolve(SNAPSHOT, unrealised=None, today=None, heartbeat_lag_s=None)

    shown = "\n".join(lines(unknown))

    assert "today –  open P&L – at fair, -8.12 at worst  heartbeat silent" in shown


def test_half_a_percent_is_not_told_as_none() -> None:
    """Half of one, rounded to an even number, is 0 %: left out beside more, and told alone."""
    assert view.lost_text(LostLine("Up", "why", 0.02, 0.005)) == "none 2% – why"
    assert view.lost_text(LostLine("Up", "why", 0.005, 0.0)) == "less 0.5% – why"
    assert view.lost_text(LostLine("Up", "why", 0.0051, 0.0)) == "none 1% – why"
