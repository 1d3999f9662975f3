"""What venue and chain let a wallet do: flags, places and approvals (clob.md 2.1, 5.1, 7.3).

Read by the operator's commands before anything is traded. Every call answers with its value or a
Failure; none raises for what the venue does.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import orjson

from polybot.domain.orders import Failure
from polybot.venue import fields
from polybot.venue.clob import ClobClient
from polybot.venue.rest import Rest, decoded
from polybot.venue.signing import address_word, keccak
from polybot.venue.site import is_position_id

_ALLOWANCE = keccak(b"allowance(address,address)")[:4]
_OPERATOR = keccak(b"isApprovedForAll(address,address)")[:4]


@attrs.frozen
class Place:
    """Where the venue thinks we are. `country` is a two-letter code."""

    blocked: bool
    country: str
    region: str


@attrs.frozen
class Approval:
    """A question to the chain: may `spender` take `owner`'s tokens? `shares`: an ERC-1155, where
    the answer is all or nothing.
    """

    token: str
    owner: str
    spender: str
    shares: bool


async def closed_only(client: ClobClient) -> bool | Failure:
    """Whether the account may only reduce positions (clob.md 7.3)."""
    path = "/auth/ban-status/closed-only"
    return decoded(path, await client.rest.call("GET", path), _closed_only)


async def api_keys(client: ClobClient) -> list[str] | Failure:
    """The keys of our wallet: answers only to credentials that hold."""
    path = "/auth/api-keys"
    return decoded(path, await client.rest.call("GET", path), _keys)


async def place(site: Rest) -> Place | Failure:
    """The geoblock probe; `site` is public, with the website's URL."""
    path = "/api/geoblock"
    return decoded(path, await site.call("GET", path), _place)


async def allowances(client: ClobClient, token: str | None) -> dict[str, int] | Failure:
    """By exchange contract (lower case), what it may take of a token; of collateral for None."""
    params = {"asset_type": "COLLATERAL", "signature_type": str(client.signature_type)}
    if token is not None:
        kind = "CONDITIONAL-V2" if is_position_id(token) else "CONDITIONAL"
        params |= {"asset_type": kind, "token_id": token}
    path = "/balance-allowance"
    return decoded(path, await client.rest.call("GET", path, params=params), _allowances)


async def approvals(rpc: Rest, questions: Sequence[Approval]) -> list[int] | Failure:
    """What the chain answers, in order: an amount, or 1 and 0 for an operator (onchain.md 4)."""
    found: list[int] = []
    for number, question in enumerate(questions):
        body = orjson.dumps(_eth_call(question, number))
        answer = decoded("eth_call", await rpc.call("POST", "", body=body), _word)
        if isinstance(answer, Failure):
            return answer
        found.append(answer)
    return found


def _eth_call(question: Approval, number: int) -> dict[str, object]:
    selector = _OPERATOR if question.shares else _ALLOWANCE
    data = selector + address_word(question.owner) + address_word(question.spender)
    call = {"to": question.token, "data": "0x" + data.hex()}
    return {"jsonrpc": "2.0", "id": number, "method": "eth_call", "params": [call, "latest"]}


def _closed_only(value: object) -> bool:
    flag = fields.as_object(value).get("closed_only")
    if not isinstance(flag, bool):
        raise ValueError(f"expected true or false, was {fields.shown(flag)!r}")
    return flag


def _keys(value: object) -> list[str]:
    return list(fields.texts(fields.as_list(fields.as_object(value).get("apiKeys"))))


def _place(value: object) -> Place:
    row = fields.as_object(value)
    blocked = row.get("blocked")
    if not isinstance(blocked, bool):
        raise ValueError(f"expected true or false, was {fields.shown(blocked)!r}")
    return Place(blocked, fields.optional_text(row, "country"), fields.optional_text(row, "region"))


def _allowances(value: object) -> dict[str, int]:
    rows = fields.as_object(fields.as_object(value).get("allowances"))
    found: dict[str, int] = {}
    for spender, amount in rows.items():
        digits = fields.number_text(amount)
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"expected base units, was {digits[:40]!r}")
        found[spender.lower()] = int(digits)
    return found


def _word(value: object) -> int:
    row = fields.as_object(value)
    result = row.get("result")
    if not isinstance(result, str) or not result.startswith("0x") or len(result) < 3:
        said = fields.shown(row.get("error") or result, 80)
        raise ValueError(f"expected a word, was {said!r}")
    return int(result, 16)
