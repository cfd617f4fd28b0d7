"""How settings read the environment: by the table of variables, secrets from files too.

Each reader raises `ImproperlyConfigured` for a value that cannot be.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from scans.ages import read_age
from sentrascan_project.variables import Kind, declared

_env = environ.Env()


def text(name: str) -> str:
    default = declared(name, Kind.TEXT).default
    return str(_env.str(name, default=default))


def number(name: str) -> int:
    default = declared(name, Kind.NUMBER).default
    try:
        return int(_env.int(name, default=int(default)))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number") from error


def switch(name: str) -> bool:
    default = declared(name, Kind.SWITCH).default
    return bool(_env.bool(name, default=default == "1"))


def words(name: str) -> list[str]:
    """Return what is between the commas."""
    declared(name, Kind.LIST)
    return list(_env.list(name, default=[]))


def choice(name: str) -> str:
    variable = declared(name, Kind.CHOICE)
    chosen = str(_env.str(name, default=variable.default))
    if chosen not in variable.choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(variable.choices)}")
    return chosen


def secret(name: str) -> str:
    """Return `name`, or what the file named by `<name>_FILE` holds, or ''."""
    declared(name, Kind.SECRET)
    if path := _env.str(f"{name}_FILE", default=""):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {error}") from error
    return str(_env.str(name, default=""))


def database(url: str) -> dict[str, Any]:
    """Return Django's description of the database at `url`."""
    return dict(_env.db_url_config(url))


def age(name: str) -> timedelta | None:
    """Return the length of time that `name` says, such as 90d; None where it is unset.

    Raises `ImproperlyConfigured`.
    """
    declared(name, Kind.AGE)
    said = str(_env.str(name, default="")).strip()
    try:
        return read_age(said) if said else None
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def kept_secret(path: Path) -> str:
    """Return the secret in `path`; make it, readable by its owner alone, if missing.

    The exclusive link makes one of several starting processes the author.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()
