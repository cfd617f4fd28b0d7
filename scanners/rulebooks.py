"""What the installed tools themselves say are their rules, beside our catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from scanners import runner
from scanners.catalogue import canonical, rules_of
from scanners.contract import Limits, ScannerError
from scanners.install import installed
from scanners.rule_listing import LISTINGS, REPORT
from scanners.sandbox import Rung

TOOLS = tuple(sorted(LISTINGS))
LIMITS = Limits(wall_seconds=180, memory_bytes=1 << 30)
# Importing a tool must not ask the network: it has none, and each waits for it.
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_ANALYTICS": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A rule as its tool describes it; `severity` is "" where the tool has none."""

    code: str
    title: str
    severity: str
    origin: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`added` are rules that the catalogue lacks, `unlisted` those that only it has.

    Some of these are made by our adapter, which tells apart what the tool does not.
    """

    version: str
    added: tuple[Listed, ...]
    unlisted: tuple[str, ...]


def rules_in(
    name: str, directory: Path, *, rung: Rung, run_dir: Path
) -> Mapping[str, Listed]:
    """Ask the tool `name` installed below `directory`; raise `ScannerError`."""
    tool = installed(name, directory)
    own = Path(__file__).parent
    completed = runner.execute(
        [*runner.start(tool.python), "scanners.rule_listing:main", name],
        name=name,
        environment=QUIET,
        limits=LIMITS,
        rung=rung,
        run_dir=run_dir,
        reach=runner.Reach(readable=(*tool.readable, own), python=tool.python),
        files={},
        outputs=(REPORT,),
        stop=Event(),
    )
    try:
        entries = json.loads(completed.outputs[REPORT])
        rules = [
            Listed(canonical(e["code"]), e["title"], e["severity"], e["from"])
            for e in entries
        ]
    except (KeyError, TypeError, ValueError) as error:
        last = completed.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ScannerError(f"{name} listed no rules: {' '.join(last)}") from error
    return {rule.code: rule for rule in rules}


def difference(name: str, directory: Path, *, rung: Rung, run_dir: Path) -> Difference:
    """Compare the catalogue with an installed tool; raise `ScannerError`."""
    listed = rules_in(name, directory, rung=rung, run_dir=run_dir)
    return compared(name, installed(name, directory).version, listed)


def compared(name: str, version: str, listed: Mapping[str, Listed]) -> Difference:
    known = rules_of(name)
    return Difference(
        version=version,
        added=tuple(rule for code, rule in listed.items() if code not in known),
        unlisted=tuple(code for code in known if code not in listed),
    )
