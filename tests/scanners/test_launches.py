"""Which servers may be started, and that nothing of a secret goes with them."""

from __future__ import annotations

from typing import Any

import pytest

from scanners.launches import Canaries, NotStartable, launch

from .mcp_samples import GITHUB_TOKEN

FILES = ["server.py", "src/app/main.py", "index.js"]


def started(*arguments: str, **server: Any) -> tuple[str, ...]:
    server = {"command": "python3", "args": list(arguments), **server}
    return launch(server, FILES, "/root", Canaries(frozenset())).arguments


@pytest.mark.parametrize(
    ("arguments", "script"),
    [
        (["server.py"], "/root/server.py"),
        (["./server.py", "-v"], "/root/server.py"),
        (["/home/me/project/server.py"], "/root/server.py"),
        (["C:\\me\\src\\app\\main.py"], "/root/src/app/main.py"),
        (["-u", "-X", "utf8", "src/app/main.py"], "/root/src/app/main.py"),
        (["--", "server.py"], "/root/server.py"),
    ],
)
def test_a_script_is_found_among_the_submitted_files(
    arguments: list[str], script: str
) -> None:
    assert script in started(*arguments)


def test_a_script_is_looked_for_in_the_folder_of_the_server() -> None:
    server = {"command": "python", "args": ["main.py"], "cwd": "src/app"}
    found = launch(server, FILES, "/root", Canaries(frozenset()))
    assert found.arguments == ("/root/src/app/main.py",)
    assert found.folder == "src/app"


def test_what_stands_in_the_arguments_needs_no_file() -> None:
    assert started("-c", "print()") == ("-c", "print()")
    assert started("-m", "server") == ("-m", "server")
    assert started("--eval", "1", command="node") == ("--eval", "1")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"command": "npx", "args": ["-y", "a"]}, "npx is not available"),
        ({"command": "/usr/local/bin/uvx"}, "uvx is not available"),
        ({"command": "docker.exe"}, "docker.exe is not available"),
        ({"command": "bash", "args": ["-c", "id"]}, "only python3 and node"),
        ({"command": "python2"}, "only python3 and node"),
        ({"url": "https://example.com"}, "no server that a command starts"),
        ({"command": 7}, "no server that a command starts"),
        ({"command": "python3", "args": ["/etc/hosts"]}, "hosts was not submitted"),
        ({"command": "python3", "args": ["../server.py/../x"]}, "x was not submitted"),
        ({"command": "python3", "args": "server.py"}, "not a list of texts"),
        ({"command": "python3", "args": ["-c", "a\0b"]}, "NUL"),
    ],
)
def test_what_cannot_be_started_says_why(server: dict[str, Any], words: str) -> None:
    with pytest.raises(NotStartable, match=words):
        launch(server, FILES, "/root", Canaries(frozenset()))


def test_no_secret_is_in_what_is_started() -> None:
    server = {
        "command": "python3",
        "args": ["server.py", f"--token={GITHUB_TOKEN}"],
        "env": {
            "GITHUB_TOKEN": GITHUB_TOKEN,
            "DSN": f"postgres://me:{GITHUB_TOKEN}@host/db",
            "API_KEY": "${API_KEY}",
            "MODE": "fast",
            "PORT": 80,
        },
    }
    canaries = Canaries(frozenset({GITHUB_TOKEN}))
    found = launch(server, FILES, "/root", canaries)
    assert GITHUB_TOKEN not in str(found)
    assert found.environment["GITHUB_TOKEN"] in canaries.names
    assert found.environment["API_KEY"] in canaries.names
    assert (found.environment["MODE"], found.environment["PORT"]) == ("fast", "80")
    assert set(canaries.names.values()) == {"GITHUB_TOKEN", "API_KEY"}


def test_a_secret_in_the_name_of_a_program_is_not_told() -> None:
    secret = "Correct-Horse-1"
    with pytest.raises(NotStartable) as caught:
        launch({"command": secret}, [], "", Canaries(frozenset({secret})))
    assert secret.lower() not in str(caught.value).lower()
