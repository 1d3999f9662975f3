"""The doctor's one check that acts: a far post-only order is placed, seen, cancelled, seen gone."""

from __future__ import annotations

import trio

from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text, price_text
from polybot.far_order import far_order, refusal, rests
from polybot.journal.lock_file import holder
from polybot.operator.findings import Check, Finding, failed, ok
from polybot.operator.patient import Patient
from polybot.signals import stop_on_signals
from polybot.venue.signing import SALT_MAX, sign_order

LOOKS = 10
LOOK_S = 0.3
TRY_S = 50.0  # for all of it, less than any check has: what may rest is to be told by this one
REMEDY = "look at the venue for the order, and cancel it: `python -m polybot stop --now`"


async def order(patient: Patient) -> Finding:
    """Signing, placing, reading and cancelling work, and nothing is left behind.

    It is sent once. With an engine running it would be a foreign order, which halts that engine.
    """
    if patient.journal is not None and (pid := holder(patient.journal)) is not None:
        return failed(f"not placed: process {pid} trades with this wallet", "stop the engine first")
    # One on another machine, or of another user, has a lock that is not seen from here.
    rows = await patient.client.open_orders()
    if isinstance(rows, Failure):
        return failed(f"not placed: {rows.what}", "try again when the venue answers")
    if rows:
        return failed(f"not placed: {len(rows)} orders rest", "stop whoever trades first")
    markets = await patient.markets()
    if not markets:
        return failed("no market to place it in", "see the check of the windows")
    latest = max(markets, key=lambda market: market.end_ms)
    trying, signals = trio.CancelScope(), list[str]()

    def stop(name: str) -> None:
        signals.append(name)
        trying.cancel()

    found: Finding | None = None
    async with trio.open_nursery() as nursery:
        # Unheard, a signal ends the process where it is, and the order stays.
        await nursery.start(stop_on_signals, stop)
        trying.deadline = trio.current_time() + TRY_S
        with trying:
            found = await _placed(patient, latest)
        nursery.cancel_scope.cancel()
    why = signals[0] if signals else f"no end within {TRY_S:g} s"
    return found or failed(f"{why}: the order may rest", REMEDY)


async def _placed(patient: Patient, market: Market) -> Finding:
    client = patient.client
    wanted = await far_order(client, market)
    if isinstance(wanted, Failure):
        return failed(wanted.what, "try again in the next window")
    signed = sign_order(
        wanted,
        wallet=patient.wallet,
        funder=patient.funder if patient.signature_type else None,
        signature_type=patient.signature_type,
        owner_key=patient.credentials.api_key,
        salt=patient.rng.randint(0, SALT_MAX),
        timestamp_ms=patient.clock.now_ms(),
    )
    try:
        (answer,) = await client.place([signed])
        why = refusal(answer)
        if why is not None:
            return failed(f"refused: {why}", "see what the other checks say of approvals and cash")
        shown = await _until(patient, signed.id, alive=True)
    finally:
        # Also when we are interrupted: whatever the answer was, it may rest.
        with trio.move_on_after(client.rest.timeout_s, shield=True):
            await client.cancel([signed.id])
    if not await _until(patient, signed.id, alive=False):
        return failed(f"{signed.id} was cancelled and is still shown", REMEDY)
    if not shown:
        return failed("the order was taken and never shown", REMEDY)
    what = f"{amount_text(wanted.size)} {wanted.outcome.value} at {price_text(wanted.price)}"
    return ok(f"{what} in {market.slug}: placed, shown, cancelled, gone")


async def _until(patient: Patient, order_id: str, *, alive: bool) -> bool:
    for _ in range(LOOKS):
        if await rests(patient.client, order_id) is alive:
            return True
        await trio.sleep(LOOK_S)
    return False


CHECK = Check("far order", order)
