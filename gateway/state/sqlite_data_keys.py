"""The keys under which content is encrypted, in a file of their own: `data-keys.sqlite`.

1. A key belongs to one tenant and one user of it (or to nobody in particular). It lies here wrapped by a master key, which is elsewhere.
2. Workers take the right to use a key in blocks, so that no key seals more often than random nonces allow, whatever runs and dies. A key is
   followed by a new one after `MOST_USES`, or after a month.
3. Erasing takes the wrapped key out of the file, its free pages and its log. What stays is when it was made and dropped.

The file is apart from the other state because of its backups: one from before an erasure brings the key back. Keep few of them, or give up
the master key that wrapped them.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.errors import GatewayError
from gateway.state.data_keys import DataKey
from gateway.state.sqlite import opened

MOST_USES = 2**28
"""Random nonces of 96 bits: two are equal with a chance of one in 2^41."""
BLOCK = 2**16
TRIES, PAUSE_S = 50, 0.05
LIFE_US = 30 * 24 * 3600 * 1_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS data_keys (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, wrapped BLOB, created_us INTEGER NOT NULL, uses INTEGER NOT NULL,
  erased_us INTEGER, noted INTEGER NOT NULL
) STRICT
"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_owner ON data_keys (tenant, user, created_us)"
_LATEST = (
    "SELECT id, tenant, user, wrapped, created_us FROM data_keys WHERE tenant = ? AND user = ? AND erased_us IS NULL "
    "AND uses < ? AND created_us > ? ORDER BY created_us DESC LIMIT 1"
)


class SqliteDataKeys:
    """`path` is created with mode 0600."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = opened(path, _SCHEMA)
        for statement in (_INDEX, "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON"):
            self._db.execute(statement)

    def take(self, tenant: str, user: str, now_us: int, make: Callable[[], DataKey]) -> tuple[DataKey, int]:
        """The key for new content, and how often it may be used before it is taken again. `make` makes one where there is none."""
        with self._lock, _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                row = self._db.execute(_LATEST, (tenant, user, MOST_USES, now_us - LIFE_US)).fetchone()
                key = DataKey(*row) if row else self._keep(make())
                self._db.execute("UPDATE data_keys SET uses = uses + ? WHERE id = ?", (BLOCK, key.id))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        return key, BLOCK

    def find(self, name: str) -> DataKey | None:
        """None when there is no such key, or no longer."""
        with self._lock, _translated():
            query = "SELECT id, tenant, user, wrapped, created_us FROM data_keys WHERE id = ? AND erased_us IS NULL"
            row = self._db.execute(query, (name,)).fetchone()
        return DataKey(*row) if row else None

    def erase(self, tenant: str, user: str | None, now_us: int) -> list[str]:
        """Drops the keys of a tenant, or of one user of it; ids of all that are gone and not on record as such."""
        where, whose = ("tenant = ? AND user = ?", (tenant, user)) if user is not None else ("tenant = ?", (tenant,))
        with self._lock, _translated():
            drop = f"UPDATE data_keys SET wrapped = NULL, erased_us = ? WHERE {where} AND erased_us IS NULL"  # noqa: S608 - constants
            self._db.execute(drop, (now_us, *whose))
            self._empty_log()
            gone = f"SELECT id FROM data_keys WHERE {where} AND erased_us IS NOT NULL AND NOT noted ORDER BY created_us"  # noqa: S608
            return [row[0] for row in self._db.execute(gone, whose).fetchall()]

    def noted(self, names: Sequence[str]) -> None:
        """Their erasure is on record."""
        with self._lock, _translated():
            self._db.executemany("UPDATE data_keys SET noted = 1 WHERE id = ?", [(name,) for name in names])

    def every(self) -> list[DataKey]:
        """Those that are there, oldest first."""
        with self._lock, _translated():
            query = "SELECT id, tenant, user, wrapped, created_us FROM data_keys WHERE erased_us IS NULL ORDER BY created_us"
            return [DataKey(*row) for row in self._db.execute(query).fetchall()]

    def rewrap(self, key: DataKey) -> None:
        """Puts a key back that was wrapped anew; one that was erased meanwhile stays erased."""
        with self._lock, _translated():
            self._db.execute("UPDATE data_keys SET wrapped = ? WHERE id = ? AND erased_us IS NULL", (key.wrapped, key.id))
            self._empty_log()

    def close(self) -> None:
        self._db.close()

    def _empty_log(self) -> None:
        """The log holds what rows were before. Whoever reads at this moment keeps it from being emptied."""
        for _ in range(TRIES):
            if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                return
            time.sleep(PAUSE_S)
        message = "The file of data keys is being read all the time, so its log still holds what was dropped. Do it again."
        raise GatewayError("unavailable", "state_busy", message, retry_after=1)

    def _keep(self, key: DataKey) -> DataKey:
        values = (key.id, key.tenant, key.user, key.wrapped, key.created_us)
        self._db.execute("INSERT INTO data_keys VALUES (?,?,?,?,?,0,NULL,0)", values)
        return key


class _translated:  # noqa: N801 - reads as a statement
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            message = "The store of data keys cannot be used, so content can be neither encrypted nor read. Try again shortly."
            raise GatewayError("unavailable", "state_unavailable", message, retry_after=5) from error
