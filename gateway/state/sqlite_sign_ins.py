"""Browsers that are signed in, in SQLite: beside the people, so that whoever ends one ends it for every process of the machine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.state.access import SEEN_EVERY_US, alive, random_token, token_hash
from gateway.state.sign_ins import SignIn
from gateway.state.sqlite_access import AccessFile

_SIGN_INS = """
CREATE TABLE IF NOT EXISTS sign_ins (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, seen_us INTEGER NOT NULL, record BLOB NOT NULL
) STRICT
"""
_record = msgspec.json.Decoder(SignIn).decode
_encode = msgspec.json.Encoder().encode


class SqliteSignIns:
    """`path` is the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._file = AccessFile(path, _SIGN_INS, "Who is signed in cannot be read.")

    def begin(self, new: SignIn) -> str:
        token, stored = random_token()
        with self._file.changing() as do:
            for seen_us, record in do("SELECT seen_us, record FROM sign_ins").fetchall():
                if not alive(before := _seen(record, seen_us), new.begun_us):
                    do("DELETE FROM sign_ins WHERE id = ?", (before.id,))
            do("INSERT INTO sign_ins VALUES (?,?,?,?,?)", (new.id, stored, new.name, new.seen_us, _encode(new)))
        return token

    def find(self, token: str, now_us: int) -> SignIn | None:
        rows = self._file.rows("SELECT record, seen_us FROM sign_ins WHERE hash = ?", token_hash(token))
        found = _seen(*rows[0]) if rows else None
        if found is None or not alive(found, now_us):
            return None
        if found.seen_us < now_us - SEEN_EVERY_US:
            with self._file.changing() as do:
                do("UPDATE sign_ins SET seen_us = ? WHERE id = ?", (now_us, found.id))
        return found

    def end(self, name: str, of: str | None = None) -> bool:
        with self._file.changing() as do:
            return do("DELETE FROM sign_ins WHERE id = ? AND (? IS NULL OR name = ?)", (name, of, of)).rowcount > 0

    def every(self, now_us: int) -> list[SignIn]:
        found = [_seen(*row) for row in self._file.rows("SELECT record, seen_us FROM sign_ins ORDER BY seen_us DESC, id")]
        return [each for each in found if alive(each, now_us)]

    def close(self) -> None:
        self._file.close()


def _seen(record: bytes, seen_us: int) -> SignIn:
    return msgspec.structs.replace(_record(record), seen_us=seen_us)
