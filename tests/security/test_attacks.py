"""A hostile or broken tool in the pipeline: its scan is inconclusive, never a pass.

What the tool reaches is tried in `tests/scanners/test_sandbox.py`, what it uses up in
`test_runner.py` and `test_scratch.py`; here is what the gate makes of it, on each rung,
in a new process and in a child of a warm host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanners import runner
from scanners.contract import Command, Limits, Scanner, TargetKind
from scanners.registry import load_adapters, scanners_for
from scanners.sandbox import Rung
from scans import pipeline
from scans.choices import RunStatus, Verdict
from scans.models import Scan
from scans.sandboxing import ChosenRung
from tests.scanners import mcp_samples, samples
from tests.scanners.standin import need
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ATTACKS: dict[str, tuple[str, str]] = {
    # what the tool does, and what the run's error says
    "read and connect": (
        "import socket\n"
        "for path in ('/etc/passwd', '/proc/1/environ'):\n"
        "    try: open(path).read()\n"
        "    except OSError: pass\n"
        "try: socket.create_connection(('192.0.2.1', 80), 1)\n"
        "except OSError: pass",
        "cannot be read",
    ),
    "fork bomb": (
        "import os, time\nfor _ in range(8): os.fork()\ntime.sleep(300)",
        "processes",
    ),
    "memory bomb": (
        "import os, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: break\n"
        "held = b'x' * (100 << 20)\ntime.sleep(300)",
        "memory",
    ),
    "endless output": (
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        "wrote more than",
    ),
    "disk fill": (
        "number = 0\n"
        "while True:\n"
        "    number += 1\n"
        "    open(str(number), 'wb').write(b'x' * (1 << 20))",
        "wrote more than",
    ),
    "daemon": (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(300)\n"
        "    os._exit(0)",
        "cannot be read",
    ),
    "sleep": ("import time\ntime.sleep(300)", "ran over"),
    "swapped output": (
        "import os\nos.symlink('/etc/passwd', 'report.json')",
        "report.json",
    ),
}


class Attacker(stand_ins.StandIn):
    """Never says a word that could be read as a report."""

    name = "attacker"
    limits = Limits(
        wall_seconds=60,
        cpu_seconds=60,
        memory_bytes=256 << 20,
        output_bytes=8 << 20,
        processes=16,
    )

    def command(self, target: Any) -> Command:
        call = ("-n", "1", "-r", "1", self.code)
        return Command(call, outputs=("report.json",))

    def parse(self, target: Any, completed: Any) -> Any:
        raise ValueError("no report")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(rung: ChosenRung, *scanners: type[Scanner]) -> None:
        monkeypatch.setattr(pipeline, "chosen_rung", lambda: rung)
        monkeypatch.setattr(
            pipeline, "scanners_for", lambda kind: [each() for each in scanners]
        )
        monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)

    return use


def attacked(use: Any, rung: Rung, attack: str) -> None:
    """Scan with a hostile tool beside a sound one, and look at what comes of it."""
    code, said = ATTACKS[attack]
    hostile = type("Hostile", (Attacker,), {"code": code})
    use(ChosenRung(need(rung), is_required=False), stand_ins.StandIn, hostile)
    seconds = 3 if attack == "sleep" else 60
    scan = run_now(queued_scan({"m": b"w"}, timeout_seconds=seconds))
    assert (scan.scan_status, scan.verdict) == ("completed", "inconclusive")
    run = scan.runs.get(scanner="attacker")
    assert run.status in (RunStatus.FAILED, RunStatus.TIMED_OUT)
    assert said in run.error
    assert run.sandbox == rung.value


@pytest.mark.parametrize("rung", list(Rung), ids=str)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_leaves_the_scan_inconclusive(
    use: Any, rung: Rung, attack: str
) -> None:
    attacked(use, rung, attack)


@pytest.mark.parametrize("rung", list(Rung), ids=str)
def test_attacks_on_a_warm_host_leave_the_scans_inconclusive(
    use: Any, rung: Rung, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One host takes one attack after the other, and none of them runs cold."""

    def cold(*_: Any) -> None:
        raise AssertionError("the run was not done by the warm host")

    settings.HOSTS_DIR = tmp_path
    monkeypatch.setattr(runner, "in_new_process", cold)
    scanners = [stand_ins.StandIn(), Attacker()]
    with stand_ins.kept_warm(tmp_path, scanners, need(rung)) as hosts:
        before = hosts.processes()
        for attack in ATTACKS:
            attacked(use, rung, attack)
        assert hosts.processes() == before


