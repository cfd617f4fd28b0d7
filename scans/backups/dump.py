"""A plain dump of `pg_dump`, read as data: not one of its statements is run.

What a dump says in SQL is what our own migrations make; only its rows, the numbers of
its sequences and the names of its migrations are taken. So it can be restored into
SQLite too, and a dump that somebody wrote things into can only bring rows.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from scans.backups.archive import MAX_LINE_BYTES, StoredFile
from scans.backups.failures import Unreadable
from scans.backups.reading import Migrations, Row
from scans.backups.tables import LEFT_OUT, Column, tables_of
from scans.backups.taking import Watch, models_at

_GZIP, _CUSTOM = b"\x1f\x8b", b"PGDMP"
_HEAD, _HEAD_BYTES = b"-- PostgreSQL database dump\n", 1024
_COPY = re.compile(rb'COPY public\.("?)(\w+)\1 \((.*)\) FROM stdin;\n')
_ANY_COPY = re.compile(rb"COPY .* FROM stdin;\n")
_VERSION = re.compile(rb"-- Dumped (from database|by pg_dump) version ((\d+)\S*)")
_IDENTITY = re.compile(
    rb'ALTER TABLE public\."?(\w+)"? ALTER COLUMN .* ADD GENERATED .* AS IDENTITY \(\n'
)
_SEQUENCE = re.compile(rb'    SEQUENCE NAME public\."?(\w+)"?\n')
_SETVAL = re.compile(
    rb"SELECT pg_catalog\.setval\('public\.\"?(\w+)\"?', (\d+), (true|false)\);\n"
)
_ENCODING = re.compile(rb"SET client_encoding = '(.*)';\n")
_COMPLETE = b"-- PostgreSQL database dump complete\n"
_END_OF_ROWS = b"\\.\n"
LINES_AT_ONCE = 1_000
# The new database has migrations of its own: those that the dump names, made again.
_MIGRATIONS = "django_migrations"
_NOT_TAKEN = LEFT_OUT | {_MIGRATIONS}


def is_dump(path: Path) -> bool:
    """Tell whether a file is for `Dump`; raise `Unreadable` for pg_dump's own kinds."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_CUSTOM):
        raise Unreadable(
            f"{path.name} is in a format of pg_dump's own: `pg_restore -f` makes a "
            "plain dump of it"
        )
    return head.startswith(_GZIP) or _HEAD in head


@dataclass(slots=True)
class _Seen:
    """What stands in a dump beside its rows."""

    is_headed: bool = False
    is_complete: bool = False
    versions: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    owners: dict[bytes, str] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)
    # Sequences whose table was told nowhere.
    strays: list[str] = field(default_factory=list)
    _table: bytes = b""

    def look(self, line: bytes) -> None:
        """Take what a line outside of rows tells. Raises `Unreadable`."""
        if line == _HEAD:
            self.is_headed = True
        elif line == _COMPLETE:
            self.is_complete = True
        elif found := _VERSION.match(line):
            self.versions[found[1]] = found[2].decode(), int(found[3])
        elif found := _IDENTITY.fullmatch(line):
            self._table = found[1]
        elif found := _SEQUENCE.fullmatch(line):
            self.owners[found[1]] = self._table.decode()
        elif found := _SETVAL.fullmatch(line):
            if found[1] not in self.owners:
                self.strays.append(found[1].decode())
            elif found[3] == b"true":
                self.last_ids[self.owners[found[1]]] = int(found[2])
        elif line.startswith(b"INSERT INTO "):
            raise Unreadable("it was made with --inserts; leave that away")
        elif (found := _ENCODING.fullmatch(line)) and found[1] != b"UTF8":
            raise Unreadable("it is not in UTF-8; --encoding=UTF8 makes it so")

    def check(self) -> None:
        """Raise `Unreadable` unless this was all of a dump that can be believed."""
        if not self.is_headed:
            raise Unreadable("it is no plain dump by pg_dump")
        if not self.is_complete:
            raise Unreadable("it is only the beginning of a dump")
        if self.strays:
            raise Unreadable(
                f"it does not say whose numbers {self.strays[0]} counts: a dump of the "
                "data alone"
            )
        server, dumper = map(self.versions.get, (b"from database", b"by pg_dump"))
        if server is None or dumper is None:
            raise Unreadable("it does not say which pg_dump made it")
        if dumper[1] < server[1]:
            raise Unreadable(
                f"it was made by pg_dump {dumper[0]}, which is older than its server "
                f"({server[0]}) and may have left things out"
            )


