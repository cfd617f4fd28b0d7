"""What `doctor` says of the scanners, from what the workers wrote down."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from scanners.registry import SCANNERS
from scans.api.answers import ScannerSerializer
from scans.api.views.door import Door
from scans.exports.shapes import Row
from scans.models import Worker


class ScannerListView(Door):
    @extend_schema(
        operation_id="list_scanners",
        summary="Scanners, and whether they detect in every live worker",
        responses=ScannerSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        columns = ("name", "sandbox", "scanners", "seen_at")
        live = list(Worker.objects.live().order_by("name").values(*columns))
        return Response([scanner_shape(name, live) for name in sorted(SCANNERS)])


def scanner_shape(name: str, workers: list[Row]) -> Row:
    """Return one scanner: as bad as it is on the worker where it is worst."""
    there = [_on_worker(name, worker) for worker in workers]
    bad = [seen for seen in there if seen["status"] != "available"]
    if not there:
        told = {"status": "missing", "version": "", "reason": "No worker is alive."}
    else:
        told = (bad or there)[0]
    where = f"{told['worker']}: " if bad else ""
    return {
        "name": name,
        "kinds": sorted(SCANNERS[name].kinds),
        "status": told["status"],
        "version": told["version"],
        "reason": f"{where}{told['reason']}",
        "workers": there,
    }


def _on_worker(name: str, worker: Row) -> Row:
    seen = worker["scanners"].get(name)
    if seen is None:
        seen = {"status": "missing", "reason": "This worker does not know it (yet)."}
    return {
        "worker": worker["name"],
        "sandbox": worker["sandbox"],
        "status": seen["status"],
        "version": seen.get("version", ""),
        "reason": seen.get("reason", ""),
        "seen_at": worker["seen_at"],
    }
