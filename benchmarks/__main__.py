"""`make bench`: every benchmark, each printing its figure and what it is a ratio to."""

from __future__ import annotations

from benchmarks import large_upload, latency, sandbox

latency.main()
sandbox.main()
large_upload.main()
