"""What several tests of scanners begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme

from scanners.runner import Tool

from .laboratory import Lab, opened


@pytest.fixture
def lab(
    tools: dict[str, Tool], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A place to start servers in."""
    with opened(tools, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """An authority that nobody knows but who is told."""
    return trustme.CA()
