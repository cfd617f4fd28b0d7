"""`target`, by its real door: arguments, output and exit codes."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from scans.management.commands.target import Command
from scans.models import Baseline, Scan, Target
from tests.scans.api_samples import BEGIN, make_scan, remember

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def target(*arguments: str) -> str:
    out = StringIO()
    call_command("target", *arguments, stdout=out)
    return out.getvalue()


def made(name: str = "it", scan_type: str = "model") -> Target:
    return Target.objects.create(scan_type=scan_type, name=name)


def scan_of(one: Target, minutes: int, **more: Any) -> Scan:
    kind = {"target": one.name, "target_record": one, "scan_type": one.scan_type}
    scan = make_scan(minutes=minutes, **kind, **more)
    at = {"last_scan_at": scan.created_at, "last_scan_id": scan.pk}
    Target.objects.filter(pk=one.pk).update(**at)
    return scan


def test_the_list_tells_what_came_of_each_target():
    one = made("b\x1b[2Jad.pkl")
    scan_of(one, 1, verdict="fail", total_findings=4, new_findings=1)
    made("never", "mcp")
    head, *lines = target("list").splitlines()
    assert head.split()[:2] == ["VERDICT", "TYPE"]
    words = [line.split() for line in lines]
    # The last scanned first; one that never was has the moment of its making.
    assert ["-", "mcp", "-", "-", "-", "-", "never"] in words
    told = ["fail", "model", "2026-01-01", "00:01Z", "4", "1", "0", "b\\x1b[2Jad.pkl"]
    assert told in words
    assert target("list", "--q", "AD.P").count("\n") == 2
    assert "never" not in target("list", "--type", "model")
    assert target("list", "--q", "nothing") == "There is no such target.\n"
    rows = json.loads(target("list", "--json"))
    assert {row["name"] for row in rows} == {one.name, "never"}


def test_one_target_is_shown_as_a_strip_of_verdicts_with_what_is_open():
    one = made()
    later = BEGIN + timedelta(days=1)
    scan_of(one, 1, verdict="fail")
    scan_of(one, 2, verdict="inconclusive", scan_status="failed")
    newest = scan_of(one, 3, verdict="pass")
    Baseline.objects.create(
        name="release",
        scan_type="model",
        target="it",
        status="active",
        approved_by="ann",
        approved_at=BEGIN,
    )
    remember(one, 1, title="Came back", times_reopened=1, reopened_at=later)
    remember(one, 2, title="Mended", resolved_at=later)
    remember(one, 3, title="Fresh", first_scan_id=newest.pk)
    text = target("show", "it")
    assert "baseline  release, approved by ann at 2026-01-01 00:00Z" in text
    assert "open      2 findings (2 critical)" in text
    assert "of these  1 new, 1 reopened, 0 unconfirmed" in text
    assert "verdicts  ❌⚠️✅" in text
    assert "open, reopened" in text
    assert "open, new" in text
    assert "Mended" not in text
    assert "Mended" in target("show", str(one.pk), "--resolved")
    assert target("show", "it", "--last", "1").count("inconclusive") == 0
    told = json.loads(target("show", "it", "--json"))
    assert [step["verdict"] for step in told["history"]] == [
        *("pass", "inconclusive", "fail")
    ]
    assert [row["title"] for row in told["findings"]] == ["Came back", "Fresh"]


def test_a_name_of_two_targets_asks_which():
    made()
    with pytest.raises(CommandError, match="no such target") as absent:
        target("show", "other")
    assert absent.value.returncode == 2
    made(scan_type="mcp")
    with pytest.raises(CommandError, match="say --type") as unclear:
        target("show", "it")
    assert unclear.value.returncode == 3
    assert "it (mcp)" in target("show", "it", "--type", "mcp")


@pytest.mark.parametrize("arguments", [[], ["show"], ["show", "it", "--last", "0"]])
def test_wrong_usage_is_exit_3(arguments: list[str]):
    with pytest.raises(SystemExit) as stopped:
        Command().run_from_argv(["sentrascan", "target", *arguments])
    assert stopped.value.code == 3
