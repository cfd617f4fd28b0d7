"""What all doors share: a strict query string, and pages of plain rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.api.strict import strict_query
from apikeys.choices import Role
from scans.api.conditional import rendered
from scans.api.queries import Query, Values
from scans.exports.shapes import Row


class Door(GenericAPIView[Any]):
    """A view whose GET takes the parameters of `query`; all else takes none."""

    role_for: dict[str, Role] = {"GET": Role.VIEWER}
    query: type[Query] | None = None
    pagination_class: type[BasePagination] | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.query and request.method in {"GET", "HEAD"}:
            self.asked = self.query.read(request)
        else:
            strict_query(request, ())


class ListDoor(Door):
    pagination_class = GenericAPIView.pagination_class

    def page(
        self,
        rows: QuerySet[Any, Any],
        columns: Sequence[str],
        shape: Callable[[Any], Row],
    ) -> Response:
        """Answer one page of `rows`: filtered as asked, as dicts, never as objects.

        No `columns` are for rows that are dicts already, or what `shape` takes.
        """
        return self.get_paginated_response(self._shapes(rows, columns, shape))

    def ready_page(
        self,
        rows: QuerySet[Any, Any],
        columns: Sequence[str],
        shape: Callable[[Any], Row],
    ) -> HttpResponse:
        """Answer the same bytes, rendered at once.

        What REST framework's responses do until they are rendered is a twentieth of
        what a page costs.
        """
        body = rendered(self.request, self._shapes(rows, columns, shape))
        headers = cast(Any, self.paginator).headers()
        return HttpResponse(body, "application/json", headers=headers)

    def _shapes(
        self,
        rows: QuerySet[Any, Any],
        columns: Sequence[str],
        shape: Callable[[Any], Row],
    ) -> list[Row]:
        assert self.query is not None  # noqa: S101 - every list has its query
        kept = partial(_kept, self.query, rows, self.asked, columns)
        # What always is the same query is built once for all who ask.
        page = self.paginate_queryset(kept if self.query.is_lasting else kept())  # type: ignore[arg-type]  # our paginator takes both
        return [shape(row) for row in page or ()]


def _kept(
    query: type[Query],
    rows: QuerySet[Any, Any],
    asked: Values,
    columns: Sequence[str],
) -> QuerySet[Any, Any]:
    kept = query.filter(rows, asked)
    return kept.values(*columns) if columns else kept
