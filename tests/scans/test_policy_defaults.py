"""Which policy judges a scan that names none."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from apikeys.models import AuditEvent
from scanners.contract import Severity
from scans.models import Policy, PolicyDefault, Scan
from tests.scans.api_samples import TOOLS, make_finding, make_run, make_scan, pointers
from tests.scans.builders import queued_scan

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
URL = "/api/v1/policy-defaults"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)
    for name in ("lax", "strict", "mcp"):
        Policy.objects.create(name=name, document={})


def choose(pattern: str, policy: str, scan_type: str = "model") -> PolicyDefault:
    return PolicyDefault.objects.create(
        scan_type=scan_type, pattern=pattern, policy_name=policy
    )


def policy(*arguments: str) -> str:
    out = StringIO()
    call_command("policy", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def judged_by(target: str, **fields: Any) -> str:
    return queued_scan({"a.pkl": b"x"}, target=target, **fields).policy_name


def test_without_a_choice_it_is_the_built_in_policy() -> None:
    assert judged_by("a.pkl") == "default"


def test_the_longest_pattern_that_matches_decides() -> None:
    choose("*", "lax")
    choose("prod/*", "strict")
    choose("*", "mcp", "mcp")
    assert judged_by("prod/a.pkl") == "strict"
    assert judged_by("PROD/a.pkl") == "lax"
    assert judged_by("not/prod/a.pkl") == "lax"
    document = {"tools": TOOLS}
    assert queued_scan(document=document, target="prod/x").policy_name == "mcp"


def test_who_names_a_policy_is_judged_by_it() -> None:
    choose("*", "strict")
    assert judged_by("a.pkl", policy="lax") == "lax"
    assert judged_by("a.pkl", policy="default") == "default"


def test_the_newest_version_is_meant() -> None:
    choose("*", "strict")
    Policy.objects.create(name="strict", version=2, document={})
    assert queued_scan({"a.pkl": b"x"}).policy_version == 2


@given(st.permutations(["*", "?.pkl", "a.???", "a.pkl", "[ab].pkl", "b*"]))
def test_the_order_in_which_they_were_made_decides_nothing(patterns: list[str]) -> None:
    PolicyDefault.objects.all().delete()
    for pattern in patterns:
        choose(pattern, f"by {pattern}")
    assert PolicyDefault.objects.policy_for("model", "a.pkl") == "by [ab].pkl"
    assert PolicyDefault.objects.policy_for("model", "b.pkl") == "by [ab].pkl"
    assert PolicyDefault.objects.policy_for("model", "c.pkl") == "by ?.pkl"
    assert PolicyDefault.objects.policy_for("model", "c") == "by *"
    assert PolicyDefault.objects.policy_for("mcp", "a.pkl") == "default"


def test_an_admin_chooses_and_everybody_reads(
    api: APIClient, viewer_api: APIClient
) -> None:
    wanted = {"scan_type": "model", "pattern": "prod/*", "policy": "strict"}
    made = api.post(URL, wanted, format="json")
    assert made.status_code == 201, made.content
    row = made.json()
    assert made["Location"].endswith(f"{URL}/{row['policy_default_id']}")
    assert wanted.items() <= row.items()
    assert viewer_api.get(made["Location"]).json() == row
    assert viewer_api.get(URL).json() == [row]
    assert viewer_api.get(f"{URL}?scan_type=mcp").json() == []
    assert viewer_api.post(URL, wanted, format="json").status_code == 403
    assert viewer_api.delete(made["Location"]).status_code == 403
    assert api.post(URL, wanted, format="json").status_code == 409
    assert api.delete(made["Location"]).status_code == 204
    assert api.delete(made["Location"]).status_code == 404
    assert viewer_api.get(made["Location"]).status_code == 404
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"policy_default.create", "policy_default.delete"} <= actions


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scan_type": "other"}, "/scan_type"),
        ({"policy": "nobody"}, "/policy"),
        ({"pattern": ""}, "/pattern"),
        ({"pattern": "x" * 201}, "/pattern"),
        ({"pattern": "*a" * 6}, "/pattern"),
        ({"pattern": "a\nb"}, "/pattern"),
        ({"more": 1}, "/more"),
    ],
    ids=["type", "policy", "empty", "long", "stars", "lines", "unknown"],
)
def test_what_is_wrong_is_named(
    api: APIClient, change: dict[str, Any], field: str
) -> None:
    wanted = {"scan_type": "model", "policy": "strict", **change}
    answer = api.post(URL, wanted, format="json")
    assert answer.status_code == 400
    assert pointers(answer) == {field}


def test_a_scan_over_http_is_judged_by_the_default(scanner_api: APIClient) -> None:
    choose("*", "mcp", "mcp")
    body = {"scan_type": "mcp", "target": "adder", "tools": TOOLS}
    answer = scanner_api.post("/api/v1/scans", body, format="json")
    assert answer.status_code == 202, answer.content
    assert answer.json()["policy"] == {"name": "mcp", "version": 1}
    named = scanner_api.post("/api/v1/scans", body | {"policy": "lax"}, format="json")
    assert named.json()["policy"]["name"] == "lax"


def test_the_command_line_chooses_lists_and_takes_back() -> None:
    said = policy("set-default", "strict", "--type=model", "--targets=prod/*")
    assert said == "Set strict for model prod/*.\n"
    assert policy("defaults").splitlines()[1].split()[:3] == [
        "model",
        "prod/*",
        "strict",
    ]
    assert json.loads(policy("defaults", "--json"))[0]["created_by"] == "command line"
    with pytest.raises(CommandError, match="already"):
        policy("set-default", "lax", "--type=model", "--targets=prod/*")
    with pytest.raises(CommandError, match="no policy 'nobody'") as wrong:
        policy("set-default", "nobody", "--type=model")
    assert wrong.value.returncode == 3
    assert policy("unset-default", "--type=model", "--targets=prod/*").startswith("Un")
    with pytest.raises(CommandError, match="no such default"):
        policy("unset-default", "--type=model")
    assert policy("defaults").startswith("There is none")


def test_the_command_line_asks_what_would_change(tmp_path: Path) -> None:
    high = make_scan(target="high.pkl", verdict="fail", minutes=1)
    make_finding(high, severity=Severity.HIGH, category="quality")
    make_scan(target="old.pkl", verdict="pass", minutes=2)
    for scan in Scan.objects.select_related("detail"):
        scan.detail.evidence = {"gaps": [], "more_gaps": 0, "has_sbom": True}
        scan.detail.save()
        make_run(scan)
    file = tmp_path / "lax.yaml"
    file.write_text("severity_threshold: critical\nblock_categories: []\n")
    document = json.loads(policy("what-if", "default", f"--file={file}", "--json"))
    assert document["changes"] == [
        {
            "scan_id": str(high.pk),
            "target": "high.pkl",
            "before": "fail",
            "after": "pass",
        }
    ]
    said = policy("what-if", "default", f"--file={file}")
    assert said.startswith("1 of 2 scans would be judged otherwise\n")
    assert "fail -> pass: 1" in said
    assert said.splitlines()[-1].split() == ["fail", "pass", "model", "high.pkl"]
    assert "nothing would change" in policy("what-if", "default")
    assert policy("what-if", "default", "--newer-than=1d").startswith("0 of 0 scans")
    assert Scan.objects.get(pk=high.pk).verdict == "fail"
    file.write_text("severity_threshold: mediun\n")
    with pytest.raises(CommandError, match="mediun") as wrong:
        policy("what-if", "default", f"--file={file}")
    assert wrong.value.returncode == 3
    with pytest.raises(CommandError, match="no policy"):
        policy("what-if", "nobody")
