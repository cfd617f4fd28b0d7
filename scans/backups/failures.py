"""What can go wrong between an installation and its backup."""

from __future__ import annotations


class BackupError(Exception):
    """It cannot be done; the message is one line that says why."""


class Unreadable(BackupError):
    """The file is no backup, or not all of one."""


class Occupied(BackupError):
    """The target holds data, and nobody said that these may go."""
