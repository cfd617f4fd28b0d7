"""`user create`, by the real command."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import HttpRequest

from apikeys.choices import Role
from apikeys.models import AuditEvent
from apikeys.permissions import role_of_user
from tests.project.running import ROOT, sentrascan

pytestmark = pytest.mark.django_db


def create(name: str, role: str) -> str:
    said = StringIO()
    call_command("user", "create", "--name", name, "--role", role, stdout=said)
    return said.getvalue()


@pytest.mark.parametrize("role", list(Role))
def test_the_printed_password_opens_the_door_of_the_role(role):
    said = create("mia", role.value)
    password = re.search(r"Password: (\S{20,})", said)
    user = authenticate(HttpRequest(), username="mia", password=password[1])
    assert role_of_user(user) is role
    assert user.is_staff is user.is_superuser is (role is Role.ADMIN)


def test_only_a_hash_of_the_password_is_kept():
    password = re.search(r"Password: (\S+)", create("mia", "viewer"))[1]
    user = User.objects.get(username="mia")
    assert user.password.startswith("argon2$")
    event = AuditEvent.objects.get(action="user.create")
    assert (event.actor, event.object_id) == ("command line", str(user.pk))
    assert event.detail == {"name": "mia", "role": "viewer"}
    assert password not in str(vars(event))


def test_a_name_that_is_taken_is_refused_and_leaves_no_trace():
    create("mia", "viewer")
    with pytest.raises(CommandError, match="already") as raised:
        create("mia", "admin")
    assert raised.value.returncode == 2
    assert AuditEvent.objects.filter(action="user.create").count() == 1
    assert not User.objects.get(username="mia").is_superuser


def test_a_bad_name_is_wrong_usage():
    with pytest.raises(CommandError) as raised:
        create("mia with blanks", "viewer")
    assert raised.value.returncode == 3


def test_it_reads_the_password_from_the_standard_input(process_environment):
    arguments = ["user", "create", "--name", "mia", "--role", "admin"]
    run = [*arguments, "--password-stdin"]
    typed = "a long sentence of mine\n"
    result = sentrascan(*run, env=process_environment, cwd=ROOT, typed=typed)
    assert result.returncode == 0, result.stderr
    assert "Password" not in result.stdout
    assert "sentence" not in result.stdout + result.stderr
    assert authenticate(HttpRequest(), username="mia", password=typed.strip())


@pytest.mark.parametrize("typed", ["", "short\n", "password1234\n"])
def test_a_weak_password_is_refused(typed, process_environment):
    arguments = ["user", "create", "--name", "mia", "--role", "admin"]
    run = [*arguments, "--password-stdin"]
    result = sentrascan(*run, env=process_environment, typed=typed)
    assert result.returncode == 3
    assert not User.objects.exists()
