"""The system calls a sandboxed tool may not make, as a seccomp filter.

Numbers are those of `asm/unistd_64.h` (x86-64) and `asm-generic/unistd.h` (aarch64);
the filter is classic BPF as `seccomp(2)` describes it. Standard library only, and cheap
to import: it is loaded before every tool.
"""

from __future__ import annotations

import errno
import struct

# Each entry: name, number on x86-64, number on aarch64 ("-" where it does not exist).

# Memory, descriptors, limits and priority of other processes.
_OTHER_PROCESSES = """
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271,
process_madvise 440 440, process_mrelease 448 448, pidfd_getfd 438 438,
kcmp 312 272, setpriority 141 140, ioprio_set 251 30,
sched_setscheduler 144 119, sched_setparam 142 118, sched_setattr 314 274,
move_pages 279 239, migrate_pages 256 238
"""

# Another view of the file system, and files reached by handle or device number.
_MOUNTS = """
unshare 272 97, setns 308 268, mount 165 40, umount2 166 39,
pivot_root 155 41, chroot 161 51, open_tree 428 428, open_tree_attr 467 467,
move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432,
fspick 433 433, mount_setattr 442 442, open_by_handle_at 304 265,
name_to_handle_at 303 264, mknod 133 -, mknodat 259 33, swapon 167 224,
swapoff 168 225, acct 163 89, quotactl 179 60, quotactl_fd 443 443,
fanotify_init 300 262, fanotify_mark 301 263, lookup_dcookie 212 18,
uselib 134 -, ustat 136 -, sysfs 139 -
"""

# The kernel itself: its code, clock, name, keys, counters.
_KERNEL = """
bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, keyctl 250 219,
add_key 248 217, request_key 249 218, kexec_load 246 104,
kexec_file_load 320 294, init_module 175 105, finit_module 313 273,
delete_module 176 106, reboot 169 142, syslog 103 116, iopl 172 -,
ioperm 173 -, modify_ldt 154 -, personality 135 92, vhangup 153 58,
sethostname 170 161, setdomainname 171 162, settimeofday 164 170,
clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266
"""

# Memory that outlives its process, or that no limit on memory counts.
_LASTING = """
shmget 29 194, shmat 30 196, shmctl 31 195, msgget 68 186, msgsnd 69 189,
msgrcv 70 188, msgctl 71 187, semget 64 190, semop 65 193,
semtimedop 220 192, semctl 66 191, mq_open 240 180, mq_unlink 241 181,
memfd_create 319 279, memfd_secret 447 447, vmsplice 278 75
"""

_NETWORK = """
bind 49 200, listen 50 201, accept 43 202, accept4 288 242, sendmmsg 307 269
"""

# Open to a program that has a proxy, within `_outbound` below.
_OUTBOUND = """
socket 41 198, connect 42 203
"""

# Callers fall back to an older call (clone3 to clone), which can be examined, or live
# without. inotify would tell a tool the names of files that it may not open.
_ABSENT = """
clone3 435 435, io_uring_setup 425 425, io_uring_enter 426 426,
io_uring_register 427 427, inotify_init 253 -, inotify_init1 294 26,
inotify_add_watch 254 27, file_setattr 469 469, _sysctl 156 -
"""

# Landlock cannot forbid these on files of the tool's own uid, and an error would break
# harmless copies and unpackings: they do nothing and say that they did.
_PRETENDED = """
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -,
fchown 93 55, lchown 94 -, fchownat 260 54, utime 132 -, utimes 235 -,
futimesat 261 -, utimensat 280 88
"""

_ATTRIBUTES = """
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, setxattrat 463 463,
removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16,
removexattrat 466 466
"""

# Allowed or not by their arguments: `_examined` below.
_EXAMINED = """
clone 56 220, prctl 157 167, prlimit64 302 261, sched_setaffinity 203 122,
fcntl 72 25, ioctl 16 29, socketpair 53 199, sendto 44 206, sendmsg 46 211,
setsockopt 54 208, kill 62 129, tkill 200 130, tgkill 234 131,
rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_send_signal 424 424,
truncate 76 45
"""