@pytest.mark.parametrize("rung", [Rung.RLIMITS, None], ids=str)
def test_a_host_too_weak_for_required_starts_no_tool(
    use: Any, rung: Rung | None, tmp_path: Path
) -> None:
    """The last rung cannot stop file reads: `required` refuses to scan on it."""
    proof = tmp_path / "ran"
    hostile = type("H", (Attacker,), {"code": f"open({str(proof)!r}, 'w').close()"})
    use(ChosenRung(rung, is_required=True), hostile)
    scan = run_now(queued_scan({"m": b"w"}))
    assert scan.verdict == Verdict.INCONCLUSIVE
    assert not proof.exists()
    error = scan.runs.get().error
    assert "SENTRASCAN_SANDBOX=required" in error or "no sandbox works" in error


# The real tools, one of them broken

BROKEN = {
    "killed": "import os; os.kill(os.getpid(), 9)",
    "timed out": "import time; time.sleep(300)",
    "silent": "pass",
    "garbled": "open('report.json', 'wb').write(b'{\"issues\": [')",
    "emptied": "open('report.json', 'w').write('{}')",
}


def broken(scanner: Scanner, code: str) -> Scanner:
    """The scanner as it is, but for its program, which is `code` in the same place."""

    def command(self: Scanner, target: Any) -> Command:
        outputs = type(scanner).command(self, target).outputs
        return Command(("-n", "1", "-r", "1", code), outputs=outputs)

    members = {"command": command, "entry_point": "timeit:main"}
    return type("Broken", (type(scanner),), members)()


def scanned(kind: TargetKind, seconds: int) -> Scan:
    if kind is TargetKind.MCP:
        return queued_scan(document=mcp_samples.HARMLESS, timeout_seconds=seconds)
    return queued_scan({"weights.npy": samples.npy()}, timeout_seconds=seconds)


VICTIMS = [
    *((TargetKind.MODEL, name) for name in ("modelaudit", "sentrascan-files")),
    *((TargetKind.MCP, name) for name in ("cisco-scanner", "mcp-checkpoint")),
    (TargetKind.MCP, "sentrascan-mcp"),
]


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(("kind", "victim"), VICTIMS)
def test_a_real_scanner_that_breaks_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, kind: TargetKind, victim: str, how: str
) -> None:
    load_adapters()
    chosen = [
        broken(each, BROKEN[how]) for each in scanners_for(kind) if each.name == victim
    ]
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: chosen)
    scan = run_now(scanned(kind, seconds=3 if how == "timed out" else 60))
    assert scan.runs.get(scanner=victim).status != RunStatus.COMPLETED
    assert scan.verdict == Verdict.INCONCLUSIVE


def test_a_scanner_without_its_rules_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cisco's rules are files: here it is led to a folder that holds none."""
    load_adapters()
    (cisco,) = (s for s in scanners_for(TargetKind.MCP) if s.name == "cisco-scanner")

    def command(self: Scanner, target: Any) -> Command:
        call = type(cisco).command(self, target)
        where = {"MCP_SCANNER_YARA_RULES_DIR": "data/prompts"}
        return Command(
            call.arguments, {**call.environment, **where}, call.files, call.outputs
        )

    blind = type("Blind", (type(cisco),), {"command": command})()
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [blind])
    scan = run_now(queued_scan(document=mcp_samples.ONE))
    assert scan.verdict == Verdict.INCONCLUSIVE, scan.detail.reasons


@pytest.mark.parametrize("left_out", ["modelaudit", "sentrascan-files"])
def test_a_scanner_that_was_left_out_is_a_gap(left_out: str) -> None:
    load_adapters()
    names = [s.name for s in scanners_for(TargetKind.MODEL) if s.name != left_out]
    scan = run_now(queued_scan({"weights.npy": samples.npy()}, scanners=names))
    assert scan.verdict == Verdict.INCONCLUSIVE
