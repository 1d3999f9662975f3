"""`python -m polybot lab fuzz`: bent requests and frames by the million, and nothing may break.

Most go straight into the services' handlers, on virtual time; a share comes as bytes over real
sockets. No handler may raise, no reply may be a 500 that the reference does not have, the engine's
invariants hold, and a decent client beside it all loses no order and no event.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import attrs
import orjson
import trio
from loguru import logger
from trio.testing import MockClock

from polybot.clock import Clock, wall_seconds
from polybot.domain.market import FeeSchedule, Market, TwapPair
from polybot.exchange import model
from polybot.exchange.invariants import check
from polybot.exchange.money import UNIT
from polybot.exchange.request import Request, Response
from polybot.exchange.server import Exchange
from polybot.exchange.signer_limits import TIERS
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import wallets_of
from polybot.exchange.websocket import Socket
from polybot.exchange.world import make_world
from polybot.lab import numbers
from polybot.lab.ear import Ear
from polybot.lab.fuzz_chain import REPAIRS
from polybot.lab.fuzz_control import Control
from polybot.lab.fuzz_input import Fuzzer
from polybot.lab.fuzz_sockets import fuzz_sockets
from polybot.lab.fuzz_trader import Trader
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet

START_MS = 1_795_132_800_000
# A relayer at its own pace, and with its own limits, would let nothing through to the chain.
TERMS = Terms(
    relayer_mined_least_ms=100, relayer_mined_most_ms=1_000,
    relayer_confirmed_least_ms=200, relayer_confirmed_most_ms=2_000,
    relayer_submits_per_minute=2_000, relayer_submits_per_day=1_000_000,
)  # fmt: skip
# What a signer may send is limited, too: the last trader is held to it, the others get far.
TRADERS, FREE = 4, TIERS["elite"]
STREAMS = ("market_ws", "user_ws", "prices_ws", "rtds_ws", "binance_rest")
# 500s that the venue itself gives (clob.md 3.6).
KNOWN_500 = (
    b"there are no matching orders",
    b"trade contains rounding issues",
    b"could not insert",
)
API_SECRET = base64.urlsafe_b64encode(bytes(range(32))).decode()
FAULTS_MOST = 20
SOCKET_SHARE = 50  # one in so many comes over a socket


@attrs.define(eq=False)
class Findings:
    """What was sent and what came of it."""

    requests: int = 0
    frames: int = 0
    over_sockets: int = 0
    control_steps: int = 0
    statuses: Counter[int] = attrs.field(factory=Counter)
    services: Counter[str] = attrs.field(factory=Counter)  # requests that were answered well
    faults: list[str] = attrs.field(factory=list)

    def fault(self, what: str) -> None:
        if len(self.faults) < FAULTS_MOST:
            self.faults.append(what)


class Run:
    """One exchange under fuzz, in process and on virtual time."""

    def __init__(self, seed: int, nursery: trio.Nursery, found: Findings) -> None:
        self._rng = random.Random(seed)
        self._nursery, self.found = nursery, found
        self.clock = Clock.starting_at(START_MS)
        series = ("btc-5m", "btc-1h")
        world = make_world("synthetic", seed=seed, start_ms=START_MS, series=series, intensity=0.02)
        self.exchange = Exchange(world, self.clock, seed, self._on_error, terms=TERMS)
        self.services = {
            name.split()[0]: service
            for names, service in self.exchange.services()
            for name in names
        }
        self._traders = [self._trader(number) for number in range(1, TRADERS + 1)]
        for trader in self._traders[:-1]:
            self.exchange.clob.volumes.give(trader.wallet.address, FREE)
        opened = [m for m in self.exchange.engine.markets.values() if m.version == "v1"]
        own = max(opened, key=lambda market: market.start_ms)
        self.control = Control(self._trader(9), as_traded(own), self._ask_clob, self._now_s)
        self._own = own
        self._markets: list[Market] = []
        self._sessions: dict[str, Ear] = {}
        nonce_of = self.exchange.chain.relayer.queue.nonce_of
        self.fuzzer = Fuzzer(self._rng, self._traders, self._markets, self._now_s, nonce_of)

    def _trader(self, number: int) -> Trader:
        wallet = Wallet(Secret("0x" + f"{number:02x}" * 32))
        key, passphrase = f"00000000-0000-4000-8000-{number:012d}", f"pass{number}"
        self.exchange.clob.keys.add_key(wallet.address, key, API_SECRET, passphrase)
        for one in wallets_of(wallet.address).all():
            self.exchange.engine.accounts.deposit(one, 10**6 * UNIT)
        self.exchange.chain.faucet.deploy(wallet.address)
        self.exchange.chain.faucet.give_gas(wallet.address)
        credentials = Credentials(wallet.address, key, Secret(API_SECRET), Secret(passphrase))
        return Trader(wallet, credentials, self.exchange.chain.keys.issue(wallet.address))

    def _now_s(self) -> int:
        return self.clock.now_ms() // 1000

    def _on_error(self, error: Exception) -> None:
        self.found.fault("".join(traceback.format_exception(error)))

    async def _ask_clob(self, request: Request) -> Response:
        handle = self.services["clob"].http
        assert handle is not None
        return await handle(request)

    async def run(self, inputs: int, progress: Callable[[int], None]) -> None:
        self._listen()
        self._nursery.start_soon(self.exchange.clob.run)
        self._nursery.start_soon(self._pump)
        await trio.sleep(0.1)
        for number in range(inputs):
            if number % 5_000 == 0:
                self._choose_markets()
                check(self.exchange.engine)
                progress(number)
            if number % 250 == 0:
                await self._control()
            if number % 10 == 0:
                await trio.sleep(0.004)
            if self._rng.random() < 0.8:
                await self._request(*self.fuzzer.request())
            else:
                self._frame()
        await trio.sleep(1)
        check(self.exchange.engine)
        for lost in self.control.missing():
            self.found.fault(f"lost: {lost}")

    async def _pump(self) -> None:
        while True:
            self.exchange.advance(self.clock.now_ms())
            await trio.sleep(0.02)

    def _choose_markets(self) -> None:
        """Windows under way, some to come and one that is over; never the control's."""
        markets = [m for m in self.exchange.engine.markets.values() if m is not self._own]
        over = [m for m in markets if m.phase is model.Phase.RESOLVED][-1:]
        coming = sorted((m for m in markets if m.phase is model.Phase.OPEN), key=lambda m: m.end_ms)
        self._markets[:] = [as_traded(market) for market in (*coming[:4], *coming[40:42], *over)]

    async def _request(self, service: str, request: Request) -> None:
        self.found.requests += 1
        handle = self.services[service].http
        assert handle is not None
        try:
            response = await handle(request)
        except Exception:  # noqa: BLE001 - the finding this is all about
            self.found.fault(
                f"{request.method} {request.path} {request.body!r:.400}\n{traceback.format_exc()}"
            )
            return
        if service == "admin":
            await self._repair()
        self.found.statuses[response.status] += 1
        self.found.services[service] += response.status < 300
        if response.status >= 500 and response.status != 503 and not known(response):
            self.found.fault(
                f"{response.status} {request.method} {request.path} {request.body!r:.400}"
            )

    async def _repair(self) -> None:
        """Undo what an operator may do to everybody: the control is to notice others, not him."""
        handle = self.services["admin"].http
        assert handle is not None
        for path, body in REPAIRS:
            await handle(Request("POST", path, {}, {}, orjson.dumps(body)))
        self.exchange.clob.restrictions.closing.clear()
        self.exchange.clob.restrictions.banned.clear()

    def _frame(self) -> None:
        self.found.frames += 1
        name = self._rng.choice(STREAMS)
        ear = self._sessions.get(name)
        if ear is None or ear.ended or self._rng.random() < 0.01:
            if ear is not None:
                ear.drop()
            ear = self._sessions[name] = self._open(name, lambda _: None)
        ear.say(self.fuzzer.frame(name))

    async def _control(self) -> None:
        self.found.control_steps += 1
        wrong = await self.control.step()
        if wrong is not None:
            self.found.fault(f"control: {wrong}")

    def _listen(self) -> None:
        self._open("user_ws", self.control.hear_user).say(self.control.login())
        self._open("market_ws", self.control.hear_market).say(self.control.subscription())

    def _open(self, name: str, hear: Callable[[str], None]) -> Ear:
        ear = Ear("/ws", hear)
        serve = self.services[name].socket
        assert serve is not None
        self._nursery.start_soon(self._session, serve, ear)
        return ear

    async def _session(self, serve: Callable[[Socket], Awaitable[None]], ear: Ear) -> None:
        try:
            await serve(ear)
        except Exception:  # noqa: BLE001 - the finding this is all about
            self.found.fault(f"session: {traceback.format_exc()}")
        finally:
            ear.ended = True


