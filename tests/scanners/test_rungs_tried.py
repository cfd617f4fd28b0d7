"""A rung of the sandbox that no test has tried is said, and in CI it is no excuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scanners.sandbox import Rung
from tests import conftest

from . import standin


@pytest.fixture
def without_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("PATH", str(tmp_path))
    standin._no_bubblewrap.cache_clear()
    yield
    standin._no_bubblewrap.cache_clear()


@pytest.mark.usefixtures("without_bubblewrap")
def test_a_bubblewrap_that_is_only_not_installed_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "true")
    # A skip that nobody catches would skip this test too.
    ends = (pytest.fail.Exception, pytest.skip.Exception)
    with pytest.raises(ends, match="apt-get install bubblewrap") as ended:
        standin.need(Rung.BUBBLEWRAP)
    assert ended.type is pytest.fail.Exception


@pytest.mark.usefixtures("without_bubblewrap")
def test_elsewhere_it_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception) as skipped:
        standin.need(Rung.BUBBLEWRAP)
    assert str(skipped.value) == (
        f"{standin.NOT_TRIED} bubblewrap: bubblewrap is not installed"
    )


def test_the_end_of_a_run_names_each_rung_that_was_skipped() -> None:
    reason = f"Skipped: {standin.NOT_TRIED} landlock: this kernel has no Landlock"
    skips = [SimpleNamespace(longrepr=("x.py", 1, reason))] * 3
    skips.append(SimpleNamespace(longrepr=("x.py", 2, "Skipped: of no interest")))
    lines: list[str] = []

    def write_line(line: str, **markup: bool) -> None:
        assert markup == {"red": True, "bold": True}
        lines.append(line)

    reporter: Any = SimpleNamespace(stats={"skipped": skips}, write_line=write_line)
    conftest.pytest_terminal_summary(reporter)
    assert lines == [
        "RUNG NOT TRIED  landlock: this kernel has no Landlock (3 tests skipped)"
    ]
