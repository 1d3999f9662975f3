"""The HTTP/1.1 that nearly every client speaks: a plain head, and a body of a stated length.

A state machine for every byte of every request took a third of the time of serving it. Here a
request that is plain is cut out by hand; what is not – chunks, upgrades, HEAD, `Expect`, bare line
feeds, nonsense – is left to h11, and so is what to say to it.
"""

from __future__ import annotations

import re

import attrs

from polybot.exchange.request import Response

END_OF_HEAD = re.compile(rb"\n\r?\n")  # as lenient as h11, which gets whatever is not CRLF
REQUEST_LINE = re.compile(rb"(GET|POST|DELETE|PUT|PATCH) (/[\x21-\x7e]*) HTTP/1\.1")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[^\0\s]|[ \t])*?)[ \t]*")
LENGTH = re.compile(rb"[0-9]{1,9}")
ODD = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
LOWEST = 0x21  # of a request line's first byte: anything below is no HTTP

Fields = list[tuple[bytes, bytes]]  # names in lower case


@attrs.frozen
class Head:
    """A plain request's head, and how many bytes of body follow it."""

    method: bytes
    target: bytes
    fields: Fields
    size: int


def end_of_head(data: bytes) -> int | None:
    """Where the body begins; None while the head is not there. Whatever ends otherwise than by two
    CRLF is for h11: -1.
    """
    found = END_OF_HEAD.search(data)
    if found is None:
        return -1 if data and data[0] < LOWEST else None
    return found.end() if data.endswith(b"\r\n\r\n", 0, found.end()) else -1


def plain_head(head: bytes) -> Head | None:
    """Read a head, without the empty line at its end. None: not a plain one."""
    first, *lines = head.split(b"\r\n")
    asked = REQUEST_LINE.fullmatch(first)
    found = [FIELD.fullmatch(line) for line in lines]
    fields = [(one[1].lower(), one[2]) for one in found if one is not None]
    said = dict(fields)
    length = said.get(b"content-length", b"0")
    kept = said.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    sound = asked is not None and len(fields) == len(said) == len(lines) and b"host" in said
    if not sound or not kept or ODD & said.keys() or LENGTH.fullmatch(length) is None:
        return None
    assert asked is not None
    return Head(asked[1], asked[2], fields, int(length))


def plain_answer(response: Response) -> bytes:
    """As h11 writes it."""
    fields = (*response.headers, ("content-length", str(len(response.body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {response.status} \r\n{lines}\r\n".encode("ascii") + response.body
