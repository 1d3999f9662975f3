"""Admin calls that change how the venue treats its callers while it runs.

`POST /mode {"mode": "restarting", "for_s": 90}` (modes: `Mode`; without `for_s` until the next
call, a restart for its usual time), `GET /mode`; `POST /region {"country": "US", "region": ""}`.
"""

from __future__ import annotations

from collections.abc import Callable

from polybot.clock import Clock
from polybot.exchange.geoblock import Geoblock
from polybot.exchange.modes import RESTART_S, Mode, Modes
from polybot.exchange.request import Request, Response, error_response, json_response, parse_json

FOREVER_S = 10**9  # longer than any run


class ConductCalls:
    """Put `routes` into the admin service's."""

    def __init__(self, clock: Clock, modes: Modes, geoblock: Geoblock) -> None:
        self._clock = clock
        self._modes = modes
        self._geoblock = geoblock
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "/mode"): self._mode,
            ("POST", "/mode"): self._switch,
            ("POST", "/region"): self._move,
        }

    def _mode(self, request: Request) -> Response:
        now_ms = self._clock.now_ms()
        left_s = self._modes.seconds_left(now_ms)
        return json_response({"mode": self._modes.at(now_ms).value, "seconds_left": left_s})

    def _switch(self, request: Request) -> Response:
        asked = parse_json(request.body)
        if not isinstance(asked, dict) or not set(asked) <= {"mode", "for_s"}:
            return error_response('expected {"mode": …, "for_s": …}')
        try:
            mode = Mode(asked.get("mode"))
        except ValueError:
            return error_response(f"mode is one of {', '.join(mode.value for mode in Mode)}")
        for_s = asked.get("for_s", RESTART_S if mode is Mode.RESTARTING else None)
        if for_s is not None and not (type(for_s) is int and 0 < for_s <= FOREVER_S):
            return error_response("for_s is a positive whole number of seconds")
        self._modes.switch(mode, self._clock.now_ms(), for_s)
        return self._mode(request)

    def _move(self, request: Request) -> Response:
        asked = parse_json(request.body)
        country = asked.get("country") if isinstance(asked, dict) else None
        region = asked.get("region", "") if isinstance(asked, dict) else None
        if not isinstance(country, str) or not isinstance(region, str):
            return error_response('expected {"country": "US", "region": ""}')
        self._geoblock.country, self._geoblock.region = country, region
        return self._geoblock.probe(request)
