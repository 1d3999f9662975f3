"""One screen, or one line, out of a snapshot: pure text, no terminal.

The screen is written over the one before it, line by line and without clearing first, so that it
does not flicker. What is wider than the terminal is folded where there is room below, and ends with
a word where there is none; what the table has no room for stands below its row. Texts from the
venue (slugs, reasons) are stripped of control characters: they reach a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import accumulate

from polybot.console.fold import MORE, folded, shortened
from polybot.console.snapshot import LostLine, MarketSnapshot, QuoteLine, Snapshot

HOME = "\x1b[H"
CLEAR_LINE = "\x1b[K"
CLEAR_BELOW = "\x1b[J"
HIDE_CURSOR = "\x1b[?25l"
SHOW_CURSOR = "\x1b[?25h"

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _PLAIN = (f"\x1b[{code}m" for code in (1, 2, 31, 32, 33, 0))

_COLUMNS = (
    ("market", 33),
    ("state", 12),
    ("left", 8),
    ("spot", 11),
    ("strike", 11),
    ("fair", 7),
    ("bid/ask Up", 12),
    ("Up/Down/pairs", 17),
    ("P&L", 10),
    ("open P&L", 10),
)
_TITLES = [title for title, _ in _COLUMNS]
NOTHING = "–"
LEAST_TOLD = 0.005  # of a side's time: less than that is noise


def render(snapshot: Snapshot, width: int, height: int) -> str:
    """One screen of at most `height` lines of at most `width` columns, with ANSI codes."""
    events = [
        ("", f"  {clock_text(event.at_ms)}  {plain(event.text)}") for event in snapshot.events[-8:]
    ]
    columns = _columns(snapshot, width)
    lines = [
        (_BOLD, _header(snapshot)),
        (_state_colour(snapshot.state), f"state {plain(snapshot.state)}"),
        ("", _totals(snapshot)),
        ("" if snapshot.heartbeat_lag_s is not None else _YELLOW, _open(snapshot)),
        ("", ""),
        (_DIM, _row(_TITLES, columns)),
        *(
            line
            for market in snapshot.markets
            for line in _market(market, snapshot.now_ms, columns)
        ),
        ("", ""),
        (_DIM, "last events"),
        *events,
    ]
    # The last line stays unused: a newline there would scroll the screen.
    shown = _fitted(lines, width, max(1, height - 1))
    body = "\r\n".join(_coloured(colour, text) + CLEAR_LINE for colour, text in shown)
    return f"{HOME}{body}{CLEAR_BELOW}"


def _fitted(lines: Sequence[tuple[str, str]], width: int, room: int) -> Sequence[tuple[str, str]]:
    """The lines as they fit: all of each, or the beginning of each, or of the first of them."""
    all_told = [(colour, piece) for colour, text in lines for piece in folded(text, width)]
    if len(all_told) <= room:
        return all_told
    begun = [(colour, shortened(text, width)) for colour, text in lines]
    if len(begun) <= room:
        return begun
    left = (_DIM, shortened(f"{MORE} {len(begun) - room + 1} lines more", width))
    return [*begun[: room - 1], left]


def _columns(snapshot: Snapshot, width: int) -> list[int]:
    """The sizes of the table's columns that are wholly on the screen. That of the markets is no
    wider than it must be.
    """
    longest = max((len(_name(market)) for market in snapshot.markets), default=0)
    (title, most), *others = _COLUMNS
    sizes = [min(most, max(longest, len(title)) + 2), *(size for _, size in others)]
    ends = accumulate(sizes)
    shown = [size for size, end in zip(sizes, ends, strict=True) if end - 1 <= width]
    return shown or sizes[:1]


def _row(cells: Sequence[str], columns: Sequence[int]) -> str:
    """A cell never runs into the next: the last column of each stays blank."""
    return "".join(
        cell[: size - 1].ljust(size) for cell, size in zip(cells, columns, strict=False)
    ).rstrip()


def _name(market: MarketSnapshot) -> str:
    """What tells one market from the next stands at the end of its slug."""
    return plain(market.slug).replace("-up-or-down-", " ").replace("-updown-", " ")


def plain_line(snapshot: Snapshot) -> str:
    """One line for a log or a pipe: time, state, totals and each market in a few words."""
    markets = "; ".join(
        f"{plain(m.slug)} {plain(m.state)} fair {_fair(m.fair)} "
        f"Up {shares_text(m.up)} Down {shares_text(m.down)} P&L {gain_text(m.realised)}"
        + (f" ({plain(m.reasons[0])})" if m.reasons else "")
        for m in snapshot.markets
    )
    totals = f"{_totals(snapshot)}  {_open(snapshot)}"
    head = f"{clock_text(snapshot.now_ms)} {plain(snapshot.state)} | {totals}"
    return f"{head} | {markets}" if markets else head


def money_text(micro: int, plus: str = "") -> str:
    """Dollars and cents, for reading: 10⁻⁶ dollars rounded half away from zero."""
    cents = (abs(micro) + 5_000) // 10_000
    sign = "-" if micro < 0 and cents else plus
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def gain_text(micro: int) -> str:
    """A profit or loss: dollars and cents with their sign."""
    return money_text(micro, plus="+")


def shares_text(micro: int) -> str:
    """Shares to the lot (hundredths), trailing zeros dropped; 10⁻⁶ in."""
    lots = abs(micro) // 10_000
    text = f"{lots // 100}.{lots % 100:02d}".rstrip("0").rstrip(".")
    return f"-{text}" if micro < 0 and lots else text


def price_text(price: int | None) -> str:
    """A price of 10⁻⁴ in cents, as traders say it: 5300 → 53, 5350 → 53.5."""
    if price is None:
        return NOTHING
    return f"{price // 100}.{price % 100:02d}".rstrip("0").rstrip(".")


def clock_text(unix_ms: int) -> str:
    """The time of day, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, tz=timezone.utc).strftime("%H:%M:%S")


