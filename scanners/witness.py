"""Says from the inside whether a sandbox holds: ends well only if it does.

Run on each rung that is tried, and by each warm host before it takes a scan. Standard
library only. Arguments: a file that must be out of reach, none where no rung hides it.
"""

from __future__ import annotations

# socket itself would cost each try of a rung several milliseconds
import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Write where that is allowed, and try what must be refused."""
    with open("written", "w"):  # noqa: PTH123 - pathlib costs as much as socket
        pass
    if not _is_refused(_socket.socket):
        sys.exit("the network stays within reach")
    if len(sys.argv) > 1 and not _is_refused(open, sys.argv[1]):
        sys.exit("other files stay within reach")


def _is_refused(act: Callable[..., object], *arguments: str) -> bool:
    try:
        act(*arguments)
    except OSError:
        return True
    return False
