"""Words of tools and files, made fit to be stored and shown."""

from __future__ import annotations

import re

MAX_LENGTH = 2_000
# Controls other than tab and line feed, lone surrogates (JSON can hold both, no
# database text can), and the marks that turn the direction of what follows.
UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: str, limit: int = MAX_LENGTH) -> str:
    """Return `text` without what cannot be stored, at most `limit` characters long."""
    kept = UNFIT.sub("\ufffd", text[: limit + 1])
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
