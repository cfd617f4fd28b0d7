"""The gate: does a scan pass its policy? Pure, and closed by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Self

from scanners.contract import Category, Severity
from scans.choices import Verdict

REASONS_SHOWN = 20
DRIFT_KINDS = ("added", "removed", "renamed", "changed")
DRIFT_ANSWERS = ("fail", "warn", "ignore")
DEFAULT_DOCUMENT: dict[str, Any] = {
    "severity_threshold": "high",
    "block_categories": ["code_execution", "tool_poisoning", "secret_exposure"],
    "allow_rules": [],
    "require_coverage": "complete",
    "require_scanners": [],
    "only_new": False,
    "drift": {"added": "fail", "removed": "warn", "renamed": "fail", "changed": "fail"},
    "require_sbom": False,
}


def with_defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid document with the values that its absent keys take."""
    drift = {**DEFAULT_DOCUMENT["drift"], **document.get("drift", {})}
    return {**DEFAULT_DOCUMENT, **document, "drift": drift}


class PolicyError(ValueError):
    """A policy document holds an unknown key or value; the message names it.

    `path` is where it stands: keys from the outside in, none for the whole.
    """

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """A policy document, read. Absent keys have the values of `DEFAULT_DOCUMENT`."""

    severity_threshold: Severity
    block_categories: frozenset[Category]
    allow_rules: frozenset[str]
    requires_complete_coverage: bool
    require_scanners: frozenset[str]
    only_new: bool
    drift: Mapping[str, str]
    require_sbom: bool

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a policy document; raise `PolicyError` on anything unknown."""
        if not isinstance(document, Mapping):
            raise PolicyError("a policy is an object")
        _check_keys(document, DEFAULT_DOCUMENT.keys())
        values = DEFAULT_DOCUMENT | dict(document)
        return cls(
            severity_threshold=_severity(values["severity_threshold"]),
            block_categories=frozenset(
                _category(name) for name in _texts(values, "block_categories")
            ),
            allow_rules=frozenset(_texts(values, "allow_rules")),
            requires_complete_coverage=_one_of(
                values["require_coverage"], ("complete", "partial"), "require_coverage"
            )
            == "complete",
            require_scanners=frozenset(_texts(values, "require_scanners")),
            only_new=_flag(values, "only_new"),
            drift=_drift(values["drift"]),
            require_sbom=_flag(values, "require_sbom"),
        )


def _check_keys(values: Mapping[str, Any], known: AbstractSet[str], *path: str) -> None:
    if unknown := sorted(str(key)[:80] for key in values.keys() - known):
        place = f"{path[0]}: " if path else ""
        names = ", ".join(unknown[:5])
        raise PolicyError(f"{place}unknown key: {names}", *path, unknown[0])


def _severity(value: object) -> Severity:
    by_name = {severity.name.lower(): severity for severity in Severity}
    if not isinstance(value, str) or value not in by_name:
        raise _unknown("severity_threshold", "severity", value)
    return by_name[value]


def _category(value: str) -> Category:
    try:
        return Category(value)
    except ValueError:
        raise _unknown("block_categories", "category", value) from None


def _unknown(key: str, noun: str, value: object) -> PolicyError:
    return PolicyError(f"{key}: unknown {noun} {repr(value)[:80]}", key)


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    texts = values[key]
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise PolicyError(f"{key}: must be a list of texts", key)
    return texts


def _flag(values: Mapping[str, Any], key: str) -> bool:
    if not isinstance(values[key], bool):
        raise PolicyError(f"{key}: must be true or false", key)
    return bool(values[key])


def _one_of(value: object, allowed: Sequence[str], *path: str) -> str:
    if value not in allowed:
        name = ".".join(path)
        raise PolicyError(f"{name}: must be one of {', '.join(allowed)}", *path)
    return str(value)


def _drift(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise PolicyError("drift: must be an object", "drift")
    _check_keys(value, set(DRIFT_KINDS), "drift")
    merged: dict[str, str] = DEFAULT_DOCUMENT["drift"] | dict(value)
    for kind in DRIFT_KINDS:
        _one_of(merged[kind], DRIFT_ANSWERS, "drift", kind)
    return merged


@dataclass(frozen=True, slots=True)
class JudgedFinding:
    """What the gate needs to know of a finding.

    `is_known`: the active baseline has it; False without a baseline. `drift` are the
    kinds of change of a finding of category `baseline_drift`, else empty.
    """

    rule: str
    severity: Severity
    category: Category
    title: str
    where: str = ""
    is_known: bool = False
    is_waived: bool = False
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one judgement rests on.

    `gaps` are sentences, `more_gaps` the number of those that nobody wrote down.
    """

    findings: Sequence[JudgedFinding] = ()
    gaps: Sequence[str] = ()
    more_gaps: int = 0
    completed: AbstractSet[str] = frozenset()
    has_sbom: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reasons: tuple[str, ...] = field(default=())


def decide(rules: PolicyRules, evidence: Evidence) -> Decision:
    """Judge one scan. What nobody looked at does not pass.

    Waivers and allowed rules are applied first; a breach is `fail` even with gaps,
    else any gap is `inconclusive`, else `pass` (CONTRACT, Judgement).
    """
    breaches = _shorten(list(_breaches(rules, evidence.findings)), "finding")
    more = evidence.more_gaps if rules.requires_complete_coverage else 0
    gaps = _shorten(list(_gaps(rules, evidence)), "gap", more)
    if breaches:
        return Decision(Verdict.FAIL, (*breaches, *gaps))
    if gaps:
        return Decision(Verdict.INCONCLUSIVE, tuple(gaps))
    return Decision(Verdict.PASS)


def _breaches(rules: PolicyRules, findings: Sequence[JudgedFinding]) -> Iterable[str]:
    worst_first = sorted(findings, key=lambda finding: -finding.severity)
    for finding in worst_first:
        if why := breach(rules, finding):
            is_said = not finding.where or finding.where in finding.title
            where = "" if is_said else f" in {finding.where}"
            yield f"{finding.title}{where} ({finding.rule}, {why})"


def breach(rules: PolicyRules, finding: JudgedFinding) -> str:
    """Return why the policy fails this finding, or ''."""
    if finding.is_waived or finding.rule in rules.allow_rules:
        return ""
    name = finding.severity.name.lower()
    if finding.category == Category.BASELINE_DRIFT:
        # Drift is judged by its kinds alone, never by threshold; what names none fails.
        kinds = finding.drift or ("",)
        fails = any(rules.drift.get(kind, "fail") == "fail" for kind in kinds)
        return name if fails else ""
    if rules.only_new and finding.is_known:
        return ""
    if finding.severity >= rules.severity_threshold:
        return name
    if finding.category in rules.block_categories:
        return f"{name}, blocked category {finding.category.value}"
    return ""


def _gaps(rules: PolicyRules, evidence: Evidence) -> Iterable[str]:
    if rules.requires_complete_coverage:
        yield from evidence.gaps
    for name in sorted(rules.require_scanners - evidence.completed):
        yield f"The policy requires {name}, which did not complete"
    if not evidence.completed:
        yield "No scanner looked at this target"
    if rules.require_sbom and not evidence.has_sbom:
        yield "The policy requires an SBOM, and none was made"


def _shorten(reasons: list[str], noun: str, more: int = 0) -> list[str]:
    unique = list(dict.fromkeys(reasons))
    more += max(0, len(unique) - REASONS_SHOWN)
    if not more:
        return unique
    return [*unique[:REASONS_SHOWN], f"and {more} more {noun}{'s' * (more > 1)}"]
