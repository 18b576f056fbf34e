"""People with tokens and passwords, their invitations, and changes of keys and people that are not on record yet, in SQLite.

People are looked up with every request of theirs and held nowhere: who is removed is out with the next one.
"""

from __future__ import annotations

import hmac
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.identify import key_hash
from gateway.people.roles import Role
from gateway.state.access import (
    NO_TOKEN,
    joined,
    may_change,
    of_person,
    person_token,
    random_token,
    refuse_without_administrator,
    sealed_anew,
    split_person_token,
    there_already,
    token_hash,
    told_of,
    without_token,
)
from gateway.state.held_keys import Fresh
from gateway.state.people import Invitation, PersonRecord
from gateway.state.sqlite import add_column, opened
from gateway.state.sqlite_steps import CHANGES, Do, note, transaction
from gateway.trace.people_rows import AccessRow

_PEOPLE = """
CREATE TABLE IF NOT EXISTS people (
  name TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, record BLOB NOT NULL
) STRICT
"""
_INVITATIONS = "CREATE TABLE IF NOT EXISTS invitations (hash BLOB PRIMARY KEY, first INTEGER NOT NULL, record BLOB NOT NULL) STRICT"
_change = msgspec.json.Decoder(AccessRow).decode
_invitation = msgspec.json.Decoder(Invitation).decode
_record = msgspec.json.Decoder(PersonRecord).decode
_encode = msgspec.json.Encoder().encode


class AccessFile:
    """A connection to the file of the keys."""

    def __init__(self, path: Path, schema: str, otherwise: str) -> None:
        self._lock, self._otherwise = threading.Lock(), otherwise
        self._db = opened(path, schema)
        self._db.execute(CHANGES)
        self._db.execute("PRAGMA synchronous = FULL")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise GatewayError("unavailable", "state_unavailable", f"{self._otherwise} Try again shortly.", retry_after=5) from error

    def changing(self) -> AbstractContextManager[Do]:
        return transaction(self._db, self._lock, self._otherwise)

    def extend(self, table: str, column: str, kind: str, *schemas: str) -> None:
        """What a file of an earlier version has not."""
        add_column(self._db, table, column, kind)
        for schema in schemas:
            self._db.execute(schema)

    def close(self) -> None:
        self._db.close()


