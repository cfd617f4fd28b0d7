from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import rfc8785

from scanners import workspace
from scanners.archives import Limits
from scanners.contract import ScanStopped
from scanners.placement import safe_name
from scanners.workspace import StoredFile, WorkspaceError


def go_on(moved: int = 0) -> None:
    return None


def stored(tmp_path: Path, name: str, content: bytes) -> StoredFile:
    path = tmp_path / f"stored-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    path.write_bytes(content)
    return StoredFile(name, path)


def laid_out(tmp_path: Path, *files: StoredFile, limits: Limits | None = None):
    return workspace.from_uploads(
        files, tmp_path / "run", limits=limits or Limits(), checkpoint=go_on, rung=None
    )


def zipped(members: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return buffer.getvalue()


def tarred(*infos: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for info, content in infos:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_a_single_file_has_the_digest_of_its_bytes(tmp_path):
    target = laid_out(tmp_path, stored(tmp_path, "m.pkl", b"bytes"))
    assert target.digest == hashlib.sha256(b"bytes").hexdigest()
    (element,) = target.elements
    assert (element.path, element.size, element.digest) == ("m.pkl", 5, target.digest)
    assert (target.root / "m.pkl").read_bytes() == b"bytes"


def test_several_files_have_the_digest_of_their_canonical_list(tmp_path):
    files = [stored(tmp_path, n, n.encode()) for n in ("b/x.bin", "a.json")]
    target = laid_out(tmp_path, *files)
    listing = [
        [name, hashlib.sha256(name.encode()).hexdigest()]
        for name in ("a.json", "b/x.bin")
    ]
    assert target.digest == hashlib.sha256(rfc8785.dumps(listing)).hexdigest()


def test_an_archive_has_the_digest_of_the_folder_that_it_holds(tmp_path):
    members = {"a.json": b"a.json", "b/x.bin": b"b/x.bin"}
    archive = laid_out(tmp_path, stored(tmp_path, "m.zip", zipped(members)))
    files = [stored(tmp_path, name, body) for name, body in members.items()]
    folder = workspace.from_uploads(
        files, tmp_path / "run2", limits=Limits(), checkpoint=go_on, rung=None
    )
    assert archive.digest == folder.digest
    assert [e.path for e in archive.elements] == ["a.json", "b/x.bin"]
    assert archive.gaps == ()


DEEP = "/".join("d" * 40)
OUTSIDE = ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "."]


@pytest.mark.parametrize("name", [*OUTSIDE, DEEP, "a\x00b", "a\nb", "x" * 256])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        safe_name(name)


def test_a_name_like_an_option_stays_a_name():
    assert safe_name("-o/--help") == "-o/--help"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.zip", zipped({"../../etc/evil": b"x"}), "leads outside"),
        ("t.zip", zipped({"/abs": b"x"}), "leads outside"),
        ("t.zip", zipped({"a\\b": b"x"}), "leads outside"),
        ("t.zip", zipped({"a": b"x"}, links={"l": "/etc/passwd"}), "link or a device"),
        ("t.zip", zipped({"a": b"x", "a/b": b"y"}), "two members"),
        ("t.zip", b"PK\x03\x04 nonsense", "cannot be read"),
        ("t.tar.gz", b"\x1f\x8b\x08nonsense", "cannot be read"),
        ("t.tar", tarred((tarfile.TarInfo("../x"), b"x"), mode="w"), "leads outside"),
    ],
)
def test_an_unsafe_archive_stays_packed_and_is_a_gap(tmp_path, name, content, said):
    target = laid_out(tmp_path, stored(tmp_path, name, content))
    (gap,) = target.gaps
    assert gap.path == name
    assert said in gap.reason
    assert [p.name for p in target.root.rglob("*")] == [name]
    assert (target.root / name).read_bytes() == content


MEMBER = tarfile.TarInfo("model.bin")


