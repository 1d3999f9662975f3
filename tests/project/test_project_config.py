"""The configuration: what is accepted, what is refused, and that every fault is named at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st

from polybot.config import BotParams, Config, JournalParams, LiveParams, PaperParams, load
from polybot.config_read import ConfigError, Fault, read_section
from polybot.execution.params import OrderParams
from polybot.options import Overrides
from polybot.pricing.params import PricingParams
from polybot.quoting.params import QuoteParams
from polybot.risk.limits import RiskParams
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet

ROOT = Path(__file__).resolve().parents[2]
KEY = "0x" + "11" * 32
ADDRESS = Wallet(Secret(KEY)).address
OTHER = "0x" + "ab" * 20

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writing(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return writing


def faults_of(path: Path, env: dict[str, str], overrides: Overrides = Overrides()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env, overrides)
    return [fault.path for fault in caught.value.faults]


def test_an_empty_file_is_the_defaults(write: Write) -> None:
    """What the file does not say is as the classes say."""
    config = load(write(""), {})

    assert config.bot == BotParams()
    assert config.orders == OrderParams()
    assert config.keys is None


def test_the_shipped_file_says_the_defaults_and_every_key() -> None:
    """`config.toml` documents each key with the value it has anyway, so the two cannot drift."""
    text = (ROOT / "config.toml").read_text()
    keys = {line.removeprefix("# ").partition(" = ")[0] for line in text.splitlines()}

    config = load(ROOT / "config.toml", {})

    assert config == Config(
        BotParams(),
        QuoteParams(),
        PricingParams(),
        RiskParams(),
        OrderParams(),
        PaperParams(),
        LiveParams(),
        journal=JournalParams(str(ROOT / "journal")),
    )
    sections = (getattr(config, field.name) for field in attrs.fields(Config))
    assert {f.name for one in sections if one is not None for f in attrs.fields(type(one))} <= keys


def test_the_default_trades_the_hour_and_five_minutes() -> None:
    """The promise of the README: btc-1h and btc-5m, on paper."""
    bot = load(ROOT / "config.toml", {}).bot

    assert (bot.mode, bot.series) == ("paper", ("btc-1h", "btc-5m"))


def test_every_fault_is_named_at_once(write: Write) -> None:
    """Unknown keys, wrong types, values out of range and unknown sections come in one list."""
    path = write(
        """
        [bot]
        series = "btc-5m"
        [risk]
        max_total_uds = 5
        price_collar = 1.9
        max_order_usd = "7"
        [orders]
        orders_per_s = 0
        cancels_per_s = true
        [paper]
        speed = nan
        [qoute]
        levels = 1
        """
    )

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert {str(fault) for fault in caught.value.faults} == {
        "qoute: unknown key; did you mean quote?",
        "bot.series: expected a list in [brackets], was 'btc-5m'",
        "risk.max_total_uds: unknown key; did you mean max_total_usd?",
        "risk.price_collar: 'price_collar' must be <= 1.0: 1.9",
        "risk.max_order_usd: expected a whole number, was '7'",
        "orders.orders_per_s: 'orders_per_s' must be >= 1: 0",
        "orders.cancels_per_s: expected a whole number, was True",
        "paper.speed: expected a finite number, was nan",
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[bot]\nmode = "Paper"', "bot.mode"),
        ("[bot]\nseries = []", "bot.series"),
        ('[bot]\nseries = ["moon-5m"]', "bot.series"),
        ('[bot]\nseries = ["btc-5m", "btc-5m"]', "bot.series"),
        ("[bot]\nseries = [5]", "bot.series"),
        ('[paper]\nworld = "recording:"', "paper.world"),
        ('[paper]\nworld = "moon"', "paper.world"),
        ("[paper]\nspeed = 0", "paper.speed"),
        ("[paper]\nspeed = 1e9", "paper.speed"),
        ("[paper]\nseed = -1", "paper.seed"),
        ("[paper]\nseed = 1.0", "paper.seed"),
        ("[paper]\nintensity = inf", "paper.intensity"),
        ("[quote]\nlevels = 4", "quote.levels"),
        ("[pricing]\nvol_weights = [0.5, 0.5]", "pricing.vol_weights"),
        ("[pricing]\nvol_weights = [0.5, 0.4, 0.4]", "pricing.vol_weights"),
        ('[live]\nwallet = "me"', "live.wallet"),
        ("[orders]\nrequote_min_ms = 300", "orders"),
        ("[risk]\nmax_total_usd = 100", "risk"),
        ("[inventory]\nseed_shares = 501", "inventory.seed_shares"),
        ("bot = 3", "bot"),
    ],
)
def test_a_bad_value_is_a_fault_at_its_path(write: Write, text: str, path: str) -> None:
    """Each kind of bad value is refused, and the fault says where."""
    assert faults_of(write(text), {}) == [path]


@pytest.mark.parametrize("text", ["[bot", "a = 1\na = 2", "x = 'é"])
def test_what_is_not_toml_is_one_fault(write: Write, text: str) -> None:
    """A file that cannot be parsed is named with the parser's words."""
    path = write(text)

    assert faults_of(path, {}) == [str(path)]


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """So is one that is not there, or is a folder."""
    assert faults_of(tmp_path / "none.toml", {}) == [str(tmp_path / "none.toml")]
    assert faults_of(tmp_path, {}) == [str(tmp_path)]


