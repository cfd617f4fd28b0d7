"""Unpacks a submitted archive, or refuses the whole of it.

One bad member condemns the archive: half an archive would be half a scan. The refused
one stays packed, and the scanners see it as it came.
"""

from __future__ import annotations

import stat
import tarfile
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from scanners.placement import Checkpoint
from scanners.zip_layout import hidden_part

SUFFIXES = (
    *(".zip", ".whl", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2"),
    ".7z",  # first made a tar of: `scanners/unpacking.py`
)
CHUNK = 1 << 20
RATIO_FREE_BYTES = 64 << 20  # small members may compress as well as they like
FLAG_ENCRYPTED = 0x1
REFUSED_EXIT = 3  # of a program in the sandbox that refuses an archive, and says why
TAR_END = 1024  # two blocks of zeros (POSIX.1, pax interchange format)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may become. Sizes in bytes; ratio is unpacked to packed."""

    members: int = 20_000
    total_bytes: int = 64 << 30
    ratio: int = 200
    depth: int = 32


class UnsafeArchive(Exception):
    """Why this archive is left packed, in words for people."""


@dataclass(slots=True)
class Budget:
    """What may still be written. Raises `UnsafeArchive` when it is spent."""

    limits: Limits
    packed_bytes: int
    written: int = 0

    def spend(self, size: int) -> None:
        self.written += size
        if self.written > self.limits.total_bytes:
            raise UnsafeArchive("it unpacks to more than this server accepts")
        allowed = max(RATIO_FREE_BYTES, self.packed_bytes * self.limits.ratio)
        if self.written > allowed:
            raise UnsafeArchive("it expands like an archive bomb")


def is_archive_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(
    source: BinaryIO,
    name: str,
    root: Path,
    limits: Limits,
    checkpoint: Checkpoint,
    *,
    packed_bytes: int = 0,
) -> list[str]:
    """Unpack below `root` and return the relative names of the files.

    `packed_bytes`: what `source` was before it became an archive of this kind. Raises
    `UnsafeArchive` at the first wrong thing; `root` may then hold a part.
    """
    packed = source.seek(0, 2)
    source.seek(0)
    budget = Budget(limits, packed_bytes or packed)
    try:
        if name.lower().endswith((".zip", ".whl")):
            return _unzip(source, root, budget, checkpoint)
        return _untar(source, root, budget, checkpoint)
    except UnsafeArchive:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
    ) as error:
        raise UnsafeArchive(f"it cannot be read ({plain(error)})") from error


def plain(error: BaseException) -> str:
    return printable(str(error)) or type(error).__name__


def printable(text: str) -> str:
    """Return the beginning of `text` on one line, fit for people."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:400]


def _unzip(
    source: BinaryIO, root: Path, budget: Budget, checkpoint: Checkpoint
) -> list[str]:
    names: list[str] = []
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
        if len(members) > budget.limits.members:
            raise UnsafeArchive(f"it has more than {budget.limits.members} members")
        if hidden := hidden_part(source, archive):
            raise UnsafeArchive(f"bytes that no member accounts for lie {hidden}")
        for member in members:
            checkpoint()
            # The name as it stands in the file: `filename` is cut at a NUL byte.
            relative = member_name(member.orig_filename, budget.limits)
            mode = member.external_attr >> 16
            if member.flag_bits & FLAG_ENCRYPTED:
                raise UnsafeArchive(f"member {relative!r} is encrypted")
            if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise UnsafeArchive(f"member {relative!r} is a link or a device")
            if member.is_dir():
                continue
            with archive.open(member) as data:
                _write(data, root, relative, budget, checkpoint)
            names.append(relative)
    return names


def _untar(
    source: BinaryIO, root: Path, budget: Budget, checkpoint: Checkpoint
) -> list[str]:
    names: list[str] = []
    with tarfile.open(fileobj=source, mode="r:*") as archive:
        for count, member in enumerate(archive):
            checkpoint()
            if count >= budget.limits.members:
                raise UnsafeArchive(f"it has more than {budget.limits.members} members")
            if member.isdir() and PurePosixPath(member.name) == PurePosixPath("."):
                continue
            relative = member_name(member.name, budget.limits)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise UnsafeArchive(f"member {relative!r} is a link or a device")
            data = archive.extractfile(member)
            if data is None:
                raise UnsafeArchive(f"member {relative!r} cannot be read")
            with data:
                _write(data, root, relative, budget, checkpoint)
            names.append(relative)
        _check_end(archive, budget, checkpoint)
    return names


def _check_end(
    archive: tarfile.TarFile, budget: Budget, checkpoint: Checkpoint
) -> None:
    """Raise `UnsafeArchive` unless only the zero blocks of the end are left.

    tarfile stops in silence at a broken header; other readers go on behind it.
    """
    stream = archive.fileobj
    if stream is None:
        raise UnsafeArchive("it cannot be read to its end")
    stream.seek(archive.offset)
    left = 0
    while chunk := stream.read(CHUNK):
        checkpoint()
        budget.spend(len(chunk))
        left += len(chunk)
        if chunk.strip(b"\0"):
            raise UnsafeArchive("it goes on after a broken header or its end")
    if left < TAR_END:
        raise UnsafeArchive("it is cut off")


def member_name(name: str, limits: Limits) -> str:
    """Return a member's path in the archive; raise `UnsafeArchive` if it is none."""
    shown = name.encode("unicode_escape").decode("ascii")[:200]
    path = PurePosixPath(name.rstrip("/"))
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or (len(name) > 1 and name[1] == ":")
    ):
        raise UnsafeArchive(f"member {shown!r} leads outside the archive")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise UnsafeArchive(f"member {shown!r} has control characters in its name")
    if len(path.parts) > limits.depth or any(
        len(part.encode()) > 255 for part in path.parts
    ):
        raise UnsafeArchive(f"member {shown!r} has too long a name")
    return str(path)


def _write(
    data: IO[bytes],
    root: Path,
    relative: str,
    budget: Budget,
    checkpoint: Checkpoint,
) -> None:
    final = root / relative
    try:
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        target = final.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UnsafeArchive(f"two members are called {relative!r}") from None
    with target:
        while chunk := data.read(CHUNK):
            checkpoint(len(chunk))
            budget.spend(len(chunk))
            target.write(chunk)
    final.chmod(0o444)
