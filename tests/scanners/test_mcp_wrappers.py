"""What is started behind shells and other starters."""

from __future__ import annotations

import pytest

from scanners.mcp_rules.wrappers import MAX_LINE, inners_of


@pytest.mark.parametrize(
    ("line", "inners"),
    [
        (["npx", "-y", "a"], [("npx", ["-y", "a"], [0, 1])]),
        (["cmd.exe", "/c", "npx", "-y", "a"], [("npx", ["-y", "a"], [2, 3])]),
        (["cmd", "/c", "npx -y a"], [("npx", ["-y", "a"], [1, 1])]),
        (["sudo", "-u", "me", "/bin/env", "A=b", "uvx", "a"], [("uvx", ["a"], [5])]),
        (["sh", "script.sh", "-x"], [("sh", ["script.sh", "-x"], [0, 1])]),
        (
            ["bash", "-lc", "cd '/a b' && A=b npx a; docker run b|tee c"],
            [
                ("cd", ["/a b"], [1]),
                ("npx", ["a"], [1]),
                ("docker", ["run", "b"], [1, 1]),
                ("tee", ["c"], [1]),
            ],
        ),
        (["bash", "-c", "exec bash -c 'npx a'"], [("npx", ["a"], [1])]),
        (["bash", "-c", "npx 'a"], [("npx", ["'a"], [1])]),
        (["bash", "-c"], [("bash", ["-c"], [0])]),
        (["sudo"], [("sudo", [], [])]),
        (["bash", "-c", ""], []),
        (["", "a"], [("", ["a"], [0])]),
    ],
)
def test_what_is_started(
    line: list[str], inners: list[tuple[str, list[str], list[int]]]
) -> None:
    command, *arguments = line
    assert [tuple(inner) for inner in inners_of(command, arguments)] == inners


def test_starters_of_starters_end_somewhere() -> None:
    (inner,) = inners_of("sudo", ["env"] * 2_000)
    assert inner.command == "env"
    assert len(inners_of("sh", ["-c", "a;" * MAX_LINE])) <= MAX_LINE
