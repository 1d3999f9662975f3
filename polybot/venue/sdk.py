"""`polymarket-client` as one function that submits calls (onchain.md 8). Blocks: for threads only.

It is imported here alone, and only when a client is made: that takes a second, and only a wallet
that trades needs it. What is internal of it is why its version is pinned.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from polybot.domain.orders import Failure
from polybot.venue.calls import Call
from polybot.venue.relayer import Answer, Refused, Sent, Submit
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site

if TYPE_CHECKING:
    from polymarket import SecureClient
    from polymarket.environments import Environment

# A wallet does one thing at a time, and in order (onchain.md 7.4).
# A 429 that tells only in its words when to come again: the client keeps these to itself, and has
# asked eleven times by then (onchain.md 7.4). A minute's limit is over by then, a day's quota is
# not, and is asked for no oftener.
UNTOLD_S = 300.0
# By the time we hear of it, the client has asked eleven times in twenty seconds, and the relayer
# takes 25 a minute: whatever it says, the next eleven come when these are forgotten.
HAMMERED_S = 45.0
# Errors name whole URLs, and a node's may have a key behind its host.
_URL_TAIL = re.compile(r"(?<=://)([^/?\s]+)[/?]\S*")
REFUSAL = re.compile(r"wallet busy|in-flight action|does not match on-chain nonce", re.IGNORECASE)


@attrs.frozen(eq=False)
class SdkSubmit:
    """A client of the SDK, as what it is used for."""

    client: SecureClient

    def __call__(self, name: str, calls: Sequence[Call]) -> Answer:
        return _submitted(self.client, name, calls)

    def close(self) -> None:
        self.client.close()


def sdk_submit(
    site: Site,
    private_key: Secret,
    credentials: Credentials,
    wallet: str,
    relayer_key: Secret | None,
    *,
    speed: float = 1.0,
) -> Submit:
    """A function that submits calls of `wallet` as one transaction; raises nothing.

    The client is built without the SDK's own checks of the credentials, which ask the CLOB by the
    machine's clock and may deploy a wallet: nothing here needs the CLOB, and wallets are the
    operator's. `speed`: venue seconds in one of ours, for the SDK's pauses are by the wall.
    """
    from polymarket import ApiKeyCreds, RelayerApiKey, SecureClient  # noqa: PLC0415

    api_key = None
    if relayer_key is not None:
        api_key = RelayerApiKey(key=relayer_key.reveal(), address=credentials.address)
    client = SecureClient._create(  # noqa: SLF001 - see above
        private_key=private_key.reveal(),
        wallet=wallet,
        environment=_environment(site, speed),
        credentials=ApiKeyCreds.model_validate(
            {
                "apiKey": credentials.api_key,
                "secret": credentials.secret.reveal(),
                "passphrase": credentials.passphrase.reveal(),
            }
        ),
        api_key=api_key,
        validate_credentials=False,
    )
    return SdkSubmit(client)


def _environment(site: Site, speed: float) -> Environment:
    from polymarket._internal.environment import (  # noqa: PLC0415
        PRODUCTION_CONFIG,
        create_environment,
    )

    config = dataclasses.replace(
        PRODUCTION_CONFIG,
        clob_url=site.clob,
        gamma_url=site.gamma,
        data_url=site.data or site.gamma,
        relayer_url=site.relayer,
        rpc_url=site.rpc,
        relayer_poll_frequency_ms=math.ceil(PRODUCTION_CONFIG.relayer_poll_frequency_ms / speed),
    )
    return create_environment(name="site", config=config)


def _submitted(client: SecureClient, name: str, calls: Sequence[Call]) -> Answer:
    from polymarket import errors  # noqa: PLC0415
    from polymarket.calls import TransactionCall  # noqa: PLC0415
    from polymarket.types import EvmAddress, HexString  # noqa: PLC0415

    made = [
        TransactionCall(to=EvmAddress(call.to), data=HexString(call.data), value=0)
        for call in calls
    ]
    try:
        handle = client.execute_transaction(calls=made, metadata=name)
    except (errors.UserInputError, errors.SigningError) as error:
        return Refused(_text(error))
    except errors.RateLimitError as error:
        again_s = UNTOLD_S if error.retry_after is None else error.retry_after
        return Refused(_text(error), max(HAMMERED_S, again_s))
    except errors.RequestRejectedError as error:
        if _unclear(error.status, str(error)):
            return Failure(_text(error))  # it may have been taken all the same
        if error.status == 400 and REFUSAL.search(str(error)):
            return Refused(_text(error), max(HAMMERED_S, error.retry_after or 0.0))
        return Refused(_text(error), error.retry_after)
    except Exception as error:  # noqa: BLE001 - time-outs, cut connections, replies unread
        return Failure(_text(error))
    return Sent(str(getattr(handle, "transaction_id", None) or handle.transaction_hash))


def _unclear(status: int, text: str) -> bool:
    """Whether the answer leaves open if the relayer has taken the batch. A 400 is a refusal where
    it says so in words that are known (F44).
    """
    return status >= 500 or status == 408 or (status == 400 and not REFUSAL.search(text))


def _text(error: Exception) -> str:
    return _URL_TAIL.sub(r"\1", f"{type(error).__name__}: {error}")[:300]
