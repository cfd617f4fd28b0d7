"""`auth`, by the real door: a process, its output and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from apikeys import keys
from apikeys.management.command import SentraCommand, UsageError
from apikeys.management.commands.auth import Command
from apikeys.models import ApiKey, AuditEvent

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def auth(process_environment):
    """Return a function that runs `auth` as a process, on this test's database."""

    def run_process(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "django", "auth", *arguments],
            cwd=ROOT,
            env=process_environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_process


def test_a_key_goes_through_its_life(auth):
    made = auth("create", "--name", "ci", "--role", "scanner")
    assert made.returncode == 0, made.stderr
    # Nothing but the key: a shell takes it as it is.
    assert keys.parse(made.stdout.removesuffix("\n"))
    assert "only this once" in made.stderr

    again = auth("create", "--name", "ci", "--role", "scanner")
    assert (again.returncode, again.stdout) == (2, "")
    assert "'ci'" in again.stderr
    assert "Traceback" not in again.stderr

    rotated = auth("rotate", "ci", "--grace-hours", "3")
    assert rotated.returncode == 0, rotated.stderr
    assert keys.parse(rotated.stdout.removesuffix("\n"))

    listed = auth("list", "--json")
    rows = json.loads(listed.stdout)
    assert [(row["name"], row["state"]) for row in rows] == [
        ("ci", "active"),
        ("ci", "grace"),
    ]
    assert rows[0]["rotated_from"] == rows[1]["key_id"]
    assert keys.parse(made.stdout.strip()).secret not in listed.stdout
    assert "digest" not in listed.stdout

    revoked = auth("revoke", "ci")
    assert revoked.returncode == 0
    assert "2 key(s)" in revoked.stdout
    table = auth("list").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "ROLE", "STATE"]
    assert all("revoked" in line for line in table[1:])
    assert len(table) == 3


# The way out closes the connection: nothing to roll back is left.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["create"],
        ["create", "--name", "x"],
        ["create", "--name", "x", "--role", "root"],
        ["create", "--name", "x", "--role", "viewer", "--expires-in-days", "0"],
        ["create", "--name", "x", "--role", "viewer", "--expires-in-days", "1.5"],
        ["create", "--name", "", "--role", "viewer"],
        ["create", "--name", " x", "--role", "viewer"],
        ["rotate", "x", "--grace-hours", "-1"],
        ["revoke"],
        ["list", "--xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_3_and_changes_nothing(arguments):
    with pytest.raises(SystemExit) as exit_:
        run("auth", *arguments)
    assert exit_.value.code == 3
    assert not ApiKey.objects.exists()


def run(*arguments: str) -> None:

    Command(stdout=StringIO(), stderr=StringIO()).run_from_argv(
        ["sentrascan", *arguments]
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_an_unknown_key_is_exit_2_and_says_so(verb):
    with pytest.raises(SystemExit) as exit_:
        run("auth", verb, "nobody")
    assert exit_.value.code == 2
    with pytest.raises(CommandError, match="no key 'nobody'"):
        call_command("auth", verb, "nobody")


@pytest.mark.django_db
class TestInProcess:
    def call(self, *arguments: str) -> str:
        out = StringIO()
        call_command("auth", *arguments, stdout=out, stderr=StringIO())
        return out.getvalue()

    def test_the_runbooks_words_make_a_key(self):
        plain = self.call("create", "--name", "emergency-key", "--role", "admin")
        assert ApiKey.objects.authenticate(plain.strip()).role == "admin"

    def test_an_expiry_is_kept(self):
        self.call("create", "--name=a", "--role=viewer", "--expires-in-days=7")
        key = ApiKey.objects.get()
        assert 6 < (key.expires_at - key.created_at).total_seconds() / 86400 < 7.1

    def test_one_key_dies_by_its_id(self):
        self.call("create", "--name", "a", "--role", "viewer")
        self.call("rotate", "a")
        old = ApiKey.objects.get(rotated_from=None)
        assert "1 key(s)" in self.call("revoke", str(old.pk))
        assert ApiKey.objects.active().get().rotated_from == old
        assert "already" in self.call("revoke", str(old.pk))

    def test_rotating_by_name_takes_the_newest_of_a_pair(self):
        self.call("create", "--name", "a", "--role", "viewer")
        for _ in range(2):
            self.call("rotate", "a")
        assert ApiKey.objects.active().count() == 3

    def test_a_revoked_key_cannot_be_rotated(self):
        self.call("create", "--name", "a", "--role", "viewer")
        self.call("revoke", "a")
        with pytest.raises(CommandError, match="revoked"):
            self.call("rotate", "a")

    def test_every_change_leaves_an_event_of_the_command_line(self):
        self.call("create", "--name", "a", "--role", "viewer")
        self.call("rotate", "a")
        self.call("revoke", "a")
        events = AuditEvent.objects.order_by("created_at")
        assert [event.action for event in events] == [
            "api_key.create",
            "api_key.rotate",
            "api_key.revoke",
            "api_key.revoke",
        ]
        assert {event.actor_kind for event in events} == {"system"}


class Raising(SentraCommand):
    requires_system_checks = []

    def __init__(self, error: BaseException) -> None:
        super().__init__(stderr=StringIO())
        self.error = error

    def handle(self, *args, **options):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong"), 3),
        (CommandError("failed"), 2),
        (CommandError("failed", returncode=4), 4),
        (ValueError("a bug"), 2),
        (DatabaseError("could not connect"), 2),
        (KeyboardInterrupt(), 130),
        (SystemExit(1), 1),
        (SystemExit(2), 2),
    ],
    ids=repr,
)
def test_every_way_out_has_its_code(error, code, capsys):
    command = Raising(error)
    with pytest.raises(SystemExit) as exit_:
        command.run_from_argv(["sentrascan", "raising"])
    assert exit_.value.code == code
    shown = capsys.readouterr().err
    assert ("Traceback" in shown) == isinstance(error, ValueError)


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as exit_:
        Raising(ValueError()).run_from_argv(["sentrascan", "raising", "--help"])
    assert exit_.value.code == 0
