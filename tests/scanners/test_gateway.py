"""The gateway against a client that was taken over: one origin, and no more."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from scanners import introspect, runner
from scanners.gateway import FRAME, Bounds, Gateway
from scanners.install import own
from scanners.runner import Reach
from scanners.sandbox import Rung
from scanners.urls import read_url

from .inquiring import RULES, gateway_threads
from .laboratory import Lab
from .standin import need, wait_for
from .web_servers import Call, WebServer, hostile_server

SECRET = "s3cr3t-Zq8vW2x-t0ken"
SECRETS = {"Authorization": SECRET}


@pytest.fixture
def server() -> Iterator[WebServer]:
    with hostile_server() as server:
        yield server


@contextmanager
def gateway_to(url: str, **bounds: Any) -> Iterator[Gateway]:
    made = Gateway(
        read_url(url, RULES),
        RULES,
        secrets=SECRETS,
        seconds=30,
        bounds=Bounds(**bounds),
    )
    with made as gateway:
        yield gateway
    assert gateway_threads() == []


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def handed(gateway: Gateway, *numbers: int) -> None:
    channel = socket.socket(fileno=os.dup(gateway.channel))
    with channel:
        socket.send_fds(channel, [b"+"], list(numbers))


def pair_with(gateway: Gateway) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)  # generous: only a fault waits so long
    with theirs:
        handed(gateway, theirs.fileno())
    return ours


def said(ours: socket.socket, question: Any, body: bytes = b"{}") -> list[Any]:
    """Ask and return all frames of the answer, (kind, content)."""
    raw = question if isinstance(question, bytes) else json.dumps(question).encode()
    with ours:
        with suppress(OSError):  # it need not listen to the end
            ours.sendall(FRAME.pack(b"Q", len(raw)) + raw)
            ours.sendall(FRAME.pack(b"B", len(body)) + body)
        heard = b""
        with suppress(ConnectionError):
            while piece := ours.recv(65536):
                heard += piece
    frames = []
    while heard:
        kind, size = FRAME.unpack_from(heard)
        frames.append((kind, heard[FRAME.size : FRAME.size + size]))
        heard = heard[FRAME.size + size :]
    return frames


def ask(gateway: Gateway, url: str, method: str = "POST", **headers: str) -> list[Any]:
    question = {"method": method, "url": url, "headers": headers}
    return said(pair_with(gateway), question)


HELLO = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'


def test_a_request_is_made_with_the_headers_and_its_answer_comes_back(
    server: WebServer,
) -> None:
    with gateway_to(server.url()) as gateway:
        question = {"method": "POST", "url": server.url(), "headers": {}}
        frames = said(pair_with(gateway), question, HELLO)
    assert [kind for kind, _ in frames] == [b"H", b"D", b"E"]
    head = json.loads(frames[0][1])
    assert head == {"status": 200, "headers": {"content-type": "application/json"}}
    assert "weather" in frames[1][1].decode()
    assert server.asked[0][2]["authorization"] == SECRET


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example:{port}/mcp",
        "http://127.0.0.1:{port}/mcp",
        "https://localhost:{port}/mcp",
        "http://localhost/mcp",
        "http://localhost@other.example:{port}/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "/mcp",
        "",
    ],
)
def test_nobody_but_the_server_itself_is_asked(server: WebServer, url: str) -> None:
    with gateway_to(server.url()) as gateway:
        [(kind, content)] = ask(gateway, url.format(port=server.port))
    assert kind == b"F"
    assert json.loads(content)[0] == "refused"
    assert server.asked == []


@pytest.mark.parametrize("method", ["PUT", "CONNECT", "GET / HTTP/1.1\r\nX: y\r\n\r\n"])
def test_other_methods_are_refused(server: WebServer, method: str) -> None:
    with gateway_to(server.url()) as gateway:
        assert ask(gateway, server.url(), method)[0][0] == b"F"
    assert server.asked == []


def test_a_client_decides_about_no_header_but_those_of_the_protocol(
    server: WebServer,
) -> None:
    with gateway_to(server.url()) as gateway:
        given = {
            "Authorization": "mine",
            "authorization": "mine",
            "host": "other.example",
            "transfer-encoding": "chunked",
            "x-other": "1",
            "mcp-session-id": "abc",
        }
        assert ask(gateway, server.url(), **given)[-1][0] == b"E"
        broken = ask(gateway, server.url(), accept="a\r\nX-Injected: 1")
        assert broken[0][0] == b"F"
    [(_, _, headers)] = server.asked
    assert headers["authorization"] == SECRET
    assert headers["host"] == f"localhost:{server.port}"
    assert headers["mcp-session-id"] == "abc"
    assert headers.keys().isdisjoint({"transfer-encoding", "x-other", "x-injected"})


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        b"{}",
        b'{"method": 1, "url": 2, "headers": 3}',
        b'{"method": "GET", "url": "http://localhost/", "headers": {"accept": 7}}',
        b'{"method": "GET", "method": "PUT"}',
    ],
)
def test_garbage_is_no_request(server: WebServer, question: bytes) -> None:
    with gateway_to(server.url()) as gateway:
        [(kind, content)] = said(pair_with(gateway), question)
        assert (kind, json.loads(content)[0]) == (b"F", "refused")
        assert ask(gateway, server.url())[-1][0] == b"E"


def test_what_is_too_large_is_not_even_read(server: WebServer) -> None:
    with gateway_to(server.url()) as gateway:
        for head in (FRAME.pack(b"Q", 1 << 31), FRAME.pack(b"X", 3), b"GET / HTTP/1.1"):
            ours = pair_with(gateway)
            with ours:
                ours.sendall(head)
                assert b"no request" in ours.recv(1000)
        ours = pair_with(gateway)
        question = {"method": "POST", "url": server.url(), "headers": {}}
        frames = said(ours, question, b"x" * (300 << 10))
        assert frames[0][0] == b"F"
    assert server.asked == []


def test_only_ends_of_pairs_are_taken_and_all_else_is_closed(
    server: WebServer,
) -> None:
    before = open_files()
    with gateway_to(server.url()) as gateway, tempfile.TemporaryFile() as file:
        reader, writer = os.pipe()
        datagram, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        tcp = socket.create_connection(("127.0.0.1", server.port))
        for each in (file, reader, writer, datagram, other, tcp):
            handed(gateway, each if isinstance(each, int) else each.fileno())
        handed(gateway, reader, writer, file.fileno())
        assert ask(gateway, server.url())[-1][0] == b"E"
        for each in (datagram, other, tcp):
            each.close()
        os.close(reader)
        os.close(writer)
    # what the server of the test still holds goes, too
    assert wait_for(lambda: open_files() <= before)


def test_too_many_requests_are_told_and_not_made(server: WebServer) -> None:
    with gateway_to(server.url(), requests=2) as gateway:
        for _ in range(2):
            assert ask(gateway, server.url())[-1][0] == b"E"
        assert ask(gateway, server.url()) == []
        assert gateway.excess == "requests"
    assert len(server.asked) == 2


def test_many_at_once_are_not_served() -> None:
    def behave(call: Call, method: str) -> None:
        call.silent()

    with (
        hostile_server(behave) as server,
        gateway_to(server.url(), at_once=2) as gateway,
    ):
        question = json.dumps({"method": "GET", "url": server.url(), "headers": {}})
        held = []
        for _ in range(2):
            held.append(pair_with(gateway))
            frame = FRAME.pack(b"Q", len(question)) + question.encode()
            held[-1].sendall(frame + FRAME.pack(b"B", 0))
        assert wait_for(lambda: len(server.asked) == 2)
        assert ask(gateway, server.url()) == []
    for each in held:
        each.close()


def test_all_answers_together_are_bounded(server: WebServer) -> None:
    def large(call: Call, method: str) -> None:
        call.raw(b"x" * 40_000)

    with (
        hostile_server(large) as server,
        gateway_to(server.url(), total_bytes=100_000) as gateway,
    ):
        kinds = [ask(gateway, server.url())[-1][0] for _ in range(3)]
        assert kinds == [b"E", b"E", b"F"]
        assert gateway.excess == "bytes"


def test_a_client_that_takes_nothing_holds_nobody_up() -> None:
    with hostile_server(lambda call, _: call.endless()) as server:
        patient = {"total_bytes": 1 << 30, "idle_seconds": 600}
        with gateway_to(server.url(), **patient) as gateway:
            ours = pair_with(gateway)
            question = json.dumps({"method": "GET", "url": server.url(), "headers": {}})
            frame = FRAME.pack(b"Q", len(question)) + question.encode()
            ours.sendall(frame + FRAME.pack(b"B", 0))
            assert wait_for(lambda: server.asked)
            started = time.monotonic()
        # far less than the time for which one that is silent is waited for
        assert time.monotonic() - started < 60
        ours.close()


CONFINED = """
import json, os, socket, sys
number = int(sys.argv[1])
def tried(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
channel = socket.socket(fileno=number)
ours, theirs = socket.socketpair()
socket.send_fds(channel, [b"+"], [theirs.fileno()])
theirs.close()
question = json.dumps({"method": "POST", "url": sys.argv[2], "headers": {}}).encode()
frame = lambda kind, text: kind + len(text).to_bytes(4, "big") + text
ours.sendall(frame(b"Q", question) + frame(b"B", b"{}"))
heard = b""
while piece := ours.recv(65536):
    heard += piece
print(json.dumps({
    "heard": heard.decode(),
    "network": tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])))),
    "datagram": tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)),
    "open": sorted(int(n) for n in os.listdir("/proc/self/fd")),
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("rung", list(Rung), ids=str)
def test_the_channel_is_all_that_a_confined_client_has(
    lab: Lab, rung: Rung, server: WebServer
) -> None:
    need(rung)
    tool = own("gateway")
    with gateway_to(server.url()) as gateway:
        completed = runner.execute(
            [
                *(str(tool.python), "-I", "-c", CONFINED),
                *(str(gateway.channel), server.url(), str(server.port)),
            ],
            name="the client",
            environment={},
            limits=introspect.LIMITS,
            rung=rung,
            run_dir=lab.run_dir,
            reach=Reach(
                readable=tool.readable, python=tool.python, channel=gateway.channel
            ),
            files={},
            outputs=(),
            stop=lab.stop,
        )
        channel = gateway.channel
    assert completed.exit_code == 0, completed.stderr
    found = json.loads(completed.stdout)
    assert "E" in found["heard"]
    assert found["network"] == found["datagram"] == "PermissionError"
    # its three streams, the channel, its pair, and the listing of the folder
    assert channel in found["open"]
    assert len(found["open"]) <= 6
    assert len(server.asked) == 1
