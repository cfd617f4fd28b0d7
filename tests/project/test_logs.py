"""Log lines: JSON, and `error` only where there is one."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from apikeys import keys
from scanners.mcp_rules.tokens import may_hold_one
from sentrascan_project import logs

FORMATTER = logs.JsonFormatter()


def line(level: int, message: str, *args: Any, **more: Any) -> str:
    extra = more.pop("extra", {})
    record = logging.LogRecord("a.b", level, "f.py", 1, message, args, **more)
    vars(record).update(extra)
    return FORMATTER.format(record)


DEFAULT: dict[str, Any] = {"exc_info": None}


def test_a_line_is_one_json_object() -> None:
    text = line(logging.INFO, "Scan %s\nof %r", 7, "x", **DEFAULT)
    assert "\n" not in text
    found = json.loads(text)
    assert found["level"] == "INFO"
    assert found["logger"] == "a.b"
    assert found["message"] == "Scan 7\nof 'x'"
    assert found["ts"].endswith("+00:00")


def test_bound_ids_are_in_the_line() -> None:
    request, scan = logs.request_id.set("r1"), logs.scan_id.set("s1")
    found = json.loads(line(logging.INFO, "x", **DEFAULT))
    logs.request_id.reset(request)
    logs.scan_id.reset(scan)
    assert (found["request_id"], found["scan_id"]) == ("r1", "s1")
    assert "request_id" not in json.loads(line(logging.INFO, "x", **DEFAULT))


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
@pytest.mark.parametrize("word", ["error", "Error", "ERROR", "IOError", "terrors"])
def test_below_error_the_word_is_cut(level: int, word: str) -> None:
    extra = {"path": f"/a/{word}", "error": word}
    text = line(level, "got %s", word, extra=extra, **DEFAULT)
    assert "error" not in text.lower()
    assert "err." in json.loads(text)["message"].lower()


def test_a_trace_below_error_is_cut_too() -> None:
    try:
        raise ConnectionError("error")
    except ConnectionError:
        text = line(logging.WARNING, "x", exc_info=sys.exc_info())
    assert "error" not in text.lower()
    assert "Connectionerr." in text or "ConnectionErr." in text


def test_an_error_says_so() -> None:
    extra = {"scanner": "modelaudit", "error": "it crashed", "scan_id": "s"}
    found = json.loads(line(logging.ERROR, "run", extra=extra, **DEFAULT))
    assert (found["level"], found["error"]) == ("ERROR", "it crashed")
    assert found["scanner"] == "modelaudit"


def test_no_key_is_ever_written() -> None:
    plain = keys.generate()
    for level in (logging.INFO, logging.ERROR):
        text = line(level, "key %s", plain.text, **DEFAULT)
        assert plain.secret not in text
        assert plain.public_id in text


def test_what_is_not_utf8_or_json_costs_no_line() -> None:
    extra = {"path": "a\udcff", "status": object()}
    found = json.loads(line(logging.INFO, "b\ud800", extra=extra, **DEFAULT))
    assert found["message"] == "b\\ud800"


def test_a_token_of_a_known_format_is_masked_whoever_logs_it() -> None:
    token = "ghp_" + "k7Xw2QpLz9RtVb4NmYc8HsDf3GjTa6EuQ1Zo"
    try:
        raise ValueError(f"bad header: {token}")
    except ValueError:
        text = line(logging.ERROR, "got %s", token, exc_info=sys.exc_info())
    assert token not in text
    assert "ValueError" in json.loads(text)["trace"]


class Failure:
    """What a library may log: an object whose text holds a token."""

    def __str__(self) -> str:
        return f"no entry with {TOKEN}"


TOKEN = "ghp_" + "k7Xw2QpLz9RtVb4NmYc8HsDf3GjTa6EuQ1Zo"


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        (f"first\n{TOKEN}", {}),
        ("x", {"path": f"/scans/{TOKEN}", "status": 404, "duration_ms": 1.5}),
        ("x", {"error": Failure()}),
    ],
)
def test_a_token_is_masked_wherever_it_stands(
    message: str, extra: dict[str, Any]
) -> None:
    text = line(logging.INFO, message, extra=extra, **DEFAULT)
    assert TOKEN not in text
    assert "ghp_********" in text
    assert json.loads(text).get("status") == extra.get("status")


def test_the_line_of_an_ordinary_request_is_not_searched_for_tokens() -> None:
    """The search takes ten times as long as all the rest of a line."""
    digest = "a88a7902cb4ef697ba0b6759c50e8c10297ff58f942243de19b984841bfe1f73"
    for path in ("/api/v1/scans", f"/api/v1/verdicts/sha256:{digest}"):
        said = f"2026-11-27T23:13:55.407+00:00 INFO sentrascan.request GET {path} 200"
        assert not may_hold_one(f"{said} 01a21f496cb970e98ffa037480f9d7dc GET {path}")
