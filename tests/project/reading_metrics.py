"""Reads what `/metrics` answers, with the library's own parser."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

type Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return every number by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: Any) -> float:
    """Return the one number of this name and these labels."""
    key = (name, frozenset((k, str(v)) for k, v in labels.items()))
    assert key in found, f"{name} {labels} is not among {sorted(n for n, _ in found)}"
    return found[key]
