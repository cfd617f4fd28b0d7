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
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import Field, Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

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

    def __init__(
        self,
        model: type[Model],
        ordering: Sequence[object],
        selected: Sequence[str] = (),
    ) -> None:
        columns = [name for name in ordering if isinstance(name, str)]
        if len(columns) != 2 or len(ordering) != 2:
            raise TypeError(f"{model.__name__}: order by a column and a unique one")
        self.columns = tuple(columns)
        self.names = tuple(name.lstrip("-") for name in columns)
        self.fields: list[Field[Any, Any]] = [
            model._meta.get_field(name)  # type: ignore[misc]  # of any model
            for name in self.names
        ]
        # Where they stand in plain rows.
        self.places = [selected.index(name) for name in self.names if name in selected]

    @classmethod
    def of(cls, queryset: QuerySet[Any, Any]) -> Self:
        query = queryset.query
        return cls(queryset.model, query.order_by, tuple(query.selected or ()))

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
        if isinstance(row, list | tuple):
            values = [row[place] for place in self.places]
        elif isinstance(row, Mapping):
            values = [row[name] for name in self.names]
        else:
            values = [getattr(row, name) for name in self.names]
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

    def total(self, queryset: QuerySet[Any, Any], name: Hashable) -> int:
        """Return the rows, COUNTED + 1 for any more than COUNTED."""
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """One page as its address asks for it: `rows` has one more than the page."""

    name: Hashable
    queryset: QuerySet[Any, Any]
    rows: QuerySet[Any, Any]
    order: Order
    limit: int
    is_back: bool
    is_first: bool

    @classmethod
    def of(cls, queryset: QuerySet[Any, Any], request: Request) -> Self:
        order = Order.of(queryset)
        limit = _number(request, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        offset = _number(request, "offset", 0, low=0, high=MAX_OFFSET)
        is_back, values = _position(request, order)
        rows = queryset
        if values:
            rows = rows.filter(order.beyond(values, is_back=is_back))
            rows = rows.order_by(*order.reversed()) if is_back else rows
        is_first = not values and not offset
        rows = rows[offset : offset + limit + 1]
        return cls(_name(request), queryset, rows, order, limit, is_back, is_first)

    def page(self, rows: list[Any]) -> tuple[list[Any], bool]:
        """Return the page in the order of the list, and whether rows go on."""
        page = rows[: self.limit]
        return page[::-1] if self.is_back else page, len(rows) > self.limit

    def cursors(self, page: Sequence[Any], *, has_more: bool) -> dict[str, str]:
        """Return where the next and the previous page begin, where there are any."""
        found = {}
        if page and (has_more or self.is_back):
            found["next"] = self.order.encode(page[-1], is_back=False)
        if page and (has_more if self.is_back else not self.is_first):
            found["prev"] = self.order.encode(page[0], is_back=True)
        return found


def _name(request: Request) -> Hashable:
    # Who may see a list sees all of it: its address says which rows it has.
    asked = request.query_params.items()
    filters = frozenset(item for item in asked if item[0] not in PAGE_PARAMETERS)
    return request.path, filters


class Lasting:
    """What addresses of lists want, where the same address always wants the same."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, Wanted] = {}

    def of(
        self, build: Callable[[], QuerySet[Any, Any]], request: Request
    ) -> tuple[Hashable, Wanted]:
        """Return it with its name; `build` makes the queryset of a new one."""
        name = (request.path, request.META["QUERY_STRING"])
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = Wanted.of(build(), request)
            if len(self._wanted) >= MAX_REMEMBERED:
                self._wanted = {}
            self._wanted[name] = wanted
        return name, wanted


lasting = Lasting()


class KeysetPagination(BasePagination):
    """Takes querysets with an explicit order by two columns, of rows or of dicts.

    Or what makes such a queryset, always the same for the same address.
    """

    def paginate_queryset(  # type: ignore[override]  # its stubs want a list or a queryset
        self,
        queryset: QuerySet[Any, Any] | Callable[[], QuerySet[Any, Any]],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any]:
        if isinstance(queryset, QuerySet):
            wanted = Wanted.of(queryset, request)
            rows = list(wanted.rows)
        else:
            name, wanted = lasting.of(queryset, request)
            as_written = getattr(view, "as_written", ())
            rows = remembered.rows(name, wanted.rows, as_written)
        page, has_more = wanted.page(rows)
        is_whole = wanted.is_first and not has_more
        self.total = (
            len(page) if is_whole else long_lists.total(wanted.queryset, wanted.name)
        )
        self.links = _links(request, wanted.cursors(page, has_more=has_more))
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response(data, headers=self.headers())

    def headers(self) -> dict[str, str]:
        """Return what an answer says of the page that was read last."""
        headers = {
            "X-Total-Count": str(min(self.total, COUNTED)),
            "X-Total-Count-Type": "exact" if self.total <= COUNTED else "at_least",
        }
        if self.links:
            headers["Link"] = ", ".join(
                f'<{url}>; rel="{rel}"' for rel, url in self.links.items()
            )
        return headers

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


def _links(request: Request, cursors: Mapping[str, str]) -> dict[str, str]:
    if not cursors:
        return {}
    http = request._request
    site = f"{http.scheme}://{http.get_host()}"
    start, end = _around_cursor(site, http.path, http.META["QUERY_STRING"])
    return {rel: f"{start}{cursor}{end}" for rel, cursor in cursors.items()}


@lru_cache(maxsize=MAX_REMEMBERED)
def _around_cursor(site: str, path: str, query: str) -> tuple[str, str]:
    """Return the address of a list before and after its cursor, in order of names.

    Each name is there once: others have been refused.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    before = urlencode(sorted(pair for pair in pairs if pair[0] < "cursor"))
    after = urlencode(
        sorted(pair for pair in pairs if pair[0] > "cursor" and pair[0] != "offset")
    )
    start = f"{site}{quote(path)}?" + (f"{before}&" if before else "")
    return f"{start}cursor=", f"&{after}" if after else ""
