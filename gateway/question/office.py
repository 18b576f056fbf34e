"""The book's side of questions: has a reader forked for each, lends it rows, passes its answer on, and kills it at its deadline.

1. A reader is given `QUERY_SECONDS` from the question on; then it is killed, by a descriptor that names this process and no other. What
   it had been lent flows into a closed pipe and ends there.
2. The nursery is started with the office and again when it is gone. Its environment is empty but for the way to the code.
3. Every word of a reader is checked: it may have been taken over by what it read. The most it can do is answer its own question wrongly.

Not here: which SQL may be asked and what it reads (`reader.py`, in the other process).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

import gateway
from gateway.question.wire import (
    BROKEN,
    MAX_BODY,
    Copy,
    Done,
    Failed,
    Fetch,
    Lent,
    Needs,
    Question,
    Ready,
    Reply,
    Start,
    ToOffice,
    exactly,
    read_by_office,
    receive,
    send,
)
from gateway.stores import Refused
from gateway.stores.arrow import Batches, Writer
from gateway.stores.lending import Loan, Need, Shape
from gateway.stores.refusals import QUERY_SECONDS

log = logging.getLogger(__name__)

BEGIN_SECONDS = 25.0
"""How long a reader may take to be there: the first one waits for the nursery's imports."""
_SMALL = {"MALLOC_ARENA_MAX": "2"}
"""Addresses are bounded too: other allocators reserve a gigabyte of them before the first row."""
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_CODES = frozenset({"sql_error", "sql_refused", "sql_memory", "sql_timeout", "sql_limits", "snapshot_failed"})


class Lender(Protocol):
    """What an office needs of a ledger."""

    def shape(self) -> Shape: ...
    def loan(self, needs: list[Need]) -> Loan: ...


class Office:
    """May be asked from several threads at once. Close it."""

    def __init__(self, program: Sequence[str] = ("-m", "gateway.question.nursery")) -> None:
        """`program`: Python's arguments for the nursery."""
        self._program = program
        self._starting = threading.Lock()
        self._nursery: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._spare: socket.socket | None = None
        self._closed = False
        self._visits: set[Visit] = set()
        self._warned = False

    def ask(self, lender: Lender, question: Question) -> Reply:
        """Raises Refused for a question that may not be asked, cannot be understood, or takes too much."""
        with self._reader() as visit, self._noted(visit):
            self._warn(visit.ready)
            return visit.answer(lender, Start(lender.shape(), question), QUERY_SECONDS)

    @contextlib.contextmanager
    def _noted(self, visit: Visit) -> Iterator[None]:
        self._visits.add(visit)
        try:
            yield
        finally:
            self._visits.discard(visit)

    def warm(self) -> None:
        """Has a reader ready, so that the first question does not wait for the imports."""
        with self._starting:
            if self._spare is None and not self._closed:
                self._spare = self._forked()

    def close(self) -> None:
        with self._starting:
            self._closed = True
            for visit in list(self._visits):
                visit.kill()
            if self._spare is not None:
                self._spare.close()
                self._spare = None
            if self._nursery is not None:
                process, connection = self._nursery
                connection.close()
                process.wait()
                self._nursery = None

    def _reader(self) -> Visit:
        """The one that waits, or another when that one is gone; and the next begins to wait."""
        with self._starting:
            connection, self._spare = self._spare or self._forked(), None
        visit = begun(connection)
        if visit is None:
            with self._starting:
                connection = self._forked()
            visit = begun(connection)
        self.warm()
        if visit is None:
            raise Refused("unavailable", "no process could be started to answer; see the book's log, and ask again")
        return visit

    def _forked(self) -> socket.socket:
        """The office's end of a connection to a new reader."""
        if self._closed:
            raise Refused("unavailable", "the book is being closed; ask again in a moment")
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._running(), [b"r"], [theirs.fileno()])
            except OSError:  # the nursery was ended between two questions
                self._nursery = None
                socket.send_fds(self._running(), [b"r"], [theirs.fileno()])
        return ours

    def _running(self) -> socket.socket:
        if self._nursery is not None and self._nursery[0].poll() is None:
            return self._nursery[1]
        ours, theirs = socket.socketpair()
        with theirs:
            process = start(self._program, theirs)
        self._nursery = process, ours
        return ours

    def _warn(self, ready: Ready) -> None:
        missing = [what for what, holds in (("the network", ready.network), ("files", ready.files)) if not holds]
        if missing and not self._warned:
            self._warned = True
            log.warning(
                "readers of SQL are not kept from %s by this kernel or container; what may be asked and DuckDB's own locks still hold",
                " and ".join(missing),
            )


def start(program: Sequence[str], connection: socket.socket) -> subprocess.Popen[bytes]:
    """Python with these arguments and the number of the connection's descriptor, in an environment without secrets."""
    command = [sys.executable, "-s", "-P", *program, str(connection.fileno())]
    environment = {"PYTHONPATH": str(Path(gateway.__file__).parents[1]), "LC_ALL": "C.UTF-8", **_SMALL}
    return subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
        command, pass_fds=[connection.fileno()], env=environment, cwd="/", stdin=subprocess.DEVNULL, start_new_session=True
    )


