from __future__ import annotations

import hashlib
import io
import json
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import unquote

import pytest

from scanners.hub import Hub
from scanners.sources import Remote, check, masked
from scanners.urls import BadAddress
from tests.scanners.far_servers import answer, far_server, moved
from tests.scanners.fetched import fetched, folder_digest, refusal, remote_by

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def remote(ca, tmp_path) -> Remote:
    return remote_by(ca, tmp_path)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class TestHttps:
    def test_a_file_has_the_digest_of_its_bytes(self, ca, remote, tmp_path):
        with far_server(lambda asked: answer(b"weights"), ca) as server:
            target = fetched(server.url("/a/m%20x.pkl?sig=1"), remote, tmp_path)
        (element,) = target.elements
        assert (element.path, element.size) == ("m x.pkl", 7)
        assert target.digest == hashlib.sha256(b"weights").hexdigest()
        assert (target.root / "m x.pkl").read_bytes() == b"weights"

    def test_an_archive_is_unpacked_as_an_upload_is(self, ca, remote, tmp_path):
        members = {"a.json": b"{}", "b/x.bin": b"x"}
        with far_server(lambda asked: answer(zipped(members)), ca) as server:
            target = fetched(server.url("/m.zip"), remote, tmp_path)
        assert [element.path for element in target.elements] == ["a.json", "b/x.bin"]
        assert target.digest == folder_digest(members)
        assert not (tmp_path / "run" / "packed").exists()

    def test_a_redirect_does_not_name_the_file(self, ca, remote, tmp_path):
        def reply(asked):
            is_first = asked.target == "/m.pkl"
            return moved("/../../x.zip") if is_first else answer(b"x")

        with far_server(reply, ca) as server:
            target = fetched(server.url("/m.pkl"), remote, tmp_path)
        assert [element.path for element in target.elements] == ["m.pkl"]

    def test_what_is_not_200_is_no_file(self, ca, remote, tmp_path):
        for status in ("404 Not Found", "206 Partial Content", "500 Oops", "304 Same"):
            with far_server(lambda _, s=status: answer(b"x", s), ca) as server:
                said = refusal(server.url("/m?token=s3cret"), remote, tmp_path / status)
            assert said == f"localhost answered with status {status[:3]}"

    def test_it_is_no_larger_than_an_upload_may_be(self, ca, remote, tmp_path):
        small = replace(remote, total_bytes=3)
        with far_server(lambda asked: answer(b"1234"), ca) as server:
            assert "larger" in refusal(server.url("/m"), small, tmp_path)

    def test_the_name_is_checked_without_asking_anybody(self, remote):
        for path in ("/a%00b", "/a%5Cb", "/%0a", "/" + "a" * 256):
            with pytest.raises(BadAddress):
                check(f"https://example.com{path}", remote)
        for path in ("", "/", "/a/", "/a%2Fb", "/?a=b", "/a/.."):
            if path == "/a/..":
                with pytest.raises(BadAddress):
                    check(f"https://example.com{path}", remote)
            else:
                check(f"https://example.com{path}", remote)


HUB_FILES = {
    "config.json": b"{}",
    "model.safetensors": b"large weights",
    "sub dir/tokenizer#1.json": b"{}",
    ".gitattributes": b"*.safetensors filter=lfs\n",
}


def hub_listing(**changes):
    siblings = [{"rfilename": n, "size": len(b)} for n, b in HUB_FILES.items()]
    large = HUB_FILES["model.safetensors"]
    siblings[1]["lfs"] = {"sha256": hashlib.sha256(large).hexdigest()}
    return {"id": "org/model", "sha": COMMIT, "siblings": siblings, **changes}


@contextmanager
def model_hub(ca, listing=None, token: str = ""):
    """Speaks the paths of the hub; large files come from another host."""
    with far_server(lambda asked: answer(HUB_FILES["model.safetensors"]), ca) as store:

        def reply(asked):
            if token and asked.headers.get("authorization") != f"Bearer {token}":
                return answer(b"{}", "401 Unauthorized")
            api = "/api/models/org/model/revision/"
            if asked.target in {f"{api}main?blobs=true", f"{api}v%2F1?blobs=true"}:
                return answer(json.dumps(listing or hub_listing()).encode())
            prefix = f"/org/model/resolve/{COMMIT}/"
            name = unquote(asked.target.removeprefix(prefix))
            if name == "model.safetensors":
                return moved(store.url("/blob?Signature=s3cret"))
            if asked.target.startswith(prefix) and name in HUB_FILES:
                return answer(HUB_FILES[name])
            return answer(b"{}", "404 Not Found")

        with far_server(reply, ca) as hub:
            hub.store = store
            yield hub