_OPEN_TO_NONE = (
    (_OTHER_PROCESSES, errno.EPERM),
    (_MOUNTS, errno.EPERM),
    (_KERNEL, errno.EPERM),
    (_LASTING, errno.EPERM),
    (_NETWORK, errno.EACCES),
    (_ABSENT, errno.ENOSYS),
    (_PRETENDED, 0),
    (_ATTRIBUTES, errno.EOPNOTSUPP),
)
_REFUSED = (*_OPEN_TO_NONE, (_OUTBOUND, errno.EACCES))
# The newest call this table knows; a kernel's later ones do not exist for a tool.
_NEWEST = 469

# machine: (AUDIT_ARCH of linux/audit.h, column of the tables)
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AND = 0x54  # A &= k
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# offsets in struct seccomp_data
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
_PR_SET_DUMPABLE = 4  # would hide a process from the supervisor's count
# Who gets a descriptor's signals, and which: a way to signal any process of the uid
# (F_SETOWN, F_SETSIG, F_SETOWN_EX). F_SETLEASE keeps everybody else from opening a file
# of the tool's own uid; F_NOTIFY tells what happens in a directory.
_DESCRIPTOR_COMMANDS = (8, 10, 15, 1024, 1026)
# FIOSETOWN, SIOCSPGRP; TIOCSTI, TIOCLINUX type into a terminal; FS_IOC_SETFLAGS,
# FS_IOC_FSSETXATTR change attributes of a file that was opened for reading.
_CONTROL_REQUESTS = (0x8901, 0x8902, 0x5412, 0x541C, 0x40086602, 0x401C5820)
_SOCK_TYPE_MASK, _SOCK_STREAM = 0xF, 1
_AF_INET, _AF_INET6 = 2, 10
_IPPROTO_TCP, _TCP_ULP = 6, 31
_MSG_FASTOPEN = 0x20000000

_Instruction = tuple[int, int, int, int]


def _numbers(table: str, column: int) -> dict[str, int]:
    entries = [entry.split() for entry in table.split(",")]
    column += 1
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}


