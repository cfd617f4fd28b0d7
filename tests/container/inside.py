"""What a worker's container gives and refuses, seen from inside; `run.py` runs it.

Its name hides it from the ordinary run, whose machine is no such container.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from scanners.sandbox import Rung
from scans.sandboxing import chosen_rung
from tests.scanners.standin import Stage, need

STORES = {"db": 5432, "redis": 6379}
CONNECT = """
import json, socket
tried = json.load(open("tried.json"))
answers = {}
for name, address in tried.items():
    try:
        socket.create_connection(address, 3).close()
        answers[name] = "connected"
    except OSError as error:
        answers[name] = "refused"
print(json.dumps(answers))
"""


def status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{field}:")]
    return line.partition(":")[2].strip()


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()} - {"lo"}


def default_routes() -> set[str]:
    lines = Path("/proc/net/route").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return {interface for interface, destination, *_ in rows if destination == "0" * 8}


def test_it_has_the_rights_of_a_worker() -> None:
    assert (os.getuid(), os.getgid()) == (10001, 10001)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status(kind), 16) == 0
    assert status("NoNewPrivs") == "1"
    assert status("Seccomp") == "2"
    assert os.statvfs("/").f_flag & os.ST_RDONLY
    for place in ("/app", "/opt/scanners", "/etc"):
        with pytest.raises(OSError, match=r"Read-only|Permission"):
            Path(place, "new").write_bytes(b"")


def test_it_isolates_by_landlock_and_needs_no_weaker_sandbox() -> None:
    rung = chosen_rung()
    assert rung.rung is Rung.LANDLOCK
    assert rung.is_required
    assert rung.is_enough


def test_it_is_in_two_networks_and_one_of_them_leads_out() -> None:
    assert len(interfaces()) == 2
    assert len(default_routes()) == 1


@pytest.mark.parametrize("name", ["api", "beat", "proxy"])
def test_it_sees_nobody_else(name: str) -> None:
    with pytest.raises(OSError, match=r"not known|resolution"):
        socket.getaddrinfo(name, 8200)


@pytest.mark.parametrize("rung", [Rung.LANDLOCK, Rung.RLIMITS], ids=str)
def test_a_tool_reaches_no_store_that_the_worker_reaches(
    rung: Rung, tmp_path: Path
) -> None:
    tried: dict[str, tuple[str, int]] = {}
    for name, port in STORES.items():
        with socket.create_connection((name, port), 10) as connection:
            tried[f"{name} by address"] = connection.getpeername()[:2]
        tried[f"{name} by name"] = (name, port)
    stage = Stage(tmp_path)
    program = f"open('tried.json', 'w').write({json.dumps(tried)!r})\n{CONNECT}"
    completed = stage.perform(program, rung=need(rung))
    assert json.loads(completed.stdout) == dict.fromkeys(tried, "refused")
    # The same program without a sandbox, or the refusals would prove nothing.
    for address in tried.values():
        socket.create_connection(address, 10).close()
