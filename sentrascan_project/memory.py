"""The collector of rubbish, told what a web server is like."""

from __future__ import annotations

import gc

# A page of a list is some thousand objects and hardly a cycle: look less often than
# after each 2,000 new ones. Between two looks cycles may hold some megabytes.
THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """Call it once all is loaded and before the forks: what is there now stays.

    It would be looked through again and again, which also ends the sharing of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
