"""The house's rules that a machine can check and no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands
from django.db import connection

from scanners.install import OWN_VERSION
from scanners.registry import SCANNERS
from tests.house import PROJECT, breaches, python_files

LOCKS = [*PROJECT.glob("requirements*.txt"), *PROJECT.glob("scanners/locks/*.txt")]
# What is ours to commit in reports and locks must not tell where it was made.
MACHINE = re.compile(r"/work/|/root/|/tmp/[a-z]|/home/[a-z]")
# Put together here: written out, each would be such a mark itself.
MARKS = [
    f"# {words}"
    for words in (
        "noqa",
        "noqa: S608",
        "noqa: S608, E501",
        "type: ignore",
        "type: ignore[misc, override]",
        "pragma: no cover",
    )
]
NO_REASON = "gives no reason"
KINDS_OF_REPORT = {"empty", "one", "many", "broken"}


def test_files_functions_and_names_keep_the_limits():
    assert breaches() == []


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        ("scans/long.py", "x = 1\n" * 401, "scans/long.py: 401 lines, at most 400"),
        (
            "scans/f.py",
            "def f():\n" + "    x = 1\n" * 40,
            "scans/f.py:1: f has 41 lines, at most 40",
        ),
        ("scans/utils.py", "", "scans/utils.py: a name that says nothing"),
        (
            "scans/common/rows.py",
            "",
            "scans/common/rows.py: a name that says nothing",
        ),
        *(
            ("scans/f.py", f"x = 1  {mark}\n", f"scans/f.py:1: {mark} {NO_REASON}")
            for mark in MARKS
        ),
    ],
)
def test_it_sees_what_breaks_the_limits(
    tmp_path: Path, name: str, text: str, breach: str
):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert breaches(tmp_path) == [breach]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_says_why_is_allowed(tmp_path: Path, mark: str):
    (tmp_path / "scans").mkdir()
    lines = [f"x = 1  {mark} - our own name", f"x = 1  {mark}  # see above"]
    lines += [f'x = """{mark}"""', f"# {mark.lstrip('# ')[:4]} is a word as others"]
    (tmp_path / "scans" / "gate.py").write_text("\n".join(lines) + "\n")
    assert breaches(tmp_path) == []


def test_limits_themselves_are_allowed(tmp_path: Path):
    (tmp_path / "scans").mkdir()
    function = "def f():\n" + "    x = 1\n" * 39
    (tmp_path / "scans" / "gate.py").write_text(function * 10)
    assert breaches(tmp_path) == []


@pytest.mark.django_db
def test_no_migration_is_missing():
    said = StringIO()
    try:
        call_command("makemigrations", "--check", "--dry-run", stdout=said)
    except SystemExit:
        pytest.fail(said.getvalue())


def own_commands() -> list[str]:
    rooms = {"apikeys", "scanners", "scans", "sentrascan_project"}
    return sorted(name for name, app in get_commands().items() if app in rooms)


@pytest.mark.parametrize("command", own_commands())
def test_every_command_is_tested(command: str):
    calls = re.compile(rf"""["'\s]{re.escape(command)}["'\s]""")
    tested = [
        path
        for path in python_files(PROJECT)
        if path.name.startswith("test_")
        and path != Path(__file__)
        and calls.search(_strings(path))
    ]
    assert tested, f"no test calls {command}"


@cache
def _strings(path: Path) -> str:
    """Return every text of a file, so that a name in a comment is no test."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return " " + "  ".join(texts) + " "


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_every_adapter_has_golden_reports(name: str):
    reports = PROJECT / "tests" / "scanners" / "reports" / name
    stems = {path.name.partition(".")[0] for path in reports.glob("*")}
    missing = {
        kind for kind in KINDS_OF_REPORT if not any(kind in stem for stem in stems)
    }
    assert not missing


def test_golden_reports_do_not_tell_where_they_were_made():
    reports = PROJECT / "tests" / "scanners" / "reports"
    telling = [
        str(path.relative_to(PROJECT))
        for path in reports.rglob("*")
        if path.is_file() and MACHINE.search(path.read_text(errors="replace"))
    ]
    assert telling == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_name_no_registry_and_hash_every_package(lock: Path):
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text)
    packages = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    assert packages
    for package in packages:
        assert re.match(r"\S+==\S+", package), package
        assert "--hash=sha256:" in package, package


def test_every_direct_need_has_a_reason():
    needs = (PROJECT / "requirements.in").read_text().splitlines()
    needs += (PROJECT / "requirements-dev.in").read_text().splitlines()
    assert [need for need in needs if "#" not in need] == ["-c requirements.txt"]


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == settings.VERSION == OWN_VERSION


@pytest.mark.sqlite
@pytest.mark.django_db
def test_sqlite_writes_ahead_so_that_readers_do_not_wait():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL needs no setting for it")
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
