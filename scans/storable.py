"""What tools and strangers wrote, made fit for every database. Pure."""

from __future__ import annotations

from typing import Any


def text(value: str) -> str:
    """Return `value` without NUL and lone surrogates: PostgreSQL takes neither."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def json_value(value: Any) -> Any:
    """Return `value` as JSON that every database takes; keys become texts."""
    match value:
        case str():
            return text(value)
        case dict():
            return {text(str(key)): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)  # neither NaN nor infinity is JSON
    return value
