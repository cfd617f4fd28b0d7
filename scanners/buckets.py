"""Objects of an S3 API, listed and fetched through the guarded client.

botocore signs (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html);
its own HTTP is not used, since it would resolve and connect as it likes. Signatures
travel in headers, so that no URL of ours holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from scanners.egress import Allowance, Answer, Client
from scanners.pinning import EgressError
from scanners.urls import BadAddress, Rules, Url, read_url

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[a-z0-9-]{1,40}")
MAX_KEY_BYTES = 1024
PAGE_BYTES = 8 << 20  # a thousand keys of the greatest length, escaped, fit
PAGE = 1000  # keys; the most that the API gives at once


@dataclass(frozen=True, slots=True)
class Account:
    """Where the buckets are and who asks. Without a key requests are anonymous."""

    endpoint: str = ""  # "" is Amazon's
    region: str = "us-east-1"
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """What `s3://bucket/key` names; a key that ends in `/`, or none, is a folder."""

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        return not self.key or self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    size: int
    etag: str


def read_place(source: str) -> Place:
    """Take `s3://bucket/key` apart; raise `BadAddress`. A key is taken literally."""
    bucket, _, key = source[len("s3://") :].partition("/")
    if not BUCKET.fullmatch(bucket) or ".." in bucket:
        raise BadAddress("an S3 target is s3://bucket/key, or s3://bucket/folder/")
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES or not key.isprintable():
        raise BadAddress(f"a key has at most {MAX_KEY_BYTES} printable bytes")
    return Place(bucket, key)


class Bucket:
    """One bucket of one account."""

    def __init__(
        self, client: Client, account: Account, bucket: str, rules: Rules
    ) -> None:
        self._client = client
        self._account = account
        self._bucket = bucket
        self._rules = rules

    @contextmanager
    def opened(
        self, key: str, allowance: Allowance, *, etag: str = ""
    ) -> Iterator[Answer]:
        """Open an object; with `etag` only while it is still that very object."""
        headers = {"If-Match": etag} if etag else {}
        with self._get("/" + quote(key, safe="/-_.~"), headers, allowance) as answer:
            yield answer

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects below `prefix`, page by page, in the order of the API.

        Format: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        asked = {"list-type": "2", "max-keys": str(PAGE), "prefix": prefix}
        while True:
            # Signed as it is sent: sorted, and blanks as %20.
            query = urlencode(sorted(asked.items()), quote_via=quote, safe="-_.~")
            with self._get(f"/?{query}", {}, Allowance(PAGE_BYTES)) as answer:
                page = _page(answer.whole())
            for entry in page.iterfind("{*}Contents"):
                yield _listed(entry)
            token = page.findtext("{*}NextContinuationToken", "")
            if page.findtext("{*}IsTruncated", "false") != "true":
                return
            if not token or token == asked.get("continuation-token"):
                raise EgressError("the bucket's listing does not come to its end")
            asked["continuation-token"] = token

    @contextmanager
    def _get(
        self, target: str, headers: dict[str, str], allowance: Allowance
    ) -> Iterator[Answer]:
        url = self._url(target)
        request = AWSRequest(method="GET", url=str(url), headers=headers)
        if self._account.key_id:
            credentials = Credentials(
                self._account.key_id,
                self._account.secret,
                self._account.session_token or None,
            )
            S3SigV4Auth(credentials, "s3", self._account.region).add_auth(request)
        sent = {str(name): str(value) for name, value in request.headers.items()}
        with self._client.get(url, allowance, sent, redirects=0) as answer:
            if answer.status != 200:
                raise EgressError(_refusal(answer))
            yield answer

    def _url(self, target: str) -> Url:
        endpoint = self._account.endpoint.rstrip("/")
        # A bucket with dots in its name fits no wildcard certificate.
        if endpoint or "." in self._bucket:
            base = endpoint or f"https://s3.{self._account.region}.amazonaws.com"
            text = f"{base}/{self._bucket}{target}"
        else:
            host = f"{self._bucket}.s3.{self._account.region}.amazonaws.com"
            text = f"https://{host}{target}"
        # Encoding triples a key.
        return read_url(text, self._rules, longest=4 * MAX_KEY_BYTES + 4096)


def _refusal(answer: Answer) -> str:
    region = answer.headers.get("x-amz-bucket-region", "")
    if answer.status in {301, 307, 400} and REGION.fullmatch(region):
        return f"the bucket is in the region {region}, which this server does not use"
    if answer.status == 412:
        return "an object changed while the folder was fetched"
    if answer.status in {401, 403, 404}:
        return "the bucket or object does not exist, or is not ours to read"
    return f"the bucket's server answered with status {answer.status}"


def _page(raw: bytes) -> ElementTree.Element:
    # Without a document type there are no entities, and so no entity bombs.
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or b"\x00" in raw:
        raise EgressError("the bucket's listing cannot be read")
    try:
        return ElementTree.fromstring(raw)  # noqa: S314 - see above
    except ElementTree.ParseError as error:
        raise EgressError("the bucket's listing cannot be read") from error


def _listed(entry: ElementTree.Element) -> Listed:
    key, size = entry.findtext("{*}Key", ""), entry.findtext("{*}Size", "")
    if not key or not size.isdecimal():
        raise EgressError("the bucket's listing cannot be read")
    return Listed(key, int(size), entry.findtext("{*}ETag", ""))
