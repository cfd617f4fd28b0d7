"""What MCP servers were heard to list, read into one target. Pure.

Every word of it comes from a server in the end: each field may be of any type, and any
text may be hostile.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scanners import documents, observations, strict_json
from scanners.contract import Observed, Skipped, Target
from scanners.redaction import in_base64, mask, secrets_of

EMPTY = "it lists nothing, which nobody can examine"


@dataclass(slots=True)
class Answer:
    """What one server gave; `gap` says why that is not all, "" if it is.

    `is_known`: it said who it is, which is the first thing that a server does.
    """

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    instructions: str = ""
    observed: list[Observed] = field(default_factory=list)
    gap: str = ""
    size: int = 0
    is_known: bool = False
    transport: str = "stdio"


def read(
    path: str,
    raw: bytes,
    hidden: Mapping[str, str],
    *,
    quiet: frozenset[str] = frozenset(),
) -> Answer:
    """Read what a client of ours wrote of one server, whose element is `path`.

    `hidden` are texts that the server may know and nobody else may see, and how each is
    called; it is told when one comes back, unless it is called as in `quiet`. Raises
    `ValueError` for what no client of ours writes.
    """
    said = strict_json.parse(raw)
    strict_json.check(said)  # its depth above all: what follows is recursive
    if not isinstance(said, dict) or not isinstance(said.get("lists"), list):
        raise ValueError("it is not what the client writes")
    _, echoed = without([said["lists"], *_texts(said)], hidden)
    said, _ = without(said, hidden)
    answer = Answer(observed=list(observations.of_conduct(path, said)), size=len(raw))
    if said.get("transport") in ("http", "sse"):
        answer.transport = said["transport"]
    answer.is_known = isinstance(said.get("about"), dict)
    answer.gap = observations.gap_of(said)
    if echoed := [name for name in echoed if name not in quiet]:
        answer.observed.append(observations.of_echo(path, echoed))
    try:
        _read(answer, path, said)
    except ValueError as error:
        answer.gap = f"its lists are not usable: {error}"
    if not answer.gap and not any((*answer.lists.values(), answer.instructions)):
        answer.gap = EMPTY
    return answer


def _read(answer: Answer, path: str, said: Mapping[str, Any]) -> None:
    """Take the lists over; raise `DocumentError` for what no list may hold."""
    turns = [documents.read_document(turn) for turn in said["lists"][:2]]
    if instructions := "\n\n".join(_prose(said)):
        documents.read_document({"instructions": instructions})
        answer.instructions = instructions
    for kind in documents.LISTS:
        first, second = ([*(turn[kind] for turn in turns), [], []])[:2]
        added = _lacking(second, first)
        is_whole = len(turns) > 1 and not answer.gap
        removed = _lacking(first, second) if is_whole else []
        # what it showed only once is examined too
        answer.lists[kind] = [*first, *added]
        if added or removed:
            answer.observed.append(observations.of_change(path, kind, added, removed))


def _lacking(entries: list[Any], others: list[Any]) -> list[Any]:
    """Return those of `entries` that are not among `others`."""
    known = {json.dumps(each, sort_keys=True) for each in others}
    return [each for each in entries if json.dumps(each, sort_keys=True) not in known]


def _prose(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the server says for a model or its user to read, outside of lists."""
    instructions = said.get("instructions")
    if isinstance(instructions, str) and instructions:
        yield instructions
    yield from documents.own_words(said.get("about"))


def _texts(said: Mapping[str, Any]) -> list[Any]:
    return [said.get("instructions"), said.get("about")]


def without(value: Any, hidden: Mapping[str, str]) -> tuple[Any, list[str]]:
    """Return `value` with each hidden text named instead, and the names found in it."""
    forms = {form: name for text, name in hidden.items() for form in forms_of(text)}
    if not forms:
        return value, []
    longest_first = sorted(forms, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    found: set[str] = set()

    def named(match: re.Match[str]) -> str:
        found.add(forms[match.group()])
        return f"[the value of {forms[match.group()]}]"

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return pattern.sub(named, node)
        if isinstance(node, dict):
            return {walk(key): walk(child) for key, child in node.items()}
        if isinstance(node, int) and str(node) in forms:  # a PIN needs no quotes
            return pattern.sub(named, str(node))
        return [walk(child) for child in node] if isinstance(node, list) else node

    return walk(value), sorted(found)


def forms_of(text: str) -> Iterator[str]:
    """Yield a text as it is, in capitals, backwards, in hexadecimal and base64."""
    yield from (text, text.upper(), text[::-1], text.encode().hex())
    yield from in_base64(text.encode())


def merged(
    target: Target, answers: Mapping[str, Answer], bound: Mapping[str, Any]
) -> Target:
    """Return `target` with what its servers answered, by their names in its document.

    `bound` is what else its digest covers, so that it is not that of a document with
    the same lists that nobody asked for. Each server without all its lists is a gap.
    """
    document = dict(target.document or {})
    origins: dict[str, list[str]] = {kind: [] for kind in documents.LISTS}
    texts = [answer.instructions for answer in answers.values() if answer.instructions]
    document["instructions"] = "\n\n".join(texts) or None
    for kind in documents.LISTS:
        document[kind] = []
        for name, answer in answers.items():
            document[kind] += answer.lists.get(kind, [])
            origins[kind] += [name] * len(answer.lists.get(kind, []))
    observed = tuple(each for answer in answers.values() for each in answer.observed)
    try:
        documents.read_document(document)
    except ValueError as error:
        reason = f"the servers' lists together are not usable: {error}"
        gaps = _gaps(answers, document, reason)
        return replace(target, gaps=gaps, observed=observed)
    document["origins"] = origins
    return replace(
        target,
        elements=documents.elements_of(document),
        digest=hashlib.sha256(documents.canonical({**document, **bound})).hexdigest(),
        gaps=_gaps(answers, document),
        document=document,
        observed=observed,
    )


def _gaps(
    answers: Mapping[str, Answer], document: Mapping[str, Any], reason: str = ""
) -> tuple[Skipped, ...]:
    secrets = secrets_of(document)
    found = [(name, answer.gap or reason) for name, answer in answers.items()]
    return tuple(
        Skipped(f"servers/{name}", observations.shown(mask(gap, secrets)))
        for name, gap in found
        if gap
    )
