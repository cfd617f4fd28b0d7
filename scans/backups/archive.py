"""The file format: a ZIP that any tool can list, and that only its manifest explains.

    manifest.json           what is in it, with sizes and SHA-256; written last
    tables/<name>.jsonl     one row a line, as `scans.backups.reading` gives them
    uploads.jsonl           one line a stored upload: its SHA-256, size and state
    uploads/<ab>/<sha256>   the stored bytes, where they were asked for

No name in a file is ever used as a path: members are looked up under the names that the
manifest's tables and digests must have, and one that is not among them is refused.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import orjson

from scans.backups.failures import Unreadable
from scans.backups.reading import Migrations, Row
from scans.backups.tables import Column

FORMAT, FORMAT_VERSION = "sentrascan-backup", 1
MANIFEST, UPLOADS = "manifest.json", "uploads.jsonl"
KEPT, REFERENCE, MISSING, DAMAGED = "kept", "reference", "missing", "damaged"
STATES = frozenset({KEPT, REFERENCE, MISSING, DAMAGED})
CHUNK_BYTES = 1 << 20
# Memory that a hostile file may make us take: for its manifest, for one row.
MAX_MANIFEST_BYTES, MAX_LINE_BYTES = 16 << 20, 1 << 30
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}
_TEXT = (str,)
_OWNER_ONLY = 0o100600 << 16


@dataclass(frozen=True, slots=True)
class TableEntry:
    """What the manifest says of a table; `sha256` and `size` are of its member."""

    name: str
    columns: tuple[Column, ...]
    rows: int
    size: int
    sha256: str
    last_id: int | None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Some stored bytes; `state` is one of `STATES`.

    `KEPT` and `DAMAGED` have a member; the bytes of the latter are not those that were
    submitted, and are never restored.
    """

    sha256: str
    size: int
    state: str

    @property
    def member(self) -> str:
        return f"uploads/{self.sha256[:2]}/{self.sha256}"

    @property
    def has_member(self) -> bool:
        return self.state in {KEPT, DAMAGED}

    @property
    def is_sound(self) -> bool:
        return self.state == KEPT


@dataclass(frozen=True, slots=True)
class Manifest:
    version: str
    created_at: str
    database: str
    migrations: Migrations
    tables: Mapping[str, TableEntry]
    # Size and SHA-256 of UPLOADS.
    uploads_size: int
    uploads_sha256: str

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.tables.values())


def member_of(table: str) -> str:
    return f"tables/{table}.jsonl"


# --- writing


@dataclass(slots=True)
class _Digested:
    """Counts and hashes what passes on its way into a member."""

    target: IO[bytes]
    size: int = 0
    hash: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.target.write(data)
        self.hash.update(data)
        self.size += len(data)


