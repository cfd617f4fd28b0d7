"""What modelaudit's optional parts would open is a gap where they are missing.

Its own `doctor` calls every one of its scanners loaded all the same (measured).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.conf import settings

from scanners import environments
from scanners.contract import Limits
from scanners.install import installed
from scans.choices import Verdict
from tests.scanners import samples
from tests.scanners.sevenzips import seven_zip
from tests.security import seeds
from tests.security.examining import Judged, gather, judge_each, run_all

pytestmark = pytest.mark.slow

LIMITS = Limits(wall_seconds=300, cpu_seconds=300, memory_bytes=3 << 30)
PARTS = ("h5py", "onnx", "tflite", "py7zr")
# Nothing that we install opens these.
NEVER = {
    "xgboost": {"model.ubj": b"{L\x00\x00\x00\x00\x00\x00\x00\x07version"},
    "saved-model": {"saved_model.pb": b"\x08\x01\x12\x10\x0a\x04\x0a\x00\x12\x00\x12"},
    "torch7": {"model.t7": bytes(range(60))},
    "cntk": {"model.cntk": b"\x42\x00\x43\x00\x4e\x00" + bytes(40)},
}


def taken() -> dict[str, dict[str, bytes]]:
    """Return what each of the parts opens."""
    return {
        "keras": {"model.h5": seeds.keras_h5(is_hostile=False)},
        "keras-hostile": {"model.h5": seeds.keras_h5(is_hostile=True)},
        "onnx": {"model.onnx": samples.onnx()},
        "onnx-hostile": {"model.onnx": samples.onnx("PyOp", "ai.onnx.contrib")},
        "tflite": {"model.tflite": b"\x1c\x00\x00\x00TFL3" + bytes(60)},
        "7z": {"model.7z": seven_zip({"model.pkl": samples.malicious_pickle()})},
    }


def linked(source: str, target: str) -> str:
    """Copy without copying, where that can be done."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@pytest.fixture
def poorer(tmp_path: Path) -> Iterator[Path]:
    """Where scanners are installed as here, but modelaudit without its parts."""
    here = Path(settings.SCANNERS_DIR)
    place = tmp_path / "scanners"
    shutil.copytree(
        here / "modelaudit",
        place / "modelaudit",
        symlinks=True,
        copy_function=linked,
    )
    packages = environments.site_packages(place / "modelaudit")
    for part in PARTS:
        assert (packages / part).is_dir(), f"{part} is not installed any more"
        for found in packages.glob(f"{part}*"):
            shutil.rmtree(found)
    for folder in (tmp_path, place):
        folder.chmod(0o755)
    yield place
    shutil.rmtree(place)


def judged(
    directory: Path, groups: Mapping[str, Mapping[str, bytes]], scanners: Path
) -> dict[str, Judged]:
    directory.chmod(0o755)
    (directory / "run").mkdir()
    # beside others, so that an archive stays packed
    target = gather(directory, groups, as_folder=True)
    tools = {"modelaudit": installed("modelaudit", scanners)}
    outcomes = run_all(target, directory / "run", LIMITS, tools)
    return judge_each(target, outcomes, groups)


def test_what_a_missing_part_would_open_is_a_gap(tmp_path: Path, poorer: Path) -> None:
    groups = taken()
    found = judged(tmp_path, groups, poorer)
    verdicts = {name: each.verdict for name, each in found.items()}
    assert verdicts == dict.fromkeys(groups, Verdict.INCONCLUSIVE)


def test_what_no_part_of_ours_opens_is_a_gap(tmp_path: Path) -> None:
    found = judged(tmp_path, NEVER, Path(settings.SCANNERS_DIR))
    verdicts = {name: each.verdict for name, each in found.items()}
    assert verdicts == dict.fromkeys(NEVER, Verdict.INCONCLUSIVE)
