"""The server that only replays a list."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanners import replay
from tests.scanners.mcp_samples import MANY

LISTS = {"tools": MANY["tools"], "resources": MANY["resources"]}


def ask(tmp_path: Path, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    (tmp_path / "lists.json").write_text(json.dumps(LISTS))
    done = subprocess.run(
        [sys.executable, "-I", "-S", replay.__file__, str(tmp_path / "lists.json")],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(number: int, method: str, **parameters: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}


def test_it_speaks_the_version_that_it_is_spoken_to_in(tmp_path: Path) -> None:
    (answer,) = ask(tmp_path, request(1, "initialize", protocolVersion="2025-06-18"))

    assert answer["id"] == 1
    assert answer["result"]["protocolVersion"] == "2025-06-18"


def test_it_replays_what_was_submitted_and_is_silent_on_notifications(
    tmp_path: Path,
) -> None:
    answers = ask(
        tmp_path,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request(2, "tools/list"),
        request(3, "resources/list"),
        request(4, "prompts/list"),
        request(5, "resources/templates/list"),
        request(6, "ping"),
    )

    assert [answer["id"] for answer in answers] == [2, 3, 4, 5, 6]
    assert answers[0]["result"]["tools"] == MANY["tools"]
    assert answers[1]["result"]["resources"] == MANY["resources"]
    assert answers[2]["result"] == {"prompts": []}


@pytest.mark.parametrize("method", ["tools/call", "resources/read", "prompts/get"])
def test_it_does_nothing_else(method: str, tmp_path: Path) -> None:
    (answer,) = ask(tmp_path, request(1, method, name="add", uri="file:///etc/passwd"))

    assert answer["error"]["code"] == replay.METHOD_NOT_FOUND
    assert "result" not in answer
