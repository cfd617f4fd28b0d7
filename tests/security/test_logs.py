"""No secret is logged: planted wherever a client or operator may write one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection

from apikeys.models import ApiKey
from scans.models import Scan
from tests import planted
from tests.apikeys.clients import mistyped
from tests.planted import MARK
from tests.project.running import Running, eventually
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def plant(what: str) -> str:
    return planted.planted(what)


@pytest.fixture
def processes(
    process_environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[str, list[Running]]]:
    """A web server, a worker and the timed tasks, telling all that they can."""
    port = free_port()
    env = process_environment | {
        "SENTRASCAN_PORT": str(port),
        "SENTRASCAN_DATA_DIR": str(tmp_path),
        "SENTRASCAN_LOG_LEVEL": "DEBUG",
        "SENTRASCAN_SECRET": plant("sessions"),
        "SENTRASCAN_S3_ACCESS_KEY_ID": plant("bucket"),
        "SENTRASCAN_S3_SECRET_ACCESS_KEY": plant("bucket"),
        "SENTRASCAN_HF_TOKEN": plant("hub"),
    }
    if connection.vendor == "postgresql":
        database = urlsplit(env["DATABASE_URL"])
        # The server trusts everybody on this machine, whatever the password.
        place = (
            f"{database.username}:{plant('database')}@{database.netloc.split('@')[1]}"
        )
        env["DATABASE_URL"] = database._replace(netloc=place).geturl()
    commands = (("serve",), ("worker",), ("worker", "--housekeeping"))
    running = [Running("manage.py", *command, env=env) for command in commands]
    try:
        yield f"http://127.0.0.1:{port}", running
    finally:
        for one in running:
            one.end()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").status_code == 200
    except httpx.HTTPError:
        return False


def judged() -> list[Scan]:
    return list(Scan.objects.filter(scan_status="completed"))


CONFIG = {
    "mcpServers": {
        "a": {
            "command": "npx",
            "args": ["--token", plant("argument"), f"--key={plant('argument')}"],
            "env": {"API_TOKEN": plant("variable")},
        },
        "b": {
            "url": f"https://user:{plant('url')}@b.example/mcp?token={plant('query')}",
            "headers": {"Authorization": f"Bearer {plant('header')}"},
        },
    }
}


def requests(url: str, key: str) -> Iterator[httpx.Request]:
    """Yield one request for each place that a secret can stand in."""
    api, good = f"{url}/api/v1", {"X-API-Key": key}
    wrong = [plant("key"), mistyped(key), f"ssk_{plant('key')}"]
    for given in wrong:
        yield httpx.Request("GET", f"{api}/scans", headers={"X-API-Key": given})
        bearer = {"Authorization": f"Bearer {given}"}
        yield httpx.Request("GET", f"{api}/health", headers=bearer)
        yield httpx.Request("GET", f"{url}/metrics", headers=bearer)
    cookie = {"Cookie": f"sessionid={plant('session')}", **good}
    yield httpx.Request("GET", f"{api}/scans?q={plant('search')}", headers=cookie)
    yield httpx.Request("GET", f"{api}/scans?cursor={plant('cursor')}", headers=good)
    login = {"username": "root", "password": plant("password")}
    yield httpx.Request("POST", f"{url}/admin/login/", data=login)
    for body in (
        {"scan_type": "mcp", "target": "t", "config": CONFIG},
        {"scan_type": "mcp", "target": "t", "config": plant("config")},
        {"scan_type": "mcp", plant("field"): 1},
        {"scan_type": "model", "target": f"https://u:{plant('url')}@127.0.0.1/m"},
        {"scan_type": "model", "target": f"https://127.0.0.1/m?sig={plant('sig')}"},
        {"scan_type": "model", "target": f"https://nowhere.invalid/{plant('m')}?a=b"},
    ):
        yield httpx.Request("POST", f"{api}/scans", json=body, headers=good)
    followed = {"X-Request-ID": "followed", "traceparent": f"00-{TRACE}-{'b7' * 8}-01"}
    body = {"scan_type": "mcp", "target": "t", "config": CONFIG}
    yield httpx.Request("POST", f"{api}/scans", json=body, headers=good | followed)
    json_type = {"Content-Type": "application/json"}
    broken = f'{{"config": "{plant("config")}", '
    yield httpx.Request(
        "POST", f"{api}/scans", content=broken, headers=good | json_type
    )
    file = {"file": ("c.json", json.dumps(CONFIG).encode())}
    form = {"scan_type": "mcp"}
    yield httpx.Request("POST", f"{api}/scans", data=form, files=file, headers=good)
    key_of_request = {"Idempotency-Key": "once", **good}
    more = {"name": "k", "role": "viewer"}
    yield httpx.Request("POST", f"{api}/api-keys", json=more, headers=key_of_request)


TRACE = "0af7651916cd43dd8448eb211c80319c"


def assert_it_can_be_followed(running: list[Running]) -> None:
    """From the client's own id to the scan, and from there into the worker."""
    web, worker = (
        [json.loads(line) for line in one.lines if line.startswith("{")]
        for one in running[:2]
    )
    [queued] = [line for line in web if line.get("request_id") == "followed"][:1]
    begun = [line for line in worker if line.get("trace_id") == TRACE]
    assert queued["message"] == f"Scan {queued['scan_id']} is queued"
    assert {line["scan_id"] for line in begun} == {queued["scan_id"]}


def speak_no_http(url: str, key: str) -> None:
    """Send what no server can read, with a key in it."""
    place = urlsplit(url)
    for head in (
        f"GET /api/v1/scans HTTP/1.1\r\nHost: h\r\nX-API-Key {key}\r\n\r\n",
        f"GET /{plant('path')} {plant('version')}\r\n\r\n",
        f"{plant('method')}\r\n\r\n",
    ):
        with socket.create_connection((place.hostname, place.port), 10) as sock:
            sock.sendall(head.encode())
            sock.recv(4096)


@pytest.mark.usefixtures("tools")
def test_no_process_logs_what_was_planted_anywhere(
    processes: tuple[str, list[Running]],
) -> None:
    url, running = processes
    eventually(lambda: is_up(url), 60, "the web server answers")
    _, key = ApiKey.objects.issue(name="admin", role="admin")
    statuses = []
    with httpx.Client(timeout=60) as client:
        for request in requests(url, key):
            statuses.append(client.send(request).status_code)
    speak_no_http(url, key)
    # Both are here: what was taken, so that workers got it, and what was refused.
    assert {200, 201, 202, 400, 401} <= set(statuses)

    def all_finished() -> bool:
        return not Scan.objects.filter(finished_at=None).exists()

    eventually(all_finished, 180, "what was taken is judged")
    assert len(judged()) >= 2
    for one in running:
        one.end()
    said = "\n".join(one.text for one in running)
    assert all(f"Scan {scan.pk} of {scan.scan_type}" in said for scan in judged())
    assert [line for line in said.splitlines() if MARK in line or key in line] == []
    assert planted.FORMS.search(said) is None
    assert_it_can_be_followed(running)


def test_the_search_finds_a_secret_in_a_line_and_leaves_prints_alone() -> None:
    secret = plant("x")
    line = json.dumps({"message": f"got {secret}"})
    assert planted.leaks([f"{line}\n"]) == [line]
    assert planted.leaks([f"API key {secret}\n"]) == []
    assert planted.leaks(['{"message": "all is well"}']) == []
