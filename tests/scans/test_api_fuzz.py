"""Whatever is sent to a POST, the answer is never a 500."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from rest_framework.test import APIClient

from apikeys.models import ApiKey
from scans import storage
from tests.scans.api_samples import CONFIG, TOOLS, make_scan

FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TEXT = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\x00\ud800/~\"'\\"), max_size=20
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["model", "mcp", "default", 10**400, -1, "x" * 5000, [], {}]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "scan_type",
    "target",
    "policy",
    "scanners",
    "timeout_seconds",
    "labels",
    "introspect",
    "introspect_network",
    "config",
    "tools",
    "prompts",
    "resources",
    "instructions",
    "server_url",
    "headers",
    "fresh",
    "scan_id",
    "name",
    "description",
]
LIKELY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(FIELDS, ANYTHING)
    | {
        "scan_type": st.sampled_from(["model", "mcp"]) | ANYTHING,
        "tools": st.just(TOOLS) | ANYTHING,
        "config": st.just(CONFIG) | ANYTHING,
        "labels": st.dictionaries(TEXT, TEXT, max_size=3) | ANYTHING,
        "scan_id": st.uuids().map(str) | ANYTHING,
    },
)
BOUNDARY = b"frontier"
PART_NAMES = st.sampled_from([*FIELDS, "file", "", "x"]) | TEXT


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def forms(draw: Any) -> bytes:
    body = b""
    for _ in range(draw(st.integers(0, 4))):
        body += b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="'
        body += encoded(draw(PART_NAMES)) + b'"'
        if draw(st.booleans()):
            body += b'; filename="' + encoded(draw(TEXT)) + b'"'
        body += draw(st.sampled_from([b"", b"\r\nContent-Transfer-Encoding: base64"]))
        body += b"\r\n\r\n" + draw(st.binary(max_size=40)) + b"\r\n"
    return body + draw(
        st.sampled_from([b"--frontier--\r\n", b"--frontier", b"", b"--"])
    )


@pytest.mark.usefixtures("room")
class TestPosts(TestCase):
    def setUp(self) -> None:
        _, plain = ApiKey.objects.issue(name=f"fuzz-{uuid4()}", role="admin")
        self.client_ = APIClient(raise_request_exception=False)
        self.client_.credentials(HTTP_X_API_KEY=plain)

    def check(self, url: str, raw: bytes, content_type: str) -> None:
        answer = self.client_.generic("POST", url, raw, content_type)
        assert answer.status_code < 500, (raw, answer.content)
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        assert not list(storage.incoming_dir().iterdir())

    @FEW
    @given(LIKELY | ANYTHING)
    def test_json_to_scans(self, body: Any) -> None:
        self.check("/api/v1/scans", json.dumps(body).encode(), "application/json")

    @FEW
    @given(LIKELY | ANYTHING)
    def test_json_to_baselines(self, body: Any) -> None:
        self.check("/api/v1/baselines", json.dumps(body).encode(), "application/json")

    @FEW
    @given(LIKELY | ANYTHING, st.sampled_from(["cancel", "rescan"]))
    def test_json_to_one_scan(self, body: Any, action: str) -> None:
        url = f"/api/v1/scans/{make_scan().pk}/{action}"
        self.check(url, json.dumps(body).encode(), "application/json")

    @FEW
    @given(st.binary(max_size=200), st.sampled_from(["application/json", "text/x"]))
    def test_bytes_to_scans(self, raw: bytes, content_type: str) -> None:
        self.check("/api/v1/scans", raw, content_type)

    @FEW
    @given(forms())
    def test_forms_to_scans(self, raw: bytes) -> None:
        self.check("/api/v1/scans", raw, "multipart/form-data; boundary=frontier")

    @FEW
    @given(
        st.sampled_from(["scans", "findings", "baselines", "audit-events", "api-keys"]),
        st.dictionaries(
            st.sampled_from(
                [
                    "q",
                    "target",
                    "cursor",
                    "limit",
                    "offset",
                    "created_after",
                    "created_before",
                    "severity",
                    "passed",
                    "rule",
                    "scanner",
                ]
            ),
            TEXT.filter(lambda text: text.isprintable()) | st.just("2026-01-01"),
            max_size=3,
        ),
    )
    def test_queries_of_lists(self, path: str, query: dict[str, str]) -> None:
        answer = self.client_.get(f"/api/v1/{path}", query)
        assert answer.status_code in {200, 400}, (query, answer.content)


@pytest.fixture
def room(settings: Any, tmp_path: Path) -> None:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.MIN_FREE_BYTES = 0
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"key": "1000000/min"}
    }
