"""What a process counted and has not told yet: how much, how long, never too much."""

from __future__ import annotations

import threading
import time

import pytest

from sentrascan_project.tallies import KEPT_SECONDS, PARTS, Tallies

QUOTA = 1_000
NAME, WINDOW = "rate-a", 7


class Shared:
    """The count that all processes share, and what was added to it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.told: list[int] = []

    def tell(self, more: int) -> int:
        with self.lock:
            self.count += more
            self.told.append(more)
            return self.count


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_it_tells_the_first_and_then_a_hundredth_of_the_quota(now: list[float]) -> None:
    shared, process = Shared(), Tallies()
    counted = [process.add(NAME, WINDOW, QUOTA, shared.tell) for _ in range(25)]
    assert counted == list(range(1, 26))
    assert shared.told == [1, QUOTA // PARTS, QUOTA // PARTS]


def test_it_tells_what_is_old(now: list[float]) -> None:
    shared, process = Shared(), Tallies()
    for _ in range(4):
        process.add(NAME, WINDOW, QUOTA, shared.tell)
    now[0] += 2 * KEPT_SECONDS
    shared.count += 100  # of another process
    assert process.add(NAME, WINDOW, QUOTA, shared.tell) == 105
    assert shared.told == [1, 4]
    assert process.add(NAME, WINDOW, QUOTA, shared.tell) == 106
    assert shared.told == [1, 4]


def test_near_its_end_a_quota_is_counted_one_by_one(now: list[float]) -> None:
    shared, process = Shared(), Tallies()
    shared.count = QUOTA * 9 // 10
    counted = [process.add(NAME, WINDOW, QUOTA, shared.tell) for _ in range(101)]
    assert counted == list(range(901, 1002))
    assert shared.told == [1] * 101


@pytest.mark.parametrize("quota", [0, 1, 3, 199])
def test_of_a_small_quota_nothing_is_kept(now: list[float], quota: int) -> None:
    shared, process = Shared(), Tallies()
    for _ in range(5):
        process.add(NAME, WINDOW, quota, shared.tell)
    assert shared.told == [1] * 5


def test_windows_and_names_are_counted_apart(now: list[float]) -> None:
    shared, process = Shared(), Tallies()
    for _ in range(3):
        process.add(NAME, WINDOW, QUOTA, shared.tell)
    others = Shared(), Shared()
    assert process.add(NAME, WINDOW + 1, QUOTA, others[0].tell) == 1
    assert process.add("rate-b", WINDOW, QUOTA, others[1].tell) == 1


@pytest.mark.parametrize("turn", [1, 7, 997])
def test_a_limit_holds_to_a_hundredth_for_each_other_process(
    now: list[float], turn: int
) -> None:
    """Whoever of three counts, however long the others said nothing."""
    shared = Shared()
    processes = [Tallies() for _ in range(3)]
    let_through = 0
    for number in range(5 * QUOTA):
        process = processes[number // turn % 3]
        let_through += process.add(NAME, WINDOW, QUOTA, shared.tell) <= QUOTA
    assert QUOTA <= let_through <= QUOTA + 2 * QUOTA // PARTS


def test_no_count_of_several_threads_is_lost() -> None:
    shared, process = Shared(), Tallies()
    each = 500

    def work() -> None:
        for _ in range(each):
            process.add(NAME, WINDOW, 10**9, shared.tell)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(KEPT_SECONDS)
    assert process.add(NAME, WINDOW, 10**9, shared.tell) == 4 * each + 1
    assert len(shared.told) < 4 * each
