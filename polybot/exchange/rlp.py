"""RLP, strictly: byte strings and lists of them, as raw transactions are written."""

from __future__ import annotations


class BadRlp(Exception):
    """The data is no RLP."""


def encode(item: bytes | list[bytes]) -> bytes:
    """A byte string, or a flat list of them."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _head(0x80, len(item)) + item
    return wrap(b"".join(map(encode, item)))


def wrap(body: bytes) -> bytes:
    """The list whose encoded items are `body`."""
    return _head(0xC0, len(body)) + body


def encode_int(value: int) -> bytes:
    """An integer as its shortest big-endian bytes; zero is the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _head(base: int, length: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    digits = encode_int(length)
    return bytes([base + 55 + len(digits)]) + digits


def decode_list(data: bytes) -> list[bytes]:
    """The fields of one flat list that is all of `data`; an inner list comes as its own payload."""
    is_list, payload, rest = _split(data)
    if not is_list or rest:
        raise BadRlp("not one list")
    fields: list[bytes] = []
    while payload:
        _, field, payload = _split(payload)
        fields.append(field)
    return fields


def _split(data: bytes) -> tuple[bool, bytes, bytes]:
    """(is a list, the payload of the first item, what follows it)."""
    if not data:
        raise BadRlp("nothing there")
    first = data[0]
    if first < 0x80:
        return False, data[:1], data[1:]
    base = 0xC0 if first >= 0xC0 else 0x80
    start, length = 1, first - base
    if length > 55:
        start += length - 55
        digits = data[1:start]
        if len(digits) < length - 55 or digits[:1] == b"\0":
            raise BadRlp("a bad length")
        length = int.from_bytes(digits, "big")
    if len(data) < start + length:
        raise BadRlp("the data ends too early")
    return base == 0xC0, data[start : start + length], data[start + length :]
