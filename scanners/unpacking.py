"""Unpacks a submitted archive: here, or where its decoder can do no harm.

Zip and tar are read here, by the standard library over its zlib, bz2 and lzma. The
decoders of 7z are more native code than one wants to feed hostile bytes, and take as
much memory as the archive asks for. They run in the sandbox, where the archive is the
only file, and answer with a plain tar; that is then unpacked with the distrust that
every submitted tar meets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from scanners import archives, runner
from scanners.archives import RATIO_FREE_BYTES, REFUSED_EXIT, UnsafeArchive
from scanners.contract import Completed, Limits, ScannerError
from scanners.install import own
from scanners.placement import Checkpoint
from scanners.runner import Reach
from scanners.sandbox import Job, Rung
from scanners.scratch import Scratch

PROGRAM = "scanners.seven_zip:main"
CHECK_SECONDS = 0.1
MEMORY_BYTES = 2 << 30
LONGEST_SECONDS = 24 * 3600  # the caller's checkpoint ends it long before
SAID_BYTES = 4096  # of its reason that are read
TAR_BYTES_PER_MEMBER = 4096  # headers and padding


def unpack(
    source: BinaryIO,
    name: str,
    root: Path,
    run_dir: Path,
    *,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> list[str]:
    """Unpack below `root` and return the relative names of the files.

    `source` is an open file. `rung` is the sandbox to use, None where there is none
    that is good enough. Raises `UnsafeArchive`; `root` may then hold a part.
    """
    if not name.lower().endswith(".7z"):
        return archives.unpack(source, name, root, limits, checkpoint)
    packed = os.fstat(source.fileno()).st_size
    with closing(_as_tar(source, packed, run_dir, limits, checkpoint, rung)) as tar:
        return archives.unpack(
            tar, "unpacked.tar", root, limits, checkpoint, packed_bytes=packed
        )


def _as_tar(
    source: BinaryIO,
    packed: int,
    run_dir: Path,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> BinaryIO:
    """Return an open tar of what `source` holds. Raises `UnsafeArchive`.

    The tar has no name any more: it is gone when it is closed.
    """
    if rung is None:
        raise UnsafeArchive("this server has no sandbox to unpack it in")
    answer = run_dir / "unpacked.tar"
    stop = Event()
    # The caller's checkpoint is called where it always is, in the caller's thread.
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            running = pool.submit(
                _run, source, answer, limits, _confines(limits, packed), rung, stop
            )
            while not wait([running], timeout=CHECK_SECONDS).done:
                checkpoint()
            _check(running.result())
            return answer.open("rb")
        except ScannerError as error:
            raise UnsafeArchive(str(error)) from error
        finally:
            stop.set()
            wait([running])
            answer.unlink(missing_ok=True)


def _run(
    source: BinaryIO,
    answer: Path,
    limits: archives.Limits,
    confines: Limits,
    rung: Rung,
    stop: Event,
) -> Completed:
    """Run the decoder on `source`; its output becomes the file `answer`.

    Raises `ScannerError`, `ScanStopped`.
    """

    def supervise(
        job: Job, environment: Mapping[str, str], scratch: Scratch, stop: Event
    ) -> dict[str, Any]:
        job.source = source.fileno()
        result = runner.in_new_process(job, environment, scratch, stop)
        if result["outcome"] == "exited":
            # whoever reads the streams holds them in memory
            scratch.out.rename(answer)
            scratch.out.touch()
            os.truncate(scratch.err, min(scratch.err.stat().st_size, SAID_BYTES))
        return result

    tool = own("7z")
    return runner.execute(
        [*runner.start(tool.python), PROGRAM, *map(str, astuple(limits))],
        name="unpacking it",
        limits=confines,
        rung=rung,
        run_dir=answer.parent,
        reach=Reach(readable=tool.readable, python=tool.python),
        environment={},
        files={},
        outputs=(),
        stop=stop,
        supervise=supervise,
    )


def _check(completed: Completed) -> None:
    """Raise `UnsafeArchive` unless the decoder came to its end."""
    if completed.exit_code == 0:
        return
    if completed.exit_code == REFUSED_EXIT and completed.stderr:
        said = completed.stderr.decode(errors="replace")
        raise UnsafeArchive(archives.printable(said))
    raise UnsafeArchive(f"unpacking it broke off with exit code {completed.exit_code}")


def _confines(limits: archives.Limits, packed: int) -> Limits:
    most = min(limits.total_bytes, max(RATIO_FREE_BYTES, packed * limits.ratio))
    most += (limits.members + 1) * TAR_BYTES_PER_MEMBER
    return Limits(
        wall_seconds=LONGEST_SECONDS,
        cpu_seconds=LONGEST_SECONDS,
        memory_bytes=MEMORY_BYTES,
        file_bytes=most,
        output_bytes=most,
        processes=4,
    )
