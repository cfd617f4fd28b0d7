"""Record golden reports from the real tools.

    python -m tests.scanners.record SCANNER [SAMPLE...]

runs the installed tool of SCANNER, in the sandbox, on each of its samples, and writes
`tests/scanners/reports/<scanner>/<sample>.json`:

    {"elements": {path: size}, "exit_code": 0, "report": ...}

Paths of this machine become `/job/...`, times and random names become constants, so
that a second recording differs only where the tool does.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanners.contract import (
    Command,
    Completed,
    Element,
    Report,
    Scanner,
    ScannerError,
    Target,
    TargetKind,
)
from scanners.install import DEFAULT_DIRECTORY, installed
from scanners.registry import SCANNERS, load_adapters
from scanners.runner import run
from scanners.sandbox import probe
from tests.scanners import samples

REPORTS = Path(__file__).parent / "reports"
ROOT = Path("/job/target")
CLOCKS = frozenset({"timestamp", "scan_timestamp", "start_time", "duration"})
SCRATCH = re.compile(r"/tmp[a-z0-9_]{8}(?=[/_])")
DESCRIPTOR = re.compile(r"/proc/self/fd/\d+/")


def model_samples() -> dict[str, Mapping[str, bytes]]:
    """Samples of both scanners of models, by the name of their golden report."""
    return {
        "empty": {"model.pkl": b""},
        "one": {"model.pkl": samples.malicious_pickle(4)},
        "many": hostile_files(),
        "broken": broken_files(),
        "harmless": {
            "weights.npy": samples.npy(),
            "weights.npz": samples.npz(),
            "model.safetensors": samples.safetensors(),
            "model.onnx": samples.onnx(),
            "state.pkl": samples.clean_pickle(),
        },
        "checkpoint": {
            "checkpoint.pt": samples.torch_zip(),
            "pytorch_model-00001-of-00002.bin": samples.torch_zip(),
            "pytorch_model-00002-of-00002.bin": samples.torch_zip(),
        },
        "foreign": {
            "called.pkl": samples.foreign_pickle(),
            "named.pkl": samples.foreign_pickle(is_called=False),
        },
        "repository": {
            **samples.repository(),
            "spiece.model": samples.sentencepiece(3_000, has_controls=False),
        },
        "archives": archives(),
    }


def hostile_files() -> Mapping[str, bytes]:
    template = {"chat_template": samples.dangerous_template()}
    return {
        "calls.pkl": samples.many_calls_pickle(),
        "old.pkl": samples.malicious_pickle(0),
        "checkpoint.pt": samples.torch_zip(samples.malicious_pickle(2)),
        "operator.onnx": samples.onnx("PyOp", "ai.onnx.contrib"),
        "README.md": samples.chatty_readme(),
        "config.json": samples.hostile_config(),
        "tokenizer_config.json": samples.as_json(template),
        "curve.png": samples.png(trailing=b"more"),
    }


def broken_files() -> Mapping[str, bytes]:
    return {
        "model.pkl": samples.truncated_pickle(),
        "checkpoint.pt": samples.torch_zip(samples.truncated_pickle()),
        "model.onnx": samples.onnx()[:60],
        "model.safetensors": samples.safetensors()[:-4],
        "weights.npy": samples.npy()[:-5],
        "unknown.xyz": b"\x01\x02\x03unknown",
        "config.json": b'{"a": 1} and more',
    }


def archives() -> Mapping[str, bytes]:
    inner = samples.zip_of({"k (pos 3)": samples.malicious_pickle(2)})
    return {
        "known.zip": samples.zip_of({"in/model.pkl": samples.malicious_pickle()}),
        "partly.zip": samples.zip_of({"ok.npy": samples.npy(), "x": b"\x01\x02?"}),
        "nested.zip": samples.zip_of({"in.zip": inner}),
        "odd:name (pos 7).pkl": samples.malicious_pickle(),
        "rejected.tar": samples.tar_of({"a:b.pkl": samples.malicious_pickle()}),
    }


class Recorder(Scanner):
    """Runs as the scanner that it wraps, and keeps what the tool left."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.completed: Completed | None = None
        for name in ("name", "kinds", "entry_point", "distribution", "limits"):
            setattr(self, name, getattr(scanner, name))

    def command(self, target: Target) -> Command:
        return self.scanner.command(target)

    def parse(self, target: Target, completed: Completed) -> Report:
        self.completed = completed
        return Report()

    def bait(self) -> Mapping[str, bytes]:
        return {}


def record(scanner: Scanner, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the golden report of one run; raise `ScannerError` as the runner does."""
    with tempfile.TemporaryDirectory() as folder:
        root, run_dir = Path(folder, "target"), Path(folder, "run")
        run_dir.mkdir()
        recorder = Recorder(scanner)
        run(
            recorder,
            installed(scanner.name, DEFAULT_DIRECTORY),
            samples.lay_out(root, files),
            limits=scanner.limits,
            rung=probe(),
            run_dir=run_dir,
            stop=threading.Event(),
        )
        if recorder.completed is None:
            raise ScannerError("nothing was recorded")
        report = recorder.completed.outputs["report.json"].decode()
        text = report.replace(str(root), str(ROOT)).replace(folder, "/job")
        text = SCRATCH.sub("/tmpaaaaaaaa", DESCRIPTOR.sub("/proc/self/fd/7/", text))
        return {
            "elements": {path: len(raw) for path, raw in sorted(files.items())},
            "exit_code": recorder.completed.exit_code,
            "report": still(json.loads(text)),
        }


def still(value: Any) -> Any:
    """Return `value` with its clocks stopped."""
    if isinstance(value, dict):
        items = value.items()
        return {key: 0.0 if key in CLOCKS else still(item) for key, item in items}
    return [still(item) for item in value] if isinstance(value, list) else value


def golden(scanner: str, sample: str) -> tuple[Target, Completed]:
    """Return a recorded run as `Scanner.parse` takes it."""
    document = json.loads((REPORTS / scanner / f"{sample}.json").read_text("utf-8"))
    elements = tuple(Element(path, size) for path, size in document["elements"].items())
    target = Target(TargetKind.MODEL, ROOT, elements, "0" * 64)
    outputs = {"report.json": json.dumps(document["report"]).encode()}
    return target, Completed(document["exit_code"], outputs=outputs)


SAMPLES: Mapping[str, Callable[[], Mapping[str, Mapping[str, bytes]]]] = {
    "modelaudit": model_samples,
    "sentrascan-files": model_samples,
}


def main() -> int:
    name, *wanted = sys.argv[1:]
    load_adapters()
    for sample, files in SAMPLES[name]().items():
        if wanted and sample not in wanted:
            continue
        document = record(SCANNERS[name], files)
        place = REPORTS / name / f"{sample}.json"
        place.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{place.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
