"""A scan's way from POST to verdict through the whole product in its containers.

With new processes first, then with warm hosts: both must judge alike on the rung of
`required`, and the hosts of the real worker must be warm and be what is faster.
Standard library only.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import urllib.request
from typing import Any

from tests.container.engine import PORT, compose, expect

API = f"http://127.0.0.1:{PORT}/api/v1"
PATIENCE_SECONDS = 300
ROUNDS = 5
BOUNDARY = "a-line-of-its-own"
# posix.system("id"), in protocol 0
HOSTILE = b"cposix\nsystem\n(S'id'\ntR."


def model(number: int) -> bytes:
    """Return a `.npy` file of one integer (numpy.lib.format, version 1.0)."""
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    head = b"\x93NUMPY\x01\x00" + len(header + "\n").to_bytes(2, "little")
    return head + header.encode() + b"\n" + number.to_bytes(8, "little", signed=True)


class Client:
    """Whoever has an API key, and waits for the verdict."""

    def __init__(self, key: str) -> None:
        self.headers = {"X-API-Key": key, "Prefer": "wait=60"}

    def call(self, path: str, kind: str = "", body: bytes | None = None) -> Any:
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(f"{API}{path}", body, headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310 - our own address
            return json.load(answer)

    def followed(self, scan: Any) -> Any:
        """Return the scan once it has ended: a busy machine may outlast the wait."""
        end = time.monotonic() + PATIENCE_SECONDS
        while scan["verdict"] is None and time.monotonic() < end:
            time.sleep(0.5)
            scan = self.call(f"/scans/{scan['scan_id']}")
        return scan

    def upload(self, name: str, content: bytes) -> Any:
        parts = [
            b'Content-Disposition: form-data; name="scan_type"\r\n\r\nmodel',
            b'Content-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s'
            % (name.encode(), content),
        ]
        begin = f"--{BOUNDARY}\r\n".encode()
        body = b"".join(begin + part + b"\r\n" for part in parts)
        body += f"--{BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.followed(self.call("/scans", kind, body))

    def tools(self, number: int) -> Any:
        schema = {"type": "object", "properties": {"a": {"type": "number"}}}
        tool = {
            "name": "add",
            "description": f"Add {number} to a number.",
            "inputSchema": schema,
        }
        body = {"scan_type": "mcp", "tools": [tool]}
        raw = json.dumps(body).encode()
        return self.followed(self.call("/scans", "application/json", raw))


def travel(*, is_warm: bool) -> dict[str, float]:
    """Start the product, look at its worker, return seconds to a verdict by kind."""
    switch = {"SENTRASCAN_WARM_HOSTS": "1" if is_warm else "0"}
    expect(compose("up", "-d", "--wait", "proxy", "worker", **switch).returncode, 0)
    client = Client(new_key())
    worker = settled_worker()
    expect(worker["sandbox"], "landlock")
    hosts = {name: each["host"] for name, each in worker["scanners"].items()}
    expect(hosts, dict.fromkeys(hosts, "warm" if is_warm else ""))
    expect(judged(client.upload("bad.pkl", HOSTILE)), "fail")
    offset = ROUNDS if is_warm else 0
    seconds: dict[str, list[float]] = {"model": [], "mcp": []}
    for number in range(offset, offset + ROUNDS):
        for kind, times in seconds.items():
            started = time.perf_counter()
            scan = (
                client.upload("tiny.npy", model(number))
                if kind == "model"
                else client.tools(number)
            )
            times.append(time.perf_counter() - started)
            expect(judged(scan), "pass")
    return {kind: statistics.median(times) for kind, times in seconds.items()}


def new_key() -> str:
    answer = compose(
        *("exec", "-T", "api", "sentrascan", "auth", "create"),
        *("--name", f"journey-{time.monotonic_ns()}", "--role", "scanner"),
    )
    return next(word for word in answer.stdout.split() if word.startswith("ssk_"))


def settled_worker() -> Any:
    """Return the row of the only worker once its scanners are tried, its hosts started.

    Read, not asked of `doctor`: that tries every scanner itself, beside `api`, and
    would take the processor from the worker that is waited for.
    """
    query = "select coalesce(json_agg(workers), '[]') from workers"
    psql = ("psql", "-U", "postgres", "-d", "sentrascan", "-Atc", query)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        rows = json.loads(compose("exec", "-T", "db", *psql).stdout)
        scanners = rows[0]["scanners"].values() if len(rows) == 1 else ()
        states = {(each["status"], each["host"] != "starting") for each in scanners}
        if states == {("available", True)}:
            return rows[0]
        if time.monotonic() > end:
            raise SystemExit(f"the worker does not come to rest: {rows}")
        time.sleep(2)


def judged(scan: Any) -> Any:
    runs = {each["scanner"]: each["sandbox"] for each in scan["runs"]}
    expect(runs, dict.fromkeys(runs, "landlock"))
    return scan["verdict"]


def main() -> None:
    cold, warm = travel(is_warm=False), travel(is_warm=True)
    for kind in cold:
        sys.stdout.write(
            f"POST to verdict, {kind}: {cold[kind]:.2f} s with new processes, "
            f"{warm[kind]:.2f} s with warm hosts (medians of {ROUNDS})\n"
        )
        sys.stdout.flush()
        if warm[kind] >= cold[kind]:
            raise SystemExit("the warm hosts of the worker are not used")
