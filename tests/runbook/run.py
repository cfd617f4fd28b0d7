"""`make test-runbook`: both runbooks, typed against real containers.

Needs a Docker engine with `docker-compose`, curl and jq. The tree is copied, since
the runbook writes `.env` and dumps; project, image, port and subnet are its own. It
prints what failed and a tally, and exits 1 for a failure. `--no-build` takes the image
that an earlier walk has built, and leaves out the blocks that build it anew;
`--only=WORDS` leaves out all pages but those with the words in their title.

Standard library and yaml only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.runbook import blocks, earlier
from tests.runbook.promises import EARLIER, OURS, follow
from tests.runbook.site import Site

ROOT = Path(__file__).resolve().parents[2]
PORT = 8298
OVERRIDE = """\
services:
  api: {image: "localhost/sentrascan:runbook"}
  worker: {image: "localhost/sentrascan:runbook"}
  beat: {image: "localhost/sentrascan:runbook"}
"""
APART = {
    "COMPOSE_PROJECT_NAME": "sentrascan-runbook",
    "SENTRASCAN_FRONT_SUBNET": "10.182.254.0/24",
    "SENTRASCAN_PUBLISH": f"127.0.0.1:{PORT}",
    "SENTRASCAN_RATE_LIMIT": "100000/min",
    "SENTRASCAN_AUTH_FAILURES_PER_MINUTE": "10000",
    # Workers are restarted all the time here: hosts would never become warm.
    "SENTRASCAN_WARM_HOSTS": "0",
}


def copied(project: Path) -> None:
    """Copy what is committed or may be, and nothing that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            target = project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    (project / "docker-compose.override.yml").write_text(OVERRIDE)


def main(options: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="sentrascan-runbook-") as root:
        # Files of the tree are mounted into containers that run as somebody else.
        Path(root).chmod(0o755)
        project, home = Path(root, "project"), Path(root, "home")
        for directory in (project, home):
            directory.mkdir()
        copied(project)
        address = f"connect-to = localhost:8200:127.0.0.1:{PORT}\n"
        (home / ".curlrc").write_text(address)
        more = {"CURL_HOME": str(home), "BACKUP_DIR": str(Path(root, "backups"))}
        site = Site(operator(project, os.environ | APART | more), Path(root, "backups"))
        site.is_building = "--no-build" not in options
        only = [o.partition("=")[2] for o in options if o.startswith("--only=")]
        try:
            return walk(site, only)
        finally:
            site.typed("docker-compose down --volumes --remove-orphans", seconds=300)


def operator(project: Path, shell: dict[str, str]):
    """Return what types in a folder."""

    def typed(
        text: str, *, seconds: float = 180, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text],
            cwd=project,
            env=shell | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    return typed


def walk(site: Site, only: list[str]) -> int:
    say = sys.stdout.write
    site.typed("docker-compose down --volumes --remove-orphans", seconds=300)
    if site.is_building:
        site.done("docker-compose build api", seconds=3600)
    site.prepare()
    broken: list[str] = []
    asked = 0
    for sections, promises in ((earlier.SECTIONS, EARLIER), (blocks.ours(), OURS)):
        for section in sections:
            if only and not any(words in section.title for words in only):
                continue
            began = time.monotonic()
            asked += section.title in promises
            try:
                wrong = follow(site, section, promises)
            except AssertionError as error:
                wrong = [f"{section.title}: the promise is not kept\n{error}"]
                broken += wrong
            seconds = time.monotonic() - began
            say(f"{'FAILED' if wrong else 'ok':6}  {seconds:4.0f} s  {section.title}\n")
            say("".join(f"{one}\n" for one in wrong))
            sys.stdout.flush()
    done = site.tally
    say(
        f"{done.run} blocks run, {len(done.failed)} failed, {done.not_run} not run; "
        f"{asked} promises, {len(broken)} not kept\n"
    )
    return int(bool(done.failed or broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
