"""Hostile and harmless inputs, built on demand: nothing live lies in the repository.

A seed of a model is a file name and bytes; one of MCP is a document.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import pickle
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from scanners.install import installed
from tests.scanners import mcp_samples, samples


@dataclass(frozen=True)
class Seed:
    """One input. `is_loud`: the tools are known to call it dangerous as it is."""

    name: str
    file: str = ""
    raw: bytes = b""
    more: Mapping[str, bytes] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    is_loud: bool = True

    @property
    def files(self) -> dict[str, bytes]:
        return {self.file: self.raw, **self.more} if self.file else {}

    def __str__(self) -> str:
        return self.name


# Pickles and what carries them


class _Call:
    """Pickles as a call of `function`; never unpickled here."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def npy_of_objects() -> bytes:
    """An array of Python objects: a header, and then a pickle."""
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header = header.ljust(117) + "\n"
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return magic + header.encode("latin-1") + samples.malicious_pickle(3)


def joblib_like() -> bytes:
    """A dictionary as joblib writes it, of which one value is a call."""
    return pickle.dumps({"steps": [("scale", 1.0)], "model": _Call(os.system, "id")}, 3)


def hidden_call() -> bytes:
    """The call stands behind a first, harmless pickle in the same file."""
    return samples.clean_pickle(2) + samples.malicious_pickle(2)


# Keras


# What Keras 2 stores of a Lambda layer: its code, marshalled, in base64.
LAMBDA = base64.b64encode(
    marshal.dumps(compile("__import__('o' 's').system('id')", "<lambda>", "eval"))
).decode()


def keras_config(*, is_hostile: bool) -> dict[str, Any]:
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "a"}},
        {"class_name": "Dense", "config": {"units": 1, "name": "b"}},
    ]
    if is_hostile:
        function = [LAMBDA, None, None]
        config = {"name": "c", "function": function, "function_type": "lambda"}
        layers.append({"class_name": "Lambda", "config": config})
    return {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}


H5_BUILDER = """
import io, json, sys
import h5py
given = json.load(sys.stdin)
held = io.BytesIO()
with h5py.File(held, "w") as file:
    file.attrs["keras_version"] = "2.15.0"
    file.attrs["backend"] = "tensorflow"
    file.attrs["model_config"] = json.dumps(given)
    weights = file.create_group("model_weights").create_group("b")
    weights.create_dataset("kernel:0", data=[[0.5], [0.25]])
sys.stdout.buffer.write(held.getvalue())
"""


@cache
def keras_h5(*, is_hostile: bool) -> bytes:
    """Written by the h5py that modelaudit reads it with: our environment has none."""
    python = installed("modelaudit", Path(settings.SCANNERS_DIR)).python
    given = json.dumps(keras_config(is_hostile=is_hostile)).encode()
    command = [str(python), "-I", "-c", H5_BUILDER]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def keras_zip(*, is_hostile: bool) -> bytes:
    members = {
        "metadata.json": samples.as_json({"keras_version": "3.3.3"}),
        "config.json": samples.as_json(keras_config(is_hostile=is_hostile)),
        "model.weights.h5": keras_h5(is_hostile=False),
    }
    return samples.zip_of(members)


# GGUF, as in ggml/docs/gguf.md: magic, version, counts, key and value pairs, tensors


def gguf(template: str = samples.CHAT_TEMPLATE) -> bytes:
    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    def pair(key: str, value: str) -> bytes:
        return text(key) + struct.pack("<I", 8) + text(value)

    pairs = pair("general.architecture", "llama")
    pairs += text("general.alignment") + struct.pack("<II", 4, 32)
    pairs += pair("tokenizer.chat_template", template)
    # one tensor of 8 floats: name, dimensions, sizes, type F32, offset
    tensor = text("weight") + struct.pack("<IQIQ", 1, 8, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 3) + pairs + tensor
    return (
        head + bytes(-len(head) % 32) + struct.pack("<8f", *(i / 8 for i in range(8)))
    )


