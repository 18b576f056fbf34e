"""Which calls were delivered to whom, in SQLite, as digests: to tell a history that happened from one that was made up.

A row lost with the power makes a true history look forged, which is the safe side: these writes are not synced one by one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.errors import GatewayError
from gateway.state.sqlite import opened
from gateway.state.sure import CLEARED_EVERY, Sure

KEPT_US = 31 * 24 * 3600 * 1_000_000
"""How old a conversation may grow between two requests."""
_AT_ONCE = 500
"""Digests in one question; SQLite bounds the number of parameters."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
  owner TEXT NOT NULL, digest BLOB NOT NULL, seen_us INTEGER NOT NULL, PRIMARY KEY (owner, digest)
) STRICT, WITHOUT ROWID
"""


class SqliteIssued:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = opened(path, _SCHEMA)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._kept = 0
        self._sure = Sure()

    def keep(self, owner: str, digests: Sequence[bytes], now_us: int) -> None:
        query = "INSERT INTO issued VALUES (?,?,?) ON CONFLICT DO UPDATE SET seen_us = excluded.seen_us"
        try:
            with self._lock:
                self._db.executemany(query, [(owner, digest, now_us) for digest in digests])
                self._kept += 1
                if self._kept % CLEARED_EVERY == 1:
                    self._db.execute("DELETE FROM issued WHERE seen_us < ?", (now_us - KEPT_US,))
                    self._sure.clear()
                self._sure.add(owner, digests)
        except sqlite3.Error as e:
            raise _unavailable() from e

    def known(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        """Those of them that were kept for this owner."""
        asked, found = list(digests), set[bytes]()
        try:
            with self._lock:
                for at in range(0, len(asked), _AT_ONCE):
                    some = asked[at : at + _AT_ONCE]
                    marks = ",".join("?" * len(some))
                    query = f"SELECT digest FROM issued WHERE owner = ? AND digest IN ({marks})"  # noqa: S608 - question marks only
                    found.update(row[0] for row in self._db.execute(query, (owner, *some)))
                self._sure.add(owner, found)
        except sqlite3.Error as e:
            raise _unavailable() from e
        return frozenset(found)

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        return self._sure.seen(owner, digests)

    def close(self) -> None:
        self._db.close()


def _unavailable() -> GatewayError:
    message = "The state store cannot be used, so nobody can tell whether this conversation happened. Try again shortly."
    return GatewayError("unavailable", "state_unavailable", message, retry_after=5)
