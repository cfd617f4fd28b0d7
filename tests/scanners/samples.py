"""Sample inputs, built on demand: nothing live lies in the repository.

Every builder returns bytes or a mapping of relative path to bytes; `lay_out` writes a
mapping below a directory and returns the target of it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanners.contract import Element, Target, TargetKind

type Files = Mapping[str, bytes]


def lay_out(root: Path, files: Files) -> Target:
    """Write `files` below `root`; return the target as the workspace would build it."""
    elements = []
    for path, raw in sorted(files.items()):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
        elements.append(Element(path, len(raw), hashlib.sha256(raw).hexdigest()))
    digest = hashlib.sha256(repr(elements).encode()).hexdigest()
    return Target(TargetKind.MODEL, root, tuple(elements), digest)


# Pickles


class _Call:
    """Pickles as a call of `function`; never unpickled here."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def clean_pickle(protocol: int = 4) -> bytes:
    weights = {"layer.0.weight": [0.25, -0.5, 1.0], "layer.0.bias": [0.0], "epoch": 3}
    return pickle.dumps(weights, protocol)


def malicious_pickle(protocol: int = 4) -> bytes:
    return pickle.dumps(_Call(os.system, "true"), protocol)


def unknown_call_pickle() -> bytes:
    """Return a pickle that calls what is on no list of dangerous calls."""
    # logging.config resolves any dotted name: as good as an import of os
    module, name = b"logging.config", b"BaseConfigurator.resolve"
    names = b"".join(b"\x8c" + bytes([len(n)]) + n for n in (module, name))
    return b"\x80\x04" + names + b"\x93\x8c\x01x\x85R."


def many_calls_pickle() -> bytes:
    """Several weaknesses in one file, one of them twice."""
    calls = [_Call(os.system, "true"), _Call(eval, "1"), _Call(os.system, "id")]
    return pickle.dumps({"a": calls, "b": _Call(exec, "pass")}, 2)


def foreign_pickle(*, is_called: bool = True) -> bytes:
    """Names a function of a package that nobody knows, and calls it or not."""
    return b"\x80\x02cunknownpackage.module\nrun\n" + (b")R." if is_called else b".")


def truncated_pickle() -> bytes:
    raw = clean_pickle(2)
    return raw[: len(raw) - 20]


# Formats without code


def npy(values: int = 6) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({values},), }}"
    header = header.ljust(117) + "\n"
    numbers = struct.pack(f"<{values}f", *(i / 8 for i in range(values)))
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return magic + header.encode("latin-1") + numbers


def npz() -> bytes:
    return zip_of({"weights.npy": npy(), "bias.npy": npy(2)})


def safetensors() -> bytes:
    data = struct.pack("<4f", 0.5, -0.25, 0.125, 1.0)
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def field(number: int, value: int | bytes | str | float) -> bytes:
    """One protobuf field: varint, length-delimited or (for a float) 32-bit."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*raw, value])


def onnx(operator: str = "Add", domain: str = "") -> bytes:
    """y = x + w for two floats; ModelProto as in onnx/onnx.proto."""

    def value_info(name: str) -> bytes:
        shape = field(1, field(1, 2))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, "x") + field(1, "w") + field(2, "y") + field(3, "n")
    node += field(4, operator) + (field(7, domain) if domain else b"")
    weight = field(1, 2) + field(2, 1) + field(8, "w")
    weight += field(9, struct.pack("<2f", 0.5, 0.25))
    graph = field(1, node) + field(2, "g") + field(5, weight)
    graph += field(11, value_info("x")) + field(12, value_info("y"))
    opsets = field(8, field(1, "") + field(2, 17))
    if domain:
        opsets += field(8, field(1, domain) + field(2, 1))
    return field(1, 8) + field(2, "sentrascan-tests") + field(7, graph) + opsets


# A state dictionary of one 2x2 tensor as torch.save writes it: opcodes by hand, since
# the tests have no torch. Read by torch.load, it is {"weight": tensor([[..],[..]])}.
STATE = (
    b"\x80\x02}q\x00X\x06\x00\x00\x00weightq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02"
    b"((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05"
    b"X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\x86q\x08K\x02K\x01\x86q\t\x89"
    b"ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs."
)


def torch_zip(data: bytes = STATE) -> bytes:
    """A checkpoint as `torch.save` lays it out since 1.6."""
    members = {
        "checkpoint/data.pkl": data,
        "checkpoint/byteorder": b"little",
        "checkpoint/data/0": struct.pack("<4f", 1.0, 0.5, 0.25, 0.125),
        "checkpoint/version": b"3\n",
        "checkpoint/.data/serialization_id": b"1" * 40,
    }
    return zip_of(members)


# Archives


def zip_of(members: Files, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, raw in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(info, raw, compression)
    return buffer.getvalue()


def tar_of(members: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return buffer.getvalue()


# A model repository


CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ '<|' ~ message.role ~ '|>\\n' + message['content'] | trim + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def dangerous_template() -> str:
    """A template that reaches the system through an object's inner names."""
    globals_name = "__" + "globals" + "__"
    return f"{{{{ lipsum.{globals_name}['os'].popen('id').read() }}}}"


