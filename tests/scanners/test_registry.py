"""How adapters become known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from scanners import adapters
from scanners.adapters.modelaudit import ModelAudit
from scanners.contract import TargetKind
from scanners.registry import SCANNERS, load_adapters, register, scanners_for


@pytest.fixture
def extra_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for one more adapter, as if it lay in the folder of adapters."""
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(tmp_path)])
    yield tmp_path / "extra.py"
    sys.modules.pop("scanners.adapters.extra", None)


def test_it_finds_every_adapter_by_its_folder() -> None:
    load_adapters()
    names = {"modelaudit", "mcp-checkpoint", "cisco-scanner", "sentrascan-files"}
    assert names <= SCANNERS.keys()
    assert all(scanner.name == name for name, scanner in SCANNERS.items())


def test_it_answers_the_scanners_of_a_kind_in_a_stable_order() -> None:
    load_adapters()
    names = [scanner.name for scanner in scanners_for(TargetKind.MODEL)]
    assert names == sorted(names)
    assert {"modelaudit", "sentrascan-files"} <= set(names)
    assert "cisco-scanner" not in names


@pytest.mark.parametrize("source", ["import nothing_of_that_name", "not python at all"])
def test_a_broken_adapter_stops_the_start(extra_adapter: Path, source: str) -> None:
    extra_adapter.write_text(source)
    with pytest.raises((ImportError, SyntaxError)):
        load_adapters()


def test_it_refuses_two_scanners_of_one_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="modelaudit"):
        register(type("Twin", (ModelAudit,), {}))
    assert type(SCANNERS["modelaudit"]) is ModelAudit


def test_it_refuses_a_scanner_without_a_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="no name"):
        register(type("Nameless", (ModelAudit,), {"name": ""}))
