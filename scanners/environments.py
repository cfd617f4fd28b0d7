"""Isolated Python environments, each built from one lock and proven by a marker.

Standard library only: `make setup` runs this before anything is installed. An
environment is built beside its place and renamed into it, its marker written last, so
that a killed build leaves nothing that looks finished.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MARKER = "installed.json"
LOCKS = Path(__file__).resolve().parent / "locks"

# mcp-checkpoint imports `pipeline` when it starts and takes an OSError from it for
# "model not loadable": what happens anyway where its 290 MB model cannot be fetched.
_STAND_INS: Mapping[str, Mapping[str, str]] = {
    "mcp-checkpoint": {
        "transformers/__init__.py": (
            '"""Stands in for transformers: mcp-checkpoint runs without its model."""\n'
            "\n\ndef pipeline(*args, **kwargs):\n"
            '    raise OSError("no language model in this installation")\n'
        )
    }
}

_running: set[subprocess.Popen[str]] = set()
_is_stopped = False

# How pip begins the line of each package, wherever it comes from.
FETCHING = ("Collecting ", "Processing ", "Requirement already")

type Progress = Callable[[int, int], None]  # packages fetched, packages of the lock


class SetupError(Exception):
    """Set-up cannot go on; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment is made from. `stand_ins`: path in site-packages -> text."""

    name: str
    lock: Path
    with_pip: bool = False
    stand_ins: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that decides what gets installed."""
        parts = [self.lock.read_text(encoding="utf-8"), dict(self.stand_ins)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def packages(self) -> int:
        """How many packages the lock names."""
        return len(re.findall(r"(?m)^[a-z0-9]", self.lock.read_text(encoding="utf-8")))


def tool_names() -> list[str]:
    """Return the name of every tool that has a lock."""
    return sorted(path.stem for path in LOCKS.glob("*.in"))


def tool_recipe(name: str) -> Recipe:
    """Return how the tool `name` is installed; `KeyError` if it has no lock."""
    if name not in tool_names():
        raise KeyError(name)
    return Recipe(name, LOCKS / f"{name}.txt", stand_ins=_STAND_INS.get(name, {}))


def tool_version(name: str) -> str:
    """Return the version that the lock's first direct need pins."""
    text = (LOCKS / f"{name}.in").read_text(encoding="utf-8")
    pin = re.search(r"(?m)^[a-z][^#\n]*?==(\S+)", text)
    if pin is None:
        raise KeyError(name)
    return pin[1]


def read_marker(directory: Path) -> dict[str, str]:
    """Return the marker of a finished environment; {} if there is none to read."""
    try:
        marker = json.loads((directory / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def flaw(directory: Path, recipe: Recipe) -> str:
    """Say what is wrong with the environment in `directory`; '' if it is as locked."""
    marker = read_marker(directory)
    if not marker:
        return "not installed"
    if marker.get("lock_sha256") != recipe.digest:
        return "its lock has changed"
    if marker.get("path") != str(directory):
        return "it was moved here"
    if (
        marker.get("python", "").split(".")[:2]
        != _version(sys.version_info).split(".")[:2]
    ):
        return "another Python is asked for"
    return _damage(directory)


def _damage(directory: Path) -> str:
    """Compare what is there with what each package says it brought."""
    python = directory / "bin" / "python"
    # exists() follows the link: the Python that it was made with may be gone.
    if not python.exists():
        return "its Python is gone"
    packages = site_packages(directory)
    listed = read_marker(directory).get("packages", "").split()
    for name in listed:
        record = packages / name / "RECORD"
        if not record.is_file():
            return f"{name} is gone"
        for path, size in _recorded(record):
            try:
                found = (packages / path).stat().st_size
            except OSError:
                return f"{path} is gone"
            if found != size:
                return f"{path} is not as installed"
    return ""


def _recorded(record: Path) -> Iterator[tuple[str, int]]:
    """Yield path and size of what a package brought into site-packages.

    Format: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    with record.open(encoding="utf-8", newline="") as lines:
        for path, _digest, size in csv.reader(lines):
            # Scripts lie outside, their first line rewritten; bytecode has no size, and
            # where a wheel brings its own, ours lies over it.
            if size and not path.startswith("..") and "__pycache__/" not in path:
                yield path, int(size)


def site_packages(directory: Path) -> Path:
    """Return the folder of an environment that its packages lie in."""
    found = sorted(directory.glob("lib/python3.*/site-packages"))
    return found[0] if found else directory / "lib" / "missing"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the file lock `path`, so that two set-ups never build the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sweep(directory: Path) -> None:
    """Remove what killed builds of `directory` left beside it; call it locked."""
    for left in directory.parent.glob(f".{directory.name}.partial-*"):
        _remove(left)


def _remove(directory: Path) -> None:
    """Remove an environment; of a link the link alone, which rmtree refuses to do."""
    if directory.is_symlink():
        directory.unlink()
    else:
        shutil.rmtree(directory, ignore_errors=True)


def build(
    directory: Path,
    recipe: Recipe,
    *,
    pip: Path | None = None,
    wheels: str = "",
    progress: Progress = lambda done, total: None,
) -> None:
    """Build the environment and put it in the place of what is there.

    `pip` is a Python that has pip, for an environment that gets none; `wheels` a folder
    to install from without any registry. Raises `SetupError`.
    """
    draft = directory.with_name(f".{directory.name}.partial-{os.getpid()}")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        sweep(directory)
        draft.mkdir()
        draft.chmod(0o755)  # whatever the umask is: tools run as another user
        _make_venv(draft, recipe)
        install(draft, recipe, pip or draft / "bin" / "python", wheels, progress)
        _lay_stand_ins(draft, recipe)
        _rewrite_scripts(draft, directory)
        _write_marker(draft, directory, recipe)
        old = directory.with_name(f".{directory.name}.partial-old-{os.getpid()}")
        if directory.exists() or directory.is_symlink():
            directory.rename(old)
        draft.rename(directory)
        _remove(old)
    except OSError as error:
        raise SetupError(advice(str(error), recipe.name)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make_venv(draft: Path, recipe: Recipe) -> None:
    options = [] if recipe.with_pip else ["--without-pip"]
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--prompt", recipe.name, *options, str(draft)],
        capture_output=True,
        text=True,
        env=_clean_environment(),
    )
    if made.returncode == 0:
        return
    if "ensurepip" in made.stdout + made.stderr:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python {version} cannot make environments: install its venv part, "
            f"for example apt-get install python{version}-venv, then try again."
        )
    raise SetupError(advice(made.stdout + made.stderr, recipe.name))


def install(
    directory: Path, recipe: Recipe, pip: Path, wheels: str, progress: Progress
) -> None:
    """Install a lock into an environment: hashes checked, wheels only, bytecode made.

    Wheels only, because building a package from source runs its code unexamined.
    Without dependencies, because the lock is whole and leaves some out on purpose.
    """
    if _is_stopped:
        raise SetupError("stopped")
    total, fetched, log = recipe.packages, 0, list[str]()
    process = subprocess.Popen(
        _pip_command(directory, recipe, pip, wheels),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_clean_environment(),
        start_new_session=True,  # so that pip and its child are ended together
    )
    _running.add(process)
    try:
        for line in process.stdout or ():
            log.append(line)
            fetched += line.startswith(FETCHING)
            progress(min(fetched, total), total)
        if process.wait() != 0:
            raise SetupError(advice("".join(log), recipe.name))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _running.discard(process)


def _pip_command(directory: Path, recipe: Recipe, pip: Path, wheels: str) -> list[str]:
    source = ["--no-index", "--find-links", wheels] if wheels else []
    return [
        *(str(pip), "-m", "pip", "--python", str(directory / "bin" / "python")),
        *("--disable-pip-version-check", "--no-input", "install", "--progress-bar"),
        *("off", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--compile", *source, "-r", str(recipe.lock)),
    ]


def stop_installing() -> None:
    """End every pip of ours at once and start no other; for a signal handler."""
    global _is_stopped
    _is_stopped = True
    for process in list(_running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _clean_environment() -> dict[str, str]:
    """Return our environment without what would lead pip or Python elsewhere."""
    away = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_NO_BINARY"}
    kept = {name: value for name, value in os.environ.items() if name not in away}
    return kept | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}


def _lay_stand_ins(draft: Path, recipe: Recipe) -> None:
    for path, text in recipe.stand_ins.items():
        module = site_packages(draft) / path
        module.parent.mkdir(parents=True)
        module.write_text(text, encoding="utf-8")
        subprocess.run(
            [draft / "bin" / "python", "-m", "compileall", "-q", module], check=True
        )


def _rewrite_scripts(draft: Path, directory: Path) -> None:
    """Let scripts, which name their Python by its absolute path, name the final one."""
    scripts = [path for path in (draft / "bin").iterdir() if path.is_file()]
    for path in [*scripts, draft / "pyvenv.cfg"]:
        if path.is_symlink():
            continue
        text = path.read_bytes()
        path.write_bytes(text.replace(bytes(draft), bytes(directory)))


def _write_marker(draft: Path, directory: Path, recipe: Recipe) -> None:
    names = sorted(path.name for path in site_packages(draft).glob("*.dist-info"))
    marker = {
        "lock_sha256": recipe.digest,
        "python": _version(sys.version_info),
        "version": tool_version(recipe.name) if recipe.name in tool_names() else "",
        "base_prefix": sys.base_prefix,
        "path": str(directory),
        "packages": " ".join(names),
    }
    (draft / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")


def _version(version: tuple[object, ...]) -> str:
    return ".".join(map(str, version[:3]))


def advice(log: str, name: str) -> str:
    """Turn what pip or the system said into one line that says what to do."""
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return f"{name}: the disk is full. Free about 2 GB and run make setup again."
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"{name}: a downloaded package does not match its pinned hash, so it was "
            "refused. Check the registry or mirror that pip is set to use."
        )
    unreachable = ("Connection", "ProxyError", "SSLError", "No matching distribution")
    if any(word in log for word in unreachable):
        return (
            f"{name}: the package registry cannot be reached or lacks a package. Check "
            "the network and pip's index-url, or set SENTRASCAN_WHEELS to a folder of "
            "wheels, then run make setup again."
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return f"{name}: {errors[-1] if errors else 'pip ended without a word'}"
