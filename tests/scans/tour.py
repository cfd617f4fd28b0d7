"""Runs the commands of a page as its reader would, and compares the answers.

A page's ```console blocks hold commands (`$ `, continued by `> `) and what they print.
`python -m tests.scans.tour` writes what they print now into docs/tour.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.project.running import ROOT, environment

PAGE = ROOT / "docs" / "tour.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
SECONDS = 300
# Which of them come depends on when one looks.
PROGRESS = re.compile(r"\S+: (queued|fetching|scanning|waiting|pass|fail|inconclusive)")
# What is another in each installation and at each time.
VARYING = (
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "ID",
    ),
    (re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d(Z| UTC)"), "TIME"),
)


@dataclass
class Step:
    """One command as it is typed, and the lines that it prints."""

    typed: list[str]
    prints: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        return "\n".join(line[2:] for line in self.typed)


def steps_of(block: str) -> list[Step]:
    steps: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step([line]))
        elif line.startswith("> ") and not steps[-1].prints:
            steps[-1].typed.append(line)
        else:
            steps[-1].prints.append(line)
    return steps


def steps_in(page: Path) -> list[Step]:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [step for block in blocks for step in steps_of(block)]


def still(lines: list[str]) -> list[str]:
    """Return the lines without what varies."""
    text = "\n".join(lines)
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text.splitlines()


class Reader:
    """Types commands into a shell, in a directory and an installation of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "desk"
        self.directory.mkdir()
        tools = directory / "bin"
        tools.mkdir()
        program = tools / "sentrascan"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/manage.py "$@"\n')
        program.chmod(0o755)
        self.environment = environment(directory / "data")
        self.environment["PATH"] = f"{tools}:{self.environment['PATH']}"

    def type(self, step: Step) -> list[str]:
        """Run the command; return what stands on the terminal after it."""
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        lines = done.stdout.splitlines()
        return [line for line in lines if not PROGRESS.fullmatch(line)]


def written_anew(page: Path, directory: Path) -> str:
    """Return the page with what its commands print now."""
    reader = Reader(directory)

    def block(match: re.Match[str]) -> str:
        lines: list[str] = []
        for step in steps_of(match[1]):
            lines += [*step.typed, *reader.type(step)]
        return "\n".join(["```console", *lines, "```"])

    return BLOCK.sub(block, page.read_text(encoding="utf-8"))


def failures(page: Path, reader: Reader) -> Iterator[str]:
    """Yield what is not as the page says, one text for each command."""
    for step in steps_in(page):
        printed = reader.type(step)
        if still(printed) != still(step.prints):
            said, told = "\n".join(printed), "\n".join(step.prints)
            yield f"$ {step.command}\n--- printed\n{said}\n--- the page says\n{told}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="sentrascan-tour-") as folder:
        PAGE.write_text(written_anew(PAGE, Path(folder)), encoding="utf-8")
