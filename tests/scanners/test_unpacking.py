"""7z: unpacked in the sandbox, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import tracemalloc
from pathlib import Path

import py7zr
import pytest

from scanners import unpacking, workspace
from scanners.archives import Limits
from scanners.contract import ScanStopped, Target
from scanners.sandbox import Rung, probe
from scanners.workspace import StoredFile
from tests.scanners.sevenzips import (
    FOLDER,
    REPARSE_POINT,
    Attributes,
    of_mode,
    seven_zip,
    with_a_billion_members,
    with_anti_item,
    with_dictionary_of_4_gigabytes,
    with_header,
    with_slack,
)
from tests.scanners.standin import need

MEMBERS = {"a.json": b"{}", "b/x.bin": b"x" * 100_000, "b/c/y": b"y"}


def go_on(moved: int = 0) -> None:
    return None


def laid_out(
    tmp_path: Path,
    content: bytes,
    *,
    limits: Limits | None = None,
    rung: Rung | None = None,
    checkpoint=go_on,
) -> Target:
    stored = tmp_path / "stored"
    stored.write_bytes(content)
    return workspace.from_uploads(
        [StoredFile("m.7z", stored)],
        tmp_path / "run",
        limits=limits or Limits(),
        checkpoint=checkpoint,
        rung=rung or probe(),
    )


def refusal(
    tmp_path: Path,
    content: bytes,
    *,
    limits: Limits | None = None,
    rung: Rung | None = None,
) -> str:
    """Lay out an archive that stays packed; return why."""
    target = laid_out(tmp_path, content, limits=limits, rung=rung)
    (gap,) = target.gaps
    assert gap.path == "m.7z"
    assert [place.name for place in target.root.rglob("*")] == ["m.7z"]
    assert (target.root / "m.7z").read_bytes() == content
    assert [place.name for place in (tmp_path / "run").iterdir()] == ["target"]
    return gap.reason.removeprefix("the archive was not unpacked: ")


@pytest.mark.parametrize("rung", Rung, ids=str)
def test_it_is_the_folder_that_it_holds(tmp_path, rung):
    target = laid_out(tmp_path, seven_zip(MEMBERS), rung=need(rung))
    assert target.gaps == ()
    assert [element.path for element in target.elements] == sorted(MEMBERS)
    for element in target.elements:
        content = MEMBERS[element.path]
        assert element.digest == hashlib.sha256(content).hexdigest()
        assert (target.root / element.path).read_bytes() == content
    assert [place.name for place in (tmp_path / "run").iterdir()] == ["target"]


LZMA2 = {"id": py7zr.FILTER_LZMA2, "preset": 1}
METHODS = {
    "lzma2": [LZMA2],
    "lzma": [{"id": py7zr.FILTER_LZMA, "preset": 1}],
    "bcj": [{"id": py7zr.FILTER_X86}, LZMA2],
    "delta": [{"id": py7zr.FILTER_DELTA}, LZMA2],
    "ppmd": [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "zstd": [{"id": py7zr.FILTER_ZSTD, "level": 3}],
    "copy": [{"id": py7zr.FILTER_COPY}],
}


@pytest.mark.parametrize("method", METHODS)
def test_it_may_be_packed_by_any_method(tmp_path, method):
    target = laid_out(tmp_path, seven_zip(MEMBERS, filters=METHODS[method]))
    assert target.gaps == ()
    assert {e.path: e.size for e in target.elements} == {
        name: len(content) for name, content in MEMBERS.items()
    }


def test_one_that_was_packed_in_two_goes_is_unpacked(tmp_path):
    packed = tmp_path / "m.7z"
    packed.write_bytes(seven_zip({"a": b"first"}))
    with py7zr.SevenZipFile(packed, "a") as archive:
        archive.writestr(b"second", "b")
    target = laid_out(tmp_path, packed.read_bytes())
    assert target.gaps == ()
    assert [element.path for element in target.elements] == ["a", "b"]


def test_a_name_that_begins_in_this_folder_is_that_name(tmp_path):
    target = laid_out(tmp_path, renamed("./b"))
    assert [element.path for element in target.elements] == ["b"]


def test_folders_and_empty_files_are_what_they_are(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "empty").touch()
    (folder / "full").write_bytes(b"x")
    with py7zr.SevenZipFile(tmp_path / "m.7z", "w") as archive:
        archive.writeall(folder, "folder")
    target = laid_out(tmp_path, (tmp_path / "m.7z").read_bytes())
    assert [e.path for e in target.elements] == ["folder/full", "folder/inner/empty"]
    assert [(g.path, g.reason) for g in target.gaps] == [
        ("folder/inner/empty", "it is empty")
    ]


def test_many_members_are_unpacked(tmp_path):
    members = {f"{n % 100}/{n}": str(n).encode() for n in range(1500)}
    target = laid_out(tmp_path, seven_zip(members))
    assert target.gaps == ()
    assert len(target.elements) == 1500
    assert (target.root / "99" / "1499").read_bytes() == b"1499"


ONE = {"a": b"x"}
PLAIN = seven_zip(ONE, is_header_packed=False)
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def renamed(name: str) -> bytes:
    return seven_zip(ONE, changed={"a": {"filename": name}})


def beside(name: str) -> bytes:
    """Pack `a` and another file of that name."""
    return seven_zip({**ONE, "b": b"y"}, changed={"b": {"filename": name}})


def marked(attributes: Attributes) -> bytes:
    return seven_zip({"a": b"/etc/passwd"}, changed={"a": attributes})


def gapped(raw: bytes) -> bytes:
    return with_header(raw, lambda header: header, gap=b"payload")


UNSAFE = [
    (renamed("../../etc/evil"), "leads outside"),
    (renamed("/abs"), "leads outside"),
    (renamed("..\\up"), "leads outside"),
    (renamed("C:\\evil"), "leads outside"),
    (renamed("a/../../b"), "leads outside"),
    (renamed("a\nb"), "control characters"),
    (renamed("/".join("d" * 40)), "too long a name"),
    (renamed("n" * 300), "too long a name"),
    (marked(of_mode(stat.S_IFLNK)), "'a' is a link or a device"),
    (marked(REPARSE_POINT), "'a' is a link or a device"),
    (marked(of_mode(stat.S_IFBLK)), "'a' is a link or a device"),
    (marked(of_mode(stat.S_IFIFO)), "'a' is a link or a device"),
    (marked(of_mode(stat.S_IFSOCK)), "'a' is a link or a device"),
    (marked(FOLDER), "lie in a folder"),
    (beside("a"), "two members are called 'a'"),
    (beside("./a"), "two members are called 'a'"),
    (beside("a/b"), "two members are called 'a/b'"),
    (seven_zip(ONE, password="secret"), "it is encrypted"),
    (seven_zip(ONE, password="secret", header_encryption=True), "it is encrypted"),
    (
        with_anti_item(seven_zip({"a": b""}, is_header_packed=False)),
        "cannot be read (it holds anti-items, which delete files",
    ),
    (
        with_anti_item(seven_zip({"a": b""}, is_header_packed=False), kind=b"\x1f"),
        "cannot be read (its header holds a property of an unknown kind, 0x1f)",
    ),
    (seven_zip(ONE) + b"payload", "behind its end"),
    (gapped(seven_zip(ONE)), "before its end"),
    (gapped(PLAIN), "before its end"),
    (with_slack(PLAIN, EMPTY_ZIP), "read as a zip too"),
    (with_a_billion_members(PLAIN), "exceeds limit"),
    (b"payload" + PLAIN, "cannot be read"),
    (b"7z\xbc\xaf\x27\x1c nonsense", "cannot be read"),
]


@pytest.mark.parametrize(("content", "said"), UNSAFE)
def test_an_unsafe_one_stays_packed_and_is_a_gap(tmp_path, content, said):
    assert said in refusal(tmp_path, content)


def test_one_that_is_cut_off_or_damaged_stays_packed(tmp_path):
    whole = seven_zip({"a": os.urandom(10_000), "b": os.urandom(10_000)})
    broken = [whole[:at] for at in (6, 31, 32, 5_000, len(whole) - 1)]
    broken += [
        whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        for at in (0, 9, 20, 32, 5_000, 15_000, len(whole) - 40, len(whole) - 1)
    ]
    for number, content in enumerate(broken):
        place = tmp_path / str(number)
        place.mkdir()
        assert refusal(place, content)


def test_a_bomb_is_not_unpacked(tmp_path):
    solid = {f"zeros{n}": bytes(10 << 20) for n in range(10)}
    started = time.monotonic()
    assert "archive bomb" in refusal(tmp_path, seven_zip(solid, filters=[LZMA2]))
    assert time.monotonic() - started < 30


def test_too_many_members_and_too_many_bytes_are_refused(tmp_path):
    content = seven_zip({f"f{n}": b"0123456789" for n in range(20)})
    for name, limits, said in (
        ("members", Limits(members=5), "more than 5 members"),
        ("bytes", Limits(total_bytes=199), "more than this server accepts"),
        ("depth", Limits(depth=0), "too long a name"),
    ):
        (tmp_path / name).mkdir()
        assert said in refusal(tmp_path / name, content, limits=limits)


def test_memory_beyond_the_limit_is_not_given(tmp_path):
    content = seven_zip(ONE, is_header_packed=False, filters=[LZMA2])
    said = refusal(tmp_path, with_dictionary_of_4_gigabytes(content))
    assert "memory" in said


def test_without_a_sandbox_it_stays_packed(tmp_path):
    stored = tmp_path / "stored"
    stored.write_bytes(seven_zip(ONE))
    target = workspace.from_uploads(
        [StoredFile("m.7z", stored)],
        tmp_path / "run",
        limits=Limits(),
        checkpoint=go_on,
        rung=None,
    )
    assert "no sandbox" in target.gaps[0].reason


# What a decoder does that hostile bytes have taken over, or broken


@pytest.fixture
def taken_over(monkeypatch):
    """Have a program of the test take the decoder's place."""

    def take(program: str) -> None:
        monkeypatch.setattr(unpacking, "PROGRAM", "timeit:main")
        monkeypatch.setattr(unpacking, "astuple", lambda limits: ("-n1", program))

    return take


