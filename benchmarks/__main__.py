"""`make bench`: every benchmark, each printing its figure and what it is a ratio to."""

from __future__ import annotations

from benchmarks import (
    histories,
    large_upload,
    latency,
    mcp_engine,
    memory,
    pages,
    reading,
    reuse,
    sandbox,
    throughput,
    writing,
)

latency.main()
throughput.main()
reuse.main()
sandbox.main()
memory.main()
large_upload.main()
reading.main()
writing.main()
mcp_engine.main()
histories.main()
pages.main()
