"""Remote targets by this installation's rules: may it be asked for, and fetch it."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from scanners import sources
from scanners.archives import Limits
from scanners.buckets import Account
from scanners.contract import Target
from scanners.hub import Hub
from scanners.placement import Checkpoint
from scanners.sandbox import Rung
from scanners.sources import is_remote, masked
from scanners.urls import BadAddress, Rules, Url, read_url
from scanners.workspace import WorkspaceError
from scans.choices import Refused

__all__ = [
    "check",
    "egress_rules",
    "fetch",
    "is_remote",
    "masked",
    "may_servers_have_network",
    "origin_of",
    "server_at",
]

SWITCHED_OFF = "this server fetches no remote targets"


def egress_rules() -> Rules:
    """Return what the operator lets us contact."""
    return Rules(
        allowed=settings.EGRESS_ALLOWED,
        is_http_allowed=settings.ALLOWS_HTTP,
        ca_file=settings.EGRESS_CA_FILE,
    )


def may_servers_have_network() -> bool:
    """Whether the operator lets started MCP servers reach out, through our proxy."""
    return bool(settings.HAS_REMOTE_TARGETS and settings.MCP_INTROSPECTION_NETWORK)


def check(source: str) -> None:
    """Raise `Refused` for what can be refused without asking the network."""
    if not settings.HAS_REMOTE_TARGETS:
        raise Refused("target", SWITCHED_OFF)
    try:
        sources.check(source, _remote())
    except BadAddress as error:
        raise Refused("target", str(error)) from error


def server_at(address: str) -> Url:
    """Take the address of an MCP server apart; raise `Refused` as `check` does."""
    if not settings.HAS_REMOTE_TARGETS:
        raise Refused("server_url", "this server contacts no remote servers")
    try:
        return read_url(address, egress_rules())
    except BadAddress as error:
        raise Refused("server_url", str(error)) from error


def origin_of(url: Url) -> str:
    """Return whom the headers of a request to `url` are for, as text."""
    return f"{url.scheme}://{url.host}:{url.port}"


def fetch(
    source: str,
    directory: Path,
    *,
    limits: Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    """Make the source local; raise `WorkspaceError` when it cannot be had."""
    if not settings.HAS_REMOTE_TARGETS:
        raise WorkspaceError(SWITCHED_OFF)

    def watched(moved: int = 0, /) -> None:
        checkpoint(moved)
        if shutil.disk_usage(directory).free < settings.MIN_FREE_BYTES:
            raise WorkspaceError("this server's disk is nearly full")

    return sources.fetch(
        source,
        directory,
        remote=_remote(),
        limits=limits,
        checkpoint=watched,
        rung=rung,
    )


def _remote() -> sources.Remote:
    return sources.Remote(
        rules=egress_rules(),
        account=Account(
            endpoint=settings.S3_ENDPOINT,
            region=settings.S3_REGION,
            key_id=settings.S3_ACCESS_KEY_ID,
            secret=settings.S3_SECRET_ACCESS_KEY,
            session_token=settings.S3_SESSION_TOKEN,
        ),
        hub=Hub(settings.HF_ENDPOINT, settings.HF_TOKEN),
        total_bytes=settings.MAX_UPLOAD_BYTES,
    )
