"""What limits have counted, in SQLite: exact across the workers of one machine.

1. One transaction reads what was spent, decides and writes; it holds the write lock from its beginning, so that of many callers exactly as
   many pass as fit.
2. A window slides: what was taken stays taken for its whole length. The sum is kept, so that asking costs the same however much was taken.
3. Time never runs back: an account's time is the latest that it has seen. A clock set back makes its windows longer, never shorter.
4. What is taken on a lease that was not renewed is given back by the next one who takes on a lease or asks what is reserved: a worker that
   was killed holds nothing for long. Time is then the machine's since it started, so that setting its clock frees nothing.
5. What was written survives the end of the process. It is not synced call by call: a loss of power may forget the last moments.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway import clock
from gateway.errors import GatewayError
from gateway.policy.limits import Charge
from gateway.state.limit_accounts import account, kept_us
from gateway.state.limits import Lease, Taken, Taking
from gateway.state.sqlite import opened
from gateway.state.sqlite_steady import steady_base

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
_LEASES = """
CREATE TABLE IF NOT EXISTS limit_leases (
  lease INTEGER NOT NULL, account TEXT NOT NULL, at_us INTEGER NOT NULL, id INTEGER, amount INTEGER NOT NULL, until_us INTEGER NOT NULL,
  PRIMARY KEY (lease, account)
) STRICT, WITHOUT ROWID
"""
_LEASE_ENDS = "CREATE INDEX IF NOT EXISTS limit_lease_ends ON limit_leases (until_us)"
_OVERDUE = "SELECT account, amount, at_us, id FROM limit_leases WHERE until_us < ?"
_FREES = (
    "SELECT min(at_us) FROM (SELECT at_us, sum(amount) OVER (ORDER BY at_us, id) AS freed FROM limit_takings "
    "WHERE account = ? AND at_us > ?) WHERE freed >= ?"
)
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
        for statement in (_TAKINGS, _ENDS, _LEASES, _LEASE_ENDS, *(f"PRAGMA {pragma}" for pragma in pragmas)):
            self._db.execute(statement)
        self._taken = 0
        self._steady = steady_base(self._db)

    def take(self, charges: Sequence[Charge], now_us: int, lease: Lease | None = None) -> Taking:
        with self._transaction("IMMEDIATE"):
            if lease is not None:
                self._end_overdue(now_us)
            standings = [self._standing(charge, now_us) for charge in charges]
            spent = tuple(standing.spent for standing in standings)
            if not all(charge.fits(before) for charge, before in zip(charges, spent, strict=True)):
                return Taking(spent)
            self._sweep(now_us)
            taken = tuple(self._put(charge, at, lease) for charge, at in zip(charges, standings, strict=True))
            if lease is not None:
                rows = ((lease.id, each.account, each.at_us, each.id, each.amount, lease.until_us) for each in taken)
                self._db.executemany("INSERT INTO limit_leases VALUES (?,?,?,?,?,?)", rows)
            return Taking(spent, taken)

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        with self._transaction("DEFERRED"):
            return tuple(self._standing(charge, now_us).spent for charge in charges)

    def reserved(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        with self._transaction("IMMEDIATE"):
            self._end_overdue(now_us)
            held = dict(self._db.execute("SELECT account, sum(amount) FROM limit_leases GROUP BY account").fetchall())
        return tuple(held.get(account(each), 0) for each in charges)

    def give_back(self, taken: Sequence[Taken]) -> None:
        with self._transaction("IMMEDIATE"):
            for each in taken:
                self._untake(each)

    def renew(self, leases: Sequence[int], until_us: int) -> None:
        with self._transaction("IMMEDIATE"):
            self._db.executemany("UPDATE limit_leases SET until_us = ? WHERE lease = ?", [(until_us, each) for each in leases])

    def settle(self, lease: int, taken: Sequence[tuple[Charge, Taken]], amounts: Sequence[int], now_us: int) -> None:
        with self._transaction("IMMEDIATE"):
            held = self._db.execute("DELETE FROM limit_leases WHERE lease = ? RETURNING account", (lease,)).fetchall()
            live = {name for (name,) in held}
            for (charge, each), amount in zip(taken, amounts, strict=True):
                if each.account in live:
                    self._change(each, amount)
                else:
                    self._put(msgspec.structs.replace(charge, amount=amount), self._standing(charge, now_us))

    def frees_us(self, charge: Charge, now_us: int) -> int | None:
        with self._transaction("DEFERRED"):
            at = self._standing(charge, now_us)
            over = at.spent + charge.amount - charge.most
            if not charge.window_us or over <= 0:
                return None if over > 0 else at.at_us
            found = self._db.execute(_FREES, (at.account, at.at_us - charge.window_us, over)).fetchone()[0]
            return None if found is None else int(found) + charge.window_us

    def clear(self, charges: Sequence[Charge]) -> None:
        with self._transaction("IMMEDIATE"):
            for table in ("limit_leases", "limit_takings", "limit_accounts"):
                self._db.executemany(f"DELETE FROM {table} WHERE account = ?", [(account(each),) for each in charges])  # noqa: S608 - ours

    def steady_us(self) -> int:
        return self._steady + clock.boot_us()

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

    def _end_overdue(self, now_us: int) -> None:
        for name, amount, at_us, taking in self._db.execute(_OVERDUE, (now_us,)).fetchall():
            self._untake(Taken(name, amount, at_us, taking))
        self._db.execute("DELETE FROM limit_leases WHERE until_us < ?", (now_us,))

    def _change(self, of: Taken, amount: int) -> None:
        """What has expired meanwhile counts no more, whatever it came to."""
        if of.id is not None:
            which = (amount, of.account, of.at_us, of.id)
            there = self._db.execute("UPDATE limit_takings SET amount = ? WHERE account = ? AND at_us = ? AND id = ?", which)
            if there.rowcount == 0:
                return
        by = (amount - of.amount, of.account)
        self._db.execute("UPDATE limit_accounts SET spent = max(spent + ?, 0) WHERE account = ?", by)

    def _put(self, charge: Charge, now: _Standing, lease: Lease | None = None) -> Taken:
        until = now.at_us + kept_us(charge)
        self._db.execute(_PUT, (now.account, now.spent + charge.amount, now.at_us, until))
        taken = Taken(now.account, charge.amount)
        if charge.window_us:
            taken = Taken(now.account, charge.amount, now.at_us, secrets.randbits(63) if lease is None else lease.id)
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
