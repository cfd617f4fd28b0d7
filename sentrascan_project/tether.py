"""Starts a command that does not outlive its parent: `tether.py PARENT COMMAND...`.

The command leads a session of its own, so that Ctrl-C reaches the supervisor alone,
and is asked to end (SIGTERM) by the kernel when the supervisor dies, even by SIGKILL.
Standard library only: this runs as `python -I -S`. Linux (prctl(2)).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        # It died before the kernel knew that we care.
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