class SqliteAccessLog:
    """`path` is the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._file = AccessFile(path, CHANGES, "Changes of keys and people cannot be read.")

    def unrecorded(self, limit: int) -> list[AccessRow]:
        return [_change(body) for (body,) in self._file.rows("SELECT body FROM access_changes ORDER BY seq LIMIT ?", limit)]

    def recorded(self, changes: Sequence[AccessRow]) -> None:
        with self._file.changing() as do:
            for each in changes:
                do("DELETE FROM access_changes WHERE id = ?", (each.id,))

    def close(self) -> None:
        self._file.close()


class SqlitePeople:
    """`path` is the file of the keys; `pepper` keys the stored hashes and must never change."""

    def __init__(self, path: Path, pepper: bytes) -> None:
        self._pepper = pepper
        self._file = AccessFile(path, _PEOPLE, "The people of this installation cannot be read.")
        self._file.extend("people", "password", "TEXT", _INVITATIONS)

    def find(self, token: str, now_us: int) -> PersonRecord | None:
        parts = split_person_token(token)
        if parts is None:
            return None
        presented = key_hash(self._pepper, parts[1])
        for stored, record in self._file.rows("SELECT hash, record FROM people WHERE token = ?", parts[0]):
            if hmac.compare_digest(stored, presented) and (found := _record(record)).active(now_us):
                return found
        return None

    def named(self, name: str) -> PersonRecord | None:
        rows = self._file.rows("SELECT record FROM people WHERE name = ?", name)
        return _record(rows[0][0]) if rows else None

    def password(self, name: str, now_us: int) -> tuple[PersonRecord, str] | None:
        for record, kept in self._file.rows("SELECT record, password FROM people WHERE name = ? AND password IS NOT NULL", name):
            found = _record(record)
            return (found, kept) if found.active(now_us) and found.seal else None
        return None

    def any_password(self, now_us: int) -> bool:
        found = [_record(record) for (record,) in self._file.rows("SELECT record FROM people WHERE password IS NOT NULL")]
        return any(each.active(now_us) and each.seal for each in found)

    def add(self, new: PersonRecord, by: str = "") -> str:
        made = person_token(self._pepper)
        new = msgspec.structs.replace(new, last4=made.last4)
        with self._file.changing() as do:
            before = self._read(do, new.id)
            if before is not None and before.active(new.created_us):
                raise there_already(new.id)
            _keep(do, new, made, None)
            note(do, of_person("created", new, new.created_us, by))
        return made.token

    def renew_token(self, name: str, now_us: int, by: str = "") -> str | None:
        made = person_token(self._pepper)
        with self._file.changing() as do:
            if not self._put(do, name, "token", now_us, by, last4=made.last4):
                return None
            do("UPDATE people SET token = ?, hash = ? WHERE name = ?", (made.id, made.hash, name))
        return made.token

    def end_token(self, name: str, now_us: int, by: str = "") -> bool:
        with self._file.changing() as do:
            done = self._put(do, name, "token-ended", now_us, by, last4="")
            do("UPDATE people SET hash = ? WHERE name = ? AND ?", (NO_TOKEN, name, done))
        return done

    def set_password(self, name: str, kept: str, now_us: int, by: str = "") -> PersonRecord | None:
        with self._file.changing() as do:
            before = self._read(do, name)
            if before is None or not before.active(now_us):
                return None
            after = sealed_anew(before)
            self._put(do, name, "password", now_us, by, seal=after.seal)
            do("UPDATE people SET password = ? WHERE name = ?", (kept, name))
        return after

    def invite(self, new: Invitation, now_us: int) -> str:
        token, stored = random_token()
        with self._file.changing() as do:
            for key, record in do("SELECT hash, record FROM invitations").fetchall():
                if _invitation(record).expires_us <= now_us:
                    do("DELETE FROM invitations WHERE hash = ?", (key,))
            do("INSERT INTO invitations VALUES (?,?,?)", (stored, new.first, _encode(new)))
        return token

    def invited(self, token: str, now_us: int) -> Invitation | None:
        rows = self._file.rows("SELECT record FROM invitations WHERE hash = ?", token_hash(token))
        found = _invitation(rows[0][0]) if rows else None
        return found if found is not None and found.expires_us > now_us else None

    def join(self, token: str, name: str, kept: str, now_us: int) -> PersonRecord:
        stored = token_hash(token)
        with self._file.changing() as do:
            row = do("SELECT record FROM invitations WHERE hash = ?", (stored,)).fetchone()
            invitation, before = _invitation(row[0]) if row else None, self._read(do, name)
            after = joined(invitation, before, name, now_us)
            do("DELETE FROM invitations WHERE hash = ? OR first", (stored,))
            if before is not None and before.active(now_us):
                do("UPDATE people SET record = ?, password = ? WHERE name = ?", (_encode(after), kept, name))
            else:
                _keep(do, after, without_token(self._pepper), kept)
            note(do, of_person("joined", after, now_us, name, told_of(invitation)))
        return after

    def change(
        self, name: str, roles: tuple[Role, ...], teams: tuple[str, ...] | None, now_us: int, by: str = "", *, last_stays: bool = False
    ) -> bool:
        with self._file.changing() as do:
            return self._put(do, name, "roles", now_us, by, last_stays=last_stays, roles=roles, teams=teams)

    def remove(self, name: str, now_us: int, *, by: str = "", why: str = "", last_stays: bool = False) -> bool:
        with self._file.changing() as do:
            done = self._put(do, name, "removed", now_us, by, why, last_stays=last_stays, removed_us=now_us)
            do("UPDATE people SET password = NULL WHERE name = ? AND ?", (name, done))
        return done

    def move_in(self, person: PersonRecord, kept: str, by: str) -> bool:
        person = sealed_anew(person)
        with self._file.changing() as do:
            if self._read(do, person.id) is not None:
                return False
            _keep(do, person, without_token(self._pepper), kept)
            note(do, of_person("created", person, person.created_us, by))
        return True

    def every(self) -> list[PersonRecord]:
        return _sorted(self._file.rows("SELECT record FROM people"))

    def close(self) -> None:
        self._file.close()

    def _put(
        self, do: Do, name: str, what: str, now_us: int, by: str, why: str = "", *, last_stays: bool = False, **values: Any
    ) -> bool:
        before = self._read(do, name)
        if before is None or not may_change(before, what, now_us):
            return False
        after = msgspec.structs.replace(before, **values)
        if last_stays:
            refuse_without_administrator(_sorted(do("SELECT record FROM people").fetchall()), after, now_us)
        do("UPDATE people SET record = ? WHERE name = ?", (_encode(after), name))
        note(do, of_person(what, after, now_us, by, why))
        return True

    def _read(self, do: Do, name: str) -> PersonRecord | None:
        row = do("SELECT record FROM people WHERE name = ?", (name,)).fetchone()
        return None if row is None else _record(row[0])


def _keep(do: Do, person: PersonRecord, made: Fresh, password: str | None) -> None:
    do("DELETE FROM people WHERE name = ?", (person.id,))
    row = (person.id, made.id, made.hash, _encode(person), password)
    do("INSERT INTO people (name, token, hash, record, password) VALUES (?,?,?,?,?)", row)


def _sorted(rows: Sequence[tuple[Any, ...]]) -> list[PersonRecord]:
    return sorted((_record(record) for (record,) in rows), key=lambda each: (each.created_us, each.id))
