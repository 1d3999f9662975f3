"""Where keys come from, and from which files they are not taken."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from polybot.config_read import Fault
from polybot.secrets_file import read_file, read_keys
from polybot.venue.site import POLYMARKET

KEY = "0x" + "22" * 32


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_private_file_is_read(tmp_path: Path) -> None:
    """A regular file of ours with mode 0600 gives its keys."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"\nPM_FUNDER = "0x1"')

    keys = read_keys({}, path, faults)

    assert not faults
    assert keys is not None
    assert (keys.private_key.reveal(), keys.funder, keys.api) == (KEY, "0x1", None)


def test_a_mark_before_the_text_is_none_of_it(tmp_path: Path) -> None:
    """As in the configuration: an editor elsewhere may have put it there (BOM)."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'\ufeffPM_PRIVATE_KEY = "{KEY}"\r\n')

    assert read_file(path, faults) == {"PM_PRIVATE_KEY": KEY}
    assert not faults


def test_all_that_no_log_may_show(tmp_path: Path) -> None:
    """Whatever is secret among the names, known to the log before anything is asked: the node's
    URL as well, for its path is a key; without the others it is the key alone.
    """
    values = {
        "PM_PRIVATE_KEY": KEY, "PM_FUNDER": "0x1", "PM_API_KEY": "name", "PM_API_SECRET": "c2Vj",
        "PM_PASSPHRASE": "word", "PM_RELAYER_API_KEY": "relayer", "PM_RPC": "https://a.node/key",
    }  # fmt: skip
    keys, alone = read_keys(values, None, []), read_keys({"PM_PRIVATE_KEY": KEY}, None, [])

    assert keys is not None
    assert alone is not None
    shown = {"0x1", "name"}
    assert {one.reveal() for one in keys.secrets} == {*values.values()} - shown
    assert [one.reveal() for one in alone.secrets] == [KEY]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o610, 0o777])
def test_a_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right for group or others is a fault that names the remedy, and nothing is read."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"')
    path.chmod(mode)

    assert read_file(path, faults) == {}
    assert f"chmod 600 {path}" in faults[0].problem


def test_another_users_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the file can change it: it must be us."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"')
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)

    assert read_file(path, faults) == {}
    assert "belongs to" in faults[0].problem


def test_a_command_given_as_root_names_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stop --now` as root, where a service's user has the file: to chown it would take it from the
    bot, so its owner is named first, as whom to give the command. One without a name is a number.
    """
    path, faults = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"'), list[Fault]()
    uid = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)

    def known(asked: int) -> object:
        assert asked == uid
        return SimpleNamespace(pw_name="polybot")

    def unknown(_asked: int) -> object:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", known)
    read_file(path, faults)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    read_file(path, faults)

    assert "belongs to polybot: run this as that user" in faults[0].problem
    assert f"belongs to user {uid}:" in faults[1].problem


def test_only_a_regular_file_will_do(tmp_path: Path) -> None:
    """A link, a folder, a pipe (which would block) and a missing file are faults."""
    real = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"')
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(real)
    os.mkfifo(pipe, 0o600)

    for path in (link, pipe, tmp_path, tmp_path / "none"):
        faults: list[Fault] = []
        assert read_file(path, faults) == {}
        assert len(faults) == 1


def test_a_file_that_opens_and_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is told in words, like a file that is not there."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"')

    def broken(_descriptor: int, _size: int) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", broken)
        assert read_file(path, faults) == {}

    assert faults[0].problem == f"cannot read {path}: Input/output error"


def test_what_is_in_a_bad_file_is_not_repeated(tmp_path: Path) -> None:
    """A parser's words may quote the line, and the line may be a key."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f"PM_PRIVATE_KEY = {KEY}zz")

    assert read_file(path, faults) == {}
    assert KEY not in str(faults[0])


def test_unknown_names_and_values_that_are_not_texts_are_faults(tmp_path: Path) -> None:
    """A misspelt name would be a key that silently does nothing."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", f'PM_PRIVAT_KEY = "{KEY}"\nPM_API_KEY = 5')

    read_file(path, faults)

    assert "did you mean PM_PRIVATE_KEY" in faults[0].problem
    assert "text in quotes" in faults[1].problem
    assert KEY not in "".join(map(str, faults))


