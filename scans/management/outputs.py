"""Where a command's document goes: standard output, or a file that is whole or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from apikeys.management.command import UsageError


def check(output: Path | None) -> None:
    """Refuse before the work, not after it, a place that cannot be written."""
    if output is None:
        return
    folder = output.parent
    if output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--output {output}: cannot be written")


def write(output: Path | None, document: bytes) -> None:
    """Put the whole document there at once: no reader meets half of it."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
        return
    if output.exists() and not output.is_file():  # /dev/stdout, a pipe
        output.write_bytes(document)
        return
    with NamedTemporaryFile(
        dir=output.parent, prefix=f".{output.name}.", suffix=".partial", delete=False
    ) as draft:
        draft.write(document)
    mask = os.umask(0)
    os.umask(mask)
    Path(draft.name).chmod(0o666 & ~mask)
    Path(draft.name).replace(output)
