"""Log lines: one JSON object each, safe to grep.

The word `error`, in any case, stands only in lines of level ERROR and above, so that
`grep -i error` over a service's log tells the truth (CONTRACT, Logs). Texts of other
people hold it too (an exception's class, a file's name); below ERROR it is cut to
`err.`, which a reader still understands.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from scanners.mcp_rules.tokens import may_hold_one, without_tokens

# Bound by the middleware for a request, and by the worker for a task.
request_id: ContextVar[str] = ContextVar("request_id", default="")
scan_id: ContextVar[str] = ContextVar("scan_id", default="")

_WORD = re.compile(r"(err)or", re.IGNORECASE)
# Keys in any text that reaches a line: the form is ours (apikeys.keys), so it is known.
_API_KEY = re.compile(r"(ssk_[0-9A-Za-z]{8}_)[0-9A-Za-z]{20,}")
# What `logger.info(..., extra={...})` may add; all else that a record carries is noise.
EXTRAS = (
    "method",
    "path",
    "status",
    "duration_ms",
    "scan_id",
    "scanner",
    "error",
    "trace_id",
)


class JsonFormatter(logging.Formatter):
    """`ts level logger message`, then `request_id`, `scan_id` where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, bound in (("request_id", request_id), ("scan_id", scan_id)):
            if value := bound.get():
                line[name] = value
        line |= {name: getattr(record, name) for name in EXTRAS if name in vars(record)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        # The last line of defence: who logs takes care, and a library does not know.
        # Most lines hold nothing like a token, and pay for no search of each value.
        if may_hold_one(" ".join(map(str, line.values()))):
            line = {name: _without_tokens(value) for name, value in line.items()}
        text = _dumped(line)
        return text if record.levelno >= logging.ERROR else _WORD.sub(r"\1.", text)


def _without_tokens(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return without_tokens(_API_KEY.sub(r"\1[masked]", str(value)))


def _dumped(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str).decode()
    except orjson.JSONEncodeError:
        pass  # a lone surrogate (an undecodable file name) must not cost us the line
    clean = {
        key: value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, str)
        else value
        for key, value in line.items()
    }
    return orjson.dumps(clean, default=str).decode()


def configuration(level: str) -> dict[str, Any]:
    """Return Django's LOGGING: everything from `level` up, to the standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "sentrascan_project.logs.JsonFormatter"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
        },
        # What comes and goes every ten seconds is no news.
        "loggers": {
            name: {"level": "WARNING"}
            for name in (
                "celery.beat",
                "celery.worker.strategy",
                "celery.app.trace",
                # They write whole addresses, and headers at DEBUG.
                "httpx",
                "httpcore",
                "botocore",
            )
        },
        "root": {"handlers": ["stderr"], "level": level},
    }
