"""What an attacker does to a poisoned MCP document hides it from nobody.

Real tools in the real sandbox. Variants of one tool, prompt or resource share a run, as
elements of one document; those of a whole document have one each.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scanners.contract import Limits, Target
from scanners.workspace import WorkspaceError, from_document
from scans.choices import Verdict
from tests.scanners import mcp_samples
from tests.security import seeds
from tests.security.examining import broken_ways, decide, judge_elements, run_all
from tests.security.seeds import Seed

LIMITS = Limits(wall_seconds=600, cpu_seconds=600, memory_bytes=3 << 30)
CALM = "Returns the weather of a city, by its name."
PROSE = "The city is looked up in a list of all cities that this service knows. "

type Entry = dict[str, Any]


def nested(text: str, depth: int) -> Entry:
    schema: Entry = {"type": "string", "description": text}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"inner": schema}}
    return schema


def schema_of(**more: Any) -> Entry:
    return {"type": "object", "properties": {"city": {"type": "string", **more}}}


TOOLS: Mapping[str, Callable[[str], Entry]] = {
    "as it is": lambda text: {"description": text},
    "padded before": lambda text: {"description": PROSE * 300 + text},
    "padded behind": lambda text: {"description": text + " " + PROSE * 300},
    "blanks before": lambda text: {"description": " " * 50_000 + text},
    "lines before": lambda text: {"description": "\n" * 5_000 + text},
    "upper case": lambda text: {"description": text.upper()},
    "in a comment": lambda text: {"description": f"{CALM} <!-- {text} -->"},
    "in a code block": lambda text: {"description": f"{CALM}\n```\n{text}\n```"},
    "in a table": lambda text: {"description": f"| a | b |\n|---|---|\n| {text} | |"},
    "no name": lambda text: {"name": None, "description": text},
    "a long name": lambda text: {"name": "n" * 1000, "description": text},
    "a name with lines": lambda text: {"name": "a\nb\tc", "description": text},
    "a name of another script": lambda text: {
        "name": "погода",
        "description": text,
    },
    "in the title": lambda text: {"title": text},
    "in the annotations": lambda text: {"annotations": {"title": text}},
    "in the meta data": lambda text: {"_meta": {"vendor/note": text}},
    "in the schema": lambda text: {"inputSchema": schema_of(description=text)},
    "in a default": lambda text: {"inputSchema": schema_of(default=text)},
    "in a choice": lambda text: {"inputSchema": schema_of(enum=["a", text])},
    "in an example": lambda text: {"inputSchema": schema_of(examples=[text])},
    "deep in the schema": lambda text: {"inputSchema": nested(text, 12)},
    "in the output": lambda text: {"outputSchema": schema_of(description=text)},
    "in a field of its own": lambda text: {"x-vendor": {"notes": [text]}},
    "as a key": lambda text: {"inputSchema": {"type": "object", "properties": {
        text: {"type": "string"}}}},
}  # fmt: skip
PROMPTS: Mapping[str, Callable[[str], Entry]] = {
    "as it is": lambda text: {"description": text},
    "padded": lambda text: {"description": PROSE * 300 + text},
    "in the title": lambda text: {"title": text},
    "in an argument": lambda text: {"arguments": [{"name": "a", "description": text}]},
}
RESOURCES: Mapping[str, Callable[[str], Entry]] = {
    "as it is": lambda text: {"description": text},
    "padded": lambda text: {"description": PROSE * 300 + text},
    "in the title": lambda text: {"title": text},
    "in the name": lambda text: {"name": text},
    "in the annotations": lambda text: {"annotations": {"note": text}},
}

# To write anything so is a finding by itself.
HIDING = {"blanks before", "lines before", "a name with lines"}


def variants(text: str) -> dict[str, list[Entry]]:
    """Return lists in which each entry holds `text` somewhere else."""
    return {
        "tools": [
            {**mcp_samples.tool(f"weather_{number}", CALM), **vary(text)}
            for number, vary in enumerate(TOOLS.values())
        ],
        "prompts": [
            {"name": f"ask_{number}", "description": CALM, **vary(text)}
            for number, vary in enumerate(PROMPTS.values())
        ],
        "resources": [
            {"uri": f"weather://{number}", "name": f"w{number}", **vary(text)}
            for number, vary in enumerate(RESOURCES.values())
        ],
    }


def fetched(directory: Path, raw: bytes) -> Target:
    directory.chmod(0o755)
    (directory / "run").mkdir()
    return from_document(raw, directory)


@pytest.mark.slow
def test_wherever_a_poisoned_text_stands_its_element_fails(tmp_path: Path) -> None:
    lists = variants(mcp_samples.POISON)
    target = fetched(tmp_path, json.dumps(lists).encode())
    outcomes = run_all(target, tmp_path / "run", LIMITS)
    judged = judge_elements(target, outcomes)
    ways = [*TOOLS, *PROMPTS, *RESOURCES]
    assert len(judged) == len(ways)
    verdicts = dict(zip(ways, (each.verdict for each in judged.values()), strict=True))
    assert [way for way, found in verdicts.items() if found is Verdict.PASS] == []
    assert verdicts["as it is"] is Verdict.FAIL
    for broken in broken_ways(outcomes):
        found = judge_elements(target, broken)
        assert [p for p, each in found.items() if each.verdict is Verdict.PASS] == []


@pytest.mark.slow
def test_wherever_a_harmless_text_stands_its_element_does_not_fail(
    tmp_path: Path,
) -> None:
    target = fetched(tmp_path, json.dumps(variants(CALM)).encode())
    outcomes = run_all(target, tmp_path / "run", LIMITS)
    judged = judge_elements(target, outcomes).values()
    failed = {
        way: each.reasons
        for way, each in zip([*TOOLS, *PROMPTS, *RESOURCES], judged, strict=True)
        if each.verdict is Verdict.FAIL
    }
    assert failed.keys() <= HIDING, failed


# Of a whole document


def answer(document: Mapping[str, Any]) -> Any:
    """Return its lists as a server answers with them, None where there are others."""
    lists = {key: value for key, value in document.items() if value}
    if lists.keys() & {"config", "instructions"}:
        return None
    return {"jsonrpc": "2.0", "id": 1, "result": lists}


def elsewhere(document: Mapping[str, Any], *keys: str) -> Any:
    """Return its configuration as another client's settings file."""
    if not document["config"]:
        return None
    value = document["config"]["mcpServers"]
    for key in reversed(keys):
        value = {key: value}
    return value


