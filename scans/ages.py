"""Lengths of time as people write them: 12h, 90d, 8w."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=36_500)
_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def read_age(text: str) -> timedelta:
    """Return the length; raise `ValueError` for anything else."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no age such as 90d, 12h or 8w")
    length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not timedelta(0) < length <= LONGEST:
        raise ValueError(f"{text} is not between an hour and 100 years")
    return length
