"""The process from which readers are forked: it has imported what they need, so that a question waits milliseconds and not half a second.

It is started by `office` with an environment that holds no secret, and reads no SQL. For each socket it is handed it forks a reader; when
the office is gone, so is it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import warnings

from gateway.question import fence

_NICE = 5
"""Questions give way to the data plane and to the book."""


def main(descriptor: int) -> None:
    apart = fence.leave_network()
    os.nice(_NICE)
    from gateway.question import reader
    from gateway.stores.unwanted import refuse_unwanted

    refuse_unwanted()
    functions = reader.warm()
    # Python 3.12 and later warn of a fork beside threads. These are DuckDB's and its allocator's, idle here and of no use to a reader, who
    # opens a database of their own; no thread runs Python.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    office = socket.socket(fileno=descriptor)
    while True:
        _, descriptors, _, _ = socket.recv_fds(office, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            office.close()
            _answer(descriptors[0], functions, apart=apart)
        os.close(descriptors[0])


def _answer(descriptor: int, functions: frozenset[str], *, apart: bool) -> None:
    """Never returns: what the nursery would do next is not a reader's."""
    from gateway.question import reader

    try:
        reader.answer(socket.socket(fileno=descriptor), functions, apart=apart)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
