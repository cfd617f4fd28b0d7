"""A client that holds one key, and a key with a slip in it."""

from __future__ import annotations

from django.http import HttpResponse
from django.test import Client


def mistyped(plain: str) -> str:
    """Return a key with another last digit: its checksum is wrong, whatever it was."""
    return plain[:-1] + ("0" if plain[-1] != "0" else "1")


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
