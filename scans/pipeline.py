"""The life of one scan in the worker, told from top to bottom."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from scanners import hosts, runner
from scanners.archives import Limits as ArchiveLimits
from scanners.archives import is_archive_name
from scanners.contract import (
    Scanner,
    ScannerError,
    ScannerTimeout,
    ScanStopped,
    Target,
    TargetKind,
)
from scanners.install import installed
from scanners.redaction import mask, secrets_of
from scanners.registry import scanners_for
from scanners.sandbox import Rung
from scanners.workspace import (
    StoredFile,
    WorkspaceError,
    from_document,
    from_path,
    from_uploads,
    inside_roots,
)
from scans import fetching, mcp_targets, recording, reuse, rulesets, storage, warmth
from scans.choices import RunStatus
from scans.coverage import Outcome
from scans.lease import Heartbeat
from scans.models import Lease, Scan
from scans.progress import AtWork, Meter
from scans.sandboxing import chosen_rung
from scans.sealing import KeyLost

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
NOT_REQUESTED = "it was not requested"


def run(scan_id: uuid.UUID, *, owner: str) -> None:
    """Claim the scan, fetch its target, run its scanners, judge and record, in order.

    Does nothing when the scan is not queued any more: duplicated messages are normal.
    """
    lease = Scan.objects.claim(scan_id, owner=owner, seconds=settings.LEASE_SECONDS)
    if lease is None:
        logger.info("Scan %s is not queued any more", scan_id)
        return
    at_work = AtWork(lease)
    with Heartbeat(lease, at_work.tell) as heartbeat:
        try:
            examine(lease, heartbeat.stop, at_work)
        except ScanStopped:
            logger.info("Scan %s was ended meanwhile; its results are dropped", scan_id)
        except WorkspaceError as error:
            recording.fail(lease, f"The target could not be had: {error}")
        except KeyLost as error:
            recording.fail(lease, str(error))
        except (OperationalError, InterfaceError) as error:
            # Of no fault of the scan. Its lease runs out, and the reaper takes it back.
            reason = " ".join(str(error).split())
            message = "Scan %s: the database went away; the scan runs again: %s"
            logger.error(message, scan_id, reason)
        except Exception:  # nobody above can tell the client; the trace goes to the log
            recording.fail(lease, "SentraScan itself failed; its log says why")
            raise


def examine(lease: Lease, stop: threading.Event, at_work: AtWork) -> None:
    """Everything between the claim and the verdict."""
    scan = Scan.objects.select_related("detail", "policy").get(pk=lease.scan_id)
    # W3C Trace Context: version, trace id, parent id, flags.
    trace = scan.detail.traceparent.split("-")[1:2]
    extra = {"trace_id": trace[0]} if trace else {}
    logger.info("Scan %s begins, attempt %s", scan.pk, lease.attempt, extra=extra)
    options = scan.detail.options
    seconds = options.get("timeout_seconds") or settings.SCAN_TIMEOUT_SECONDS
    deadline = time.monotonic() + seconds
    rules = rulesets.of_this_process()
    with run_directory(lease) as directory:
        target = fetch(scan, directory, Meter(lease, stop, deadline), stop, deadline)
        fitting = [s for s in scanners_for(target.kind) if s.fits(target)]
        chosen, left_out = choose(fitting, options.get("scanners"))
        Scan.objects.report_scanning(lease, seconds=seconds)
        turns = reuse.prepare(
            lease,
            chosen,
            target,
            is_fresh=bool(options.get("fresh")),
            stop=stop,
            deadline=deadline,
        )
        to_run = [scanner for scanner in chosen if scanner.name not in turns.known]
        at_work.note(dict.fromkeys(turns.known, "completed"))
        outcomes = run_scanners(to_run, target, directory, stop, deadline, at_work)
        outcomes = reuse.keyed(outcomes, turns, to_run, target)
        outcomes += turns.known.values()
        outcomes.sort(key=lambda outcome: outcome.scanner)
        outcomes += left_out
    if stop.is_set():
        raise ScanStopped
    say_what_failed(scan, target, outcomes)
    # Rules that changed meanwhile: nobody can say by which of them it was judged.
    if rules != rulesets.of_this_process():
        rules = ""
    record = partial(recording.record, lease, scan, target, outcomes, rules=rules)
    keep_trying(record, scan, stop)


def keep_trying(record: Callable[[], None], scan: Scan, stop: threading.Event) -> None:
    """Record; try again for as long as a lease lasts when the database goes away.

    What the tools said may have taken minutes, and a restart of the database meanwhile
    has cut our connection. The lease makes a second try safe: where the first was
    committed after all, the scan is not ours to finish any more.
    """
    ends_at = time.monotonic() + settings.LEASE_SECONDS
    while True:
        try:
            record()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            reason = " ".join(str(error).split())
            logger.warning("Scan %s cannot be recorded yet: %s", scan.pk, reason)
            if stop.wait(AGAIN_SECONDS) or time.monotonic() > ends_at:
                raise
        else:
            return


def say_what_failed(scan: Scan, target: Target, outcomes: Sequence[Outcome]) -> None:
    """Log each turn without a result. What a tool said may quote what it was given."""
    failed = [each for each in outcomes if each.status != RunStatus.COMPLETED]
    secrets = secrets_of(target.document or {}) if failed else frozenset()
    for outcome in failed:
        reason = mask(outcome.reason, secrets)
        message = "%s did not complete in scan %s: %s"
        logger.warning(message, outcome.scanner, scan.pk, reason)


@contextmanager
def run_directory(lease: Lease) -> Iterator[Path]:
    """A private directory for one attempt, gone afterwards."""
    runs = Path(settings.RUN_DIR)
    prefix = f"{lease.scan_id}.{lease.attempt}."
    try:
        runs.mkdir(parents=True, exist_ok=True, mode=0o711)
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=runs))
    except OSError as error:
        raise WorkspaceError(f"there is no room for it: {error.strerror}") from error
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def fetch(
    scan: Scan,
    directory: Path,
    meter: Meter,
    stop: threading.Event,
    deadline: float,
) -> Target:
    """Make the source a local target; raise `WorkspaceError` or `ScanStopped`."""
    limits = ArchiveLimits(total_bytes=settings.MAX_UPLOAD_BYTES)
    rung = chosen_rung()
    lay_out = partial(from_uploads, limits=limits, checkpoint=meter, rung=rung.usable)
    files = stored_files(scan)
    if TargetKind(scan.scan_type) is TargetKind.MCP:
        return _fetch_mcp(scan, files, directory, lay_out, stop, deadline)
    if source := scan.detail.options.get("source"):
        return fetch_source(source, directory, meter, limits, rung.usable)
    if not files:
        raise WorkspaceError("the submitted bytes have been removed")
    meter.expect(expected_bytes(files))
    return lay_out(files, directory, may_link=rung.guards_files)


def fetch_source(
    source: str,
    directory: Path,
    meter: Meter,
    limits: ArchiveLimits,
    rung: Rung | None,
) -> Target:
    """Copy a target from where it is: another host, or below a scan root."""
    if fetching.is_remote(source):
        return fetching.fetch(
            source, directory, limits=limits, checkpoint=meter, rung=rung
        )
    real = inside_roots(source, settings.SCAN_ROOTS)
    if real.is_file():
        meter.expect(expected_bytes([StoredFile(real.name, real)]))
    return from_path(real, directory, limits=limits, checkpoint=meter, rung=rung)


def stored_files(scan: Scan) -> list[StoredFile]:
    """Return what the client sent and is still there, in order of name."""
    return [
        StoredFile(each.name, storage.path_of(each.upload.sha256), each.upload.sha256)
        for each in scan.files.select_related("upload").order_by("name")
    ]


def expected_bytes(files: Sequence[StoredFile]) -> int:
    """Return how many bytes are to be read; 0 for an archive: nobody knows."""
    if len(files) == 1 and is_archive_name(files[0].name):
        return 0
    return sum(file.path.stat().st_size for file in files if file.path.exists())


def _fetch_mcp(
    scan: Scan,
    files: Sequence[StoredFile],
    directory: Path,
    lay_out: Callable[[Sequence[StoredFile], Path], Target],
    stop: threading.Event,
    deadline: float,
) -> Target:
    options = scan.detail.options
    if options.get("source"):
        return mcp_targets.asked(scan, directory, stop, deadline)
    document, sources = mcp_targets.parted(files, options.get("document", ""))
    target = from_document(document, directory)
    if not options.get("introspect"):
        return target
    laid_out = lay_out(sources, directory / "sources") if sources else None
    return mcp_targets.introspected(
        target,
        laid_out,
        directory,
        stop,
        deadline,
        has_network=options.get("introspect_network", False),
    )


def choose(
    fitting: Sequence[Scanner], names: Sequence[str] | None
) -> tuple[list[Scanner], list[Outcome]]:
    """Split into what runs and what the client left out, which is a gap."""
    if names is None:
        return list(fitting), []
    chosen = [scanner for scanner in fitting if scanner.name in names]
    left_out = [
        Outcome(scanner.name, RunStatus.SKIPPED, reason=NOT_REQUESTED)
        for scanner in fitting
        if scanner.name not in names
    ]
    return chosen, left_out


def run_scanners(
    scanners: Sequence[Scanner],
    target: Target,
    directory: Path,
    stop: threading.Event,
    deadline: float,
    at_work: AtWork,
) -> list[Outcome]:
    """Run all side by side. One that fails does not stop the others."""
    if not scanners:
        return []
    at_work.note({scanner.name: "running" for scanner in scanners})

    def turn(scanner: Scanner) -> Outcome:
        outcome = run_scanner(scanner, target, directory, stop, deadline)
        at_work.note({scanner.name: outcome.status})
        return outcome

    # Each thread waits for its own child: PDEATHSIG fires when the thread that
    # started a process ends, so no thread may end before its child does.
    with ThreadPoolExecutor(max_workers=len(scanners)) as pool:
        waiting: list[Future[Outcome]] = [
            pool.submit(turn, scanner) for scanner in scanners
        ]
        return [future.result() for future in waiting]


def run_scanner(
    scanner: Scanner,
    target: Target,
    directory: Path,
    stop: threading.Event,
    deadline: float,
) -> Outcome:
    """Give one scanner its turn; an expected failure is an outcome, no exception."""
    started = time.monotonic()
    rung = chosen_rung()
    turn = Outcome(scanner.name, RunStatus.COMPLETED, sandbox=rung.name)
    try:
        tool = installed(scanner.name, settings.SCANNERS_DIR)
        turn = replace(turn, tool_version=tool.version, lock_digest=tool.lock_digest)
        left = max(deadline - started, 1.0)
        finished = runner.run(
            scanner,
            tool,
            target,
            limits=replace(scanner.limits, wall_seconds=left),
            rung=rung.require(),
            run_dir=directory,
            stop=stop,
            supervise=hosts.supervise_in(warmth.nearby(), scanner.name, tool),
        )
    except ScannerError as error:
        timed_out = isinstance(error, ScannerTimeout)
        status = RunStatus.TIMED_OUT if timed_out else RunStatus.FAILED
        spent = int((time.monotonic() - started) * 1000)
        return replace(turn, status=status, reason=str(error), duration_ms=spent)
    return replace(turn, report=finished.report, duration_ms=finished.duration_ms)
