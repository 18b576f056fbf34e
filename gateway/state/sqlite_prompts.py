"""Where labels of prompts point, which arms are out, and who came with which template, in SQLite: the same for all workers of one machine.

Texts of versions are sealed: what agents are told is not for copies of this file. A move is synced before it is answered; that somebody
came with a template is not, because the worst that a lost row does is to have it told again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError
from gateway.prompt.library import Move, Moves
from gateway.prompt.trial import Outcome, Stop, Stops
from gateway.sealing import CannotOpen, beside
from gateway.state.prompts import MOST_MET, Met
from gateway.state.sqlite import opened

KEPT_US = 400 * 24 * 3600 * 1_000_000
"""What nobody came with for so long is met anew."""
SWEEP_EVERY = 1_000
_LABELS = """
CREATE TABLE IF NOT EXISTS prompt_labels (
  name TEXT NOT NULL, label TEXT NOT NULL, version TEXT NOT NULL, claimed TEXT NOT NULL, before TEXT NOT NULL, PRIMARY KEY (name, label)
) STRICT, WITHOUT ROWID
"""
_SOURCES = """
CREATE TABLE IF NOT EXISTS prompt_sources (
  name TEXT NOT NULL, version TEXT NOT NULL, source BLOB NOT NULL, PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID
"""
_MET = """
CREATE TABLE IF NOT EXISTS prompts_met (
  who TEXT NOT NULL, what TEXT NOT NULL, seen_us INTEGER NOT NULL, PRIMARY KEY (who, what)
) STRICT, WITHOUT ROWID
"""
_STOPS = """
CREATE TABLE IF NOT EXISTS experiment_stops (
  design TEXT NOT NULL, arm TEXT NOT NULL, outcome TEXT NOT NULL, experiment TEXT NOT NULL, edition TEXT NOT NULL, PRIMARY KEY (design, arm)
) STRICT, WITHOUT ROWID
"""
_MOVE = """
INSERT INTO prompt_labels VALUES (?,?,?,?,?)
ON CONFLICT DO UPDATE SET version = excluded.version, claimed = excluded.claimed, before = excluded.before
"""
_NOTE = """
INSERT INTO prompts_met SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM prompts_met WHERE who = ?1) < ?4
ON CONFLICT DO UPDATE SET seen_us = excluded.seen_us
"""


class SqlitePrompts:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._box = beside(path, "prompts")
        self._db = opened(path, _LABELS)
        for schema in (_SOURCES, _MET, _STOPS):
            self._db.execute(schema)
        self._db.execute("PRAGMA synchronous = FULL")
        self._noted = 0

    def moves(self) -> Moves:
        found: dict[str, dict[str, Move]] = {}
        for name, label, version, over, before in self._do("SELECT name, label, version, claimed, before FROM prompt_labels"):
            found.setdefault(name, {})[label] = Move(version, over, before)
        return found

    def move(self, name: str, label: str, to: Move, sources: Mapping[str, str]) -> None:
        texts = [(name, version, self._box.seal(source.encode(), f"{name}/{version}")) for version, source in sources.items()]
        with self._together() as db:
            db.executemany("INSERT INTO prompt_sources VALUES (?,?,?) ON CONFLICT DO NOTHING", texts)
            db.execute(_MOVE, (name, label, to.version, to.over, to.before))

    def stops(self) -> Stops:
        found: dict[str, dict[str, Outcome]] = {}
        last: dict[str, tuple[str, str]] = {}
        for design, arm, outcome, *decided in self._do("SELECT design, arm, outcome, experiment, edition FROM experiment_stops"):
            found.setdefault(design, {})[arm] = outcome
            last[design] = decided[0], decided[1]
        return {design: Stop(*last[design], arms) for design, arms in found.items()}

    def stop(self, design: str, out: Stop) -> None:
        with self._together() as db:
            rows = [(design, arm, outcome, out.experiment, out.edition) for arm, outcome in out.arms.items()]
            db.executemany("INSERT OR REPLACE INTO experiment_stops VALUES (?,?,?,?,?)", rows)
            db.execute("UPDATE experiment_stops SET experiment = ?, edition = ? WHERE design = ?", (out.experiment, out.edition, design))

    @contextlib.contextmanager
    def _together(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises GatewayError."""
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _unavailable() from error

    def source(self, name: str, version: str) -> str | None:
        rows = self._do("SELECT source FROM prompt_sources WHERE name = ? AND version = ?", name, version)
        try:
            return self._box.open(rows[0][0], f"{name}/{version}").decode() if rows else None
        except CannotOpen as error:
            raise _unavailable() from error

    def met(self, who: str, what: str, now_us: int) -> Met:
        with self._together() as db:
            known = db.execute("SELECT 1 FROM prompts_met WHERE who = ? AND what = ?", (who, what)).fetchone()
            db.execute(_NOTE, (who, what, now_us, MOST_MET + (known is not None)))
            [[count]] = db.execute("SELECT count(*) FROM prompts_met WHERE who = ?", (who,))
            self._sweep(now_us)
        return Met(known is None, count)

    def _sweep(self, now_us: int) -> None:
        self._noted += 1
        if self._noted % SWEEP_EVERY == 1:
            self._db.execute("DELETE FROM prompts_met WHERE seen_us < ?", (now_us - KEPT_US,))

    def close(self) -> None:
        self._db.close()

    def _do(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _unavailable() from error


def _unavailable() -> GatewayError:
    message = "The state store cannot be used, so nobody can tell where the labels of prompts point and what was halted. Try again shortly."
    return GatewayError("unavailable", "state_unavailable", message, retry_after=5)
