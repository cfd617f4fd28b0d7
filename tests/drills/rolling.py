"""A rolling restart: each service is asked to end, and the next when it is back."""

from __future__ import annotations

import httpx
from django.db import DatabaseError, InterfaceError, connections

from scans.models import Worker
from tests.drills.crew import Crew, Member, eventually

BACK_SECONDS = 60
ENDED_SECONDS = 30


def restart_all(crew: Crew) -> dict[str, int]:
    """Restart all in turn, while a client submits; return how often each."""
    for member in crew.members:
        eventually(lambda each=member: _is_there(crew, each), BACK_SECONDS)
    restarted: dict[str, int] = {}
    for member in crew.members:
        process = member.process
        if process is None:
            continue
        process.terminate()
        process.wait(ENDED_SECONDS)
        is_back = eventually(lambda each=member: _is_there(crew, each), BACK_SECONDS)
        restarted[member.name] = int(is_back)
    return restarted


def _is_there(crew: Crew, member: Member) -> bool:
    """Whether it runs and does its work, as an orchestrator would ask."""
    crew.look()
    if member.process is None:
        return False
    if "serve" in member.arguments:
        return _answers(member.environment["SENTRASCAN_PORT"])
    if "--housekeeping" in member.arguments:
        return member.is_running
    try:
        rows = Worker.objects.live()
        return rows.filter(name__endswith=f":{member.process.pid}").exists()
    except (DatabaseError, InterfaceError):
        return False
    finally:
        connections.close_all()


def _answers(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).is_success
    except httpx.TransportError:
        return False
