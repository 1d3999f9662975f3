"""The ids of markets and outcomes in both protocols (clob.md 3.2, onchain.md 6.2).

Protocol V1 draws them like hashes. A V2 position id is structured: module (8 bits), hash (128),
arity (16), reserved zeros (64), resolution chain (16), condition index (16), outcome (8). Without
its last byte it is the condition's id; the venue shows that padded with `00` on the right.
"""

from __future__ import annotations

import functools
import hashlib
import re

import attrs

BINARY_MODULE, NEG_RISK_MODULE = 1, 2
_HASH_SHIFT = 120
_SHORT = re.compile(r"0x0[12][0-9a-fA-F]{60}")


@attrs.frozen
class Identity:
    """What a market is called. `others`: ids of the protocol it does not trade in."""

    condition_id: str  # 0x and 64 hex digits in both protocols
    question_id: str
    tokens: tuple[str, str]  # what its book trades: token ids of v1, position ids of v2
    others: tuple[str, str]


@functools.lru_cache(maxsize=4096)  # a day of windows, and its markets are listed at every start
def identity(seed: int, slug: str, version: str, *, neg_risk: bool = False) -> Identity:
    """The ids of the market of this name; the same seed and name give the same ids."""
    tokens = _number(seed, slug, "Up"), _number(seed, slug, "Down")
    drawn = str(tokens[0]), str(tokens[1])
    positions = position_ids(
        _number(seed, slug, "position"), NEG_RISK_MODULE if neg_risk else BINARY_MODULE
    )
    question = "0x" + _digest(seed, slug, "question")
    if version == "v2":
        return Identity(f"0x{int(positions[0]):064x}", question, positions, drawn)
    return Identity("0x" + _digest(seed, slug, "condition"), question, drawn, positions)


def position_ids(number: int, module: int) -> tuple[str, str]:
    """Both outcomes of the condition whose hash is the low 128 bits of `number`.

    Arity, resolution chain and condition index are 0, as in the one id seen (clob.md 2.3).
    """
    base = module << 248 | (number & (1 << 128) - 1) << _HASH_SHIFT
    return str(base), str(base + 1)


def full_condition_id(text: str) -> str:
    """A structural id of 31 bytes padded to the 32 of the CLOB; anything else as it is."""
    return text + "00" if _SHORT.fullmatch(text) else text


def drawn_version(seed: int, slug: str, protocol: str) -> str:
    """`Terms.protocol` for one market: "mixed" is a coin of the market's own."""
    if protocol != "mixed":
        return protocol
    return "v2" if _number(seed, slug, "version") % 2 else "v1"


def _digest(seed: int, slug: str, what: str) -> str:
    return hashlib.sha256(f"{seed}:{slug}:{what}".encode()).hexdigest()


def _number(seed: int, slug: str, what: str) -> int:
    return int(_digest(seed, slug, what), 16)
