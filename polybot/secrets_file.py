"""Keys: from the environment, or from a file nobody else can read; never from the configuration.

The environment wins over the file. Values are wrapped at once, so that no repr, log or traceback
shows them.
"""

from __future__ import annotations

import os
import pwd
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from polybot.config_read import Fault, unknown_key
from polybot.venue.secret import Secret, is_base64, travels
from polybot.venue.site import Site

PRIVATE_KEY = "PM_PRIVATE_KEY"
FUNDER = "PM_FUNDER"
API = ("PM_API_KEY", "PM_API_SECRET", "PM_PASSPHRASE")
RELAYER_KEY = "PM_RELAYER_API_KEY"
RPC = "PM_RPC"
NAMES = (PRIVATE_KEY, FUNDER, RELAYER_KEY, RPC, *API)

_SIZE_MAX = 64 * 1024


@attrs.frozen
class ApiKey:
    """The venue's credentials for one wallet; without them they
    are derived from the key at start.
    """

    key: str
    secret: Secret
    passphrase: Secret


@attrs.frozen
class LiveKeys:
    """Everything secret a live run needs. `funder` is None when the wallet holds the money itself;
    without `relayer_key` shares of a proxy, Safe or deposit wallet are neither merged nor redeemed.
    `rpc`: the Polygon node to ask instead of the usual one; who sells one puts a key in its path.
    """

    private_key: Secret
    funder: str | None
    api: ApiKey | None
    relayer_key: Secret | None = None
    rpc: Secret | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no log may show."""
        api = () if self.api is None else (self.api.secret, self.api.passphrase)
        others = [one for one in (self.relayer_key, self.rpc) if one is not None]
        return (self.private_key, *api, *others)

    def site(self, venue: Site) -> Site:
        """The venue as this wallet asks it."""
        return venue if self.rpc is None else attrs.evolve(venue, rpc=self.rpc.reveal())


def read_keys(env: Mapping[str, str], path: Path | None, faults: list[Fault]) -> LiveKeys | None:
    """Gather the keys of a live run; add what is missing or unsafe to `faults`."""
    found = read_file(path, faults) if path is not None else {}
    found |= {name: env[name] for name in NAMES if env.get(name)}
    if PRIVATE_KEY not in found:
        faults.append(
            Fault(PRIVATE_KEY, "missing; set it in the environment or in the secrets file")
        )
    absent = [name for name in API if name not in found]
    if 0 < len(absent) < len(API):
        remedy = f"set {', '.join(API)} together, or none to have them derived"
        faults.extend(Fault(name, f"missing; {remedy}") for name in absent)
    if RPC in found and not _is_node(found[RPC]):
        faults.append(Fault(RPC, "expected https://…, the URL of a Polygon node"))
    unfit = [name for name in (*API, RELAYER_KEY) if name in found and not travels(found[name])]
    remedy = "expected ASCII letters, digits and signs without blanks; copy it anew"
    faults.extend(Fault(name, remedy) for name in unfit)
    if API[1] in found and API[1] not in unfit and not is_base64(Secret(found[API[1]])):
        unfit.append(API[1])
        faults.append(Fault(API[1], "expected base64: its end may be missing; copy it anew"))
    if PRIVATE_KEY not in found or 0 < len(absent) < len(API) or unfit:
        return None
    key, secret, passphrase = (found.get(name, "") for name in API)
    api = None if absent else ApiKey(key, Secret(secret), Secret(passphrase))
    relayer = Secret(found[RELAYER_KEY]) if RELAYER_KEY in found else None
    rpc = Secret(found[RPC]) if RPC in found else None
    return LiveKeys(Secret(found[PRIVATE_KEY]), found.get(FUNDER), api, relayer, rpc)


def _is_node(url: str) -> bool:
    """Whether what is asked of it, and answered, can be neither read nor changed on the way."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        parts.port  # noqa: B018 - it is looked at only when it is asked for
    except ValueError:
        return False
    named = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    return named and url.isascii() and url.isprintable() and " " not in url


def read_file(path: Path, faults: list[Fault]) -> dict[str, str]:
    """Read a TOML file of `PM_… = "…"` lines that must be ours alone; {} with faults if it is
    not.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # Asked of the open descriptor: by name, another file could answer than the one that is
            # read.
            problem = _unsafe(os.fstat(descriptor), path)
            raw = b"" if problem else os.read(descriptor, _SIZE_MAX)
        finally:
            os.close(descriptor)
    except OSError as error:
        why = error.strerror or "unreadable"
        faults.append(Fault("live.secrets_file", f"cannot read {path}: {why}"))
        return {}
    if problem is not None:
        faults.append(Fault("live.secrets_file", problem))
        return {}
    return _parse(raw, path, faults)


def _unsafe(status: os.stat_result, path: Path) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a regular file"
    if status.st_uid != os.geteuid():
        # Who gives `stop --now` as root must not take the file from the bot: so not chown first.
        owner = _name_of(status.st_uid)
        return f"{path} belongs to {owner}: run this as that user, or chown it to the bot's own"
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}"
    return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user may be a number alone
        return f"user {uid}"


def _parse(raw: bytes, path: Path, faults: list[Fault]) -> dict[str, str]:
    try:
        table = tomllib.loads(raw.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's own words may quote the line, and the line may be a key.
        faults.append(Fault("live.secrets_file", f'{path} is not TOML; expected PM_… = "…" lines'))
        return {}
    known = dict.fromkeys(NAMES)
    for name, value in table.items():
        if name not in known:
            faults.append(Fault(f"{path}: {name}", unknown_key(name, known)))
        elif not isinstance(value, str) or not value:
            faults.append(Fault(f"{path}: {name}", "expected a text in quotes"))
    return {
        name: value for name, value in table.items() if name in known and isinstance(value, str)
    }
