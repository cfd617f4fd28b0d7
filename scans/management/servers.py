"""Which installation a command talks to: a server that is named, else this one."""

from __future__ import annotations

import os

from django.core.management.base import CommandParser

from apikeys.management.command import UsageError
from scans.management.doors import Door
from scans.management.here import Here
from scans.management.remote import Remote


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--server", metavar="URL", help="or SENTRASCAN_SERVER; this machine if none"
    )
    parser.add_argument("--api-key", metavar="KEY", help="or SENTRASCAN_API_KEY")


def door_for(server: str | None, api_key: str | None) -> Door:
    """Return who is asked; raise `UsageError` for an address or key that cannot be."""
    # The environment of the caller, who may have no installation at all.
    server = server or os.environ.get("SENTRASCAN_SERVER", "")
    if not server:
        if api_key:
            raise UsageError("--api-key is for a --server, and none is named")
        return Here()
    key = api_key or os.environ.get("SENTRASCAN_API_KEY", "")
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"--server {server}: an address begins with http(s)://")
    if not key or not (key.isascii() and key.isprintable()):
        raise UsageError("A server needs an API key: --api-key or SENTRASCAN_API_KEY")
    return Remote(server, key)
