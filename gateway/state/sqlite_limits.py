"""What limits have counted, in SQLite: exact across the workers of one machine.

1. One transaction reads what was spent, decides and writes; it holds the write lock from its beginning, so that of many callers exactly as
   many pass as fit.
2. A window slides: what was taken stays taken for its whole length. The sum is kept, so that asking costs the same however much was taken.
3. Time never runs back: an account's time is the latest that it has seen. A clock set back makes its windows longer, never shorter.
4. What was written survives the end of the process. It is not synced call by call: a loss of power may forget the last moments.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.errors import GatewayError
from gateway.policy.limits import Charge
from gateway.state import Taken, Taking
from gateway.state.limit_accounts import SESSION_US, account
from gateway.state.sqlite import opened

BUSY_MS = 1_000
"""How long another writer is waited for; calls wait as long."""
SWEEP_EVERY = 1_000
LOG_PAGES = 8_000
"""After so many pages (32 MB) a call moves the log into the file and waits for the disk meanwhile, some milliseconds."""

_ACCOUNTS = """
CREATE TABLE IF NOT EXISTS limit_accounts (
  account TEXT PRIMARY KEY, spent INTEGER NOT NULL, seen_us INTEGER NOT NULL, until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
_TAKINGS = """
CREATE TABLE IF NOT EXISTS limit_takings (
  account TEXT NOT NULL, at_us INTEGER NOT NULL, id INTEGER NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (account, at_us, id)
) STRICT, WITHOUT ROWID
"""
_ENDS = "CREATE INDEX IF NOT EXISTS limit_ends ON limit_accounts (until_us)"
_EXPIRED = "FROM limit_takings WHERE account = ? AND at_us <= ?"
_PUT = (
    "INSERT INTO limit_accounts VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET spent = excluded.spent, "
    "seen_us = excluded.seen_us, until_us = max(until_us, excluded.until_us)"
)
_OVER = "SELECT account FROM limit_accounts WHERE until_us < ? LIMIT ?"


class _Standing(msgspec.Struct):
    """An account as it stands at a moment."""

    account: str
    spent: int
    at_us: int
    expired: int


class SqliteLimits:
    """`path` may be the file of the keys."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = opened(path, _ACCOUNTS)
        pragmas = ("synchronous = NORMAL", f"busy_timeout = {BUSY_MS}", f"wal_autocheckpoint = {LOG_PAGES}")
        for statement in (_TAKINGS, _ENDS, *(f"PRAGMA {pragma}" for pragma in pragmas)):
            self._db.execute(statement)
        self._taken = 0

    def take(self, charges: Sequence[Charge], now_us: int) -> Taking:
        with self._transaction("IMMEDIATE"):
            standings = [self._standing(charge, now_us) for charge in charges]
            spent = tuple(standing.spent for standing in standings)
            if not all(charge.fits(before) for charge, before in zip(charges, spent, strict=True)):
                return Taking(spent)
            self._sweep(now_us)
            return Taking(spent, tuple(map(self._put, charges, standings)))

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        with self._transaction("DEFERRED"):
            return tuple(self._standing(charge, now_us).spent for charge in charges)

    def give_back(self, taken: Sequence[Taken]) -> None:
        with self._transaction("IMMEDIATE"):
            for each in taken:
                self._untake(each)

    def close(self) -> None:
        self._db.close()

    def _standing(self, charge: Charge, now_us: int) -> _Standing:
        name = account(charge)
        row = self._db.execute("SELECT spent, seen_us FROM limit_accounts WHERE account = ?", (name,)).fetchone()
        if row is None:
            return _Standing(name, 0, now_us, 0)
        spent, at = row[0], max(row[1], now_us)
        if not charge.window_us:
            return _Standing(name, spent, at, 0)
        over = (name, at - charge.window_us)
        expired = self._db.execute(f"SELECT coalesce(sum(amount), 0) {_EXPIRED}", over).fetchone()[0]
        return _Standing(name, spent - expired, at, expired)

    def _put(self, charge: Charge, now: _Standing) -> Taken:
        until = now.at_us + (charge.window_us or SESSION_US)
        self._db.execute(_PUT, (now.account, now.spent + charge.amount, now.at_us, until))
        taken = Taken(now.account, charge.amount)
        if charge.window_us:
            taken = Taken(now.account, charge.amount, now.at_us, secrets.randbits(63))
            self._db.execute(
                "INSERT INTO limit_takings VALUES (?,?,?,?)", (now.account, now.at_us, taken.id, charge.amount)
            )
        if now.expired:
            self._db.execute(f"DELETE {_EXPIRED}", (now.account, now.at_us - charge.window_us))
        return taken

    def _untake(self, of: Taken) -> None:
        """What has expired meanwhile is not given back a second time."""
        if of.id is not None:
            which = (of.account, of.at_us, of.id)
            gone = self._db.execute("DELETE FROM limit_takings WHERE account = ? AND at_us = ? AND id = ?", which)
            if gone.rowcount == 0:
                return
        self._db.execute(
            "UPDATE limit_accounts SET spent = max(spent - ?, 0) WHERE account = ?", (of.amount, of.account)
        )

    def _sweep(self, now_us: int) -> None:
        """Now and then, accounts on which nothing counts any more are taken out."""
        self._taken += 1
        if self._taken % SWEEP_EVERY:
            return
        over = self._db.execute(_OVER, (now_us, 2 * SWEEP_EVERY)).fetchall()
        self._db.executemany("DELETE FROM limit_takings WHERE account = ?", over)
        self._db.executemany("DELETE FROM limit_accounts WHERE account = ?", over)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        try:
            with self._lock:
                self._db.execute(f"BEGIN {kind}")
                try:
                    yield
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
        except sqlite3.Error as e:
            message = (
                "The state store cannot be used, so nobody can tell what the limits have counted. Try again shortly."
            )
            raise GatewayError("unavailable", "state_unavailable", message, retry_after=5) from e
