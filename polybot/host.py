"""An exchange that somebody else started, as its JSON line describes it: `--world exchange:FILE`.

Light on purpose: the operator's commands read it too, and need nothing of the exchange's own code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import trio

from polybot.clock import Clock
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site

KIND = "exchange:"
QUESTIONS = 20
BOOKS = ("now_ms", "live_orders", "invalid_orders", "equity")  # of what it tells, what is read
PROMPT_S = 0.5  # of the exchange's time: an answer that came within it dates the clock well


@attrs.frozen
class Host:
    """A running exchange: its URLs, a funded wallet, the speed of its clock."""

    site: Site
    admin: str
    private_key: Secret
    credentials: Credentials
    deposit: str  # the key's deposit wallet, which holds the money we trade with
    relayer_key: Secret
    speed: float

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> Host:
        """Raises KeyError when something is missing; more than we know is fine."""
        wallet, names = line["wallet"], [field.name for field in attrs.fields(Site)]
        return cls(
            Site(**{name: line.get(name, "") for name in names} | {"clob": line["clob"]}),
            line["admin"],
            Secret(wallet["private_key"]),
            Credentials(
                wallet["address"],
                wallet["api_key"],
                Secret(wallet["api_secret"]),
                Secret(wallet["passphrase"]),
            ),
            wallet["deposit"],
            Secret(wallet["relayer_api_key"]),
            float(line["speed"]),
        )

    def journal_path(self, folder: Path) -> Path:
        return folder / f"{self.credentials.address.lower()}.sqlite3"

    @property
    def owner(self) -> str:
        return f"{self.credentials.address.lower()} on {self.site.clob}"


def host_of(world: str) -> Host | None:
    """The exchange a world text names; None for other worlds. Raises ValueError with the remedy."""
    if not world.startswith(KIND):
        return None
    path = Path(world.removeprefix(KIND))
    try:
        return Host.of_line(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        remedy = "give a file with the JSON line that `python -m polybot exchange` prints"
        raise ValueError(f"{path}: no running exchange ({error}); {remedy}") from None


def clock_at(speed: float) -> trio.abc.Clock | None:
    """Trio's clock at `speed`; sockets stay real. At 1 the ordinary clock."""
    if speed == 1:
        return None
    # Imported here because it takes half as long as all of Trio, and only a fast clock needs it.
    from trio.testing import MockClock  # noqa: PLC0415

    return MockClock(rate=speed)


async def ask_exchange(http: httpx.AsyncClient, admin: str, address: str) -> dict[str, Any] | None:
    """The exchange's own books on our wallet, None when it does not answer, or others do."""
    try:
        with trio.fail_after(10):
            reply = await http.get(f"{admin}/state", params={"address": address})
            state: Any = reply.json()
    except (httpx.HTTPError, trio.TooSlowError, ValueError):
        return None
    if reply.status_code != 200 or not isinstance(state, dict):
        return None
    return state if all(isinstance(state.get(key), int) for key in BOOKS) else None


async def clock_of(http: httpx.AsyncClient, host: Host) -> Clock:
    """A clock that agrees with the exchange's, to half a round trip; both run at one rate.

    The first question may find the exchange busy with its own beginning; the answer to the second
    has come at once. Raises TimeoutError when none comes promptly.
    """
    for _ in range(QUESTIONS):
        asked = trio.current_time()
        state = await ask_exchange(http, host.admin, host.credentials.address)
        if state is not None and trio.current_time() - asked < PROMPT_S * host.speed:
            return Clock(state["now_ms"] - (asked + trio.current_time()) / 2 * 1000)
    raise TimeoutError("the exchange does not answer promptly")
