"""A tool sees the stored file itself, and still cannot change what is stored.

Its view is read-only (bubblewrap, Landlock), the file has lost its write permission,
and no system call gives it back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from scanners import landlock, placement
from scanners.contract import Command, Target
from scanners.hosts import Hosts
from scanners.sandbox import Rung
from scans import pipeline, retention, storage
from scans.models import Scan, Upload, worker_name
from scans.sandboxing import ChosenRung
from tests.scanners.standin import need, wait_for
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_in_thread, run_now

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PROJECT = Path(__file__).parents[2]
BYTES = b"weights of somebody's model"

# Each way to alter a file that one may read; what gives way is a finding.
VANDAL = """
import ctypes, fcntl, mmap, os, sys
path = {path!r}
words = [] if open(path, 'rb').read() == {content!r} else ['UNREAD']
words.append('NAMES%d' % os.stat(path).st_nlink)
words.append('WARM' if 'scanners.warm_host' in sys.modules else 'COLD')
held = os.open(path, os.O_RDONLY)

def reopened():
    os.write(os.open('/proc/self/fd/%d' % held, os.O_WRONLY), b'was here')

def linked():
    os.link(path, 'mine')
    os.write(os.open('mine', os.O_WRONLY), b'was here')

def symlinked():
    os.symlink(path, 'mine too')
    os.write(os.open('mine too', os.O_WRONLY), b'was here')

def mapped():
    mmap.mmap(held, 4, mmap.MAP_SHARED, mmap.PROT_WRITE)[:4] = b'here'

def cut():
    if ctypes.CDLL(None, use_errno=True).truncate(path.encode(), 3):
        raise OSError(ctypes.get_errno(), 'refused')

ways = dict(
    mode=lambda: os.chmod(path, 0o666),
    time=lambda: os.utime(path, (1, 1)),
    attribute=lambda: os.setxattr(path, 'user.was', b'here'),
    write=lambda: os.write(os.open(path, os.O_WRONLY), b'was here'),
    append=lambda: os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b'was here'),
    cut_by_reading=lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
    cut=cut,
    cut_open=lambda: os.ftruncate(held, 0),
    reopened=reopened,
    linked=linked,
    symlinked=symlinked,
    leased=lambda: fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_RDLCK),
    mapped=mapped,
    moved=lambda: os.rename(path, 'taken'),
    removed=lambda: os.unlink(path),
)
for name, way in ways.items():
    try:
        way()
    except (OSError, ValueError):
        continue
    # chmod and utime say that they did, and did nothing
    if name not in ('mode', 'time'):
        words.append(name.upper())
