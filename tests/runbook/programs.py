"""What lies on the path of an operator of the throwaway stack, and in its folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.project.running import ROOT
from tests.servers import postgres_programs

if TYPE_CHECKING:
    from tests.runbook.stack import Stack

APPLICATION = ("api", "worker", "beat")
TOOLS = ("modelaudit", "mcp-checkpoint", "mcp-scanner")


def write_programs(stack: Stack) -> None:
    """Write the programs, and what tells them where the stack is."""
    home = stack.stores["db"].home
    programs = postgres_programs()
    database = {
        "PATH": f"{stack.root}/database-programs:{programs}:{os.environ['PATH']}",
        "PWD": str(home),
        "PGHOST": str(home),
        "PGPORT": str(stack.stores["db"].port),
        "PSQLRC": str(ROOT / "deploy" / "db" / "psqlrc"),
        "LANG": "C.UTF-8",
    }
    services = dict.fromkeys(APPLICATION, stack.environment) | {"db": database}
    state = {"socket": stack.socket, "services": services}
    (stack.root / "stack.json").write_text(json.dumps(state))
    (stack.root / ".curlrc").write_text(
        f"connect-to = localhost:8200:127.0.0.1:{stack.front.port}\n"
    )
    stack.programs.mkdir()
    for name in ("docker-compose", "docker"):
        program = ROOT / "tests" / "runbook" / "compose.py"
        script(stack.programs / name, f"exec {sys.executable} -I {program} {name}")
    manage = ROOT / "manage.py"
    script(stack.programs / "sentrascan", f"exec {sys.executable} {manage}")
    for name in TOOLS:
        (stack.programs / name).symlink_to(ROOT / "deploy" / "tool.sh")
    stack.project.mkdir()
    shutil.copy(ROOT / "docker-compose.yml", stack.project)
    shutil.copytree(ROOT / "deploy", stack.project / "deploy")
    (stack.project / "backup-db.sh").symlink_to("deploy/bin/backup-db.sh")


def script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)
