"""What people were asked and what they said, in SQLite (WAL): exact across the processes of one machine, and after a power loss.

1. Every change is one IMMEDIATE transaction, so of many who would use one approval exactly one does.
2. A call has at most one pending approval (a unique index says so): a client that asks again finds the first.
3. What was asked never changes; it is one JSON text. What was decided are columns. What was asked, said and changed is sealed (`sealing`):
   the file has to hold the arguments, because a person must see what to decide about, but nobody needs to find them in a copy of it.
4. `change` counts up with every change and `noted` follows when that change is in the journal: what was decided while no worker ran, or
   just before one died, is recorded later and never lost. `told` follows when people were told of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.sealing import Box, CannotOpen, beside
from gateway.state.approvals import Approval, ApprovalState, Ruling
from gateway.state.approving import KEPT_US, refuse_unless_open, too_many, unknown, unreadable, whose
from gateway.state.sqlite import opened
from gateway.state.sqlite_line import Do, Line

_OTHERWISE = "The state store cannot be used, so nobody can be asked and no approval be found."
_SCHEMA = """
CREATE TABLE IF NOT EXISTS approvals (
  id TEXT PRIMARY KEY, asked TEXT NOT NULL, agent TEXT NOT NULL, requester TEXT, four_eyes INTEGER NOT NULL, created_us INTEGER NOT NULL,
  once TEXT NOT NULL, session TEXT NOT NULL, anywhere TEXT NOT NULL, state TEXT NOT NULL, expires_us INTEGER NOT NULL,
  decided_by TEXT, decided_us INTEGER, reason TEXT NOT NULL, scope TEXT NOT NULL, edited TEXT, used_us INTEGER,
  change INTEGER NOT NULL, noted INTEGER NOT NULL, told INTEGER NOT NULL
) STRICT
"""
_INDICES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS one_pending ON approvals (once) WHERE state = 'pending'",
    "CREATE INDEX IF NOT EXISTS by_once ON approvals (once)",
    "CREATE INDEX IF NOT EXISTS by_session ON approvals (session) WHERE scope = 'session'",
    "CREATE INDEX IF NOT EXISTS by_agent ON approvals (anywhere) WHERE scope = 'agent'",
    "CREATE INDEX IF NOT EXISTS to_note ON approvals (created_us) WHERE noted < change",
    "CREATE INDEX IF NOT EXISTS to_tell ON approvals (created_us) WHERE told < change",
)
_DECIDED = "state, expires_us, decided_by, decided_us, reason, scope, edited, used_us, change"
_SELECT = f"SELECT id, asked, {_DECIDED} FROM approvals"  # noqa: S608 - constant
_GRANTED = (
    f"{_SELECT} WHERE (once = :once OR (scope = 'session' AND session = :session) OR (scope = 'agent' AND anywhere = :anywhere)) "
    "AND state = 'approved' AND expires_us > :now "
    "AND NOT ((four_eyes OR :four_eyes) AND (:user IS NULL OR lower(trim(decided_by)) = lower(trim(:user)))) "
    "ORDER BY scope = 'once', created_us LIMIT 1"
)
"""One that is remembered comes first: one for a single call is not spent while another covers it."""
_STANDING = (
    f"{_SELECT} WHERE once = :once AND state IN ('pending', 'denied') AND expires_us > :now ORDER BY state = 'denied' DESC LIMIT 1"
)

_asked = msgspec.json.Decoder(Approval).decode


class SqliteApprovals:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._paper = _Paper(beside(path, "approvals"))
        self._db = opened(path, _SCHEMA)
        self._line = Line(self._db, _OTHERWISE)
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        for index in _INDICES:
            self._db.execute(index)

    def ask(self, new: Approval, most: int) -> Approval:
        with self._line.change() as do:
            now = new.created_us
            _expire(do, now)
            grants = {"once": new.bindings.once, "session": new.bindings.session, "anywhere": new.bindings.agent}
            granted = self._paper.first(do(_GRANTED, {**grants, "now": now, "user": new.user, "four_eyes": new.four_eyes}))
            if granted is not None:
                return self._consumed(do, granted, now)
            standing = self._paper.first(do(_STANDING, {"once": new.bindings.once, "now": now}))
            if standing is not None:
                return standing
            waiting = do("SELECT count(*) FROM approvals WHERE agent = ? AND state = 'pending'", (new.agent,)).fetchone()
            if waiting[0] >= most:
                raise too_many(new.agent, most)
            self._paper.insert(do, new)
            return new

    def _consumed(self, do: Do, granted: Approval, now: int) -> Approval:
        state = "used" if granted.scope == "once" else "approved"
        do("UPDATE approvals SET state = ?, used_us = ?, change = change + 1 WHERE id = ?", (state, now, granted.id))
        return self._paper.known(do, granted.id)

    def find(self, name: str) -> Approval | None:
        with self._line.reading() as do:
            return self._paper.first(do(f"{_SELECT} WHERE id = ?", (name,)))

    def every(self, state: ApprovalState | None = None, limit: int = 1000) -> list[Approval]:
        where = "WHERE state = :state" if state else ""
        with self._line.reading() as do:
            query = f"{_SELECT} {where} ORDER BY created_us DESC, id DESC LIMIT :limit"
            return self._paper.all(do(query, {"state": state, "limit": limit}))

    def rule(self, name: str, ruling: Ruling) -> Approval:
        with self._line.change() as do:
            _expire(do, ruling.at_us)
            found = self._paper.first(do(f"{_SELECT} WHERE id = ?", (name,)))
            if found is None:
                raise unknown(name)
            refuse_unless_open(found, ruling)
            reason, edited = self._paper.sealed(ruling.reason, name), self._paper.sealed(ruling.edited, name)
            values = ("approved" if ruling.approve else "denied", ruling.expires_us, ruling.by, ruling.at_us, reason)
            query = (
                "UPDATE approvals SET state = ?, expires_us = ?, decided_by = ?, decided_us = ?, reason = ?, scope = ?, edited = ?, "
                "change = change + 1 WHERE id = ?"
            )
            do(query, (*values, ruling.scope, edited, name))
            return self._paper.known(do, name)

    def decided(self, names: Sequence[str]) -> list[Approval]:
        with self._line.reading() as do:
            query = f"{_SELECT} WHERE state != 'pending' AND id IN (SELECT value FROM json_each(?))"  # noqa: S608 - constant
            return self._paper.all(do(query, (_names(names),)))

    def erase(self, tenant: str, user: str | None) -> int:
        with self._line.change() as do:
            every = self._paper.all(do(_SELECT))
            theirs = [each.id for each in every if whose(each) == tenant and (user is None or (each.user or "") == user)]
            do("DELETE FROM approvals WHERE id IN (SELECT value FROM json_each(?))", (_names(theirs),))
            return len(theirs)

    def expire(self, now_us: int) -> int:
        with self._line.change() as do:
            ended = _expire(do, now_us)
            do("DELETE FROM approvals WHERE state != 'pending' AND expires_us < ? AND noted = change", (now_us - KEPT_US,))
            return ended

    def unrecorded(self, limit: int) -> list[Approval]:
        return self._behind("noted", limit)

    def recorded(self, approvals: Sequence[Approval]) -> None:
        self._caught_up("noted", approvals)

    def untold(self, limit: int) -> list[Approval]:
        return self._behind("told", limit)

    def told(self, approvals: Sequence[Approval]) -> None:
        self._caught_up("told", approvals)

    def _behind(self, column: Literal["noted", "told"], limit: int) -> list[Approval]:
        with self._line.reading() as do:
            return self._paper.all(do(f"{_SELECT} WHERE {column} < change ORDER BY created_us LIMIT ?", (limit,)))

    def _caught_up(self, column: Literal["noted", "told"], approvals: Sequence[Approval]) -> None:
        query = f"UPDATE approvals SET {column} = max({column}, ?) WHERE id = ?"  # noqa: S608 - one of two names of ours
        with self._line.change() as do:
            for each in approvals:
                do(query, (each.change, each.id))

    def close(self) -> None:
        self._db.close()


def _expire(do: Do, now_us: int) -> int:
    query = "UPDATE approvals SET state = 'expired', change = change + 1 WHERE state = 'pending' AND expires_us <= ?"
    return do(query, (now_us,)).rowcount


class _Paper:
    """Approvals as they lie in the file."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def insert(self, do: Do, new: Approval) -> None:
        text = self._box.seal_text(msgspec.json.encode(new).decode(), new.id)
        asked = (new.id, text, new.agent, new.user, int(new.four_eyes), new.created_us)
        bound = (new.bindings.once, new.bindings.session, new.bindings.agent)
        do(
            "INSERT INTO approvals VALUES (?,?,?,?,?,?,?,?,?,'pending',?,NULL,NULL,'','once',NULL,NULL,?,0,0)",
            (*asked, *bound, new.expires_us, new.change),
        )

    def sealed(self, text: str | None, name: str) -> str | None:
        return self._box.seal_text(text, name) if text else text

    def known(self, do: Do, name: str) -> Approval:
        return self._approval(do(f"{_SELECT} WHERE id = ?", (name,)).fetchone())

    def first(self, cursor: sqlite3.Cursor) -> Approval | None:
        row = cursor.fetchone()
        return None if row is None else self._approval(row)

    def all(self, cursor: sqlite3.Cursor) -> list[Approval]:
        return [self._approval(row) for row in cursor.fetchall()]

    def _approval(self, row: tuple[Any, ...]) -> Approval:
        name, text, *values = row
        decided = dict(zip(_DECIDED.split(", "), values, strict=True))
        try:
            asked = _asked(self._box.open_text(text, name))
            for column in ("reason", "edited"):
                if decided[column]:
                    decided[column] = self._box.open_text(decided[column], name)
        except CannotOpen as error:
            raise unreadable(name) from error
        return msgspec.structs.replace(asked, **decided)


def _names(names: Sequence[str]) -> str:
    return msgspec.json.encode(list(names)).decode()
