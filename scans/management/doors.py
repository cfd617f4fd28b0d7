"""What a command needs of whoever answers: a remote server, or this installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from scans.management.orders import Order

# A scan or finding in the shape of the REST API.
Document = dict[str, Any]
# Told the number of bytes whenever some more of an order's have left.
Moved = Callable[[int], None]
# Query parameters of a list, as the REST API names them.
Filters = Mapping[str, str]

FINISHED = frozenset({"completed", "failed", "cancelled"})


class Unreachable(Exception):
    """Nobody answers; the message says where we asked."""


class Rejected(Exception):
    """The answer was no; `is_usage` when another command line would get a yes.

    `is_absent` when there is nothing by that id.
    """

    def __init__(
        self, message: str, *, is_usage: bool = False, is_absent: bool = False
    ) -> None:
        super().__init__(message)
        self.is_usage = is_usage
        self.is_absent = is_absent


class Door(Protocol):
    """Who scans. Each method raises `Unreachable` or `Rejected`."""

    def submit(self, order: Order, moved: Moved) -> Document:
        """Ask for a scan; return it, queued."""

    def scan(self, scan_id: str) -> Document:
        """Return the scan as it is now."""

    def findings(self, scan_id: str) -> list[Document]:
        """Return all findings of a finished scan, worst first."""

    def report(self, scan_id: str, form: str) -> bytes:
        """Return a finished scan as a document; `form` is a name of `FORMS`."""

    def attestation(self, scan_id: str) -> bytes:
        """Return the signed verdict of a finished scan."""

    def attestation_key(self) -> bytes:
        """Return the public key that attestations are checked with, in PEM form."""

    def cancel(self, scan_id: str) -> None:
        """End the scan; one that is over already stays as it is."""

    def work(self) -> None:
        """Do what has to be done between two looks."""


class BaselineDoor(Protocol):
    """Who keeps baselines. Each method raises `Unreachable` or `Rejected`."""

    def create(self, scan_id: str, *, name: str, description: str) -> Document:
        """Propose a baseline of a completed scan."""

    def list_all(self, filters: Filters) -> list[Document]:
        """Return the baselines that fit, newest first."""

    def show(self, baseline_id: str) -> Document:
        """Return one with its elements."""

    def approve(self, baseline_id: str) -> Document:
        """Put one in force; the one before it is retired."""

    def retire(self, baseline_id: str) -> Document:
        """Take one out of force."""

    def compare(self, left_id: str, right_id: str) -> Document:
        """Return how the right one differs from the left one."""


class TargetDoor(Protocol):
    """Who knows targets. Each method raises `Unreachable` or `Rejected`."""

    def list_all(self, filters: Filters, most: int | None) -> list[Document]:
        """Return the targets that fit, the last scanned first, at most so many."""

    def show(self, target_id: str) -> Document:
        """Return one with its baseline and the counts of its findings."""

    def history(self, target_id: str, most: int) -> list[Document]:
        """Return its judged scans, newest first, at most so many."""

    def findings(
        self, target_id: str, *, is_open: bool, most: int | None
    ) -> list[Document]:
        """Return its findings, worst first, at most so many; the open ones alone."""
