"""The private directory of one run: laid out before, read with distrust after, removed.

What a tool leaves there is hostile: links out of it, pipes that nobody writes to,
folders closed to their owner, trees deeper than a path can name.
"""

# pathlib knows no descriptors
# ruff: noqa: PTH101, PTH208

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path, PurePosixPath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# An open of a pipe must not wait for a writer; one of a device must not act.
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class UnsafeOutputError(Exception):
    """What a tool left is no plain file, or too big; the text says which."""


class Scratch:
    """`root/scratch` is the tool's; its streams lie beside it, out of its reach.

    `uid` owns the scratch, 0 for our own.
    """

    def __init__(self, run_dir: Path, uid: int) -> None:
        self.uid = uid
        # resolved: the sandbox knows this one name of it only
        self.root = Path(tempfile.mkdtemp(prefix="run-", dir=run_dir)).resolve()
        self.path = self.root / "scratch"
        self.out = self.root / "out"
        self.err = self.root / "err"
        self.log = self.root / "supervisor"
        self.path.mkdir(mode=0o700)
        self._give(self.path)

    def write(self, name: str, content: bytes) -> None:
        """Write a file that the tool will find. `name` is ours, not the target's."""
        folder = self.path
        *folders, file = _parts(name)
        for each in folders:
            folder /= each
            folder.mkdir(mode=0o700, exist_ok=True)
            self._give(folder)
        (folder / file).write_bytes(content)
        self._give(folder / file)

    def _give(self, path: Path) -> None:
        if self.uid:
            os.chown(path, self.uid, self.uid)

    def read(self, name: str, most: int) -> bytes | None:
        """Return the file `name` of scratch, None if it is not there.

        Every step is taken by descriptor and follows no link. Raises
        `UnsafeOutputError`.
        """
        *folders, file = _parts(name)
        opened = os.open(self.path, _FOLDER)
        try:
            for each in folders:
                inner = os.open(each, _FOLDER, dir_fd=opened)
                os.close(opened)
                opened = inner
            return read_plain(file, most, folder=opened)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnsafeOutputError(f"left {name!r} as no plain file") from error
        finally:
            os.close(opened)

    def remove(self) -> None:
        """Remove it all. No process of the tool may be left. Raises `OSError`."""
        opened = os.open(self.root, _FOLDER)
        try:
            while _flatten(opened):
                pass
        finally:
            os.close(opened)
        self.root.rmdir()


def read_plain(name: str | Path, most: int, *, folder: int | None = None) -> bytes:
    """Return a regular file of at most `most` bytes.

    Raises `UnsafeOutputError` for any other, `OSError` for what cannot be opened.
    """
    opened = os.open(name, _PLAIN, dir_fd=folder)
    with os.fdopen(opened, "rb") as file:
        facts = os.fstat(opened)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeOutputError(f"left {str(name)!r} as no plain file")
        # a read takes the memory for all that it asks for, however little there is
        content = file.read(min(most, facts.st_size) + 1)
    if len(content) > most:
        raise UnsafeOutputError(f"wrote more than {most >> 20} MB")
    return content


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"{name!r} is no name inside a scratch directory")
    return parts


def _flatten(top: int) -> bool:
    """Remove the files in `top`, and its folders after moving theirs up into `top`.

    Returns whether anything is left. Needs two descriptors, however deep the tree is.
    """
    is_left = False
    for name in os.listdir(top):
        if not _is_folder(top, name):
            os.unlink(name, dir_fd=top)
            continue
        inner = _open_folder(top, name)
        try:
            for each in os.listdir(inner):
                if not _is_folder(inner, each):
                    os.unlink(each, dir_fd=inner)
                    continue
                is_left = True
                os.close(_open_folder(inner, each))  # only what is open can be moved
                above = secrets.token_hex(16)
                os.rename(each, above, src_dir_fd=inner, dst_dir_fd=top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)
    return is_left


def _is_folder(folder: int, name: str) -> bool:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return stat.S_ISDIR(facts.st_mode)


def _open_folder(folder: int, name: str) -> int:
    """Open a folder even if it is closed to its owner, never what a link points to."""
    held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{held}", 0o700)
        return os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(held)
