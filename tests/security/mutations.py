"""What an attacker, a broken disk or a careless packer does to a file.

Each takes a file name and its bytes and returns name -> bytes, or None where it does
not apply. `INTACT` ones leave what the file says as it was.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from tests.scanners import samples
from tests.scanners.sevenzips import seven_zip

type Files = Mapping[str, bytes]
type Mutation = Callable[[str, bytes], Files | None]

PAD = 64 << 20


def cut(share: float) -> Mutation:
    return lambda name, raw: {name: raw[: max(1, int(len(raw) * share))]}


def cut_tail(count: int) -> Mutation:
    return lambda name, raw: {name: raw[:-count]} if len(raw) > count else None


def flip(share: float) -> Mutation:
    """Turn every bit of one byte."""

    def mutate(name: str, raw: bytes) -> Files:
        at = min(int(len(raw) * share), len(raw) - 1)
        return {name: raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]}

    return mutate


def corrupt_member(name: str, raw: bytes) -> Files | None:
    """Turn a byte of one archive member's data: its checksum no longer fits."""
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        return None
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        member = max(archive.infolist(), key=lambda info: info.compress_size)
    start = member.header_offset + 30 + len(member.filename.encode())
    at = start + max(0, member.compress_size // 2)
    if at >= len(raw):
        return None
    return {name: raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]}


def corrupt_directory(name: str, raw: bytes) -> Files | None:
    """Turn a byte of the first entry in the central directory of a ZIP."""
    at = raw.find(b"PK\x01\x02")
    if at == -1:
        return None
    return {name: raw[: at + 16] + bytes([raw[at + 16] ^ 0xFF]) + raw[at + 17 :]}


def append(extra: bytes) -> Mutation:
    return lambda name, raw: {name: raw + extra}


def prepend(extra: bytes) -> Mutation:
    return lambda name, raw: {name: extra + raw}


def pad(name: str, raw: bytes) -> Files:
    return {name: raw + bytes(PAD)}


def suffix(new: str) -> Mutation:
    return lambda name, raw: {PurePosixPath(name).stem + new: raw}


def rename(new: str) -> Mutation:
    return lambda name, raw: {new: raw}


def second_suffix(new: str) -> Mutation:
    return lambda name, raw: {name + new: raw}


def shout(name: str, raw: bytes) -> Files:
    return {name.upper(): raw}


def folders(depth: int) -> Mutation:
    return lambda name, raw: {"/".join(["d"] * depth + [name]): raw}


def zipped(compression: int, levels: int = 1) -> Mutation:
    def mutate(name: str, raw: bytes) -> Files:
        files = {name: raw}
        for level in range(levels):
            packed = samples.zip_of(files, compression=compression)
            files = {f"pack{level}.zip": packed}
        return files

    return mutate


def tar_in_zip(name: str, raw: bytes) -> Files:
    return {"pack.zip": samples.zip_of({"in.tar": samples.tar_of({name: raw})})}


def zip_in_tar(name: str, raw: bytes) -> Files:
    return {"pack.tar": samples.tar_of({"in.zip": samples.zip_of({name: raw})})}


def tarred(name: str, raw: bytes) -> Files:
    return {"pack.tar.gz": gzip.compress(samples.tar_of({name: raw}), mtime=0)}


def seven_zipped(name: str, raw: bytes) -> Files:
    return {"pack.7z": seven_zip({name: raw})}


def seven_zip_in_zip(name: str, raw: bytes) -> Files:
    return {"pack.zip": samples.zip_of({"in.7z": seven_zip({name: raw})})}


def zip_in_seven_zip(name: str, raw: bytes) -> Files:
    return {"pack.7z": seven_zip({"in.zip": samples.zip_of({name: raw})})}


def packed(pack: Callable[[bytes], bytes], new: str) -> Mutation:
    return lambda name, raw: {name + new: pack(raw)}


def encoded(encoding: str) -> Mutation:
    def mutate(name: str, raw: bytes) -> Files | None:
        try:
            return {name: raw.decode("ascii").encode(encoding)}
        except UnicodeDecodeError:
            return None

    return mutate


def crlf(name: str, raw: bytes) -> Files | None:
    return {name: raw.replace(b"\n", b"\r\n")} if raw.isascii() else None


def zip_without_suffix(name: str, raw: bytes) -> Files:
    return {"pack": samples.zip_of({name: raw})}


DAMAGE: dict[str, Mutation] = {
    "cut-90%": cut(0.9),
    "cut-50%": cut(0.5),
    "cut-10%": cut(0.1),
    "cut-1-byte": cut_tail(1),
    "cut-22-bytes": cut_tail(22),
    "flip-first": flip(0),
    "flip-10%": flip(0.1),
    "flip-40%": flip(0.4),
    "flip-70%": flip(0.7),
    "flip-last": flip(1),
    "corrupt-member": corrupt_member,
    "corrupt-directory": corrupt_directory,
    "append-zeros": append(bytes(4096)),
    "append-text": append(b"\nThis is a text.\n"),
    "prepend-newline": prepend(b"\n"),
    "prepend-zeros": prepend(bytes(512)),
    "prepend-text": prepend(b"# A model\n\nThis is a text.\n"),
    "prepend-picture": prepend(samples.png()),
    "prepend-npy": prepend(samples.npy()),
    "utf-16": encoded("utf-16"),
    "utf-8-bom": encoded("utf-8-sig"),
    "crlf": crlf,
}
SUFFIXES = (
    *("", ".txt", ".md", ".json", ".png", ".npy", ".safetensors", ".h5", ".gguf"),
    *(".onnx", ".bin", ".pt", ".zip", ".py", ".yaml", ".xyz", ".npz", ".pkl"),
    *(".keras", ".model", ".jinja", ".tar", ".7z", ".tflite", ".pb"),
)
RENAMES: dict[str, Mutation] = {
    **{f"as{new or '-nothing'}": suffix(new) for new in SUFFIXES},
    "as-readme": rename("README"),
    "as-license": rename("LICENSE"),
    "as-gitattributes": rename(".gitattributes"),
    "as-gitignore": rename(".gitignore"),
    "as-vocabulary": rename("vocab.txt"),
    "as-merges": rename("merges.txt"),
    "as-tokenizer": rename("tokenizer.model"),
    "as-hidden": rename(".hidden"),
    "second-txt": second_suffix(".txt"),
    "second-bak": second_suffix(".bak"),
    "upper-case": shout,
}
NESTS: dict[str, Mutation] = {
    "folders": folders(12),
    "zip": zipped(zipfile.ZIP_STORED),
    "zip-deflated": zipped(zipfile.ZIP_DEFLATED),
    "zip-bz2": zipped(zipfile.ZIP_BZIP2),
    "zip-lzma": zipped(zipfile.ZIP_LZMA),
    "zip-in-zip": zipped(zipfile.ZIP_STORED, 2),
    "zip-six-deep": zipped(zipfile.ZIP_DEFLATED, 6),
    "tar-in-zip": tar_in_zip,
    "zip-in-tar": zip_in_tar,
    "tar-gz": tarred,
    "7z": seven_zipped,
    "7z-in-zip": seven_zip_in_zip,
    "zip-in-7z": zip_in_seven_zip,
    "zip-no-suffix": zip_without_suffix,
    "gz": packed(gzip.compress, ".gz"),
    "gz-same-name": packed(gzip.compress, ""),
    "bz2": packed(bz2.compress, ".bz2"),
    "xz": packed(lzma.compress, ".xz"),
}
INTACT: dict[str, Mutation] = {**RENAMES, **NESTS}
ALL: dict[str, Mutation] = {**DAMAGE, **INTACT}