def test_bytes_that_are_not_utf8_are_a_fault(tmp_path: Path) -> None:
    """A file in another encoding is refused, not guessed at."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'[bot]\nmode = "\xff"')

    assert faults_of(path, {}) == [str(path)]


def test_a_mark_before_the_text_is_none_of_it(tmp_path: Path) -> None:
    """An editor elsewhere may have put one there, and ended lines in its own way (BOM, CRLF)."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'\xef\xbb\xbf[bot]\r\nseries = ["eth-1h"]\r\n')

    assert load(path, {}).bot.series == ("eth-1h",)


def test_a_folder_whose_name_is_no_utf8_is_a_fault(tmp_path: Path) -> None:
    """Neither a summary nor a tape can tell of it: the start ended in a traceback."""
    folder = tmp_path / os.fsdecode(b"gr\xfcn")
    folder.mkdir()
    (folder / "config.toml").write_text("")

    assert faults_of(folder / "config.toml", {}) == ["journal.folder"]


def test_a_number_that_no_float_holds_is_out_of_range(write: Write) -> None:
    """TOML's whole numbers have no end: it is a fault like any other, at its path."""
    assert faults_of(write(f"[quote]\nkappa = 1{'0' * 400}"), {}) == ["quote.kappa"]


def test_the_command_line_wins(write: Write) -> None:
    """Overrides take the place of the file's values and pass the same checks."""
    path = write('[bot]\nseries = ["eth-1h"]\n[paper]\nspeed = 5')

    config = load(
        path, {}, Overrides("paper", "recording:a/b", ("btc-5m", "sol-15m"), speed=40.0, seed=9)
    )

    assert config.bot.series == ("btc-5m", "sol-15m")
    assert config.paper == PaperParams("recording:a/b", 9, 40.0, 0.1)
    assert faults_of(path, {}, Overrides(speed=1000.0)) == ["paper.speed"]


def test_the_digest_follows_settings_and_not_secrets(write: Write) -> None:
    """Equal settings have equal digests; a changed setting has another; keys do not count."""
    path = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"')
    env = {"PM_PRIVATE_KEY": KEY}

    live = load(path, env, Overrides(mode="live"))

    assert live.digest == attrs.evolve(live, keys=None).digest
    assert live.digest != load(path, env, Overrides(mode="paper")).digest
    assert len(live.digest) == 64


def test_live_needs_three_statements(write: Write) -> None:
    """File, command line and wallet must all say so; each one missing is a fault of its own."""
    env = {"PM_PRIVATE_KEY": KEY}
    whole = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS.lower()}"')
    assert load(whole, env, Overrides(mode="live")).bot.mode == "live"

    assert faults_of(whole, env) == ["bot.mode"]
    assert faults_of(whole, {}, Overrides(mode="live")) == ["PM_PRIVATE_KEY"]
    other = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{OTHER}"')
    assert faults_of(other, env, Overrides(mode="live")) == ["live.wallet"]
    none = write('[bot]\nmode = "live"')
    assert faults_of(none, env, Overrides(mode="live")) == ["live.wallet"]
    paper = write(f'[live]\nwallet = "{ADDRESS}"')
    assert faults_of(paper, env, Overrides(mode="live")) == ["bot.mode"]


def test_a_live_command_on_the_wrong_file_says_how_to_name_another(write: Write) -> None:
    """`stop --now` looks for config.toml where nobody names the engine's own: whoever is in a hurry
    is told the word that was left out, and not only what is wrong with a file for paper.
    """
    with pytest.raises(ConfigError) as caught:
        load(write(""), {}, Overrides(mode="live"))

    assert "--config" in str(caught.value.faults[0])


def test_a_live_file_runs_on_paper_when_told_to(write: Write) -> None:
    """`make paper` with a live configuration is paper, and touches no key."""
    path = write('[bot]\nmode = "live"')

    config = load(path, {"PM_PRIVATE_KEY": KEY}, Overrides(mode="paper"))

    assert (config.bot.mode, config.keys) == ("paper", None)


def test_terms_named_in_the_file_lie_beside_it(write: Write) -> None:
    """The command line's path is the operator's own, as he wrote it."""
    path = write('[paper]\nterms = "venue.toml"')

    assert load(path, {}).paper.terms == str(path.parent / "venue.toml")
    assert load(path, {}, Overrides(terms="other.toml")).paper.terms == "other.toml"


