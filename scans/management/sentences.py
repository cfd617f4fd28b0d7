"""Messages of failures as sentences for people."""

from __future__ import annotations


def sentence(error: Exception) -> str:
    """Return the message with a capital and a full stop; a file keeps its name."""
    text = " ".join(str(error).split()).rstrip(".")
    first = text.partition(" ")[0]
    return f"{text[:1].upper() if first.isalpha() else text[:1]}{text[1:]}."
