"""What modelaudit says it looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scanners.adapters.modelaudit.document import (
    ADDRESS_LIMIT,
    INCOMPLETE,
    LOADER_UNKNOWN,
    SOURCE_UNAVAILABLE,
    WEIGHT_STATISTICS,
    Entry,
)
from scanners.adapters.modelaudit.places import Places
from scanners.contract import Coverage, ScannerError, Skipped
from scanners.wording import clean

UNKNOWN = "unknown"
UNKNOWN_CALL = "NON_ALLOWLISTED_GLOBAL"
# What it says of files that it only searched for patterns, or did not open: any bytes
# called .bin or .pb, texts by name, the outside of a compressed file, of a 7z those
# members that it has a scanner for, and it does not name the others. Its findings
# count; a claim that somebody examined the content whole does not follow.
SEARCHED = frozenset(
    {UNKNOWN, "text", "manifest", "compressed", "pytorch_binary", "tf_savedmodel"}
    | {"weight_distribution", "sevenzip"}
)
TEMPLATE, TEMPLATE_SUFFIXES = "jinja2_template", (".jinja", ".jinja2", ".j2")
# Archives whose members it hands to its other scanners: a member of no known type was
# looked at by nobody. The single formats read their own members themselves.
READ_BY_THEMSELVES = {"keras_zip": frozenset({"metadata.json", "config.json"})}
UNREAD_MEMBERS = frozenset({"rejected", "incomplete"})
NOTES = {
    ADDRESS_LIMIT: "modelaudit did not list all network addresses of a text.",
    LOADER_UNKNOWN: "modelaudit cannot know which version of PyTorch will load a "
    "model; weaknesses of single versions were not judged.",
    SOURCE_UNAVAILABLE: "modelaudit could not follow calls into libraries that are not "
    "installed beside it; the calls themselves were checked.",
    WEIGHT_STATISTICS: "modelaudit could not judge how the weights of an ONNX model "
    "are distributed.",
}
EXCUSED_OUTCOMES = frozenset(
    {"pickle_analysis_incomplete", WEIGHT_STATISTICS, ADDRESS_LIMIT}
)


@dataclass(slots=True)
class Examined:
    """What the report says of each element, while it is being read."""

    claimed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    excused: dict[str, set[str]] = field(default_factory=dict)  # path -> keys of NOTES
    said: dict[str, str] = field(default_factory=dict)  # path -> first message
    strange: set[str] = field(default_factory=set)
    unplaced: str = ""  # incomplete, but nobody says where

    def fail(self, paths: tuple[str, ...], reason: str) -> None:
        if not paths:
            self.unplaced = self.unplaced or reason
        for path in paths:
            if path in self.strange:
                self.excused.setdefault(path, set())
            else:
                self.failed.setdefault(path, reason)


def coverage_of(
    document: Mapping[str, Any], places: Places, entries: list[Entry], exit_code: int
) -> Coverage:
    seen = Examined()
    for asset in document["assets"]:
        _read_asset(asset, places, seen)
    allowed = _allowed_imports(entries)
    for entry in entries:
        _read_entry(entry, places, seen, allowed)
    for path, metadata in document["file_metadata"].items():
        _read_metadata(path, metadata, places, seen)
    is_incomplete = not document.get("success") or document.get("has_errors")
    if (is_incomplete or exit_code == 2) and not (seen.failed or seen.excused):
        seen.unplaced = seen.unplaced or "modelaudit could not say which file it missed"
    if seen.unplaced and not seen.claimed:
        raise ScannerError(f"modelaudit examined nothing: {seen.unplaced}")
    if seen.unplaced:
        seen.fail(tuple(seen.claimed), seen.unplaced)
    notes = {NOTES[key] for keys in seen.excused.values() for key in keys}
    return Coverage(
        scanned=frozenset(seen.claimed - seen.failed.keys()),
        failed=tuple(Skipped(path, why) for path, why in sorted(seen.failed.items())),
        bytes_scanned=int(document.get("bytes_scanned") or 0),
        notes=tuple(sorted(notes)),
    )


def _read_asset(asset: Mapping[str, Any], places: Places, seen: Examined) -> None:
    kind = asset.get("type")
    paths = places.files(str(asset["path"]))
    if not paths:
        raise ScannerError("modelaudit names a file that is none of the target")
    if _is_searched(str(kind), paths[0]):
        # Not its format: what it says about such a file is no gap of its own.
        seen.strange.update(paths)
        return
    seen.claimed.update(path for path in paths if not places.is_empty(path))
    known = READ_BY_THEMSELVES.get(str(kind), frozenset())
    unread = list(_unread(asset, known))
    if unread:
        names = ", ".join(clean(name, 80) for name in unread[:5])
        more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
        seen.fail(paths, f"members that modelaudit could not examine: {names}{more}")


def _is_searched(kind: str, name: str) -> bool:
    """A configuration in which it looks for a template is no template, either."""
    is_other = kind == TEMPLATE and not name.lower().endswith(TEMPLATE_SUFFIXES)
    return kind in SEARCHED or is_other


def _unread(asset: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    for member in asset.get("contents") or ():
        name = str(member["path"]).removeprefix(f"{asset['path']}:")
        is_unread = member.get("scan_status") in UNREAD_MEMBERS
        kind = str(member.get("type"))
        if is_unread or (_is_searched(kind, name) and name not in known):
            yield name
        yield from _unread(member, known)


def _allowed_imports(entries: list[Entry]) -> frozenset[str]:
    """Imports on the tool's allow list; what else it reports is not excused."""
    reported: dict[str, bool] = {}
    for entry in entries:
        details = entry.details
        if details.get("notice_code") or not details.get("pickle_rule_code"):
            continue
        is_allowed = details.get("source_backed_import_initialization_untrusted")
        reported[entry.reference] = (
            reported.get(entry.reference, True) and is_allowed is True
        )
    return frozenset(name for name, is_allowed in reported.items() if is_allowed)


def _read_entry(
    entry: Entry, places: Places, seen: Examined, allowed: frozenset[str]
) -> None:
    paths = places.files(entry.location)
    if entry.severity:
        for path in paths:
            seen.said.setdefault(path, clean(places.strip(entry.message), 300))
    if entry.code == UNKNOWN_CALL and entry.details.get("invoked") is True:
        # An import alone does nothing; of a call nobody can say what it does.
        name = clean(entry.reference, 200)
        seen.fail(paths, f"loading it calls {name}, which is not known to be harmless")
        return
    if not entry.is_gap:
        return
    is_allowed = entry.note != SOURCE_UNAVAILABLE or entry.reference in allowed
    if entry.note and is_allowed:
        for path in paths:
            seen.excused.setdefault(path, set()).add(entry.note)
        return
    seen.fail(paths, clean(places.strip(entry.message)) or "incomplete")


def _read_metadata(
    path: str, metadata: Mapping[str, Any], places: Places, seen: Examined
) -> None:
    is_incomplete = any(metadata.get(mark) for mark in INCOMPLETE)
    if not is_incomplete and metadata.get("scan_outcome") != "inconclusive":
        return
    outcomes = [str(outcome) for outcome in metadata.get("scan_outcome_reasons") or ()]
    outcomes.append(str(metadata.get("operational_error_reason") or ""))
    named = [outcome for outcome in outcomes if outcome]
    for element in places.files(path):
        is_excused = element in seen.excused and set(named) <= EXCUSED_OUTCOMES
        if not is_excused:
            reason = ", ".join(name.replace("_", " ") for name in named)
            seen.fail((element,), seen.said.get(element) or reason or "incomplete")
