"""The configuration: one typed value, or every reason why not.

A run is live only if the file says so, the command line says so, and the key in hand belongs to the
wallet the file names: three independent statements of one intention.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import attrs
import orjson
from attrs.validators import and_, ge, gt, in_, le

from polybot import options
from polybot.config_places import beside, is_there, place_files
from polybot.config_read import ConfigError, Fault, read_section, unknown_key
from polybot.exchange.faults.plan import load as load_plan
from polybot.exchange.latency_models import latencies
from polybot.exchange.queue_models import queue_model
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.journal.recorder import TapeParams
from polybot.options import Overrides
from polybot.pricing.params import PricingParams
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams
from polybot.risk.limits import RiskParams
from polybot.season_file import read as read_seasons
from polybot.secrets_file import FUNDER, PRIVATE_KEY, LiveKeys, read_file, read_keys
from polybot.signal.params import SignalParams
from polybot.venue.secret import Secret

T = TypeVar("T", bound=attrs.AttrsInstance)

# Overrides that a live run must not have.
PAPER_ONLY = ("world", "speed", "seed", "terms", "faults")
HOSTS_OWN = ("speed", "terms", "faults")  # nor the guest of an exchange that runs already

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def _passing(check: Callable[[Any], object]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Make an attrs validator of a function that raises ValueError."""

    def validate(_instance: Any, _field: attrs.Attribute[Any], value: Any) -> None:
        check(value)

    return validate


def _check_address(text: str | None) -> None:
    if text is not None and _ADDRESS.fullmatch(text) is None:
        raise ValueError(f"expected an address, 0x and 40 hex digits, was {text!r}")


def _check_folder(text: str) -> None:
    if not text:
        raise ValueError("expected the name of a folder; . is the one of this file")


@attrs.frozen
class BotParams:
    """`[bot]`: what to run."""

    mode: str = attrs.field(default="paper", validator=in_(options.MODES))
    """paper or live; live needs `--mode live` and `[live] wallet` as well."""

    series: tuple[str, ...] = attrs.field(
        default=("btc-1h", "btc-5m"), validator=_passing(options.check_series)
    )
    """The series to make markets in."""


@attrs.frozen
class PaperParams:
    """`[paper]`: the embedded exchange's world."""

    world: str = attrs.field(default="synthetic", validator=_passing(options.check_world))
    """synthetic, recording:PATH, live-feeds (Polymarket's public streams, at speed 1), or
    live-feeds:SITE.toml with another exchange's URLs.
    """

    seed: int = attrs.field(default=1, validator=and_(ge(0), le(options.SEED_MAX)))
    """Seed of everything random."""

    speed: float = attrs.field(default=20.0, validator=and_(gt(0.0), le(options.SPEED_MAX)))
    """Venue seconds per second of ours."""

    intensity: float = attrs.field(default=0.1, validator=and_(gt(0.0), le(options.INTENSITY_MAX)))
    """Scale of the crowd's event rates; 1.0 is a busy real market, too much for speed 20."""

    queue: str = attrs.field(default="ahead-first", validator=_passing(queue_model))
    """Where recorded or mirrored books show only levels, how the volume ahead of an order of ours
    shrinks: ahead-first, pessimistic, proportional, trade-through, touch, probabilistic:EXPONENT,
    probabilistic:log, or fitted:FILE from `lab queue-fit`."""

    latency: str = attrs.field(default="0", validator=_passing(latencies))
    """Milliseconds to and from the exchange, beside what the ways take here: 25, measured:FILE or
    lognormal:MEDIAN:SIGMA, for each way feed=…,order=…,news=…, or fitted:FILE from
    `lab latency-fit`."""

    terms: str | None = None
    """File with a [venue] table: how the exchange behaves where it may behave otherwise."""

    faults: str = attrs.field(default="none", validator=_passing(load_plan))
    """What goes wrong at the exchange: none, feeds, orders, settlement, metadata, venue, storm, or
    a file.
    """


@attrs.frozen
class JournalParams:
    """`[journal]`: where facts are kept that a restart cannot do without."""

    folder: str = attrs.field(default="journal", validator=_passing(_check_folder))
    """Folder of the journals, beside this file, one file per wallet; on paper one that begins anew
    with each run.
    """

    keep_orders_h: float = attrs.field(default=6.0, validator=and_(ge(0), le(8760)))
    """Hours for which it is kept how each order lived once its market is closed; what is about
    money stays.
    """

    calibration: str = ""
    """File that gets our probabilities beside the market's, once each result is known; empty: none.
    """


