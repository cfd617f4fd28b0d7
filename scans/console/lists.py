"""Pages of a list: what its address asks for, and the rows that are left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

from scans.api.queries import Query
from scans.console.doors import PageRequest
from scans.exports.shapes import Row

COUNTED = 10_000


class Paginator(Protocol):
    """The part of the API's paginator that a page shows."""

    total: int
    links: dict[str, str]

    def paginate_queryset(
        self, queryset: QuerySet[Any, Any], request: Request
    ) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list. `errors` says which filters are wrong; then it is empty."""

    rows: list[Row] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    total: int = 0
    next: str = ""
    previous: str = ""

    @property
    def count(self) -> str:
        """How many there are, in words."""
        return f"{self.total:,}" if self.total <= COUNTED else f"over {COUNTED:,}"

    @property
    def is_filtered(self) -> bool:
        return bool(self.asked)


def tidy(request: PageRequest) -> HttpResponse | None:
    """Send a form's empty fields away, so that the address holds what was asked."""
    query = request.GET.copy()
    for name in request.GET:
        if not str(request.GET[name]).strip():
            del query[name]
    if len(query) == len(request.GET):
        return None
    return redirect(f"{request.path}?{query.urlencode()}" if query else request.path)


def listed(
    request: PageRequest,
    query: type[Query],
    rows: QuerySet[Any, Any],
    shape: Callable[[Row], Row],
) -> Listing:
    """Return the page that the address asks for, as GET of the API would.

    Never raises for what stands in the address: it is in `errors` then.
    """
    asked = {k: str(v) for k, v in request.GET.items() if k not in query.others}
    wanted = Request(request)
    paginator: Paginator = api_settings.DEFAULT_PAGINATION_CLASS()  # type: ignore[operator,misc]  # a name in its stubs
    try:
        kept = query.filter(rows, query.read(wanted))
        page = paginator.paginate_queryset(kept, wanted)
    except ValidationError as error:
        return Listing(asked=asked, errors=_messages(error))
    return Listing(
        rows=[shape(row) for row in page],
        asked=asked,
        total=paginator.total,
        next=paginator.links.get("next", ""),
        previous=paginator.links.get("prev", ""),
    )


def _messages(error: ValidationError) -> dict[str, str]:
    detail = error.detail
    if not isinstance(detail, dict):
        return {"": " ".join(map(str, detail))}
    return {name: " ".join(map(str, said)) for name, said in detail.items()}
