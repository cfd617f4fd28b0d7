"""Remote targets by the real doors: what intake takes, what the worker makes of it."""

from __future__ import annotations

import json
import logging

import pytest
import trustme

from apikeys.audit import COMMAND_LINE
from apikeys.models import AuditEvent
from scanners.addresses import Allowed
from scans import fetching, intake, pipeline
from scans.choices import Refused
from scans.models import Scan, Target
from tests.scanners import samples
from tests.scanners.far_servers import answer, far_server
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "s3cr3t-t0ken"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def places(settings, tmp_path, ca):
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.EGRESS_ALLOWED = Allowed.of(["localhost"])
    settings.EGRESS_CA_FILE = str(path)
    settings.MIN_FREE_BYTES = 0


@pytest.fixture
def scanners(monkeypatch):
    """Let the pipeline find a stand-in: a real process, no security tool."""
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [stand_ins.StandIn()])
    monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)


def test_an_https_target_is_fetched_and_scanned(ca, scanners):
    with far_server(lambda asked: answer(b"weights"), ca) as server:
        scan = run_now(queued_scan(source=server.url("/m.bin")))
    assert (scan.scan_status, scan.verdict) == ("completed", "pass")
    assert scan.target == server.url("/m.bin")
    assert [e["path"] for e in scan.snapshot.elements] == ["m.bin"]


def test_a_bucket_and_a_hub_are_fetched_by_the_settings(ca, scanners, settings):
    def reply(asked):
        if asked.target.startswith("/api/models/org/model/revision/main"):
            siblings = [{"rfilename": "config.json"}]
            return answer(json.dumps({"sha": "a" * 40, "siblings": siblings}).encode())
        is_known = asked.target in {
            "/bucket/m.bin",
            f"/org/model/resolve/{'a' * 40}/config.json",
        }
        return answer(b"{}") if is_known else answer(b"", "404 Not Found")

    with far_server(reply, ca) as server:
        settings.S3_ENDPOINT = settings.HF_ENDPOINT = server.url("")
        settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = "AK", SECRET
        settings.HF_TOKEN = SECRET
        for source in ("s3://bucket/m.bin", "hf://org/model"):
            scan = run_now(queued_scan(source=source))
            assert (scan.target, scan.verdict) == (source, "pass"), scan.detail.reasons
    signed, *with_token = [asked.headers["authorization"] for asked in server.asked]
    assert SECRET not in signed
    assert with_token == [f"Bearer {SECRET}"] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("name", "body", "verdict"),
    [
        ("bad.pkl", samples.malicious_pickle(4), "fail"),
        ("clean.npy", samples.npy(), "pass"),
        ("model.zip", samples.zip_of(samples.repository()), "pass"),
    ],
)
def test_the_real_scanners_judge_a_remote_target_as_they_do_an_upload(
    ca, name, body, verdict
):
    uploaded = run_now(queued_scan({name: body}))
    with far_server(lambda asked: answer(body), ca) as server:
        remote = run_now(queued_scan(source=server.url(f"/{name}")))
    assert (remote.verdict, remote.digest) == (verdict, uploaded.digest)
    assert remote.total_findings == uploaded.total_findings
    assert remote.runs.count() == uploaded.runs.count()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "localhost answered with status 404"),
        ("/huge", "it is larger than this server accepts"),
    ],
)
def test_what_cannot_be_had_fails_the_scan_with_its_reason(
    ca, scanners, settings, path, reason
):
    settings.MAX_UPLOAD_BYTES = 100

    def reply(asked):
        is_huge = asked.target == "/huge"
        return answer(b"x" * 101) if is_huge else answer(b"", "404 Not Found")

    with far_server(reply, ca) as server:
        scan = run_now(queued_scan(source=server.url(path)))
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")
    assert scan.detail.reasons == [f"The target could not be had: {reason}"]


def test_without_the_operators_leave_this_machine_is_out_of_reach(
    ca, scanners, settings
):
    settings.EGRESS_ALLOWED = Allowed()
    with far_server(lambda asked: answer(b"x"), ca) as server:
        scan = run_now(queued_scan(source=server.url("/m")))
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")
    assert "localhost is unknown or at an address" in scan.detail.reasons[0]
    assert server.asked == []


