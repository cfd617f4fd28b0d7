"""How settings read the environment: typed values, secrets also from files."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from scans.ages import read_age

env = environ.Env()


def secret(name: str) -> str:
    """Return `name`, or what the file named by `<name>_FILE` holds, or ''."""
    if path := env.str(f"{name}_FILE", default=""):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {error}") from error
    return str(env.str(name, default=""))


def age(name: str) -> timedelta | None:
    """Return the length of time that `name` says, such as 90d; None where it is unset.

    Raises `ImproperlyConfigured`.
    """
    text = str(env.str(name, default="")).strip()
    try:
        return read_age(text) if text else None
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