@attrs.frozen
class LiveParams:
    """`[live]`: which wallet is meant. No secrets here."""

    wallet: str | None = attrs.field(default=None, validator=_passing(_check_address))
    """Address of the key that signs."""

    funder: str | None = attrs.field(default=None, validator=_passing(_check_address))
    """Address that holds the money, when it is not the wallet
    itself; PM_FUNDER must be the same.
    """

    signature_type: int = attrs.field(default=0, validator=in_((0, 1, 2, 3)))
    """How the venue knows the wallet: 0 its own key, 1 a proxy, 2 a Safe, 3 a deposit wallet; all
    but the first need `funder`.
    """

    certify: bool = True
    """Whether a start tries the dead-man switch on one far order, once a week; 15 seconds."""

    secrets_file: str | None = None
    """File with PM_… lines, mode 0600, instead of environment variables."""


@attrs.frozen
class Config:
    bot: BotParams
    quote: QuoteParams
    pricing: PricingParams
    risk: RiskParams
    orders: OrderParams
    paper: PaperParams
    live: LiveParams
    journal: JournalParams = JournalParams()
    inventory: InventoryParams = InventoryParams()
    signals: SignalParams = SignalParams()
    completion: CompletionParams = CompletionParams()
    rewards: RewardParams = RewardParams()
    tape: TapeParams = TapeParams()
    keys: LiveKeys | None = None  # in live mode only

    @property
    def digest(self) -> str:
        """SHA-256 of every effective setting, secrets left out: what a summary was made with."""
        settings = attrs.asdict(self, filter=lambda field, _: field.name != "keys")
        return hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load(path: Path, env: Mapping[str, str], overrides: Overrides = Overrides()) -> Config:
    """Read the file at `path`, put `overrides` over it, check everything. Raises ConfigError."""
    faults: list[Fault] = []
    tables = _toml(path)
    sections = {field.name: field for field in attrs.fields(Config) if field.name != "keys"}
    faults += [Fault(key, unknown_key(key, sections)) for key in tables if key not in sections]
    asked_live = tables["bot"].get("mode") if isinstance(tables.get("bot"), dict) else None
    place_files(tables, path.parent, JournalParams().folder)
    _override(tables, overrides)

    def section(cls: type[T], name: str) -> T:
        # A section with faults becomes its defaults, so that the rest is still checked; with any
        # fault the whole is thrown away below.
        return read_section(cls, tables.get(name, {}), name, faults) or cls()

    config = Config(
        bot=section(BotParams, "bot"),
        quote=section(QuoteParams, "quote"),
        pricing=section(PricingParams, "pricing"),
        risk=section(RiskParams, "risk"),
        orders=section(OrderParams, "orders"),
        paper=section(PaperParams, "paper"),
        live=section(LiveParams, "live"),
        journal=section(JournalParams, "journal"),
        inventory=section(InventoryParams, "inventory"),
        signals=section(SignalParams, "signals"),
        completion=section(CompletionParams, "completion"),
        rewards=section(RewardParams, "rewards"),
        tape=section(TapeParams, "tape"),
    )
    if any(fault.path.startswith("live") for fault in faults):
        raise ConfigError(faults)  # which wallet and which file are meant is not known
    if config.pricing.vol_seasons:
        try:
            read_seasons(Path(config.pricing.vol_seasons))
        except ValueError as error:
            faults.append(Fault("pricing.vol_seasons", str(error)))
    _check_guest(config, overrides, faults)
    check_seed(config, faults)
    named = config.live.secrets_file
    secrets = beside(path.parent, named, "live.secrets_file") if named else None
    if "live" in (asked_live, overrides.mode) and overrides.mode != "paper":
        config = attrs.evolve(
            config, keys=_live(config, asked_live, overrides, secrets, env, faults)
        )
    elif secrets is not None and is_there(secrets):
        read_file(secrets, faults)  # paper needs no key, but a readable one is a fault today
    if faults:
        raise ConfigError(faults)
    return config


_EXCHANGES_FILES = ("queue", "latency", "terms", "faults")


