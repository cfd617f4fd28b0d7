"""GET /metrics: who may read it, what it says, and that several processes agree."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apikeys.models import ApiKey
from scanners.registry import SCANNERS
from scans.models import Tally, Worker
from sentrascan_project import shared_counts
from tests.apikeys.clients import mistyped
from tests.project.reading_metrics import samples, value
from tests.project.running import Running, eventually
from tests.project.test_api import database_away
from tests.scans.api_samples import make_scan
from tests.servers import free_port

pytestmark = pytest.mark.django_db
URL = "/metrics"


def read(client: Client, **more: str) -> dict:
    answer = client.get(URL, **more)
    assert answer.status_code == 200, answer.content
    return samples(answer.content.decode())


def test_it_names_every_metric_of_the_field(client: Client) -> None:
    text = client.get(URL).content.decode()
    found = set(re.findall(r"(?m)^# TYPE (\S+ \S+)$", text))
    assert {
        "sentrascan_scans_total counter",
        "sentrascan_scan_duration_seconds histogram",
        "sentrascan_active_scans gauge",
        "sentrascan_findings_total counter",
        "sentrascan_queue_depth gauge",
        "sentrascan_queue_oldest_seconds gauge",
        "sentrascan_scanner_up gauge",
        "sentrascan_gate_verdicts_total counter",
        "sentrascan_http_request_duration_seconds histogram",
    } <= found


def test_what_can_happen_is_there_at_zero_before_it_happens(client: Client) -> None:
    found = read(client)
    for status in ("completed", "failed", "cancelled"):
        assert value(found, "sentrascan_scans_total", type="mcp", status=status) == 0
    for verdict in ("pass", "fail", "inconclusive"):
        assert value(found, "sentrascan_gate_verdicts_total", verdict=verdict) == 0
    assert value(found, "sentrascan_findings_total", severity="critical") == 0
    assert value(found, "sentrascan_attempts_lost_total") == 0
    name = "sentrascan_scanner_runs_total"
    assert value(found, name, scanner="modelaudit", status="failed") == 0


def test_counters_come_from_what_was_counted_and_gauges_from_rows(
    client: Client,
) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    make_scan(scan_status="queued", created_at=hour_ago)
    make_scan(scan_status="queued", created_at=timezone.now())
    make_scan(scan_status="running")
    make_scan()
    Tally.objects.add(
        {
            ("scans", "model,completed"): 41,
            ("verdicts", "fail"): 2,
            ("scan_seconds", "model,0.5"): 3,
            ("scan_seconds", "model,10"): 1,
            ("scan_seconds", "model,sum"): 9.5,
        }
    )
    found = read(client)
    assert value(found, "sentrascan_queue_depth") == 2
    assert 3600 <= value(found, "sentrascan_queue_oldest_seconds") < 3700
    assert value(found, "sentrascan_active_scans") == 1
    name = "sentrascan_scans_total"
    assert value(found, name, type="model", status="completed") == 41
    assert value(found, "sentrascan_gate_verdicts_total", verdict="fail") == 2
    name = "sentrascan_scan_duration_seconds"
    steps = {"0.25": 0, "0.5": 3, "5": 3, "10": 4, "+Inf": 4}
    for bound, count in steps.items():
        assert value(found, f"{name}_bucket", type="model", le=bound) == count
    assert value(found, f"{name}_count", type="model") == 4
    assert value(found, f"{name}_sum", type="model") == 9.5


def live_worker(name: str, **statuses: str) -> None:
    told = {
        scanner.replace("_", "-"): {"status": status, "version": "1.0"}
        for scanner, status in statuses.items()
    }
    Worker.objects.create(name=name, scanners=told)


def test_a_scanner_is_up_when_it_detects_in_every_live_worker(client: Client) -> None:
    live_worker("a:1", modelaudit="available", mcp_checkpoint="available")
    live_worker("b:1", modelaudit="available", mcp_checkpoint="broken")
    live_worker("dead:1", modelaudit="broken")
    long_ago = timezone.now() - timedelta(minutes=5)
    Worker.objects.filter(name="dead:1").update(seen_at=long_ago)
    found = read(client)
    name = "sentrascan_scanner_up"
    assert value(found, name, scanner="modelaudit", version="1.0") == 1
    assert value(found, name, scanner="mcp-checkpoint", version="1.0") == 0
    assert value(found, name, scanner="cisco-scanner", version="") == 0
    assert value(found, "sentrascan_live_workers") == 2
    assert {dict(k)["scanner"] for n, k in found if n == name} == set(SCANNERS)


def test_a_worker_whose_own_tries_have_stopped_is_not_believed(client: Client) -> None:
    hour_ago = time.time() - 3600
    told = {"status": "available", "version": "1.0", "tried_at": hour_ago}
    Worker.objects.create(name="a:1", scanners={"modelaudit": told})
    found = read(client)
    assert value(found, "sentrascan_scanner_up", scanner="modelaudit", version="") == 0


def test_requests_are_counted_under_their_route_and_never_their_path(
    viewer_api: APIClient,
) -> None:
    before = samples(viewer_api.get(URL).content.decode())
    scan = make_scan()
    digest = "sha256:" + "ab" * 32
    viewer_api.get(f"/api/v1/scans/{scan.pk}")
    viewer_api.get(f"/api/v1/verdicts/{digest}")
    viewer_api.get("/api/v1/nothing-of-the-kind/secret-name")
    viewer_api.generic("BREW", "/api/v1/scans")
    text = viewer_api.get(URL).content.decode()
    found = samples(text)

    def more(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return value(found, name, **labels) - before.get(key, 0)

    name = "sentrascan_http_requests_total"
    route = "/api/v1/scans/<uuid:scan_id>"
    assert more(name, method="GET", route=route, status="200") == 1
    assert more(name, method="GET", route="unmatched", status="404") == 1
    assert more(name, method="other", route="/api/v1/scans", status="405") == 1
    name = "sentrascan_http_request_duration_seconds_count"
    assert more(name, route=route) == 1
    for hidden in (str(scan.pk), "ab" * 32, "secret-name", "BREW"):
        assert hidden not in text


def test_openmetrics_is_answered_to_who_asks_for_it(client: Client) -> None:
    answer = client.get(URL, headers={"Accept": "application/openmetrics-text"})
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
    plain = client.get(URL)
    assert plain["Content-Type"].startswith("text/plain; version=")
    assert plain["Cache-Control"] == "no-store"


def test_the_database_being_away_is_a_number_and_no_failure(client: Client) -> None:
    assert value(read(client), "sentrascan_database_up") == 1
    with database_away():
        found = read(client)
    assert value(found, "sentrascan_database_up") == 0
    assert value(found, "sentrascan_storage_free_bytes") > 0
    assert any(name.startswith("sentrascan_http_") for name, _ in found)


# --- who may read it

FAR = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.mark.parametrize("near", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_may_read_it(client: Client, near: str) -> None:
    assert client.get(URL, REMOTE_ADDR=near).status_code == 200


def test_others_may_not(client: Client) -> None:
    answer = client.get(URL, **FAR)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert b"sentrascan_" not in answer.content


def test_a_key_opens_it_and_a_wrong_one_does_not(client: Client) -> None:
    _, plain = ApiKey.objects.issue(name="prometheus", role="viewer")
    bearer = {"Authorization": f"Bearer {plain}"}
    assert client.get(URL, headers=bearer, **FAR).status_code == 200
    wrong = {"Authorization": f"Bearer {mistyped(plain)}"}
    assert client.get(URL, headers=wrong, **FAR).status_code == 401
    # Nor for who might have asked without one: a revoked key is to be noticed.
    assert client.get(URL, headers=wrong).status_code == 401


def test_the_operator_says_which_networks_may(client: Client, settings) -> None:
    settings.METRICS_ALLOW = [ip_network("203.0.113.0/28")]
    assert client.get(URL, **FAR).status_code == 200
    assert client.get(URL, REMOTE_ADDR="203.0.113.77").status_code == 401


def test_a_proxy_on_this_machine_that_nobody_told_us_of_opens_nothing(
    client: Client, settings
) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert client.get(URL, headers=forwarded).status_code == 401
    assert client.get(URL, headers={"Forwarded": "for=127.0.0.1"}).status_code == 401
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert client.get(URL, headers=forwarded).status_code == 401
    assert client.get(URL).status_code == 200


def test_it_is_read_by_whatever_name_and_changed_by_nobody(client: Client) -> None:
    assert client.get(URL, headers={"Host": "10.182.0.7:8200"}).status_code == 200
    assert client.head(URL).status_code == 200
    answer = client.post(URL)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


# --- several processes


@pytest.fixture
def server(
    process_environment: dict[str, str], tmp_path: Path
) -> Iterator[httpx.Client]:
    port = free_port()
    more = {"SENTRASCAN_PORT": str(port), "SENTRASCAN_DATA_DIR": str(tmp_path)}
    running = Running("manage.py", "serve", env=process_environment | more)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def is_up() -> bool:
        try:
            return client.get("/livez").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(is_up, 60, "livez")
        yield client
    finally:
        client.close()
        running.end()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_every_process_of_a_server_tells_the_numbers_of_all(
    server: httpx.Client,
) -> None:
    route, asked = "/api/v1/schema", 40

    def ask(_: int) -> int:
        # A connection each: they are spread over the processes. The schema is made
        # at its first question, which several ask at once here.
        return httpx.get(f"{server.base_url}{route}", timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(asked))) == {200}
    labels = {"method": "GET", "route": route, "status": "200"}
    seen = set()
    for _ in range(12):
        text = httpx.get(f"{server.base_url}/metrics", timeout=60).text
        seen.add(value(samples(text), "sentrascan_http_requests_total", **labels))
    assert seen == {asked}
    assert 'pid="' not in text


def test_the_directory_of_a_dead_server_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "_held", [])
    monkeypatch.setenv(shared_counts.VARIABLE, "")
    dead = tmp_path / "server-dead"
    dead.mkdir()
    (dead / "counter_1.db").write_bytes(b"x")
    living = shared_counts.prepare(tmp_path)
    assert not dead.exists()
    other = shared_counts.prepare(tmp_path)
    assert living.is_dir()
    assert os.environ[shared_counts.VARIABLE] == str(other)
    os.close(shared_counts._held.pop(0))
    shared_counts.prepare(tmp_path)
    assert not living.exists()
    assert other.is_dir()
    for held in shared_counts._held:
        os.close(held)
