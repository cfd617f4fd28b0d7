"""A new scan: dropped files, a path or address, a pasted document, a server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from django.conf import settings
from django.http import HttpResponse, QueryDict, UnreadablePostError
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.parsers import FormParser
from rest_framework.request import Request

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scanners.contract import TargetKind
from scanners.registry import scanners_for
from scans import intake, storage
from scans.api.uploads import Part, UploadParser
from scans.choices import Refused
from scans.console.doors import PageRequest, needs, sentence
from scans.fetching import may_servers_have_network
from scans.models import Policy
from scans.storage import Received, TooLarge
from scans.submissions import Submission

WAYS = {
    "file": ("Files", "upload"),
    "place": ("Path or address", "folder"),
    "document": ("Paste MCP", "mcp"),
    "server": ("MCP server", "target"),
}
MAX_HEADER_LINES = 50


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is to be mended: a field of the submission, and why."""

    field: str
    text: str
    status: int = 400


# The body is read by our own parser before Django's check of the token would read it
# into memory; who may not scan is sent away before a byte of it is read.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.SCANNER)
def new_scan(request: PageRequest) -> HttpResponseBase:
    if request.method != "POST":
        return drawn(request, request.GET)
    try:
        read_body(request)
    except TooLarge as error:
        limit = f"at most {error.limit >> 20:,} MiB may be sent at once"
        return drawn(request, QueryDict(), Wrong("file", limit, 413))
    except ValidationError as error:
        return drawn(request, QueryDict(), Wrong("file", _first(error)))
    except (APIException, UnreadablePostError) as error:
        return drawn(request, QueryDict(), Wrong("file", str(error)))
    return submitted(request)


def read_body(request: PageRequest) -> None:
    """Stream the body to disk and put its fields where Django looks for them.

    Files of a body that is refused later go with the request.
    """
    parsed = Request(request, parsers=[UploadParser(), FormParser()])
    parsed.data  # noqa: B018 - reads


@csrf_protect
def submitted(request: PageRequest) -> HttpResponseBase:
    form = request.POST
    try:
        submission = submission_of(form, received(request))
        scan = intake.submit(submission, actor=actor_of(request), request=request)
    except Refused as refusal:
        wrong = Wrong(refusal.field, refusal.message, refusal.status)
        return drawn(request, form, wrong)
    return redirect("console:scan", scan.pk)


def received(request: PageRequest) -> list[Received]:
    parts = cast("list[Part]", request.FILES.getlist("file"))
    return [part.received for part in parts]


def submission_of(form: QueryDict, files: list[Received]) -> Submission:
    """Return what the form asks for; raise `Refused` for what no scan can be."""
    way = str(form.get("way", "file"))
    is_model = way == "place" or (way == "file" and form.get("scan_type") != "mcp")
    kind = TargetKind.MODEL if is_model else TargetKind.MCP
    is_started = form.get("introspect") == "true" and kind is TargetKind.MCP
    # All that can be refused comes before a pasted document lies on the disk.
    how = Submission(
        scan_type=kind,
        target=str(form.get("target", "")).strip() or _name(way),
        policy=str(form.get("policy", "")),
        scanners=_chosen(form, kind),
        timeout_seconds=_seconds(str(form.get("timeout_seconds", "")).strip()),
        labels=_labels(str(form.get("labels", ""))),
        introspect=is_started and way in {"file", "document"},
    )
    if way == "file":
        if not files:
            raise Refused("file", "choose a file, or drop one here")
        return replace(how, files=tuple(files))
    if way == "place":
        return replace(how, source=_needed(form, "source", "target"))
    if way == "document":
        text = _needed(form, "document", "config")
        return replace(how, files=(storage.receive("pasted.json", text.encode()),))
    if way == "server":
        source = _needed(form, "server_url", "server_url")
        return replace(
            how, source=source, headers=_headers(str(form.get("headers", "")))
        )
    raise Refused("way", "choose what is to be scanned")


def _name(way: str) -> str:
    return "pasted" if way == "document" else ""


def _needed(form: QueryDict, name: str, field: str) -> str:
    text = str(form.get(name, "")).strip()
    if not text:
        raise Refused(field, "this is needed")
    return text


def _headers(text: str) -> dict[str, str]:
    pairs = _pairs(text, ":")
    if len(pairs) > MAX_HEADER_LINES:
        raise Refused("headers", f"at most {MAX_HEADER_LINES}")
    if not all(colon for _, colon, _ in pairs):
        raise Refused("headers", "one a line, such as Authorization: Bearer ...")
    return {name: value for name, _, value in pairs}


def _labels(text: str) -> dict[str, str]:
    pairs = _pairs(text, "=")
    if not all(sign for _, sign, _ in pairs):
        raise Refused("labels", "one a line, such as team=search")
    labels = {name: value for name, _, value in pairs}
    if len(labels) < len(pairs):
        raise Refused("labels", "each name stands once")
    return labels


def _pairs(text: str, sign: str) -> list[tuple[str, str, str]]:
    """Return (name, sign, value) of each line; the sign is "" where it is missing."""
    lines = [line.partition(sign) for line in text.splitlines() if line.strip()]
    return [(name.strip(), found, value.strip()) for name, found, value in lines]


def _seconds(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Refused("timeout_seconds", "a whole number of seconds")
    return int(text)


def _chosen(form: QueryDict, kind: TargetKind) -> tuple[str, ...] | None:
    """Return the scanners that are ticked; None for all that fit."""
    fitting = {scanner.name for scanner in scanners_for(kind)}
    ticked = fitting.intersection(map(str, form.getlist("scanner")))
    if not ticked and form.get("has_scanners"):
        raise Refused(
            "scanners", f"choose at least one of {', '.join(sorted(fitting))}"
        )
    return None if ticked in (fitting, set()) else tuple(sorted(ticked))


def drawn(
    request: PageRequest, form: QueryDict, wrong: Wrong | None = None
) -> HttpResponse:
    """Return the page, with what was typed and what is wrong with it."""
    Policy.objects.built_in()
    policies = Policy.objects.current().order_by("name").values_list("name", flat=True)
    ticked = set(form.getlist("scanner")) if form.get("has_scanners") else None
    context = {
        "form": form,
        "way": form.get("way") if form.get("way") in WAYS else "file",
        "ways": [(key, *told) for key, told in WAYS.items()],
        "wrong": wrong,
        "message": sentence(wrong.text) if wrong else "",
        "policies": list(policies),
        "scanners": [
            (kind.value, _boxes(kind, ticked))
            for kind in (TargetKind.MODEL, TargetKind.MCP)
        ],
        "roots": settings.SCAN_ROOTS,
        "has_remote": settings.HAS_REMOTE_TARGETS,
        "may_introspect": settings.MCP_INTROSPECTION == "sandboxed",
        "has_network": may_servers_have_network(),
        "limit": settings.MAX_UPLOAD_BYTES,
        "most_seconds": settings.SCAN_TIMEOUT_SECONDS,
    }
    status = wrong.status if wrong else 200
    return render(request, "console/new_scan.html", context, status=status)


def _boxes(kind: TargetKind, ticked: set[str] | None) -> list[tuple[str, bool]]:
    names = sorted(scanner.name for scanner in scanners_for(kind))
    return [(name, ticked is None or name in ticked) for name in names]


def _first(error: ValidationError) -> str:
    detail: Any = error.detail
    while isinstance(detail, dict | list):
        detail = next(iter(detail.values() if isinstance(detail, dict) else detail), "")
    return str(detail)
