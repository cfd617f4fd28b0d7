"""Log lines of a command that talks to a person."""

from __future__ import annotations

import logging


def hush_logs(verbosity: int) -> None:
    """Show only errors: what matters of the rest, the command says itself.

    Two or more (`-v 2`) shows the log as the services write it.
    """
    if verbosity < 2:
        logging.getLogger().setLevel(logging.ERROR)