def broken_header() -> bytes:
    """Return two tars in one, the first without its end and with garbage behind it."""
    whole = tarred((MEMBER, b"x"), mode="w")
    return whole[:1024] + b"garbage".ljust(512, b"!") + whole


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.tar", broken_header(), "goes on after"),
        ("t.tar.gz", gzip.compress(broken_header()), "goes on after"),
        ("t.tar", tarred((MEMBER, b"x"), mode="w") * 2, "goes on after"),
        ("t.tar", tarred((MEMBER, b"x"), mode="w")[:1024], "cut off"),
        ("t.zip", b"payload" + zipped({"a": b"x"}), "before or between"),
        ("t.zip", zipped({"a": b"x"}) + b"payload", "behind its end"),
        ("t.zip", zipped({"a/": b"payload"}), "entry of a folder"),
    ],
)
def test_what_other_readers_would_see_is_not_passed_over(tmp_path, name, content, said):
    target = laid_out(tmp_path, stored(tmp_path, name, content))
    assert said in target.gaps[0].reason


def test_a_local_entry_without_a_directory_record_is_seen(tmp_path):
    visible, hidden = zipped({"a": b"x"}), zipped({"evil.pkl": b"payload"})
    local = hidden[: hidden.index(b"PK\x01\x02")]
    end = visible.index(b"PK\x01\x02")
    content = bytearray(visible[:end] + local + visible[end:])
    record = content.rindex(b"PK\x05\x06")
    content[record + 16 : record + 20] = (end + len(local)).to_bytes(4, "little")
    target = laid_out(tmp_path, stored(tmp_path, "t.zip", bytes(content)))
    assert "before its directory" in target.gaps[0].reason


def test_an_archive_written_as_a_stream_is_unpacked(tmp_path):
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", b"x" * 1000)
        archive.writestr("folder/", b"")
        archive.writestr("folder/b.bin", b"y")
    target = laid_out(tmp_path, stored(tmp_path, "t.zip", bytes(pipe.data)))
    assert target.gaps == ()
    assert [e.path for e in target.elements] == ["a.bin", "folder/b.bin"]


