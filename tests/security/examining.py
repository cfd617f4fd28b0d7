"""Real tools on files, judged as the pipeline judges, file by file.

One run over a folder of a thousand mutated files costs what a thousand runs would not:
the verdict of each is that of a target of its own, had every scanner said of it what it
said here.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from django.conf import settings

from scanners import runner
from scanners.archives import Limits as ArchiveLimits
from scanners.contract import Element, Limits, Report, Skipped, Target, TargetKind
from scanners.install import installed
from scanners.registry import load_adapters, scanners_for
from scanners.sandbox import probe
from scanners.workspace import StoredFile, from_uploads
from scans import coverage, gate
from scans.choices import RunStatus, Verdict
from scans.coverage import Outcome

FAILURES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.SKIPPED)
DEFAULT = gate.PolicyRules.from_document({})


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    reasons: tuple[str, ...]


type Files = Mapping[str, bytes]


def gather(directory: Path, groups: Mapping[str, Files], *, as_folder: bool) -> Target:
    """Fetch each group as the workspace would; return one target of them all.

    `as_folder`: a group is part of a larger upload, so that a single archive stays
    packed; otherwise it is an upload of its own, and is unpacked if it is safe to.
    """
    elements: list[Element] = []
    gaps: list[Skipped] = []
    root = directory / "target"
    for number, (group, files) in enumerate(groups.items()):
        stored = _store(directory / f"stored{number}", files)
        if as_folder:
            empty = directory / "nothing"
            empty.write_bytes(b"")
            stored.append(StoredFile("beside/nothing", empty))
        part = from_uploads(
            stored,
            directory / f"fetched{number}",
            limits=ArchiveLimits(),
            checkpoint=lambda _=0: None,
            rung=probe(),
        )
        shutil.rmtree(directory / f"stored{number}")
        (root / group).parent.mkdir(parents=True, exist_ok=True)
        part.root.rename(root / group)
        elements += [
            replace(each, path=f"{group}/{each.path}")
            for each in part.elements
            if each.path != "beside/nothing"
        ]
        gaps += [
            Skipped(f"{group}/{gap.path}", gap.reason)
            for gap in part.gaps
            if gap.path != "beside/nothing"
        ]
    for nothing in root.rglob("beside/nothing"):
        nothing.unlink()
    return Target(TargetKind.MODEL, root, tuple(elements), "0" * 64, tuple(gaps))


def _store(directory: Path, files: Files) -> list[StoredFile]:
    directory.mkdir()
    stored = []
    for number, (name, raw) in enumerate(files.items()):
        place = directory / str(number)
        place.write_bytes(raw)
        stored.append(StoredFile(name, place))
    return stored


def run_all(
    target: Target,
    run_dir: Path,
    limits: Limits,
    tools: Mapping[str, runner.Tool] | None = None,
) -> list[Outcome]:
    """Run every scanner that fits; raise what the runner raises.

    `tools` stand for the installed ones of their name.
    """
    load_adapters()
    outcomes = []
    for scanner in scanners_for(target.kind):
        if not scanner.fits(target):
            continue
        finished = runner.run(
            scanner,
            (tools or {}).get(scanner.name)
            or installed(scanner.name, settings.SCANNERS_DIR),
            target,
            limits=limits,
            rung=probe(),
            run_dir=run_dir,
            stop=threading.Event(),
        )
        outcomes.append(Outcome(scanner.name, RunStatus.COMPLETED, finished.report))
    return coverage.settle(outcomes)


def decide(target: Target, outcomes: Sequence[Outcome]) -> Judged:
    """Judge by the default policy, as `scans.recording` does with its rows."""
    findings = [
        gate.JudgedFinding(
            finding.rule.rule,
            finding.rule.severity,
            finding.rule.category,
            finding.title,
            finding.location.path,
        )
        for outcome in outcomes
        for finding in outcome.findings
    ]
    evidence = gate.Evidence(
        findings=findings,
        gaps=coverage.gap_sentences(target, outcomes),
        completed={o.scanner for o in outcomes if o.status is RunStatus.COMPLETED},
    )
    decision = gate.decide(DEFAULT, evidence)
    return Judged(decision.verdict, decision.reasons)


def judge_each(
    target: Target, outcomes: Sequence[Outcome], groups: Iterable[str]
) -> dict[str, Judged]:
    """Return group -> its verdict, as if it were the whole target."""
    return {group: _judge_part(target, outcomes, f"{group}/") for group in groups}


def judge_elements(target: Target, outcomes: Sequence[Outcome]) -> dict[str, Judged]:
    """Return element -> its verdict, as if it were all that the document has."""
    return {
        each.path: decide(
            replace(target, elements=(each,), gaps=()),
            [_part(outcome, {each.path}) for outcome in outcomes],
        )
        for each in target.elements
    }


def broken_ways(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Yield the outcomes with each subset of scanners, but the empty one, broken."""
    names = [outcome.scanner for outcome in outcomes]
    for count in range(1, len(names) + 1):
        for victims in combinations(names, count):
            status = FAILURES[count % len(FAILURES)]
            yield coverage.settle(
                [
                    Outcome(one.scanner, status, reason="it did not answer")
                    if one.scanner in victims
                    else one
                    for one in outcomes
                ]
            )


def _judge_part(target: Target, outcomes: Sequence[Outcome], prefix: str) -> Judged:
    part = replace(
        target,
        elements=tuple(e for e in target.elements if e.path.startswith(prefix)),
        gaps=tuple(gap for gap in target.gaps if gap.path.startswith(prefix)),
    )
    paths = {element.path for element in part.elements}
    return decide(part, [_part(outcome, paths) for outcome in outcomes])


def _part(outcome: Outcome, paths: set[str]) -> Outcome:
    if outcome.report is None:
        return outcome
    seen = outcome.coverage
    cut = replace(
        seen,
        scanned=seen.scanned & paths,
        inert=seen.inert & paths,
        failed=tuple(skip for skip in seen.failed if skip.path in paths),
    )
    kept = tuple(f for f in outcome.findings if f.location.path in paths)
    return replace(outcome, report=Report(kept, cut))
