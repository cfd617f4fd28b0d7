"""`sentrascan welcome`: the greeting of `make run`, which starts it beside the rest.

Waits for the web server, makes the first administrator and API key, and tries two
sample models through the REST API. Prints secrets only when it has just made them.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import transaction
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apikeys import keyring
from apikeys.audit import COMMAND_LINE
from apikeys.choices import Role
from apikeys.management.command import SentraCommand
from apikeys.models import ApiKey
from scans.management.doors import Document, Rejected, Unreachable
from scans.management.following import follow
from scans.management.orders import Options, order_for
from scans.management.quiet import hush_logs
from scans.management.remote import Remote
from scans.management.reporting import MARKS, plain
from scans.management.samples import write_samples
from scans.management.users import create_user

READY_SECONDS = 120.0
ADMIN = "admin"
FIRST_KEY = "first-key"
PLAIN_WIDTH = 110
# Answered whatever SENTRASCAN_HOST and the allowed hosts are.
HOST_HEADER = {"Host": "localhost"}


class Command(SentraCommand):
    help = "Greet whoever started SentraScan: addresses, first keys, sample scans."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        # As a person's Ctrl-C: progress bars give the terminal back.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        address = local_address()
        wait_for_health(address)
        password, key = first_secrets()
        self.greet(password, key)
        wish = os.environ.get("SENTRASCAN_SAMPLES", "")
        if wish == "0" or not (key or wish == "1"):
            return
        try:
            with sample_key(key) as usable:
                try_samples(Remote(address, usable, HOST_HEADER))
        except (Unreachable, Rejected) as error:
            self.stdout.write(f"The sample scans did not work: {error}")

    def greet(self, password: str, key: str) -> None:
        url = settings.PUBLIC_URL or local_address()
        lines = ["", f"SentraScan is ready: {url}", f"  API        {url}/api/v1/docs"]
        login = f"{url}/"
        if password:
            login += f"   user {ADMIN}   password {password}"
        lines.append(f"  console    {login}")
        if key:
            lines.append(f"  API key    {key}   (admin)")
        if password or key:
            lines.append("  Keep them now: they are shown only this once.")
        self.stdout.write("\n".join(lines))


def local_address() -> str:
    host = settings.HOST
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        host = "127.0.0.1"
    return (
        f"http://[{host}]:{settings.PORT}"
        if ":" in host
        else (f"http://{host}:{settings.PORT}")
    )


def wait_for_health(address: str) -> None:
    """Return once the web server answers; raise `CommandError` after a while."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(
                f"{address}/api/v1/health", headers=HOST_HEADER, timeout=5
            )
        except httpx.HTTPError:
            time.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.OK:
            return
        time.sleep(0.5)
    raise CommandError(f"{address} has not answered for {READY_SECONDS:g} s")


@transaction.atomic
def first_secrets() -> tuple[str, str]:
    """Return the password and the key of an empty installation, once; else ''."""
    password = key = ""
    if not User.objects.exists():
        password = secrets.token_urlsafe(15)
        create_user(ADMIN, Role.ADMIN, password)
    if not ApiKey.objects.exists():
        _, key = keyring.create(name=FIRST_KEY, role=Role.ADMIN, actor=COMMAND_LINE)
    return password, key


@contextmanager
def sample_key(key: str) -> Iterator[str]:
    """Yield `key`, or one that lives as long as the block."""
    if key:
        yield key
        return
    row, plain_key = keyring.create(
        name=f"samples-{secrets.token_hex(4)}",
        role=Role.SCANNER,
        actor=COMMAND_LINE,
        expires_in_days=1,
    )
    try:
        yield plain_key
    finally:
        keyring.revoke(row.pk, actor=COMMAND_LINE)


def try_samples(server: Remote) -> None:
    """Scan both samples through the REST API; print their progress and verdicts."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, emoji=False, width=PLAIN_WIDTH)
    console.print("\nTwo sample scans: a harmless model and a malicious one.")
    with TemporaryDirectory(prefix="sentrascan-samples-") as folder:
        paths = write_samples(Path(folder))
        orders = [order_for(path, Options()) for path in paths]
        scans = [server.submit(order, lambda _: None) for order in orders]
        try:
            ended = follow(server, scans, console)
        except KeyboardInterrupt:
            sys.exit(0)
    console.print(verdict_table(ended))


def verdict_table(scans: Sequence[Document]) -> Table:
    table = Table("sample", "verdict", "why", title_justify="left")
    for scan in scans:
        verdict = str(scan.get("verdict") or scan["scan_status"])
        reasons = scan.get("reasons") or ["nothing was found, and all was examined"]
        table.add_row(
            Text(plain(scan["target"])),
            Text(f"{MARKS.get(verdict, '')} {verdict}"),
            Text("\n".join(plain(reason) for reason in reasons)),
        )
    return table
