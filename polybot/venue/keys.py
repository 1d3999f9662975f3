"""API credentials from the wallet's key, by py-clob-client-v2 in a thread.

Once per start and never on the trading path, so the official package may be slow and blocking here:
half a second to import, synchronous HTTP. It is imported inside the thread for that reason.
"""

from __future__ import annotations

import trio

from polybot.domain.orders import Failure
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import CHAIN, Site

UNAUTHORIZED = 401
REFUSED = "; the signature has the machine's time in it: is its clock right?"

# Of each run its own: a thread that a run has left behind gives nothing back to the next.
_one_at_a_time: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("API keys")


async def derive_credentials(
    site: Site, private_key: Secret, *, timeout_s: float = 30
) -> Credentials | Failure:
    """Create the wallet's API key, or derive it where it exists already (clob.md 2.1).

    Asking again gives the same key. A timed-out thread is left to finish by itself.
    """
    try:
        limiter = _one_at_a_time.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        _one_at_a_time.set(limiter)
    try:
        with trio.fail_after(timeout_s):
            return await trio.to_thread.run_sync(
                _create_or_derive,
                site.clob,
                private_key,
                abandon_on_cancel=True,
                limiter=limiter,
            )
    except trio.TooSlowError:
        return Failure(f"no API credentials within {timeout_s:g} s")


def _create_or_derive(host: str, private_key: Secret) -> Credentials | Failure:
    from py_clob_client_v2.client import ClobClient  # noqa: PLC0415

    try:
        client = ClobClient(host, CHAIN, key=private_key.reveal())
        made = client.create_or_derive_api_key()
        credentials = Credentials(
            client.get_address(),
            made.api_key,
            Secret(made.api_secret),
            Secret(made.api_passphrase),
        )
    except Exception as error:  # noqa: BLE001
        # Whatever that package raises (its own, httpx's, KeyError on an odd reply) means the same
        # here. Only type and status are told: the text may quote what was sent.
        status = getattr(error, "status_code", None)
        told = type(error).__name__ if status is None else f"HTTP {status}"
        refused = status == UNAUTHORIZED
        return Failure(f"no API credentials: {told}{REFUSED if refused else ''}", refused)
    if not credentials.usable:
        return Failure("no API credentials: an answer without usable ones")
    return credentials
