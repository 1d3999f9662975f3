"""The project as a newcomer meets it: lock, verbs and the continuous integration script."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


# What every interpreter that we name sees of the lock: Linux is where the tests run.
VERSIONS = ("3.11", "3.12", "3.13")


def needs(version: str) -> dict[str, str]:
    """An environment as the markers of packages ask for it."""
    return {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "extra": "",
    }


def would_run(*words: str) -> str:
    """What make would do, without doing it, free of the make that may be running these tests."""
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(  # noqa: S603 - fixed words
        ["make", "--dry-run", *words],  # noqa: S607 - whichever make the user has
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


def test_every_package_is_pinned_and_hashed() -> None:
    """pip refuses anything that is not byte for byte what was reviewed."""
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.partition("\n\n")[2])

    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+ (; [^\\]+)?\\\n", entry), entry[:60]
        assert "--hash=sha256:" in entry


def test_the_lock_has_every_dependency() -> None:
    """A dependency added to pyproject.toml and forgotten in the lock would fail on a fresh
    machine.
    """
    wanted = (
        PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["test"]
    )

    for requirement in wanted:
        name = re.split(r"[>=<\[]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}==", LOCK, re.MULTILINE), name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_lock_is_whole_for_every_python(version: str) -> None:
    """What a pinned package needs on another Python is pinned as well: pip installs nothing that is
    not, and a newcomer on 3.13 once met that where 3.11 had been tried.
    """
    pinned = {}
    for entry in re.findall(r"^[a-z0-9._-]+==[^\\\n]+", LOCK, re.MULTILINE):
        one = Requirement(entry.strip())
        if one.marker is None or one.marker.evaluate(needs(version)):
            pinned[canonicalize_name(one.name)] = one
    for name in sorted(pinned):
        with contextlib.suppress(metadata.PackageNotFoundError):  # one for another Python
            for words in metadata.requires(name) or ():
                wanted = Requirement(words)
                if wanted.marker is None or wanted.marker.evaluate(needs(version)):
                    assert canonicalize_name(wanted.name) in pinned, f"{name} needs {words}"


@needs_make
@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ({"python3": (3, 12)}, "python3"),
        ({"python3": (3, 10), "python3.13": (3, 13)}, "python3.13"),
        ({"python3": (3, 14), "python3.12": (3, 12)}, "python3.12"),
        ({"python3": (3, 14)}, None),
        ({"system": (3, 11), "python3": (3, 12)}, "system"),
        ({"system": (3, 9), "python3": (3, 12)}, "python3"),
    ],
)
def test_an_interpreter_is_taken_that_the_lock_is_for(
    tmp_path: Path, found: dict[str, tuple[int, int]], taken: str | None
) -> None:
    """The system's own first, an older or a newer one is passed by; without any, the remedy is
    named.
    """
    for name in ("system", "python3", *(f"python{one}" for one in (*VERSIONS, "3.14"))):
        version = found.get(name)
        script = tmp_path / name
        script.write_text(
            "#!/bin/sh\nexit 127\n"
            if version is None
            else f"#!/bin/sh\ncase $1 in -m) echo made by {name} >&2; exit 1;; esac\n"
            f'exec {sys.executable} -c "import sys; sys.version_info = {(*version, 0)}\n$2"\n'
        )
        script.chmod(0o755)
    stamp, system = tmp_path / "venv" / ".installed", tmp_path / "system"

    done = subprocess.run(  # noqa: S603 - fixed words
        ["make", f"VENV={stamp.parent}", f"SYSTEM_PYTHON={system}", str(stamp)],  # noqa: S607
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    if taken is None:
        assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
        assert "made by" not in done.stderr
    else:
        assert f"made by {taken}\n" in done.stderr


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "Makefile", ".ci/run"])
def test_no_host_or_machine_is_named(name: str) -> None:
    """Where packages come from is the machine's business, not the project's."""
    content = (ROOT / name).read_text()

    assert "://" not in content
    assert "--index-url" not in content
    assert not re.search(r"(?<![\w.])/(work|home|root|opt|tmp)/", content)


def test_every_ignored_lint_rule_has_a_reason() -> None:
    """A rule switched off says why in the same line; so does every exception for tests."""
    lines = (ROOT / "pyproject.toml").read_text().partition("[tool.ruff.lint]")[2].splitlines()
    ignored = [line for line in lines if re.match(r'    "[A-Z]+[0-9]*",', line)]

    assert len(ignored) > 20
    assert [line for line in ignored if "  # " not in line] == []


@needs_make
def test_paper_passes_every_option_on() -> None:
    """What is said to make is said to the program; what is not said is left to config.toml."""
    said = would_run(
        "paper",
        "FOR=30m",
        "SPEED=20",
        "SEED=7",
        "SERIES=btc-5m",
        "WORLD=recording:a b",
        "SUMMARY=-",
    )

    assert "exec .venv/bin/python -m polybot --config 'config.toml' --mode paper" in said
    for words in ("--for '30m'", "--speed '20'", "--seed '7'", "--series 'btc-5m'"):
        assert words in said
    assert "--world 'recording:a b'" in said
    assert "--summary '-'" in said
    plain = would_run("paper")
    assert not [word for word in ("--for", "--speed", "--world", "--series") if word in plain]


@needs_make
def test_exchange_passes_its_options_on() -> None:
    """The exchange alone takes a port, an intensity and a start as well."""
    said = would_run("exchange", "PORT=0", "SEED=2", "INTENSITY=0.5", "START=1795176000")

    assert "-m polybot exchange" in said
    assert "--port '0'" in said
    assert "--intensity '0.5'" in said
    assert "--start '1795176000'" in said


@needs_make
@pytest.mark.parametrize("verb", ["paper", "test", "check", "bench", "exchange"])
def test_every_verb_sets_up_first(verb: str) -> None:
    """From a bare machine each verb installs the lock, hashes required, before its own job."""
    said = would_run("--what-if=requirements.lock", verb)

    assert "--require-hashes -r requirements.lock" in said


def test_ci_runs_the_readmes_test_command() -> None:
    """The same command for a newcomer and for the machine, and the script can be executed."""
    script = ROOT / ".ci" / "run"

    assert "make test" in script.read_text()
    assert "make test" in (ROOT / "README.md").read_text()
    assert os.access(script, os.X_OK)


def test_secrets_are_ignored_by_git() -> None:
    """The file names the documentation suggests for keys cannot be committed by accident."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()

    assert "/secrets*" in ignored
    assert ".env" in ignored


@needs_make
def test_compiled_files_are_kept() -> None:
    """Where the surroundings forbid them, as images do, every program that a test starts would
    translate all of polybot again.
    """
    done = subprocess.run(
        ["make", "--eval", "show: ; @echo [$$PYTHONDONTWRITEBYTECODE]", "show"],  # noqa: S607
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout == "[]\n"


def test_a_signal_before_the_run_ends_the_installed_program_quietly() -> None:
    """By whichever name it was called: the script's entry point is what `python -m polybot` runs,
    and Ctrl-C while it loads is an exit code, not a traceback.
    """
    module, name = PROJECT["project"]["scripts"]["polybot"].split(":")
    script = (
        "import os, signal, importlib\n"
        f"program = importlib.import_module({module!r})\n"
        "program.main = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        f"program.{name}()\n"
    )

    done = subprocess.run(  # noqa: S603 - fixed words
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")
