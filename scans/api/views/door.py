"""What all doors share: a strict query string, and pages of plain rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.generics import GenericAPIView
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.api.strict import strict_query
from apikeys.choices import Role
from scans.api.queries import Query
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
        shape: Callable[[Row], Row],
    ) -> Response:
        """Answer one page of `rows`: filtered as asked, as dicts, never as objects.

        No `columns` are for rows that are dicts already.
        """
        assert self.query is not None  # noqa: S101 - every list has its query
        kept = self.query.filter(rows, self.asked)
        self.is_lasting = self.query.is_lasting
        page = self.paginate_queryset(kept.values(*columns) if columns else kept)
        return self.get_paginated_response([shape(row) for row in page or ()])
