"""Which installation a command talks to: a server that is named, else this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError, CommandParser

from apikeys.management.command import UsageError
from scans.management.baseline_doors import BaselinesHere, BaselinesThere
from scans.management.doors import (
    BaselineDoor,
    Door,
    Rejected,
    TargetDoor,
    Unreachable,
)
from scans.management.here import Here
from scans.management.remote import Remote
from scans.management.sentences import sentence
from scans.management.target_doors import TargetsHere, TargetsThere

UNREACHABLE = 4


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--server", metavar="URL", help="or SENTRASCAN_SERVER; this machine if none"
    )
    parser.add_argument("--api-key", metavar="KEY", help="or SENTRASCAN_API_KEY")


def door_for(server: str | None, api_key: str | None) -> Door:
    """Return who is asked; raise `UsageError` for an address or key that cannot be."""
    return _remote(server, api_key) or Here()


@contextmanager
def baselines_of(server: str | None, api_key: str | None) -> Iterator[BaselineDoor]:
    """Open the door to who keeps the baselines; what it raises is `told`."""
    with _asking(server, api_key) as remote:
        yield BaselinesThere(remote) if remote else BaselinesHere()


@contextmanager
def targets_of(server: str | None, api_key: str | None) -> Iterator[TargetDoor]:
    """Open the door to who knows the targets; what it raises is `told`."""
    with _asking(server, api_key) as remote:
        yield TargetsThere(remote) if remote else TargetsHere()


@contextmanager
def told() -> Iterator[None]:
    """Make a command's exit code and sentence of what a door raises."""
    try:
        yield
    except Unreachable as error:
        raise CommandError(sentence(error), returncode=UNREACHABLE) from error
    except Rejected as error:
        if error.is_usage:
            raise UsageError(str(error)) from error
        raise CommandError(sentence(error)) from error


@contextmanager
def _asking(server: str | None, api_key: str | None) -> Iterator[Remote | None]:
    remote = _remote(server, api_key)
    try:
        with told():
            yield remote
    finally:
        if remote:
            remote.close()


def _remote(server: str | None, api_key: str | None) -> Remote | None:
    # The environment of the caller, who may have no installation at all.
    server = server or os.environ.get("SENTRASCAN_SERVER", "")
    if not server:
        if api_key:
            raise UsageError("--api-key is for a --server, and none is named")
        return None
    key = api_key or os.environ.get("SENTRASCAN_API_KEY", "")
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"--server {server}: an address begins with http(s)://")
    if not key or not (key.isascii() and key.isprintable()):
        raise UsageError("A server needs an API key: --api-key or SENTRASCAN_API_KEY")
    return Remote(server, key)
