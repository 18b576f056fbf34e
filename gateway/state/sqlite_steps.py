"""Changes of the embedded stores in one step, and what is written down with a change of keys and people."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from gateway.errors import GatewayError
from gateway.trace.people_rows import AccessRow

CHANGES = "CREATE TABLE IF NOT EXISTS access_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body BLOB NOT NULL) STRICT"
Do = Callable[..., sqlite3.Cursor]
_encode = msgspec.json.Encoder().encode


def note(do: Do, *changes: AccessRow) -> None:
    """In the transaction that makes them."""
    for each in changes:
        do("INSERT INTO access_changes (id, body) VALUES (?,?)", (each.id, _encode(each)))


@contextmanager
def transaction(db: sqlite3.Connection, lock: threading.Lock, otherwise: str) -> Iterator[Do]:
    """What raises inside changes nothing. `otherwise` says what cannot be done when the file cannot be used."""
    try:
        with lock:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db.execute
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise GatewayError("unavailable", "state_unavailable", f"{otherwise} Try again shortly.", retry_after=5) from error
