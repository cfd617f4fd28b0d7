from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from scanners import buckets
from scanners.buckets import Account
from scanners.hub import Hub
from scanners.sources import Remote
from tests.scanners.far_servers import answer, far_server, moved
from tests.scanners.fetched import fetched, folder_digest, refusal, remote_by


@pytest.fixture
def remote(ca, tmp_path) -> Remote:
    return remote_by(ca, tmp_path)


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


OBJECTS = {
    "models/one/config.json": b"{}",
    "models/one/deep er/ü+&=%41.bin": b"weights",
    "models/one/": b"",
    "models/two.pkl": b"other",
}


def account(s3: str) -> Account:
    return Account(endpoint=s3, key_id="any", secret="any")


def client(s3: str, kind: str):
    return boto3.client(
        kind,
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def tell(s3: str, what: str, value: bytes = b"") -> None:
    headers = {"Content-Type": "text/plain"}
    answer = httpx.post(f"{s3}/moto-api/{what}", content=value, headers=headers)
    answer.raise_for_status()


@pytest.fixture
def bucket(s3):
    tell(s3, "reset")
    api = client(s3, "s3")
    api.create_bucket(Bucket="bucket")
    for key, body in OBJECTS.items():
        api.put_object(Bucket="bucket", Key=key, Body=body)
    return api


@contextmanager
def signed_only(s3: str):
    """Let the S3 server refuse what is not signed by a user who may read."""
    iam = client(s3, "iam")
    iam.create_user(UserName="reader")
    document = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    }
    iam.put_user_policy(
        UserName="reader", PolicyName="read", PolicyDocument=json.dumps(document)
    )
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    tell(s3, "reset-auth", b"0")
    try:
        yield key["AccessKeyId"], key["SecretAccessKey"]
    finally:
        tell(s3, "reset-auth", b"inf")


class TestS3:
    def test_an_object_is_a_file(self, s3, bucket, remote, tmp_path):
        here = replace(remote, account=account(s3))
        target = fetched("s3://bucket/models/two.pkl", here, tmp_path)
        assert [element.path for element in target.elements] == ["two.pkl"]
        assert target.digest == hashlib.sha256(b"other").hexdigest()

    def test_a_prefix_is_a_folder(self, s3, bucket, remote, tmp_path):
        here = replace(remote, account=account(s3))
        target = fetched("s3://bucket/models/one/", here, tmp_path)
        files = {"config.json": b"{}", "deep er/ü+&=%41.bin": b"weights"}
        assert {e.path for e in target.elements} == set(files)
        assert target.digest == folder_digest(files)
        assert target.gaps == ()

    def test_without_a_key_only_public_objects_are_had(
        self, s3, bucket, remote, tmp_path
    ):
        public = {"ACL": "public-read", "Bucket": "bucket", "Key": "open.pkl"}
        bucket.put_object(**public, Body=b"x")
        nobody = replace(remote, account=Account(endpoint=s3))
        assert fetched("s3://bucket/open.pkl", nobody, tmp_path / "a").elements
        said = refusal("s3://bucket/models/two.pkl", nobody, tmp_path / "b")
        assert "not ours to read" in said

    def test_a_whole_bucket_is_a_folder(self, s3, bucket, remote, tmp_path):
        here = replace(remote, account=account(s3))
        assert len(fetched("s3://bucket/", here, tmp_path).elements) == 3

    def test_a_listing_of_many_pages_is_read_to_its_end(
        self, s3, bucket, remote, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(buckets, "PAGE", 2)
        for number in range(7):
            bucket.put_object(Bucket="bucket", Key=f"many/{number}", Body=b"x")
        here = replace(remote, account=account(s3))
        assert len(fetched("s3://bucket/many/", here, tmp_path).elements) == 7

    def test_requests_are_signed(self, s3, bucket, remote, tmp_path):
        with signed_only(s3) as (key_id, secret):
            reader = Account(endpoint=s3, key_id=key_id, secret=secret)
            here = replace(remote, account=reader)
            for number, source in enumerate(("two.pkl", "one/")):
                target = fetched(
                    f"s3://bucket/models/{source}", here, tmp_path / str(number)
                )
                assert target.elements
            wrong = replace(remote, account=replace(reader, secret="wrong"))
            said = refusal("s3://bucket/models/one/", wrong, tmp_path / "wrong")
            assert said.endswith("not ours to read")

    def test_what_does_not_exist_is_said_so(self, s3, bucket, remote, tmp_path):
        here = replace(remote, account=account(s3))
        for source in ("s3://bucket/nothing", "s3://nobody/a", "s3://nobody/"):
            assert "does not exist" in refusal(source, here, tmp_path / source[5:])

    def test_names_that_lead_elsewhere_are_gaps(self, s3, bucket, remote, tmp_path):
        for key in ("evil/../../x", "evil/a\\b", "evil//etc/passwd", "evil/fine"):
            bucket.put_object(Bucket="bucket", Key=key, Body=b"x")
        here = replace(remote, account=account(s3))
        target = fetched("s3://bucket/evil/", here, tmp_path)
        assert [element.path for element in target.elements] == ["fine"]
        assert len(target.gaps) == 3

    def test_a_folder_has_a_limit_of_size(self, s3, bucket, remote, tmp_path):
        here = replace(remote, account=account(s3), total_bytes=8)
        assert "larger" in refusal("s3://bucket/models/one/", here, tmp_path)

    def test_a_secret_is_not_in_what_python_shows(self):
        shown = repr(Account(key_id="AK", secret="s3cret", session_token="t0ken"))
        assert "s3cret" not in shown
        assert "t0ken" not in shown
        assert "t0ken" not in repr(Remote(hub=Hub(token="t0ken")))

    @pytest.mark.parametrize(
        "listing",
        [
            b"no xml",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            b"<a><Contents><Key>a</Key><Size>x</Size></Contents></a>",
            b"<a><IsTruncated>true</IsTruncated></a>",
            b"<a><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken>t</NextContinuationToken></a>",
            b"<a>" * 100 + b"x" * (17 << 20),
        ],
    )
    def test_a_hostile_listing_is_refused(self, ca, remote, tmp_path, listing):
        with far_server(lambda asked: answer(listing), ca) as server:
            here = replace(remote, account=Account(endpoint=server.url("")))
            assert refusal("s3://bucket/", here, tmp_path)

    def test_an_object_that_changes_meanwhile_is_refused(self, ca, remote, tmp_path):
        listing = (
            b"<a><Contents><Key>a</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
            b"</Contents></a>"
        )

        def reply(asked):
            if "list-type" in asked.target:
                return answer(listing)
            is_same = asked.headers.get("if-match") != '"e"'
            return answer(b"x") if is_same else answer(b"", "412 Changed")

        with far_server(reply, ca) as server:
            here = replace(remote, account=Account(endpoint=server.url("")))
            assert "changed while" in refusal("s3://bucket/", here, tmp_path)

    def test_signed_requests_follow_no_redirect(self, ca, remote, tmp_path):
        with far_server(lambda asked: moved("/elsewhere"), ca) as server:
            here = replace(remote, account=account(server.url("")))
            assert "redirects" in refusal("s3://bucket/a", here, tmp_path)
        (asked,) = server.asked
        assert "AWS4-HMAC-SHA256" in asked.headers["authorization"]
