"""What is loaded before the forks is looked through no more."""

from __future__ import annotations

import subprocess
import sys

SETTLED = """
import gc
from sentrascan_project import memory
loaded = [[number] for number in range(10_000)]
memory.settle()
kept = gc.get_freeze_count()
assert kept > len(loaded), kept
assert not any(each is loaded for each in gc.get_objects())
class Cycle: pass
for _ in range(memory.THRESHOLDS[0] * 2):
    cycle = Cycle()
    cycle.itself = cycle
assert sum(isinstance(each, Cycle) for each in gc.get_objects()) <= memory.THRESHOLDS[0]
print("settled")
"""


def test_what_is_loaded_stays_and_later_cycles_still_go() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SETTLED], capture_output=True, text=True, check=False
    )
    assert told.stdout == "settled\n", told.stderr
