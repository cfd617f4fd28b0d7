"""Repositories of a model hub over its HTTP API: one listing, then file by file.

Paths: https://huggingface.co/docs/hub/api (`/api/models/{repo}/revision/{rev}` and
`/{repo}/resolve/{commit}/{path}`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from scanners.egress import Allowance, Answer, Client
from scanners.pinning import EgressError
from scanners.urls import BadAddress, Rules, read_url

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
SHA256 = re.compile(r"[0-9a-f]{64}")
LISTING_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is and who asks. Without a token only public models are seen."""

    endpoint: str = "https://huggingface.co"
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Repository:
    organisation: str
    model: str
    revision: str

    @property
    def path(self) -> str:
        return f"{self.organisation}/{self.model}"


@dataclass(frozen=True, slots=True)
class Listed:
    """One file; `size` and `digest` (SHA-256) where the hub knows them."""

    path: str
    size: int | None
    digest: str


def read_repository(source: str) -> Repository:
    """Take `hf://org/model[@rev]` apart; raise `BadAddress`."""
    path, at, revision = source[len("hf://") :].partition("@")
    organisation, _, model = path.partition("/")
    revision = revision if at else "main"
    if (
        not NAME.fullmatch(organisation)
        or not NAME.fullmatch(model)
        or not REVISION.fullmatch(revision)
        or ".." in organisation + model + revision
        or "//" in revision
    ):
        raise BadAddress("a hub target is hf://organisation/model[@revision]")
    return Repository(organisation, model, revision)


class Snapshot:
    """One repository as it was at one commit, so that no file is of another."""

    def __init__(
        self, client: Client, hub: Hub, repository: Repository, rules: Rules
    ) -> None:
        self._client = client
        self._hub = hub
        self._repository = repository
        self._rules = rules
        path = f"/api/models/{repository.path}/revision/"
        listing = self._listing(f"{path}{quote(repository.revision, safe='')}")
        commit = listing.get("sha")
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise EgressError("the hub's listing names no commit")
        self._commit = commit
        self.files = tuple(_files(listing))

    @contextmanager
    def opened(self, path: str, allowance: Allowance) -> Iterator[Answer]:
        """Open one file of the commit; large ones come from another host."""
        place = f"/{self._repository.path}/resolve/{self._commit}/"
        with self._get(place + quote(path, safe="/"), allowance) as answer:
            yield answer

    def _listing(self, path: str) -> Mapping[str, Any]:
        with self._get(f"{path}?blobs=true", Allowance(LISTING_BYTES)) as answer:
            raw = answer.whole()
        try:
            listing = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise EgressError("the hub's listing cannot be read") from error
        if not isinstance(listing, dict):
            raise EgressError("the hub's listing cannot be read")
        return listing

    @contextmanager
    def _get(self, target: str, allowance: Allowance) -> Iterator[Answer]:
        base = self._hub.endpoint.rstrip("/")
        url = read_url(base + target, self._rules, longest=8000)
        token = self._hub.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self._client.get(url, allowance, headers) as answer:
            if answer.status in {401, 403, 404}:
                raise EgressError(
                    "the model or revision does not exist, or is not ours to read"
                )
            if answer.status != 200:
                raise EgressError(f"the hub answered with status {answer.status}")
            yield answer


def _files(listing: Mapping[str, Any]) -> Iterator[Listed]:
    siblings = listing.get("siblings")
    if not isinstance(siblings, list):
        raise EgressError("the hub's listing names no files")
    for entry in siblings:
        name = entry.get("rfilename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise EgressError("the hub's listing cannot be read")
        size, large = entry.get("size"), entry.get("lfs")
        digest = large.get("sha256") if isinstance(large, dict) else ""
        yield Listed(
            name,
            size if isinstance(size, int) else None,
            digest if isinstance(digest, str) and SHA256.fullmatch(digest) else "",
        )
