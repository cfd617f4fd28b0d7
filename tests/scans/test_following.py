"""What the command line shows of the bytes that go, and of the scans that run."""

from __future__ import annotations

import io
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scanners.contract import TargetKind
from scans.management import following
from scans.management.doors import Document
from scans.management.following import asked_to_stop, follow, sending, share_of
from scans.management.here import Here
from scans.management.orders import Order, Part
from scans.management.remote import Remote

SIZE = (2 << 20) + 5


def scan_at(status: str, stage: str, done: int = 0, total: int = 0) -> Document:
    progress = {"stage": stage, "done": done, "total": total}
    found = {"scan_id": "1", "target": "m.bin", "scan_status": status}
    return {**found, "verdict": None, "progress": progress}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    path = tmp_path / "m.bin"
    path.write_bytes(bytes(SIZE))
    return Order(TargetKind.MODEL, "m.bin", (Part("m.bin", path),))


@pytest.mark.parametrize(
    ("scan", "said", "share"),
    [
        (scan_at("queued", "queued"), "queued", 0),
        (scan_at("running", "fetch"), "fetching", 0),
        (
            scan_at("running", "fetch", 3 * 10**9, 10**10),
            "fetching, 3.0 GB of 10.0 GB",
            0.3,
        ),
        # an archive: nobody knows how much it holds
        (scan_at("running", "fetch", 3 * 10**9), "fetching, 3.0 GB", 0),
        (scan_at("running", "scan", 0, 600), "scanning, 0 s of at most 600 s", 0),
        (scan_at("running", "scan", 60, 600), "scanning, 60 s of at most 600 s", 0.1),
        # late, and not over: the bar is not full, or its clock would stop
        (scan_at("running", "scan", 6, 6), "scanning, 6 s of at most 6 s", 0.99),
        (scan_at("running", "something new", 1, 2), "running", 0),
        (scan_at("completed", "finished", 600, 600), "completed", 1),
        (scan_at("cancelled", "cancelled", 3, 600), "cancelled", 1),
    ],
)
def test_the_bar_shows_bytes_and_then_time(
    scan: Document, said: str, share: float
) -> None:
    assert share_of(scan) == (said, share)


class Told:
    """A door behind which a scan goes on by one step a look."""

    def __init__(self, *steps: Document) -> None:
        self.steps = list(steps)

    def scan(self, scan_id: str) -> Document:
        return self.steps.pop(0)

    def work(self) -> None: ...


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_log_gets_a_line_a_stage_and_a_terminal_each_step(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE_SECONDS", 0.001)
    seconds = [scan_at("running", "scan", n, 600) for n in range(1, 5)]
    end = scan_at("completed", "finished", 600, 600)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=is_terminal, width=100)
    door: Any = Told(*seconds, end)
    assert follow(door, [scan_at("queued", "queued")], console) == [end]
    if is_terminal:
        assert "scanning, 4 s of at most 600 s" in shown.getvalue()
    else:
        lines = ["m.bin: queued", "m.bin: scanning", "m.bin: completed"]
        assert shown.getvalue().splitlines() == lines


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_sees_the_bytes_go(
    monkeypatch: pytest.MonkeyPatch, order: Order, is_terminal: bool
) -> None:
    monkeypatch.setattr(following, "TICK_SECONDS", 0)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=is_terminal, width=100)
    with sending(order, console) as moved:
        moved(SIZE // 2)
    if is_terminal:
        assert "sending, 1.0 MB of 2.1 MB" in shown.getvalue()
    else:
        assert shown.getvalue() == ""


@pytest.fixture
def server() -> Iterator[str]:
    """Takes a scan and says how many bytes came."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"zeros": body.count(0)}).encode()
            self.send_response(202)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None: ...

    one = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=one.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{one.server_port}"
    one.shutdown()
    thread.join()
    one.server_close()


def test_what_goes_to_a_server_is_told_in_pieces(server: str, order: Order) -> None:
    told: list[int] = []
    remote = Remote(server, "key")
    assert remote.submit(order, told.append) == {"zeros": SIZE}
    remote.close()
    assert (sum(told), max(told) <= 1 << 20) == (SIZE, True)


@pytest.mark.django_db(transaction=True)
def test_what_is_stored_here_is_told_in_pieces(
    settings: Any, tmp_path: Path, order: Order
) -> None:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    told: list[int] = []
    assert Here().submit(order, told.append)["scan_status"] == "queued"
    assert told == [1 << 20, 1 << 20, 5]


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """Ctrl-C as in a terminal: a suite started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts")
def test_the_first_ctrl_c_is_asked_about_and_the_second_one_interrupts():
    with asked_to_stop() as is_asked:
        assert not is_asked()
        signal.raise_signal(signal.SIGINT)
        assert is_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # and afterwards all is as it was
        signal.raise_signal(signal.SIGINT)
