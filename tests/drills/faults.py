"""What is done to the installation, by name; each says whether it found a victim."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.drills.crew import Crew, kill
from tests.drills.stores import Postgres, Redis, Store

# Longer than a lease: the scan is somebody else's when its worker wakes up again.
FROZEN_SECONDS = 25.0


@dataclass
class Site:
    crew: Crew
    database: Postgres
    broker: Redis
    # What is to be woken, and when.
    frozen: list[tuple[float, int]]

    def wake(self, *, all_of_them: bool = False) -> None:
        now = time.monotonic()
        due = [each for each in self.frozen if all_of_them or each[0] <= now]
        for each in due:
            kill(each[1], signal.SIGCONT)
            self.frozen.remove(each)


type Fault = Callable[[Site, random.Random], bool]


def _kill_member(*names: str) -> Fault:
    def fault(site: Site, chance: random.Random) -> bool:
        found = site.crew.named(*names)
        process = chance.choice(found).process if found else None
        return process is not None and kill(process.pid)

    return fault


def _kill_one(victims: Callable[[Crew], Sequence[int]]) -> Fault:
    def fault(site: Site, chance: random.Random) -> bool:
        found = victims(site.crew)
        return bool(found) and kill(chance.choice(found))

    return fault


def _freeze_pool_child(site: Site, chance: random.Random) -> bool:
    found = site.crew.pool_children()
    if not found or site.frozen:
        return False
    victim = chance.choice(found)
    site.frozen.append((time.monotonic() + FROZEN_SECONDS, victim))
    return kill(victim, signal.SIGSTOP)


def _again(store: Store, number: signal.Signals, away_seconds: float) -> bool:
    store.end(number)
    time.sleep(away_seconds)
    store.start()
    return True


FAULTS: dict[str, Fault] = {
    "kill web server": _kill_member("web"),
    "kill web process": _kill_one(Crew.web_children),
    "kill worker": _kill_member("worker", "worker-2"),
    "kill pool process": _kill_one(Crew.pool_children),
    "kill process beside worker": _kill_one(Crew.companions),
    "kill warm host": _kill_one(Crew.hosts),
    "kill tool": _kill_one(Crew.tools),
    "kill supervisor of tool": _kill_one(Crew.supervisors),
    "kill beat": _kill_member("beat"),
    "freeze pool process for 25 s": _freeze_pool_child,
    "kill Redis, empty again": lambda site, chance: _again(
        site.broker, signal.SIGKILL, chance.uniform(0, 3)
    ),
    "restart PostgreSQL": lambda site, chance: _again(
        site.database, signal.SIGINT, chance.uniform(0, 3)
    ),
    "crash PostgreSQL": lambda site, chance: _again(
        site.database, signal.SIGQUIT, chance.uniform(0, 3)
    ),
}
