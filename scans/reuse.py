"""Work that is not done twice: results of earlier runs, and waiting for one at work.

A result is used again when all that decided it is the same: the bytes and their names,
the scanner with its tool, lock and call, our own code and catalogue, the sandbox.
Verdicts are never stored: policy, baseline and waivers are applied to each scan afresh.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import timedelta
from typing import Any

import rfc8785
from django.conf import settings
from django.db import connection
from django.utils import timezone

from scanners import edition
from scanners.contract import Scanner, ScannerError, ScanStopped, Target
from scanners.install import installed
from scanners.runner import Tool
from scans import reports
from scans.choices import RunStatus
from scans.coverage import Outcome
from scans.models import Lease, ResultClaim, StoredResult
from scans.sandboxing import chosen_rung

logger = logging.getLogger(__name__)

RECIPE = "v1"
LOOK_SECONDS = 0.2
# Writing the time of every use would make each reuse a write.
TOUCHED_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Turns:
    """What is known before the scanners begin: a key for each, and old results."""

    keys: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Outcome] = field(default_factory=dict)


def prepare(
    lease: Lease,
    scanners: Sequence[Scanner],
    target: Target,
    *,
    is_fresh: bool,
    stop: threading.Event,
    deadline: float,
) -> Turns:
    """Return what need not be run, having waited for who is at the same work.

    At most half of the time until `deadline`, by the monotonic clock, is waited: the
    rest stays with the scanners. Raises `ScanStopped`.
    """
    keys = keys_of(scanners, target)
    if is_fresh or not keys:
        return Turns(keys)
    started = time.monotonic()
    until = (started + deadline) / 2
    found = _found_or_awaited(lease, keys, stop, until)
    spent = round((time.monotonic() - started) * 1000)
    known = {name: replace(one, duration_ms=spent) for name, one in found.items()}
    return Turns(keys, known)


def keyed(
    outcomes: Sequence[Outcome],
    turns: Turns,
    scanners: Sequence[Scanner],
    target: Target,
) -> list[Outcome]:
    """Return the outcomes, those with their key that may be stored under it.

    The keys are made again: what was installed or changed while a tool ran belongs
    to no key.
    """
    rung = chosen_rung().name
    run = [s for s in scanners if s.name in turns.keys and s.name not in turns.known]
    keys = keys_of(run, target)
    return [
        replace(outcome, key=turns.keys[outcome.scanner])
        if outcome.status == RunStatus.COMPLETED
        and outcome.sandbox == rung
        and keys.get(outcome.scanner, "") == turns.keys.get(outcome.scanner)
        else outcome
        for outcome in outcomes
    ]


def forget(scanner: str) -> None:
    """Use nothing again that `scanner` said: it was seen not to detect."""
    StoredResult.objects.filter(scanner=scanner).delete()


def keys_of(scanners: Sequence[Scanner], target: Target) -> dict[str, str]:
    """Return scanner -> key, without those whose result nobody could vouch for."""
    rung = chosen_rung()
    if not rung.is_enough or not edition.is_loaded():
        return {}
    keys = {}
    for scanner in scanners:
        try:
            tool = installed(scanner.name, settings.SCANNERS_DIR)
            keys[scanner.name] = key_of(scanner, tool, target, rung=rung.name)
        except ScannerError:
            continue  # its turn will say what is missing
        except ValueError as error:  # a name that no canonical JSON can carry
            logger.info("No result of %s is stored: %s", scanner.name, error)
    return keys


def key_of(scanner: Scanner, tool: Tool, target: Target, *, rung: str) -> str:
    """Return the digest of all that decides what this run will say.

    Of the options everything that reaches the tool is in its call. The wall time is
    not: a run that ended before it would have said the same with more. The digest of
    an MCP target covers its document, and what its servers listed if they were started.
    """
    command = scanner.command(target)
    root = str(target.root)
    limits = asdict(scanner.limits)
    del limits["wall_seconds"]
    return _digest(
        [
            RECIPE,
            settings.VERSION,
            edition.LOADED,
            platform.python_version(),
            rung,
            [scanner.name, tool.version, tool.lock_digest],
            [argument.replace(root, "{target}") for argument in command.arguments],
            dict(command.environment),
            {
                name: hashlib.sha256(content).hexdigest()
                for name, content in command.files.items()
            },
            list(command.outputs),
            limits,
            [target.kind, target.digest],
            [list(astuple(element)) for element in target.elements],
            [list(astuple(gap)) for gap in target.gaps],
            [list(astuple(each)) for each in target.observed],
        ]
    )


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(parts)).hexdigest()


def _found_or_awaited(
    lease: Lease, keys: Mapping[str, str], stop: threading.Event, until: float
) -> dict[str, Outcome]:
    """Look up what is stored; wait once for who is about to store the rest.

    One claim stands for all that is missing, so that no two scans can each have what
    the other waits for.
    """
    has_waited = False
    while True:
        found = _stored(keys)
        missing = sorted(keys[name] for name in keys if name not in found)
        if not missing or has_waited:
            return found
        work = _digest([*missing])
        if ResultClaim.objects.take(work, lease):
            # It may have been stored between our look and our claim.
            return _stored(keys)
        logger.info("Scan %s waits for another of the same", lease.scan_id)
        has_waited = _waited_for(work, stop, until)


def _waited_for(work: str, stop: threading.Event, until: float) -> bool:
    """Wait for the holder of a claim; False when it died, so that we may take over.

    No connection is held between two looks.
    """
    while time.monotonic() < until:
        connection.close()
        if stop.wait(LOOK_SECONDS):
            raise ScanStopped
        if ResultClaim.objects.held().filter(pk=work).exists():
            continue
        return not ResultClaim.objects.filter(pk=work).exists()
    return True


def _stored(keys: Mapping[str, str]) -> dict[str, Outcome]:
    names = {key: name for name, key in keys.items()}
    rows = StoredResult.objects.filter(pk__in=names).select_related("run")
    outcomes, old = {}, []
    for row in rows:
        try:
            report = reports.load(row.report)
        except ValueError as error:
            logger.warning("The stored result %s is not usable: %s", row.pk, error)
            continue
        if row.last_used_at < timezone.now() - TOUCHED_EVERY:
            old.append(row.pk)
        outcomes[names[row.pk]] = Outcome(
            names[row.pk],
            RunStatus.COMPLETED,
            report=report,
            tool_version=row.run.tool_version,
            lock_digest=row.run.lock_digest,
            sandbox=row.run.sandbox,
            reused_from=row.run.scan_id,
        )
    if old:
        StoredResult.objects.touch(old)
    return outcomes
