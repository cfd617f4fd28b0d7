"""What several tests of scanners begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme

from scanners.runner import Tool

from .inquiring import Desk, desk_of
from .laboratory import Lab, opened


@pytest.fixture
def lab(
    tools: dict[str, Tool], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A place to start servers in."""
    with opened(tools, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def desk(
    tools: dict[str, Tool], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A place to ask far servers from."""
    with desk_of(tools["mcp-checkpoint"], tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """An authority that nobody knows but who is told."""
    return trustme.CA()