def crowd(document: Mapping[str, Any]) -> Any:
    harmless = [mcp_samples.tool(f"tool_{number}", CALM) for number in range(300)]
    return {**document, "tools": [*harmless, *document["tools"], *harmless]}


def encoded(value: Any, change: Callable[[bytes], bytes] = bytes) -> bytes | None:
    return None if value is None else change(json.dumps(value).encode())


def escaped(raw: bytes) -> bytes:
    """Write every letter of every text as its number, which JSON permits."""

    def numbers(value: Any) -> str:
        if isinstance(value, str):
            return '"' + "".join(f"\\u{ord(char):04x}" for char in value) + '"'
        if isinstance(value, list):
            return f"[{','.join(map(numbers, value))}]"
        if isinstance(value, dict):
            pairs = (f"{numbers(k)}:{numbers(v)}" for k, v in value.items())
            return f"{{{','.join(pairs)}}}"
        return json.dumps(value)

    return numbers(json.loads(raw)).encode()


type Mutation = Callable[[Mapping[str, Any]], bytes | None]
DOCUMENTS: dict[str, Mutation] = {
    "none": encoded,
    "cut-50%": lambda d: encoded(d, lambda raw: raw[: len(raw) // 2]),
    "cut-1-byte": lambda d: encoded(d, lambda raw: raw[:-1]),
    "padded-64-MB": lambda d: encoded(d, lambda raw: b" " * (64 << 20) + raw),
    "bom": lambda d: encoded(d, lambda raw: b"\xef\xbb\xbf" + raw),
    "utf-16": lambda d: encoded(d, lambda raw: raw.decode().encode("utf-16")),
    "gz": lambda d: encoded(d, gzip.compress),
    "escaped": lambda d: encoded(d, escaped),
    "two": lambda d: encoded(d, lambda raw: raw + b"\n" + raw),
    "in-a-crowd": lambda d: encoded(crowd(d)),
    "answer": lambda d: encoded(answer(d)),
    "bare-servers": lambda d: encoded(elsewhere(d)),
    "vs-code": lambda d: encoded(elsewhere(d, "servers")),
    "vs-code-settings": lambda d: encoded(elsewhere(d, "mcp", "servers")),
    "zed": lambda d: encoded(elsewhere(d, "context_servers")),
    "wrapped": lambda d: encoded({"config": {"deep": {"er": elsewhere(d)}}}),
}
# Those of `make test`; all of them are in `make test-slow`.
FEW = (
    *(("mcp-tool", "escaped"), ("mcp-prompt", "answer"), ("mcp-resource", "cut-50%")),
    *(("mcp-config-secret", "vs-code-settings"), ("mcp-instructions", "in-a-crowd")),
)


def verdict_of(directory: Path, seed: Seed, mutation: str) -> Verdict | None:
    """Return the verdict, None for what is no document: the door answers 400."""
    raw = DOCUMENTS[mutation](seed.document or {})
    if raw is None:
        return None
    try:
        target = fetched(directory, raw)
    except WorkspaceError:
        return None
    outcomes = run_all(target, directory / "run", LIMITS)
    for broken in broken_ways(outcomes):
        assert decide(target, broken).verdict is not Verdict.PASS
    return decide(target, outcomes).verdict


def seed_called(name: str) -> Seed:
    return next(each for each in seeds.malicious_documents() if each.name == name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mutation"), FEW)
def test_a_mutated_document_does_not_pass(
    tmp_path: Path, name: str, mutation: str
) -> None:
    wanted = None if mutation.startswith("cut") else Verdict.FAIL
    assert verdict_of(tmp_path, seed_called(name), mutation) is wanted


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", seeds.malicious_documents(), ids=str)
def test_no_mutation_of_a_document_passes(tmp_path: Path, seed: Seed) -> None:
    found = {}
    for mutation in DOCUMENTS:
        directory = tmp_path / mutation
        directory.mkdir()
        found[mutation] = verdict_of(directory, seed, mutation)
    assert [name for name, each in found.items() if each is Verdict.PASS] == []
    assert found["none"] is Verdict.FAIL
