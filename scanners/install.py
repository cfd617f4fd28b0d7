"""The tools on this machine: which are installed, and how the others get there.

`python -m scanners.install [--dir D] [--wheels W] [NAME...]` builds what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from scanners import environments
from scanners.contract import ScannerMissing
from scanners.environments import SetupError
from scanners.runner import Tool

PROJECT = Path(__file__).resolve().parent.parent
# Our own scanners (`sentrascan-files`) run under this Python and carry our version.
OWN_PREFIX, OWN_VERSION = "sentrascan-", "0.1.0"
DEFAULT_DIRECTORY = PROJECT / "var" / "scanners"


def installed(name: str, directory: Path) -> Tool:
    """Return the tool `name` as installed below `directory`.

    Reads two small files and starts nothing: that the tool also works is what `doctor`
    proves by a detection. Raises `ScannerMissing` with a reason of one line.
    """
    if name.startswith(OWN_PREFIX):
        return own(name)
    if name not in environments.tool_names():
        raise ScannerMissing(f"{name}: no lock says how to install it")
    home = directory.absolute() / name
    marker = environments.read_marker(home)
    if not marker:
        raise ScannerMissing("not installed; run make setup")
    if marker.get("lock_sha256") != environments.tool_recipe(name).digest:
        raise ScannerMissing("installed from another lock; run make setup")
    python = home / "bin" / "python"
    if not python.exists():
        raise ScannerMissing("its Python is gone; run make setup")
    return Tool(
        name=name,
        python=python,
        version=marker["version"],
        lock_digest=marker["lock_sha256"],
        readable=_readable(home, Path(marker["base_prefix"])),
    )


def own(name: str) -> Tool:
    """Return a program of ours that runs under this Python."""
    return Tool(
        name=name,
        python=Path(sys.executable),
        version=OWN_VERSION,
        lock_digest="",
        readable=_readable(
            PROJECT / "scanners", Path(sys.prefix), Path(sys.base_prefix)
        ),
    )


def _readable(*places: Path) -> tuple[Path, ...]:
    """Return what a tool must see: its packages, the Python below, the launcher.

    Both the name and what it points to: a link is of no use to who cannot follow it.
    """
    named = [*places, PROJECT / "scanners" / "launch.py"]
    return tuple(dict.fromkeys([*named, *(place.resolve() for place in named)]))


def install(name: str, directory: Path, *, wheels: str = "") -> Tool:
    """Install the tool `name` below `directory` unless it is there as locked.

    Takes the directory's file lock. Raises `SetupError` with one line of advice.
    """
    home = directory.absolute() / name
    recipe = environments.tool_recipe(name)
    with environments.locked(directory.absolute() / f".{name}.lock"):
        environments.sweep(home)
        if environments.flaw(home, recipe):
            pip = Path(sys.executable)
            environments.build(home, recipe, pip=pip, wheels=wheels)
    return installed(name, directory)


def main() -> int:
    """Install every tool, or those named; return an exit code."""
    parser = argparse.ArgumentParser(prog="scanners.install", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY)
    # Set-up runs before there are any settings.
    parser.add_argument("--wheels", default=os.environ.get("SENTRASCAN_WHEELS", ""))
    options = parser.parse_args()
    os.umask(0o022)  # the sandbox runs tools as another user, who must read them
    for name in options.names or environments.tool_names():
        try:
            tool = install(name, options.dir, wheels=options.wheels)
        except (SetupError, ScannerMissing) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        sys.stdout.write(f"{tool.name} {tool.version}: installed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
