"""GET /scanners: what the workers wrote down of their scanners."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from scanners.registry import SCANNERS
from scans.models import Worker

pytestmark = pytest.mark.django_db
URL = "/api/v1/scanners"
GOOD = {"status": "available", "version": "0.2.54", "reason": ""}
BAD = {"status": "broken", "version": "0.2.54", "reason": "found nothing"}


def audit(api: APIClient) -> dict:
    return next(s for s in api.get(URL).json() if s["name"] == "modelaudit")


def test_every_scanner_is_listed_with_its_kinds(viewer_api: APIClient) -> None:
    found = viewer_api.get(URL).json()
    assert [s["name"] for s in found] == sorted(SCANNERS)
    assert audit(viewer_api)["kinds"] == ["model"]


def test_without_a_live_worker_nothing_is_available(viewer_api: APIClient) -> None:
    Worker.objects.create(
        name="dead",
        scanners={"modelaudit": GOOD},
        seen_at=timezone.now() - timedelta(hours=1),
    )
    found = audit(viewer_api)
    assert (found["status"], found["workers"]) == ("missing", [])
    assert found["reason"]


def test_a_scanner_is_as_bad_as_on_its_worst_worker(viewer_api: APIClient) -> None:
    Worker.objects.create(name="a", sandbox="landlock", scanners={"modelaudit": GOOD})
    found = audit(viewer_api)
    assert (found["status"], found["version"]) == ("available", "0.2.54")
    assert found["reason"] == ""
    Worker.objects.create(name="b", sandbox="bubblewrap", scanners={"modelaudit": BAD})
    found = audit(viewer_api)
    assert (found["status"], found["reason"]) == ("broken", "b: found nothing")
    sandboxes = [worker["sandbox"] for worker in found["workers"]]
    assert sandboxes == ["landlock", "bubblewrap"]


def test_a_worker_that_does_not_know_a_scanner_misses_it(viewer_api: APIClient) -> None:
    Worker.objects.create(name="a", scanners={})
    assert audit(viewer_api)["status"] == "missing"
