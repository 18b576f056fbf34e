"""Keys in SQLite (WAL): exact across processes on one machine, nothing to install. Look-ups are held for a moment (`held_keys`)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Storing
from gateway.state import KeyRecord
from gateway.state.held_keys import HeldKeys, fresh

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL, agent TEXT NOT NULL, team TEXT, user TEXT, labels TEXT NOT NULL,
  last4 TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER, revoked_us INTEGER, store TEXT
) STRICT
"""
_COLUMNS = "id, agent, last4, created_us, team, user, labels, expires_us, revoked_us, store"


def opened(path: Path, schema: str) -> sqlite3.Connection:
    """The state file, created with mode 0600 where there is none, with these tables in it. Every statement is its own transaction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(schema)
    return db


def add_column(db: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    """For a file of an earlier version. Several processes may try at once: one of them does it."""
    if any(row[1] == column for row in db.execute(f"PRAGMA table_info({table})")):
        return
    try:
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):
            raise


class SqliteKeys:
    """`path` is created with mode 0600; `pepper` keys the stored hashes and must never change."""

    def __init__(self, path: Path, pepper: bytes) -> None:
        self._pepper = pepper
        self._lock = threading.Lock()
        self._db = opened(path, _SCHEMA)
        self._db.execute("PRAGMA synchronous = FULL")
        add_column(self._db, "keys", "store", "TEXT")
        self._held = HeldKeys(pepper, self._read)
        self._created = False

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        return self._held.find(token, now_us)

    def at_hand(self, token: str, now_us: int) -> bool:
        return self._held.at_hand(token, now_us)

    def any_created(self) -> bool:
        if not self._created:
            self._created = self._one("SELECT 1 FROM keys LIMIT 1") is not None
        return self._created

    def any_active(self, now_us: int) -> bool:
        query = "SELECT 1 FROM keys WHERE revoked_us IS NULL AND (expires_us IS NULL OR expires_us > ?) LIMIT 1"
        return self._one(query, now_us) is not None

    def create(
        self,
        *,
        agent: str,
        now_us: int,
        team: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        expires_us: int | None = None,
        store: Storing | None = None,
    ) -> str:
        new = fresh(self._pepper)
        row = (new.id, new.hash, agent, team, user, msgspec.json.encode(dict(labels or {})).decode(), new.last4)
        with self._lock:
            self._db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?,NULL,?)", (*row, now_us, expires_us, store))
        return new.token

    def revoke(self, key_id: str, now_us: int) -> bool:
        """False when there is no such key; revoking twice keeps the first time."""
        with self._lock:
            done = self._db.execute(
                "UPDATE keys SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?", (now_us, key_id)
            )
        self._held.forget(key_id)
        return done.rowcount == 1

    def every(self) -> list[KeyRecord]:
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_us").fetchall()  # noqa: S608 - constant
        return [_record(row) for row in rows]

    def close(self) -> None:
        self._db.close()

    def _read(self, key_id: str) -> tuple[bytes, KeyRecord] | None:
        row = self._one(f"SELECT hash, {_COLUMNS} FROM keys WHERE id = ?", key_id)  # noqa: S608 - constant
        return None if row is None else (row[0], _record(row[1:]))

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        try:
            with self._lock:
                row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        except sqlite3.Error as e:
            raise GatewayError(
                "unavailable", "state_unavailable", "The key store cannot be read. Try again shortly."
            ) from e
        return row


def _record(row: tuple[Any, ...]) -> KeyRecord:
    key_id, agent, last4, created, team, user, labels, expires, revoked, store = row
    values = {"id": key_id, "agent": agent, "last4": last4, "created_us": created, "team": team, "user": user}
    values |= {"labels": msgspec.json.decode(str(labels)), "expires_us": expires, "revoked_us": revoked, "store": store}
    return msgspec.convert(values, KeyRecord)
