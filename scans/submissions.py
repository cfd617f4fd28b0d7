"""What a client may ask to be scanned, and why something is refused.

Whatever can be seen without a worker is said now, before anything is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings

from scanners import documents
from scanners.contract import TargetKind
from scanners.placement import safe_name
from scanners.registry import scanners_for
from scanners.workspace import WorkspaceError, inside_roots
from scans import fetching, request_headers
from scans.choices import Refused
from scans.storage import Received

MAX_NAME = 500
MAX_LABELS = 32
LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class Submission:
    """One request for a scan, as a door read it.

    Exactly one of `files`, `document` (raw MCP pieces), `source` (a path, or where it
    is) says what; of an MCP scan `source` is a server's address. It may hold a token in
    its query: it is stored, never served. `headers` are for that server, and secret.
    """

    scan_type: TargetKind
    target: str = ""
    files: tuple[Received, ...] = ()
    document: Mapping[str, Any] | None = None
    source: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    # "" leaves the choice to the defaults of this installation.
    policy: str = ""
    scanners: tuple[str, ...] | None = None
    timeout_seconds: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    introspect: bool = False
    introspect_network: bool = False
    traceparent: str = ""


def checked(submission: Submission) -> Submission:
    """Return the submission with its target named, or raise `Refused`."""
    kind = submission.scan_type
    _check_options(submission)
    for received in submission.files:
        _check_file_name(received.name)
    _check_names_together([received.name for received in submission.files])
    is_server = kind is TargetKind.MCP and bool(submission.source)
    if submission.headers and not is_server:
        raise Refused("headers", "only with server_url")
    if is_server:
        submission = _checked_server(submission)
    elif kind is TargetKind.MCP:
        submission = _checked_document(submission)
    elif submission.document is not None:
        raise Refused("config", "a model scan takes a file or a path")
    elif submission.source:
        submission = _checked_source(submission)
    elif not submission.files:
        raise Refused("target", "send a file, or name a path or an address")
    name = submission.target or _default_name(submission)
    if len(name) > MAX_NAME or not name.isprintable():
        raise Refused("target", f"a name has at most {MAX_NAME} printable characters")
    return replace(submission, target=name)


def _check_file_name(name: str) -> None:
    try:
        safe_name(name)
    except ValueError as error:
        raise Refused("file", str(error)) from error
    if len(name) > MAX_NAME:
        raise Refused("file", f"a file name has at most {MAX_NAME} characters")


def _check_names_together(names: Sequence[str]) -> None:
    files = {PurePosixPath(name) for name in names}
    if len(files) < len(names):
        raise Refused("file", "two files have the same name")
    folders = {folder for file in files for folder in file.parents}
    if both := sorted(map(str, files & folders)):
        raise Refused("file", f"{both[0]} cannot be a file and a folder at once")


def _default_name(submission: Submission) -> str:
    if not submission.files:
        return "mcp"
    return submission.files[0].name.rpartition("/")[2]


def _check_options(submission: Submission) -> None:
    if submission.scanners is not None:
        fitting = {scanner.name for scanner in scanners_for(submission.scan_type)}
        unknown = [name for name in submission.scanners if name not in fitting]
        if unknown or not submission.scanners:
            known = ", ".join(sorted(fitting))
            raise Refused("scanners", f"name some of: {known}")
    seconds = submission.timeout_seconds
    if seconds is not None and not 1 <= seconds <= settings.SCAN_TIMEOUT_SECONDS:
        raise Refused(
            "timeout_seconds", f"must be from 1 to {settings.SCAN_TIMEOUT_SECONDS}"
        )
    if len(submission.labels) > MAX_LABELS:
        raise Refused("labels", f"at most {MAX_LABELS}")
    for key, value in submission.labels.items():
        if not LABEL.fullmatch(key) or not LABEL.fullmatch(value):
            raise Refused("labels", "keys and values are 1 to 200 characters")
    if submission.introspect:
        if settings.MCP_INTROSPECTION != "sandboxed":
            raise Refused(
                "introspect",
                "servers are not started here: the operator has not allowed it",
            )
        if submission.scan_type is not TargetKind.MCP:
            raise Refused("introspect", "only for scan_type mcp")
    if submission.introspect_network:
        if not submission.introspect:
            raise Refused("introspect_network", "only with introspect: true")
        if not fetching.may_servers_have_network():
            raise Refused(
                "introspect_network",
                "servers get no network here: the operator has not allowed it",
            )


def _checked_source(submission: Submission) -> Submission:
    if submission.files:
        raise Refused("target", "send either a file or a path, not both")
    if fetching.is_remote(submission.source):
        fetching.check(submission.source)
        shown = fetching.masked(submission.source)
        return replace(submission, target=submission.target or shown)
    try:
        real = inside_roots(submission.source, settings.SCAN_ROOTS)
    except WorkspaceError as error:
        raise Refused("target", str(error)) from error
    # One path has one name, however it is spelled: baselines go by it.
    name = submission.target or os.path.normpath(submission.source)
    return replace(submission, source=str(real), target=name)


def _checked_server(submission: Submission) -> Submission:
    if submission.introspect:
        raise Refused("server_url", "it is asked, never started: no introspect")
    if submission.files or submission.document is not None:
        raise Refused("server_url", "send an address or a document, not both")
    fetching.server_at(submission.source)
    request_headers.check(submission.headers)
    shown = fetching.masked(submission.source)
    return replace(submission, target=submission.target or shown)


def _checked_document(submission: Submission) -> Submission:
    """Check the shape now, so that the client hears of it now."""
    if (submission.document is None) == (not submission.files):
        raise Refused("config", "send a configuration, a tool list or one file")
    if len(submission.files) > 1 and not submission.introspect:
        raise Refused("file", "send one configuration file")
    size = max((received.size_bytes for received in submission.files), default=0)
    if size > settings.MAX_DOCUMENT_BYTES:
        most = settings.MAX_DOCUMENT_BYTES
        raise Refused("file", f"a document has at most {most} bytes", status=413)
    try:
        if submission.document is not None:
            document = documents.read_document(submission.document)
        else:
            document = documents.read_document(submission.files[0].path.read_bytes())
        documents.canonical(document)
    except ValueError as error:
        is_file = submission.document is None
        pointer = getattr(error, "pointer", "").strip("/")
        place = "file" if is_file else pointer or "config"
        message = str(error) if is_file else getattr(error, "message", str(error))
        raise Refused(place, message) from error
    if submission.introspect:
        _check_introspectable(document)
    return submission


def _check_introspectable(document: Mapping[str, Any]) -> None:
    if not documents.servers_of(document):
        raise Refused("introspect", "there is no configuration with servers to start")
    if any(document[name] for name in (*documents.LISTS, "instructions")):
        raise Refused("introspect", "the servers are asked for their lists; send none")
