"""The stores of one machine: SQLite files in the data folder, nothing to install."""

from __future__ import annotations

from pathlib import Path

from gateway.state.sqlite import SqliteKeys
from gateway.state.sqlite_access import SqliteAccessLog, SqlitePeople
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_belongings import SqliteBelongings
from gateway.state.sqlite_data_keys import SqliteDataKeys
from gateway.state.sqlite_issued import SqliteIssued
from gateway.state.sqlite_limits import SqliteLimits
from gateway.state.sqlite_prompts import SqlitePrompts
from gateway.state.sqlite_sessions import SqliteSessions
from gateway.state.sqlite_sign_ins import SqliteSignIns

DATA_KEYS_FILE = "data-keys.sqlite"
STATE_FILE = "state.sqlite"
"""In the data folder: what all workers share."""


class Embedded:
    """Opens each of them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file = data / STATE_FILE

    def keys(self, pepper: bytes) -> SqliteKeys:
        return SqliteKeys(self._file, pepper)

    def people(self, pepper: bytes) -> SqlitePeople:
        return SqlitePeople(self._file, pepper)

    def sign_ins(self) -> SqliteSignIns:
        return SqliteSignIns(self._file)

    def access_log(self) -> SqliteAccessLog:
        return SqliteAccessLog(self._file)

    def belongings(self) -> SqliteBelongings:
        return SqliteBelongings(self._file)

    def approvals(self) -> SqliteApprovals:
        return SqliteApprovals(self._file)

    def limits(self) -> SqliteLimits:
        return SqliteLimits(self._file)

    def issued(self) -> SqliteIssued:
        return SqliteIssued(self._file)

    def sessions(self) -> SqliteSessions:
        return SqliteSessions(self._file)

    def prompts(self) -> SqlitePrompts:
        return SqlitePrompts(self._file)

    def data_keys(self) -> SqliteDataKeys:
        return SqliteDataKeys(self._data / DATA_KEYS_FILE)
