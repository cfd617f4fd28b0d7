"""Whatever happens to scanners and their reports, silence never passes.

Pure, through the adapters, coverage and the gate, on reports recorded from the real
tools: any subset of scanners fails, times out or is left out, and any report is cut,
emptied, robbed of a part or garbled.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanners.contract import Completed, Report, ScannerError, Target
from scanners.registry import SCANNERS, load_adapters
from scans import coverage
from scans.choices import RunStatus, Verdict
from scans.coverage import Outcome
from tests.scanners import mcp_samples
from tests.scanners.record import golden
from tests.security.examining import FAILURES, decide

load_adapters()
MODEL = ("modelaudit", "sentrascan-files")
MCP = ("cisco-scanner", "mcp-checkpoint", "sentrascan-mcp")
type Recorded = tuple[Target, dict[str, Completed]]
Change = Callable[[Completed], Completed]


def model_run(sample: str) -> Recorded:
    runs = {name: golden(name, sample) for name in MODEL}
    return runs["modelaudit"][0], {name: run[1] for name, run in runs.items()}


def mcp_run(names: dict[str, str], document: dict[str, Any]) -> Recorded:
    runs = {name: mcp_samples.golden(name, sample) for name, sample in names.items()}
    return mcp_samples.target_of(document), runs


TOOLS = {"cisco-scanner": "one", "mcp-checkpoint": "one", "sentrascan-mcp": "empty"}
HOSTILE: dict[str, Recorded] = {
    **{name: model_run(name) for name in ("one", "many", "archives", "foreign")},
    "tool": mcp_run(TOOLS, mcp_samples.ONE),
    "secret": mcp_run(
        {"mcp-checkpoint": "config", "sentrascan-mcp": "many-secrets"},
        mcp_samples.CONFIG,
    ),
}
HARMLESS = {"harmless": model_run("harmless"), "repository": model_run("repository")}


def outcome_of(name: str, target: Target, completed: Completed) -> Outcome:
    """Read one report as the runner does: whatever it trips over is no answer."""
    try:
        report: Report = SCANNERS[name].parse(target, completed)
    except ScannerError as error:
        return Outcome(name, RunStatus.FAILED, reason=str(error))
    except Exception as error:  # noqa: BLE001  # as `runner._parse`
        return Outcome(name, RunStatus.FAILED, reason=repr(error))
    return Outcome(name, RunStatus.COMPLETED, report)


def judged(target: Target, outcomes: list[Outcome]) -> Verdict:
    return decide(target, coverage.settle(outcomes)).verdict


def rewritten(completed: Completed, change: Callable[[bytes], bytes]) -> Completed:
    outputs = {name: change(raw) for name, raw in completed.outputs.items()}
    return replace(completed, stdout=change(completed.stdout), outputs=outputs)


def cut(share: float) -> Change:
    # Never whole: the last byte of JSON is what makes it JSON.
    return lambda done: rewritten(
        done, lambda raw: raw.strip()[: int(len(raw) * share)]
    )


def replaced(raw: bytes) -> Change:
    return lambda done: rewritten(done, lambda _: raw)


def robbed(index: int, value: Any) -> Change:
    """Put `value` in the place of the index-th list or object of the report."""

    def rob(raw: bytes) -> bytes:
        if not raw.strip():
            return raw
        document = json.loads(raw)
        places = list(containers(document))
        if not places:
            return json.dumps(value).encode()
        holder, key = places[index % len(places)]
        holder[key] = value
        return json.dumps(document).encode()

    return lambda done: rewritten(done, rob)


def containers(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        if isinstance(item, list | dict):
            yield value, key
            yield from containers(item)


garbling = st.one_of(
    st.floats(0, 0.99).map(cut),
    st.sampled_from(
        [b"", b"{}", b"[]", b"null", b'"clean"', b"\xff\xfe", b"{}" * 9]
    ).map(replaced),
)
robbing = st.builds(
    robbed, st.integers(0, 5_000), st.sampled_from([None, [], {}, "", 0, False])
)
QUICK = settings(
    max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("sample", HOSTILE)
def test_a_recorded_hostile_input_does_not_pass(sample: str) -> None:
    target, runs = HOSTILE[sample]
    outcomes = [outcome_of(name, target, done) for name, done in runs.items()]
    assert {outcome.status for outcome in outcomes} == {RunStatus.COMPLETED}
    assert judged(target, outcomes) is not Verdict.PASS


@pytest.mark.parametrize("sample", HARMLESS)
def test_a_recorded_harmless_input_passes(sample: str) -> None:
    target, runs = HARMLESS[sample]
    outcomes = [outcome_of(name, target, done) for name, done in runs.items()]
    assert judged(target, outcomes) is Verdict.PASS


@QUICK
@given(data=st.data())
def test_no_subset_of_failures_and_garbled_reports_passes(data: st.DataObject) -> None:
    """Of any input, hostile or not: a scanner without an answer is a gap."""
    target, runs = data.draw(st.sampled_from([*HOSTILE.values(), *HARMLESS.values()]))
    broken = data.draw(st.sets(st.sampled_from(sorted(runs)), min_size=1))
    outcomes = []
    for name, done in runs.items():
        if name in broken and data.draw(st.booleans()):
            status = data.draw(st.sampled_from(FAILURES))
            outcomes.append(Outcome(name, status, reason="it did not answer"))
        elif name in broken:
            outcomes.append(outcome_of(name, target, data.draw(garbling)(done)))
        else:
            outcomes.append(outcome_of(name, target, done))
    assert judged(target, outcomes) is not Verdict.PASS


@QUICK
@given(data=st.data())
def test_no_hostile_input_passes_when_reports_lose_a_part(data: st.DataObject) -> None:
    target, runs = data.draw(st.sampled_from(list(HOSTILE.values())))
    robbed_of = data.draw(st.sampled_from(sorted(runs)))
    outcomes = [
        outcome_of(
            name, target, data.draw(robbing)(done) if name == robbed_of else done
        )
        for name, done in runs.items()
    ]
    assert judged(target, outcomes) is not Verdict.PASS


@QUICK
@given(data=st.data())
def test_no_harmless_input_fails_when_reports_lose_a_part(data: st.DataObject) -> None:
    target, runs = data.draw(st.sampled_from(list(HARMLESS.values())))
    outcomes = [
        outcome_of(name, target, data.draw(st.one_of(robbing, garbling))(done))
        for name, done in runs.items()
    ]
    assert judged(target, outcomes) is not Verdict.FAIL
