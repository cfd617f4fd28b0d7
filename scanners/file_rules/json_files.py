"""Strict JSON (RFC 8259): every name and string at every depth is searched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from scanners.file_rules import patterns
from scanners.file_rules.outcome import Match, Outcome, Status, failed

FORMAT = "JSON"
MAX_BYTES = 64 << 20
MAX_DEPTH = 200
MAX_MATCHES = 500

# Hugging Face configurations: classes to import from code that lies beside the
# weights, or in another repository (`owner/name--module.Class`).
CODE_MAPS = frozenset({"auto_map", "custom_pipelines", "custom_pipeline"})
# jsonpickle's tags: reading such a document calls what it names.
CALL_TAGS = frozenset({"py/reduce", "py/function", "py/newargsex", "py/repr"})
# Hydra and NeMo instantiate the callable that `_target_` names; skops looks up what
# `__module__` and `__class__` name.
TARGET_KEYS = frozenset({"_target_", "__target__", "__module__"})
DANGEROUS_ROOTS = frozenset(
    {"os", "posix", "nt", "subprocess", "builtins", "importlib", "pickle", "runpy"}
    | {"pty", "shutil", "socket", "ctypes", "marshal", "sys", "code", "commands"}
)


JUDGED = CODE_MAPS | CALL_TAGS | TARGET_KEYS | {"trust_remote_code"}


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, also those of the same name."""

    __slots__ = ()


class NotStrictError(ValueError):
    """The text is not JSON; the message says why, for people."""


def examine(raw: bytes) -> Outcome:
    """Examine a whole file that calls itself JSON."""
    matches: list[Match] = []
    try:
        document = parse(raw, matches)
        for match in walk(document):
            matches.append(match)
            if len(matches) >= MAX_MATCHES:
                reason = f"more than {MAX_MATCHES} matches: the rest was not examined"
                return failed(reason, tuple(matches), FORMAT)
    except NotStrictError as error:
        return failed(f"not strict JSON: {error}", tuple(matches), FORMAT)
    return Outcome(Status.SCANNED, FORMAT, "", tuple(matches), is_identified=True)


def parse(raw: bytes, matches: list[Match]) -> Any:
    """Return the document with `Pairs` for objects; note non-numbers in `matches`.

    Raises `NotStrictError` for what is not UTF-8, not JSON, or nested too deep.
    """
    numbers: dict[str, None] = {}

    def constant(name: str) -> float:
        numbers[name] = None
        return 0.0

    try:
        text = raw.decode("utf-8-sig")
        document = json.loads(
            text, object_pairs_hook=Pairs, parse_constant=constant, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise NotStrictError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotStrictError(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise NotStrictError(f"nested deeper than {MAX_DEPTH} levels") from None
    if numbers:
        matches.append(Match("JSON_NOT_A_NUMBER", "", tuple(numbers)))
    return document


def _integer(digits: str) -> int:
    """Numbers are not judged, and Python refuses to convert very long ones."""
    return int(digits) if len(digits) < 20 else 0


def walk(document: Any) -> Iterator[Match]:
    """Yield the matches of every name and string.

    Only containers are kept on the stack and only matches get a path: vocabularies
    have a million strings.
    """
    stack: list[tuple[Any, tuple[str, ...]]] = [([document], ())]
    while stack:
        value, path = stack.pop()
        if len(path) > MAX_DEPTH:
            raise NotStrictError(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, Pairs):
            yield from _members(value, path)
            items: Iterable[tuple[Any, Any]] = value
        else:
            items = enumerate(value)
        for name, item in items:
            if isinstance(item, list):
                stack.append((item, (*path, str(name))))
            elif isinstance(item, str) and patterns.is_suspect(item):
                yield from _texts(item, (*path, str(name)))


def _texts(text: str, path: tuple[str, ...]) -> Iterator[Match]:
    for rule, pieces in patterns.search(text).items():
        yield Match(rule, pointer(path), pieces)


def _members(pairs: Pairs, path: tuple[str, ...]) -> Iterator[Match]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = [name for name, count in counts.items() if count > 1]
        yield Match("JSON_DUPLICATE_KEY", pointer(path), _cut(twice))
    for name, value in pairs:
        if patterns.is_suspect(name):
            yield from _texts(name, (*path, name))
        if name in JUDGED and (rule := _rule_of_member(name, value)):
            yield Match(rule, pointer((*path, name)), _cut(_strings(value)))
    if members.get("class_name") == "Lambda" and _holds_function(members):
        yield Match("KERAS_LAMBDA", pointer(path), ("Lambda",))


def _rule_of_member(name: str, value: Any) -> str:
    """Return the rule that a member breaks by its name, or ""."""
    if name in CODE_MAPS and value:
        is_elsewhere = any("--" in text for text in _strings(value))
        return "REMOTE_CODE_ELSEWHERE" if is_elsewhere else "REMOTE_CODE"
    if name == "trust_remote_code" and value is True:
        return "REMOTE_CODE"
    if name in CALL_TAGS:
        return "JSON_OBJECT_CALL"
    if name in TARGET_KEYS and isinstance(value, str):
        return "DANGEROUS_TARGET" if value.split(".")[0] in DANGEROUS_ROOTS else ""
    return ""


def _holds_function(members: dict[str, Any]) -> bool:
    config = members.get("config")
    return isinstance(config, Pairs) and "function" in dict(config)


def _strings(value: Any) -> list[str]:
    found: list[str] = []
    stack = [value]
    while stack and len(found) < patterns.MATCHES_PER_TEXT:
        item = stack.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Pairs):
            stack += [member for _, member in reversed(item)]
        elif isinstance(item, list):
            stack += reversed(item)
    return found


def _cut(texts: list[str]) -> tuple[str, ...]:
    kept = texts[: patterns.MATCHES_PER_TEXT]
    return tuple(text[: patterns.MATCH_LENGTH] for text in kept)


def pointer(path: tuple[str, ...]) -> str:
    """Return an RFC 6901 pointer, cut where names are absurdly long."""
    # The first step leads from the list that holds the document into it.
    parts = (part.replace("~", "~0").replace("/", "~1") for part in path[1:])
    return "".join(f"/{part[:100]}" for part in parts)[:500]
