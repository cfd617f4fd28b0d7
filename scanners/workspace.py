"""Makes the target of a scan a local directory that nothing else can reach.

Sources are stored uploads, paths below the scan roots and streams from elsewhere
(`scanners/sources.py` opens those). Whatever is laid out here is hashed here, so that
the digest is that of the very bytes that are scanned.
Everything in a source is hostile: names, links, archive members.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from scanners import archives, documents, folders, placement, unpacking
from scanners.contract import Element, Skipped, Target, TargetKind
from scanners.placement import Checkpoint, Readable, safe_name
from scanners.sandbox import Rung

MAX_FILES = 20_000


class WorkspaceError(Exception):
    """The source cannot be had; the message is for people."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes of ours on disk, and the relative name under which they were submitted.

    `digest` is the SHA-256 that they had on arrival, where that is known.
    """

    name: str
    path: Path
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is still elsewhere; `digest` is its SHA-256 where that is known."""

    name: str
    opened: Callable[[], AbstractContextManager[Readable]]
    digest: str = ""


def inside_roots(source: str, roots: Sequence[Path]) -> Path:
    """Return the real path of `source`; raise `WorkspaceError` if it is not allowed."""
    path = Path(source)
    if not path.is_absolute():
        raise WorkspaceError("a path must be absolute")
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkspaceError("this path does not exist or cannot be read") from error
    if not any(real == root or root in real.parents for root in roots):
        raise WorkspaceError("this path is not below the scan roots of this server")
    if not os.access(real, os.R_OK | (os.X_OK if real.is_dir() else 0)):
        raise WorkspaceError("this path cannot be read")
    if not (real.is_dir() or real.is_file()):
        raise WorkspaceError("this path is neither a file nor a directory")
    return real


def from_uploads(
    files: Sequence[StoredFile],
    run_dir: Path,
    *,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
    may_link: bool = False,
) -> Target:
    """Lay out uploaded files; a single archive is unpacked if it is safe to.

    `rung` is the sandbox for what is not unpacked here; without one it stays packed.
    `may_link`: the stored files themselves may be shown to tools, which then must not
    be able to change them. Else, and where that is not possible, they are copied.
    """
    root = _fresh_root(run_dir)
    if len(files) == 1 and archives.is_archive_name(files[0].name):
        return _from_archive(
            files[0], root, limits, checkpoint, rung, may_link=may_link
        )
    elements = [_placed(file, root, checkpoint, may_link=may_link) for file in files]
    return _model_target(root, elements, is_single=len(files) == 1)


