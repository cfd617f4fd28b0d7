"""A client that holds one key."""

from __future__ import annotations

from django.http import HttpResponse
from django.test import Client


class KeyClient(Client):
    """Sends one key, and JSON; a bug of the server's is its 500."""

    def __init__(self, plain: str | None = None) -> None:
        headers = {} if plain is None else {"X-API-Key": plain}
        super().__init__(headers=headers, raise_request_exception=False)

    def send(self, path: str, body: object = None, **headers: str) -> HttpResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(
            path, body or {}, content_type="application/json", headers=headers
        )
