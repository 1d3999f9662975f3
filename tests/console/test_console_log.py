"""Logs: one JSON object a line, and no secret in any of them, however it got there."""

from __future__ import annotations

import base64
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st
from loguru import logger

from polybot.console.log import LOG_FILE, REDACTED, Redactor, _ToLoguru, bot_log, set_up_logs
from polybot.venue.secret import Secret

KEY = "0x" + "5c" * 31 + "f0"
PASS = "canary/pass+phrase="
PATIENCE_S = 10.0


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    set_up_logs(stream, level="DEBUG", secrets=[Secret(KEY), Secret(PASS)])
    yield stream
    logger.remove()
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object(log: io.StringIO) -> None:
    """Time, level, place, message and bound values, ready for a machine."""
    logger.bind(market="btc").info("quoting {levels}", levels=2)

    (line,) = written(log)
    assert (line["level"], line["message"]) == ("INFO", "quoting 2")
    assert (line["market"], line["levels"]) == ("btc", 2)
    assert line["where"] == __name__


def test_a_library_that_writes_its_line_badly_is_heard(log: io.StringIO) -> None:
    """Its words and values do not fit each other: that is no reason for its caller, us, to end."""
    words = logging.LogRecord("odd", logging.WARNING, "odd.py", 1, "%d tries", ("none",), None)
    _ToLoguru().handle(words)

    (line,) = written(log)
    assert (line["where"], line["message"]) == ("odd", "%d tries (with values that do not fit)")


def test_bound_values_cannot_forge_the_line(log: io.StringIO) -> None:
    """A value called `level` does not hide the level."""
    logger.bind(level="none", at=0).warning("x")

    assert written(log)[0]["level"] == "WARNING"
    assert written(log)[0]["at"] > 0


def forms(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "plain": secret,
        "upper": secret.upper(),
        "hex": raw.hex(),
        "base64": base64.b64encode(raw).decode(),
        "urlsafe": base64.urlsafe_b64encode(raw).decode(),
        "url": quote(secret, safe=""),
        "no prefix": secret.removeprefix("0x"),
    }


@pytest.mark.parametrize("secret", [KEY, PASS])
@pytest.mark.parametrize("form", forms("").keys())
def test_known_secrets_are_removed_in_every_form(secret: str, form: str, log: io.StringIO) -> None:
    """In the message, in a bound value, in a nested one and in an exception."""
    canary = forms(secret)[form]

    logger.bind(sent={"headers": [canary]}).info("about " + canary)
    try:
        raise ValueError(canary)
    except ValueError:
        logger.exception("failed")

    assert canary not in log.getvalue()
    assert log.getvalue().count(REDACTED) >= 3
    assert len(written(log)) == 2


def test_local_variables_stay_out_of_tracebacks(log: io.StringIO) -> None:
    """loguru's default prints them, and a key was once among them."""

    def failing(private: str) -> None:
        raise RuntimeError("no")

    try:
        failing(f"unregistered-{'canary'}")  # not in one piece in the source line, which is shown
    except RuntimeError:
        logger.exception("failed")

    assert "unregistered-canary" not in log.getvalue()
    assert "RuntimeError: no" in written(log)[0]["exception"]


@pytest.mark.parametrize(
    "text",
    [
        "{'POLY_API_KEY': 'canary', 'POLY_PASSPHRASE': 'canary'}",
        '{"apiKey":"canary","secret":"canary","passphrase":"canary"}',
        "POLY_SIGNATURE: canary",
        "private_key=canary&x=1",
        "Authorization: Bearer canary",
        "[(b'poly_signature', b'canary')]",
        "token eyJhbGciOi.eyJjYW5hcnki.canary",
    ],
)
def test_values_beside_a_telling_name_are_removed(text: str) -> None:
    """Headers and subscribe frames hold credentials that nobody registered."""
    for form in (text, json.dumps(text), repr(text)):
        assert "canary" not in Redactor()(form)


def test_hashes_stay_readable() -> None:
    """An order id is 64 hex digits too: a log without ids is of no use."""
    text = f"order 0x{'ab' * 32} live in market 0x{'cd' * 32}"

    assert Redactor([Secret(KEY)])(text) == text


@given(st.text(max_size=60))
def test_other_texts_are_left_alone(text: str) -> None:
    """Redaction neither fails on any text nor touches one without secrets."""
    shown = Redactor([Secret(KEY), Secret(PASS), Secret("")])(text)

    assert shown == text or REDACTED in shown


def test_library_logs_and_warnings_come_the_same_way(log: io.StringIO) -> None:
    """The standard library's records are redacted too, and chatty libraries are quiet."""
    logging.getLogger("httpx").info("GET /?passphrase=canary")
    logging.getLogger("httpx").warning("retry %s", PASS)
    logging.getLogger("odd").log(35, "between two levels")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"old {KEY}", UserWarning, stacklevel=1)

    lines = written(log)
    assert [line["where"] for line in lines] == ["httpx", "odd", "py.warnings"]
    assert "canary" not in log.getvalue()
    assert KEY not in log.getvalue()


def test_odd_values_do_not_break_the_log(log: io.StringIO) -> None:
    """NaN, lone surrogates and objects are written somehow; a log line never raises."""
    logger.bind(nan=float("nan"), odd="\ud800", thing=object(), by={1: 2}).info("x \ud800")

    assert "object" in written(log)[0]["thing"]


def test_a_full_disk_does_not_raise() -> None:
    """A log that cannot be written is lost; the bot is not."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    root = logging.getLogger()
    before = root.handlers[:], root.level
    set_up_logs(Full())
    try:
        logger.info("x")
    finally:
        logger.remove()
        logging.captureWarnings(capture=False)
        root.handlers[:], root.level = before


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    """The choice is made once a process; each test makes its own."""
    bot_log.cache_clear()
    yield
    bot_log.cache_clear()


@pytest.mark.usefixtures("fresh_choice")
def test_on_a_terminal_the_log_goes_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has the screen to itself; two questions have one answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stderr", Terminal())

    log = bot_log()
    assert bot_log() is log
    log.write("line\n")
    assert log.drain(PATIENCE_S)
    log.stream.close()

    assert (tmp_path / LOG_FILE).read_text() == "line\n"


@pytest.mark.usefixtures("fresh_choice")
def test_elsewhere_or_where_no_file_can_be_the_log_is_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets the lines; a folder in the file's place does not stop the bot."""
    plain, terminal = io.StringIO(), Terminal()
    monkeypatch.setattr("sys.stderr", plain)
    assert bot_log().stream is plain

    bot_log.cache_clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / LOG_FILE).mkdir()
    monkeypatch.setattr("sys.stderr", terminal)
    assert bot_log().stream is terminal
