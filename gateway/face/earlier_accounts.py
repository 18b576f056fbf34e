"""Accounts of an earlier version, which had a file of their own (`people.sqlite`): moved into the state store at the first start, once.

Names, roles and passwords move; who was signed in signs in again. A name that somebody has in the state store already is not moved: nobody
can tell whether the two are one person, and one of them would get the other's roles. The file is deleted when all that can move has.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from gateway.errors import StartError
from gateway.people.roles import read_roles
from gateway.state.people import People, PersonRecord

log = logging.getLogger(__name__)

FILE = "people.sqlite"
BY = "moved from people.sqlite"


def move_in(data: Path, people: People) -> None:
    """Raises StartError for a file that cannot be read, GatewayError where the state store cannot be used: then nothing is deleted."""
    path = data / FILE
    if not path.exists():
        return
    for name, password, role, created_us in _read(path):
        person = PersonRecord(name, tuple(read_roles([role])), "", created_us)
        if not people.move_in(person, password, BY):
            log.warning(
                "the account '%s' of %s was not moved: somebody of that name is or was here already. If they are the same person, let them "
                "set a password: tollhouse people invite %s",
                name, path, name,
            )  # fmt: skip
    for file in (path, path.with_name(f"{FILE}-wal"), path.with_name(f"{FILE}-shm")):
        file.unlink(missing_ok=True)
    log.warning("accounts were moved from %s into the state store, and the file is deleted; people sign in again", path)


def _read(path: Path) -> list[tuple[str, str, str, int]]:
    try:
        db = sqlite3.connect(path)
        try:
            return db.execute("SELECT name, password, role, created_us FROM accounts").fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        message = f"the accounts in {path} cannot be read ({error}); restore the file, or delete it and invite people anew"
        raise StartError(message) from error
