"""`python -m polybot doctor`: is everything as it must be for trading, and if not, what to do.

Reads only, unless `--order` is given; beats the dead-man switch once where nothing rests. Every
check is run, whatever the others say.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterable, Sequence
from functools import partial

import trio

from polybot.config_read import ConfigError
from polybot.domain.orders import Failure
from polybot.host import clock_at
from polybot.operator import check_order, checks_feeds, checks_here, checks_venue
from polybot.operator.access import Access, parser
from polybot.operator.findings import Check, Finding, Grade, failed, json_text, passing, text, well
from polybot.operator.patient import Patient
from polybot.venue.rest import http_client
from polybot.venue.signing import Wallet

EXIT_CLEAN, EXIT_FAILED = 0, 1
REQUEST_S = 5.0
CHECK_S = 60.0  # for one check, whatever it waits for


def main(words: Sequence[str]) -> int:
    made = parser("doctor", "Look whether everything is as it must be for trading.")
    made.add_argument("--order", action="store_true", help="place one far order and cancel it")
    made.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    said = made.parse_args(words)
    try:
        access = Access.of(said)
        speed = 1.0 if access.host is None else access.host.speed
    except ConfigError as error:
        report = [("configuration", failed(str(fault), "")) for fault in error.faults]
    except ValueError as error:
        report = [("configuration", failed(str(error), ""))]
    else:
        report = trio.run(
            partial(_examine, access, speed, place_order=said.order), clock=clock_at(speed)
        )
    sys.stdout.write(json_text(report) if said.json else text(report))
    return EXIT_CLEAN if well(report) else EXIT_FAILED


async def _examine(access: Access, speed: float, *, place_order: bool) -> list[tuple[str, Finding]]:
    async with http_client() as http:
        try:
            client = await access.client(http, REQUEST_S * speed)
        except TimeoutError as error:
            return [("venue", failed(str(error), "is the exchange running?"))]
        if isinstance(client, Failure):
            remedy = "check the key and the way to the venue; nothing else can be looked at"
            why = [("API credentials", failed(client.what, remedy))]
            # It may be why: the program does not take the way that others take here.
            way = checks_here.proxies_of(os.environ)
            return why if way.grade is Grade.OK else [*why, ("proxies", way)]
        patient = Patient(
            config=access.config,
            site=access.site,
            wallet=Wallet(access.private_key),
            client=client,
            http=http,
            rng=random.SystemRandom(),
            journal=access.journal,
            owner=access.owner,
            secrets_file=access.secrets_file,
        )
        return await examine(patient, place_order=place_order)


async def examine(patient: Patient, *, place_order: bool) -> list[tuple[str, Finding]]:
    """Every check: one after the other but for the streams, which take their time together.

    The heartbeat comes last: when it lapses everything of the key is cancelled.
    """
    *venue, heartbeat = checks_venue.CHECKS
    found = await in_turn(patient, (*checks_here.CHECKS, *venue))
    found += await _together(patient, checks_feeds.CHECKS)
    return found + await in_turn(
        patient, [check_order.CHECK, heartbeat] if place_order else [heartbeat]
    )


async def in_turn(patient: Patient, checks: Iterable[Check]) -> list[tuple[str, Finding]]:
    return [(check.name, await _bounded(patient, check)) for check in checks]


async def _together(patient: Patient, checks: Sequence[Check]) -> list[tuple[str, Finding]]:
    found: dict[str, Finding] = {}

    async def one(check: Check) -> None:
        found[check.name] = await _bounded(patient, check)

    async with trio.open_nursery() as nursery:
        for check in checks:
            nursery.start_soon(one, check)
    return [(check.name, found[check.name]) for check in checks]


async def _bounded(patient: Patient, check: Check) -> Finding:
    try:
        with trio.move_on_after(CHECK_S):
            return await check.run(patient)
    except OSError as error:  # a folder that others may not enter
        return failed(str(error), "run it as the user who runs the bot")
    return passing(f"no end within {CHECK_S:g} s", "the venue or the way to it is very slow")
