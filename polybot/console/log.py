"""Logs: one JSON object a line, with secrets taken out of the finished text.

Redaction is the last step, after exceptions are rendered, because a scrubbed message does not help
when the key is in the traceback. It is the second line of defence; `Secret` is the first. Hashes
(order ids, conditions, transactions) stay readable: only known secrets and values next to a telling
name are removed.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from loguru import logger

from polybot.console.log_file import LogFile
from polybot.console.outlet import Outlet
from polybot.venue.secret import Secret

if TYPE_CHECKING:
    from loguru import Message

REDACTED = "[redacted]"
LOG_FILE = Path("polybot.log")

_NAMED = re.compile(
    r"((?:api[_-]?key|api[_-]?secret|secret|passphrase|signature|private[_-]?key|authorization)"
    r"[\\'\"]*\s*[:=,]\s*[\\'\"(]*)(?:b['\"])?(?:Bearer\s+)?[^\s,'\"}\\)]+",
    re.IGNORECASE,
)
_JWT = re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*")
_SHORTEST = 6  # a "secret" shorter than this would blank out ordinary words

# Chatty below a warning, and their debug lines hold headers and frames.
_LIBRARIES = ("httpx", "httpcore", "trio-websocket", "wsproto", "h11", "h2", "hpack")

# What it calls an error it raises as well; and asking for a key that there is begins with one.
_RAISES = "py_clob_client_v2"


class Redactor:
    """Takes secrets out of texts: the given ones in every usual encoding, others by their names."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = sorted({form for one in secrets for form in _forms(one.reveal())}, key=len)
        longest_first = "|".join(re.escape(form) for form in reversed(forms))
        self._known = re.compile(longest_first, re.IGNORECASE) if forms else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _JWT.sub(REDACTED, _NAMED.sub(rf"\g<1>{REDACTED}", text))


def _forms(secret: str) -> set[str]:
    raw = secret.encode()
    bare = secret.removeprefix("0x")
    forms = {secret, bare, raw.hex(), quote(secret, safe=""), json.dumps(secret)[1:-1]}
    forms |= {
        code(raw).decode().rstrip("=") for code in (base64.b64encode, base64.urlsafe_b64encode)
    }
    if len(bare) == 64 and set(bare.lower()) <= set("0123456789abcdef"):
        forms.add(base64.b64encode(bytes.fromhex(bare)).decode().rstrip("="))
        forms.add(str(int(bare, 16)))
    return {form for form in forms if len(form) >= _SHORTEST}


def json_lines(stream: TextIO | Outlet, redact: Callable[[str], str]) -> Callable[[Message], None]:
    """A loguru sink that writes one redacted JSON object a line."""

    def write(message: Message) -> None:
        record = message.record
        line: dict[str, Any] = {
            **record["extra"],
            "at": record["time"].timestamp(),
            "level": record["level"].name,
            "where": record["name"],
            "message": record["message"],
        }
        if record["exception"] is not None and record["exception"].value is not None:
            line["exception"] = "".join(traceback.format_exception(record["exception"].value))
        # json, not orjson: it writes lone surrogates and NaN too, and a log line must never fail.
        with contextlib.suppress(OSError):
            stream.write(redact(json.dumps(line, default=str)) + "\n")
            stream.flush()

    return write


class _ToLoguru(logging.Handler):
    """Sends the standard library's records, and so our dependencies', the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - theirs, and no reason for whoever called them to end
            said = f"{record.msg} (with values that do not fit)"
        named = logger.patch(lambda line: line.update({"name": record.name}))
        named.opt(exception=record.exc_info).log(level, "{}", said)


@functools.cache
def bot_log() -> Outlet:
    """Where the bot logs: stderr, or a file where stderr is the terminal that the view draws on."""
    if not sys.stderr.isatty():
        return Outlet(sys.stderr)
    try:
        return Outlet(LogFile(LOG_FILE))
    except OSError:
        return Outlet(sys.stderr)  # a torn screen is better than no log


def set_up_logs(
    stream: TextIO | Outlet, *, level: str = "INFO", secrets: Iterable[Secret] = ()
) -> None:
    """Send every log of the process to `stream`, redacted. Call once, before the first connection.

    No local variables in tracebacks (`diagnose`), no pickling thread (`enqueue`: it costs four
    times the write), and no `catch`, which would print the raw record, secrets and all, when a sink
    fails.
    """
    logger.remove()
    logger.add(
        json_lines(stream, Redactor(secrets)),
        level=level,
        diagnose=False,
        backtrace=False,
        enqueue=False,
        catch=False,
    )
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger(_RAISES).setLevel(logging.CRITICAL)
