"""Markets an operator lists: anything that is no interval of a crypto price.

`POST /markets` on the admin service lists one, open at once; `POST /markets/tick` changes its tick
and `POST /markets/resolve` names the winner, of any market. They are on Gamma and the CLOB like
every other market; nothing ends them but the operator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange import identities
from polybot.exchange.engine import Engine
from polybot.exchange.fees import CATEGORIES
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.matching import LOT
from polybot.exchange.model import STANDING, Market, Phase
from polybot.exchange.money import ONE, UNIT, decimal_text, to_units
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.rules import TICKS

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,199}")
_FIRST_ID = 1_000  # Gamma ids below those of any window
_LONGEST_DELAY_MS = 60_000

Fields = dict[str, object]


class _Faulty(Exception):
    """What is wrong with a request, all of it."""


@attrs.define
class _Reader:
    """Reads fields of a JSON object and collects what is wrong with them."""

    fields: Fields
    faults: list[str] = attrs.field(factory=list)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        if isinstance(value, str) and (value or default == ""):
            return value
        self.faults.append(f"{name}: a text is wanted")
        return ""

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, choices[0])
        if value not in choices:
            self.faults.append(f"{name}: one of {', '.join(choices)} is wanted")
        return value

    def flag(self, name: str) -> bool:
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            self.faults.append(f"{name}: true or false is wanted")
        return value is True

    def units(self, name: str, scale: int, default: str) -> int:
        """A decimal as integer of 1/scale; JSON numbers are read by their digits."""
        value = self.fields.get(name, default)
        exact = None if isinstance(value, bool) else to_units(str(value), scale)
        if exact is None or exact < 0:
            self.faults.append(f"{name}: a decimal with at most {len(str(scale)) - 1} places")
        return exact or 0

    def whole(self, name: str, most: int) -> int:
        value = self.fields.get(name, 0)
        if type(value) is not int or not 0 <= value <= most:
            self.faults.append(f"{name}: a whole number up to {most} is wanted")
            return 0
        return value

    def moment_ms(self, name: str) -> int:
        """`2026-12-31T00:00:00Z`, as Unix milliseconds."""
        try:
            moment = datetime.fromisoformat(str(self.fields.get(name)))
            if moment.tzinfo is not None:
                return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
        self.faults.append(f"{name}: a time such as 2026-12-31T00:00:00Z is wanted")
        return 0

    def outcomes(self) -> tuple[str, str]:
        value = self.fields.get("outcomes", ["Yes", "No"])
        if isinstance(value, list) and len(value) == 2 and all(isinstance(o, str) for o in value):
            first, second = value
            if first and second and first != second:
                return first, second
        self.faults.append("outcomes: two different texts are wanted")
        return "", ""

    def finish(self, known: frozenset[str]) -> None:
        self.faults += [f"{name}: unknown" for name in self.fields if name not in known]
        if self.faults:
            raise _Faulty("; ".join(self.faults))


KNOWN = frozenset(
    [
        "slug",
        "question",
        "description",
        "outcomes",
        "tick",
        "min_size",
        "neg_risk",
        "version",
        "fee_rate",
        "category",
        "taker_delay_ms",
        "seconds_delay",
        "end",
    ]
)


class StandingMarkets:
    """Lists, re-ticks and resolves markets for the operator; `routes` are admin calls."""

    def __init__(self, engine: Engine, lifecycle: Lifecycle, clock: Clock, seed: int) -> None:
        self._engine, self._lifecycle = engine, lifecycle
        self._clock, self._seed = clock, seed
        self._markets: list[Market] = []
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("POST", "/markets"): self._call(self._list),
            ("POST", "/markets/tick"): self._call(self._tick),
            ("POST", "/markets/resolve"): self._call(self._resolve),
        }

    def _call(self, act: Callable[[_Reader], Fields]) -> Callable[[Request], Response]:
        """A route around an act that reads JSON and answers with JSON, or with its faults."""

        def answer(request: Request) -> Response:
            try:
                return json_response(act(_Reader(_object(request.body))))
            except _Faulty as error:
                return error_response(str(error))

        return answer

    # --- listing -----------------------------------------------------------------------------

    def _list(self, reader: _Reader) -> Fields:
        market = self._market(reader)
        now_ms = self._clock.now_ms()
        for old in self._markets:
            self._engine.forget(old)  # no-op until its grace is over; the market itself stays
        self._markets.append(market)
        self._lifecycle.by_slug[market.slug] = market
        self._lifecycle.by_condition[market.condition_id] = market
        self._engine.list_market(market, now_ms)
        self._engine.open_market(market, now_ms)
        return _shown(market)

    def _market(self, reader: _Reader) -> Market:
        now_ms = self._clock.now_ms()
        slug, version = reader.text("slug"), reader.choice("version", ("v1", "v2"))
        neg_risk = reader.flag("neg_risk")
        category = reader.choice("category", ("geopolitics", *CATEGORIES))
        rate, share = CATEGORIES.get(category, (0, 0))
        ids = identities.identity(self._seed, slug, version, neg_risk=neg_risk)
        market = Market(
            condition_id=ids.condition_id,
            question_id=ids.question_id,
            gamma_id=str(_FIRST_ID + len(self._markets)),
            slug=slug,
            question=reader.text("question"),
            series=STANDING,
            tokens=ids.tokens,
            listed_ms=now_ms,
            start_ms=now_ms,
            end_ms=reader.moment_ms("end"),
            tick=reader.units("tick", ONE, "0.01"),
            min_size=reader.units("min_size", UNIT, "5"),
            neg_risk=neg_risk,
            version=version,
            other_ids=ids.others,
            fee_rate_ppm=reader.units("fee_rate", 1_000_000, decimal_text(rate, 1_000_000)),
            rebate_percent=share,
            taker_delay_ms=reader.whole("taker_delay_ms", _LONGEST_DELAY_MS),
            seconds_delay=reader.whole("seconds_delay", _LONGEST_DELAY_MS // 1000),
            outcomes=reader.outcomes(),
            description=reader.text("description", ""),
        )
        self._judge(market, reader.faults)
        reader.finish(KNOWN)
        return market

    def _judge(self, market: Market, faults: list[str]) -> None:
        """What only makes sense together, or with what is listed already."""
        if market.slug and not _SLUG.fullmatch(market.slug):
            faults.append("slug: lower-case letters, digits and hyphens are wanted")
        if market.slug in self._lifecycle.by_slug or market.condition_id in self._engine.markets:
            faults.append("slug: there is such a market already")
        if market.tick not in TICKS:
            known = ", ".join(decimal_text(tick, ONE) for tick in TICKS)
            faults.append(f"tick: one of {known} is wanted")
        if market.min_size % LOT:
            faults.append("min_size: at most two places")
        if market.fee_rate_ppm > 1_000_000:
            faults.append("fee_rate: at most 1")

    # --- afterwards --------------------------------------------------------------------------

    def _known(self, reader: _Reader) -> Market:
        name = reader.text("market")
        by_id = self._engine.markets.get(identities.full_condition_id(name))
        market = by_id or self._lifecycle.by_slug.get(name)
        if market is None:
            reader.faults.append("market: the slug or condition id of a listed market is wanted")
            raise _Faulty("; ".join(reader.faults))
        return market

    def _tick(self, reader: _Reader) -> Fields:
        """`{"market","tick"}`: what rests off the new grid stays where it is."""
        market, tick = self._known(reader), reader.units("tick", ONE, "")
        if tick not in TICKS:
            reader.faults.append("tick: not one the venue has")
        if market.phase is not Phase.OPEN:
            reader.faults.append("market: not open")
        reader.finish(frozenset({"market", "tick"}))
        if tick != market.tick:
            self._engine.change_tick(market, tick, self._clock.now_ms())
        return _shown(market)

    def _resolve(self, reader: _Reader) -> Fields:
        """`{"market","winner"}`, the winner by its label; of a standing market."""
        market, winner = self._known(reader), reader.text("winner")
        if market.series is not STANDING:
            reader.faults.append("market: its series resolves it")
        if market.phase is Phase.RESOLVED:
            reader.faults.append("market: resolved already")
        if winner not in market.outcomes:
            reader.faults.append(f"winner: one of {', '.join(market.outcomes)} is wanted")
        reader.finish(frozenset({"market", "winner"}))
        self._engine.resolve_market(market, market.outcomes.index(winner), self._clock.now_ms())
        return _shown(market)


def _object(body: bytes) -> Fields:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Faulty("a JSON object is wanted") from None
    if not isinstance(value, dict):
        raise _Faulty("a JSON object is wanted")
    return value


def _shown(market: Market) -> Fields:
    return {
        "slug": market.slug,
        "condition_id": market.condition_id,
        "gamma_id": market.gamma_id,
        "version": market.version,
        "tokens": list(market.tokens),
        "outcomes": list(market.outcomes),
        "tick": decimal_text(market.tick, ONE),
        "min_size": decimal_text(market.min_size, UNIT),
        "phase": market.phase.value,
        "winner": None if market.winner is None else market.outcomes[market.winner],
    }
