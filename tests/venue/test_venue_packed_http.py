"""Answers that were packed on their way: what they come to is bounded, and nothing else is lost."""

from __future__ import annotations

import gzip
import zlib

import httpx
import pytest
import zstandard
from test_venue_lean_http import once, peer, saying

from polybot.venue import lean_http
from polybot.venue.lean_http import LeanClient

MOST = 4096


def packed(body: bytes, packing: str = "gzip", status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} So\r\nContent-Encoding: {packing}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def answered(raw: bytes) -> httpx.Response:
    async with peer(once(raw)) as url, LeanClient() as client:
        return await client.get(url)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is bounded at megabytes is bounded sooner."""
    monkeypatch.setattr(lean_http, "BODY_MOST", MOST)


async def test_what_a_packed_answer_comes_to_is_bounded() -> None:
    """A thousandth of it came over the wire, and httpx unpacked all of it: a few megabytes filled
    the memory.
    """
    bomb = packed(gzip.compress(b"x" * 2**20))
    async with peer(once(bomb)) as url, LeanClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match=f"answer of {MOST + 1} bytes or more"):
            await client.get(url)

    assert (await answered(packed(gzip.compress(b"x" * MOST)))).content == b"x" * MOST


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        ("deflate", zlib.compress(b"x" * 2**20)),
        ("zstd", zstandard.compress(b"x" * 2**20)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x" * 2**20))),
    ],
    ids=["deflate", "zstd", "gzip twice"],
)
async def test_what_is_packed_unasked_stays_packed(packing: str, body: bytes) -> None:
    """It is nothing that we read, and may be as large; what its status says is known all the
    same.
    """
    reply = await answered(packed(body, packing, 400))

    assert (reply.status_code, reply.content) == (400, body)
    assert reply.headers["content-encoding"] == packing


async def test_only_what_is_unpacked_is_asked_for() -> None:
    """A server that is asked for more may pack as it likes, and every answer would be lost."""
    heard: list[bytes] = []
    async with peer(saying(packed(b""), heard=heard)) as url, LeanClient() as client:
        assert (await client.get(url)).content == b""

    assert b"accept-encoding: gzip\r\n" in b"".join(heard).lower()


async def test_a_packed_answer_that_is_cut_short_is_none() -> None:
    """Its length is that of its head; half a list would be read as the whole."""
    cut = packed(gzip.compress(b"x" * 100)[:-9])
    async with peer(once(cut)) as url, LeanClient() as client:
        with pytest.raises(httpx.DecodingError, match="cut short"):
            await client.get(url)