def test_links_and_devices_of_a_tar_are_refused(tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, "/etc/passwd"
        content = tarred((info, b""))
        run = tmp_path / kind.decode()
        run.mkdir()
        target = laid_out(run, stored(run, "t.tar.gz", content))
        assert "link or a device" in target.gaps[0].reason


def test_a_bomb_is_not_unpacked(tmp_path):
    content = zipped({"zeros": bytes(100 << 20)})
    target = laid_out(tmp_path, stored(tmp_path, "bomb.zip", content))
    assert "archive bomb" in target.gaps[0].reason
    assert sum(p.stat().st_size for p in target.root.rglob("*")) == len(content)


def test_too_many_members_and_too_many_bytes_are_refused(tmp_path):
    content = zipped({f"f{n}": b"0123456789" for n in range(20)})
    few = laid_out(
        tmp_path, stored(tmp_path, "m.zip", content), limits=Limits(members=5)
    )
    assert "more than 5 members" in few.gaps[0].reason
    (tmp_path / "2").mkdir()
    small = laid_out(
        tmp_path / "2",
        stored(tmp_path, "m.zip", content),
        limits=Limits(total_bytes=99),
    )
    assert "more than this server accepts" in small.gaps[0].reason


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(zipped({"secret": b"x"}))
    # The flag of encryption, in the local header and in the central directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    target = laid_out(tmp_path, stored(tmp_path, "m.zip", bytes(content)))
    assert "is encrypted" in target.gaps[0].reason


def test_an_empty_file_is_a_gap(tmp_path):
    target = laid_out(tmp_path, stored(tmp_path, "m.pkl", b""))
    assert target.gaps[0].reason == "it is empty"


def test_a_checkpoint_ends_the_work(tmp_path):
    def stop(moved: int = 0) -> None:
        raise ScanStopped

    with pytest.raises(ScanStopped):
        workspace.from_uploads(
            [stored(tmp_path, "m", b"x")],
            tmp_path / "run",
            limits=Limits(),
            checkpoint=stop,
            rung=None,
        )


@pytest.mark.parametrize("may_link", [True, False])
@pytest.mark.parametrize("name", ["m.pkl", "m.zip", "m.tar"])
def test_bytes_that_changed_in_the_store_are_not_scanned(tmp_path, name, may_link):
    file = stored(tmp_path, name, zipped({"a": b"bytes"}))
    digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    # as good an archive as the other
    file.path.write_bytes(zipped({"a": b"bytEs"}))
    with pytest.raises(WorkspaceError, match="not those submitted"):
        workspace.from_uploads(
            [StoredFile(name, file.path, digest)],
            tmp_path / "run",
            limits=Limits(),
            checkpoint=go_on,
            rung=None,
            may_link=may_link,
        )


def test_a_document_that_changed_in_the_store_is_not_read(tmp_path):
    file = stored(tmp_path, "mcp.json", b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    known = StoredFile("mcp.json", file.path, digest)
    assert workspace.read_stored(known) == b"{}"
    file.path.write_bytes(b"[]")
    with pytest.raises(WorkspaceError, match="not those submitted"):
        workspace.read_stored(known)


class TestLinks:
    """A stored file under a second name, where tools cannot change what they see."""

    def placed(self, tmp_path: Path, *files: StoredFile):
        return workspace.from_uploads(
            files,
            tmp_path / "run",
            limits=Limits(),
            checkpoint=go_on,
            rung=None,
            may_link=True,
        )

    def test_it_takes_no_disk(self, tmp_path):
        file = stored(tmp_path, "b/m.pkl", b"bytes")
        target = self.placed(tmp_path, file)
        assert (target.root / "b/m.pkl").samefile(file.path)
        assert target.digest == hashlib.sha256(b"bytes").hexdigest()

    def test_nobody_may_write_to_it_any_more_its_owner_included(self, tmp_path):
        file = stored(tmp_path, "m.pkl", b"bytes")
        self.placed(tmp_path, file)
        assert file.path.stat().st_mode & 0o777 == (0o400 if os.geteuid() else 0o444)

    def test_without_leave_it_is_a_copy(self, tmp_path):
        file = stored(tmp_path, "m.pkl", b"bytes")
        target = laid_out(tmp_path, file)
        assert not (target.root / "m.pkl").samefile(file.path)

    @pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
    def test_where_it_cannot_be_it_is_a_copy(self, tmp_path, monkeypatch, code):
        def refuse(*args, **kwargs):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", refuse)
        file = stored(tmp_path, "m.pkl", b"bytes")
        target = self.placed(tmp_path, file)
        assert not (target.root / "m.pkl").samefile(file.path)
        assert target.digest == hashlib.sha256(b"bytes").hexdigest()

    def test_a_file_of_somebody_else_is_copied(self, tmp_path, monkeypatch):
        def refuse(*args):
            raise PermissionError(errno.EPERM, "not the owner")

        monkeypatch.setattr(os, "fchmod", refuse)
        file = stored(tmp_path, "m.pkl", b"bytes")
        target = self.placed(tmp_path, file)
        assert not (target.root / "m.pkl").samefile(file.path)

    def test_it_outlives_the_stored_name_and_not_the_other_way_round(self, tmp_path):
        first, second = (stored(tmp_path, name, b"bytes") for name in "ab")
        target = self.placed(tmp_path, first, second)
        first.path.unlink()
        assert (target.root / "a").read_bytes() == b"bytes"
        shutil.rmtree(tmp_path / "run")
        assert second.path.read_bytes() == b"bytes"

    def test_a_link_in_the_store_is_not_followed(self, tmp_path):
        (tmp_path / "other").write_bytes(b"secret")
        (tmp_path / "stored").symlink_to(tmp_path / "other")
        with pytest.raises(WorkspaceError):
            self.placed(tmp_path, StoredFile("m", tmp_path / "stored"))

    def test_two_files_of_one_name_are_refused(self, tmp_path):
        file = stored(tmp_path, "m", b"x")
        with pytest.raises(WorkspaceError, match="two files"):
            self.placed(tmp_path, file, file)

    def test_each_byte_is_counted_once(self, tmp_path):
        moved = []
        workspace.from_uploads(
            [stored(tmp_path, "m.zip", zipped({"a": b"12345", "b": b"678"}))],
            tmp_path / "run",
            limits=Limits(),
            checkpoint=lambda count=0: moved.append(count),
            rung=None,
        )
        assert sum(moved) == 8
