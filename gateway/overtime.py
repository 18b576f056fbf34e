"""Ends work that takes too long, for code that strangers wrote: `within` raises `Overtime` in it.

One thread of the process looks now and then at what runs, and at how much CPU time it has taken: a busy machine ends nothing. The exception
is raised between two steps of Python's, so a loop in Python ends; one call into C that does not come back, and one that waits, do not.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct

Result = TypeVar("Result")
EVERY_S: Final = 0.1
"""Between two looks: work may take so much longer."""


class Overtime(BaseException):
    """The work took too long. Not an Exception, which the work may catch."""


class _Work(Struct, eq=False):
    clock: int
    ends_ns: int
    ended: bool = False
    """By the watch."""

    @property
    def over(self) -> bool:
        return time.clock_gettime_ns(self.clock) > self.ends_ns


class _Watch:
    def __init__(self) -> None:
        self._running: dict[int, _Work] = {}
        self._changing = threading.Lock()
        self._something = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, thread: int, seconds: float) -> _Work:
        clock = time.pthread_getcpuclockid(thread)
        work = _Work(clock, time.clock_gettime_ns(clock) + round(seconds * 1e9))
        with self._changing:
            self._running[thread] = work
            if self._thread is None or not self._thread.is_alive():  # not in a process that was forked meanwhile
                self._thread = threading.Thread(target=self._look, name="overtime", daemon=True)
                self._thread.start()
        self._something.set()
        return work

    def end(self, thread: int) -> None:
        """From here on nothing is raised in it that was not yet."""
        with self._changing:
            self._running.pop(thread, None)

    def _look(self) -> None:
        while self._something.wait():
            time.sleep(EVERY_S)
            with self._changing:
                for thread in [thread for thread, work in self._running.items() if work.over]:
                    self._running.pop(thread).ended = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Overtime))
                if not self._running:
                    self._something.clear()


_WATCH: Final = _Watch()


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What the work returns. Raises Overtime when it takes more than so many seconds of CPU, and whatever it raises. Not to be nested."""
    thread = threading.get_ident()
    watched = _WATCH.begin(thread, seconds)
    raised = False
    try:
        try:
            return work()
        except Overtime:
            raised = True
            raise
        finally:
            _WATCH.end(thread)
            if watched.ended and not raised:
                _await_it()
    except Overtime:
        raise Overtime(f"it took more than {seconds:g} s of CPU") from None


def _await_it() -> None:
    """The exception is on its way: it is raised in one of these steps, and in none behind them."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        pass
    raise Overtime
