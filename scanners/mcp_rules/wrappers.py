"""What a command line starts behind the programs that only start others. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

MAX_DEPTH = 4
MAX_LINE = 200_000  # characters of a command line; of a longer one `launching` tells

SHELLS = frozenset(
    {"sh", "bash", "zsh", "dash", "ksh", "fish", "ash", "cmd", "powershell", "pwsh"}
)
SHELL_SWITCH = re.compile(r"(?i)-(?:[a-z]{0,4}c|enc?|encodedcommand|command)|/[ck]")
_STARTERS = frozenset(
    {"sudo", "doas", "env", "wsl", "nohup", "nice", "time", "exec", "command", "setsid"}
    | {"stdbuf", "dotenv", "xvfb-run", "caffeinate", "start"}
)
_VALUED = frozenset({"-u", "-g", "-n", "-d", "-f", "-C", "--user", "--group", "-e"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w{0,100}=.*", re.DOTALL)
_BETWEEN = frozenset({"&&", "||", ";", "|", "&", "(", ")", "\n"})


class Inner(NamedTuple):
    """A program and its arguments; `places` are their positions as submitted.

    The command itself has the position -1.
    """

    command: str
    arguments: list[str]
    places: list[int]


def program_of(command: str) -> str:
    """Return the name of a program without its folder and ending."""
    name = re.split(r"[/\\]", command)[-1].lower()
    return name.removesuffix(".exe").removesuffix(".cmd")


def inners_of(command: str, arguments: Sequence[str]) -> list[Inner]:
    """Return what is started: several programs where a shell is given a line."""
    words = [(command, -1), *((each, n) for n, each in enumerate(arguments))]
    return [
        Inner(found[0][0], [word for word, _ in found[1:]], [at for _, at in found[1:]])
        for found in _started(words, MAX_DEPTH)
    ]


type _Words = list[tuple[str, int]]


def _started(words: _Words, depth: int) -> list[_Words]:
    program = program_of(words[0][0])
    if depth and program in SHELLS:
        for position, (word, _) in enumerate(words[1:], 1):
            if SHELL_SWITCH.fullmatch(word) and position + 1 < len(words):
                return _in_line(words[position + 1 :], depth - 1, program)
    if depth and program in _STARTERS:
        rest = _behind_options(words[1:])
        return _started(rest, depth - 1) if rest else [words]
    return [words]


def _behind_options(words: _Words) -> _Words:
    position = 0
    while position < len(words):
        word = words[position][0]
        if word.startswith("-"):
            position += 2 if word in _VALUED else 1
        elif _ASSIGNMENT.fullmatch(word):
            position += 1
        else:
            break
    return words[position:]


def _in_line(words: _Words, depth: int, program: str) -> list[_Words]:
    """Take apart what a shell is given: a line, or (of cmd) its words."""
    if program == "cmd" and len(words) > 1:
        return _started(words, depth)
    line, place = words[0]
    try:
        lexer = shlex.shlex(line[:MAX_LINE], posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        parts = list(lexer)
    except ValueError:  # a quote that is never closed
        parts = line[:MAX_LINE].split()
    found: list[_Words] = [[]]
    for part in parts:
        if part in _BETWEEN:
            found.append([])
        else:
            found[-1].append((part, place))
    commands = filter(None, map(_behind_assignments, found))
    return [inner for each in commands for inner in _started(each, depth)]


def _behind_assignments(words: _Words) -> _Words:
    names = (n for n, (word, _) in enumerate(words) if not _ASSIGNMENT.fullmatch(word))
    return words[next(names, len(words)) :]
