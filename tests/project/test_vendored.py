"""What others wrote and we serve: the bytes that were recorded, with their licences."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"
ROW = re.compile(
    r"\| `(?P<file>[^`]+)` \| \S+ \d[\d.]* \| [\w.-]+ "
    r"\| `(?P<digest>[0-9a-f]{64})` \|"
)


def recorded() -> dict[str, str]:
    text = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")
    return {row["file"]: row["digest"] for row in ROW.finditer(text)}


def test_every_file_is_recorded_and_is_what_was_recorded():
    files = [p for p in VENDOR.rglob("*") if p.is_file() and p.name != "LICENSE"]
    here = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert here == recorded()


def test_each_comes_with_its_licence():
    for folder in VENDOR.iterdir():
        assert (folder / "LICENSE").stat().st_size > 200, folder.name
