"""Turns a 7z archive into a plain tar. Runs in the sandbox, never in the worker.

Command line: MEMBERS TOTAL_BYTES RATIO DEPTH. Reads the archive from standard input, a
file, and writes the tar to standard output. Ends with 0 when the tar is whole; with
`REFUSED_EXIT` and the reason on standard error when it must not be used.

Whoever reads the tar trusts none of it: what is refused here is what a tar cannot show
(encryption, bytes that belong to no member), and what would only take long to refuse.
Source: 7zFormat.txt of the LZMA SDK.
"""

from __future__ import annotations

import io
import re
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from typing import BinaryIO

from py7zr import SevenZipFile
from py7zr.archiveinfo import HeaderStreamsInfo
from py7zr.exceptions import ArchiveError, CrcError, PasswordRequired
from py7zr.io import Py7zIO, WriterFactory
from py7zr.properties import PROPERTY
from py7zr.py7zr import ArchiveFile

from scanners.archives import (
    REFUSED_EXIT,
    Budget,
    Limits,
    UnsafeArchive,
    member_name,
    plain,
)

SIGNATURE_HEADER = 32  # bytes
TAR_BLOCK = 512
ANTI = 0x10  # kAnti: a file that an update removes; py7zr does not know it
# What a reader may trip over in a broken archive, apart from py7zr's own errors.
BROKEN = (
    *(ArchiveError, LZMAError, zlib.error, EOFError, OSError, ValueError),
    *(TypeError, LookupError, AttributeError, AssertionError, RuntimeError),
)


def main() -> int:
    limits = Limits(*map(int, sys.argv[1:]))
    try:
        convert(sys.stdin.buffer, sys.stdout.buffer, limits)
    except UnsafeArchive as error:
        reason = str(error)
    except PasswordRequired:
        reason = "it is encrypted"
    except CrcError:
        reason = "it cannot be read (a checksum does not fit)"
    except MemoryError:
        reason = "unpacking it takes more memory than it may"
    except BROKEN as error:
        reason = f"it cannot be read ({_said_by(error)})"
    else:
        return 0
    sys.stderr.write(reason)
    return REFUSED_EXIT


def _said_by(error: Exception) -> str:
    """Return what the reader says; of a property that it does not know, in words."""
    unknown = re.fullmatch(r"invalid type b'\\x([0-9a-f]{2})'", str(error))
    if unknown is None:
        return plain(error)
    number = int(unknown[1], 16)
    if number == ANTI:
        return "it holds anti-items, which delete files where it is unpacked"
    return f"its header holds a property of an unknown kind, {number:#04x}"


def convert(source: BinaryIO, tar: BinaryIO, limits: Limits) -> None:
    """Write all of `source` to `tar`. Raises `UnsafeArchive` and what `BROKEN` names.

    `tar` may then hold a part.
    """
    budget = Budget(limits, source.seek(0, 2))
    # Its decoder stops where a stream has given all its members, and nobody can tell
    # what follows there. Of the formats known here only a zip is found from its end.
    if zipfile.is_zipfile(source):
        raise UnsafeArchive("it can be read as a zip too")
    source.seek(0)
    with SevenZipFile(source) as archive:
        if archive.password_protected:
            raise UnsafeArchive("it is encrypted")
        members = list(getattr(archive, "files", ()))
        if len(members) > limits.members:
            raise UnsafeArchive(f"it has more than {limits.members} members")
        _check_layout(archive, source, budget.packed_bytes)
        sizes: dict[str, int] = {}
        for name, size in _files(members, limits):
            if name in sizes:
                raise UnsafeArchive(f"two members are called {name!r}")
            sizes[name] = size
            budget.spend(size)
        # into `tar`: no member becomes a file here
        archive.extractall(factory=_Tar(tar, sizes))  # noqa: S202 - see above
    if sizes:
        raise UnsafeArchive(f"member {min(sizes)!r} cannot be read")
    tar.write(bytes(2 * TAR_BLOCK))
    tar.flush()