@pytest.mark.parametrize("text", ['[journal]\nfolder = "kept"', ""])
def test_the_journals_lie_beside_the_file(write: Write, text: str) -> None:
    """Whoever calls `stop --now` from another folder means the same engine, and the lock of one
    engine a wallet holds wherever the second is started from.
    """
    path = write(text)

    assert load(path, {}).journal.folder == str(path.parent / ("kept" if text else "journal"))
    away = write('[journal]\nfolder = "/var/lib/polybot"')
    assert load(away, {}).journal.folder == "/var/lib/polybot"


def test_paper_settings_are_refused_in_a_live_run(write: Write) -> None:
    """A world, a speed or a seed on a live command line means somebody is mistaken."""
    path = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"')

    faults = faults_of(path, {"PM_PRIVATE_KEY": KEY}, Overrides(mode="live", speed=20.0))

    assert faults == ["--world, --speed, --seed, --terms, --faults"]


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "0" * 64])
def test_a_bad_key_is_a_fault_that_does_not_show_it(write: Write, key: str) -> None:
    """What is not a private key is refused without being repeated."""
    path = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"')

    with pytest.raises(ConfigError) as caught:
        load(path, {"PM_PRIVATE_KEY": key}, Overrides(mode="live"))

    assert [fault.path for fault in caught.value.faults] == ["PM_PRIVATE_KEY"]
    assert not key or key not in str(caught.value)


def test_the_funder_is_named_twice_or_not_at_all(write: Write) -> None:
    """Money moves from the funder's address: file and environment must agree on it."""
    env = {"PM_PRIVATE_KEY": KEY, "PM_FUNDER": OTHER}
    plain = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"')
    assert faults_of(plain, env, Overrides(mode="live")) == ["live.funder"]

    odd = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"\nfunder = "0x12"')
    assert faults_of(odd, env, Overrides(mode="live")) == ["live.funder"]

    live = f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"\nfunder = "{OTHER}"'
    assert faults_of(write(live), env, Overrides(mode="live")) == ["live.signature_type"]

    both = write(f"{live}\nsignature_type = 2")
    keys = load(both, env, Overrides(mode="live")).keys
    assert keys is not None
    assert keys.funder == OTHER


def test_a_readable_secrets_file_is_a_fault_on_paper_too(tmp_path: Path, write: Write) -> None:
    """The file is found beside the configuration, and chmod 600 is named, in every mode."""
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'PM_PRIVATE_KEY = "{KEY}"')
    secrets.chmod(0o644)
    path = write('[live]\nsecrets_file = "secrets.toml"\n[risk]\nprice_collar = 7.5')

    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(path, {})

    assert [f.path for f in caught.value.faults] == ["risk.price_collar", "live.secrets_file"]
    secrets.chmod(0o600)
    assert faults_of(path, {}) == ["risk.price_collar"]


def test_no_secret_is_in_the_repr(write: Write) -> None:
    """A configuration that is printed or logged shows no key."""
    env = {
        "PM_PRIVATE_KEY": KEY,
        "PM_API_KEY": "public-id",
        "PM_API_SECRET": "canary-secrets",
        "PM_PASSPHRASE": "canary-pass",
    }
    path = write(f'[bot]\nmode = "live"\n[live]\nwallet = "{ADDRESS}"')

    config = load(path, env, Overrides(mode="live"))

    assert config.keys is not None
    assert config.keys.api is not None
    assert config.keys.api.secret.reveal() == "canary-secrets"
    for canary in (KEY, KEY[2:], "canary-secret", "canary-pass"):
        assert canary not in repr(config)
        assert canary not in f"{config.keys}"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
tables = st.dictionaries(
    st.sampled_from([f.name for f in attrs.fields(RiskParams)]) | st.text(max_size=5),
    scalars | st.lists(scalars, max_size=3),
    max_size=6,
)


@given(table=tables | scalars)
def test_any_table_is_a_value_or_faults(table: object) -> None:
    """Whatever a section holds, reading it gives the class or at least one fault, never a crash."""
    faults: list[Fault] = []

    value = read_section(RiskParams, table, "risk", faults)

    assert (value is None) == bool(faults)
    if value is not None:
        assert isinstance(value.price_collar, float)
        assert type(value.max_total_usd) is int


def test_a_fault_plan_is_a_preset_or_a_file_beside(write: Write) -> None:
    """A preset's name stays a name; a file lies beside the configuration that names it."""
    path = write('[paper]\nfaults = "storm"')
    (path.parent / "mine.toml").write_text('[[fault]]\nfault = "stall"\n', encoding="utf-8")

    assert load(path, {}).paper.faults == "storm"
    path = write('[paper]\nfaults = "mine.toml"')
    assert load(path, {}).paper.faults == str(path.parent / "mine.toml")
    assert load(path, {}, Overrides(faults="feeds")).paper.faults == "feeds"


