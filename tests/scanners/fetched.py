"""What tests of remote targets share: rules for this machine, and one fetch by them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import rfc8785
import trustme

from scanners import sources
from scanners.addresses import Allowed
from scanners.archives import Limits
from scanners.contract import Target
from scanners.sandbox import probe
from scanners.sources import Remote
from scanners.urls import Rules
from scanners.workspace import WorkspaceError


def remote_by(ca: trustme.CA, tmp_path: Path) -> Remote:
    """Let this machine be contacted, in plain or as certified by `ca`."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    allowed = Allowed.of(["127.0.0.1", "localhost"])
    return Remote(rules=Rules(allowed=allowed, is_http_allowed=True, ca_file=str(path)))


def go_on(moved: int = 0) -> None:
    return None


def fetched(source: str, remote: Remote, tmp_path: Path) -> Target:
    return sources.fetch(
        source,
        tmp_path / "run",
        remote=remote,
        limits=Limits(),
        checkpoint=go_on,
        rung=probe(),
    )


def refusal(source: str, remote: Remote, tmp_path: Path) -> str:
    with pytest.raises(WorkspaceError) as refused:
        fetched(source, remote, tmp_path)
    return str(refused.value)


def folder_digest(files: dict[str, bytes]) -> str:
    listing = [[n, hashlib.sha256(files[n]).hexdigest()] for n in sorted(files)]
    return hashlib.sha256(rfc8785.dumps(listing)).hexdigest()
