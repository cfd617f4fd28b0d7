"""Targets that are elsewhere: `https://`, `s3://` and `hf://`, made local.

`check` looks at the text alone, for whoever submits; `fetch` contacts the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from scanners import archives, buckets, hub
from scanners.contract import Skipped, Target
from scanners.egress import Allowance, Answer, Client
from scanners.pinning import EgressError
from scanners.placement import Checkpoint, safe_name
from scanners.sandbox import Rung
from scanners.urls import BadAddress, Rules, Url, read_url
from scanners.workspace import (
    Incoming,
    WorkspaceError,
    from_stream,
    from_streams,
)

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
NAMELESS = "download"  # the file of a URL that ends in a slash
MASK = "********"


@dataclass(frozen=True, slots=True)
class Remote:
    """What the operator lets us reach, with what, and how many bytes of a target."""

    rules: Rules = field(default_factory=Rules)
    account: buckets.Account = field(default_factory=buckets.Account)
    hub: hub.Hub = field(default_factory=hub.Hub)
    total_bytes: int = 20 << 30


def is_remote(source: str) -> bool:
    return SCHEME.match(source) is not None


def check(source: str, remote: Remote) -> None:
    """Raise `BadAddress` unless `source` is one that `fetch` would try."""
    scheme = source.partition("://")[0]
    if scheme == "s3":
        place = buckets.read_place(source)
        if not place.is_folder:
            _object_name(place)
    elif scheme == "hf":
        hub.read_repository(source)
    elif scheme.lower() in {"https", "http"}:
        _file_name(read_url(source, remote.rules))
    else:
        raise BadAddress("a remote target begins with https://, s3:// or hf://")


def masked(source: str) -> str:
    """Return `source` as it may be shown: without the values of its query.

    What `check` accepts has no user name; a query may hold a signature or a token.
    """
    if not source.lower().startswith(("https:", "http:")):
        return source
    shown, _, query = source.partition("#")[0].partition("?")
    if not query:
        return shown
    names = [pair.partition("=") for pair in query.split("&")]
    # A pair without "=" may be a token itself.
    pairs = [f"{name}={MASK}" if eq else MASK for name, eq, _ in names]
    return f"{shown}?{'&'.join(pairs)}"


def fetch(
    source: str,
    run_dir: Path,
    *,
    remote: Remote,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    """Make `source` a local target; raise `WorkspaceError` when it cannot be had.

    A name that is no safe file name is a gap of its folder. The message names hosts
    and files, never a query.
    """
    try:
        check(source, remote)
        with Client(remote.rules, checkpoint) as client:
            if source.startswith("s3://"):
                return _from_bucket(
                    client, source, run_dir, remote, limits, checkpoint, rung
                )
            if source.startswith("hf://"):
                return _from_hub(client, source, run_dir, remote, checkpoint)
            return _from_url(client, source, run_dir, remote, limits, checkpoint, rung)
    except (EgressError, BadAddress) as error:
        raise WorkspaceError(str(error)) from error


def _from_url(
    client: Client,
    source: str,
    run_dir: Path,
    remote: Remote,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    url = read_url(source, remote.rules)
    allowance = Allowance(remote.total_bytes)

    @contextmanager
    def opened() -> Iterator[Answer]:
        with client.get(url, allowance) as answer:
            if answer.status != 200:
                host = answer.url.host
                raise EgressError(f"{host} answered with status {answer.status}")
            yield answer

    file = Incoming(_file_name(url), opened)
    return from_stream(file, run_dir, limits=limits, checkpoint=checkpoint, rung=rung)


def _from_bucket(
    client: Client,
    source: str,
    run_dir: Path,
    remote: Remote,
    limits: archives.Limits,
    checkpoint: Checkpoint,
    rung: Rung | None,
) -> Target:
    place = buckets.read_place(source)
    bucket = buckets.Bucket(client, remote.account, place.bucket, remote.rules)
    allowance = Allowance(remote.total_bytes)
    if not place.is_folder:
        file = Incoming(
            _object_name(place), lambda: bucket.opened(place.key, allowance)
        )
        return from_stream(
            file, run_dir, limits=limits, checkpoint=checkpoint, rung=rung
        )

    def opener(found: buckets.Listed) -> Callable[[], AbstractContextManager[Answer]]:
        return lambda: bucket.opened(found.key, allowance, etag=found.etag)

    def files() -> Iterator[Incoming | Skipped]:
        for found in bucket.list(place.key):
            name = found.key.removeprefix(place.key)
            # Consoles make an empty object of the folder's own name.
            if not (name.endswith("/") or not name) or found.size:
                yield _incoming(name, opener(found))

    return from_streams(files(), run_dir, checkpoint=checkpoint)


def _from_hub(
    client: Client,
    source: str,
    run_dir: Path,
    remote: Remote,
    checkpoint: Checkpoint,
) -> Target:
    repository = hub.read_repository(source)
    snapshot = hub.Snapshot(client, remote.hub, repository, remote.rules)
    if sum(found.size or 0 for found in snapshot.files) > remote.total_bytes:
        raise EgressError("it is larger than this server accepts")
    allowance = Allowance(remote.total_bytes)

    def opener(path: str) -> Callable[[], AbstractContextManager[Answer]]:
        return lambda: snapshot.opened(path, allowance)

    files = (_incoming(f.path, opener(f.path), f.digest) for f in snapshot.files)
    return from_streams(files, run_dir, checkpoint=checkpoint)


def _incoming(
    name: str,
    opened: Callable[[], AbstractContextManager[Answer]],
    digest: str = "",
) -> Incoming | Skipped:
    try:
        if name.endswith("/"):
            raise ValueError("a file name does not end in a slash")
        return Incoming(safe_name(name), opened, digest)
    except ValueError as error:
        shown = name.encode("unicode_escape").decode("ascii")[:200]
        return Skipped(shown, str(error))


def _file_name(url: Url) -> str:
    return _last_part(unquote(urlsplit(str(url)).path))


def _object_name(place: buckets.Place) -> str:
    return _last_part(place.key)


def _last_part(path: str) -> str:
    name = PurePosixPath(path).name if not path.endswith("/") else NAMELESS
    try:
        return safe_name(name or NAMELESS)
    except ValueError as error:
        raise BadAddress(str(error)) from error