def duration_text(seconds: float) -> str:
    """Whole seconds as 4:05 or 1:04:05; negative ones count as zero."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def plain(text: str) -> str:
    """`text` without anything a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _header(snapshot: Snapshot) -> str:
    date = datetime.fromtimestamp(snapshot.now_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d")
    where = "LIVE" if snapshot.mode == "live" else f"paper, {plain(snapshot.world)}"
    return (
        f"polybot  {where}  venue time {date} {clock_text(snapshot.now_ms)} UTC  "
        f"speed ×{snapshot.speed:g}  up {duration_text(snapshot.uptime_s)}  Ctrl-C stops"
    )


def _totals(snapshot: Snapshot) -> str:
    return (
        f"equity {money_text(snapshot.equity)}  cash {money_text(snapshot.cash)}  "
        f"P&L {gain_text(snapshot.realised)}  fills {snapshot.fills}  "
        f"orders {snapshot.open_orders}  settled {snapshot.intervals_settled}"
    )


def _open(snapshot: Snapshot) -> str:
    """What is not decided yet, and whether the venue still hears our heart."""
    lag = snapshot.heartbeat_lag_s
    return (
        f"today {_gain(snapshot.today)}  open P&L {_gain(snapshot.unrealised)} at fair, "
        f"{gain_text(snapshot.unrealised_worst)} at worst  "
        f"heartbeat {'silent' if lag is None else f'{lag * 1000:.0f} ms'}"
    )


def _gain(micro: int | None) -> str:
    return NOTHING if micro is None else gain_text(micro)


def _market(
    market: MarketSnapshot, now_ms: int, columns: Sequence[int]
) -> Iterable[tuple[str, str]]:
    waiting = now_ms < market.start_ms
    left = (market.start_ms if waiting else market.end_ms) - now_ms
    held = (shares_text(amount) for amount in (market.up, market.down, market.pairs))
    cells = (
        _name(market),
        plain(market.state),
        ("in " if waiting else "") + duration_text(left / 1000),
        _observed(market.spot),
        _observed(market.strike),
        _fair(market.fair),
        f"{price_text(market.bid)}/{price_text(market.ask)}",
        " ".join(held),
        gain_text(market.realised),
        _gain(market.unrealised),
    )
    yield _state_colour(market.state), _row(cells, columns)
    if others := list(zip(_TITLES, cells, strict=True))[len(columns) :]:
        yield "", f"    {'  '.join(f'{title} {cell}' for title, cell in others)}"
    yield "", f"    Up {_quotes(market.up_quotes)}   Down {_quotes(market.down_quotes)}"
    coming = [(word, at_ms - now_ms) for word, at_ms in market.ahead if at_ms > now_ms]
    if coming and not waiting:
        said = ", ".join(f"{word} in {duration_text(left_ms / 1000)}" for word, left_ms in coming)
        yield _DIM, f"    {said}"
    if market.signals:
        yield _DIM, f"    {'; '.join(plain(said) for said in market.signals)}"
    if market.rewards:
        yield _DIM, f"    {plain(market.rewards)}"
    if market.reasons:
        yield _YELLOW, f"    now: {'; '.join(plain(reason) for reason in market.reasons)}"
    for side in dict.fromkeys(line.side for line in market.lost):
        told = [lost_text(line) for line in market.lost if line.side == side and counts(line)]
        if told:
            yield _DIM, f"    {side} so far: {'; '.join(told)}"


def counts(line: LostLine) -> bool:
    """Whether a reason took enough of a side's time to be told."""
    return line.withheld + line.reduced >= LEAST_TOLD


def lost_text(line: LostLine) -> str:
    """How much of its time a side was without a bid, or with less of one, and why."""
    parts = (("none", line.withheld), ("less", line.reduced))
    shares = ", ".join(f"{word} {part:.0%}" for word, part in parts if part > LEAST_TOLD)
    return f"{shares or f'less {LEAST_TOLD:.1%}'} – {plain(line.why)}"


def _quotes(quotes: tuple[QuoteLine, ...]) -> str:
    if not quotes:
        return NOTHING
    return " ".join(_quote(quote) for quote in quotes)


def _quote(quote: QuoteLine) -> str:
    said = f"{price_text(quote.price)}×{shares_text(quote.size)}"
    return f"ask {said}" if quote.asks else said


def _observed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _fair(value: float | None) -> str:
    return NOTHING if value is None else f"{value * 100:.1f}"


def _state_colour(state: str) -> str:
    if state.startswith(("quoting", "running")):
        return _GREEN
    return _RED if state.startswith(("halted", "blind", "fault")) else _YELLOW


def _coloured(colour: str, text: str) -> str:
    return f"{colour}{text}{_PLAIN}" if colour else text