def begun(connection: socket.socket) -> Visit | None:
    """None when there is nobody at the other end, or somebody who does not behave."""
    connection.settimeout(BEGIN_SECONDS)
    try:
        ready = read_by_office(receive(connection))
        process = os.pidfd_open(ready.pid) if isinstance(ready, Ready) and sys.platform == "linux" else None
    except (EOFError, OSError, ValueError, msgspec.MsgspecError):
        connection.close()
        return None
    if isinstance(ready, Ready):
        return Visit(connection, ready, process)
    connection.close()
    return None


class Visit:
    """One process that is lent rows, from when it is there until it is gone."""

    def __init__(self, connection: socket.socket, ready: Ready, process: int | None) -> None:
        self.ready = ready
        self._reader = connection
        self._process = process
        self._ending = threading.Lock()
        self._pipes: dict[str, threading.Thread] = {}
        self._unlent: Exception | None = None

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        with self._ending:  # who kills it late must not find another process under the same number
            self._reader.close()
            process, self._process = self._process, None
        if process is not None:
            os.close(process)

    def answer(self, lender: Lender, first: Start | Copy, seconds: float) -> Reply:
        """What it says to `first`. Raises Refused."""
        began = time.monotonic()
        watch = threading.Timer(seconds, self.kill)
        watch.daemon = True
        watch.start()
        self._reader.settimeout(seconds + 1)
        try:
            send(self._reader, first)
            return self._talk(lender)
        except (EOFError, OSError, ValueError, TypeError) as error:
            raise _ended(time.monotonic() - began) from error
        finally:
            watch.cancel()

    def _talk(self, lender: Lender) -> Reply:
        needs = self._next()
        if isinstance(needs, Failed):
            raise _refusal(needs)
        if not isinstance(needs, Needs):
            raise TypeError("a reader says what it needs first")
        loan = lender.loan(list(needs.of))
        try:
            send(self._reader, Lent())
            return self._serve(loan)
        finally:
            self.kill()  # whatever still flows to it ends, and with it what is being read
            loan.stop()
            for pipe in self._pipes.values():
                pipe.join()
            loan.close()

    def _serve(self, loan: Loan) -> Reply:
        while True:
            said = self._next()
            match said:
                case Needs(of):
                    loan.again(of)
                    send(self._reader, Lent())
                case Fetch(table):
                    self._lend(loan, table)
                case Failed():
                    raise _refusal(said)
                case Done(rows, truncated, length) if 0 <= length <= MAX_BODY:
                    body = exactly(self._reader, length)
                    if self._unlent is not None:
                        raise Refused("unavailable", f"the rows could not be read to their end: {self._unlent}") from self._unlent
                    return Reply(body, rows, truncated)
                case _:
                    raise ValueError("a reader said what it may not say now")

    def _lend(self, loan: Loan, table: str) -> None:
        if table in self._pipes:  # read again: its end of the last pipe is closed
            self._pipes[table].join(QUERY_SECONDS)
        rows = loan.rows(table)
        reading, writing = os.pipe()
        _widen(writing)
        try:
            send(self._reader, Lent(), reading)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._pipes[table] = threading.Thread(target=self._pour, args=(rows, writing), daemon=True)
        self._pipes[table].start()

    def _pour(self, rows: Batches, descriptor: int) -> None:
        """Until all is said or nobody listens any more. A stream that ends early looks whole to the reader: it is remembered here."""
        with contextlib.suppress(BrokenPipeError), contextlib.closing(rows), os.fdopen(descriptor, "wb", buffering=_PIPE_BYTES) as pipe:
            try:
                stream = Writer(pipe, rows.schema)
                for batch in rows:
                    stream.write(batch)
                stream.close()
            except BrokenPipeError:
                raise
            except (OSError, RuntimeError) as error:
                self._unlent = error

    def _next(self) -> ToOffice:
        try:
            return read_by_office(receive(self._reader))
        except msgspec.DecodeError as error:
            raise ValueError("a reader said what nobody understands") from error

    def kill(self) -> None:
        """From any thread."""
        with self._ending:
            with contextlib.suppress(OSError):
                self._reader.shutdown(socket.SHUT_RDWR)
            if self._process is not None:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(self._process, signal.SIGKILL)


def _widen(pipe: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # more than this user may have; it works with less
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


def _refusal(failed: Failed) -> Refused:
    if failed.code == BROKEN:
        log.error("a reader of SQL failed: %s", failed.message)
        return Refused("sql_error", "the process that was to answer failed, and the book's log says where; ask the question in another way")
    return Refused(failed.code if failed.code in _CODES else "sql_error", failed.message, failed.position)


def _ended(after: float) -> Refused:
    if after >= QUERY_SECONDS - 0.5:
        return Refused("sql_timeout", f"the query took over {QUERY_SECONDS:.0f} s; bound it by started_at or LIMIT")
    limits = "1 GiB of memory, or 10 s of processor time over all its threads"
    return Refused("sql_limits", f"the query needed more than {limits}; bound it by started_at, aggregate, or name the columns you need")