class TestHub:
    @pytest.mark.parametrize("source", ["hf://org/model", "hf://org/model@v/1"])
    def test_a_model_is_a_folder_of_all_its_files(self, ca, remote, tmp_path, source):
        with model_hub(ca) as hub:
            here = replace(remote, hub=Hub(hub.url("")))
            target = fetched(source, here, tmp_path)
        assert {e.path for e in target.elements} == set(HUB_FILES)
        assert target.digest == folder_digest(HUB_FILES)

    def test_the_token_opens_the_hub_and_goes_nowhere_else(self, ca, remote, tmp_path):
        with model_hub(ca, token="hf-token") as hub:
            mine = replace(remote, hub=Hub(hub.url(""), "hf-token"))
            assert fetched("hf://org/model", mine, tmp_path / "a").elements
            nobody = replace(remote, hub=Hub(hub.url("")))
            said = refusal("hf://org/model", nobody, tmp_path / "b")
        assert "not ours to read" in said
        assert all("authorization" not in a.headers for a in hub.store.asked)
        assert hub.store.asked

    def test_a_file_that_is_not_what_the_hub_lists_is_refused(
        self, ca, remote, tmp_path
    ):
        listing = hub_listing()
        listing["siblings"][1]["lfs"] = {"sha256": "0" * 64}
        with model_hub(ca, listing) as hub:
            here = replace(remote, hub=Hub(hub.url("")))
            assert "did not arrive" in refusal("hf://org/model", here, tmp_path)

    def test_names_that_lead_elsewhere_are_gaps(self, ca, remote, tmp_path):
        bad = ["../../x", "/etc/passwd", "a\nb", "\ud800", "a/../b", "dir/"]
        listing = hub_listing(siblings=[{"rfilename": name} for name in bad])
        with model_hub(ca, listing) as hub:
            here = replace(remote, hub=Hub(hub.url("")))
            target = fetched("hf://org/model", here, tmp_path)
        assert target.elements == ()
        assert len(target.gaps) == len(bad)

    @pytest.mark.parametrize(
        "changes",
        [
            {"sha": None},
            {"sha": "../../evil"},
            {"siblings": None},
            {"siblings": [7]},
            {"siblings": [{"rfilename": 7}]},
            {"siblings": [{"rfilename": "config.json"}] * 2},
            {"siblings": [{"rfilename": "a", "size": 1 << 60}]},
            {"siblings": [{"rfilename": "missing"}]},
        ],
    )
    def test_a_hostile_listing_is_refused(self, ca, remote, tmp_path, changes):
        with model_hub(ca, hub_listing(**changes)) as hub:
            here = replace(remote, hub=Hub(hub.url("")))
            assert refusal("hf://org/model", here, tmp_path)

    def test_a_model_that_does_not_exist_is_said_so(self, ca, remote, tmp_path):
        with model_hub(ca) as hub:
            here = replace(remote, hub=Hub(hub.url("")))
            assert "does not exist" in refusal("hf://org/other", here, tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "s3://",
        "s3:///key",
        "s3://UPPER/key",
        "s3://a..b/key",
        "s3://user@bucket/key",
        "s3://127.0.0.1:9000/key",
        "s3://bucket/a\nb",
        "s3://bucket/" + "k" * 1025,
        "s3://bucket/a\\b",
        "S3://bucket/key",
        "hf://",
        "hf://org",
        "hf://org/",
        "hf://org/model/extra",
        "hf://org/model@",
        "hf://org/model@../x",
        "hf://org/..",
        "hf://org/model?x",
        "hf://user:pw@org/model",
        "hf://org/mod\nel",
        "gs://bucket/key",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "http+unix://socket/",
    ],
)
def test_what_names_no_target_is_refused_at_once(source):
    with pytest.raises(BadAddress):
        check(source, Remote())


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/key",
        "s3://my.bucket-1/",
        "s3://bucket/a b?c#d",
        "hf://org/model",
        "hf://Org_1/Model.x-2@refs/pr/1",
        "https://example.com/a?b=c",
    ],
)
def test_what_names_a_target_is_accepted(source):
    check(source, Remote())


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://a.b/c", "https://a.b/c"),
        ("https://a.b/c?", "https://a.b/c"),
        ("https://a.b/c#s3cret", "https://a.b/c"),
        ("https://a.b/c?s3cret", "https://a.b/c?********"),
        ("https://a.b/c?x=s3cret&y", "https://a.b/c?x=********&********"),
        ("HTTPS://a.b/c?x=s3=cret?s3cret", "HTTPS://a.b/c?x=********"),
        ("s3://bucket/a?b", "s3://bucket/a?b"),
        ("hf://org/model@main", "hf://org/model@main"),
    ],
)
def test_a_shown_url_holds_no_value_of_its_query(source, shown):
    assert masked(source) == shown