print('words:', *words)
"""


def path_in(target: Target) -> str:
    # a host asks for its tool's environment with a target that has no element
    return str(target.root.joinpath(*(each.path for each in target.elements)))


class Vandal(stand_ins.StandIn):
    name = "vandal"

    def command(self, target: Any) -> Command:
        code = VANDAL.format(path=path_in(target), content=BYTES)
        return Command(("-n", "1", "-r", "1", f"exec({code!r}, {{}})"))


class Waiter(stand_ins.StandIn):
    """Reads its target when it has lost its other name."""

    name = "waiter"

    def command(self, target: Any) -> Command:
        wait = (
            "import os, time\n"
            "while os.stat({path!r}).st_nlink > 1: time.sleep(0.05)\n"
            "same = open({path!r}, 'rb').read() == {content!r}\n"
            "print('words:', 'SAME' if same else 'OTHER')"
        )
        return Command(
            ("-n", "1", "-r", "1", wait.format(path=path_in(target), content=BYTES))
        )


@pytest.fixture(autouse=True)
def places(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.UPLOAD_DIR, settings.RUN_DIR = tmp_path / "uploads", tmp_path / "runs"
    settings.HOSTS_DIR = tmp_path / "hosts"
    tmp_path.chmod(0o755)
    monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)


def use(monkeypatch: pytest.MonkeyPatch, rung: Rung, scanner: Any) -> None:
    chosen = ChosenRung(need(rung), is_required=False)
    monkeypatch.setattr(pipeline, "chosen_rung", lambda: chosen)
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [scanner])


@contextmanager
def host_of(scanner: Any, rung: Rung, settings: Any) -> Iterator[None]:
    """Have the scans of this process done by a warm host."""
    place = settings.HOSTS_DIR / worker_name(os.getpid())
    tool = stand_ins.own_tool(scanner.name, settings.SCANNERS_DIR)
    hosts = Hosts(place, [scanner], lambda name: tool, rung)
    hosts.start()
    try:
        assert wait_for(hosts.processes), hosts.states()
        yield
    finally:
        hosts.stop()


@pytest.mark.parametrize("start", ["COLD", "WARM"])
@pytest.mark.parametrize("rung", list(Rung), ids=str)
def test_a_tool_cannot_change_the_stored_bytes_that_it_sees(
    monkeypatch: pytest.MonkeyPatch, settings: Any, rung: Rung, start: str
) -> None:
    vandal = Vandal()
    use(monkeypatch, rung, vandal)
    scan = queued_scan({"m.bin": BYTES})
    path = storage.path_of(scan.files.get().upload.sha256)
    written = path.stat().st_mtime_ns
    with host_of(vandal, rung, settings) if start == "WARM" else nullcontext():
        scan = run_now(scan)
    said = {each.title.removeprefix("Found ") for each in scan.findings.all()}
    if rung is Rung.RLIMITS:
        # every file of the account is within reach there: this one is a copy
        assert said >= {"NAMES1", start}
    else:
        assert said == {"NAMES2", start}, scan.runs.get().error
    assert path.read_bytes() == BYTES
    facts = path.stat()
    assert (facts.st_nlink, facts.st_mtime_ns) == (1, written)
    assert not facts.st_mode & 0o222 or rung is Rung.RLIMITS


OLDER_KERNEL = """
import os, sys
from scanners import landlock, sandbox
landlock.abi = lambda: {abi}
job = sandbox.Job([])
job.rung, job.target, job.scratch = 'landlock', {target!r}, {scratch!r}
job.readable = [sys.base_prefix]
os.chdir(job.scratch)
sandbox.restrict(job)
"""


@pytest.mark.parametrize("abi", [1, 2, 3, 5])
def test_nor_on_a_kernel_whose_landlock_knows_less(tmp_path: Path, abi: int) -> None:
    """Before its version 3 Landlock does not see that an opening cuts the file."""
    if landlock.abi() < abi:
        pytest.skip("this kernel's Landlock is older")
    stored, target, scratch = (tmp_path / each for each in ("stored", "target", "own"))
    target.mkdir()
    scratch.mkdir()
    stored.write_bytes(BYTES)
    stored.chmod(0o600)
    assert placement.link(stored, target / "m.bin")
    code = OLDER_KERNEL.format(abi=abi, target=str(target), scratch=str(scratch))
    code += VANDAL.format(path=str(target / "m.bin"), content=BYTES)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.stdout == "words: NAMES2 COLD\n", done.stderr
    assert stored.read_bytes() == BYTES


def test_what_changed_in_the_store_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last rung keeps no tool from the files of its account, the store included."""
    use(monkeypatch, need(Rung.RLIMITS), stand_ins.StandIn())
    scan = queued_scan({"m.bin": BYTES})
    storage.path_of(scan.files.get().upload.sha256).write_bytes(b"harmless")
    scan = run_now(scan)
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")
    [reason] = scan.detail.reasons
    assert "m.bin are not those submitted" in reason


def test_bytes_that_are_removed_during_a_scan_are_scanned_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, Rung.LANDLOCK, Waiter())
    scan = queued_scan({"m.bin": BYTES})
    path = storage.path_of(scan.files.get().upload.sha256)
    worker = run_in_thread(scan)
    try:
        assert wait_for(
            lambda: Scan.objects.filter(pk=scan.pk, progress_stage="scan").exists()
        )
        scan.files.all().delete()
        Upload.objects.update(last_used_at=timezone.now() - timedelta(hours=1))
        assert retention.sweep(grace=timedelta(minutes=5)).uploads == 1
        assert not path.exists()
    finally:
        worker.join(timeout=60)
    [finding] = scan.findings.all()
    assert finding.title == "Found SAME"