def test_the_environment_wins(tmp_path: Path) -> None:
    """What is set for this run counts before what lies on the disk; an empty value is none."""
    faults: list[Fault] = []
    path = private(tmp_path / "s", 'PM_PRIVATE_KEY = "file"\nPM_FUNDER = "file"')

    keys = read_keys({"PM_PRIVATE_KEY": "env", "PM_FUNDER": ""}, path, faults)

    assert keys is not None
    assert (keys.private_key.reveal(), keys.funder) == ("env", "file")


def test_api_keys_come_all_three_or_not_at_all() -> None:
    """Two of three would be refused by the venue an hour later; each missing one is named now."""
    faults: list[Fault] = []

    assert read_keys({"PM_PRIVATE_KEY": KEY, "PM_API_KEY": "k"}, None, faults) is None
    assert [fault.path for fault in faults] == ["PM_API_SECRET", "PM_PASSPHRASE"]


def test_a_node_of_ones_own(tmp_path: Path) -> None:
    """The chain is asked by the node that PM_RPC names, whose URL no repr shows; without one by the
    usual node. It has no line in the configuration, which is recorded.
    """
    url, faults = "https://node.example/v2/a-key", list[Fault]()
    path = private(tmp_path / "s", f'PM_PRIVATE_KEY = "{KEY}"\nPM_RPC = "{url}"')

    named, usual = read_keys({}, path, faults), read_keys({"PM_PRIVATE_KEY": KEY}, None, faults)

    assert not faults
    assert named is not None
    assert usual is not None
    site = named.site(POLYMARKET)
    assert (site.rpc, site.clob) == (url, POLYMARKET.clob)
    assert "a-key" not in repr(site) + repr(named)
    assert usual.site(POLYMARKET) == POLYMARKET


@pytest.mark.parametrize(
    "url",
    ["http://node.example", "node.example", "https://?k=1", "https://u:p@node.example",
     "https://node.example/a b", "https://[::1", "wss://node.example/ö", "https://node..example/k",
     "https://node.example:99999/k", "https://node.example:port/k", f"https://{'n' * 64}.example"],
)  # fmt: skip
def test_no_node_of_ours(url: str) -> None:
    """Only https will do, for what a node says is money; the fault does not quote a key."""
    faults: list[Fault] = []
    read_keys({"PM_PRIVATE_KEY": KEY, "PM_RPC": url}, None, faults)
    assert [fault.path for fault in faults] == ["PM_RPC"]
    assert url not in faults[0].problem


@pytest.mark.parametrize("name", ["PM_API_KEY", "PM_API_SECRET", "PM_PASSPHRASE"])
@pytest.mark.parametrize("value", ["“c2Vj”", "c2Vj ", "c2 Vj", "c2Vj\n", "c2Vjé"])
def test_what_no_header_can_carry_is_refused(name: str, value: str) -> None:
    """Typographic quotes and line ends come with copies from pages: every request would fail by
    them, the first in the middle of a start and of `stop --now`. The value is not repeated.
    """
    faults: list[Fault] = []
    api = {"PM_API_KEY": "k", "PM_API_SECRET": "c2Vj", "PM_PASSPHRASE": "p"}

    assert read_keys({"PM_PRIVATE_KEY": KEY, **api, name: value}, None, faults) is None

    assert [fault.path for fault in faults] == [name]
    assert value.strip() not in str(faults[0])


def test_a_relayer_key_that_no_header_can_carry_is_refused() -> None:
    """It is sent with the first transaction only: hours after the start."""
    faults: list[Fault] = []

    read_keys({"PM_PRIVATE_KEY": KEY, "PM_RELAYER_API_KEY": "“key”"}, None, faults)

    assert [fault.path for fault in faults] == ["PM_RELAYER_API_KEY"]


def test_an_api_secret_that_is_no_base64_is_refused() -> None:
    """One that lost its end signs nothing: an error of the decoder ended each program that used it,
    `stop --now` among them.
    """
    faults: list[Fault] = []
    api = {"PM_API_KEY": "k", "PM_API_SECRET": "c2VjcmV0c", "PM_PASSPHRASE": "p"}

    assert read_keys({"PM_PRIVATE_KEY": KEY, **api}, None, faults) is None

    assert [fault.path for fault in faults] == ["PM_API_SECRET"]
    assert "c2VjcmV0c" not in str(faults[0])