def _files(members: list[ArchiveFile], limits: Limits) -> Iterator[tuple[str, int]]:
    """Yield name and size of each file; raise `UnsafeArchive` for what is none."""
    for member in members:
        name = member_name(member.filename, limits)
        size = member.uncompressed
        attributes = member.file_properties().get("attributes") or 0
        kind = stat.S_IFDIR if member.is_directory else stat.S_IFREG
        if member.st_fmt not in {None, 0, kind} or (
            attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT
        ):
            raise UnsafeArchive(f"member {name!r} is a link or a device")
        if size < 0:
            raise UnsafeArchive(f"member {name!r} has no possible size")
        if not member.is_directory:
            yield name, size
        elif not member.emptystream:
            raise UnsafeArchive("bytes that no member accounts for lie in a folder")


def _check_layout(archive: SevenZipFile, source: BinaryIO, packed_bytes: int) -> None:
    """Raise `UnsafeArchive` unless streams and header account for every byte.

    Packed streams come first, then the packed header if it is packed, then the header.
    """
    streams = getattr(archive.header, "main_streams", None)
    end = 0
    if streams is not None:
        folders = streams.unpackinfo.folders
        if streams.packinfo.packpos or len(streams.packinfo.packsizes) != len(folders):
            raise UnsafeArchive("its streams lie as this server does not know them")
        end = sum(streams.packinfo.packsizes)
        for folder, count in zip(
            folders, streams.substreamsinfo.num_unpackstreams_folders, strict=True
        ):
            sizes = [member.uncompressed for member in folder.files or ()]
            if not count == len(sizes) or sum(sizes) != folder.get_unpack_size():
                raise UnsafeArchive("it unpacks to bytes that no member accounts for")
    start, size = archive.sig_header.nextheaderofs, archive.sig_header.nextheadersize
    source.seek(SIGNATURE_HEADER + start)
    header = io.BytesIO(source.read(size))
    if header.read(1) == PROPERTY.ENCODED_HEADER:
        packed = HeaderStreamsInfo.retrieve(header).packinfo
        if packed.packpos != end or len(packed.packsizes) != 1:
            raise UnsafeArchive("bytes that no member accounts for lie before its end")
        end += packed.packsizes[0]
    if start != end:
        raise UnsafeArchive("bytes that no member accounts for lie before its end")
    if SIGNATURE_HEADER + start + size != packed_bytes:
        raise UnsafeArchive("bytes that no member accounts for lie behind its end")


class _Tar(WriterFactory):
    """Takes the members as they are unpacked, one after the other.

    `sizes` is what is still to come, by name.
    """

    def __init__(self, tar: BinaryIO, sizes: dict[str, int]) -> None:
        self.tar = tar
        self.sizes = sizes

    def create(self, filename: str) -> Py7zIO:
        return _Member(self.tar, filename, self.sizes.pop(filename))


class _Member(Py7zIO):
    """One file of the tar. It is written once and never read."""

    def __init__(self, tar: BinaryIO, name: str, size: int) -> None:
        self.tar = tar
        self.announced = size
        self.written = 0
        info = tarfile.TarInfo(name)
        info.size = size
        tar.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))

    def write(self, s: bytes | bytearray) -> int:
        self.written += len(s)
        self.tar.write(s)
        return len(s)

    def close(self) -> None:
        if self.written != self.announced:
            raise UnsafeArchive("a member is not as long as its header says")
        self.tar.write(bytes(-self.written % TAR_BLOCK))

    def seekable(self) -> bool:
        return False

    def size(self) -> int:
        return self.written

    def read(self, size: int | None = None) -> bytes:
        raise NotImplementedError

    def seek(self, offset: int, whence: int = 0) -> int:
        raise NotImplementedError

    def flush(self) -> None:
        return None
