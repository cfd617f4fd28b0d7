"""Set up this checkout: `.venv`, then one isolated environment for each tool.

Standard library only, since it runs before anything is installed. Whatever is already
there as locked stays; the rest is built anew. `--dev` adds what lint and test need.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from scanners import environments  # noqa: E402 - found by the line above
from scanners.environments import Recipe, SetupError  # noqa: E402 - found by the line above

VENV = PROJECT / ".venv"
DEV_MARKER = VENV / "installed-dev.txt"
COMMAND = """\
#!/bin/sh
# The command line of the checkout that this file lies in, from any directory.
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
exec "$root/.venv/bin/python" -P -c 'import sys
sys.path.insert(0, sys.argv.pop(1))
sys.argv[0] = "sentrascan"
from sentrascan_project.cli import main
sys.exit(main())' "$root" "$@"
"""


class Display:
    """Progress of several environments at once: a bar on a terminal, else lines."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._state: dict[str, tuple[int, int]] = {}
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()

    def say(self, name: str, text: str) -> None:
        """Write one line about `name`."""
        with self._lock:
            self._state.pop(name, None)
            clear = "\r\x1b[K" if self._is_terminal else ""
            sys.stdout.write(f"{clear}  {name:<16} {text}\n")
            sys.stdout.flush()

    def advance(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` packages are fetched."""
        with self._lock:
            self._state[name] = (done, total)
            if self._is_terminal:
                self._draw()
            elif done * 4 // total > self._told.get(name, 0):
                self._told[name] = done * 4 // total
                sys.stdout.write(f"  {name:<16} {done} of {total} packages\n")
                sys.stdout.flush()

    def _draw(self) -> None:
        done = sum(state[0] for state in self._state.values())
        total = sum(state[1] for state in self._state.values())
        filled = 30 * done // total
        bar = "#" * filled + "-" * (30 - filled)
        names = ", ".join(self._state)
        sys.stdout.write(f"\r\x1b[K  [{bar}] {done}/{total} packages: {names}")
        sys.stdout.flush()


def ensure(
    directory: Path, recipe: Recipe, pip: Path | None, wheels: str, display: Display
) -> None:
    """Build the environment in `directory` unless it is there as locked."""
    lock = PROJECT / "var" / f".setup-{recipe.name}.lock"
    if directory.parent != PROJECT:
        lock = directory.with_name(f".{recipe.name}.lock")

    def wait() -> None:
        display.say(recipe.name, "another set-up is at work, waiting for it")

    with environments.locked(lock, wait):
        environments.sweep(directory)
        reason = environments.flaw(directory, recipe)
        if not reason:
            return
        display.say(recipe.name, f"installing {recipe.packages} packages ({reason})")
        begun = time.monotonic()
        environments.build(
            directory,
            recipe,
            pip=pip,
            wheels=wheels,
            progress=lambda done, total: display.advance(recipe.name, done, total),
        )
        display.say(recipe.name, f"ready after {time.monotonic() - begun:.0f} s")


def ensure_command() -> None:
    """Lay the `sentrascan` command into .venv/bin."""
    path = VENV / "bin" / "sentrascan"
    if not path.is_file() or path.read_text(encoding="utf-8") != COMMAND:
        path.write_text(COMMAND, encoding="utf-8")
    path.chmod(0o755)


def ensure_dev(wheels: str, display: Display) -> None:
    """Add what lint and test need to .venv."""
    recipe = Recipe("development", PROJECT / "requirements-dev.txt")
    with environments.locked(PROJECT / "var" / ".setup-.venv.lock"):
        if DEV_MARKER.is_file() and DEV_MARKER.read_text() == recipe.digest:
            return
        display.say(recipe.name, f"installing {recipe.packages} packages")
        environments.install(
            VENV,
            recipe,
            VENV / "bin" / "python",
            wheels,
            lambda done, total: display.advance(recipe.name, done, total),
        )
        DEV_MARKER.write_text(recipe.digest)
        display.say(recipe.name, "ready")


def set_up(*, with_dev: bool, wheels: str, scanners: Path) -> None:
    """Bring every environment to what its lock says. Raises `SetupError`, `OSError`."""
    display = Display()
    venv = Recipe(".venv", PROJECT / "requirements.txt", with_pip=True)
    ensure(VENV, venv, None, wheels, display)
    ensure_command()
    if with_dev:
        ensure_dev(wheels, display)
    # Two at a time, since fetching waits for the network and compiling for a processor;
    # the longest first.
    with ThreadPoolExecutor(max_workers=2) as pool:
        work = [
            pool.submit(
                ensure,
                scanners / name,
                environments.tool_recipe(name),
                VENV / "bin" / "python",
                wheels,
                display,
            )
            for name in sorted(environments.tool_names(), key=packages, reverse=True)
        ]
    for each in work:
        each.result()


def packages(name: str) -> int:
    """Return how many packages the tool `name` brings."""
    return environments.tool_recipe(name).packages


def stop(signum: int, frame: object) -> None:
    """End as Ctrl-C does, so that nothing that we started stays behind."""
    environments.stop_installing()
    raise KeyboardInterrupt


def main() -> int:
    """Set up and return an exit code; what goes wrong is one line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--dev", action="store_true")
    options = parser.parse_args()
    os.umask(0o022)  # the sandbox runs tools as another user, who must read them
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    scanners = os.environ.get("SENTRASCAN_SCANNERS_DIR") or PROJECT / "var" / "scanners"
    try:
        set_up(
            with_dev=options.dev,
            wheels=os.environ.get("SENTRASCAN_WHEELS", ""),
            scanners=Path(scanners).absolute(),
        )
    except KeyboardInterrupt:
        sys.stderr.write("set-up was stopped; make setup goes on from here\n")
        return 130
    except (SetupError, OSError) as error:
        sys.stderr.write(f"set-up failed: {error}\n")
        return 1
    sys.stdout.write(f"set up: .venv/bin/sentrascan, scanners in {scanners}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