def _refuse(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _argument(index: int, *, upper: bool = False) -> _Instruction:
    """Load half of an argument; both machines are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * upper)


def _refuse_values(index: int, values: tuple[int, ...]) -> list[_Instruction]:
    block = [_argument(index)]
    for value in values:
        block += [(_EQUAL, 0, 1, value), _refuse(errno.EPERM)]
    return block


def _only_value(index: int, *values: int) -> list[_Instruction]:
    block = [_argument(index)]
    for value in values:
        block += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*block, _refuse(errno.EPERM)]


def _examined(own_pid: int, is_truncate_open: bool) -> dict[str, list[_Instruction]]:
    """Blocks for the calls whose arguments decide; what falls through is allowed."""
    blocks = {
        "clone": [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACE), _refuse(errno.EPERM)],
        "prctl": _refuse_values(0, (_PR_SET_DUMPABLE,)),
        "prlimit64": _only_value(0, 0),
        "sched_setaffinity": _only_value(0, 0),
        "fcntl": _refuse_values(1, _DESCRIPTOR_COMMANDS),
        "ioctl": _refuse_values(1, _CONTROL_REQUESTS),
        # A datagram socket, paired or not, can still be sent to any unix address.
        "socketpair": [
            _argument(1),
            (_AND, 0, 0, _SOCK_TYPE_MASK),
            (_EQUAL, 1, 0, _SOCK_STREAM),
            _refuse(errno.EACCES),
        ],
        "sendto": [
            _argument(4),
            (_EQUAL, 1, 0, 0),
            _refuse(errno.EACCES),
            _argument(4, upper=True),
            (_EQUAL, 1, 0, 0),
            _refuse(errno.EACCES),
            *_refuse_fast_open(3),
        ],
    }
    if is_truncate_open:
        blocks["truncate"] = [_refuse(errno.EACCES)]
    if own_pid:
        blocks["kill"] = _only_value(0, 0, own_pid)
        for name in ("tkill", "tgkill", "rt_sigqueueinfo"):
            blocks[name] = _only_value(0, own_pid)
        for name in ("rt_tgsigqueueinfo", "pidfd_send_signal"):
            blocks[name] = [_refuse(errno.EPERM)]
    return blocks


def _outbound() -> dict[str, list[_Instruction]]:
    """Blocks for a program that has a proxy: TCP connections, and nothing like them.

    What is connected to is for Landlock, or a network namespace, to say. Landlock looks
    neither at MPTCP, SCTP and SMC, which a TCP socket can be turned into, nor at what
    is sent to an address without `connect()`.
    """
    types = [
        _argument(1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_EQUAL, 1, 0, _SOCK_STREAM),
        _refuse(errno.EACCES),
    ]
    other_protocols = [
        _argument(1),
        (_EQUAL, 0, 3, _IPPROTO_TCP),
        _argument(2),
        (_EQUAL, 0, 1, _TCP_ULP),
        _refuse(errno.EACCES),
    ]
    # SIOCGIFCONF and its like tell the addresses of this machine, and of its networks
    interfaces = [
        (_AND, 0, 0, 0xFF00),
        (_EQUAL, 0, 1, 0x8900),
        _refuse(errno.EPERM),
    ]
    return {
        "socket": [
            *_refuse_all_but(0, _AF_INET, _AF_INET6),
            *types,
            *_refuse_all_but(2, 0, _IPPROTO_TCP),
        ],
        "connect": [],
        "setsockopt": other_protocols,
        "sendmsg": _refuse_fast_open(2),
        "ioctl": [*_refuse_values(1, _CONTROL_REQUESTS), *interfaces],
    }


def _refuse_all_but(index: int, one: int, other: int) -> list[_Instruction]:
    return [
        _argument(index),
        (_EQUAL, 2, 0, one),
        (_EQUAL, 1, 0, other),
        _refuse(errno.EACCES),
    ]


def _refuse_fast_open(flags: int) -> list[_Instruction]:
    """It connects while it sends, past Landlock."""
    return [
        _argument(flags),
        (_ANY_BIT, 0, 1, _MSG_FASTOPEN),
        _refuse(errno.EACCES),
    ]


def program(
    machine: str,
    *,
    own_pid: int = 0,
    is_truncate_open: bool = False,
    has_proxy: bool = False,
) -> bytes:
    """Return the filter as an array of `struct sock_filter`.

    `own_pid`: the only process that may be signalled (0: any, because something
    stronger keeps others out of reach). `is_truncate_open`: nothing else stops
    `truncate()`. `has_proxy`: TCP connections may be made, where something else says
    whereto.
    Raises `KeyError` for a machine without a table.
    """
    column = MACHINES[machine][1]
    code = _beginning(machine)
    for table, answer in _OPEN_TO_NONE if has_proxy else _REFUSED:
        for number in _numbers(table, column).values():
            code += [(_EQUAL, 0, 1, number), _refuse(answer)]
    numbers = _numbers(_EXAMINED, column) | _numbers(_OUTBOUND, column)
    blocks = _examined(own_pid, is_truncate_open) | (_outbound() if has_proxy else {})
    for name, block in blocks.items():
        whole = [*block, (_RETURN, 0, 0, _ALLOW)]
        code += [(_EQUAL, 0, len(whole), numbers[name]), *whole]
    return _packed(code)


def without_network(machine: str) -> bytes:
    """Return a filter that only keeps a process from making and connecting sockets.

    Raises `KeyError` for a machine without a table.
    """
    column = MACHINES[machine][1]
    numbers = _numbers(_NETWORK, column) | _numbers(_OUTBOUND, column)
    code = _beginning(machine)
    for name in ("socket", "connect", "bind"):
        code += [(_EQUAL, 0, 1, numbers[name]), _refuse(errno.EACCES)]
    return _packed(code)


def _beginning(machine: str) -> list[_Instruction]:
    """Leave the number of a call of this machine's own kind to what follows."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, MACHINES[machine][0]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        # also every x32 call, which has its own bit above
        (_AT_LEAST, 0, 1, _NEWEST + 1),
        _refuse(errno.ENOSYS),
    ]


def _packed(code: list[_Instruction]) -> bytes:
    whole = [*code, (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in whole)
