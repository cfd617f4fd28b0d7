"""`make test-container`: the attacks once more, with exactly the rights of `worker`.

Needs a Docker engine with `docker-compose`. Builds the product's image and a throwaway
one with the tests on top, runs it as the service `worker` of docker-compose.yml, then
has the whole product judge a few targets, and looks at the worker without its way out
as docs/security.md shows it. Its containers, networks and volumes are a project of
their own, and are removed. With arguments, only pytest runs, with these.

Standard library only.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import tempfile

from tests.container import journey
from tests.container.engine import ROOT, compose, expect

SUITES = (
    "tests/container/inside.py",
    "tests/scanners/test_sandbox.py",
    "tests/scanners/test_runner.py",
    "tests/scanners/test_scratch.py",
    "tests/scanners/test_supervisor.py",
    "tests/scanners/test_hosts.py",
    "tests/scanners/test_warm_reports.py",
    "tests/scanners/test_introspect.py",
    "tests/scanners/test_inquiry_strangers.py",
    "tests/security",
)
# What the build has fetched from already, so that it is there.
OUTSIDE = ("deb.debian.org", 80)
LOOK = """
import json, socket, sys
def reaches(host, port):
    try:
        socket.create_connection((host, int(port)), 10).close()
    except OSError:
        return False
    return True
names = {name for _, name in socket.if_nameindex()} - {"lo"}
seen = [len(names), reaches("db", 5432), reaches(*sys.argv[1:])]
print(json.dumps(seen))
"""


def fragment() -> str:
    """Return the file that docs/security.md shows for a worker without a way out."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"(?s)```yaml\n(# docker-compose\.override.*?)```", text)
    return str(shown)


def suites(options: list[str]) -> None:
    chosen = options or [*SUITES, "--numprocesses", "2", "--dist", "loadfile"]
    do("run", "--rm", "worker-tests", *chosen)


def without_egress() -> None:
    """See the worker's networks, then those of the worker of the document."""
    address = socket.gethostbyname(OUTSIDE[0])
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(fragment())
        file.flush()
        seen = [look(address), look(address, file.name)]
    expect(seen, [[2, True, True], [1, True, False]])
    sys.stdout.write("without egress: one network, and nothing outside answers\n")


def look(address: str, *files: str) -> object:
    python = ("--entrypoint", "/app/.venv/bin/python", "worker", "-I", "-c", LOOK)
    outside = (address, str(OUTSIDE[1]))
    run = compose("run", "-T", "--rm", "--no-deps", *python, *outside, files=files)
    seen: object = json.loads(run.stdout)
    return seen


def do(*arguments: str, files: tuple[str, ...] = ()) -> None:
    if code := compose(*arguments, files=files).returncode:
        raise SystemExit(code)


def main(options: list[str]) -> None:
    clear()  # what a run left that was killed
    try:
        do("build", "api")
        do("build", "worker-tests")
        suites(options)
        if not options:
            journey.main()
            without_egress()
    finally:
        clear()


def clear() -> None:
    compose("down", "--volumes", "--remove-orphans")


if __name__ == "__main__":
    main(sys.argv[1:])
