"""A certificate that nobody has signed, and a front for a plain server that speaks TLS with it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

Certificate = tuple[Path, Path]  # and its key


def made(folder: Path) -> Certificate:
    """One for localhost."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(  # noqa: S603 - openssl itself
        [openssl, *words.split(), "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def serving(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


class AtHome(trio.abc.HostnameResolver):
    """Where localhost is, without the thread in which Trio looks: a clock that is not the wall's
    runs ahead meanwhile, and on a busy machine a dial's deadline has passed before it is known.
    """

    async def getaddrinfo(
        self, host: bytes | None, port: bytes | str | int | None, *_: int, **__: int
    ) -> Any:
        await trio.lowlevel.checkpoint()
        assert host == b"localhost", host
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise AssertionError("nobody who dials asks for a name")


@asynccontextmanager
async def front(port: int, certificate: Certificate) -> AsyncGenerator[int]:
    """Takes TLS connections for the plain server at `port`; yields its own port."""

    async def meet(outside: trio.SSLStream[trio.SocketStream]) -> None:
        inside = await trio.open_tcp_stream("127.0.0.1", port)
        async with inside, trio.open_nursery() as nursery:
            nursery.start_soon(_carry, outside, inside, nursery.cancel_scope)
            nursery.start_soon(_carry, inside, outside, nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, meet, 0, serving(certificate), host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        yield listener.transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _carry(
    source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, both: trio.CancelScope
) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
    both.cancel()