def test_a_file_behind_a_colon_lies_beside(write: Write) -> None:
    """A recorded world and a fitted queue are files like any other, wherever the bot is started;
    what is said on the command line is where the operator stands.
    """
    path = write('[paper]\nworld = "recording:day"\nqueue = "fitted:queue.json"')
    here = path.parent
    (here / "queue.json").write_text('{"queue": "probabilistic:2.5"}', encoding="utf-8")

    paper = load(path, {}).paper
    assert (paper.world, paper.queue) == (f"recording:{here}/day", f"fitted:{here}/queue.json")
    assert load(path, {}, Overrides(world="recording:x")).paper.world == "recording:x"
    path = write('[paper]\nworld = "synthetic"\nqueue = "probabilistic:3"')
    paper = load(path, {}).paper
    assert (paper.world, paper.queue) == ("synthetic", "probabilistic:3")


def test_the_files_of_latencies_lie_beside(write: Write) -> None:
    """One of all ways, or one of each; what is none is refused like any setting."""
    path = write('[paper]\nlatency = "fitted:latency.json"')
    here = path.parent
    told = '{"feed": [1], "order": [2], "news": [3]}'
    (here / "latency.json").write_text(told, encoding="utf-8")
    (here / "ms.txt").write_text("25\n", encoding="utf-8")

    assert load(path, {}).paper.latency == f"fitted:{here}/latency.json"
    path = write('[paper]\nlatency = "feed=measured:ms.txt, order=measured:ms.txt, news=5"')
    assert load(path, {}).paper.latency == (
        f"feed=measured:{here}/ms.txt, order=measured:{here}/ms.txt, news=5"
    )
    assert faults_of(write('[paper]\nlatency = "fitted:none.json"'), {}) == ["paper.latency"]


def test_a_bad_fault_plan_is_told_before_the_start(write: Write) -> None:
    """An unknown name, and every problem of a file, with exit code 2 as for any setting."""
    path = write("")
    (path.parent / "bad.toml").write_text('[[fault]]\nfault = "stal"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"paper\.faults: nowhere: .* expected a file, or one of"):
        load(path, {}, Overrides(faults="nowhere"))
    with pytest.raises(ConfigError, match=r"did you mean stall\?"):
        load(write('[paper]\nfaults = "bad.toml"'), {})


@pytest.mark.parametrize(
    "overrides",
    [
        Overrides(world="exchange:line.json", speed=2.0),
        Overrides(world="exchange:line.json", terms="terms.toml"),
        Overrides(world="exchange:line.json", faults="storm"),
    ],
)
def test_a_guest_sets_nothing_of_its_host(overrides: Overrides, write: Write) -> None:
    """The clock, the terms and the faults of a running exchange are its own: a drill with --faults
    on a guest's command line met no fault at all, and said nothing.
    """
    assert faults_of(write(""), {}, overrides) == ["--speed, --terms, --faults"]
    assert load(write(""), {}, Overrides(world="exchange:line.json", seed=3)).paper.seed == 3
    named = attrs.evolve(overrides, world=None)
    assert faults_of(write('[paper]\nworld = "exchange:line.json"'), {}, named) == [
        "--speed, --terms, --faults"
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[journal]\ncalibration = "~nobody-of-this-name/log"', "journal.calibration"),
        ('[journal]\nfolder = "~nobody-of-this-name"', "journal.folder"),
        ('[pricing]\nvol_seasons = "~nobody-of-this-name/s"', "pricing.vol_seasons"),
        ('[paper]\nterms = "~nobody-of-this-name/t"', "paper.terms"),
        ('[paper]\nworld = "recording:~nobody-of-this-name/r"', "paper.world"),
        ('[live]\nsecrets_file = "~nobody-of-this-name/s"', "live.secrets_file"),
    ],
)
def test_a_home_that_nobody_has_is_named(text: str, where: str, write: Write) -> None:
    """A misspelt user, or none in a container: it was a traceback that named no key."""
    assert faults_of(write(text), {}) == [where]


def test_the_journals_have_a_folder(write: Write) -> None:
    """An empty name meant the folder that one happens to stand in: `stop --now`, called from
    elsewhere, found neither engine nor journal.
    """
    assert faults_of(write('[journal]\nfolder = ""'), {}) == ["journal.folder"]


def test_a_secrets_file_that_paper_may_not_look_at_is_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live user's folder is closed to others, as it should be: paper needs no key of it."""

    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    path = write('[live]\nsecrets_file = "closed/secrets.toml"')
    monkeypatch.setattr(Path, "exists", closed)

    assert load(path, {}).keys is None
