"""The few corners of Solidity's ABI that the venue's calls need, read strictly.

Arguments are words of 32 bytes; a dynamic one is an offset, from the start of its tuple, to a
length and the contents. Anything that Solidity's own decoder would revert on raises `BadCalldata`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.exchange.eip712 import checksum, keccak

WORD = 32
_LONGEST = 1 << 16  # entries of an array: more than any block holds


class BadCalldata(Exception):
    """The data is not an encoding of what was asked for."""


def selector(signature: str) -> bytes:
    """The first four bytes of a call of `name(type,…)`."""
    return keccak(signature.encode())[:4]


def topic(signature: str) -> str:
    """The first topic of an event."""
    return "0x" + keccak(signature.encode()).hex()


@attrs.frozen
class Args:
    """The arguments of a call, or of a tuple in it, by their place."""

    data: bytes

    def uint(self, place: int) -> int:
        return int.from_bytes(self._word(place * WORD), "big")

    def flag(self, place: int) -> bool:
        value = self.uint(place)
        if value > 1:
            raise BadCalldata(f"argument {place} is no bool")
        return bool(value)

    def address(self, place: int) -> str:
        """In checksum form."""
        return _address(self._word(place * WORD))

    def fixed(self, place: int, length: int) -> bytes:
        """A `bytesN`: left-aligned, the rest of the word zero."""
        word = self._word(place * WORD)
        if any(word[length:]):
            raise BadCalldata(f"argument {place} is longer than {length} bytes")
        return word[:length]

    def blob(self, place: int) -> bytes:
        """A `bytes`."""
        start, length = self._dynamic(place)
        return self._slice(start, length)

    def uints(self, place: int) -> list[int]:
        return [int.from_bytes(word, "big") for word in self._words(place)]

    def addresses(self, place: int) -> list[str]:
        return [_address(word) for word in self._words(place)]

    def tuples(self, place: int) -> list[Args]:
        """An array of dynamic tuples: offsets, from the first of them, to each."""
        start, length = self._dynamic(place)
        inner = Args(self.data[start:])
        return [inner._tuple_at(inner.uint(n)) for n in range(length)]

    def _tuple_at(self, offset: int) -> Args:
        if offset > len(self.data):
            raise BadCalldata("an offset leads out of the data")
        return Args(self.data[offset:])

    def _words(self, place: int) -> list[bytes]:
        start, length = self._dynamic(place)
        return [self._word(start + n * WORD) for n in range(length)]

    def _dynamic(self, place: int) -> tuple[int, int]:
        offset = self.uint(place)
        length = int.from_bytes(self._word(offset), "big")
        if length > _LONGEST:
            raise BadCalldata(f"argument {place} has {length} entries")
        return offset + WORD, length

    def _word(self, start: int) -> bytes:
        return self._slice(start, WORD)

    def _slice(self, start: int, length: int) -> bytes:
        if start + length > len(self.data):
            raise BadCalldata("the data ends too early")
        return self.data[start : start + length]


def _address(word: bytes) -> str:
    if any(word[:12]):
        raise BadCalldata("an address of more than 20 bytes")
    return checksum(word[12:])


def word(value: int) -> bytes:
    return int(value).to_bytes(WORD, "big")


def address_word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(WORD, b"\0")


def array(values: Sequence[int]) -> bytes:
    """Length and words: what an offset to a `uint256[]` points at."""
    return word(len(values)) + b"".join(map(word, values))


def blob(data: bytes) -> bytes:
    """Length and contents, padded to whole words."""
    return word(len(data)) + data + bytes(-len(data) % WORD)


def revert_data(reason: str) -> bytes:
    """What a failed `require(…, reason)` returns: `Error(string)`; nothing without a reason."""
    if not reason:
        return b""
    return selector("Error(string)") + word(WORD) + blob(reason.encode())
