"""Keys in SQLite (WAL): exact across processes on one machine, nothing to install. Look-ups are held for a moment (`held_keys`)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Storing
from gateway.scope import ANYTHING, KeyScope
from gateway.state.access import of_key, rotated
from gateway.state.held_keys import HeldKeys, fresh
from gateway.state.keys import KeyRecord
from gateway.state.sqlite_steps import CHANGES, Do, note, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL, agent TEXT NOT NULL, team TEXT, user TEXT, labels TEXT NOT NULL,
  last4 TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER, revoked_us INTEGER, store TEXT
) STRICT
"""
_LATER = {"store": "TEXT", "org": "TEXT", "scope": "TEXT", "family": "TEXT"}
"""Columns that a file of an earlier version has not."""
_COLUMNS = "id, agent, last4, created_us, team, user, labels, expires_us, revoked_us, store, org, scope, family"
_SELECT = f"SELECT {_COLUMNS} FROM keys"  # noqa: S608 - constant
_COUNTS = "revoked_us IS NULL AND (expires_us IS NULL OR expires_us > ?)"
_INSERT = f"INSERT INTO keys (hash, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constant
_OTHERWISE = "The key store cannot be used."
_encode = msgspec.json.Encoder().encode


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
        self._db.execute(CHANGES)
        for column, kind in _LATER.items():
            add_column(self._db, "keys", column, kind)
        self._held = HeldKeys(pepper, self._hash_of, self._read)
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
        return self._one(f"SELECT 1 FROM keys WHERE {_COUNTS} LIMIT 1", now_us) is not None  # noqa: S608 - constant

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
        org: str | None = None,
        scope: KeyScope = ANYTHING,
        by: str = "",
    ) -> str:
        new = fresh(self._pepper)
        facts = (new.id, agent, new.last4, now_us, team, user, dict(labels or {}), expires_us)
        record = KeyRecord(*facts, store=store, org=org, scope=scope)
        with self._changing() as do:
            do(_INSERT, (new.hash, *_row(record)))
            note(do, of_key("created", record, now_us, by))
        return new.token

    def rotate(self, key_id: str, now_us: int, old_until_us: int, *, by: str = "", why: str = "") -> str:
        new = fresh(self._pepper)
        with self._changing() as do:
            old = _first(do(f"{_SELECT} WHERE id = ?", (key_id,)))
            line = old.line if old else ""
            alike = [_record(row) for row in do(f"{_SELECT} WHERE id = ? OR family = ?", (line, line))]
            both = rotated(old, alike, new, now_us, old_until_us)
            do(_INSERT, (new.hash, *_row(both.new)))
            do("UPDATE keys SET expires_us = ? WHERE id = ?", (both.old.expires_us, key_id))
            note(do, of_key("rotated", both.new, now_us, by, why), of_key("ends", both.old, now_us, by, why))
        self._held.forget(key_id)
        return new.token

    def revoke(self, key_id: str, now_us: int, *, by: str = "", why: str = "") -> bool:
        """Revoking twice keeps the first time."""
        with self._changing() as do:
            before = _first(do(f"{_SELECT} WHERE id = ?", (key_id,)))
            if before is not None and before.revoked_us is None:
                do("UPDATE keys SET revoked_us = ? WHERE id = ?", (now_us, key_id))
                note(do, of_key("revoked", msgspec.structs.replace(before, revoked_us=now_us), now_us, by, why))
        self._held.forget(key_id)
        return before is not None

    def every(self) -> list[KeyRecord]:
        with self._lock:
            rows = self._db.execute(f"{_SELECT} ORDER BY created_us").fetchall()
        return [_record(row) for row in rows]

    def close(self) -> None:
        self._db.close()

    def _hash_of(self, key_id: str, now_us: int) -> bytes | None:
        row = self._one(f"SELECT hash FROM keys WHERE id = ? AND {_COUNTS}", key_id, now_us)  # noqa: S608 - constant
        return None if row is None else row[0]

    def _read(self, key_id: str) -> KeyRecord | None:
        row = self._one(f"{_SELECT} WHERE id = ?", key_id)
        return None if row is None else _record(row)

    def _changing(self) -> AbstractContextManager[Do]:
        return transaction(self._db, self._lock, _OTHERWISE)

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        try:
            with self._lock:
                row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        except sqlite3.Error as e:
            raise GatewayError(
                "unavailable", "state_unavailable", "The key store cannot be read. Try again shortly."
            ) from e
        return row


def _first(cursor: sqlite3.Cursor) -> KeyRecord | None:
    row = cursor.fetchone()
    return None if row is None else _record(row)


def _row(key: KeyRecord) -> tuple[object, ...]:
    """In the order of `_COLUMNS`."""
    labels, scope = _encode(key.labels).decode(), _encode(key.scope).decode()
    named = {**msgspec.structs.asdict(key), "labels": labels, "scope": scope}
    return tuple(named[name] for name in _COLUMNS.split(", "))


def _record(row: tuple[Any, ...]) -> KeyRecord:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    scope, family = values.pop("scope"), values.pop("family")
    values["labels"] = msgspec.json.decode(str(values["labels"]))
    bounds = msgspec.json.decode(str(scope), type=KeyScope) if scope else ANYTHING
    return msgspec.convert(values | {"scope": bounds, "family": family or ""}, KeyRecord)