def sentencepiece(words: int = 2, *, has_controls: bool = True) -> bytes:
    """Without control pieces and from some 40 kB on, modelaudit takes such a file for
    an XGBoost model.
    """
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3)] if has_controls else []
    pieces += [(f"tok{number}", 1) for number in range(words)]
    raw = b""
    for index, (text, kind) in enumerate(pieces):
        piece = field(1, text) + field(2, -float(index))
        raw += field(1, piece if kind == 1 else piece + field(3, kind))
    trainer = field(2, "m") + field(3, 2) + field(4, len(pieces)) + field(10, 0.9995)
    return raw + field(2, trainer) + field(3, field(1, "nmt_nfkc") + field(3, 1))


def png(*, trailing: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        size, checksum = len(data), zlib.crc32(kind + data)
        return struct.pack(">I", size) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x80")
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body + trailing


def gif() -> bytes:
    return base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def jpeg() -> bytes:
    """Marker structure alone: enough for a reader of segments."""
    frame = b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\xff\x00\x34\xff\xd0\x56"
    return b"\xff\xd8\xff\xe0\x00\x04JF" + frame + scan + b"\xff\xd9"


def as_json(document: Any) -> bytes:
    return json.dumps(document, indent=2).encode()


def hostile_config() -> bytes:
    """A configuration that breaks most rules for JSON."""
    calls = "__" + "import__('o" + "s').sys" + "tem('id')"
    return as_json(
        {
            "auto_map": {"AutoModel": "owner/other--modeling.Model"},
            "trust_remote_code": True,
            "layers": [{"class_name": "Lambda", "config": {"function": ["4wEA"]}}],
            "optimizer": {"_target_": "o" + "s.sys" + "tem"},
            "notes": ["harmless", calls],
            "greeting": "{0.__" + "class__}",
            "py/reduce": [],
        }
    )


def chatty_readme() -> bytes:
    """Documentation full of addresses and code: nothing that runs by itself."""
    lines = ["# A model", "", "```python", "import requests", "```", ""]
    # More than the tool tells apart: a path, a key and a name in each line.
    endpoint = 'api_base="https://host{0}.example.com/", api_key=os.environ["K{0}"]'
    lines += [endpoint.format(number) for number in range(10, 60)]
    return "\n".join(lines).encode() + b"\n"


LICENSE = b"""Permission is hereby granted, free of charge, to any person obtaining
a copy of this software and associated documentation files, to deal in the Software
without restriction, subject to the following conditions:

(a) The above copyright notice shall be included in all copies.
"""
README = b"""---
license: mit
pipeline_tag: text-generation
---

# A tiny model

Load it with:

```python
from transformers import AutoModel
model = AutoModel.from_pretrained("tiny")
```

| metric | value |
|--------|-------|
| loss   | 1.23  |
"""


def repository() -> dict[str, bytes]:
    """An ordinary model repository: nothing in it should alarm anybody."""
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 2, "rope": None}
    vocabulary = {"<s>": 0, "</s>": 1, "the": 2, "__init__": 3, "eval(": 4, "{{": 5}
    return {
        "model.safetensors": safetensors(),
        "model.safetensors.index.json": as_json(
            {"metadata": {"total_size": 16}, "weight_map": {"weight": "model.s"}}
        ),
        "config.json": as_json(config),
        "generation_config.json": as_json({"temperature": 0.6, "do_sample": True}),
        "tokenizer.json": as_json({"version": "1.0", "model": {"vocab": vocabulary}}),
        "tokenizer_config.json": as_json({**special, "chat_template": CHAT_TEMPLATE}),
        "special_tokens_map.json": as_json(special),
        "vocab.json": as_json(vocabulary),
        "vocab.txt": b"[PAD]\n[UNK]\nthe\n##ing\n",
        "merges.txt": "#version: 0.2\n\u0120 t\nh e\nin g</w>\n".encode(),
        "tokenizer.model": sentencepiece(),
        "README.md": README,
        "LICENSE": LICENSE,
        ".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
        ".gitignore": b"# local\n*.log\n/cache/\n!keep.log\n",
        "images/curve.png": png(),
    }
