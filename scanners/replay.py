"""Runs mcp-checkpoint on lists that somebody submitted, without their server.

mcp-checkpoint reads tools only from a running MCP server. So this module has two
halves, both standard library only, both under the tool's own Python:

- started as a script it *is* such a server: it answers `tools/list` and
  `resources/list` with what stands in one JSON file, over stdio, and does nothing else;
- `main` starts the tool once for each file it is given, in a forked child because
  importing the tool costs more than most scans, and collects what the tool wrote.

No command of a submitted configuration is started: the tool gets that text with every
server `disabled` (see `adapters/mcp_checkpoint.py`), and the only command in the
configuration that it does start is this file.
"""

from __future__ import annotations

import io
import json
import os
import sys
from importlib import import_module
from pathlib import Path

# `typing` would be a fifth of what the server half takes to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

SERVER = "submitted"
LIST_KINDS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "prompts/list": "prompts",
    "resources/templates/list": "resourceTemplates",
}
METHOD_NOT_FOUND = -32601  # JSON-RPC 2.0, section 5.1
MAX_LOG_LINES = 50


def serve(lists: Mapping[str, Any], requests: TextIO, answers: TextIO) -> None:
    """Answer MCP requests, one JSON-RPC message a line, until there are no more."""
    for line in requests:
        request = json.loads(line)
        if "id" not in request:  # a notification
            continue
        answer = {"jsonrpc": "2.0", "id": request["id"], **_answer(lists, request)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(lists: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    method = request.get("method")
    if method == "initialize":
        return {
            "result": {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
                "serverInfo": {"name": SERVER, "version": "1"},
            }
        }
    if method == "ping":
        return {"result": {}}
    if method in LIST_KINDS:
        kind = LIST_KINDS[method]
        return {"result": {kind: lists.get(kind, [])}}
    return {"error": {"code": METHOD_NOT_FOUND, "message": "This server only replays."}}


def main() -> int:
    """Scan each file of the command line (`config-*.json`, `lists-*.json`) by itself.

    Writes `report.json`: `{"runs": [{"name", "exit_code", "report", "errors"}]}`, one
    run for each file in its order; `report` is the tool's own JSON or null, `errors`
    what it logged as such. Returns 0 when every run ended with exit code 0.
    """
    import_tool()
    runs = [_scan(Path(name).resolve()) for name in sys.argv[1:]]
    Path("report.json").write_text(json.dumps({"runs": runs}), "utf-8")
    return int(any(run["exit_code"] for run in runs))


def import_tool() -> None:
    """Import what every run needs, once, before the first fork."""
    for module in ("cli", "scanner", "run_checks", "baseline"):
        import_module(f"mcp_checkpoint.{module}")
    # Its threads race to compile these on first use: the losers see half a list, and
    # find less without a word, or None, and give up on the tool (2.1.1).
    for check in ("command_injection", "hardcoded_secrets"):
        import_module(f"mcp_checkpoint.scan_checks.{check}")._get_compiled_patterns()


def _scan(file: Path) -> dict[str, Any]:
    # A folder for each run: the tool loads a `baseline.json` from its working directory
    # by itself, and writes its log to `logs/` there.
    folder = file.with_suffix("")
    folder.mkdir()
    config = file
    if file.name.startswith("lists-"):
        config = folder / "config.json"
        replay = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(file)]
        server = {"command": replay[0], "args": replay[1:]}
        config.write_text(json.dumps({"mcpServers": {SERVER: server}}), "utf-8")
    exit_code = _forked(folder, config)
    return {
        "name": file.stem,
        "exit_code": exit_code,
        "report": _read_json(folder / "scan.json"),
        "errors": _logged_errors(folder / "logs" / "mcp_checkpoint.log"),
    }


def _forked(folder: Path, config: Path) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        sys.argv = ["mcp-checkpoint", "scan", "--config", str(config)]
        sys.argv += ["--report-type", "json", "--output", "scan.json"]
        os._exit(_call())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _call() -> int:
    """Call the tool as its console script does; return its exit code."""
    scan = import_module("mcp_checkpoint.cli").main
    # Its report for people is as long as the list, and nobody reads it.
    sys.stdout = io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8")
    try:
        scan()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
    return 0


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _logged_errors(path: Path) -> list[str]:
    """Return the messages that the tool logged as errors: it goes on after them."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ["no log was written"]
    errors = [
        line.partition(" - ERROR - ")[2] for line in lines if " - ERROR - " in line
    ]
    return errors[:MAX_LOG_LINES]


if __name__ == "__main__":
    serve(json.loads(Path(sys.argv[1]).read_bytes()), sys.stdin, sys.stdout)
