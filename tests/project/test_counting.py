"""Counts that all processes share: on Redis and in files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches

from sentrascan_project import tallies
from sentrascan_project.counting import CountingFileCache, CountingRedisCache, count

PROCESSES, EACH = 4, 50


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Path:
    settings.CACHES = {
        "default": {
            "BACKEND": "sentrascan_project.counting.CountingFileCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    return tmp_path / "cache" / "counts"


def test_redis_counts_each_name_and_window_for_itself_and_forgets() -> None:
    if not hasattr(cache, "_writer"):
        pytest.skip("runs without Redis")
    name = f"test-{uuid.uuid4()}"
    assert [count(name, 7, 60) for _ in range(3)] == [1, 2, 3]
    assert count(name, 8, 60) == 1
    assert count(f"{name}x", 7, 60) == 1
    left = cache._writer.ttl(cache.make_key(f"{name}:7"))
    assert 55 <= left <= 61


def test_redis_takes_one_command_for_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(cache, "_writer"):
        pytest.skip("runs without Redis")
    name = f"test-{uuid.uuid4()}"
    count(name, 1, 60)
    said: list[object] = []
    real = cache._writer.execute_command
    monkeypatch.setattr(
        cache._writer, "execute_command", lambda *a, **k: said.append(a) or real(*a)
    )
    assert count(name, 1, 60) == 2
    assert [words[0] for words in said] == ["INCRBY"]


def test_redis_is_asked_for_a_hundredth_of_a_quota_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not hasattr(cache, "_writer"):
        pytest.skip("runs without Redis")
    monkeypatch.setattr(tallies, "KEPT_SECONDS", 3600)
    name = f"test-{uuid.uuid4()}"
    key = cache.make_key(f"{name}:1")
    assert [count(name, 1, 60, 400) for _ in range(4)] == [1, 2, 3, 4]
    assert int(cache._writer.get(key)) == 1
    assert count(name, 1, 60, 400) == 5
    assert int(cache._writer.get(key)) == 5
    assert 55 <= cache._writer.ttl(key) <= 61


def test_files_count_and_drop_the_window_before(files: Path) -> None:
    assert [count("rate-a", 7, 60) for _ in range(3)] == [1, 2, 3]
    assert count("rate-b", 7, 60) == 1
    assert count("rate-a", 8, 60) == 1
    assert {path.name for path in files.iterdir()} == {"rate-a.8", "rate-b.7"}
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in files.iterdir())
    cache.clear()
    assert count("rate-a", 8, 60) == 1


def test_no_count_of_several_processes_is_lost(files: Path) -> None:
    program = (
        "import sys; from django.conf import settings; settings.configure();"
        "from sentrascan_project.counting import CountingFileCache;"
        "cache = CountingFileCache(sys.argv[1], {});"
        f"[cache.count('rate-a', 7, 60) for _ in range({EACH})]"
    )
    words = [sys.executable, "-c", program, str(files.parent)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    running = [subprocess.Popen(words, env=environment) for _ in range(PROCESSES)]
    assert [process.wait(60) for process in running] == [0] * PROCESSES
    assert count("rate-a", 7, 60) == PROCESSES * EACH + 1


def test_the_settings_count_where_the_queue_is() -> None:
    is_redis = os.environ.get("CELERY_BROKER_URL", "").startswith("redis")
    kind = CountingRedisCache if is_redis else CountingFileCache
    assert isinstance(caches["default"], kind)
