"""Listings of the markets this exchange does not run, which the venue tells everybody all the same.

`new_market` comes for all markets whatever one subscribed to (feeds.md 2.3, 12.1), so a client has
to tell its own by their slugs. All of these are invented: teams, parties and people exist nowhere.
Sets of markets of one event come in one burst, as when a match day is listed.
"""

from __future__ import annotations

import json
import random

from polybot.exchange.money import UNIT, decimal_text

_CITIES = ("Harbor", "Northfield", "Lakeside", "Summit", "Old Mill", "Granite", "Bayview", "Cedar")
_NAMES = ("Falcons", "Miners", "Rovers", "Comets", "Pilots", "Otters", "Kings", "Foxes")
_OFFICES = ("governor", "mayor", "party leader", "speaker")
_PEOPLE = ("A. Lindqvist", "B. Okoro", "C. Marchetti", "D. Sandoval", "E. Novak", "F. Tanaka")
_COINS = (("doge", "Dogecoin"), ("bnb", "BNB"), ("hype", "Hyperliquid"), ("zec", "Zcash"))
_LENGTHS = (("5m", 300), ("15m", 900), ("4h", 14_400))
_MATCH = ("moneyline", "spreads", "totals", "first_half_moneyline", "first_half_totals")
_MEAN_MARKETS = 2.0  # of an event: an up/down window has one, a match five, a race up to four
_DAY_MS = 86_400_000


class ForeignMarkets:
    """Draws one event after the other. `due_ms` is when the next is listed, Unix milliseconds."""

    def __init__(self, markets_per_hour: int, rng: random.Random, start_ms: int) -> None:
        self._events_per_ms = markets_per_hour / _MEAN_MARKETS / 3_600_000
        self._rng = rng
        self.due_ms = start_ms
        self._wait()

    def _wait(self) -> None:
        self.due_ms += max(1, round(self._rng.expovariate(self._events_per_ms)))

    def next_event(self) -> list[str]:
        """The `new_market` frames of the event due, one a market."""
        at_ms = self.due_ms
        self._wait()
        draw = self._rng.choices((self._window, self._match, self._race), (66, 18, 16))[0]
        return draw(at_ms)

    def _window(self, at_ms: int) -> list[str]:
        """Another coin's up/down window, a day ahead: its slug differs from ours by the coin."""
        coin, name = self._rng.choice(_COINS)
        length, seconds = self._rng.choice(_LENGTHS)
        start_s = (at_ms + _DAY_MS) // 1000 // seconds * seconds
        slug, title = f"{coin}-updown-{length}-{start_s}", f"{name} Up or Down - {start_s}"
        return [self._listing(at_ms, slug, title, (slug, title), outcomes=("Up", "Down"))]

    def _match(self, at_ms: int) -> list[str]:
        home, away = (f"{self._rng.choice(_CITIES)} {name}" for name in self._rng.sample(_NAMES, 2))
        day = self._rng.randint(1, 14)
        event = _slug(f"{home} {away} {at_ms // _DAY_MS + day}"), f"{home} vs. {away}"
        game = str((at_ms // _DAY_MS + day) * _DAY_MS // 1000)
        return [
            self._listing(
                at_ms, f"{event[0]}-{_slug(kind)}", f"{event[1]}: {kind.replace('_', ' ')}", event,
                outcomes=(home, away) if kind.endswith("line") else ("Over", "Under"),
                tags=("sports",), rate_ppm=50_000, rebate="0.15", sport=(kind, "2.5", game),
            )
            for kind in _MATCH
        ]  # fmt: skip

    def _race(self, at_ms: int) -> list[str]:
        city, office = self._rng.choice(_CITIES), self._rng.choice(_OFFICES)
        title = f"Who will be the next {office} of {city}?"
        event = _slug(f"next {office} of {city} {at_ms // 1000}"), title
        return [
            self._listing(
                at_ms, f"{event[0]}-{_slug(who)}", f"Will {who} be the next {office} of {city}?",
                event, tags=("politics",), rate_ppm=40_000, rebate="0.25", group=who,
            )
            for who in self._rng.sample(_PEOPLE, self._rng.randint(2, 4))
        ]  # fmt: skip

    def _listing(
        self,
        at_ms: int,
        slug: str,
        question: str,
        event: tuple[str, str],
        *,
        outcomes: tuple[str, str] = ("Yes", "No"),
        tags: tuple[str, ...] = (),
        rate_ppm: int = 70_000,
        rebate: str = "0.2",
        sport: tuple[str, str, str] = ("", "", ""),
        group: str = "",
    ) -> str:
        condition = f"0x{self._rng.getrandbits(256):064x}"
        tokens = [str(self._rng.getrandbits(256)) for _ in range(2)]
        text = f"This market resolves by its own rules: {question}"
        message = {
            "id": str(self._rng.randint(3_000_000, 9_000_000)),
            "question": question,
            "market": condition,
            "slug": slug,
            "description": text,
            "assets_ids": tokens,
            "outcomes": list(outcomes),
            "event_message": {
                "id": str(self._rng.randint(500_000, 2_000_000)),
                "ticker": event[0],
                "slug": event[0],
                "title": event[1],
                "description": text,
            },
            "timestamp": str(at_ms),
            "event_type": "new_market",
            "tags": list(tags),
            "condition_id": condition,
            "active": self._rng.random() < 0.5,
            "clob_token_ids": tokens,
            "sports_market_type": sport[0],
            "line": sport[1],
            "game_start_time": sport[2],
            "order_price_min_tick_size": self._rng.choice(("0.01", "0.001")),
            "group_item_title": group,
            "taker_base_fee": "1000",
            "fees_enabled": True,
            "fee_schedule": {
                "exponent": "1",
                "rate": decimal_text(rate_ppm, UNIT),
                "taker_only": True,
                "rebate_rate": rebate,
            },
        }
        return json.dumps(message, separators=(", ", ":"))


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
