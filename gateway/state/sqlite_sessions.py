"""Sessions in which calls were denied, in SQLite: how often, and which of them are stopped until an operator resumes them; agents that are
paused, which is a row of its own for all their sessions.

Exact across the workers of one machine: the denial that is one too many stops the session once, and what is stopped is stopped for all of
them with the next request. A stop survives restarts and a loss of power.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.state.sessions import EVERY_SESSION, Denial, Session, whole
from gateway.state.sqlite import add_column, opened
from gateway.state.sqlite_line import Do, Line

KEPT_US = 31 * 24 * 3600 * 1_000_000
"""How long a session that is not stopped is remembered after its last denial."""
SWEEP_EVERY = 1_000

_OTHERWISE = "The state store cannot be used, so nobody can tell whether this session is stopped."
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
  owner TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL, team TEXT, user TEXT, denials INTEGER NOT NULL,
  seen_us INTEGER NOT NULL, state TEXT NOT NULL, changed_us INTEGER NOT NULL, policy TEXT NOT NULL, rule TEXT NOT NULL,
  exchange TEXT NOT NULL, decision TEXT NOT NULL, changed_by TEXT NOT NULL, change INTEGER NOT NULL, noted INTEGER NOT NULL,
  PRIMARY KEY (owner, session)
) STRICT, WITHOUT ROWID
"""
_INDICES = (
    "CREATE INDEX IF NOT EXISTS stopped_sessions ON sessions (changed_us) WHERE state = 'stopped'",
    "CREATE INDEX IF NOT EXISTS sessions_to_note ON sessions (changed_us) WHERE noted < change",
)
_COLUMNS = "owner, session, agent, team, user, denials, state, changed_us, policy, rule, exchange, decision, changed_by, change, why, org"
_SELECT = f"SELECT {_COLUMNS} FROM sessions"  # noqa: S608 - constant
_STOPPED = f"{_SELECT} WHERE owner = ? AND session = ? AND state = 'stopped'"
_STOPPED_OR_PAUSED = f"{_STOPPED} UNION ALL {_STOPPED} LIMIT 1"
_INSERT = (
    "INSERT INTO sessions (owner, session, agent, team, user, denials, seen_us, state, changed_us, policy, rule, exchange, decision, "
    "changed_by, change, noted, why, org) VALUES "
)
_COUNT = (
    f"{_INSERT} (?,?,?,?,?,1,?,'open',?,'','','','','',0,0,'',?) "
    "ON CONFLICT DO UPDATE SET denials = denials + 1, seen_us = excluded.seen_us RETURNING denials, state"
)
_STOP = (
    "UPDATE sessions SET state = 'stopped', changed_us = ?, policy = ?, rule = ?, exchange = ?, decision = ?, changed_by = '', "
    "why = '', change = change + 1 WHERE owner = ? AND session = ?"
)
_PAUSE = (
    f"{_INSERT} (?,?,?,NULL,NULL,0,?,'stopped',?,'','','','',?,1,0,?,NULL) ON CONFLICT DO UPDATE SET state = 'stopped', "
    "seen_us = excluded.seen_us, changed_us = excluded.changed_us, changed_by = excluded.changed_by, why = excluded.why, "
    "change = change + 1 WHERE state != 'stopped'"
)
_RESUME = (
    "UPDATE sessions SET state = 'resumed', denials = 0, changed_us = ?, changed_by = ?, why = ?, change = change + 1 "
    "WHERE owner = ? AND session = ? AND state = 'stopped'"
)


class SqliteSessions:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._db = opened(path, _SCHEMA)
        self._line = Line(self._db, _OTHERWISE)
        self._db.execute("PRAGMA synchronous = FULL")
        add_column(self._db, "sessions", "why", "TEXT NOT NULL DEFAULT ''")
        add_column(self._db, "sessions", "org", "TEXT")
        for index in _INDICES:
            self._db.execute(index)
        self._counted = 0

    def stopped(self, owner: str, session: str, agent: str | None = None) -> Session | None:
        which = (owner, session) if agent is None else (whole(agent), EVERY_SESSION, owner, session)
        try:
            with self._line.lock:  # asked with every request: no context manager of our own
                row = self._db.execute(_STOPPED if agent is None else _STOPPED_OR_PAUSED, which).fetchone()
        except sqlite3.Error as e:
            raise self._line.unavailable() from e
        return None if row is None else _session(row)

    def denied(self, of: Denial, *, most: int | None) -> Session | None:
        with self._line.change() as do:
            who = (of.owner, of.session, of.agent, of.team, of.user)
            count, state = do(_COUNT, (*who, of.at_us, of.at_us, of.org)).fetchone()
            self._sweep(do, of.at_us)
            if state == "stopped" or most is None or count < most:
                return None
            do(_STOP, (of.at_us, of.policy, of.rule, of.exchange, of.decision, of.owner, of.session))
            return _first(do(f"{_SELECT} WHERE owner = ? AND session = ?", (of.owner, of.session)))

    def every(self, limit: int = 1000) -> list[Session]:
        with self._line.reading() as do:
            return _all(do(f"{_SELECT} WHERE state = 'stopped' ORDER BY changed_us DESC LIMIT ?", (limit,)))

    def pause(self, agent: str, *, by: str, why: str, at_us: int) -> bool:
        with self._line.change() as do:
            return do(_PAUSE, (whole(agent), EVERY_SESSION, agent, at_us, at_us, by, why)).rowcount == 1

    def resume(self, owner: str, session: str, *, by: str, at_us: int, why: str = "") -> bool:
        with self._line.change() as do:
            return do(_RESUME, (at_us, by, why, owner, session)).rowcount == 1

    def unrecorded(self, limit: int) -> list[Session]:
        with self._line.reading() as do:
            return _all(do(f"{_SELECT} WHERE noted < change ORDER BY changed_us LIMIT ?", (limit,)))

    def recorded(self, sessions: Sequence[Session]) -> None:
        query = "UPDATE sessions SET noted = max(noted, ?) WHERE owner = ? AND session = ?"
        with self._line.change() as do:
            for each in sessions:
                do(query, (each.change, each.owner, each.session))

    def close(self) -> None:
        self._db.close()

    def _sweep(self, do: Do, now_us: int) -> None:
        """Now and then, what nobody will ask about any more is taken out."""
        self._counted += 1
        if self._counted % SWEEP_EVERY == 1:
            do("DELETE FROM sessions WHERE state != 'stopped' AND noted = change AND seen_us < ?", (now_us - KEPT_US,))


def _first(cursor: sqlite3.Cursor) -> Session | None:
    row = cursor.fetchone()
    return None if row is None else _session(row)


def _all(cursor: sqlite3.Cursor) -> list[Session]:
    return [_session(row) for row in cursor.fetchall()]


def _session(row: tuple[Any, ...]) -> Session:
    return Session(**dict(zip(_COLUMNS.split(", "), row, strict=True)))
