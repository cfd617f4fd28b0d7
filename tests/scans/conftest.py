"""Installations that are backed up once, for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scans.installations import POSTGRESQL, SQLITE, Installation, installation

VENDORS = [POSTGRESQL, SQLITE]


@pytest.fixture(scope="session")
def origins(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Installation, Path, dict[str, Any]]]]:
    """For each database a filled installation, its backup, and its rows then.

    Nobody changes it: what is tried on it must be refused.
    """
    with (
        installation(POSTGRESQL, tmp_path_factory.mktemp("origin-p")) as postgres,
        installation(SQLITE, tmp_path_factory.mktemp("origin-s")) as sqlite,
    ):
        made = {}
        for one in (postgres, sqlite):
            one.fill()
            rows = one.tables()
            file = tmp_path_factory.mktemp("backups") / f"{one.vendor}.zip"
            one.done("backup", file)
            made[one.vendor] = (one, file, rows)
        yield made


@pytest.fixture(params=VENDORS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    with installation(request.param, tmp_path / "empty") as one:
        yield one


@pytest.fixture(params=VENDORS)
def keyed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """One with an API key called `mine`, and nothing else."""
    with installation(request.param, tmp_path / "keyed", has_key=True) as one:
        yield one
