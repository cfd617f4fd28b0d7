"""What `scan PATH` asks for: the files of a path, its kind, its name."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scanners.contract import TargetKind

# A larger document is refused by every server, and read whole for the guess.
MAX_DOCUMENT_BYTES = 32 << 20
MAX_FILES = 10_000
# What only an MCP document has at its top, and of which type.
MCP_KEYS: Mapping[str, type] = {
    "mcpServers": dict,
    "servers": dict,
    "mcp": dict,
    "tools": list,
    "prompts": list,
    "resources": list,
}


class NotScannable(ValueError):
    """A path that cannot be submitted as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file to upload under a relative POSIX name."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of every PATH; None leaves it to the server."""

    kind: TargetKind | None = None
    policy: str | None = None
    timeout_seconds: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """One scan to ask for."""

    kind: TargetKind
    target: str
    parts: tuple[Part, ...]
    options: Options = Options()


def order_for(path: Path, options: Options) -> Order:
    """Return what to submit for `path`; raise `NotScannable`."""
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise NotScannable(f"{path}: {_why(error)}") from error
    if stat.S_ISREG(mode):
        parts: tuple[Part, ...] = (Part(path.name or real.name, _readable(real)),)
        kind = options.kind or guess_kind(real)
    elif stat.S_ISDIR(mode):
        parts = tuple(_files_of(real))
        kind = options.kind or TargetKind.MODEL
        if not parts:
            raise NotScannable(f"{path}: the folder holds no file")
    else:
        raise NotScannable(f"{path}: is neither a file nor a folder")
    if kind is TargetKind.MCP and len(parts) > 1:
        raise NotScannable(f"{path}: an MCP scan takes one configuration file")
    return Order(kind, _target_name(path, real), parts, options)


def guess_kind(path: Path) -> TargetKind:
    """Tell an MCP configuration or tool list by its content, never by its name."""
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        return TargetKind.MODEL
    with path.open("rb") as file:
        if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return TargetKind.MODEL
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return TargetKind.MODEL
    if not isinstance(document, dict):
        return TargetKind.MODEL
    is_mcp = any(isinstance(document.get(key), kind) for key, kind in MCP_KEYS.items())
    return TargetKind.MCP if is_mcp else TargetKind.MODEL


def _target_name(path: Path, real: Path) -> str:
    # "." and ".." are no names; what a link is called is what its owner calls it.
    return path.name if path.name not in {"", ".", ".."} else real.name or "/"


def _files_of(top: Path) -> Iterator[Part]:
    count = 0
    for directory, folders, files in os.walk(top, onerror=_refuse):
        folders.sort()
        here = Path(directory)
        for name in [*folders, *sorted(files)]:
            path = here / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                # To follow it would upload a file from outside the folder; to leave
                # it out would pass what nobody looked at.
                raise NotScannable(
                    f"{path}: is a symbolic link, and a folder is uploaded without "
                    "following any. Name a copy of it: cp -rL FOLDER COPY"
                )
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise NotScannable(f"{path}: is neither a file nor a folder")
            count += 1
            if count > MAX_FILES:
                raise NotScannable(f"{top}: holds more than {MAX_FILES} files")
            yield Part(path.relative_to(top).as_posix(), _readable(path))


def _readable(path: Path) -> Path:
    if not os.access(path, os.R_OK):
        raise NotScannable(f"{path}: cannot be read")
    return path


def _refuse(error: OSError) -> None:
    raise NotScannable(f"{error.filename}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot be read: {reason}"
