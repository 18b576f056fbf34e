"""Whose what is that providers keep, in SQLite: exact across the workers of one machine.

A row lost with the power only means that its answer cannot be built on any more, which is the safe side: so these writes are not synced one
by one. An answer is forgotten when the provider has forgotten it.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.errors import GatewayError
from gateway.request import Owed, StoredKind, Tool
from gateway.sealing import CannotOpen, beside
from gateway.state.belongings import Belonging
from gateway.state.sqlite import opened

KEPT_US = 31 * 24 * 3600 * 1_000_000
"""OpenAI keeps a stored response for 30 days; conversations have no end."""
SWEEP_EVERY = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS belongings (
  dialect TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, upstream TEXT NOT NULL, created_us INTEGER NOT NULL,
  owed BLOB NOT NULL, tools BLOB NOT NULL, settled INTEGER NOT NULL, PRIMARY KEY (dialect, kind, id)
) STRICT, WITHOUT ROWID
"""
_ONE = "dialect = ? AND kind = ? AND id = ?"
_owed = msgspec.msgpack.Decoder(tuple[Owed, ...]).decode
_tools = msgspec.msgpack.Decoder(tuple[Tool, ...]).decode


class SqliteBelongings:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._box = beside(path, "belongings")
        self._db = opened(path, _SCHEMA)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._kept = 0

    def find(self, dialect: str, kind: StoredKind, name: str) -> Belonging | None:
        query = f"SELECT owner, upstream, created_us, owed, tools, settled FROM belongings WHERE {_ONE}"  # noqa: S608 - constant
        row = self._do(query, dialect, kind, name).fetchone()
        if row is None:
            return None
        owner, upstream, created, owed, tools, settled = row
        about = f"{dialect}/{kind}/{name}"
        try:
            return Belonging(
                kind,
                name,
                owner,
                upstream,
                created,
                _owed(self._box.open(owed, about)),
                _tools(zlib.decompress(self._box.open(tools, about))),
                bool(settled),
            )
        except CannotOpen as error:
            raise _unavailable() from error

    def keep(self, dialect: str, belongings: Sequence[Belonging]) -> None:
        query = (
            "INSERT INTO belongings VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET owed = excluded.owed, "
            "settled = max(settled, excluded.settled) WHERE owner = excluded.owner"
        )
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    self._db.executemany(query, [self._row(dialect, each) for each in belongings])
                finally:
                    self._db.execute("COMMIT")
        except sqlite3.Error as e:
            raise _unavailable() from e
        self._sweep(max((each.created_us for each in belongings), default=0))

    def settle(self, dialect: str, kind: StoredKind, name: str) -> bool:
        query = f"UPDATE belongings SET settled = 1 WHERE {_ONE} AND settled = 0"  # noqa: S608 - constant
        return self._do(query, dialect, kind, name).rowcount == 1

    def forget(self, dialect: str, kind: StoredKind, name: str) -> None:
        self._do(f"DELETE FROM belongings WHERE {_ONE}", dialect, kind, name)  # noqa: S608 - constant

    def close(self) -> None:
        self._db.close()

    def _row(self, dialect: str, of: Belonging) -> tuple[object, ...]:
        """Tools and texts are sealed: what agents may call is not for copies of this file."""
        about = f"{dialect}/{of.kind}/{of.id}"
        tools = self._box.seal(zlib.compress(msgspec.msgpack.encode(of.tools), 1), about)
        owed = self._box.seal(msgspec.msgpack.encode(of.owed), about)
        return (dialect, of.kind, of.id, of.owner, of.upstream, of.created_us, owed, tools, int(of.settled))

    def _sweep(self, now_us: int) -> None:
        """Now and then, what no provider keeps any more is taken out."""
        self._kept += 1
        if self._kept % SWEEP_EVERY == 1:
            self._do("DELETE FROM belongings WHERE kind != 'conversation' AND created_us < ?", now_us - KEPT_US)

    def _do(self, query: str, *values: object) -> sqlite3.Cursor:
        try:
            with self._lock:
                return self._db.execute(query, values)
        except sqlite3.Error as e:
            raise _unavailable() from e


def _unavailable() -> GatewayError:
    message = "The state store cannot be used, so nobody can tell whose stored answer this is. Try again shortly."
    return GatewayError("unavailable", "state_unavailable", message, retry_after=5)
