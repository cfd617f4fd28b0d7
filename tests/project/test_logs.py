"""Log lines: JSON, and `error` only where there is one."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from apikeys import keys
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