def test_a_decoder_that_crashes_takes_nobody_along(tmp_path, taken_over):
    taken_over("import os; os.kill(os.getpid(), 11)")
    assert "exit code -11" in refusal(tmp_path, seven_zip(ONE))


def test_a_decoder_that_answers_with_no_tar_is_not_believed(tmp_path, taken_over):
    taken_over("import os; os.write(1, b'no tar' * 1000); os._exit(0)")
    assert "cannot be read" in refusal(tmp_path, seven_zip(ONE))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("info.name = '../../x'", "leads outside"),
        ("info.type, info.linkname = b'2', '/etc'", "is a link or a device"),
        ("info.size = 100 << 20", "archive bomb"),
    ],
)
def test_a_tar_of_the_decoder_is_not_trusted(tmp_path, taken_over, change, said):
    taken_over(
        "import os, tarfile; info = tarfile.TarInfo('x'); "
        f"{change}; os.write(1, info.tobuf()); "
        "os.ftruncate(1, 101 << 20) if info.size else os.write(1, bytes(1024)); "
        "os._exit(0)"
    )
    assert said in refusal(tmp_path, seven_zip(ONE))


@pytest.mark.parametrize("stream", [1, 2])
def test_a_decoder_that_writes_without_end_is_ended(tmp_path, taken_over, stream):
    taken_over(f"import os\nwhile True: os.write({stream}, bytes(1 << 20))")
    limits = Limits(total_bytes=1 << 20, members=1)
    # no file grows beyond its limit: the write fails, and its exit says no more
    assert "broke off" in refusal(tmp_path, seven_zip(ONE), limits=limits)


