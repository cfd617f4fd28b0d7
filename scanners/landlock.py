"""Landlock: what of the file system a process, and all it starts, can still reach.

Numbers are those of `linux/landlock.h`. Standard library only, and cheap to import: it
is loaded before every tool.
"""
# pathlib would cost each start of a tool several milliseconds
# ruff: noqa: PTH112

from __future__ import annotations

import ctypes
import os
import struct

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SYM = 16, 32, 128, 256, 4096
_REFER, _TRUNCATE = 8192, 16384
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

LOOK = _READ_FILE | _READ_DIR
RUN = LOOK | _EXECUTE
USE = _READ_FILE | _WRITE_FILE | _TRUNCATE  # devices
# No sockets, pipes or devices, and nothing that was written can be executed.
KEEP = (
    LOOK | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
    | _MAKE_SYM | _REFER | _TRUNCATE
)  # fmt: skip

# path, access, whether it may be absent
Grant = tuple[str, int, bool]

# What each version of the interface lets one forbid; from 5 on nothing was added.
_HANDLED = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}
_BIND_TCP, _CONNECT_TCP = 1, 2
_TCP = _BIND_TCP | _CONNECT_TCP
HAS_TCP = 4  # the first version that knows TCP
_SCOPES = 3  # abstract unix sockets, signals
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH, _NET_PORT = 1, 1, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def abi() -> int:
    """Return the version of the kernel's interface, 0 if it has none."""
    answer = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(int(answer), 0)


def restrict(grants: list[Grant], version: int, port: int = 0) -> None:
    """Leave this process nothing but `grants`. It must have set no_new_privs.

    From version 4 on TCP is closed too, but for connections to `port`, and from 6 on
    signals to processes outside and abstract unix sockets. Raises `OSError`.
    """
    handled = _HANDLED.get(version, 0xFFFF)
    attributes = [handled, _TCP, _SCOPES][: 1 + (version >= HAS_TCP) + (version >= 6)]
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _libc.syscall(
        _CREATE_RULESET, ctypes.c_char_p(packed), ctypes.c_size_t(len(packed)), 0
    )
    if ruleset < 0:
        raise _failed("landlock_create_ruleset")
    try:
        for path, access, is_optional in grants:
            _grant(ruleset, path, access & handled, is_optional)
        if port and version >= HAS_TCP:
            _grant_port(ruleset, port)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) < 0:
            raise _failed("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, access: int, is_optional: bool) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        if is_optional:
            return
        raise
    try:
        if not os.path.isdir(path):
            access &= _ON_FILES
        rule = struct.pack("=Qi", access, opened)
        if _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0):
            raise _failed(f"landlock_add_rule {path}")
    finally:
        os.close(opened)


def _grant_port(ruleset: int, port: int) -> None:
    rule = struct.pack("=QQ", _CONNECT_TCP, port)
    if _libc.syscall(_ADD_RULE, ruleset, _NET_PORT, ctypes.c_char_p(rule), 0):
        raise _failed(f"landlock_add_rule port {port}")


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
