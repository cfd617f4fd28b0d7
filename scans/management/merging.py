"""Reports of several scans in one document, for tools that take one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from xml.etree import ElementTree

from scans.exports.sarif import SCHEMA

type Merge = Callable[[Sequence[bytes]], bytes]


def sarif(reports: Sequence[bytes]) -> bytes:
    """Return one log with the runs of all; an empty one for none."""
    if len(reports) == 1:
        return reports[0]
    runs = [run for report in reports for run in json.loads(report)["runs"]]
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}
    return json.dumps(log, ensure_ascii=False).encode()


def junit(reports: Sequence[bytes]) -> bytes:
    """Return one document with the test suites of all, counted together."""
    if len(reports) == 1:
        return reports[0]
    whole = ElementTree.Element("testsuites", {"name": "SentraScan"})
    for report in reports:
        whole.extend(ElementTree.fromstring(report))  # noqa: S314 - our own server wrote it
    for name in ("tests", "failures", "errors"):
        whole.set(name, str(sum(int(suite.get(name, "0")) for suite in whole)))
    seconds = sum(float(suite.get("time", "0")) for suite in whole)
    whole.set("time", f"{seconds:.3f}")
    text: bytes = ElementTree.tostring(whole, "UTF-8", xml_declaration=True)
    return text + b"\n"


MERGES: Mapping[str, Merge] = {"sarif": sarif, "junit": junit}
