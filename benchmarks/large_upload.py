"""One large model, from the client's first byte to the verdict, and what that takes.

A safetensors file of `BENCH_UPLOAD_BYTES` (1 GB) is sent to a real server as a browser
or curl sends it. Figures: bytes per second against hashing alone, seconds to the
verdict against the tool's own command line, the most memory of any process, and the
disk's share against the size of the file. Processor seconds tell more than the clock
where the machine has other work too.

`BENCH_UPLOAD_BYTES=1e10` needs 10 GB of disk, and a limit on the scan's time that fits
the machine (`SENTRASCAN_SCAN_TIMEOUT_SECONDS`).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.installation import PROJECT, Installation, running
from benchmarks.latency import set_up
from benchmarks.processes import family

SIZE_BYTES = int(float(os.environ.get("BENCH_UPLOAD_BYTES", "1e9")))
TENSORS = 64
BOUNDARY = "sentrascan-benchmark"
SAMPLE_SECONDS = 0.1
MB = 1e6
ROLES = {
    "--beside": "beside the worker",
    "gunicorn": "web",
    "modelaudit.__main__": "modelaudit",
    "file_rules": "sentrascan-files",
    "warm_host": "other hosts",
}


def main() -> None:
    set_up()
    with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as folder:
        model = Path(folder) / "model.safetensors"
        write_model(model, SIZE_BYTES)
        hashed = seconds_to_hash(model)
        alone = seconds_alone(model.parent)
        with running() as here, watched(here) as watch:
            before = processor_seconds(here, "web")
            sent = send(here, model)
            spent = processor_seconds(here, "web") - before
            stages = follow(here, sent.scan_id)
    print_upload(sent.seconds, spent, hashed)
    print_scan(stages, alone, watch)


def write_model(path: Path, size: int) -> None:
    """Write a valid file of half-precision tensors: some random bytes, then a hole."""
    each = size // TENSORS // 2 * 2
    header = {
        f"layers.{n}.weight": {
            "dtype": "F16",
            "shape": [each // 2],
            "data_offsets": [n * each, (n + 1) * each],
        }
        for n in range(TENSORS)
    }
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        start = file.tell()
        for number in range(TENSORS):
            file.seek(start + number * each)
            file.write(os.urandom(min(each, 1 << 16)))
        file.truncate(start + TENSORS * each)


def seconds_to_hash(path: Path) -> float:
    """Return the processor's seconds for reading and hashing, and nothing else."""
    started = time.process_time()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.process_time() - started


def seconds_alone(folder: Path) -> float:
    """Return what the tool's own command line takes for the same file."""
    from django.conf import settings

    from scanners.adapters.modelaudit import ENVIRONMENT
    from scanners.install import installed

    tool = installed("modelaudit", settings.SCANNERS_DIR)
    launch = PROJECT / "scanners" / "launch.py"
    call = [str(tool.python), "-I", str(launch), "modelaudit.__main__:_run"]
    options = ("--format", "json", "--no-cache", "--no-whitelist", "--quiet")
    with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as home:
        started = time.perf_counter()
        subprocess.run(
            [*call, "scan", *options, "--", str(folder)],
            env={"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8"}
            | ENVIRONMENT,
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Sent:
    """The upload's answer, and how long the server took to have it all."""

    scan_id: str
    seconds: float


def send(here: Installation, model: Path) -> Sent:
    """Post the file as a form. The kernel copies it, so that the server is measured."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="scan_type"\r\n\r\n'
        f"model\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="file"; filename="{model.name}"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    address = urlsplit(here.url)
    client = http.client.HTTPConnection(address.netloc, timeout=600)
    started = time.perf_counter()
    client.putrequest("POST", f"{address.path}/scans")
    client.putheader("X-API-Key", here.key)
    client.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    length = len(head) + model.stat().st_size + len(tail)
    client.putheader("Content-Length", str(length))
    client.endheaders(head)
    with model.open("rb") as file:
        client.sock.sendfile(file)
    client.send(tail)
    answer = client.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - started
    if answer.status != http.client.ACCEPTED:
        sys.exit(f"{answer.status} {body.decode()}")
    return Sent(json.loads(body)["scan_id"], seconds)


def follow(here: Installation, scan_id: str) -> dict[str, float]:
    """Return the seconds of each stage until a verdict; exit on any but `pass`."""
    client = httpx.Client(headers={"X-API-Key": here.key}, timeout=60)
    stages: dict[str, float] = {}
    last = time.perf_counter()
    while True:
        scan = client.get(f"{here.url}/scans/{scan_id}").json()
        stage, now = scan["progress"]["stage"], time.perf_counter()
        if stage == "finished":
            break
        stages[stage] = stages.get(stage, 0.0) + now - last
        last = now
        time.sleep(SAMPLE_SECONDS)
    if scan["verdict"] != "pass":
        sys.exit(f"{scan['verdict']}: {scan['reasons']}")
    return stages


class Watch:
    """The most that was seen: bytes of memory by role, bytes of disk."""

    def __init__(self) -> None:
        self.memory: dict[str, int] = {}
        self.disk = 0

    def look(self, here: Installation) -> None:
        for process in family(here.process_id):
            role = role_of(process.words)
            self.memory[role] = max(process.memory_bytes, self.memory.get(role, 0))
        self.disk = max(self.disk, disk_of(here.data))


@contextmanager
def watched(here: Installation) -> Iterator[Watch]:
    watch, over = Watch(), threading.Event()

    def work() -> None:
        while not over.wait(SAMPLE_SECONDS):
            watch.look(here)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def role_of(words: Sequence[str]) -> str:
    """Name a process by its command line. A warm host's is that of its scans too."""
    for word, role in ROLES.items():
        if any(word in each for each in words):
            return role
    return "worker" if "worker" in words else "everything else"


def processor_seconds(here: Installation, role: str) -> float:
    return sum(
        each.processor_seconds
        for each in family(here.process_id)
        if role_of(each.words) == role
    )


def disk_of(top: Path) -> int:
    """Return the bytes on disk below `top`, each file once whatever its names."""
    found: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                facts = Path(folder, name).lstat()
            except OSError:
                continue
            found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return sum(found.values())


def print_upload(seconds: float, spent: float, hashed: float) -> None:
    print(
        f"upload of {SIZE_BYTES / 1e9:.1f} GB: {seconds:.1f} s, "
        f"{SIZE_BYTES / seconds / MB:.0f} MB/s; {spent:.1f} s of the web's processor "
        f"time, SHA-256 alone {hashed:.1f} s, ratio {spent / hashed:.1f}"
    )


def print_scan(stages: dict[str, float], alone: float, watch: Watch) -> None:
    scanned = sum(stages.values())
    each = ", ".join(f"{name} {took:.1f} s" for name, took in stages.items())
    print(
        f"then to the verdict: {scanned:.1f} s ({each}); modelaudit's own command "
        f"line {alone:.1f} s, ratio {scanned / alone:.2f}"
    )
    roles = ", ".join(f"{r} {s / MB:.0f} MB" for r, s in sorted(watch.memory.items()))
    print(f"most memory of one process: {roles}")
    print(f"most disk: {watch.disk / SIZE_BYTES:.2f} times the file", flush=True)


if __name__ == "__main__":
    main()
