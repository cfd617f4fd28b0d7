"""One table of variables: what the settings read, the page and the example say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sentrascan_project import configuration
from sentrascan_project.variables import VARIABLES, Kind

ROOT = Path(__file__).resolve().parents[2]
# What stands for a variable in code: SENTRASCAN_ and the four of other programs' names.
NAME = re.compile(r"\"((?:SENTRASCAN|DATABASE|CELERY)_[A-Z0-9_]+)\"")
# Read by programs of ours, set by nobody but us and our tests.
INTERNAL = {"SENTRASCAN_MIGRATIONS"}


def code() -> list[Path]:
    rooms = ("sentrascan_project", "scans", "scanners", "apikeys", "deploy")
    return [path for room in rooms for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("path", configuration.PAGES, ids=lambda path: path.name)
def test_the_pages_say_what_the_table_says(path: Path) -> None:
    assert path.read_text() == configuration.PAGES[path](), "run `make docs`"


def test_a_stale_page_is_named_and_written_anew(monkeypatch, tmp_path, capsys) -> None:
    page = tmp_path / "page.md"
    page.write_text("as it was")
    monkeypatch.setattr(configuration, "PROJECT", tmp_path)
    monkeypatch.setattr(configuration, "PAGES", {page: lambda: "as it is"})
    assert configuration.main("--check") == 1
    assert page.read_text() == "as it was"
    assert configuration.main() == 0
    assert configuration.main("--check") == 0
    assert capsys.readouterr().out == "page.md\npage.md\n"
    assert page.read_text() == "as it is"


def test_every_variable_that_code_reads_is_in_the_table() -> None:
    read = {
        name.removesuffix("_FILE") if name.endswith("URL_FILE") else name
        for path in code()
        for name in NAME.findall(path.read_text())
    }
    # Celery's own settings have the same first word.
    named = {name for name in read if not name.startswith("CELERY_") or "URL" in name}
    assert named - INTERNAL <= set(VARIABLES)
    assert len(named) > 40


def test_every_variable_of_the_table_is_read_where_it_says() -> None:
    for one in VARIABLES.values():
        assert one.name in (ROOT / one.read_by).read_text(), one.name


def test_each_says_what_its_absence_means() -> None:
    for one in VARIABLES.values():
        assert one.meaning.endswith("."), one.name
        assert bool(one.default) != bool(one.unset), one.name
        assert one.unit or one.kind is not Kind.NUMBER or one.name.endswith("PORT")
        if one.kind is Kind.CHOICE:
            assert one.default in one.choices, one.name
        if one.kind is Kind.SWITCH and one.default:
            assert one.default in {"0", "1"}, one.name


def test_the_listed_values_change_nothing() -> None:
    """That is what a default is."""
    given = {name: one.default for name, one in VARIABLES.items() if one.default}
    assert len(given) > 15
    assert _settings(given) == _settings({})


def test_each_default_is_the_one_that_is_used() -> None:
    """Another number in the table is another setting: nothing stands in the code."""
    numbers = [one for one in VARIABLES.values() if one.kind is Kind.NUMBER]
    values = _settings({}).values()
    for one in numbers:
        assert one.default in values, one.name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRASCAN_PORT", "many"),
        ("SENTRASCAN_LOG_LEVEL", "LOUD"),
        ("SENTRASCAN_SANDBOX", "maybe"),
        ("SENTRASCAN_KEEP_AUDIT", "soon"),
        ("SENTRASCAN_SECRET_FILE", "/nowhere/to/be/found"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _settings({name: value})
    last = refused.value.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert name in last


def _settings(more: dict[str, str]) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "SENTRASCAN_SECRET": "x" * 50}
    code = (
        "import json\nfrom sentrascan_project import settings\n"
        "print(json.dumps({n: repr(v) for n, v in vars(settings).items()"
        " if n.isupper()}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **more},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    values: dict[str, str] = json.loads(result.stdout)
    return values
