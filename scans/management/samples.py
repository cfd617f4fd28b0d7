"""Two models to try SentraScan on: a harmless and a malicious one, built when needed.

Neither is part of the repository: a malicious file in it would set off the scanners of
whoever clones it.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

CLEAN = "clean-classifier.safetensors"
MALICIOUS = "malicious-classifier.pkl"


def write_samples(folder: Path) -> list[Path]:
    """Write both below `folder`; return their paths, the clean one first."""
    clean, malicious = folder / CLEAN, folder / MALICIOUS
    clean.write_bytes(clean_model())
    malicious.write_bytes(malicious_model())
    return [clean, malicious]


def clean_model() -> bytes:
    """Return a linear layer of 4 to 2 as safetensors: JSON header, then floats.

    Format: https://github.com/huggingface/safetensors#format
    """
    weight = struct.pack("<8f", *(0.1 * n for n in range(8)))
    bias = struct.pack("<2f", 0.0, 0.5)
    header = json.dumps(
        {
            "weight": _tensor([2, 4], 0, len(weight)),
            "bias": _tensor([2], len(weight), len(weight) + len(bias)),
        },
        separators=(",", ":"),
    ).encode()
    return struct.pack("<Q", len(header)) + header + weight + bias


def malicious_model() -> bytes:
    """Return a pickle that runs a shell command when it is loaded.

    The command only prints a line: the sample shows the way in, not the harm.
    """
    return pickle.dumps({"weight": [0.1, 0.2], "bias": _Payload()}, protocol=4)


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo 'this ran because a model was loaded'",)


def _tensor(shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
