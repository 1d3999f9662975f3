"""`python -m polybot exchange` as its user meets it: one line, signals, refusals, exit codes."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import attrs
import httpx
import pytest
from acceptance_kit import PATIENCE_S, PORTS, USUAL, Venue, command, free_ports

SERVICES = {
    "clob": "http",
    "gamma": "http",
    "market_ws": "ws",
    "user_ws": "ws",
    "prices_ws": "ws",
    "rtds_ws": "ws",
    "binance_rest": "http",
    "binance_ws": "ws",
    "admin": "http",
    "site": "http",
    "data": "http",
    "relayer": "http",
    "rpc": "http",
}
WALLET = {
    "private_key", "address", "api_key", "api_secret", "passphrase",
    "relayer_api_key", "proxy", "safe", "deposit",
}  # fmt: skip


def test_the_line_tells_everything_a_client_needs(venue: Venue) -> None:
    """One JSON object with every URL and a wallet – the seed's – and nothing after it."""
    with command(*USUAL) as running:
        line = running.first_line()
        code = running.stop(signal.SIGINT)
        assert running.process.stdout is not None
        rest = running.process.stdout.read()

    said = json.loads(line)
    wallet, speed = said.pop("wallet"), said.pop("speed")
    assert speed == 1.0
    assert {key: url.partition("://")[0] for key, url in said.items()} == SERVICES
    assert all("://127.0.0.1:" in url for url in said.values()), "loopback only"
    assert wallet.keys() == WALLET
    assert all(isinstance(value, str) and value for value in wallet.values())
    assert wallet == attrs.asdict(venue.wallet), "a seed has one wallet"
    assert (code, rest) == (0, "")


def test_a_fixed_port_is_kept(ports: int) -> None:
    """With a port given, the CLOB takes it and the other services those that follow."""
    with command("--port", str(ports)) as running:
        venue = Venue.from_line(running.first_line())

        assert venue.urls["clob"] == f"http://127.0.0.1:{ports}"
        assert venue.urls["gamma"] == f"http://127.0.0.1:{ports + 1}"
        assert running.stop(signal.SIGINT) == 0


def test_who_looks_for_ports_at_the_same_time_finds_others() -> None:
    """Tests that name their ports run in several processes: two had looked before one had taken,
    and the later exchange could not start.
    """
    with free_ports() as one, free_ports() as another:
        assert abs(one - another) >= PORTS
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", one))  # who has found them may take them


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)],
    ids=lambda signals: "+".join(one.name for one in signals),
)
def test_signals_end_it(signals: tuple[signal.Signals, ...]) -> None:
    """One signal ends it with 0, connected clients or not. A second one may be quicker than the
    end: then it ends with 128 + its number or dies of it, but never with a traceback.
    """
    with command(*USUAL) as running, httpx.Client(timeout=PATIENCE_S) as client:
        venue = Venue.from_line(running.first_line())
        client.get(venue.urls["clob"] + "/time")
        code = running.stop(*signals)
        complaint = running.stderr()

    allowed = {0} if len(signals) == 1 else {0, 128 + signals[1], -signals[1]}
    assert code in allowed
    assert complaint == ""


