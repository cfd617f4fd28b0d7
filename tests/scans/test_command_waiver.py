"""`waiver`, by its real door: arguments, output and exit codes."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apikeys.models import AuditEvent
from scans.management.commands.waiver import Command
from scans.models import Waiver
from tests.scans.api_samples import make_finding, make_scan

pytestmark = pytest.mark.django_db
PRINT = f"v1:{'8c5b0a67' * 8}"
CREATE = ["create", "--fingerprint", PRINT, "--reason", "known"]


def waiver(*arguments: str) -> str:
    out = StringIO()
    call_command("waiver", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_waiver_goes_through_its_life():
    made = waiver(*CREATE, "--target", "m", "--expires-in-days", "90").strip()
    row = Waiver.objects.get()
    # Nothing but the id: a shell takes it as it is.
    assert made == str(row.pk)
    assert (row.target, row.reason, row.created_by) == ("m", "known", "command line")
    left = row.expires_at - timezone.now()
    assert timedelta(days=89) < left < timedelta(days=91)
    head, line = waiver("list").splitlines()
    assert head.split()[0] == "STATE"
    assert line.split()[0] == "active"
    assert "v1:8c5b0a678c5b  m" in line
    assert line.endswith("known")
    assert "Deleted" in waiver("delete", made)
    assert waiver("list") == "There is no such waiver.\n"
    events = AuditEvent.objects.order_by("created_at").values_list("action", flat=True)
    assert list(events) == ["waiver.create", "waiver.delete"]
    with pytest.raises(CommandError, match="no such waiver"):
        waiver("delete", made)


def test_an_empty_target_is_not_every_target() -> None:
    with pytest.raises(CommandError, match="target: empty"):
        waiver(*CREATE, "--target", "", "--expires-in-days", "1")
    assert not Waiver.objects.exists()
    waiver(*CREATE, "--expires-in-days", "1")
    assert Waiver.objects.get().target == ""


def test_the_list_tells_what_is_over_and_what_is_stale():
    make_finding(make_scan(), 1)
    matching = waiver(
        *("create", "--fingerprint", f"v1:{1:064x}", "--reason", "a\x1b[31mb"),
        *("--expires-at", "2999-01-01T00:00:00+02:00"),
    )
    waiver(*CREATE, "--expires-in-days", "1")
    Waiver.objects.exclude(pk=matching.strip()).update(expires_at=timezone.now())
    rows = json.loads(waiver("list", "--json"))
    assert [row["is_expired"] for row in rows] == [True, False]
    assert rows[1]["target"] is None
    assert rows[1]["expires_at"] == "2998-12-31T22:00:00Z"
    assert [
        row["fingerprint"] for row in json.loads(waiver("list", "--stale", "--json"))
    ] == [PRINT]
    text = waiver("list")
    assert "expired" in text
    assert "\x1b" not in text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["create"],
        CREATE,
        [*CREATE, "--expires-in-days", "0"],
        [*CREATE, "--expires-in-days", "1", "--expires-at", "2999-01-01T00:00:00Z"],
        [*CREATE, "--expires-at", "soon"],
        [*CREATE, "--expires-at", "2999-01-01"],
        [*CREATE, "--expires-at", "2999-01-01T00:00:00"],
        [*CREATE, "--expires-at", "2999-13-01T00:00:00Z"],
        [*CREATE, "--expires-at", "9999-12-31T23:59:59-14:00"],
        [*CREATE, "--expires-at", "2020-01-01T00:00:00Z"],
        ["create", "--fingerprint", "x", "--reason", "r", "--expires-in-days", "1"],
        ["create", "--fingerprint", PRINT, "--reason", "", "--expires-in-days", "1"],
        ["delete"],
        ["delete", "not-an-id"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_3_and_changes_nothing(arguments):
    with pytest.raises(SystemExit) as exit_:
        Command(stdout=StringIO(), stderr=StringIO()).run_from_argv(
            ["sentrascan", "waiver", *arguments]
        )
    assert exit_.value.code == 3
    assert not Waiver.objects.exists()
