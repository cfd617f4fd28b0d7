"""Which package a configured MCP server is started from, where its command says so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

_NPM = re.compile(
    r"(?P<name>(?:@[a-z0-9][\w.~-]*/)?[a-z0-9][\w.~-]*)(?:@(?P<version>.+))?", re.I
)
_PYPI = re.compile(
    r"(?P<name>[a-z0-9](?:[\w.-]*[a-z0-9])?)(?:\[[\w,. -]*\])?"
    r"(?:(?:==|@)(?P<version>.+))?",
    re.I,
)
# A range or a tag (`latest`) names no version.
_EXACT = re.compile(r"\d[\w.+!-]*")
_RUNNERS = {"npx": "npm", "bunx": "npm", "pnpx": "npm", "uvx": "pypi", "pipx": "pypi"}
_NAMING = {"npm": ("-p", "--package"), "pypi": ("--from", "--spec")}
# Options whose value is no package.
_VALUED = frozenset({"-c", "--call", "--python", "-w", "--workspace", "--with"})


def package_of(server: Mapping[str, Any]) -> dict[str, str] | None:
    """Return `name`, `purl` and, where it is exact, `version`; None if not told."""
    command, arguments = server.get("command"), server.get("args")
    if not isinstance(command, str) or not isinstance(arguments, list):
        return None
    program = PurePosixPath(command.replace("\\", "/")).name.lower()
    kind = _RUNNERS.get(program.removesuffix(".cmd").removesuffix(".exe"))
    if kind is None:
        return None
    texts = [each for each in arguments if isinstance(each, str)]
    wanted = next(_specifications(texts, _NAMING[kind], program), "")
    match = (_NPM if kind == "npm" else _PYPI).fullmatch(wanted)
    if match is None:
        return None
    name, version = match["name"], match["version"] or ""
    path = quote(re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name)
    package = {"name": name, "purl": f"pkg:{kind}/{path.replace('@', '%40')}"}
    if _EXACT.fullmatch(version):
        package |= {"version": version, "purl": f"{package['purl']}@{quote(version)}"}
    return package


def _specifications(
    arguments: Sequence[str], naming: Sequence[str], program: str
) -> Iterator[str]:
    """Yield what may name the package, the likeliest first."""
    rest = list(arguments)
    if program.startswith("pipx") and rest[:1] == ["run"]:
        rest = rest[1:]
    for option in naming:
        if option in rest[:-1]:
            yield rest[rest.index(option) + 1]
        yield from (a.partition("=")[2] for a in rest if a.startswith(f"{option}="))
    is_value = False
    for argument in rest:
        if not is_value and not argument.startswith("-"):
            yield argument
            return
        is_value = argument in _VALUED