class ArchiveWriter:
    """Writes tables, then uploads, then the manifest; the stream need not be a file.

    A context manager: what fails in its block is left as it is, half an archive.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(stream, "w", allowZip64=True)
        self._tables: dict[str, TableEntry] = {}
        self._files: list[StoredFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # Or it would write the end of the file when it is collected.
            self._zip.fp = None

    def add_table(
        self,
        name: str,
        columns: tuple[Column, ...],
        rows: Iterator[Row],
        last_id: int | None,
    ) -> int:
        """Write all rows; return their number."""
        count = 0
        with self._member(member_of(name), zipfile.ZIP_DEFLATED) as target:
            digested = _Digested(target)
            for row in rows:
                digested.write(orjson.dumps(row) + b"\n")
                count += 1
        self._tables[name] = TableEntry(
            name, columns, count, digested.size, digested.hash.hexdigest(), last_id
        )
        return count

    def add_file(
        self, file: StoredFile, chunks: Iterator[bytes], is_sound: Callable[[], bool]
    ) -> str:
        """Write stored bytes, then ask whether they were those of their name.

        Returns the state that the archive says they are in: `KEPT` or `DAMAGED`.
        """
        with self._member(file.member, zipfile.ZIP_STORED) as target:
            for chunk in chunks:
                target.write(chunk)
        state = KEPT if is_sound() else DAMAGED
        self._files.append(replace(file, state=state))
        return state

    def mention_file(self, file: StoredFile) -> None:
        self._files.append(file)

    def finish(self, *, version: str, database: str, migrations: Migrations) -> None:
        lines = b"".join(orjson.dumps(asdict(file)) + b"\n" for file in self._files)
        with self._member(UPLOADS, zipfile.ZIP_DEFLATED) as target:
            target.write(lines)
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": version,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "database": database,
            "migrations": sorted(migrations),
            "tables": [asdict(entry) for entry in self._tables.values()],
            "uploads": {
                "size": len(lines),
                "sha256": hashlib.sha256(lines).hexdigest(),
            },
        }
        with self._member(MANIFEST, zipfile.ZIP_DEFLATED) as target:
            target.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        self._zip.close()

    def _member(self, name: str, method: int) -> IO[bytes]:
        info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
        info.compress_type = method
        info.external_attr = _OWNER_ONLY
        return self._zip.open(info, "w", force_zip64=True)


# --- reading


class ArchiveReader:
    """Reads what `ArchiveWriter` wrote, and believes nothing that it reads."""

    def __init__(self, path: Path) -> None:
        """Open the file and its manifest; raise `Unreadable` for anything else."""
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest = _manifest(self._whole(MANIFEST, MAX_MANIFEST_BYTES))
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise Unreadable(
                f"{path.name} is no backup of SentraScan, or only the beginning of one "
                f"({error})"
            ) from error

    def close(self) -> None:
        self._zip.close()

    def files(self) -> list[StoredFile]:
        """Return what the archive says of stored uploads. Raises `Unreadable`."""
        content = self._whole(UPLOADS, self.manifest.uploads_size)
        if hashlib.sha256(content).hexdigest() != self.manifest.uploads_sha256:
            raise Unreadable(f"{UPLOADS} is damaged: its checksum is another one")
        return [_stored_file(line) for line in content.splitlines()]

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a table; raise `Unreadable` before the last one is out
        where they are not the rows that were written."""
        entry = self.manifest.tables[name]
        digest, size, count = hashlib.sha256(), 0, 0
        with self._opened(member_of(name)) as source:
            # It reads like one; its own readline() takes a byte at a time.
            lines = io.BufferedReader(cast("io.RawIOBase", source), CHUNK_BYTES)
            while line := self._line(lines, name, entry.size - size):
                digest.update(line)
                size += len(line)
                count += 1
                yield _row(line, entry)
        if (size, count, digest.hexdigest()) != (entry.size, entry.rows, entry.sha256):
            raise Unreadable(f"the rows of {name} are damaged")

    def chunks(self, file: StoredFile) -> Iterator[bytes]:
        """Yield stored bytes; raise `Unreadable` after the last where they are not
        those of their name."""
        digest, size = hashlib.sha256(), 0
        with self._opened(file.member) as source:
            while chunk := _guarded(source.read, CHUNK_BYTES, file.member):
                size += len(chunk)
                if size > file.size:
                    break
                digest.update(chunk)
                yield chunk
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            raise Unreadable(f"the stored bytes {file.sha256} are damaged")

    def check_members(self, files: list[StoredFile]) -> None:
        """Raise `Unreadable` unless the members are exactly those of the manifest."""
        wanted = [MANIFEST, UPLOADS, *map(member_of, self.manifest.tables)]
        wanted += [file.member for file in files if file.has_member]
        found = self._zip.namelist()
        if sorted(found) == sorted(wanted):
            return
        strange = sorted(set(found) - set(wanted))
        lost = sorted(set(wanted) - set(found))
        what = f"{strange[0]!r} does not belong there" if strange else ""
        what = what or (f"{lost[0]!r} is missing" if lost else "a name is there twice")
        raise Unreadable(f"the archive is damaged or was changed: {what}")

    def _line(self, lines: IO[bytes], name: str, left: int) -> bytes:
        limit = min(left + 1, MAX_LINE_BYTES)
        line: bytes = _guarded(lines.readline, limit, member_of(name))
        if line and (len(line) > left or not line.endswith(b"\n")):
            raise Unreadable(f"the rows of {name} are damaged")
        return line

    def _whole(self, member: str, limit: int) -> bytes:
        with self._opened(member) as source:
            content: bytes = _guarded(source.read, limit + 1, member)
        if len(content) > limit:
            raise Unreadable(f"{member} is larger than it can be")
        return content

    def _opened(self, member: str) -> IO[bytes]:
        try:
            return self._zip.open(member)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as e:
            raise Unreadable(f"{member} is missing or damaged") from e


def _guarded(read: Any, size: int, member: str) -> Any:
    try:
        return read(size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Unreadable(f"{member} is damaged: {error}") from error


def _row(line: bytes, entry: TableEntry) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the rows of {entry.name} are damaged") from error
    if not isinstance(row, list) or len(row) != len(entry.columns):
        raise Unreadable(f"a row of {entry.name} has not its columns")
    for value, column in zip(row, entry.columns, strict=True):
        if value is not None and type(value) not in _TYPES.get(column.kind, _TEXT):
            raise Unreadable(f"{entry.name}.{column.name} has a value of another kind")
    return row


def _stored_file(line: bytes) -> StoredFile:
    try:
        file = StoredFile(**orjson.loads(line))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise Unreadable(f"{UPLOADS} is damaged") from error
    is_sound = isinstance(file.sha256, str) and _SHA256.fullmatch(file.sha256)
    if not is_sound or not isinstance(file.size, int) or file.state not in STATES:
        raise Unreadable(f"{UPLOADS} names what can be no stored upload")
    return file


def _manifest(content: bytes) -> Manifest:
    try:
        document = orjson.loads(content)
        if document["format"] != FORMAT:
            raise Unreadable(f"it says that it is {document['format']!r}")
        if document["format_version"] != FORMAT_VERSION:
            raise Unreadable(
                f"its format is {document['format_version']}, and this version reads "
                f"{FORMAT_VERSION}: update first"
            )
        entries = [_entry(one) for one in document["tables"]]
        return Manifest(
            version=str(document["version"]),
            created_at=str(document["created_at"]),
            database=str(document["database"]),
            migrations=frozenset((str(a), str(b)) for a, b in document["migrations"]),
            tables={entry.name: entry for entry in entries},
            uploads_size=int(document["uploads"]["size"]),
            uploads_sha256=str(document["uploads"]["sha256"]),
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
        raise Unreadable("its manifest is damaged") from error


def _entry(document: Any) -> TableEntry:
    columns = tuple(Column(str(c["name"]), str(c["kind"])) for c in document["columns"])
    last = document["last_id"]
    return TableEntry(
        name=str(document["name"]),
        columns=columns,
        rows=int(document["rows"]),
        size=int(document["size"]),
        sha256=str(document["sha256"]),
        last_id=None if last is None else int(last),
    )