def test_a_long_complaint_of_the_decoder_is_cut_before_it_is_read(tmp_path, taken_over):
    taken_over("import os; os.write(2, b'word ' * (10 << 20)); os._exit(3)")
    content = seven_zip(ONE)
    tracemalloc.start()
    try:
        said = refusal(tmp_path, content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said.startswith("word word")
    assert len(said) <= 400
    assert peak < 20 << 20


def test_a_decoder_that_never_ends_is_ended_by_the_checkpoint(tmp_path, taken_over):
    taken_over("import time; time.sleep(1000)")
    started = time.monotonic()

    def checkpoint(moved: int = 0) -> None:
        if time.monotonic() - started > 1:
            raise ScanStopped

    with pytest.raises(ScanStopped):
        laid_out(tmp_path, seven_zip(ONE), checkpoint=checkpoint)
    assert time.monotonic() - started < 60  # the decoder would take 1,000
    assert [place.name for place in (tmp_path / "run").iterdir()] == ["target"]


@pytest.mark.parametrize("rung", [Rung.BUBBLEWRAP, Rung.LANDLOCK], ids=str)
def test_the_decoder_is_shown_no_file_but_by_its_input(tmp_path, taken_over, rung):
    """It ends with 40 where it can open a file, with 41 where it cannot."""
    for name, path, code in (
        ("stored", tmp_path / "stored" / "stored", 41),
        ("target", tmp_path / "target" / "run" / "target", 41),
        ("own", Path(unpacking.__file__), 40),
        ("input", "/proc/self/fd/0", 41),
    ):
        (tmp_path / name).mkdir()
        flags = os.O_RDWR if name == "input" else os.O_RDONLY
        taken_over(
            "import os\ntry:\n"
            f" os.open({str(path)!r}, {flags})\n"
            "except OSError: os._exit(41)\nos._exit(40)"
        )
        said = refusal(tmp_path / name, seven_zip(ONE), rung=need(rung))
        assert said.endswith(f"exit code {code}"), name


# Where it may come from


def test_below_a_scan_root_it_is_unpacked_too(tmp_path):
    (tmp_path / "m.7z").write_bytes(seven_zip(MEMBERS))
    target = workspace.from_path(
        tmp_path / "m.7z",
        tmp_path / "run",
        limits=Limits(),
        checkpoint=go_on,
        rung=probe(),
    )
    assert [element.path for element in target.elements] == sorted(MEMBERS)
    assert target.gaps == ()


def test_beside_other_files_it_stays_packed_as_a_zip_does(tmp_path):
    files = []
    for name, content in {"m.7z": seven_zip(ONE), "readme.md": b"# x"}.items():
        (tmp_path / name).write_bytes(content)
        files.append(StoredFile(name, tmp_path / name))
    target = workspace.from_uploads(
        files, tmp_path / "run", limits=Limits(), checkpoint=go_on, rung=probe()
    )
    assert [element.path for element in target.elements] == ["m.7z", "readme.md"]
