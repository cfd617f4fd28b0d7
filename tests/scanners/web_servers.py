"""MCP servers that are elsewhere: the official library's own, and hostile ones."""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from scanners.runner import Tool

# Run by the Python that has the library; says its port, then serves until it is ended.
_REAL = """
import json, socket, sys
import uvicorn
from mcp.server.fastmcp import FastMCP

facts = json.loads(sys.argv[1])
server = FastMCP("real", instructions="Ask for the weather.", **facts["options"])

@server.tool()
def weather(city: str) -> str:
    "Returns the weather of a city"
    return "sunny"

@server.prompt()
def greet(name: str) -> str:
    "Greets somebody"
    return f"Hello {name}"

@server.resource("notes://today")
def today() -> str:
    "The notes of today"
    return ""

@server.resource("notes://{day}")
def notes(day: str) -> str:
    "The notes of a day"
    return ""

app = server.sse_app() if facts["is_sse"] else server.streamable_http_app()

async def guarded(scope, receive, send):
    told = dict(scope.get("headers") or [])
    wanted = facts["wanted"]
    is_http = scope["type"] == "http"
    if is_http:
        print(json.dumps([scope["method"], scope["path"],
            {n.decode(): v.decode() for n, v in told.items()}]), flush=True)
    if is_http and any(told.get(n.encode()) != v.encode() for n, v in wanted.items()):
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await app(scope, receive, send)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(guarded, log_level="critical", lifespan="on",
    ssl_certfile=facts["certificate"] or None)
uvicorn.Server(config).run(sockets=[listener])
"""


@dataclass
class WebServer:
    """`asked` are method, path and headers (names in lower case) of each request."""

    port: int
    scheme: str
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str = "/mcp", host: str = "localhost") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


@contextmanager
def real_server(
    tool: Tool,
    *,
    is_sse: bool = False,
    ca: trustme.CA | None = None,
    wanted: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[WebServer]:
    """The library's own server; requests without the `wanted` headers get 401."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = ""
        if ca is not None:
            certificate = str(Path(folder) / "server.pem")
            ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
                certificate
            )
        facts = {
            "is_sse": is_sse,
            "certificate": certificate,
            "wanted": wanted or {},
            "options": options,
        }
        command = [str(tool.python), "-I", "-c", _REAL, json.dumps(facts)]
        with _running(command) as (port, asked):
            yield WebServer(port, "https" if ca else "http", asked)


@contextmanager
def _running(command: list[str]) -> Iterator[tuple[int, list[Any]]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines = process.stdout
    assert lines is not None
    asked: list[Any] = []

    def follow() -> None:
        asked.extend(tuple(json.loads(line)) for line in lines)

    try:
        port = int(lines.readline())
        threading.Thread(target=follow, daemon=True).start()
        yield port, asked
    finally:
        process.kill()
        process.wait()


ABOUT = {
    "protocolVersion": "2025-06-18",
    "serverInfo": {"name": "stand-in", "version": "1"},
    "capabilities": {"tools": {}},
}


def tool(description: str = "Returns the weather", name: str = "weather") -> Any:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


class Call(BaseHTTPRequestHandler):
    """One request to a hostile server; `message` is its JSON-RPC message, if any."""

    protocol_version = "HTTP/1.1"
    message: dict[str, Any]

    def result(self, result: Any) -> None:
        self.json({"jsonrpc": "2.0", "id": self.message.get("id"), "result": result})

    def json(self, value: Any, status: int = 200) -> None:
        self.raw(json.dumps(value).encode(), status)

    def raw(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, location: str, status: int = 307) -> None:
        self.raw(b"", status, Location=location)

    def endless(self, piece: bytes = b"x" * 65536) -> None:
        """A body of a gigabyte, without saying so."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range((1 << 30) // len(piece)):
            self.wfile.write(piece)

    def silent(self) -> None:
        self.server.ended.wait(120)  # type: ignore[attr-defined]  # our own server
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


type Behaviour = Callable[[Call, str], None]


def polite(call: Call, method: str) -> None:
    """Answer as a server with one tool does; other behaviours fall back on it."""
    if method == "initialize":
        call.result(ABOUT)
    elif method == "tools/list":
        call.result({"tools": [tool()]})
    elif "id" in call.message:
        error = {"code": -32601, "message": "not here"}
        call.json({"jsonrpc": "2.0", "id": call.message["id"], "error": error})
    else:
        call.raw(b"", 202 if call.command == "POST" else 405)


def listing(*turns: list[Any]) -> Behaviour:
    """Give one list after the other, and the last one for ever."""
    left = list(turns)

    def behave(call: Call, method: str) -> None:
        if method != "tools/list":
            return polite(call, method)
        return call.result({"tools": left.pop(0) if len(left) > 1 else left[0]})

    return behave


class Httpd(ThreadingHTTPServer):
    daemon_threads = True
    ended: threading.Event

    def handle_error(self, *_: Any) -> None:
        pass  # who breaks off is expected here


def _handler(
    behave: Behaviour, asked: list[tuple[str, str, dict[str, str]]]
) -> type[Call]:
    class Handler(Call):
        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            headers = {n.lower(): v for n, v in self.headers.items()}
            asked.append((self.command, self.path, headers))
            self.message = {}
            with suppress(ValueError):
                self.message = json.loads(body)
            with suppress(OSError):
                behave(self, self.message.get("method", self.command))

    for method in ("GET", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler


@contextmanager
def hostile_server(
    behave: Behaviour = polite, *, ca: trustme.CA | None = None
) -> Iterator[WebServer]:
    """A server of the protocol that does what `behave` does with each request.

    `behave` is told the method of the message, or `GET` and `DELETE`.
    """
    ended = threading.Event()
    httpd = Httpd(("127.0.0.1", 0), _handler(behave, asked := []))
    httpd.ended = ended
    if ca is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("localhost").configure_cert(context)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    server = WebServer(httpd.server_address[1], "https" if ca else "http", asked)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        httpd.shutdown()
        thread.join(10)
        httpd.socket.close()
