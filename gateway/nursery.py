"""`python -m gateway.nursery`: the process from which those of the gateway are forked, so that they are ready soon and share memory.

1. It imports what a worker needs, which is most of what the others need, once, and makes what follows from that alone (a module's
   `before_forks`); nothing is looked through for garbage meanwhile, and what the imports brought never again. No thread, event loop or
   connection exists in it: what is forked has nothing half done.
2. It never knows a secret: its environment holds what an interpreter is started with (`children.PLAIN`). A child reads its own environment
   from its standard input, which nobody else has, and `/proc/PID/environ` shows no key of any of them.
3. A child is told `gateway.worker --settings …`: the module's `run` is its life. With `--wait` it imports that module, then does nothing
   before a byte comes on standard input; when that ends instead, so does the child, as if it had never been.
4. It is told of the end of its children and tells the supervisor (`children`). When the supervisor is gone, so is it.
5. Signals that end a group of processes are not for it: it ends with the supervisor. Ctrl-C ends a child that has not begun without a
   traceback: the supervisor says what there is to say.

What a process does is its own module's affair; `python -m gateway.worker …` is the same, later.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.importing import imported

MODULES = ("gateway.worker", "gateway.preparing")
"""What is imported unless told otherwise."""
GO = b"\n"
WAIT = "--wait"
SIZE = 4
"""Bytes that say how long the environment is which follows them."""
MOST = 65_536
"""Bytes of a command at most."""
Life = Callable[[], int]


def main(arguments: Sequence[str]) -> Life | None:
    """What a child lives for; none in the nursery itself, at its end. `arguments`: the supervisor's socket, modules to import instead."""
    descriptor, *modules = arguments
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()
    for module in modules or MODULES:
        found = imported(module)
        if hasattr(found, "before_forks"):
            found.before_forks()
    gc.freeze()
    ended, wakes = socket.socketpair()
    with socket.socket(fileno=int(descriptor)) as supervisor, ended, wakes:
        return _serve(supervisor, ended, wakes)


def _serve(supervisor: socket.socket, ended: socket.socket, wakes: socket.socket) -> Life | None:
    for each in (ended, wakes):
        each.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    told = select.poll()
    told.register(supervisor, select.POLLIN)
    told.register(ended, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in told.poll()}
        if ended.fileno() in ready:
            ended.recv(4096)
            _tell_ends(supervisor)
        if supervisor.fileno() in ready:
            command, descriptors, _, _ = socket.recv_fds(supervisor, MOST, 1)
            if not command:
                return None
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                supervisor.close()
                return _begun(json.loads(command), descriptors[0])
            os.close(descriptors[0])
            supervisor.sendall(f"began {child}\n".encode())


def _tell_ends(supervisor: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):  # there is none left
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            supervisor.sendall(f"ended {found[0]} {os.waitstatus_to_exitcode(found[1])}\n".encode())


def _begun(command: Sequence[str], stdin: int) -> Life | None:
    """What the child lives for, or none if it is not wanted any more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(stdin, 0)
    os.close(stdin)
    os.environ.clear()
    os.environ.update(json.loads(_exactly(int.from_bytes(_exactly(SIZE)))))
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # what some other package brought sees no settings
    module, *rest = command
    sys.argv = [module, *(each for each in rest if each != WAIT)]
    _show(sys.argv)
    life: Life = imported(module).run
    gc.freeze()
    gc.enable()
    wanted = WAIT not in rest or os.read(0, len(GO)) == GO
    return life if wanted else None


def _exactly(size: int) -> bytes:
    """So many bytes of standard input. Ends the process when the supervisor is gone."""
    found = bytearray()
    while len(found) < size:
        more = os.read(0, size - len(found))
        if not more:
            os._exit(0)
        found += more
    return bytes(found)


def _show(arguments: Sequence[str]) -> None:
    """`ps` shows what this process is, where the kernel lets it: as if it had been started so, in the room of the nursery's own line."""
    with contextlib.suppress(OSError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        text = b"\0".join(os.fsencode(each) for each in (sys.executable, "-m", *arguments))
        memory = os.open("/proc/self/mem", os.O_WRONLY)
        try:
            os.pwrite(memory, text[: end - begin - 1].ljust(end - begin, b"\0"), begin)
        finally:
            os.close(memory)


if __name__ == "__main__":
    what = main(sys.argv[1].split())
    sys.exit(0 if what is None else what())