# Archives


def zip_with(name: str, raw: bytes, mode: int = 0) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
        info.external_attr = mode << 16
        archive.writestr(info, raw)
    return held.getvalue()


def zip_bomb() -> bytes:
    return samples.zip_of(
        {"zeros.bin": bytes(80 << 20)}, compression=zipfile.ZIP_DEFLATED
    )


def tar_with_link() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        info = tarfile.TarInfo("weights.bin")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return held.getvalue()


def png_and_zip() -> bytes:
    return samples.png(trailing=samples.zip_of({"m.pkl": samples.malicious_pickle()}))


def template_file() -> bytes:
    return samples.as_json({"chat_template": samples.dangerous_template()})


YAML_CALL = b"model:\n  name: tiny\n  init: !!python/object/apply:os.system ['id']\n"
PYTHON = b"""import os

class Model:
    def __init__(self):
        os.system("id")
"""
NOTEBOOK = samples.as_json(
    {
        "cells": [{"cell_type": "code", "source": ["import os; os.system('id')"]}],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
NEMO = b"model:\n  _target_: os.system\n  command: id\n"
SKOPS = samples.as_json(
    {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
)
# Enough of an executable to be called one: ELF64, little-endian, x86-64.
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(200)


@cache
def malicious_models() -> tuple[Seed, ...]:
    return (*hostile_models(), *hostile_archives(), *hostile_texts())


def hostile_models() -> tuple[Seed, ...]:
    call = samples.malicious_pickle()
    pickles = [
        Seed(f"pickle-{number}", "model.pkl", samples.malicious_pickle(number))
        for number in range(6)
    ]
    return (
        *pickles,
        Seed("pickle-behind-pickle", "model.pkl", hidden_call()),
        Seed("pickle-unknown-call", "m.pkl", samples.foreign_pickle(), is_loud=False),
        Seed("torch-zip", "model.pt", samples.torch_zip(samples.malicious_pickle(2))),
        Seed("joblib", "model.joblib", joblib_like()),
        Seed("joblib-zlib", "model.joblib", zlib.compress(joblib_like())),
        Seed("numpy-objects", "array.npy", npy_of_objects(), is_loud=False),
        Seed("npz-objects", "arrays.npz", samples.zip_of({"a.npy": npy_of_objects()})),
        Seed("npz-pickle", "arrays.npz", samples.zip_of({"a.pkl": call})),
        Seed("keras-h5-lambda", "model.h5", keras_h5(is_hostile=True)),
        Seed("keras-zip-lambda", "model.keras", keras_zip(is_hostile=True)),
        Seed("gguf-template", "model.gguf", gguf(samples.dangerous_template())),
        Seed("onnx-operator", "model.onnx", samples.onnx("PyOp", "ai.onnx.contrib")),
    )


def hostile_archives() -> tuple[Seed, ...]:
    call = samples.malicious_pickle()
    outside = "../" * 6 + "etc/cron.d/job"
    return (
        Seed("zip-pickle", "model.zip", samples.zip_of({"in/model.pkl": call})),
        Seed("zip-outside", "model.zip", zip_with(outside, b"* * * * * root id")),
        Seed("zip-link", "m.zip", zip_with("w", b"/etc/passwd", stat.S_IFLNK | 0o777)),
        Seed("zip-bomb", "model.zip", zip_bomb()),
        Seed("tar-pickle", "model.tar", samples.tar_of({"in/model.pkl": call})),
        Seed("tar-outside", "model.tar", samples.tar_of({outside: b"* * * * * root"})),
        Seed("tar-link", "model.tar", tar_with_link()),
        Seed("picture-and-zip", "curve.png", png_and_zip(), is_loud=False),
        Seed("nemo", "model.nemo", samples.tar_of({"model_config.yaml": NEMO})),
        Seed(
            "skops",
            "model.skops",
            samples.zip_of({"schema.json": SKOPS}),
            is_loud=False,
        ),
        Seed(
            "repository-with-pickle",
            "extra/model.pkl",
            call,
            more=samples.repository(),
        ),
    )


def hostile_texts() -> tuple[Seed, ...]:
    jinja = samples.dangerous_template()
    return (
        Seed("json-template", "tokenizer_config.json", template_file()),
        Seed("json-free-name", "my_settings.json", template_file()),
        Seed("json-remote-code", "config.json", samples.hostile_config()),
        Seed("yaml-call", "config.yaml", YAML_CALL, is_loud=False),
        Seed("python", "modeling.py", PYTHON, is_loud=False),
        Seed("shell", "install.sh", b"#!/bin/sh\nid > /tmp/x\n", is_loud=False),
        Seed("jinja", "chat_template.jinja", jinja.encode(), is_loud=False),
        Seed("notebook", "demo.ipynb", NOTEBOOK, is_loud=False),
        Seed("elf", "pytorch_model.bin", ELF, is_loud=False),
    )


@cache
def benign_models() -> tuple[Seed, ...]:
    repository = samples.repository()
    tokenizer = {n: raw for n, raw in repository.items() if "token" in n or "voc" in n}
    first = "tokenizer.json"
    rest = {name: raw for name, raw in tokenizer.items() if name != first}
    return (
        Seed("npy", "weights.npy", samples.npy()),
        Seed("npz", "weights.npz", samples.npz()),
        Seed("safetensors", "model.safetensors", samples.safetensors()),
        Seed("onnx", "model.onnx", samples.onnx()),
        Seed("plain-pickle", "state.pkl", samples.clean_pickle()),
        Seed("plain-pickle-0", "state.pkl", samples.clean_pickle(0)),
        Seed("plain-torch-zip", "model.pt", samples.torch_zip()),
        Seed("gguf", "model.gguf", gguf()),
        Seed("keras-h5", "model.h5", keras_h5(is_hostile=False)),
        Seed("keras-zip", "model.keras", keras_zip(is_hostile=False)),
        Seed("sentencepiece", "tokenizer.model", samples.sentencepiece()),
        Seed("picture", "curve.png", samples.png()),
        Seed("readme", "README.md", samples.README),
        Seed("tokenizer", first, tokenizer[first], more=rest),
        Seed(
            "repository",
            "config.json",
            repository["config.json"],
            more={n: raw for n, raw in repository.items() if n != "config.json"},
        ),
    )


# MCP


def poisoned_schema() -> dict[str, Any]:
    text = {"type": "string", "description": mcp_samples.POISON}
    schema = {"type": "object", "properties": {"city": text}}
    return mcp_samples.tool("weather", "Returns the weather.", inputSchema=schema)


def malicious_documents() -> tuple[Seed, ...]:
    poison, make = mcp_samples.POISON, mcp_samples.document
    prompt = {"name": "ask", "description": poison}
    resource = {"uri": "file:///x", "name": "x", "description": poison}
    secret = mcp_samples.SECRETS["github"][0]
    return (
        Seed("mcp-tool", document=make(tools=[mcp_samples.tool("weather", poison)])),
        Seed("mcp-tool-schema", document=make(tools=[poisoned_schema()])),
        Seed("mcp-prompt", document=make(prompts=[prompt])),
        Seed("mcp-resource", document=make(resources=[resource])),
        Seed("mcp-instructions", document=make(instructions=poison)),
        Seed(
            "mcp-config-secret",
            document=make(config={"mcpServers": {"github": secret}}),
        ),
    )


def benign_documents() -> tuple[Seed, ...]:
    prompt = {"name": "ask", "description": "Ask about the weather."}
    return (
        Seed("mcp-harmless-tools", document=mcp_samples.HARMLESS),
        Seed("mcp-harmless-prompt", document=mcp_samples.document(prompts=[prompt])),
        Seed("mcp-clean-config", document=mcp_samples.CLEAN_CONFIG),
    )
