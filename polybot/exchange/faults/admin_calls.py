"""Faults over the admin service, while the exchange runs.

`GET /faults` shows the entries that are on the plan with their numbers, and how often each fault
has struck. `POST /faults` takes one of

    {"add": PLAN}        PLAN: {"fault": [{…}, …], "storm": {…}} as in a plan's file, or a preset's
    {"replace": PLAN}    name; times count from now
    {"remove": [3, 7]}   by number
    {"clear": true}

and answers as `GET`. A plan is taken wholly or not: 400 `{"errors": […]}` names all its problems.
"""

from __future__ import annotations

from collections.abc import Callable

from polybot.clock import Clock
from polybot.exchange.faults import plan
from polybot.exchange.faults.plan import PlanError
from polybot.exchange.faults.state import Faults
from polybot.exchange.request import Request, Response, json_response, parse_json

_EXPECTED = 'expected one of {"add": …}, {"replace": …}, {"remove": […]}, {"clear": true}'


class FaultCalls:
    """Put `routes` into the admin service's."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "/faults"): self._shown,
            ("POST", "/faults"): self._change,
        }

    def _shown(self, _request: Request) -> Response:
        return json_response(self._faults.shown())

    def _change(self, request: Request) -> Response:
        asked = parse_json(request.body)
        try:
            self._obey(asked)
        except PlanError as error:
            return json_response({"errors": list(error.problems)}, 400)
        return self._shown(request)

    def _obey(self, asked: object) -> None:
        match asked:
            case {"add": table, **rest} if not rest:
                self._faults.start(_plan(table), self._clock.now_ms())
            case {"replace": table, **rest} if not rest:
                wanted = _plan(table)
                self._faults.clear()
                self._faults.start(wanted, self._clock.now_ms())
            case {"remove": list(numbers), **rest} if not rest:
                known = self._faults.running
                unknown = [n for n in numbers if type(n) is not int or n not in known]
                if unknown:
                    raise PlanError([f"remove: no entry has the number {n!r}" for n in unknown])
                self._faults.remove(dict.fromkeys(numbers))
            case {"clear": True, **rest} if not rest:
                self._faults.clear()
            case _:
                raise PlanError([_EXPECTED])


def _plan(table: object) -> plan.Plan:
    """Files are named on the command line only: an admin call reads none but presets."""
    if isinstance(table, str):
        if table not in plan.presets():
            raise PlanError([f"{table!r}: expected one of {', '.join(plan.presets())}"])
        return plan.load(table)
    return plan.read(table)
