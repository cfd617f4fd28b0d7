"""A client that submits scans and never gives one up before it was answered."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

PROBLEM = "application/problem+json"


@dataclass
class Client:
    """Submits `count` scans, spread over the drill; what it was told is counted.

    Asks the next of `urls` where one refuses, as a proxy before replicas would.
    """

    urls: Sequence[str]
    key: str
    count: int
    seed: int
    pause_seconds: float
    accepted: list[str] = field(default_factory=list)
    refused_connections: int = 0
    answers: dict[int, int] = field(default_factory=dict)
    # What no client should ever be told.
    wrong_answers: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    # How many of them go through all tools, each of which is a cold start.
    thorough: float = 0.2

    def run(self) -> None:
        chance = random.Random(self.seed)
        with httpx.Client(headers={"X-API-Key": self.key}, timeout=30) as http:
            for number in range(self.count):
                self._submit(http, number, chance)
                if self.stop.wait(chance.uniform(0, 2 * self.pause_seconds)):
                    return

    def _submit(self, http: httpx.Client, number: int, chance: random.Random) -> None:
        body = _body(self.seed, number, chance, self.thorough)
        attempt = 0
        while not self.stop.is_set():
            headers = {"Idempotency-Key": f"drill-{number}-{attempt}"}
            try:
                answer = http.post(f"{self.urls[0]}/scans", headers=headers, json=body)
            except httpx.TransportError:
                self.refused_connections += 1
                self.urls = [*self.urls[1:], self.urls[0]]
                time.sleep(0.2)
                continue
            status = answer.status_code
            self.answers[status] = self.answers.get(status, 0) + 1
            if status == 202:
                self.accepted.append(answer.json()["scan_id"])
                return
            if status == 409:
                attempt += 1  # the process that had it died: nobody knows the answer
            elif status != 503 or not _is_proper(answer):
                self.wrong_answers.append(f"{status} {answer.text[:300]}")
                if status < 500:
                    return
            time.sleep(0.2)


def _is_proper(answer: httpx.Response) -> bool:
    """Whether a 503 says what FIELD asks for, and when to come again."""
    is_problem = answer.headers.get("Content-Type") == PROBLEM
    return is_problem and int(answer.headers.get("Retry-After", 0)) > 0


def _body(
    seed: int, number: int, chance: random.Random, thorough: float
) -> dict[str, object]:
    """Return a tool list like no other; that share of them goes through all tools."""
    tools = [
        {
            "name": f"tool_{seed}_{number}_{index}",
            "description": f"Adds {chance.random()} to what it is given.",
            "inputSchema": {"type": "object"},
        }
        for index in range(chance.randint(1, 4))
    ]
    body: dict[str, object] = {
        "scan_type": "mcp",
        "target": f"drill-{seed}-{number}",
        "tools": tools,
    }
    if chance.random() > thorough:
        body["scanners"] = ["sentrascan-mcp"]
    return body
