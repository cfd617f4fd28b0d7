"""What is typed: blocks of commands in sections, ours out of docs/runbook.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
# A fence with its language, or a heading of the second or third level.
_PART = re.compile(
    r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$|^(?P<level>##|###) (?P<title>.+?)$",
    re.MULTILINE | re.DOTALL,
)
RUN, SHOWN, COMPOSE, CRON = "sh", "text", "yaml", "crontab"


@dataclass
class Block:
    """Commands that are typed at once; `codes` are the good ends of the last one.

    `says` and `never` are patterns that the output must, and must not, have; `shown`
    are lines of it in their order, with … for whatever stands there.
    """

    text: str
    says: str = ""
    never: str = ""
    codes: tuple[int, ...] = (0,)
    shown: list[str] = field(default_factory=list)
    # One command after another, or (ours) the first that fails ends all.
    is_strict: bool = False
    # Takes minutes with a real engine.
    is_long: bool = False

    def faults(self, code: int, output: str) -> list[str]:
        """Return what is wrong with how it ended."""
        found = []
        if code not in self.codes:
            found.append(f"exit code {code}")
        if self.says and not re.search(self.says, output):
            found.append(f"it does not say {self.says!r}")
        if self.never and re.search(self.never, output):
            found.append(f"it says {self.never!r}")
        rest = output
        for line in self.shown:
            pattern = "^" + re.escape(line).replace("…", ".*")
            match = re.search(pattern, rest, re.MULTILINE)
            if match is None:
                found.append(f"it does not show {line!r}")
                break
            rest = rest[match.end() :]
        return found


@dataclass
class Section:
    title: str
    blocks: list[Block] = field(default_factory=list)


def ours() -> list[Section]:
    """Return the sections of docs/runbook.md that have something to type."""
    sections = [Section("Before")]
    chapter = ""
    for part in _PART.finditer(RUNBOOK.read_text(encoding="utf-8")):
        if part["level"]:
            chapter = part["title"] if part["level"] == "##" else chapter
            is_chapter = part["level"] == "##"
            title = chapter if is_chapter else f"{chapter}: {part['title']}"
            sections.append(Section(title))
        elif part["kind"] == RUN:
            is_long = "--no-cache" in part["text"]
            block = Block(part["text"], is_strict=True, is_long=is_long)
            sections[-1].blocks.append(block)
        elif part["kind"] == SHOWN:
            sections[-1].blocks[-1].shown = part["text"].splitlines()
        elif part["kind"] not in (COMPOSE, CRON):
            raise ValueError(f"{sections[-1].title}: a block of {part['kind']!r}")
    return [section for section in sections if section.blocks]


def fences(kind: str) -> list[str]:
    """Return the blocks of a kind that nobody types."""
    parts = _PART.finditer(RUNBOOK.read_text(encoding="utf-8"))
    return [part["text"] for part in parts if part["kind"] == kind]


def is_within(part: object, whole: object) -> bool:
    """Tell whether a compose document has all that a part of one says."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(k in whole and is_within(v, whole[k]) for k, v in part.items())
    return part == whole


def in_compose_file() -> bool:
    """Tell whether what the runbook says of docker-compose.yml stands there."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return all(is_within(yaml.safe_load(text), compose) for text in fences(COMPOSE))
