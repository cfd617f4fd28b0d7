"""Namespaces for a process that does not exec: what bubblewrap gives, without it.

A warm host's child has the tool in its memory already, so it cannot become bubblewrap.
It gets the same view here: new PID, mount, network, IPC, UTS and cgroup namespaces, and
a root in which only the job's places exist, all but the scratch read-only.

Numbers are those of `linux/mount.h` and `asm-generic/unistd.h`; sources:
mount_setattr(2), open_tree(2), pivot_root(2), pid_namespaces(7), user_namespaces(7).
Standard library only. Needs Linux 5.12; where any step is refused, `OSError`, and the
scan runs cold.
"""
# pathlib would cost each fork several milliseconds where no tool has imported it
# ruff: noqa: PTH103, PTH112, PTH114, PTH115, PTH120, PTH123, PTH211

from __future__ import annotations

import ctypes
import os
import struct

from scanners import sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_NEW_PID, _NEW_USER = os.CLONE_NEWPID, os.CLONE_NEWUSER
_REST = (
    os.CLONE_NEWNS | os.CLONE_NEWNET | os.CLONE_NEWIPC | os.CLONE_NEWUTS
    | os.CLONE_NEWCGROUP
)  # fmt: skip
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_HERE, _EMPTY_PATH, _RECURSIVE = -100, 0x1000, 0x8000  # AT_FDCWD, AT_EMPTY_PATH, ...
_CLONE_TREE, _FROM_DESCRIPTOR = 1, 4  # OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8
_PRIVATE = 0x44000  # MS_REC | MS_PRIVATE
_DETACH = 2
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def leave_processes() -> None:
    """Let the next child be the first process of a PID namespace.

    Not root, it takes a user namespace first, in which it keeps its own uid.
    """
    if os.geteuid() == 0:
        os.unshare(_NEW_PID)
        return
    uid, gid = os.geteuid(), os.getegid()
    os.unshare(_NEW_PID | _NEW_USER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def enter(job: sandbox.Job, ready: int) -> None:
    """Be in the job's own world from here on, as a child of its first process.

    That one, which `leave_processes` made room for, stays behind in here: it buries
    orphans and ends as this child does, and all of the namespace with it.
    """
    os.unshare(_REST)
    _build(job)
    child = os.fork()
    if child:
        os.close(ready)
        _be_first(child)
    sandbox.become_expendable()


def _be_first(child: int) -> NoReturn:
    sandbox.drop_capabilities()
    os.closerange(0, 1 << 20)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            # bubblewrap's way to say signal
            os._exit(code if code >= 0 else 128 - code)


def _build(job: sandbox.Job) -> None:
    """Mount a new root on the folder above the scratch, and make it the root."""
    _mount("none", "/", None, _PRIVATE)
    trees = _opened(job)
    base = os.path.dirname(job.scratch)
    _mount("tmpfs", base, "tmpfs", _NO_SUID | _NO_DEVICES, "mode=0755,size=1m")
    os.chdir(base)
    for path, tree in trees:
        if isinstance(tree, str):
            _make_above(path[1:])
            os.symlink(tree, path[1:])
        else:
            _attach(path[1:], tree)
    os.makedirs("proc", 0o755, exist_ok=True)
    _mount("proc", "proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXEC)
    for name, target in _LINKS.items():
        os.symlink(target, f"dev/{name}")
    _set_attributes(_HERE, _READ_ONLY)
    _call("pivot_root", _PIVOT_ROOT[os.uname().machine], b".", b".")
    if _libc.umount2(b".", _DETACH):
        raise _failed("umount2")
    os.chdir("/")


def _opened(job: sandbox.Job) -> list[tuple[str, int | str]]:
    """Return each place with a copy of its tree, or where its link leads.

    Opened while the old root is there; outer ones first, so that none hides another.
    """
    found: list[tuple[str, int | str]] = []
    bound: list[str] = []
    readable = {sandbox.PACKAGE, *job.readable, job.target, *sandbox.SYSTEM}
    writable = {job.scratch, *sandbox.DEVICES}
    for path in sorted(readable | writable, key=lambda each: each.count("/")):
        is_there = any(path.startswith(f"{each}/") for each in bound)
        if not path or not os.path.lexists(path) or (is_there and path not in writable):
            continue
        if path in sandbox.SYSTEM and os.path.islink(path):
            found.append((path, os.readlink(path)))
            continue
        attributes = _NO_SUID
        if path not in sandbox.DEVICES:
            attributes |= _NO_DEVICES
        if path not in writable:
            attributes |= _READ_ONLY
        flags = _CLONE_TREE | _RECURSIVE | os.O_CLOEXEC
        tree = _call(f"open_tree {path}", _OPEN_TREE, _HERE, os.fsencode(path), flags)
        _set_attributes(tree, attributes, _RECURSIVE)
        found.append((path, tree))
        bound.append(path)
    return found


def _attach(place: str, tree: int) -> None:
    if os.path.isdir(f"/proc/self/fd/{tree}"):
        os.makedirs(place, 0o755, exist_ok=True)
    else:
        _make_above(place)
        if not os.path.lexists(place):
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT, 0o644))
    arguments = (tree, b"", _HERE, os.fsencode(place), _FROM_DESCRIPTOR)
    _call(f"move_mount {place}", _MOVE_MOUNT, *arguments)
    os.close(tree)


def _make_above(place: str) -> None:
    os.makedirs(os.path.dirname(place) or ".", 0o755, exist_ok=True)


def _set_attributes(mounted: int, attributes: int, flags: int = 0) -> None:
    packed = struct.pack("=4Q", attributes, 0, 0, 0)
    arguments = (mounted, b"", flags | _EMPTY_PATH, packed, len(packed))
    _call("mount_setattr", _MOUNT_SETATTR, *arguments)


def _mount(
    source: str, place: str, kind: str | None, flags: int, options: str = ""
) -> None:
    arguments = (
        source.encode(),
        os.fsencode(place),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        options.encode(),
    )
    if _libc.mount(*arguments):
        raise _failed(f"mount {place}")


def _call(name: str, number: int, *arguments: int | bytes) -> int:
    words = [
        ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each)
        for each in arguments
    ]
    answer: int = _libc.syscall(ctypes.c_long(number), *words)
    if answer < 0:
        raise _failed(name)
    return answer


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
