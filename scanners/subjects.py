"""What a scan of some bytes would have called them: its digest, without the scan."""

from __future__ import annotations

import hashlib
from pathlib import Path

from scanners import archives, documents, folders, placement, workspace
from scanners.folders import Unlisted
from scanners.sandbox import Rung

MAX_DOCUMENT_BYTES = 32 << 20


class NoSubject(Exception):
    """The path can have no such digest; the message says why."""


def digest_of(path: Path, kind: str, directory: Path, rung: Rung | None) -> str:
    """Return the SHA-256 by which a scan would know what lies at `path`.

    `kind` is what it is the digest of: a file's bytes, the listing of a folder or an
    unpacked archive, an MCP document. `directory` is for unpacking, in the sandbox
    `rung` where that is done in one. Raises `NoSubject` and `OSError`.
    """
    real = path.resolve(strict=True)
    match kind:
        case "file":
            return _of_file(real)
        case "document":
            return _of_document(real)
        case "listing":
            return _of_listing(real, directory, rung)
        case _:
            raise NoSubject(f"nobody here knows what a digest of a {kind[:40]!r} is")


def _of_file(real: Path) -> str:
    if real.is_dir():
        # A folder that is submitted with one file in it is that file.
        [(_, digest), *more] = _digests_in(real) or [("", "")]
        return "" if more else digest
    with placement.plain(real) as file:
        return placement.digest(file, _uncounted)[0]


def _of_document(real: Path) -> str:
    if real.is_dir() or real.stat().st_size > MAX_DOCUMENT_BYTES:
        raise NoSubject("this is no MCP document")
    with placement.plain(real) as file:
        raw = file.read(MAX_DOCUMENT_BYTES + 1)
    try:
        canonical = documents.canonical(documents.read_document(raw))
    except ValueError as error:
        raise NoSubject("this is no MCP document") from error
    return hashlib.sha256(canonical).hexdigest()


def _of_listing(real: Path, directory: Path, rung: Rung | None) -> str:
    if real.is_dir():
        return folders.listing_digest(_digests_in(real))
    if not archives.is_archive_name(real.name):
        raise NoSubject("this is neither a folder nor an archive")
    try:
        return workspace.from_path(
            real,
            directory,
            limits=archives.Limits(),
            checkpoint=_uncounted,
            rung=rung,
        ).digest
    except workspace.WorkspaceError as error:
        raise NoSubject(str(error)) from error


def _digests_in(real: Path) -> list[tuple[str, str]]:
    try:
        return folders.digests_in(real)
    except Unlisted as error:
        raise NoSubject(str(error)) from error


def _uncounted(moved: int = 0, /) -> None:
    """Nobody waits for these bytes."""
