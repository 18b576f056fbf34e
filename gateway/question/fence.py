"""What a process gives up before it sees hostile SQL, as far as the kernel lets it: network, files, memory, processor, time.

1. Network: a network namespace of its own with nothing in it (`unshare`), which a container's seccomp profile may forbid; Landlock's TCP
   rules then refuse connections on kernels from 6.7 on.
2. Files: a Landlock rule set without any rule: no file can be opened, made or run any more (Linux from 5.13 on). RLIMIT_FSIZE 0 besides: no
   file can grow.
3. Memory and processor: RLIMIT_AS and RLIMIT_CPU. Time: an alarm nobody handles, should the office not come to kill it.

Not here: what DuckDB itself refuses (`reader.py`) and what may be asked (`stores/sql_guard.py`). Outside Linux only the limits hold.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path

ADDRESS_SPACE = 1024**3
"""Bytes beside what the imports hold, which depends on the machine: numerical libraries reserve some for each of its processors."""
PROCESSOR_S = 10
ALARM_S = 11
OPEN_FILES = 64
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 38, 4
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
"""The same numbers on every architecture: they are younger than the common table."""
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock ABI → how many file system rights it knows."""
_TCP_SINCE = 4


def leave_network() -> bool:
    """Whether this process now is where there is no network. Call it before threads are started."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def leave_files() -> bool:
    """Whether this process can no longer open any file. What is open stays open; what is imported later cannot be."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    abi = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return False
    attributes = _ruleset(abi)
    rules = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(rules)


def bound() -> None:
    """From here on this process has its limits. Only a process that answers one question may call it."""
    for limit, most in (
        (resource.RLIMIT_AS, _held() + ADDRESS_SPACE),
        (resource.RLIMIT_CPU, PROCESSOR_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        _, hard = resource.getrlimit(limit)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a warning that cannot be written to a log file should not end the process


def _held() -> int:
    """Bytes of addresses that this process has now; 0 where nobody says it."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def ring() -> None:
    """This process ends in `ALARM_S` whatever it does then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(ALARM_S)


def _ruleset(abi: int) -> bytes:
    files = (1 << _FS_RIGHTS[min(abi, max(_FS_RIGHTS))]) - 1
    return struct.pack("QQ", files, 0b11) if abi >= _TCP_SINCE else struct.pack("Q", files)