def test_a_taken_port_is_said_in_one_line() -> None:
    """Somebody else's port: no traceback but the port and the reason, and exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with command("--port", str(port)) as running:
            code = running.wait()
            complaint = running.stderr()

    assert code == 1
    assert complaint.startswith("cannot start: ")
    assert f"port {port}: " in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--port", "65530"), "ports, 65530 leaves too few"),
        (("--mode", "live"), "unrecognized arguments: --mode live"),
    ],
    ids=["too high a port", "a word of the bot"],
)
def test_a_bad_word_is_exit_code_two(words: tuple[str, ...], complaint: str) -> None:
    """What the command line cannot mean is told, and nothing is served."""
    with command(*words) as running:
        code = running.wait()

        assert complaint in running.stderr()
    assert code == 2


def test_terms_and_modes_reach_the_running_exchange(tmp_path: Path) -> None:
    """A terms file decides what a client meets, an admin call changes it (clob.md 7.3)."""
    terms = tmp_path / "terms.toml"
    terms.write_text('[venue]\ncountry = "FR"\nrestart_retry_after_s = 3\n', encoding="utf-8")
    with (
        command(*USUAL, "--terms", str(terms)) as running,
        httpx.Client(timeout=PATIENCE_S) as client,
    ):
        urls = Venue.from_line(running.first_line()).urls
        assert client.get(urls["site"] + "/api/geoblock").json()["blocked"] is True
        assert client.delete(urls["clob"] + "/cancel-all").status_code == 403
        client.post(urls["admin"] + "/region", json={"country": "IE"})
        client.post(urls["admin"] + "/mode", json={"mode": "restarting"})
        refused = client.delete(urls["clob"] + "/cancel-all")
        assert (refused.status_code, refused.headers["retry-after"]) == (425, "3")
        assert running.stop(signal.SIGINT) == 0


def test_bad_terms_are_told_and_nothing_is_served(tmp_path: Path) -> None:
    """Every fault of the file, and exit code 2."""
    terms = tmp_path / "terms.toml"
    terms.write_text("[venue]\ncuntry = 1\npost_only_s = 0\n", encoding="utf-8")
    with command("--terms", str(terms)) as running:
        code = running.wait()
        complaint = running.stderr()

    assert code == 2
    assert complaint.startswith("cannot start: venue.cuntry: unknown key; did you mean country?")
    assert "venue.post_only_s:" in complaint


def test_a_recording_that_is_not_there_is_told() -> None:
    """A path nobody has recorded to is a message and a failure, not a traceback."""
    with command("--world", "recording:nowhere") as running:
        code = running.wait()
        complaint = running.stderr()

    assert code in {1, 2}
    assert complaint.startswith("cannot start: ")
    assert "nowhere" in complaint


@pytest.mark.conforms("clob-2.2-time-text")
def test_the_time_is_plain_text(venue: Venue) -> None:
    """`/time` is Unix seconds as text (clob.md 5.2), and near the clock that clients sign with."""
    reply = httpx.get(venue.urls["clob"] + "/time", timeout=PATIENCE_S)

    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.isdigit()
    assert abs(int(reply.text) - venue.now_s()) <= 1


def test_every_service_answers(venue: Venue) -> None:
    """Each REST service of the line is there and is what its name says."""
    assert venue.get("clob", "/ok") == "OK"
    assert venue.get("gamma", "/markets", limit="1")[0]["acceptingOrders"]
    assert venue.get("binance_rest", "/api/v3/time").keys() == {"serverTime"}
    assert venue.get("admin", "/state", address=venue.wallet.address)["invalid_orders"] >= 0


def test_private_calls_need_credentials(venue: Venue) -> None:
    """Nobody trades or reads without a key: the venue's 401."""
    for method, path in (("POST", "/order"), ("DELETE", "/cancel-all"), ("GET", "/data/orders")):
        reply = httpx.request(method, venue.urls["clob"] + path, timeout=PATIENCE_S)

        assert reply.status_code == 401, path
        assert reply.json() == {"error": "Unauthorized/Invalid api key"}


def test_faults_strike_from_the_start_and_by_admin_call(tmp_path: Path) -> None:
    """A plan decides what a client meets, an admin call ends it (reliability.md F44)."""
    faults = tmp_path / "mine.toml"
    faults.write_text('[[fault]]\nfault = "html_page"\nat = "clob"\nstatus = 503\n', "utf-8")
    with (
        command(*USUAL, "--faults", str(faults)) as running,
        httpx.Client(timeout=PATIENCE_S) as client,
    ):
        urls = Venue.from_line(running.first_line()).urls
        assert client.get(f"{urls['clob']}/time").status_code == 503
        shown = client.post(f"{urls['admin']}/faults", json={"clear": True}).json()
        assert shown == {"faults": [], "struck": {"html_page": 1}}
        assert client.get(f"{urls['clob']}/time").status_code == 200
        assert running.stop(signal.SIGINT) == 0


def test_the_catalogue_of_faults_is_printed() -> None:
    """`--faults list` is a table, and nothing is served."""
    with command("--faults", "list") as running:
        assert running.process.stdout is not None
        printed = running.process.stdout.read()
        code = running.wait()

    assert code == 0
    assert "reply_lost" in printed
