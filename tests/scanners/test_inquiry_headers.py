"""The headers of a request for lists: they reach its origin, and nobody else."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from scanners import observations
from scanners.sandbox import Rung

from .inquiring import AUTHORIZED, SECRET, Desk, refused
from .laboratory import codes, lists
from .standin import alive, need, strongest
from .web_servers import Call, hostile_server, listing, polite, tool

pytestmark = pytest.mark.slow


@pytest.fixture(params=[Rung.BUBBLEWRAP, Rung.LANDLOCK, Rung.RLIMITS], ids=str)
def rung(request: pytest.FixtureRequest) -> Rung:
    return need(request.param)


def test_a_redirect_is_followed_at_its_own_origin_with_the_headers(desk: Desk) -> None:
    def behave(call: Call, method: str) -> None:
        if call.path == "/mcp":
            return call.redirect("/mcp/")
        return polite(call, method)

    with hostile_server(behave) as server:
        target = desk.ask(server.url(), rung=strongest(), headers=AUTHORIZED)
    assert target.gaps == ()
    told = [headers.get("authorization") for _, path, headers in server.asked]
    assert set(told) == {f"Bearer {SECRET}"}


def test_headers_do_not_follow_a_redirect_to_another_origin(desk: Desk) -> None:
    with hostile_server() as other:
        location = other.url(host="other.example")
        with hostile_server(lambda call, _: call.redirect(location)) as server:
            target = desk.ask(server.url(), rung=strongest(), headers=AUTHORIZED)
    assert target.gaps == ()
    assert "tools/weather" in [element.path for element in target.elements]
    assert {headers["authorization"] for _, _, headers in server.asked} == {
        f"Bearer {SECRET}"
    }
    assert other.asked
    assert SECRET not in json.dumps(other.asked)
    assert "authorization" not in json.dumps(other.asked)


@pytest.mark.parametrize(
    "disguise",
    [
        str,
        str.upper,
        lambda text: text[::-1],
        lambda text: text.encode().hex(),
        lambda text: base64.b64encode(f"x{text}".encode()).decode(),
    ],
    ids=["plain", "upper", "backwards", "hex", "base64"],
)
def test_an_echoed_header_is_named_instead_and_told(desk: Desk, disguise: Any) -> None:
    with hostile_server(listing([tool(f"Sunny {disguise(SECRET)} today")])) as server:
        target = desk.ask(server.url(), rung=strongest(), headers=AUTHORIZED)
    assert disguise(SECRET) not in lists(target)
    assert "[the value of Authorization]" in lists(target)
    assert codes(target) == {observations.ECHO}
    assert SECRET not in repr(target)


@pytest.mark.parametrize(
    ("headers", "echoed"),
    [
        ({"Authorization": "Basic YWxpY2U6b3BlbnNlc2FtZQ=="}, "opensesame"),
        ({"Cookie": "theme=dark; session=abcdef123456"}, "abcdef123456"),
    ],
)
def test_what_is_in_a_header_is_named_too(
    desk: Desk, headers: dict[str, str], echoed: str
) -> None:
    with hostile_server(listing([tool(f"Sunny {echoed}")])) as server:
        target = desk.ask(server.url(), rung=strongest(), headers=headers)
    assert echoed not in repr(target)
    assert codes(target) == {observations.ECHO}


def test_a_word_in_a_harmless_header_is_hidden_and_no_leak(desk: Desk) -> None:
    with hostile_server(listing([tool("For production alone")])) as server:
        target = desk.ask(
            server.url(), rung=strongest(), headers={"X-Stage": "production"}
        )
    assert "production" not in lists(target)
    assert codes(target) == set()


def test_errors_hold_no_header_and_no_token(desk: Desk) -> None:
    def telling(call: Call, method: str) -> None:
        words = f"no leave for {call.headers['Authorization']} at {call.path}"
        error = {"code": -32000, "message": words}
        call.json({"jsonrpc": "2.0", "id": call.message.get("id"), "error": error})

    with hostile_server(telling) as server, refused("no leave for") as raised:
        address = server.url(f"/mcp?key={SECRET[::-1]}")
        desk.ask(address, rung=strongest(), headers=AUTHORIZED)
    assert SECRET not in str(raised.value)
    assert SECRET[::-1] not in str(raised.value)


def test_no_process_and_no_file_ever_holds_a_header(desk: Desk, rung: Rung) -> None:
    """The client that reads the answers runs in the sandbox, and never had it."""
    seen: list[Path] = []
    processes: list[int] = []
    reached, go_on = threading.Event(), threading.Event()

    def behave(call: Call, method: str) -> None:
        if method == "tools/list":
            reached.set()
            go_on.wait(30)
        polite(call, method)

    def look() -> None:
        reached.wait(30)
        processes.extend(alive(SECRET))
        processes.extend(alive(base64.b64encode(SECRET.encode()).decode()))
        for path in desk.directory.rglob("*"):
            if path.is_file() and SECRET.encode() in path.read_bytes():
                seen.append(path)
        go_on.set()

    looking = threading.Thread(target=look)
    looking.start()
    with hostile_server(behave) as server:
        target = desk.ask(server.url(), rung=rung, headers=AUTHORIZED)
    looking.join()
    assert target.gaps == ()
    assert reached.is_set()
    assert seen == []
    assert processes == []
