"""What of a configured MCP server may be started in the sandbox, and with what. Pure.

A server is started if it is a script for `python3` or `node` that was submitted with
the configuration, or stands in its arguments (`-c`, `-m`, `-e`). All else needs what
the sandbox does not have: packages, other programs.
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from scanners.mcp_rules.secrets import hide, is_secret_name

FETCHERS = frozenset(
    {"npx", "npm", "pnpm", "pnpx", "yarn", "bunx", "bun", "uvx", "uv", "pipx", "pip"}
    | {"pip3", "docker", "podman", "nerdctl", "deno", "go", "cargo", "dotnet", "dnx"}
)
NODE = "/usr/bin/node"
_PYTHON = re.compile(r"py|python(?:3(?:\.\d+)?)?")
_INLINE = {"python3": ("-c", "-m"), "node": ("-e", "--eval", "-p", "--print", "-pe")}
# options whose value is an argument of its own
_VALUED = frozenset(
    {"-W", "-X", "-r", "--require", "--import", "--loader", "-C", "--conditions"}
    | {"--env-file"}
)


class NotStartable(Exception):
    """Why a server is not started, in words for people."""


@dataclass(slots=True)
class Canaries:
    """Worthless values that stand in for secrets, so that an echo gives itself away."""

    secrets: frozenset[str]
    names: dict[str, str] = field(default_factory=dict)  # canary -> where it was put
    _by_secret: dict[str, str] = field(default_factory=dict)

    def new(self, name: str) -> str:
        canary = randomness.token_hex(16)
        self.names[canary] = name
        return canary

    def instead(self, text: str, name: str) -> str:
        """Return `text` with a canary in the place of each secret of the document."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if secret in text:
                if secret not in self._by_secret:
                    self._by_secret[secret] = self.new(name)
                text = text.replace(secret, self._by_secret[secret])
        return text


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one server. `folder` is relative to the submitted files."""

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str


def launch(
    server: Mapping[str, Any], files: Sequence[str], root: str, canaries: Canaries
) -> Launch:
    """Return how to start `server`, whose submitted `files` lie below `root`.

    No secret of the document is in the answer. Raises `NotStartable`.
    """
    program = _program(server, canaries.secrets)
    given = server.get("args")
    arguments = [each for each in given or [] if isinstance(each, str)]
    if given and (not isinstance(given, list) or len(arguments) != len(given)):
        raise NotStartable("its arguments are not a list of texts")
    folder = _folder(server, files)
    script = _script(program, arguments)
    if script is not None:
        arguments[script] = _found(arguments[script], files, folder, root, canaries)
    environment = dict(_environment(server, canaries))
    arguments = [
        each if number == script else canaries.instead(each, "its arguments")
        for number, each in enumerate(arguments)
    ]
    if any("\0" in each for each in (*arguments, *environment.values())):
        raise NotStartable("a NUL stands in its command line or environment")
    return Launch(program, tuple(arguments), environment, folder)


def _program(server: Mapping[str, Any], secrets: frozenset[str]) -> str:
    command = server.get("command")
    if not isinstance(command, str) or not command.strip():
        raise NotStartable("it is no server that a command starts, and only those are")
    file = PurePosixPath(command.replace("\\", "/")).name
    name = file.lower().removesuffix(".exe")
    if _PYTHON.fullmatch(name):
        return "python3"
    if name in {"node", "nodejs"}:
        return "node"
    shown = hide(file, secrets)[:60]
    shown = "".join(char if char.isprintable() else "?" for char in shown)
    if name in FETCHERS:
        raise NotStartable(
            f"{shown} is not available in the sandbox: it fetches what it runs, and "
            "only what was submitted is started"
        )
    raise NotStartable(
        f"{shown} is not available in the sandbox: only python3 and node are"
    )


def _folder(server: Mapping[str, Any], files: Sequence[str]) -> str:
    """Return the folder of the submitted files that the server is to begin in."""
    wish = server.get("cwd")
    if not isinstance(wish, str) or not wish:
        return ""
    folder = str(PurePosixPath(wish))
    is_there = any(name.startswith(f"{folder}/") for name in files)
    return folder if is_there and ".." not in PurePosixPath(folder).parts else ""


def _script(program: str, arguments: Sequence[str]) -> int | None:
    """Return which argument is the script, None where there is none."""
    is_value = False
    for number, argument in enumerate(arguments):
        if is_value:
            is_value = False
        elif argument.startswith(_INLINE[program]):
            return None
        elif argument.startswith("-"):
            is_value = argument in _VALUED
        else:
            return number
    return None


def _found(
    script: str, files: Sequence[str], folder: str, root: str, canaries: Canaries
) -> str:
    """Return the absolute path of a submitted script; the folders above may differ."""
    path = script.replace("\\", "/")
    parts = PurePosixPath(path).parts
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    if not path.startswith("/") and path[1:2] != ":":  # a drive of Windows
        ends = [str(PurePosixPath(folder, path)), *ends[:1]]
    for end in ends:
        if end in files:
            return f"{root}/{end}"
    shown = hide(parts[-1] if parts else script, canaries.secrets)[:100]
    raise NotStartable(f"its script {shown} was not submitted with the configuration")


def _environment(
    server: Mapping[str, Any], canaries: Canaries
) -> Iterator[tuple[str, str]]:
    declared = server.get("env")
    if not isinstance(declared, Mapping):
        return
    for name, value in declared.items():
        if not name or "=" in name or "\0" in name:
            continue
        text = value if isinstance(value, str) else "" if value is None else str(value)
        safe = canaries.instead(text, name)
        if safe == text and (is_secret_name(name) or "${" in text):
            safe = canaries.new(name)  # a secret that only the client has
        yield name, safe
