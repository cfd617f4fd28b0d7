"""Text that XML 1.0 can carry: what it has no place for is written as an escape."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

# Production [2] of XML 1.0: no escape of XML can bring any other character along.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def content(text: str) -> str:
    return escape(_carried(text))


def attributes(values: dict[str, object]) -> str:
    """Return ` name="value"` for each; line breaks survive as references."""
    spaced = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    return "".join(
        f" {name}={quoteattr(_carried(str(value)), spaced)}"
        for name, value in values.items()
    )


def _carried(text: str) -> str:
    return _NO_CHARACTER.sub(lambda match: ascii(match[0])[1:-1], text)
