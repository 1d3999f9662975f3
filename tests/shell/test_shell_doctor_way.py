"""The doctor's look at how pairs become dollars, and how what has won is paid."""

from __future__ import annotations

import random

import attrs
import pytest
from shell_kit import HOUR_MS, Scene, scene
from venue_bent import answer

from polybot.config import LiveParams
from polybot.operator.checks_venue import way
from polybot.operator.findings import Grade
from polybot.operator.patient import Patient
from polybot.patient_clock import PatientClock
from polybot.secrets_file import LiveKeys
from polybot.venue.clob import ClobClient
from polybot.venue.relayer import GAS_LEAST
from polybot.venue.secret import Secret


def live(it: Scene, kind: int, relayer_key: str | None) -> Patient:
    """The scene's wallet as a live configuration has it."""
    ctx = it.bot.ctx
    client = ctx.client
    funder = client.me.wallet if kind else None
    relayer = None if relayer_key is None else Secret(relayer_key)
    keys = LiveKeys(Secret("0x" + "22" * 32), funder, None, relayer)
    params = LiveParams(wallet=ctx.wallet.address, funder=funder, signature_type=kind)
    credentials = client.rest.credentials
    assert credentials is not None
    return Patient(
        config=attrs.evolve(ctx.config, live=params, keys=keys),
        site=ctx.site,
        wallet=ctx.wallet,
        client=ClobClient(
            it.http, ctx.site, credentials, ctx.clock, funder=funder, signature_type=kind
        ),
        http=it.http,
        rng=random.Random(1),
        journal=None,
        owner="",
    )


@pytest.mark.parametrize(("relayer_key", "grade"), [(None, Grade.WARNING), ("a key", Grade.OK)])
async def test_a_wallet_of_contracts_needs_the_relayer(
    relayer_key: str | None, grade: Grade, fast_clock: PatientClock
) -> None:
    """Without its key nothing won is paid, and the doctor called that wallet well."""
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        found = await way(live(it, 3, relayer_key))

    assert found.grade is grade
    assert ("PM_RELAYER_API_KEY" in found.remedy) is (grade is Grade.WARNING)


@pytest.mark.parametrize(("gas", "grade"), [(GAS_LEAST, Grade.OK), (GAS_LEAST - 1, Grade.WARNING)])
async def test_a_plain_wallet_needs_gas(gas: int, grade: Grade, fast_clock: PatientClock) -> None:
    """It pays its own transactions: with none left what has won stays where it is."""
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        it.venue.chain.chain.gas[it.bot.ctx.wallet.address] = gas
        found = await way(live(it, 0, None))

    assert found.grade is grade
    assert "POL" in found.found
    assert (it.bot.ctx.wallet.address in found.remedy) is (grade is Grade.WARNING)


async def test_gas_that_cannot_be_read(fast_clock: PatientClock) -> None:
    """The node's own check says what is wrong with it; here it is no failure of the wallet's."""
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        it.venue.bend("POST", "", "/", act=answer(503), service="rpc")
        found = await way(live(it, 0, None))

    assert found.grade is Grade.WARNING
    assert "PM_RPC" in found.remedy
