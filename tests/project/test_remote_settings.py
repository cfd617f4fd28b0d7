"""What an operator may get wrong about remote targets is said at the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def loaded(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from sentrascan_project import settings\n{code}"],
        env={"PATH": os.environ["PATH"], "SENTRASCAN_SECRET": "x" * 50, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SENTRASCAN_EGRESS_ALLOW": "10.0.0.0/8,10.0.0.1/8"}, "'10.0.0.1/8'"),
        ({"SENTRASCAN_EGRESS_CA_FILE": "/nonexistent"}, "EGRESS_CA_FILE"),
        ({"SENTRASCAN_S3_ACCESS_KEY_ID": "AK"}, "go together"),
        ({"SENTRASCAN_S3_ENDPOINT": "http://minio:9000"}, "http://minio:9000"),
        ({"SENTRASCAN_S3_ENDPOINT": "https://10.0.0.1:9000"}, "10.0.0.1"),
        ({"SENTRASCAN_HF_ENDPOINT": "hub.example"}, "hub.example"),
        ({"SENTRASCAN_HF_TOKEN_FILE": "/nonexistent"}, "HF_TOKEN_FILE"),
    ],
)
def test_a_wrong_setting_is_named_at_the_start(environment, said, tmp_path):
    result = loaded("", SENTRASCAN_DATA_DIR=str(tmp_path), **environment)
    assert result.returncode != 0
    assert "ImproperlyConfigured" in result.stderr
    assert said in result.stderr.splitlines()[-1]


def test_internal_endpoints_and_secrets_from_files_are_taken(tmp_path):
    (tmp_path / "token").write_text("t0ken\n")
    result = loaded(
        "print(settings.HF_TOKEN, settings.EGRESS_ALLOWED.names)",
        SENTRASCAN_DATA_DIR=str(tmp_path),
        SENTRASCAN_HF_TOKEN_FILE=str(tmp_path / "token"),
        SENTRASCAN_ALLOW_HTTP="1",
        SENTRASCAN_EGRESS_ALLOW="10.0.0.0/8, MINIO",
        SENTRASCAN_S3_ENDPOINT="http://10.0.0.1:9000",
    )
    assert result.stdout.split() == ["t0ken", "('minio',)"], result.stderr