def from_path(
    real: Path,
    run_dir: Path,
    *,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    """Copy an allowed file or directory. Links are never followed: each is a gap.

    Nor is one that took the place of a folder above `real` after it was allowed.
    """
    root = _fresh_root(run_dir)
    with ExitStack() as held:
        try:
            place = held.enter_context(placement.steady(real))
        except OSError as error:
            raise WorkspaceError("this path has changed or cannot be read") from error
        if place.is_file():
            return _from_file(place, root, limits, checkpoint, rung)
        return _from_folder(place, root, checkpoint)


def _from_file(
    place: Path,
    root: Path,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    if archives.is_archive_name(place.name):
        stored = StoredFile(place.name, place)
        return _from_archive(stored, root, limits, checkpoint, rung)
    with _opened(place) as source:
        element = _copy(source, root, place.name, checkpoint)
    return _model_target(root, [element], is_single=True)


def _from_folder(place: Path, root: Path, checkpoint: Checkpoint) -> Target:
    elements: list[Element] = []
    gaps: list[Skipped] = []
    for name, found in folders.walk(place):
        if isinstance(found, str):
            gaps.append(Skipped(name, found))
            continue
        if len(elements) >= MAX_FILES:
            os.close(found)
            raise WorkspaceError(f"the directory has more than {MAX_FILES} files")
        with os.fdopen(found, "rb") as source:
            elements.append(_copy(source, root, name, checkpoint))
    return _model_target(root, elements, is_single=False, gaps=gaps)


def from_stream(
    file: Incoming,
    run_dir: Path,
    *,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    """Take one file from elsewhere; an archive is unpacked if it is safe to."""
    root = _fresh_root(run_dir)
    if not archives.is_archive_name(file.name):
        element = _take(file, root, checkpoint)
        return _model_target(root, [element], is_single=True)
    packed = run_dir / "packed"
    packed.mkdir(mode=0o700)
    element = _take(file, packed, checkpoint)
    stored = StoredFile(file.name, packed / element.path)
    target = _from_archive(stored, root, limits, checkpoint, rung)
    shutil.rmtree(packed)
    return target


def from_streams(
    files: Iterable[Incoming | Skipped], run_dir: Path, *, checkpoint: Checkpoint
) -> Target:
    """Take the files of a folder from elsewhere, or none; what is skipped is a gap."""
    root = _fresh_root(run_dir)
    elements: list[Element] = []
    gaps: list[Skipped] = []
    for file in files:
        if isinstance(file, Skipped):
            gaps.append(file)
        else:
            elements.append(_take(file, root, checkpoint))
        if len(elements) + len(gaps) > MAX_FILES:
            raise WorkspaceError(f"the folder has more than {MAX_FILES} files")
    return _model_target(root, elements, is_single=False, gaps=gaps)


def from_document(raw: bytes, run_dir: Path) -> Target:
    """Read an MCP document. Servers whose tools were not listed are gaps."""
    try:
        document = documents.read_document(raw)
        canonical = documents.canonical(document)
    except ValueError as error:
        raise WorkspaceError(str(error)) from error
    servers = documents.servers_of(document)
    is_listed = len(servers) == 1 and bool(document["tools"])
    gaps = (
        ()
        if is_listed
        else tuple(
            Skipped(f"servers/{name}", "it was not started, so its tools are unknown")
            for name in servers
        )
    )
    return Target(
        kind=TargetKind.MCP,
        root=_fresh_root(run_dir),
        elements=documents.elements_of(document),
        digest=hashlib.sha256(canonical).hexdigest(),
        gaps=gaps,
        document=document,
    )


def _fresh_root(run_dir: Path) -> Path:
    root = run_dir / "target"
    root.mkdir(parents=True, mode=0o755)
    return root


def _model_target(
    root: Path,
    elements: list[Element],
    *,
    is_single: bool,
    gaps: Sequence[Skipped] = (),
) -> Target:
    elements.sort(key=lambda element: element.path)
    empty = [Skipped(e.path, "it is empty") for e in elements if e.size == 0]
    digest = (
        elements[0].digest
        if is_single
        else folders.listing_digest((e.path, e.digest) for e in elements)
    )
    return Target(
        kind=TargetKind.MODEL,
        root=root,
        elements=tuple(elements),
        digest=digest,
        gaps=(*gaps, *empty),
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return placement.plain(path)
    except OSError as error:
        raise WorkspaceError(f"{path.name} is gone or cannot be read") from error


def _take(file: Incoming, root: Path, checkpoint: Checkpoint) -> Element:
    with file.opened() as source:
        element = _copy(source, root, file.name, checkpoint)
    if file.digest and file.digest != element.digest:
        raise WorkspaceError(f"{file.name} did not arrive as its source describes it")
    return element


def _placed(
    file: StoredFile, root: Path, checkpoint: Checkpoint, *, may_link: bool
) -> Element:
    """Lay out one stored file, read to its end: the digest is that of these bytes."""
    name = safe_name(file.name)
    if not (may_link and _linked(file.path, root, name)):
        with _opened(file.path) as source:
            element = _copy(source, root, name, checkpoint)
    else:
        with _opened(root / name) as source:
            digest, size = placement.digest(source, checkpoint)
        element = Element(name, size, digest)
    _check_unchanged(file, element.digest)
    return element


def read_stored(file: StoredFile) -> bytes:
    """Return the bytes of a small stored file; raise `WorkspaceError` if it changed."""
    with _opened(file.path) as source:
        raw = source.read()
    _check_unchanged(file, hashlib.sha256(raw).hexdigest())
    return raw


def _check_unchanged(file: StoredFile, digest: str) -> None:
    if file.digest and file.digest != digest:
        raise WorkspaceError(f"the stored bytes of {file.name} are not those submitted")


def _linked(stored: Path, root: Path, name: str) -> bool:
    with _placing(root / name, name):
        return placement.link(stored, root / name)


def _copy(source: Readable, root: Path, name: str, checkpoint: Checkpoint) -> Element:
    with _placing(root / name, name):
        digest, size = placement.copy(source, root / name, checkpoint)
    return Element(name, size, digest)


@contextmanager
def _placing(final: Path, name: str) -> Iterator[None]:
    """Make the folder of `final`; put what goes wrong in the block into words."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise WorkspaceError(f"two files are called {name}") from error
    except OSError as error:
        raise WorkspaceError(f"{name} could not be copied: {error.strerror}") from error


def _from_archive(
    file: StoredFile,
    root: Path,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
    *,
    may_link: bool = False,
) -> Target:
    """Unpack one archive; where that is not safe, leave it packed and say why."""

    def uncounted(moved: int = 0, /) -> None:
        # What counts are the bytes that are laid out: unpacking tells of those.
        checkpoint()

    with _opened(file.path) as source:
        if file.digest:
            _check_unchanged(file, placement.digest(source, uncounted)[0])
            source.seek(0)
        try:
            names = unpacking.unpack(
                *(source, file.name, root, root.parent),
                limits=limits,
                checkpoint=checkpoint,
                rung=rung,
            )
        except archives.UnsafeArchive as error:
            reason = f"the archive was not unpacked: {error}"
            return _packed(file, root, reason, checkpoint, may_link=may_link)
    elements = []
    for name in names:
        with _opened(root / name) as member:
            digest, size = placement.digest(member, uncounted)
        elements.append(Element(name, size, digest))
    return _model_target(root, elements, is_single=False)


def _packed(
    file: StoredFile, root: Path, reason: str, checkpoint: Checkpoint, *, may_link: bool
) -> Target:
    shutil.rmtree(root)
    root.mkdir(mode=0o755)
    name = PurePosixPath(safe_name(file.name)).name
    packed = replace(file, name=name)
    element = _placed(packed, root, checkpoint, may_link=may_link)
    gap = Skipped(name, reason)
    return _model_target(root, [element], is_single=True, gaps=[gap])
