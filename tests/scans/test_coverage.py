from __future__ import annotations

from pathlib import Path

from scanners.contract import (
    Category,
    Coverage,
    Element,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Severity,
    Skipped,
    Target,
    TargetKind,
)
from scans.choices import RunStatus
from scans.coverage import (
    LEFT_STORED,
    Outcome,
    document,
    found_in,
    gap_sentences,
    settle,
    unexamined,
)


def target(*paths: str, gaps=()) -> Target:
    elements = tuple(Element(path, 1) for path in paths)
    return Target(TargetKind.MODEL, Path("/t"), elements, "", gaps=tuple(gaps))


def outcome(name: str = "modelaudit", findings=(), **coverage) -> Outcome:
    report = Report(tuple(findings), Coverage(**coverage))
    return Outcome(name, RunStatus.COMPLETED, report)


def test_what_one_scanner_examined_is_covered():
    run = outcome(scanned=frozenset({"a.pkl"}))
    assert unexamined(target("a.pkl"), [run]) == []
    assert document(target("a.pkl"), run, [])["complete"] is True


def test_what_nobody_opens_is_a_gap():
    run = outcome(scanned=frozenset({"a.pkl"}))
    (gap,) = unexamined(target("a.pkl", "x.py"), [run])
    assert (gap.path, gap.reason) == ("x.py", "no scanner opens this format")
    assert document(target("a.pkl", "x.py"), run, [gap])["complete"] is False


def test_inert_files_are_counted_and_never_skipped():
    run = outcome("sentrascan-files", inert=frozenset({"README.md"}))
    body = document(target("README.md"), run, [])
    assert (body["files_inert"], body["skipped"]) == (1, [])
    assert unexamined(target("README.md"), [run]) == []


def test_a_failure_is_a_gap_even_if_another_scanner_examined_the_element():
    broken = outcome(failed=(Skipped("a.pkl", "it is truncated"),))
    other = outcome("sentrascan-files", scanned=frozenset({"a.pkl"}))
    (gap,) = unexamined(target("a.pkl"), [other, broken])
    assert gap.reason == "modelaudit: it is truncated"


def test_what_the_workspace_could_not_open_stays_a_gap():
    run = outcome(scanned=frozenset({"a.zip"}))
    gaps = [Skipped("a.zip", "not unpacked"), Skipped("link", "it is a link")]
    assert unexamined(target("a.zip", gaps=gaps), [run]) == gaps


def test_a_scanner_that_gave_no_answer_is_a_gap():
    dead = Outcome("cisco-scanner", RunStatus.TIMED_OUT, reason="it ran over 5 s")
    left = Outcome("mcp-checkpoint", RunStatus.SKIPPED, reason="it was not requested")
    sentences = gap_sentences(target("a"), [dead, left, outcome(scanned={"a"})])
    assert sentences == [
        "cisco-scanner gave no answer: it ran over 5 s",
        "mcp-checkpoint did not run: it was not requested",
    ]
    assert document(target("a"), dead, [])["complete"] is False


def test_nothing_to_examine_is_a_gap():
    assert gap_sentences(target(), [outcome()]) == [
        "There is nothing to examine in this target"
    ]
    assert document(target(), outcome(), [])["complete"] is False


def test_a_complaint_about_a_file_read_whole_by_another_becomes_a_note():
    malformed = ReportedFinding(
        Rule("modelaudit:S902", Severity.MEDIUM, Category.MALFORMED_FILE, "Corrupt"),
        "Corrupt XGBoost model",
        location=Location(path="tokenizer.model"),
    )
    dangerous = ReportedFinding(
        Rule("modelaudit:S201", Severity.HIGH, Category.DESERIALIZATION, "Opcode"),
        "Opcode",
        location=Location(path="tokenizer.model"),
    )
    tool = outcome(
        findings=[malformed, dangerous],
        failed=(Skipped("tokenizer.model", "no XGBoost"), Skipped("b", "cut short")),
    )
    ours = outcome("sentrascan-files", identified={"tokenizer.model": "SentencePiece"})
    settled, _ = settle([tool, ours])
    assert settled.findings == (dangerous,)
    assert settled.coverage.failed == (Skipped("b", "cut short"),)
    assert len(settled.coverage.notes) == 2


def test_nobody_identifies_a_file_for_himself():
    tool = outcome(identified={"a": "pickle"}, failed=(Skipped("a", "cut short"),))
    assert settle([tool])[0].coverage.failed == (Skipped("a", "cut short"),)


def finding_in(path: str, severity: Severity) -> ReportedFinding:
    rule = Rule("modelaudit:S201", severity, Category.DESERIALIZATION, "Opcode")
    return ReportedFinding(rule, "Opcode", location=Location(path=path))


def test_elements_with_findings_are_told_once_and_the_gravest_first():
    low, grave = (finding_in("a", each) for each in (Severity.LOW, Severity.HIGH))
    first = outcome(findings=[low, finding_in("b", Severity.MEDIUM)])
    assert found_in([first, outcome("other", [grave])]) == ["a", "b"]


def test_what_a_scanner_left_to_others_is_told_where_they_found_something():
    own = outcome(
        scanned=frozenset({"a"}),
        inert=frozenset({"b"}),
        failed=(Skipped("c", "cut short"),),
    )
    elements = target("a", "b", "c", "d", "e")
    body = document(elements, own, [], ["d", "c", "a", "b", "", "elsewhere"])
    assert body["left"] == ["d", "c"]
    many = [f"{number}" for number in range(LEFT_STORED + 9)]
    assert document(target(*many), outcome(), [], many)["left"] == many[:LEFT_STORED]