def restored(settings: bytes) -> Config:
    """A configuration as another run had it, secrets left out, from the JSON of its fields. Raises
    ConfigError for one that this version cannot have. How the exchange was is left out: no decision
    reads it, and its files may lie elsewhere by now.
    """
    faults: list[Fault] = []
    tables = orjson.loads(settings)
    read: dict[str, Any] = {}
    for name, cls in get_type_hints(Config).items():
        if name in tables:
            # TOML has no null: what is missing keeps its default, which is what null stood for.
            left_out = _EXCHANGES_FILES if name == "paper" else ()
            table = {
                key: value
                for key, value in tables[name].items()
                if value is not None and key not in left_out
            }
            read[name] = read_section(cls, table, name, faults)
    if faults:
        raise ConfigError(faults)
    return Config(**read)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError([Fault(str(path), f"cannot read it: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), f"not TOML: {error}")]) from None


def _override(tables: dict[str, Any], overrides: Overrides) -> None:
    places = dict.fromkeys(PAPER_ONLY, "paper") | {"mode": "bot", "series": "bot"}
    for key, section in places.items():
        value = getattr(overrides, key)
        table = tables.setdefault(section, {})
        if value is not None and isinstance(table, dict):
            table[key] = list(value) if isinstance(value, tuple) else value


def _check_guest(config: Config, overrides: Overrides, faults: list[Fault]) -> None:
    """A guest finds its host as it is: what it cannot have is told, not left out."""
    guest = config.bot.mode == "paper" and options.is_guest(config.paper.world)
    if guest and any(getattr(overrides, name) is not None for name in HOSTS_OWN):
        words = ", ".join(f"--{name}" for name in HOSTS_OWN)
        faults.append(Fault(words, "a running exchange has its own; leave them out"))


def check_seed(config: Config, faults: list[Fault]) -> None:
    """Pairs that a limit never lets be split would be missing without a word."""
    risk = config.risk
    most = min(risk.max_position_usd_per_market, 2 * risk.max_position_usd_per_token)
    if config.inventory.seed_shares > most:
        problem = f"pairs cost a dollar each, and [risk] allows {most} in one market"
        faults.append(Fault("inventory.seed_shares", problem))


def _live(
    config: Config,
    asked: object,
    overrides: Overrides,
    secrets: Path | None,
    env: Mapping[str, str],
    faults: list[Fault],
) -> LiveKeys | None:
    """Check the three statements of intent; adds to `faults` whichever is missing."""
    if asked != "live":
        remedy = "where another file is meant, name it with --config"
        problem = f'live trading needs mode = "live" in the file as well; {remedy}'
        faults.append(Fault("bot.mode", problem))
    if overrides.mode != "live":
        remedy = "add it, or say --mode paper"
        faults.append(
            Fault("bot.mode", f"live trading needs --mode live on the command line; {remedy}")
        )
    if any(getattr(overrides, name) is not None for name in PAPER_ONLY):
        words = ", ".join(f"--{name}" for name in PAPER_ONLY)
        faults.append(Fault(words, "paper only; leave them out of a live run"))
    keys = read_keys(env, secrets, faults)
    if config.live.wallet is None:
        faults.append(Fault("live.wallet", "missing; name the address that is to trade"))
    elif keys is not None:
        _match(config.live, config.live.wallet, keys, faults)
    return keys


def _match(live: LiveParams, wallet: str, keys: LiveKeys, faults: list[Fault]) -> None:
    try:
        address = _address(keys.private_key)
    except ValueError:
        faults.append(Fault(PRIVATE_KEY, "not a private key; expected 32 bytes in hex"))
    else:
        if address.lower() != wallet.lower():
            problem = f"the key belongs to {address}, not to {wallet}; one of them is wrong"
            faults.append(Fault("live.wallet", problem))
    if (live.signature_type == 0) != (live.funder is None):
        problem = "0 goes without a funder, the others need one"
        faults.append(Fault("live.signature_type", problem))
    if (live.funder or "").lower() != (keys.funder or "").lower():
        problem = f"must be the same address as {FUNDER}; set both or neither"
        faults.append(Fault("live.funder", problem))


def _address(private_key: Secret) -> str:
    # Imported here because only a live run needs elliptic curves to read its configuration.
    from polybot.venue.signing import Wallet  # noqa: PLC0415

    return Wallet(private_key).address
