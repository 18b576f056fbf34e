"""Stopped sessions in SQLite: what is forgotten when, and a file that is gone."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.state.sessions import Denial
from gateway.state.sqlite_sessions import KEPT_US, SqliteSessions

NOW = 1_800_000_000_000_000


def denial(session: str = "s", at_us: int = NOW) -> Denial:
    return Denial("o", session, "a", None, "ann", at_us, "bank", "never", "ex", "dec_1")


@pytest.fixture
def store(tmp_path):
    made = SqliteSessions(tmp_path / "state.sqlite")
    yield made
    made.close()


def test_what_is_old_is_forgotten_but_never_a_stop(store, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_sessions.SWEEP_EVERY", 2)
    store.denied(denial("old"), most=5)
    store.denied(denial("held"), most=1)
    store.denied(denial("new", at_us=NOW + KEPT_US + 1), most=5)
    names = {row[0] for row in store._db.execute("SELECT session FROM sessions")}
    assert names == {"held", "new"}


def test_a_store_that_cannot_be_used_says_so(store):
    store.close()
    for use in (lambda: store.stopped("o", "s"), lambda: store.denied(denial(), most=1)):
        with pytest.raises(GatewayError) as told:
            use()
        assert told.value.code == "state_unavailable"


def test_a_file_from_before_agents_could_be_paused_and_organisations_were_kept_is_taken_up(tmp_path):
    path = tmp_path / "state.sqlite"
    store = SqliteSessions(path)
    store.denied(denial(), most=1)
    for column in ("why", "org"):
        store._db.execute(f"ALTER TABLE sessions DROP COLUMN {column}")
    store.close()
    store = SqliteSessions(path)
    assert [(each.session, each.why, each.org) for each in store.every()] == [("s", "", None)]
    assert store.pause("coder", by="eve", why="it loops", at_us=NOW)
    store.close()