def test_a_nearly_full_disk_ends_the_fetch(ca, scanners, settings):
    with far_server(lambda asked: answer(b"x"), ca) as server:
        scan = queued_scan(source=server.url("/m"))
        settings.MIN_FREE_BYTES = 1 << 60
        scan = run_now(scan)
    assert "nearly full" in scan.detail.reasons[0]


def test_a_token_in_the_query_is_kept_for_the_fetch_and_shown_nowhere(
    ca, scanners, api, caplog
):
    caplog.set_level(logging.DEBUG)
    with far_server(lambda asked: answer(b"x", "403 Forbidden"), ca) as server:
        source = server.url(f"/m.bin?token={SECRET}&{SECRET}")
        body = {"scan_type": "model", "target": source}
        posted = api.post("/api/v1/scans", body, format="json")
        assert posted.status_code == 202, posted.content
        scan = run_now(Scan.objects.get(pk=posted.json()["scan_id"]))
    assert server.asked[0].target == f"/m.bin?token={SECRET}&{SECRET}"
    assert scan.target == server.url("/m.bin?token=********&********")
    place = f"/api/v1/scans/{scan.pk}"
    shown = [posted.content, api.get(place).content, api.get("/api/v1/scans").content]
    shown += [str(vars(scan)).encode(), str(scan.detail.reasons).encode()]
    shown += [str(e.detail).encode() for e in AuditEvent.objects.all()]
    shown += [name.encode() for name in Target.objects.values_list("name", flat=True)]
    assert not [text for text in shown if SECRET.encode() in text]
    ours = ("scans", "scanners", "sentrascan_project", "apikeys", "celery")
    logged = [r.getMessage() for r in caplog.records if r.name.startswith(ours)]
    assert not [line for line in logged if SECRET in line]


def test_the_libraries_that_hold_secrets_do_not_log_at_debug(settings):
    loggers = settings.LOGGING["loggers"]
    assert {"httpcore", "botocore"} <= set(loggers)


def test_a_rescan_fetches_again(ca, scanners):
    bodies = iter([b"first", b"second"])
    with far_server(lambda asked: answer(next(bodies)), ca) as server:
        first = run_now(queued_scan(source=server.url(f"/m?token={SECRET}")))
        again = intake.rescan(first.pk, fresh=False, actor=COMMAND_LINE)
        second = run_now(again)
    assert len(server.asked) == 2
    assert SECRET in server.asked[1].target
    assert second.target == first.target
    assert second.digest != first.digest


@pytest.mark.parametrize(
    "source",
    [
        "https://127.0.0.1/m",
        "https://2130706433/m",
        "https://[::ffff:127.0.0.1]/m",
        "https://user:pw@example.com/m",
        "https://example.com:22/m",
        "http://example.com/m",
        "ftp://example.com/m",
        "s3://Bucket/m",
        "hf://org",
    ],
)
def test_what_can_be_seen_to_be_wrong_is_a_400_naming_target(api, source):
    body = {"scan_type": "model", "target": source}
    refused = api.post("/api/v1/scans", body, format="json")
    assert refused.status_code == 400
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/target"]
    assert not Scan.objects.exists()


@pytest.mark.parametrize(
    "source", ["https://example.com/m", "s3://bucket/m", "hf://org/model"]
)
def test_switched_off_every_remote_target_is_a_400(api, settings, source):
    scan = queued_scan(source=source)
    settings.HAS_REMOTE_TARGETS = False
    body = {"scan_type": "model", "target": source}
    refused = api.post("/api/v1/scans", body, format="json")
    assert refused.status_code == 400
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/target"]
    with pytest.raises(Refused):
        fetching.check(source)
    scan = run_now(scan)
    assert scan.detail.reasons == [
        "The target could not be had: this server fetches no remote targets"
    ]


def test_plain_http_is_a_target_where_the_operator_allows_it(scanners, settings):
    settings.ALLOWS_HTTP = True
    with far_server(lambda asked: answer(b"x")) as server:
        assert run_now(queued_scan(source=server.url("/m"))).verdict == "pass"


def test_an_mcp_scan_takes_no_remote_file(settings):
    with pytest.raises(Refused) as refused:
        queued_scan(document={"tools": []}, source="https://example.com/m")
    assert refused.value.field == "server_url"
