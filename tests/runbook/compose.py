"""`docker-compose` and `docker` as the throwaway stack has them; test code only.

`exec` and `run` become the command in the environment of that service; the rest is told
to the stack in the test's process. Standard library only: it starts once for each
command of the runbook.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

FLAGS = {"-T", "--rm", "--no-deps", "-it", "-i"}
NOT_RUNNING = 1


def main(words: list[str]) -> int:
    program, *words = words
    state = json.loads(Path(os.environ["RUNBOOK_STACK"]).read_text())
    if program == "docker":
        # An engine is what this stack has not.
        print("(no engine here) docker", *words)  # noqa: T201 - a program's answer
        return 0
    if words[:1] in (["exec"], ["run"]):
        return inside(words, state)
    answer = ask(state, words)
    sys.stdout.write(answer["out"])
    sys.stderr.write(answer["error"])
    return int(answer["code"])


def inside(words: list[str], state: dict[str, Any]) -> int:
    """Become the command of `exec` or `run`; return only where that cannot be."""
    verb, *words = words
    entry: list[str] = []
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--entrypoint":
            entry = [words.pop(0)]
        elif option not in FLAGS:
            sys.stderr.write(f"unknown flag: {option}\n")
            return 16
    name, *words = words
    if verb == "exec" and ask(state, ["is-running", name])["code"]:
        sys.stderr.write(f'service "{name}" is not running\n')
        return NOT_RUNNING
    command = [*entry, *words]
    environment = state["services"][name]
    os.chdir(environment["PWD"])
    sys.stdout.flush()
    os.environ["PATH"] = environment["PATH"]
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        sys.stderr.write(f'exec: "{command[0]}": {error.strerror}\n')
        return 127


def ask(state: dict[str, Any], words: list[str]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(state["socket"])
        request = {"words": words, "settings": settings()}
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer


def settings() -> dict[str, str]:
    """Return the settings that compose finds: in `.env`, and over it in the shell."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "docker-compose.yml").exists():
            file = folder / ".env"
            lines = file.read_text().splitlines() if file.exists() else []
            found = (
                dict(line.split("=", 1) for line in lines if "=" in line) | os.environ
            )
            ours = {k for k in found if k.startswith("SENTRASCAN_")}
            return {k: found[k] for k in ours if not k.startswith("SENTRASCAN_API_")}
    sys.stderr.write("no configuration file provided: not found\n")
    raise SystemExit(14)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
