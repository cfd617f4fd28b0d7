"""What is scanned of an MCP submission: its document, and what its servers answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from scanners import inquiry, introspect
from scanners.contract import ScannerError, Skipped, Target
from scanners.install import installed
from scanners.workspace import StoredFile, WorkspaceError, read_stored
from scans import fetching, request_headers, sealing
from scans.choices import Refused
from scans.models import Scan
from scans.sandboxing import chosen_rung

NOT_ALLOWED = "it was not started: the operator does not allow it"
NO_NETWORK = "it was not started: the operator does not allow it a network"


def parted(files: Sequence[StoredFile], named: str) -> tuple[bytes, list[StoredFile]]:
    """Return the document's bytes, and the files submitted beside it.

    `named` is "" where there is only one file. Raises `WorkspaceError` where the
    document is gone, or is not what was submitted.
    """
    document = next((file for file in files if named in ("", file.name)), None)
    if document is None:
        raise WorkspaceError("the submitted document has been removed")
    return read_stored(document), [file for file in files if file is not document]


def introspected(
    target: Target,
    sources: Target | None,
    directory: Path,
    stop: threading.Event,
    deadline: float,
    *,
    has_network: bool = False,
) -> Target:
    """Return `target` with what its servers list, a gap for each that cannot be asked.

    `deadline` is the scan's, by the monotonic clock: half of the time that is left
    stays with the scanners. `has_network`: they may reach out through a proxy of ours.
    Raises `ScanStopped`.
    """
    # asked again: a scan may be run again after the operator has changed his mind
    if settings.MCP_INTROSPECTION != "sandboxed":
        return _not_started(target, NOT_ALLOWED)
    if has_network and not fetching.may_servers_have_network():
        return _not_started(target, NO_NETWORK)
    try:
        rung = chosen_rung().require()
        tool = installed(introspect.CLIENT_TOOL, settings.SCANNERS_DIR)
    except ScannerError as error:
        return _not_started(target, f"it was not started: {error}")
    rules = fetching.egress_rules() if has_network else None
    sandbox = introspect.Sandbox(tool, rung, directory, stop, rules)
    return introspect.introspect(
        target, sources=sources, sandbox=sandbox, deadline=introspect.half_way(deadline)
    )


def asked(
    scan: Scan, directory: Path, stop: threading.Event, deadline: float
) -> Target:
    """Return what the server at the scan's address lists.

    `deadline` is the scan's, by the monotonic clock: half of the time that is left
    stays with the scanners. Raises `WorkspaceError` where it was not had, and
    `ScanStopped`.
    """
    options = scan.detail.options
    try:
        # looked at again: a scan may be run again after the operator changed his mind
        url = fetching.server_at(options["source"])
        headers = _headers(scan, fetching.origin_of(url))
        rung = chosen_rung().require()
        tool = installed(introspect.CLIENT_TOOL, settings.SCANNERS_DIR)
        return inquiry.inquire(
            inquiry.Server(url, fetching.masked(options["source"]), headers),
            rules=fetching.egress_rules(),
            sandbox=introspect.Sandbox(tool, rung, directory, stop),
            deadline=introspect.half_way(deadline),
        )
    except Refused as error:
        raise WorkspaceError(error.message) from error
    except (ScannerError, inquiry.Unreachable) as error:
        raise WorkspaceError(str(error)) from error


def _headers(scan: Scan, origin: str) -> dict[str, str]:
    if not scan.detail.options.get("has_headers"):
        return {}
    try:
        return request_headers.opened(scan.pk, origin=origin)
    except (LookupError, sealing.KeyLost, sealing.Unreadable) as error:
        raise WorkspaceError(f"its headers cannot be read: {error}") from error


def _not_started(target: Target, reason: str) -> Target:
    gaps = (gap.path for gap in target.gaps)
    return replace(target, gaps=tuple(Skipped(path, reason) for path in gaps))
