"""Strong ETags: each the digest of the very answer (RFC 9110, section 13).

The answer is made first, from the rows as they are now, whatever the client has: a 304
is never older than a 200 would be.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponse
from django.utils.http import parse_etags
from rest_framework.request import Request


def answer(request: Request, data: Any, *, is_final: bool) -> HttpResponse:
    """Return `data`, or 304 when the client has these very bytes."""
    body = rendered(request, data)
    if not is_final:
        return HttpResponse(body, "application/json")
    etag = _etag(body)
    if is_known(request, etag):
        return HttpResponse(status=304, headers={"ETag": etag})
    return HttpResponse(body, "application/json", headers={"ETag": etag})


def is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it has what `etag`, with its quotes, stands for."""
    known = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    # If-None-Match compares weakly: a proxy may have marked ours as weak.
    return known == ["*"] or etag in {tag.removeprefix("W/") for tag in known}


def is_expected(request: Request, data: Any) -> bool | None:
    """Tell whether `If-Match` names `data` as it is now; None without the header.

    It compares strongly: a tag marked as weak is none of these bytes.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return None
    known = parse_etags(wanted)
    return known == ["*"] or _etag(rendered(request, data)) in known


def rendered(request: Request, data: Any) -> bytes:
    """Return the bytes of an answer, by the renderer that was agreed on."""
    return bytes(request.accepted_renderer.render(data))  # type: ignore[arg-type]  # its stubs want a string


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:40]}"'
