"""What people are asked, in SQLite: a file that is harmed."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.errors import GatewayError
from gateway.state.approvals import Approval, Bindings
from gateway.state.sqlite_approvals import SqliteApprovals

HOUR = 3600 * 1_000_000


def asking(number: int, call: str = "pay 5", session: str = "s", at: int = 1000, **more) -> Approval:
    return Approval(
        id=f"apr_{number}",
        created_us=at,
        expires_us=at + HOUR,
        bindings=Bindings(f"{call} {session} once", f"{call} {session}", call),
        **{"agent": "a", "session": session, "tool": "pay", "arguments": "{}", "policy": "p", "rule": "r", "message": "why"}
        | {"decision": "dec_1", "exchange": "x"}
        | more,
    )


def test_a_store_that_cannot_be_used_says_so(tmp_path):
    store = SqliteApprovals(tmp_path / "state.sqlite")
    other = sqlite3.connect(tmp_path / "state.sqlite")
    other.execute("DROP TABLE approvals")
    for refused in (lambda: store.ask(asking(1), 10), lambda: store.find("apr_1")):
        with pytest.raises(GatewayError) as told:
            refused()
        assert (told.value.kind, told.value.code) == ("unavailable", "state_unavailable")
    other.close()
