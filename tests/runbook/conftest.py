"""One throwaway stack for all tests of a module."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runbook.stack import Stack, local_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack whose stores run, its database migrated, and nothing else started."""
    # Open to the user that PostgreSQL runs as, which pytest's own directories are not.
    root = Path(os.environ["SENTRASCAN_TEST_DIR"]) / f"stack-{uuid.uuid4().hex[:8]}"
    with local_stack(root) as made:
        made.migrate()
        yield made
