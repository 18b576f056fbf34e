"""The minutes: every change of an approval reaches the journal, and the ledger shows how each stands."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from gateway import minutes
from gateway.config import Settings
from gateway.errors import JournalUnavailable
from gateway.installation import open_access_log, open_keys, open_people
from gateway.state.approvals import Approval, Bindings, Ruling
from gateway.state.people import PersonRecord
from gateway.state.sessions import Denial
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_data_keys import SqliteDataKeys
from gateway.state.sqlite_sessions import SqliteSessions
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace import record
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.trace.segments import Segment
from gateway.vault import Master, TenantVault

AT = 1_790_000_000_000_000
HOUR = 3600 * 1_000_000
SCRIBE = Scribe(b"k" * 32, Redactor([]))
ASKED = Approval(
    "apr_1", AT, AT + HOUR, Bindings("o", "s", "a"), "coder", "ses", "pay", '{"n":1}', "bank", "big", "much", "dec_1", "x1",
    policy_hash="h", team="t", user="u", four_eyes=True,
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    store = SqliteApprovals(tmp_path / "state.sqlite")
    yield store
    store.close()


class Appended(list):
    """A journal that keeps what it gets, and fails when told to."""

    fails = False

    async def __call__(self, *records) -> None:
        if self.fails:
            raise JournalUnavailable("full")
        self.extend(record.decode(record.encode(each)) for each in records)


def test_each_change_is_written_and_then_not_again(store):
    journal = Appended()
    assert asyncio.run(minutes.write(store, journal, SCRIBE)) == 0
    store.ask(ASKED, 9)
    assert asyncio.run(minutes.write(store, journal, SCRIBE)) == 1
    assert asyncio.run(minutes.write(store, journal, SCRIBE)) == 0
    store.rule("apr_1", Ruling(True, "ann", AT + 5, AT + HOUR, "fine", "session", '{"n":2}'))
    assert asyncio.run(minutes.write(store, journal, SCRIBE)) == 1
    assert [each.approval.state for each in journal] == ["pending", "approved"]


def test_what_was_asked_of_a_person_is_sealed_for_the_organisation_whose_agent_asked(store, tmp_path):
    keys = SqliteDataKeys(tmp_path / "data-keys.sqlite")
    scribe, journal = Scribe(b"k" * 32, Redactor([]), vault=TenantVault(keys, Master([b"m" * 32]))), Appended()
    store.ask(msgspec.structs.replace(ASKED, org="acme"), 9)
    asyncio.run(minutes.write(store, journal, scribe))
    assert [key.tenant for key in keys.every()] == ["team:acme/t"]
    assert journal[0].approval.arguments.startswith("enc:1:")
    keys.close()


def test_a_stopped_session_of_one_organisation_is_not_that_of_another(tmp_path):
    """Both are called the same, and so are agent, team and user."""
    ledger, journal = Ledger(tmp_path / "ledger.duckdb"), Appended()
    sessions = SqliteSessions(tmp_path / "state.sqlite")
    for org, exchange in (("acme", "x1"), ("zeta", "x2")):
        asked = {"agent": "coder", "team": "t", "user": "u", "org": org, "session": "ses", "state": "denied"}
        journal.append(record.Ended(record.ExchangeRow(exchange, AT, "openai.chat", "openai", "chat", "/v1", **asked)))
        sessions.denied(Denial(f"of {org}", "ses", "coder", "t", "u", AT, "bank", "never", exchange, f"dec_{org}", org), most=1)
    sessions.resume("of acme", "ses", by="ann", at_us=AT + HOUR)
    asyncio.run(minutes.write_sessions(sessions, journal))
    sessions.close()
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate(journal)), 9, bytes(32))])
    found = ledger.query("SELECT decision_id, state FROM stopped_sessions ORDER BY decision_id", 10).rows
    assert found == [["dec_acme", "resumed"], ["dec_zeta", "stopped"]]
    ledger.close()


def test_a_stop_and_its_end_are_written_once_each_and_the_ledger_shows_how_the_session_stands(tmp_path):
    sessions, journal = SqliteSessions(tmp_path / "state.sqlite"), Appended()
    sessions.denied(Denial("o", "ses", "coder", "t", "u", AT, "bank", "never", "x1", "dec_1"), most=1)
    assert asyncio.run(minutes.write_sessions(sessions, journal)) == 1
    sessions.resume("o", "ses", by="ann", at_us=AT + HOUR)
    assert [asyncio.run(minutes.write_sessions(sessions, journal)) for _ in range(2)] == [1, 0]
    sessions.close()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate([*journal, journal[0]])), 9, bytes(32))])
    rows = ledger.query("SELECT session, agent, state, rule, decision_id, changed_by FROM stopped_sessions", 10).rows
    assert [tuple(row) for row in rows] == [("ses", "coder", "resumed", "never", "dec_1", "ann")]
    ledger.close()


def test_who_was_let_in_is_written_once_and_the_ledger_shows_how_keys_and_people_stand(tmp_path):
    settings = Settings(data=str(tmp_path))
    keys, people, log, journal = open_keys(settings), open_people(settings), open_access_log(settings), Appended()
    first, second = (keys.create(agent="coder", team=team, now_us=AT, by="ada").split("_")[1] for team in ("red", "blue"))
    keys.revoke(first, AT + 5, by="bob", why="leaked")
    people.add(PersonRecord("cem", ("approver",), "", AT, teams=("red",)), by="ada")
    people.change("cem", ("approver", "viewer-content"), None, AT + 6, by="ada")
    assert [asyncio.run(minutes.write_access(log, journal)) for _ in range(2)] == [5, 0]
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate([*journal, journal[0]])), 9, bytes(32))])
    found = ledger.query("SELECT id, agent, team, revoked_at IS NOT NULL, changed_by FROM agent_keys ORDER BY team DESC", 10).rows
    assert [tuple(row) for row in found] == [(first, "coder", "red", True, "bob"), (second, "coder", "blue", False, "ada")]
    assert [list(row) for row in ledger.query("SELECT person, roles, teams, removed_at FROM people", 10).rows] == [
        ["cem", ["approver", "viewer-content"], None, None]
    ]
    assert [row[0] for row in ledger.query("SELECT what FROM access_changes ORDER BY changed_at, id", 10).rows] == [
        "created", "created", "created", "revoked", "roles",
    ]  # fmt: skip
    for each in (keys, people, log, ledger):
        each.close()


def test_what_the_journal_does_not_take_is_written_later(store):
    journal = Appended()
    store.ask(ASKED, 9)
    journal.fails = True
    with pytest.raises(JournalUnavailable):
        asyncio.run(minutes.write(store, journal, SCRIBE))
    journal.fails = False
    assert asyncio.run(minutes.write(store, journal, SCRIBE)) == 1


def test_the_ledger_shows_how_it_stands_now_however_often_a_change_is_told(store, tmp_path):
    journal = Appended()
    store.ask(ASKED, 9)
    asyncio.run(minutes.write(store, journal, SCRIBE))
    store.rule("apr_1", Ruling(True, "ann", AT + 5, AT + HOUR, "fine", "session", '{"n":2}'))
    asyncio.run(minutes.write(store, journal, SCRIBE))
    journal.append(journal[-1])
    journal.append(journal[0])
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate(journal)), 9, bytes(32))])
    answer = ledger.query("SELECT * FROM approvals", 10)
    ledger.close()
    [row] = [dict(zip(answer.columns, values, strict=True)) for values in answer.rows]
    assert json.loads(json.dumps(row)) == {
        "id": "apr_1", "change": 2, "state": "approved", "created_at": "2026-09-21T14:13:20.000000Z",
        "expires_at": "2026-09-21T15:13:20.000000Z", "agent": "coder", "team": "t", "user": "u", "session": "ses",
        "exchange_id": "x1", "decision_id": "dec_1", "tool": "pay", "arguments": '{"n":1}', "policy": "bank", "rule": "big",
        "policy_hash": "h", "message": "much", "four_eyes": True, "decided_by": "ann",
        "decided_at": "2026-09-21T14:13:20.000005Z", "reason": "fine", "scope": "session", "edited": '{"n":2}', "used_at": None,
    }  # fmt: skip


def test_a_pause_is_on_record_with_who_and_why(tmp_path):
    sessions, journal = SqliteSessions(tmp_path / "state.sqlite"), Appended()
    sessions.pause("coder", by="eve", why="it loops", at_us=AT)
    assert asyncio.run(minutes.write_sessions(sessions, journal)) == 1
    sessions.close()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate(journal)), 9, bytes(32))])
    rows = ledger.query("SELECT session, agent, state, changed_by, why FROM stopped_sessions", 10).rows
    assert [tuple(row) for row in rows] == [("", "coder", "stopped", "eve", "it loops")]
    ledger.close()
