"""Per-IP limits as the venue's edge applies them: excess waits in line, then 429 (clob.md 7.1).

A window is counted as Cloudflare describes it: the requests of this window plus those of the last
one, weighted by how much of it the sliding window still covers. That takes two numbers where a list
of every request would take 120,000, and it is exact in integers.

`IpLimits` is pure; `limited` puts it before a service.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import attrs
import trio

from polybot.clock import Clock
from polybot.exchange.net import Service
from polybot.exchange.request import Request, Response

SHORT_MS, LONG_MS = 10_000, 600_000
MAX_COUNTERS = 20_000


@attrs.frozen
class Rule:
    """So many requests to some endpoints in each window; `methods` empty means any.

    A path that ends in `*` stands for all that begin so.
    """

    name: str
    paths: tuple[str, ...]
    per_10_s: int
    per_10_min: int | None = None
    method: str = ""

    def covers(self, method: str, path: str) -> bool:
        return self.method in {"", method} and any(
            path.startswith(known[:-1]) if known.endswith("*") else path == known
            for known in self.paths
        )

    def windows(self) -> tuple[tuple[int, int], ...]:
        """(window in milliseconds, requests)."""
        long = () if self.per_10_min is None else ((LONG_MS, self.per_10_min),)
        return ((SHORT_MS, self.per_10_s), *long)


def _each(paths: str, per_10_s: int) -> tuple[Rule, ...]:
    return tuple(Rule(path, (path,), per_10_s) for path in paths.split())


# clob.md 7.1, unchanged on 2026-09-30. Of the ledger group only the sum is documented; its members
# are what reads a ledger.
CLOB_RULES: tuple[Rule, ...] = (
    Rule("all CLOB", ("*",), 9_000),
    Rule("POST /order", ("/order",), 5_000, 120_000, "POST"),
    Rule("DELETE /order", ("/order",), 5_000, 120_000, "DELETE"),
    Rule("POST /orders", ("/orders",), 2_000, 21_000, "POST"),
    Rule("DELETE /orders", ("/orders",), 2_000, 15_000, "DELETE"),
    Rule("DELETE /cancel-all", ("/cancel-all",), 250, 6_000, "DELETE"),
    Rule("DELETE /cancel-market-orders", ("/cancel-market-orders",), 1_500, 21_000, "DELETE"),
    *_each("/book /price /midpoint", 1_500),
    *_each("/books /prices /midpoints", 500),
    *_each("/data/orders /data/trades", 500),
    Rule("ledger", ("/data/orders", "/data/trades", "/data/order/*", "/notifications"), 900),
    *_each("/tick-size", 200),
    *_each("/prices-history", 1_000),
    *_each("/balance-allowance", 200),
    *_each("/balance-allowance/update", 50),
    Rule("/auth", ("/auth/*",), 100),
    *_each("/notifications", 125),
    *_each("/ok", 100),
)

# feeds.md 8.3.
GAMMA_RULES: tuple[Rule, ...] = (
    Rule("all Gamma", ("*",), 4_000),
    Rule("/events", ("/events*",), 500),
    Rule("/markets", ("/markets*",), 300),
    Rule("listings", ("/events*", "/markets*"), 900),
    Rule("/search", ("/search*", "/public-search*"), 350),
    Rule("tags", ("/tags*",), 200),
    Rule("comments", ("/comments*",), 200),
    *_each("/status", 100),
)

# feeds.md 11: what was measured; the documented figures of v1 were higher.
DATA_RULES: tuple[Rule, ...] = (
    Rule("all Data", ("*",), 1_000),
    Rule("trades", ("/trades*", "/v2/trades*"), 200),
    Rule("positions", ("/positions*", "/v2/positions*"), 200),
)


@attrs.define
class _Counter:
    """Requests of the running window and of the one before."""

    window_ms: int
    limit: int
    index: int = 0
    current: int = 0
    last: int = 0

    def wait_ms(self, now_ms: int) -> int:
        """0 when one more may pass, else how long at least until one may."""
        index, into_ms = divmod(now_ms, self.window_ms)
        if index != self.index:
            self.last = self.current if index == self.index + 1 else 0
            self.index, self.current = index, 0
        left_ms = self.window_ms - into_ms
        free = self.limit - self.current
        if free <= 0:
            return left_ms
        # The last window still weighs last · left / window; one more must fit below the limit.
        excess_ms = self.last * left_ms - (free - 1) * self.window_ms
        return 0 if excess_ms <= 0 else -(-excess_ms // self.last)


class IpLimits:
    """The counters of every address for one service."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self.classes = functools.lru_cache(maxsize=1024)(self._classes)
        self._counters: dict[tuple[str, str, int], _Counter] = {}

    def _classes(self, method: str, path: str) -> tuple[Rule, ...]:
        """The rules that count such a request, the most particular last."""
        return tuple(rule for rule in self._rules if rule.covers(method, path))

    def ask(self, ip: str, rules: Sequence[Rule], now_ms: int) -> int:
        """Count one request and answer 0, or count nothing and tell how many milliseconds it must
        wait before it asks again.
        """
        counters = [
            self._counter(ip, rule.name, window_ms, limit)
            for rule in rules
            for window_ms, limit in rule.windows()
        ]
        wait_ms = max((counter.wait_ms(now_ms) for counter in counters), default=0)
        if not wait_ms:
            for counter in counters:
                counter.current += 1
        return wait_ms

    def _counter(self, ip: str, name: str, window_ms: int, limit: int) -> _Counter:
        key = ip, name, window_ms
        counter = self._counters.get(key)
        if counter is None:
            if len(self._counters) >= MAX_COUNTERS:
                self._counters.clear()  # thousands of addresses: an attack, not a client
            counter = self._counters[key] = _Counter(window_ms, limit)
        return counter


# The edge's own words; without the signer's headers the outcome is ambiguous (clob.md 7.3).
TOO_MANY = Response(429, b"error code: 1015", (("content-type", "text/plain; charset=UTF-8"),))


def limited(service: Service, rules: Sequence[Rule], clock: Clock, delay_ms: int) -> Service:
    """The service behind its limits: excess is held for at most `delay_ms`, first come first
    served within its endpoint, then refused.
    """
    handle = service.http
    assert handle is not None, "limits are of requests"
    limits = IpLimits(rules)
    lines: dict[tuple[str, str], trio.StrictFIFOLock] = {}

    async def admitted(request: Request) -> bool:
        covering = limits.classes(request.method, request.path)
        key = request.peer, covering[-1].name
        if key not in lines and not limits.ask(request.peer, covering, clock.now_ms()):
            return True
        line = lines.setdefault(key, trio.StrictFIFOLock())
        with trio.move_on_after(delay_ms / 1000):
            async with line:
                try:
                    while wait_ms := limits.ask(request.peer, covering, clock.now_ms()):
                        await clock.sleep_until(clock.now_ms() + wait_ms)
                    return True
                finally:
                    if not line.statistics().tasks_waiting:
                        del lines[key]
        return False

    async def answer(request: Request) -> Response:
        return await handle(request) if await admitted(request) else TOO_MANY

    return attrs.evolve(service, http=answer)
