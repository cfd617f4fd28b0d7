"""The call of bubblewrap that gives a tool namespaces of its own: bwrap(1), from 0.5.

Standard library only, and cheap to import: it is loaded before every tool.
"""

# pathlib would cost each start of a tool several milliseconds
# ruff: noqa: PTH100, PTH114, PTH115, PTH120

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scanners.sandbox import Job

_PROGRAMS = ("/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap")
_NAMESPACES = (
    "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
    "--unshare-cgroup-try", "--die-with-parent",
)  # fmt: skip


def command(job: Job, system: tuple[str, ...], second_half: list[str]) -> list[str]:
    """Return the call that runs `second_half` where only `job`'s places exist.

    `/proc` and `/dev` are new; all but the scratch is read-only. Raises `OSError` where
    bubblewrap is not installed.
    """
    program = next((path for path in _PROGRAMS if os.access(path, os.X_OK)), "")
    if not program:
        raise OSError(0, "bubblewrap is not installed")
    options = [*_NAMESPACES]
    if os.geteuid():
        options.append("--unshare-user")
    else:
        options += ["--cap-drop", "ALL"]
    if job.uid:
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    package = os.path.dirname(os.path.abspath(__file__))
    options += _mounts([package, *job.readable, job.target], system, job.scratch)
    options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    return [program, *options, "--", *second_half]


def _mounts(readable: list[str], system: tuple[str, ...], scratch: str) -> list[str]:
    """Bind each path at its own place, outer ones first, so that none hides another.

    The directories above them are made here: bubblewrap's own would be closed (0700)
    to the unprivileged uid.
    """
    options: list[str] = []
    made: set[str] = set()
    bound: list[str] = []
    for path in sorted({scratch, *readable, *system}, key=lambda each: each.count("/")):
        is_there = any(path.startswith(f"{each}/") for each in bound)
        if not os.path.lexists(path) or (is_there and path != scratch):
            continue
        for folder in [] if is_there else _above(path):
            if folder not in made:
                made.add(folder)
                options += ["--perms", "0755", "--dir", folder]
        if path in system and os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        else:
            options += ["--bind" if path == scratch else "--ro-bind", path, path]
            bound.append(path)
    return options


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts))]
