"""Nothing that leaves the sandbox for a row, a log or an export holds a secret.

What a secret is, `mcp_rules.secrets` knows: what our rules report is what is masked.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from scanners.contract import (
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Skipped,
)
from scanners.mcp_rules.secrets import secret_values
from scanners.mcp_rules.tokens import masked, tokens_in, without_tokens

# Of a value cut off by a tool's own limit so much must be left to be worth masking.
MIN_PART = 8
# A digest of a shorter value could be guessed back from a word list.
MIN_DIGESTED = 16


def secrets_of(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the secret values of an MCP document (the shape of `Target.document`)."""
    return secret_values(document)


def mask(text: str, secrets: frozenset[str] = frozenset()) -> str:
    """Return `text` without `secrets` and without tokens of a well-known format.

    Of a long value the first four characters stay. URL-encoded, JSON-escaped,
    HTML-escaped and base64 forms go as well, and parts of a value that stand at either
    end of `text`, where a tool has cut it.
    """
    if secrets:
        pattern, forms = _pattern(secrets)
        text = pattern.sub(lambda match: masked(forms[match.group()]), text)
        text = _without_cut_ends(text, secrets)
    text = without_tokens(text)
    # PostgreSQL stores no NUL, and a scanned file may hold one.
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def redact(report: Report, secrets: frozenset[str] = frozenset()) -> Report:
    """Return `report` with every string masked.

    Paths in its coverage stay as they are: they name `Target.elements`, whose names
    `documents.elements_of` has masked before anybody saw them.
    """
    coverage = replace(
        report.coverage,
        failed=tuple(
            Skipped(gap.path, mask(gap.reason, secrets))
            for gap in report.coverage.failed
        ),
        notes=tuple(mask(note, secrets) for note in report.coverage.notes),
    )
    findings = tuple(_finding(finding, secrets) for finding in report.findings)
    inside = {path: mask_value(seen, secrets) for path, seen in report.inside.items()}
    return Report(findings, _with_formats(coverage, secrets), inside)


def _with_formats(coverage: Coverage, secrets: frozenset[str]) -> Coverage:
    identified = {
        path: mask(name, secrets) for path, name in coverage.identified.items()
    }
    return replace(coverage, identified=identified)


def _finding(finding: ReportedFinding, secrets: frozenset[str]) -> ReportedFinding:
    return replace(
        finding,
        rule=_rule(finding.rule, secrets),
        title=mask(finding.title, secrets),
        description=mask(finding.description, secrets),
        location=_location(finding.location, secrets),
        evidence=mask_value(finding.evidence, secrets),
        element=mask(finding.element, secrets),
        evidence_key=_key(finding.evidence_key, secrets),
    )


def _rule(rule: Rule, secrets: frozenset[str]) -> Rule:
    # A rule that the catalogue does not know carries the tool's own words.
    if rule.is_catalogued:
        return rule
    return replace(
        rule,
        rule=mask(rule.rule, secrets),
        title=mask(rule.title, secrets),
        why=mask(rule.why, secrets),
        remediation=mask(rule.remediation, secrets),
    )


def _location(location: Location, secrets: frozenset[str]) -> Location:
    def hidden(text: str | None) -> str | None:
        return text and mask(text, secrets)

    return replace(
        location,
        path=mask(location.path, secrets),
        member=hidden(location.member),
        server=hidden(location.server),
        tool=hidden(location.tool),
    )


def mask_value(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, Mapping):
        return {
            mask(str(key), secrets): mask_value(child, secrets)
            for key, child in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(child, secrets) for child in value]
    return value


def _key(key: str, secrets: frozenset[str]) -> str:
    """Mask an evidence key; a digest keeps two long values apart in fingerprints."""
    hidden = mask(key, secrets)
    if hidden == key:
        return key
    long = sorted(value for value in secrets if len(value) >= MIN_DIGESTED)
    held = [value for value in long if value in key]
    held += [value for _, value in tokens_in(key) if value not in held]
    digests = [hashlib.sha256(value.encode()).hexdigest()[:16] for value in held]
    return " ".join([hidden, *digests])


@lru_cache(maxsize=16)
def _pattern(secrets: frozenset[str]) -> tuple[re.Pattern[str], dict[str, str]]:
    forms = {form: value for value in secrets for form in _forms(value)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first))), forms


def _forms(value: str) -> Iterator[str]:
    yield value
    yield from (quote(value), quote(value, safe=""), quote_plus(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield html.escape(value)
    yield from in_base64(value.encode("utf-8", "replace"))


def in_base64(data: bytes) -> Iterator[str]:
    """Yield the base64 that stands for `data` wherever it begins in a larger text.

    Three bytes make four characters, so there are three alignments; the characters at
    both ends also carry bits of the neighbours and are left out.
    """
    for shift in range(3):
        padded = bytes(shift) + data
        whole = len(padded) // 3 * 3
        start = 4 if shift else 0
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded[:whole]).decode()[start:]
            if len(text) >= MIN_PART:
                yield text


def _without_cut_ends(text: str, secrets: frozenset[str]) -> str:
    for value in sorted(secrets):
        if value[:MIN_PART] not in text and value[-MIN_PART:] not in text:
            continue
        for size in range(min(len(value) - 1, len(text)), MIN_PART - 1, -1):
            if text.endswith(value[:size]):
                text = text[:-size] + masked(value)
                break
        for size in range(min(len(value) - 1, len(text)), MIN_PART - 1, -1):
            if text.startswith(value[-size:]):
                text = masked("") + text[size:]
                break
    return text
