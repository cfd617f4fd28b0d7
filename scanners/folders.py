"""The files of a folder, and the one digest that stands for all of them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import rfc8785

from scanners import placement
from scanners.placement import safe_name


class Unlisted(Exception):
    """A folder holds what no scan would have looked at; the message names it."""


def listing_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of the RFC 8785 list of (relative path, SHA-256)."""
    listing = [[_text(path), digest] for path, digest in sorted(files)]
    return hashlib.sha256(rfc8785.dumps(listing)).hexdigest()


def digests_in(top: Path) -> list[tuple[str, str]]:
    """Return (relative path, SHA-256) of all files; raise `Unlisted`."""
    found = []
    for name, opened in walk(top):
        if isinstance(opened, str):
            raise Unlisted(f"{name}: {opened}")
        with os.fdopen(opened, "rb") as file:
            found.append((name, placement.digest(file, _uncounted)[0]))
    return found


def _uncounted(moved: int = 0, /) -> None:
    """Nobody waits for these bytes."""


def _text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def walk(top: Path) -> Iterator[tuple[str, int | str]]:
    """Yield (relative name, open descriptor or why not), in order of name.

    Every step is taken relative to an open directory and refuses links, so that a
    link put in place while we walk leads nowhere.
    """
    closed: list[OSError] = []
    for base, directories, names, descriptor in os.fwalk(
        top, follow_symlinks=False, onerror=closed.append
    ):
        directories.sort()
        inside = Path(base).relative_to(top)
        for name in sorted(directories):
            if stat.S_ISLNK(
                os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            ):
                yield str(inside / name), "it is a link, and links are not followed"
        for name in sorted(names):
            relative = str(inside / name)
            try:
                yield safe_name(relative), _open_at(name, descriptor)
            except (OSError, ValueError) as error:
                reason = str(error) if isinstance(error, ValueError) else _why(error)
                yield relative, reason
    for refusal in closed:
        yield str(Path(refusal.filename).relative_to(top)), _why(refusal)


def _open_at(name: str, directory: int) -> int:
    opened = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory
    )
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise ValueError("it is not a regular file")
    return opened


def _why(error: OSError) -> str:
    # ELOOP is what O_NOFOLLOW answers for a link.
    if error.errno == errno.ELOOP:
        return "it is a link, and links are not followed"
    return f"it cannot be read: {error.strerror}"
