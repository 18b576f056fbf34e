"""Snapshots of the book for the tools people have: consistent, whole or not there at all, in a folder of their own.

A second process cannot open the ledger while the book holds it; a snapshot is a file that nobody holds. `latest.duckdb` is always the
newest whole one, replaced in one step: who has it open keeps what they opened. Not here: who may have one (`web/`), how it is written
(`copyist.py`).
"""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gateway.question.office import Lender, begun, start
from gateway.question.wire import Copy
from gateway.stores import Refused

LATEST = "latest.duckdb"
MOST_SECONDS = 1800.0


class Snapshot(NamedTuple):
    path: Path
    rows: int
    seconds: float


class Snapshots:
    """Those in `folder`; the newest `keep` of each kind stay. May be called from any thread."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self._folder, self._keep = folder, keep
        self._one = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def make(self, lender: Lender, public: Iterable[str], *, since: str | None = None, parquet: bool = False) -> Snapshot:
        """Raises Refused, also while another one is being made."""
        if not self._one.acquire(blocking=False):
            raise Refused("unavailable", "another snapshot is being made; ask again when it is done")
        try:
            began = time.monotonic()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"book-{_now()}{'' if parquet else '.duckdb'}"
            try:
                rows = self._copied(lender, Copy(lender.shape(), sorted(public), str(path), _time(since), parquet))
                if not parquet and since is None:
                    self._publish(path)
            finally:
                self._sweep(parquet=parquet)
            return Snapshot(path, rows, round(time.monotonic() - began, 3))
        except OSError as error:
            problem = f"a snapshot cannot be put into {self._folder}: {error.strerror}; see to space and rights there"
            raise Refused("snapshot_failed", problem) from error
        finally:
            self._one.release()

    def close(self) -> None:
        """Ends what is being made."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _copied(self, lender: Lender, order: Copy) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = process = start(("-m", "gateway.question.copyist"), theirs)
        try:
            visit = begun(ours) if not self._closed else None
            if visit is None:
                raise Refused("unavailable", "no process could be started to write the snapshot; see the book's log, and ask again")
            with visit:
                return visit.answer(lender, order, MOST_SECONDS).rows
        finally:
            self._process = None
            process.kill()
            process.wait()

    def _publish(self, path: Path) -> None:
        link = self._folder / f".{LATEST}"
        link.unlink(missing_ok=True)
        link.hardlink_to(path)
        link.replace(self._folder / LATEST)

    def _sweep(self, *, parquet: bool) -> None:
        """What a process that was killed left behind goes too."""
        made = sorted(each for each in self._folder.glob("book-*") if each.is_dir() == parquet and ".part" not in each.name)
        for each in [*made[: -self._keep], *self._folder.glob("book-*.part*")]:
            if each.is_dir():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)


def _time(since: str | None) -> str | None:
    if since is None:
        return None
    try:
        at = dt.datetime.fromisoformat(since)
    except ValueError as error:
        raise Refused("bad_since", "since is a time in UTC, like 2026-01-31 or 2026-01-31T12:00") from error
    return (at.astimezone(dt.UTC) if at.tzinfo else at).replace(tzinfo=None).isoformat(sep=" ")


def _now() -> str:
    """Names sort by time; two in one second differ."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{nanoseconds // 1000:06d}Z"
