"""Which calls were delivered to whom, in SQLite, as digests: to tell a history that happened from one that was made up.

A row lost with the power makes a true history look forged, which is the safe side: these writes are not synced one by one.

Of the two connections one is for a worker's event loop: there a look costs some 5 µs and a few rows 25, where a thread would cost more to
wake, but it waits for nobody. What has to wait (another process writes) or to wait for the disk (the log moves into the file) is done by
`keep`, in a thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.errors import GatewayError
from gateway.state.sqlite import opened
from gateway.state.sure import CLEARED_EVERY, Sure

FEW = 32
"""Digests that are looked up or written on the event loop."""
MOVE_EVERY = 200
"""Of so many writes one is `keep`'s, so that the log does not grow."""
KEPT_US = 31 * 24 * 3600 * 1_000_000
"""How old a conversation may grow between two requests."""
_AT_ONCE = 500
"""Digests in one question; SQLite bounds the number of parameters."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
  owner TEXT NOT NULL, digest BLOB NOT NULL, seen_us INTEGER NOT NULL, PRIMARY KEY (owner, digest)
) STRICT, WITHOUT ROWID
"""
_KEEP = "INSERT INTO issued VALUES (?,?,?) ON CONFLICT DO UPDATE SET seen_us = excluded.seen_us"


class SqliteIssued:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = opened(path, _SCHEMA)
        self._here = opened(path, _SCHEMA)
        for db in (self._db, self._here):
            db.execute("PRAGMA synchronous = NORMAL")
        for pragma in ("busy_timeout = 0", "wal_autocheckpoint = 0"):
            self._here.execute(f"PRAGMA {pragma}")
        self._kept = 0
        self._swept_at: int | None = None
        self._sure = Sure()

    def keep(self, owner: str, digests: Sequence[bytes], now_us: int) -> None:
        try:
            with self._lock:
                self._db.executemany(_KEEP, [(owner, digest, now_us) for digest in digests])
                self._kept += 1
                if self._swept_at is None or self._kept - self._swept_at >= CLEARED_EVERY:
                    self._swept_at = self._kept
                    self._db.execute("DELETE FROM issued WHERE seen_us < ?", (now_us - KEPT_US,))
                    self._sure.clear()
            self._sure.add(owner, digests)
        except sqlite3.Error as e:
            raise _unavailable() from e

    def keep_at_once(self, owner: str, digests: Sequence[bytes], now_us: int) -> bool:
        if len(digests) > FEW or (self._kept + 1) % MOVE_EVERY == 0:
            return False
        try:
            self._here.execute("BEGIN IMMEDIATE")
            try:
                self._here.executemany(_KEEP, [(owner, digest, now_us) for digest in digests])
                self._here.execute("COMMIT")
            finally:
                if self._here.in_transaction:
                    self._here.execute("ROLLBACK")
        except sqlite3.Error:  # busy, most likely: `keep` can wait, and says what is wrong
            return False
        self._kept += 1
        self._sure.add(owner, digests)
        return True

    def known(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        """Those of them that were kept for this owner."""
        asked, found = list(digests), set[bytes]()
        try:
            with self._lock:
                for at in range(0, len(asked), _AT_ONCE):
                    found |= _among(self._db, owner, asked[at : at + _AT_ONCE])
        except sqlite3.Error as e:
            raise _unavailable() from e
        self._sure.add(owner, found)
        return frozenset(found)

    def known_at_once(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes] | None:
        if len(digests) > FEW:
            return None
        try:
            found = _among(self._here, owner, digests)
        except sqlite3.Error:  # `known` can wait, and says what is wrong
            return None
        self._sure.add(owner, found)
        return frozenset(found)

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        return self._sure.seen(owner, digests)

    def close(self) -> None:
        self._db.close()
        self._here.close()


def _among(db: sqlite3.Connection, owner: str, digests: Collection[bytes]) -> set[bytes]:
    marks = ",".join("?" * len(digests))
    query = f"SELECT digest FROM issued WHERE owner = ? AND digest IN ({marks})"  # noqa: S608 - question marks only
    return {row[0] for row in db.execute(query, (owner, *digests))}


def _unavailable() -> GatewayError:
    message = "The state store cannot be used, so nobody can tell whether this conversation happened. Try again shortly."
    return GatewayError("unavailable", "state_unavailable", message, retry_after=5)
