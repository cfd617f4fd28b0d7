"""What is told of a started MCP server: rules `MCP-RUNTIME-0nn` of `sentrascan-mcp`.

Pure. All that is read here comes from the server in the end, so every field may be of
any type and any text may be hostile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scanners.contract import Observed

ECHO = "MCP-RUNTIME-001"
CHANGE = "MCP-RUNTIME-002"
WRITTEN = "MCP-RUNTIME-003"
LIMIT = "MCP-RUNTIME-004"
FLOOD = "MCP-RUNTIME-005"
SILENCE = "MCP-RUNTIME-006"
NOISE = "MCP-RUNTIME-007"
LEFT = "MCP-RUNTIME-008"
DEAF = "MCP-RUNTIME-009"
ASKED = "MCP-RUNTIME-010"
CONTACTED = "MCP-RUNTIME-011"
INNER = "MCP-RUNTIME-012"
REFUSED = "MCP-RUNTIME-013"
SENT = "MCP-RUNTIME-014"

_FAULTS = {"flood": FLOOD, "timeout": SILENCE, "malformed": NOISE}
_MAX_SHOWN = 300
_PLACES = {
    CONTACTED: "it contacted",
    INNER: "it tried to reach a place that is not the internet:",
    REFUSED: "it tried to reach a place that it may not:",
}


def of_limit(path: str, limit: str, sentence: str) -> Observed:
    """Return what a run that was killed for `limit` shows."""
    if limit == "time":
        return Observed(SILENCE, path, sentence, limit)
    code = FLOOD if limit in {"output", "hidden"} else LIMIT
    return Observed(code, path, sentence, limit)


def of_echo(path: str, names: Sequence[str]) -> Observed:
    given = shown(", ".join(names))
    text = (
        f"What it lists or says of itself holds the value that it was given as {given}"
    )
    return Observed(ECHO, path, text, given)


def of_change(
    path: str, kind: str, added: Sequence[Any], removed: Sequence[Any]
) -> Observed:
    names = sorted({_name(entry) for entry in (*added, *removed)})
    text = f"Asked twice for its {kind}, it gave two answers: {shown(', '.join(names))}"
    return Observed(CHANGE, path, text, kind)


def of_conduct(path: str, said: Mapping[str, Any]) -> Iterator[Observed]:
    """Yield what the client saw beside the lists."""
    kind, detail = _fault(said)
    if kind in _FAULTS:
        yield Observed(_FAULTS[kind], path, f"Asked for its lists, {detail}", kind)
    if said.get("noise") and kind != "malformed":
        sample = shown(_text(said, "sample"))
        text = f"It wrote what is no message of the protocol: {sample}"
        yield Observed(NOISE, path, text, "noise")
    if names := _names(said, "written"):
        text = f"Only asked for its lists, it wrote files: {names}"
        yield Observed(WRITTEN, path, text, "written")
    if names := _names(said, "asked"):
        text = f"Only asked for its lists, it sent requests of its own: {names}"
        yield Observed(ASKED, path, text, names)
    if said.get("has_left"):
        text = "It ended and left processes running behind it"
        yield Observed(LEFT, path, text, "left")
    if said.get("is_deaf"):
        text = "It went on after its input had ended, which is how a client ends it"
        yield Observed(DEAF, path, text, "deaf")


def of_traffic(
    path: str, places: Mapping[str, Sequence[str]], sent: Sequence[str], excess: str
) -> Iterator[Observed]:
    """Yield what its proxy saw of a server that had one.

    `places` are those it asked for, by the rule that says what became of it.
    """
    for code, words in _PLACES.items():
        for place in places[code]:
            name = shown(place)
            yield Observed(code, path, f"Before any call {words} {name}", name)
    if sent:
        given = shown(", ".join(sent))
        text = f"It sent out the value that it was given as {given}"
        yield Observed(SENT, path, text, given)
    if excess:
        text = f"It asked its proxy for more {excess} than a server may"
        yield Observed(FLOOD, path, text, f"network {excess}")


def of_excess(path: str, what: str) -> Observed:
    text = f"Asked for its lists, it took more {what} than a server may"
    return Observed(FLOOD, path, text, f"network {what}")


def gap_of(said: Mapping[str, Any]) -> str:
    """Return why the lists are not whole, "" if they are."""
    kind, detail = _fault(said)
    if not kind:
        lists = said.get("lists")
        is_whole = isinstance(lists, list) and len(lists) == 2
        return "" if is_whole else "its lists are not whole"
    words = _text(said, "said").splitlines()
    last = f"; it said: {words[-1]}" if words and kind == "closed" else ""
    is_ours = "said" in said  # a process that we started
    return f"it was started, but {detail}{shown(last)}" if is_ours else detail


def _fault(said: Mapping[str, Any]) -> tuple[str, str]:
    fault = said.get("fault")
    if not fault:
        return "", ""
    if isinstance(fault, list) and len(fault) == 2 and isinstance(fault[0], str):
        return fault[0], shown(str(fault[1]))
    return "unknown", "its answer cannot be read"


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    return value.strip() if isinstance(value, str) else ""


def _names(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    names = value if isinstance(value, list) else []
    return shown(", ".join(sorted({str(name) for name in names})))


def _name(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return "?"
    return str(entry.get("name") or entry.get("uri") or entry.get("uriTemplate"))


def shown(text: str) -> str:
    """Return what may stand in a sentence: short, and of printable characters."""
    short = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return "".join(char if char.isprintable() else "?" for char in short)