def known(response: Response) -> bool:
    return any(text in response.body for text in KNOWN_500)


def as_traded(market: model.Market) -> Market:
    """A market as a client knows it, for signing."""
    return Market(
        series=market.series.key, slug=market.slug, condition_id=market.condition_id,
        up_token=market.tokens[model.UP], down_token=market.tokens[model.DOWN],
        start_ms=market.start_ms, end_ms=market.end_ms, rule=TwapPair("btcusd", 60),
        tick=market.tick, min_size=market.min_size, fees=FeeSchedule(70_000, 1, 200_000),
        version=market.version,
    )  # fmt: skip


async def fuzz(inputs: int, seed: int, progress: Callable[[int], None], found: Findings) -> None:
    """Run so many inputs through the handlers; under a clock that jumps."""
    async with trio.open_nursery() as nursery:
        await Run(seed, nursery, found).run(inputs, progress)
        nursery.cancel_scope.cancel()


def search(inputs: int, seed: int, progress: Callable[[int], None]) -> Findings:
    """Both parts, one after the other."""
    found = Findings()
    over_sockets = inputs // SOCKET_SHARE
    trio.run(
        fuzz, inputs - over_sockets, seed, progress, found, clock=MockClock(autojump_threshold=0)
    )
    found.over_sockets = over_sockets
    for fault in trio.run(fuzz_sockets, over_sockets, seed):
        found.fault(fault)
    return found


