"""Making users: for `sentrascan user`, and the first administrator of `make run`."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from apikeys import audit
from apikeys.audit import COMMAND_LINE
from apikeys.choices import Role


def create_user(name: str, role: Role, password: str) -> User:
    """Create a user of the group that its role is called after.

    Raises `ValidationError` for a bad name or weak password, `IntegrityError` for a
    name that is taken.
    """
    is_admin = role is Role.ADMIN
    user = User(username=name, is_staff=is_admin, is_superuser=is_admin)
    validate_password(password, user)
    user.set_password(password)
    user.clean_fields()
    with transaction.atomic():
        user.save(force_insert=True)
        group, _ = Group.objects.get_or_create(name=role.value)
        user.groups.add(group)
        audit.record(
            "user.create",
            actor=COMMAND_LINE,
            object_type="user",
            object_id=str(user.pk),
            detail={"name": name, "role": role.value},
        )
    return user
