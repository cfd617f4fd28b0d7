"""Which package a command line starts, and how firmly it names it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rapidfuzz.distance import OSA

from scanners.mcp_rules.wrappers import program_of

KNOWN = Path(__file__).resolve().parent / "known_servers.json"
NPM, PYPI, DOCKER = "npm", "pypi", "docker"
MIN_LENGTH = 8  # of shorter names one letter is too much of the name

_NODE = {"npx": 0, "bunx": 0, "pnpx": 0, "npm": 1, "pnpm": 1, "yarn": 1, "bun": 1}
_NODE_WORDS = frozenset({"exec", "x", "dlx"})
_PYTHON = {"uvx": 0, "pipx": 1, "uv": 2}
_CONTAINERS = frozenset({"docker", "podman", "nerdctl"})
_NODE_VALUED = frozenset({"-p", "--package", "-c", "--call", "--registry", "--prefix"})
_PYTHON_VALUED = frozenset(
    {"--from", "--with", "--python", "-p", "--index-url", "--extra-index-url", "-i"}
    | {"--default-index", "--index", "--directory", "--spec", "--pip-args", "--refresh"}
)
_CONTAINER_VALUED = frozenset(
    {"-e", "--env", "-v", "--volume", "--mount", "-p", "--publish", "--name", "-u"}
    | {"--network", "--net", "--user", "-w", "--workdir", "--entrypoint", "--platform"}
    | {"--env-file", "-l", "--label", "--add-host", "--cap-add", "--cap-drop", "-m"}
    | {
        "--secret",
        "--memory",
        "--cpus",
        "--gpus",
        "--device",
        "--security-opt",
        "--pid",
        "--ipc",
    }
    | {"--userns", "--log-driver", "--restart", "--pull", "--shm-size", "--tmpfs"}
    | {"--hostname", "-h", "--dns", "--ulimit", "--volumes-from", "--uts", "--log-opt"}
)
_ADDRESSES = ("http://", "https://", "git+", "git://", "github:")
_EXACT = re.compile(r"v?\d+(?:\.\d+){1,3}(?:[-+.]?[0-9A-Za-z][0-9A-Za-z.+-]*)?")
# https://docs.npmjs.com/cli/configuring-npm/package-json#name, then a version or tag
_NPM_NAME = re.compile(
    r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*(?:@\S*)?"
)
_COMMIT = re.compile(r"@[0-9a-f]{40}\b|#[0-9a-f]{40}\b")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a command line; `argument` is the position of its name there."""

    source: str
    name: str
    version: str
    argument: int
    is_elsewhere: bool = False  # at an address instead of in a registry

    @property
    def is_pinned(self) -> bool:
        """Whether tomorrow's start fetches what today's did."""
        if self.source == DOCKER:
            return self.version.startswith("sha256:") or bool(
                _EXACT.fullmatch(self.version)
            )
        if self.is_elsewhere:
            return bool(_COMMIT.search(self.name))
        return bool(_EXACT.fullmatch(self.version.removeprefix("==")))


def package_of(command: str, arguments: Sequence[str]) -> Package | None:
    """Return the package that this command line fetches and starts, if any."""
    program = program_of(command)
    if program in _NODE:
        return _node(program, arguments)
    if program in _PYTHON:
        return _python(program, arguments)
    if program in _CONTAINERS:
        return _container(arguments)
    return None


def resembled(package: Package) -> str | None:
    """Return the well-known package that this one's name imitates."""
    name = _canonical(package.source, package.name)
    known = _known()[package.source]
    if package.is_elsewhere or name in known or len(name) < MIN_LENGTH:
        return None
    for other, flat in known.items():
        if package.source == NPM and "/" in other and flat == name.replace("/", "-"):
            return other
        if OSA.distance(name, other, score_cutoff=1) <= 1:
            return other
    return None


@cache
def _known() -> dict[str, dict[str, str]]:
    data = json.loads(KNOWN.read_text("utf-8"))
    return {
        source: {
            name: name.removeprefix("@").replace("/", "-") for name in data[source]
        }
        for source in (NPM, PYPI, DOCKER)
    }


def _canonical(source: str, name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if source == PYPI else name.lower()


def _positional(
    arguments: Sequence[str], valued: frozenset[str], skip: int = 0
) -> Iterator[int]:
    """Yield the positions of arguments that are no options and none's value."""
    is_value = False
    for position, argument in enumerate(arguments[skip:], skip):
        if is_value:
            is_value = False
        elif argument.startswith("-"):
            is_value = argument in valued
        else:
            yield position


def _node(program: str, arguments: Sequence[str]) -> Package | None:
    skip = _NODE[program]
    if skip and (not arguments or arguments[0] not in _NODE_WORDS):
        return None
    for position, argument in enumerate(arguments[skip:-1], skip):
        if argument in ("-p", "--package"):
            return _of_npm(arguments[position + 1], position + 1)
        if argument.startswith("--package="):
            return _of_npm(argument.partition("=")[2], position)
    for position in _positional(arguments, _NODE_VALUED, skip):
        return _of_npm(arguments[position], position)
    return None


def _of_npm(text: str, position: int) -> Package | None:
    if text.startswith(_ADDRESSES):
        return Package(NPM, text, "", position, is_elsewhere=True)
    if (
        "://" in text
        or text.startswith((".", "/", "~"))
        or text.endswith((".js", ".ts", ".mjs"))
        or not _NPM_NAME.fullmatch(text)
    ):
        return None  # a program of the machine, or the value of an unknown option
    at = text.find("@", 1)
    name, version = (text, "") if at < 0 else (text[:at], text[at + 1 :])
    return Package(NPM, name, version, position)


def _python(program: str, arguments: Sequence[str]) -> Package | None:
    skip = _PYTHON[program]
    words = list(arguments[:skip])
    if program == "uv" and words != ["tool", "run"]:
        return None
    if program == "pipx" and words != ["run"]:
        return None
    for position, argument in enumerate(arguments[:-1]):
        if argument in ("--from", "--spec"):
            return _of_pypi(arguments[position + 1], position + 1)
    for position in _positional(arguments, _PYTHON_VALUED, skip):
        return _of_pypi(arguments[position], position)
    return None


def _of_pypi(text: str, position: int) -> Package | None:
    if text.startswith(_ADDRESSES):
        return Package(PYPI, text, "", position, is_elsewhere=True)
    if (
        "://" in text
        or text.startswith((".", "/", "~"))
        or text.endswith((".py", ".whl"))
    ):
        return None
    match = re.match(r"([\w.-]+)(?:\[[\w,.-]*\])?(?:@|(?===))?(.*)", text)
    return Package(PYPI, match[1], match[2], position) if match else None


def _container(arguments: Sequence[str]) -> Package | None:
    words = [word for word in arguments if not word.startswith("-")]
    if not words or words[0] not in ("run", "container"):
        return None
    start = arguments.index("run") + 1 if "run" in arguments else 1
    for position in _positional(arguments, _CONTAINER_VALUED, start):
        image = arguments[position]
        name, at, digest = image.partition("@")
        if not at and ":" in name.rpartition("/")[2]:
            name, _, digest = name.rpartition(":")
        elif at and ":" in name.rpartition("/")[2]:
            name = name.rpartition(":")[0]
        return Package(DOCKER, name, digest, position)
    return None