def main(argv: Sequence[str]) -> int:
    """0 when nothing was found, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="polybot lab fuzz", description=__doc__)
    parser.add_argument(
        "--requests", type=numbers.count, default=100_000, help="requests and frames"
    )
    parser.add_argument("--seed", type=numbers.seed, default=1)
    said = parser.parse_args(argv)
    logger.remove()
    begun = wall_seconds()

    def progress(done: int) -> None:
        sys.stderr.write(f"\r{done} of {said.requests}, {wall_seconds() - begun:.0f} s")
        sys.stderr.flush()

    found = search(said.requests, said.seed, progress)
    took_s = max(wall_seconds() - begun, 0.001)
    sys.stderr.write("\n")
    for fault in found.faults:
        sys.stdout.write(f"FOUND {fault}\n")
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()))
    well = ", ".join(f"{name} {count}" for name, count in sorted(found.services.items()))
    sys.stdout.write(f"answered well: {well}\n")
    sys.stdout.write(
        f"seed {said.seed}: {found.requests} requests ({statuses}), {found.frames} frames, "
        f"{found.over_sockets} inputs over sockets, {found.control_steps} steps of the control, "
        f"{len(found.faults)} findings in {took_s:.0f} s, {said.requests / took_s:.0f} a second\n"
    )
    return 1 if found.faults else 0
