"""`make bench`: every benchmark, each printing its figure and what it is a ratio to."""

from __future__ import annotations

from benchmarks import latency, reuse, sandbox

latency.main()
reuse.main()
sandbox.main()