class Dump:
    """A `Source` out of a plain dump; `.sql` or, packed, `.sql.gz`."""

    vendor = "postgresql"

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, _Seen()
        self._names: dict[str, tuple[str, ...]] = {}
        self._kinds: dict[str, dict[str, str]] = {}
        self.migrations: Migrations = frozenset()
        self.counts: Mapping[str, int] = {}

    def describe(self) -> str:
        server = self._seen.versions[b"from database"][0]
        return f"a plain dump of a PostgreSQL {server}"

    def examine(self, watch: Watch) -> None:
        """Read all of it, and make every row of it once. Raises `Unreadable`."""
        watch.begin("Checking the dump", 2 * self._path.stat().st_size, "bytes")
        counts, migrations = {}, set()
        for name, lines in self._sections(watch.moved, self._seen):
            count = 0
            for line in lines:
                count += 1
                if name == _MIGRATIONS:
                    migrations.add(self._migration(line))
            counts[name] = count
        self._seen.check()
        self.migrations = frozenset(migrations)
        tables = tables_of(models_at(self.migrations))
        self._kinds = {
            name: {one.name: one.kind for one in table.columns}
            for name, table in tables.items()
        }
        self.counts = {n: count for n, count in counts.items() if n not in _NOT_TAKEN}
        if strange := sorted(self.counts.keys() - tables.keys()):
            raise Unreadable(
                f"the table {strange[0]} is none of ours; --exclude-table leaves it out"
            )
        for _, rows in self._tables(watch.moved):
            for _ in rows:
                pass

    def columns(self, table: str) -> tuple[Column, ...]:
        kinds = self._kinds[table]
        return tuple(Column(n, kinds.get(n, "unknown")) for n in self._names[table])

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        return self._tables(lambda _: None)

    def last_id(self, table: str) -> int | None:
        return self._seen.last_ids.get(table)

    def files(self) -> list[StoredFile]:
        return []

    def chunks(self, file: StoredFile) -> Iterator[bytes]:
        raise Unreadable(f"a dump holds no stored bytes: {file.sha256}")

    def close(self) -> None:
        """Do nothing: each reading opens and closes the file."""

    def _migration(self, line: bytes) -> tuple[str, str]:
        names = self._names[_MIGRATIONS]
        try:
            values = dict(zip(names, _fields(line), strict=True))
            return str(values["app"]), str(values["name"])
        except (KeyError, ValueError) as error:
            raise Unreadable("its migrations cannot be read") from error

    def _tables(
        self, moved: Callable[[int], None]
    ) -> Iterator[tuple[str, Iterator[Row]]]:
        for name, lines in self._sections(moved, _Seen()):
            if name not in _NOT_TAKEN:
                yield name, _rows(name, self.columns(name), lines)

    def _sections(
        self, moved: Callable[[int], None], seen: _Seen
    ) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each table with the lines of its rows; `seen` sees all other lines."""
        with closing(_lines(self._path, moved)) as lines:
            for line in lines:
                if found := _COPY.fullmatch(line):
                    name = found[2].decode()
                    names = found[3].decode().split(", ")
                    self._names[name] = tuple(one.strip('"') for one in names)
                    section = _section(lines)
                    yield name, section
                    for _ in section:  # whoever did not want it
                        pass
                elif _ANY_COPY.fullmatch(line):
                    raise Unreadable("it holds tables of another schema than public")
                else:
                    seen.look(line)


def _section(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        if line == _END_OF_ROWS:
            return
        yield line
    raise Unreadable("it is only the beginning of a dump")


def _lines(path: Path, moved: Callable[[int], None]) -> Generator[bytes]:
    """Yield the lines of a file, unpacked; `moved` is told of the file's own bytes."""
    with path.open("rb") as raw, _unpacked(raw, path) as stream:
        place, count = 0, 0
        while line := stream.readline(MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                raise Unreadable("it is only the beginning of a dump")
            yield line
            count += 1
            if count % LINES_AT_ONCE == 0:
                moved(raw.tell() - place)
                place = raw.tell()
        moved(raw.tell() - place)


@contextmanager
def _unpacked(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    is_packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    if not is_packed:
        yield raw
        return
    try:
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream  # type: ignore[misc] # typeshed has it as no IO[bytes]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unreadable(f"{path.name} is damaged: {error}") from error


# --- rows: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _fields(line: bytes) -> Iterator[str | None]:
    for text in line.decode().removesuffix("\n").split("\t"):
        if text == r"\N":
            yield None
        elif "\\" in text:
            yield _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), text)
        else:
            yield text


def _rows(
    name: str, columns: tuple[Column, ...], lines: Iterator[bytes]
) -> Iterator[Row]:
    ways = [_FROM_TEXT.get(column.kind, str) for column in columns]
    for line in lines:
        try:
            yield [
                None if text is None else convert(text)
                for text, convert in zip(_fields(line), ways, strict=True)
            ]
        except (ValueError, KeyError) as error:
            raise Unreadable(f"a row of {name} cannot be read: {error}") from error


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"


def _host(text: str) -> str:
    return text.partition("/")[0]


def _hexadecimal(text: str) -> str:
    return bytes.fromhex(text.removeprefix("\\x")).hex()


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": {"t": True, "f": False}.__getitem__,
    "time": _moment,
    "ip": _host,
    "bytes": _hexadecimal,
}
