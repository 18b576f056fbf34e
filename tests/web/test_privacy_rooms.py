"""Reading, erasing and judging content on the admin plane: what is taken, what is refused, and that it is on record first."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.routing import Route

from gateway.answer import Answer
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Caller, Exchange, Rendered
from gateway.people.roles import Person
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Message, Request
from gateway.sealing import CannotOpen
from gateway.state.approvals import Approval, Bindings
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_data_keys import SqliteDataKeys
from gateway.stores import Batch, Refused
from gateway.stores.duckdb import Ledger
from gateway.trace.pens import everything
from gateway.trace.record import ContentRead, Ended, Erased, FeedbackGiven
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Links, Priced, Scribe
from gateway.trace.segments import Segment
from gateway.vault import Master, TenantVault
from gateway.verdict import Call, Verdict
from gateway.web.content import DAMAGED, ERASED, ContentDesk, Reader
from gateway.web.doors import ADMIN, Doors, Endpoint, Room
from gateway.web.erasure import ErasureDesk
from gateway.web.feedback import FeedbackDesk


async def _admin(_: Asked) -> Person:
    return ADMIN


def behind_doors(*rooms: tuple[str, str, Endpoint]) -> list[Route]:
    """For whoever holds the admin token."""
    return Doors([], [_admin]).routes(Room(method, path, endpoint, "erase") for method, path, endpoint in rooms)


NOW_US = 1_790_000_000_000_000
ADA, BOB = Caller("bot", "key1", team="red", user="ada"), Caller("bot", "key2", team="red", user="bob")
SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)


def identity(n: int, at_us: int = NOW_US - 3_600_000_000) -> str:
    return str(uuid.UUID(int=(at_us // 1000) << 80 | 7 << 76 | 2 << 62 | n))


X = identity(0)


class House:
    """A ledger with an exchange of each of two users, sealed, and the rooms above it."""

    def __init__(self, folder) -> None:
        self.keys = SqliteDataKeys(folder / "data-keys.sqlite")
        self.vault = TenantVault(self.keys, Master([b"m" * 32]), lambda: NOW_US)
        self.scribe = Scribe(b"k" * 32, Redactor(()), detect=everything, vault=self.vault)
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.approvals = SqliteApprovals(folder / "state.sqlite")
        self.written: list[Any] = []
        self.full = False
        self.encrypted = True
        self._at = 0
        for n, caller in enumerate((ADA, BOB)):
            self.apply(self.ended(n, caller))

    def ended(self, n: int, caller: Caller) -> Ended:
        said = Message("user", b'{"role":"user","content":"my word"}', "my word")
        system = Message("system", b'{"role":"system","content":"be kind"}', "be kind")
        request = Request("openai.chat", "m", False, (system, said), (), b"")
        caller = msgspec.structs.replace(caller, session=f"session of {caller.user}", session_source="x-session-id")
        x = Exchange(identity(n), NOW_US, "openai.chat", "/v1", caller, request, answer=Answer(text="hello"), state="complete")
        found = fingerprint(request)
        x.prompt_hash = found.hash
        x.calls = [(Call("c", "pay", '{"to":"Eve"}', {"to": "Eve"}, 0), Verdict("deny", False, "rule", "not to Eve", policy="p", rule="r"))]
        addresses, messages = self.scribe.texts.request_messages(x, NOW_US)
        response, answered = self.scribe.texts.response_message(x, NOW_US)
        call = self.scribe.call(x, *x.calls[0], decision=f"dec_{n}", decided_us=NOW_US, judged_us=1)
        row = self.scribe.exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links(addresses, response))
        x.rendered = Rendered("support", "4be1c09d", "production", {"shop": "at Eve's"})
        return Ended(row, (call,), (), messages + answered, self.scribe.texts.prompt(x, found, NOW_US), rendered=self.scribe.rendered(x))

    def apply(self, record: Any) -> None:
        self._at += 100
        self.ledger.apply([Batch(SEGMENT, [(self._at, record)], self._at + 100, b"h" * 32)])

    async def write(self, record: Any) -> None:
        if self.full:
            raise JournalUnavailable("the disk is full")
        self.written.append(record)
        self.apply(record)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        reader = Reader(self.ledger.fetch, self.vault.open)
        ids = iter(range(100, 10_000))
        clock = (lambda: NOW_US, lambda: identity(next(ids) + len(self.written), NOW_US))
        content = ContentDesk(reader, self.write, *clock)
        erasure = ErasureDesk(self.keys if self.encrypted else None, self.approvals, self.write, *clock)
        feedback = FeedbackDesk(self.ledger.fetch, self.write, self.scribe, reader, *clock)
        app = Starlette(
            routes=behind_doors(
                ("GET", "/exchanges/{id}", content.exchange),
                ("POST", "/erase", erasure.erase),
                ("GET", "/feedback", feedback.listed),
                ("POST", "/feedback", feedback.said),
                ("POST", "/feedback/own", feedback.own),
            )
        )

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://book") as client:
                return await client.request(method, path, **more)

        return asyncio.run(go())

    def close(self) -> None:
        self.ledger.close()
        self.keys.close()
        self.approvals.close()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture(scope="module")
def closed_house(tmp_path_factory):
    """Where nothing is ever written: for what is refused."""
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    assert house.written == []
    house.close()


def show(house: House, n: int = 0) -> Mapping[str, Any]:
    answer = house.send("GET", f"/exchanges/{identity(n)}", params={"by": "ann"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_exchange_is_shown_whole_and_opened(house):
    told = show(house)
    assert [each["body"] for each in told["messages"]] == ['{"role":"system","content":"be kind"}', '{"role":"user","content":"my word"}']
    assert '"content":"hello"' in told["answer"]["body"]
    assert told["prompt"]["system"] == "be kind"
    assert (told["rendered"]["name"], told["rendered"]["variables"]) == ("support", '{"shop":"at Eve\'s"}')
    assert (told["calls"][0]["arguments"], told["exchange"]["input_preview"]) == ('{"to":"Eve"}', "my word")
    columns = (("body", "messages"), ("arguments", "calls"), ("variables", "prompts_rendered"))
    sealed = [row for column, table in columns for row in house.ledger.query(f"SELECT {column} FROM {table}", 10).rows]
    assert all(text.startswith("enc:1:") for (text,) in sealed)
    assert "Eve" not in repr(house.ledger.query("SELECT * FROM calls", 10))


def test_a_reading_is_on_record_and_what_cannot_be_recorded_is_not_read(house):
    assert house.send("GET", f"/exchanges/{identity(0)}", params={"by": "ann", "why": "a complaint"}).status_code == 200
    (record,) = house.written
    assert isinstance(record, ContentRead)
    rows = house.ledger.query("SELECT who, what, subject, why FROM content_reads", 10).rows
    assert rows == [["ann", "exchange", identity(0), "a complaint"]]
    house.full = True
    refused = house.send("GET", f"/exchanges/{identity(0)}", params={"by": "ann"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "audit_unavailable")
    assert "my word" not in refused.text


@pytest.mark.parametrize("params", [{}, {"by": ""}, {"by": "a\nb"}, {"by": "ann", "why": "x" * 501}])
def test_nobody_in_particular_reads_nothing(closed_house, params):
    assert closed_house.send("GET", f"/exchanges/{identity(0)}", params=params).status_code == 400
    assert closed_house.written == []


def test_what_is_not_there_is_not_found_and_not_recorded(closed_house):
    assert closed_house.send("GET", f"/exchanges/{identity(9)}", params={"by": "ann"}).status_code == 404
    assert closed_house.written == []


def test_an_erased_user_is_unreadable_everywhere_and_facts_stay(house):
    done = house.send("POST", "/erase", json={"tenant": "team:red", "user": "ada", "by": "ann", "why": "asked for"})
    assert done.status_code == 200
    told = show(house)
    assert {each["body"] for each in told["messages"]} == {ERASED}
    assert (told["calls"][0]["arguments"], told["calls"][0]["name"], told["calls"][0]["effect"]) == (ERASED, "pay", "deny")
    assert show(house, 1)["messages"][0]["body"] == '{"role":"system","content":"be kind"}'
    (erased,) = [record for record in house.written if isinstance(record, Erased)]
    assert list(erased.erasure.keys) == done.json()["keys"] != []
    assert house.ledger.query('SELECT who, tenant, "user", why FROM erasures', 9).rows == [["ann", "team:red", "ada", "asked for"]]


def test_the_prompts_of_an_erased_tenant_go_with_the_rest(house):
    house.send("POST", "/erase", json={"tenant": "team:red", "by": "ann"})
    assert show(house)["prompt"]["system"] == ERASED


def test_an_erasure_that_could_not_be_recorded_is_done_and_recorded_with_the_next(house):
    house.full = True
    assert house.send("POST", "/erase", json={"tenant": "team:red", "by": "ann"}).status_code == 503
    assert house.keys.every() == []
    house.full = False
    assert len(house.send("POST", "/erase", json={"tenant": "team:red", "by": "ann"}).json()["keys"]) == 2


def test_approvals_of_whom_is_erased_are_forgotten_and_those_of_others_are_not(house):
    for name, team, user in (("apr_1", "red", "ada"), ("apr_2", "red", "bob"), ("apr_3", "blue", "ada"), ("apr_4", "red", None)):
        bound = Bindings(name, name, name)
        asked = Approval(name, NOW_US, NOW_US + 9, bound, "bot", "", "pay", "{}", "p", "r", "", "d", "x", team=team, user=user)
        house.approvals.ask(asked, 99)
    house.send("POST", "/erase", json={"tenant": "team:red", "user": "ada", "by": "ann"})
    assert {each.id for each in house.approvals.every()} == {"apr_2", "apr_3", "apr_4"}
    house.send("POST", "/erase", json={"tenant": "team:red", "by": "ann"})
    assert {each.id for each in house.approvals.every()} == {"apr_3"}


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"tenant":"red","by":"ann"}', b'{"tenant":"team:red"}', b'{"tenant":"team:red","by":" "}',
        b'{"tenant":"team:red","by":"a","by":"b"}', b'{"tenant":"team:red","by":"ann","all":true}', b"x" * 300_000,
    ],
)  # fmt: skip
def test_an_unclear_erasure_erases_nothing(closed_house, body):
    assert closed_house.send("POST", "/erase", content=body).status_code == 400
    assert len(closed_house.keys.every()) == 2


def test_where_nothing_is_encrypted_an_erasure_says_so(house):
    house.encrypted = False
    refused = house.send("POST", "/erase", json={"tenant": "team:red", "by": "ann"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_encrypted")
    assert house.written == []


def own(house: House, caller: Caller, **feedback: Any) -> httpx.Response:
    who = {"agent": caller.agent, "team": caller.team, "user": caller.user, "key_id": caller.key_id, "org": caller.org}
    return house.send("POST", "/feedback/own", json={"feedback": feedback, **who})


def test_feedback_of_a_caller_about_its_own_is_on_record_when_answered(house):
    answers = [
        own(house, ADA, exchange=identity(0), score=0.5, comment="too long"),
        own(house, ADA, decision="dec_0", label="wrong", name="correct"),
        own(house, ADA, session="session of ada", score=1),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    rows = house.ledger.query("SELECT who, source, name, exchange_id, decision_id, session, score, label FROM feedback ORDER BY id", 9).rows
    assert rows == [
        ["bot", "caller", "feedback", identity(0), None, "session of ada", 0.5, None],
        ["bot", "caller", "correct", identity(0), "dec_0", "session of ada", None, "wrong"],
        ["bot", "caller", "feedback", None, None, "session of ada", 1.0, None],
    ]
    comment = next(row.feedback.comment for row in house.written if isinstance(row, FeedbackGiven))
    assert comment.startswith("enc:1:")
    assert house.send("GET", "/feedback", params={"exchange": identity(0)}).json()["feedback"][1]["comment"] == "too long"


@pytest.mark.parametrize("about", [{"exchange": X}, {"decision": "dec_0"}, {"session": "session of ada"}, {"exchange": "nonsense"}])
@pytest.mark.parametrize("caller", [BOB, Caller("other"), Caller("bot", team="red"), Caller("bot", team="blue", user="ada"),
                                    Caller("bot", team="red", user="ada", org="acme")])  # fmt: skip
def test_what_is_anothers_looks_like_what_is_not_there(closed_house, about, caller):
    refused = own(closed_house, caller, **about, score=1)
    (what,) = about
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, f"unknown_{what}")
    assert closed_house.written == []


def test_a_person_speaks_about_anything(house):
    said = house.send("POST", "/feedback", json={"by": "ann", "feedback": {"session": "session of bob", "comment": "fine"}})
    assert said.status_code == 201
    rows = house.ledger.query('SELECT who, source, agent, "user", session FROM feedback', 9).rows
    assert rows == [["ann", "person", "bot", "bob", "session of bob"]]
    assert "fine" in house.send("GET", "/feedback").text


def test_what_is_said_of_a_session_is_of_the_organisation_whose_exchange_it_is_about(house):
    house.apply(house.ended(2, Caller("bot", "key3", team="red", user="eve", org="acme")))
    said = house.send("POST", "/feedback", json={"by": "ann", "feedback": {"session": "session of eve", "comment": "fine"}})
    assert said.status_code == 201
    seen = {to: house.ledger.fetch("SELECT session FROM feedback", {}, frozenset({to})) for to in ("red", "acme/red", "acme/*", "zeta/red")}
    assert {to: [row["session"] for row in rows] for to, rows in seen.items()} == {
        "red": [], "acme/red": ["session of eve"], "acme/*": ["session of eve"], "zeta/red": []
    }  # fmt: skip


def test_a_comment_goes_with_the_content_of_the_organisation_it_is_about(house):
    house.apply(house.ended(2, Caller("bot", "key3", team="red", user="eve", org="acme")))
    for user in ("ada", "eve"):
        assert house.send("POST", "/feedback", json={"by": "ann", "feedback": {"session": f"session of {user}", "comment": f"of {user}"}})
    assert house.send("POST", "/erase", json={"tenant": "team:acme/red", "by": "ann"}).status_code == 200
    told = house.send("GET", "/feedback").text
    assert ("of ada" in told, '"of eve"' in told) == (True, False)


def test_what_is_too_young_to_be_in_the_book_is_to_be_sent_again(closed_house):
    young = own(closed_house, ADA, exchange=identity(7, NOW_US - 1_000_000), score=1)
    assert (young.status_code, young.json()["error"]["code"]) == (503, "not_yet")
    assert own(closed_house, ADA, decision="dec_" + identity(7, NOW_US).replace("-", ""), score=1).status_code == 503


UNCLEAR = [
    {}, {"exchange": X}, {"score": 1}, {"exchange": X, "session": "s", "score": 1}, {"exchange": "", "score": 1},
    {"exchange": X, "label": "a\nb"},
    {"exchange": X, "label": "x" * 65}, {"exchange": X, "comment": "x" * 4001}, {"exchange": X, "score": 1, "name": "no spaces"},
    {"exchange": X, "score": "1"}, {"exchange": X, "score": 1, "more": 1}, {"exchange": X, "comment": ""},
]  # fmt: skip


@pytest.mark.parametrize("feedback", UNCLEAR, ids=str)
def test_unclear_feedback_is_refused(closed_house, feedback):
    assert own(closed_house, ADA, **feedback).status_code == 400
    assert closed_house.written == []


TWICE = b'{"feedback":{"exchange":"a","score":1,"score":2},"agent":"bot"}'


@pytest.mark.parametrize("body", [TWICE, b"[]", b'{"by":"ann"}', b'{"by":"","feedback":{}}'])
@pytest.mark.parametrize("path", ["/feedback", "/feedback/own"])
def test_a_body_of_another_form_is_refused(closed_house, path, body):
    assert closed_house.send("POST", path, content=body).status_code == 400


def test_feedback_that_cannot_be_recorded_is_not_taken(house):
    house.full = True
    assert own(house, ADA, exchange=X, score=1).json()["error"]["code"] == "audit_unavailable"


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
def test_a_list_of_feedback_has_a_limit(closed_house, limit):
    assert closed_house.send("GET", "/feedback", params={"limit": limit}).status_code == 400


def test_a_ledger_that_cannot_be_read_is_said(house):
    def closed(sql, params, teams=None):
        raise Refused("unavailable", "the ledger is being opened")

    house.ledger.fetch = closed
    asked = house.send("GET", f"/exchanges/{X}", params={"by": "ann"}), house.send("GET", "/feedback")
    for answer in (*asked, own(house, ADA, exchange=X, score=1)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_what_was_changed_or_has_no_key_here_is_marked_and_the_rest_is_shown(house):
    def damaged(text, about):
        if about.startswith("call:"):
            raise CannotOpen(about)
        return house.vault.open(text, about)

    reader = Reader(house.ledger.fetch, damaged)
    told = reader.exchange(X)
    assert (told["calls"][0]["arguments"], told["exchange"]["output_preview"]) == (DAMAGED, "hello")


def test_a_state_store_that_is_gone_is_said(house):
    def gone(text, about):
        raise GatewayError("unavailable", "state_unavailable", "try again")

    house.vault.open = gone
    assert house.send("GET", f"/exchanges/{X}", params={"by": "ann"}).status_code == 503
