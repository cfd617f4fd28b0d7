"""A stand-in for an OpenID Connect provider: a real server on this machine.

It checks what a provider checks (client, redirect, PKCE) and signs what it is told to,
also what no honest one would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "sentrascan", "what-the-provider-knows"
KEY, STRANGE_KEY = RSAKey.generate_key(2048), RSAKey.generate_key(2048)


@dataclass
class Provider:
    """`claims` are those of whoever signs in; the switches make it lie."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    signed_by: Any = field(default_factory=lambda: KEY)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256"})
    issuer: str = ""
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    is_silent: bool = False

    def let_in(self, place: str) -> dict[str, str]:
        """Approve a request, as somebody would who signed in; return code and state."""
        query = {k: v[0] for k, v in parse_qs(urlsplit(place).query).items()}
        assert place.startswith(f"{self.url}/authorize?")
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        code = f"code-{len(self.asked)}"
        self.asked[code] = query
        return {"code": code, "state": query["state"]}

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer or self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def token(self, form: dict[str, str], basic: str) -> tuple[int, dict[str, Any]]:
        asked = self.asked.pop(form["code"], None)
        known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or basic != f"Basic {known}":
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        same = (challenge, form["redirect_uri"])
        if same != (asked["code_challenge"], asked["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        } | self.claims
        token = {"access_token": "access", "token_type": "Bearer", "expires_in": 300}
        return 200, token | {"id_token": self.signed(claims)}

    def signed(self, claims: dict[str, Any]) -> str:
        if self.header["alg"] in {"none", "HS256"}:
            parts = [_part(json.dumps(each).encode()) for each in (self.header, claims)]
            text = ".".join(parts).encode()
            is_bare = self.header["alg"] == "none"
            mark = b"" if is_bare else hmac.digest(self.signed_by, text, "sha256")
            return f"{text.decode()}.{_part(mark)}"
        return jwt.encode(self.header, claims, self.signed_by)


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@contextmanager
def provider() -> Iterator[Provider]:
    """Run one; its address is new each time, so that no client remembers another."""
    stand_in = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {
                "/.well-known/openid-configuration": stand_in.metadata(),
                "/keys": {"keys": [KEY.as_dict(private=False)]},
                "/userinfo": stand_in.info,
            }
            self.answer(200, found[self.path])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {k: v[0] for k, v in parse_qs(body).items()}
            basic = self.headers.get("Authorization", "")
            self.answer(*stand_in.token(form, basic))

        def answer(self, status: int, document: dict[str, Any]) -> None:
            raw = json.dumps(document).encode()
            self.send_response(503 if stand_in.is_silent else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
