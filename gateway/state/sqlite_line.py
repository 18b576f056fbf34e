"""One connection to the state file, for stores that ask it from several threads.

1. One thread at a time uses it.
2. Whatever goes wrong on it is GatewayError('unavailable'): nobody passes because nobody could be asked.
3. A change is one IMMEDIATE transaction, so of many processes one at a time decides what it changes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import GatewayError

Do = Callable[..., sqlite3.Cursor]


class Line:
    """`otherwise` says what nobody can know while the file cannot be used."""

    def __init__(self, db: sqlite3.Connection, otherwise: str) -> None:
        self._db, self._otherwise, self.lock = db, otherwise, threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Do]:
        try:
            with self.lock:
                yield self._db.execute
        except sqlite3.Error as error:
            raise self.unavailable() from error

    @contextmanager
    def change(self) -> Iterator[Do]:
        """One transaction; what raises inside changes nothing."""
        with self.reading() as do:
            do("BEGIN IMMEDIATE")
            try:
                yield do
                do("COMMIT")
            except BaseException:
                do("ROLLBACK")
                raise

    def unavailable(self) -> GatewayError:
        return GatewayError("unavailable", "state_unavailable", f"{self._otherwise} Try again shortly.", retry_after=5)
