"""Pages of a list: a bare array, the rest in headers.

`Link` (RFC 8288) with `next` and `prev`, whose cursor names the row at the edge instead
of a position: any depth costs the same and rows that arrive meanwhile move nothing.
`offset` works too, for people. `X-Total-Count` counts to 10,000 and says so.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import Field, Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from apikeys.api.strict import PAGE_PARAMETERS
from scans.models import Remembered

if TYPE_CHECKING:
    # DRF's views import this module: it is named in their settings.
    from rest_framework.views import APIView

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_OFFSET = 10_000
COUNTED = 10_000
MAX_CURSOR = 400
REMEMBERED_SECONDS = 60
MAX_REMEMBERED = 256


class Order:
    """The two columns that a queryset is ordered by, the second being unique."""

    def __init__(self, model: type[Model], ordering: Sequence[object]) -> None:
        columns = [name for name in ordering if isinstance(name, str)]
        if len(columns) != 2 or len(ordering) != 2:
            raise TypeError(f"{model.__name__}: order by a column and a unique one")
        self.columns = tuple(columns)
        self.names = tuple(name.lstrip("-") for name in columns)
        self.fields: list[Field[Any, Any]] = [
            model._meta.get_field(name)  # type: ignore[misc]  # of any model
            for name in self.names
        ]

    @classmethod
    def of(cls, queryset: QuerySet[Any, Any]) -> Self:
        return cls(queryset.model, queryset.query.order_by)

    def reversed(self) -> list[str]:
        return [
            name.removeprefix("-") if name.startswith("-") else f"-{name}"
            for name in self.columns
        ]

    def beyond(self, values: Sequence[Any], *, is_back: bool) -> Q:
        """Return the rows after (before) the one with these values.

        `a <= x AND (a < x OR b < y)`: the first part is what an index range can serve,
        a plain OR is not.
        """
        (first, second), (x, y) = self.names, values
        down = [name.startswith("-") != is_back for name in self.columns]
        strict = ["lt" if is_down else "gt" for is_down in down]
        return Q(**{f"{first}__{strict[0]}e": x}) & (
            Q(**{f"{first}__{strict[0]}": x}) | Q(**{f"{second}__{strict[1]}": y})
        )

    def encode(self, row: Any, *, is_back: bool) -> str:
        values = [
            row[name] if isinstance(row, Mapping) else getattr(row, name)
            for name in self.names
        ]
        texts = [v.isoformat() if isinstance(v, datetime) else str(v) for v in values]
        raw = json.dumps(["p" if is_back else "n", *texts], separators=(",", ":"))
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")

    def decode(self, cursor: str) -> tuple[bool, list[Any]]:
        """Return direction and values; raise ValueError for what we did not make."""
        if len(cursor) > MAX_CURSOR or not cursor.isascii():
            raise ValueError("not a cursor")
        raw = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        parts = json.loads(raw)
        if not (
            isinstance(parts, list)
            and len(parts) == 3
            and all(isinstance(part, str) for part in parts)
            and parts[0] in {"n", "p"}
        ):
            raise ValueError("not a cursor")
        values = [
            field.to_python(text)
            for field, text in zip(self.fields, parts[1:], strict=True)
        ]
        if not all(_is_storable(value) for value in values):
            raise ValueError("not a cursor")
        return parts[0] == "p", values


def _is_storable(value: object) -> bool:
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if isinstance(value, str):
        # Neither NUL nor half a surrogate, which no database takes.
        return value.isprintable()
    return isinstance(value, UUID) or (isinstance(value, int) and abs(value) < 2**63)


class LongLists:
    """Remembers for a minute which lists were longer than anybody counts.

    Walking 10,001 entries of an index costs more than the page itself, and a list that
    is so long stays it. What is counted exactly is counted every time.
    """

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}

    def total(self, queryset: QuerySet[Any, Any], request: Request) -> int:
        """Return the rows, COUNTED + 1 for any more than COUNTED."""
        # Who may see a list sees all of it: its address says which rows it has.
        asked = request.query_params.items()
        filters = frozenset(item for item in asked if item[0] not in PAGE_PARAMETERS)
        name = (request.path, filters)
        if self._until.get(name, 0.0) > time.monotonic():
            return COUNTED + 1
        total = queryset.order_by().values("pk")[: COUNTED + 1].count()
        if total > COUNTED:
            self._remember(name)
        return total

    def forget(self) -> None:
        self._until = {}

    def _remember(self, name: Hashable) -> None:
        if len(self._until) >= MAX_REMEMBERED:
            self._until = {}
        self._until[name] = time.monotonic() + REMEMBERED_SECONDS


long_lists = LongLists()
remembered = Remembered()


class KeysetPagination(BasePagination):
    """Takes querysets with an explicit order by two columns, of rows or of dicts."""

    def paginate_queryset(  # type: ignore[override]  # its stubs want a list or a queryset
        self,
        queryset: QuerySet[Any, Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any]:
        order = Order.of(queryset)
        limit = _number(request, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        offset = _number(request, "offset", 0, low=0, high=MAX_OFFSET)
        is_back, values = _position(request, order)
        rows = queryset
        if values:
            rows = rows.filter(order.beyond(values, is_back=is_back))
            rows = rows.order_by(*order.reversed()) if is_back else rows
        rows = rows[offset : offset + limit + 1]
        if getattr(view, "is_lasting", False):
            as_written = getattr(view, "as_written", ())
            page = remembered.rows(request.get_full_path(), rows, as_written)
        else:
            page = list(rows)
        has_more = len(page) > limit
        page = page[:limit][::-1] if is_back else page[:limit]
        is_first = not values and not offset
        is_whole = is_first and not has_more
        self.total = len(page) if is_whole else long_lists.total(queryset, request)
        self.links = _links(
            request,
            next_cursor=order.encode(page[-1], is_back=False)
            if page and (has_more or is_back)
            else "",
            prev_cursor=order.encode(page[0], is_back=True)
            if page and (has_more if is_back else not is_first)
            else "",
        )
        return page

    def get_paginated_response(self, data: Any) -> Response:
        headers = {
            "X-Total-Count": str(min(self.total, COUNTED)),
            "X-Total-Count-Type": "exact" if self.total <= COUNTED else "at_least",
        }
        if self.links:
            headers["Link"] = ", ".join(
                f'<{url}>; rel="{rel}"' for rel, url in self.links.items()
            )
        return Response(data, headers=headers)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limit = {"minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        offset = {"minimum": 0, "maximum": MAX_OFFSET, "default": 0}
        return [
            _parameter("limit", {"type": "integer", **limit}, "Rows in one page."),
            _parameter(
                "cursor",
                {"type": "string", "maxLength": MAX_CURSOR},
                "Where a page begins: taken from a `Link` of the page before.",
            ),
            _parameter(
                "offset",
                {"type": "integer", **offset},
                "Rows to skip; prefer the cursor. Not together with it.",
            ),
        ]


def _parameter(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": text,
    }


def _number(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    # int() would take "+5", "1_000" and other scripts' digits.
    is_plain = text.isascii() and text.isdecimal() and len(text) <= 9
    if not is_plain or not low <= int(text) <= high:
        raise ValidationError({name: [f"A whole number from {low} to {high}."]})
    return int(text)


def _position(request: Request, order: Order) -> tuple[bool, list[Any]]:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return False, []
    if "offset" in request.query_params:
        raise ValidationError({"offset": ["Not together with a cursor."]})
    try:
        return order.decode(cursor)
    except (ValueError, InvalidValue, binascii.Error, RecursionError) as error:
        raise ValidationError({"cursor": ["Not a cursor of this list."]}) from error


def _links(request: Request, *, next_cursor: str, prev_cursor: str) -> dict[str, str]:
    here = remove_query_param(request.build_absolute_uri(), "offset")
    cursors = {"next": next_cursor, "prev": prev_cursor}
    return {
        rel: replace_query_param(here, "cursor", cursor)
        for rel, cursor in cursors.items()
        if cursor
    }
