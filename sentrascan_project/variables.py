"""What `variables.toml` says of every variable of the environment."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("variables.toml")


class Kind(StrEnum):
    """How a value is read."""

    TEXT = "text"
    NUMBER = "number"
    SWITCH = "switch"
    LIST = "list"
    AGE = "age"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105 - the name of a type, no secret


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    kind: Kind
    meaning: str
    default: str = ""
    unset: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    read_by: str = "sentrascan_project/settings.py"


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    variables: tuple[Variable, ...]


def _variable(name: str, told: dict[str, Any]) -> Variable:
    rest = {key: told[key] for key in told if key not in {"type", "choices"}}
    choices = tuple(told.get("choices", ()))
    return Variable(name, Kind(told["type"]), choices=choices, **rest)


def _groups() -> tuple[Group, ...]:
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return tuple(
        Group(
            one["title"], tuple(_variable(*item) for item in one["variables"].items())
        )
        for one in table["group"]
    )


GROUPS = _groups()
VARIABLES = {one.name: one for group in GROUPS for one in group.variables}


def declared(name: str, kind: Kind) -> Variable:
    """Return what the table says of `name`; raise `TypeError` for another kind."""
    variable = VARIABLES[name]
    if variable.kind is not kind:
        raise TypeError(f"{name} is of the type {variable.kind}")
    return variable
