"""What `scan` needs of whoever scans: a remote server, or this installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from scans.management.orders import Order

# A scan or finding in the shape of the REST API.
Document = dict[str, Any]
# Told the number of bytes whenever some more of an order's have left.
Moved = Callable[[int], None]

FINISHED = frozenset({"completed", "failed", "cancelled"})


class Unreachable(Exception):
    """Nobody answers; the message says where we asked."""


class Rejected(Exception):
    """The answer was no; `is_usage` when another command line would get a yes."""

    def __init__(self, message: str, *, is_usage: bool = False) -> None:
        super().__init__(message)
        self.is_usage = is_usage


class Door(Protocol):
    """Each method raises `Unreachable` or `Rejected`."""

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
