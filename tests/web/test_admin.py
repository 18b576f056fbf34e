"""The admin plane: who may ask, under which name, what comes back, and that a tail neither misses nor repeats."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.approval_settings import Approvals
from gateway.errors import JournalUnavailable
from gateway.question.office import Office
from gateway.question.snapshots import Snapshot, Snapshots
from gateway.question.wire import Question, Reply
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.stores import Answer, Refused
from gateway.stores.duckdb import Ledger
from gateway.stores.sight import Narrowed
from gateway.trace.record import Asked, Record
from gateway.web import admin
from gateway.web.admin import Status
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import Doors, Room, admin_token
from gateway.web.tail import Tail
from tests.patience import PATIENCE_S

TOKEN = "tha_" + "x" * 40
DOORS = Doors([admin_token(TOKEN)])
OFFICE = Office()
HEADERS = {"authorization": f"Bearer {TOKEN}"}


class Desk:
    """A book with a real ledger, a status that is set, and a past that is set."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = Status(ready=True, lag_bytes=0, records=3, ledger="v")
        self.past: list[tuple[str, bytes]] = []
        self.written: list[Record] = []
        self.full = False
        self.tails: list[Tail] = []
        self.approvals = SqliteApprovals(Path(tempfile.mkdtemp()) / "state.sqlite")

    def status(self) -> Status:
        return self.now

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        return self.ledger.query(sql, limit, params)

    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        return OFFICE.ask(self.ledger if teams is None else Narrowed(self.ledger, teams), question)

    def snapshot(self, since: str | None = None, *, parquet: bool = False) -> Snapshot:
        return Snapshots(Path(tempfile.mkdtemp())).make(self.ledger, self.ledger.views(), since=since, parquet=parquet)

    async def write(self, record: Record) -> None:
        if self.full:
            raise JournalUnavailable("no space left on device")
        self.written.append(record)

    def views(self) -> Mapping[str, Mapping[str, str]]:
        return self.ledger.views()

    def subscribe(self) -> Tail:
        tail = Tail(asyncio.get_running_loop(), self.tails.remove)
        self.tails.append(tail)
        return tail

    def history(self, since: str) -> Sequence[tuple[str, bytes]]:
        if since == "never":
            raise Refused("sql_error", "never is no time")
        return self.past


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.duckdb")
    yield opened
    OFFICE.close()
    opened.close()


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


async def _brewed(_request: Request) -> Response:
    return Response()


ROOMS = [Room(*each, _brewed, "see-metadata") for each in (("GET", "/tea"), ("POST", "/tea"), ("POST", "/tea/{id}/brew"))]


REACHED = "10.1.2.3"
"""Where a listener that is bound to every address of its machine was connected to."""


def send(
    desk: Desk, method: str, path: str, *, host: str = "127.0.0.1:8485", headers: Mapping[str, str] = HEADERS, **more: Any
) -> httpx.Response:
    people = ApprovalsDesk(desk.approvals, Approvals(), lambda: 5_000_000)

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(admin.create(desk, DOORS, ["127.0.0.1", "localhost", "::1"], people, ROOMS))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{REACHED}:8485", headers={"host": host}) as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(go())


def test_live_and_ready_need_no_token(desk: Desk) -> None:
    assert send(desk, "GET", "/livez", headers={}).json() == {"live": True}
    assert send(desk, "GET", "/readyz", headers={}).status_code == 200


def test_not_ready_is_503_and_says_what_is_wrong(desk: Desk) -> None:
    desk.now = Status(ready=False, lag_bytes=7, records=3, ledger="v", problem="disk full", quarantined={"a.log": "offset 4"})
    answer = send(desk, "GET", "/readyz", headers={})
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False, "lag_bytes": 7, "records": 3, "ledger": "v", "problem": "disk full",
        "quarantined": {"a.log": "offset 4"}, "warnings": [], "counters": {},
    }  # fmt: skip


GUARDED = [("POST", "/sql"), ("GET", "/tail"), ("GET", "/queries"), ("GET", "/queries/latest_decisions")]
GUARDED += [("GET", "/views"), ("POST", "/snapshots")]
GUARDED += [("GET", "/approvals"), ("GET", "/approvals/apr_1"), ("POST", "/approvals/apr_1/approve"), ("POST", "/approvals/apr_1/deny")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"])
def test_everything_else_needs_the_exact_token(desk: Desk, method: str, path: str, given: str | None) -> None:
    headers = httpx.Headers([(b"authorization", given.encode("latin-1"))] if given is not None else [])
    answer = send(desk, method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8485", "[::2]:8485", "169.254.169.254"])
def test_a_request_addressed_to_another_name_is_refused(desk: Desk, host: str) -> None:
    for path in ("/livez", "/queries"):
        answer = send(desk, "GET", path, host=host)
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8485", "LOCALHOST", "[::1]:8485", "[::1]"])
def test_its_own_names_are_accepted_with_any_port(desk: Desk, host: str) -> None:
    assert send(desk, "GET", "/livez", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", [REACHED, f"{REACHED}:9", f"[::ffff:{REACHED}]:8485"])
def test_the_address_that_was_connected_to_is_accepted(desk: Desk, host: str) -> None:
    assert send(desk, "GET", "/livez", host=host).status_code == 200


def test_two_host_headers_are_refused(desk: Desk) -> None:
    headers = httpx.Headers([("host", "localhost"), ("host", "evil.example")])
    assert send(desk, "GET", "/livez", headers=headers).status_code == 421


@pytest.mark.parametrize(
    "path",
    ["/queries/", "/%71ueries", "/queries%2flatest_decisions", "/queries/latest_decision%73", "/tail/", "/livez/", "/livez%00", "//livez"],
)
@pytest.mark.parametrize("headers", [HEADERS, {}])
def test_only_the_listed_spelling_of_a_path_is_served(desk: Desk, path: str, headers: Mapping[str, str]) -> None:
    answer = send(desk, "GET", path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("limit", ["²", "-1", "1e3", "9" * 400, "", "x", "１"])
def test_a_limit_that_is_no_number_is_the_usual_one(desk: Desk, limit: str) -> None:
    assert send(desk, "GET", "/queries/latest_decisions", params={"limit": limit}).status_code == 200


def test_a_question_is_answered(desk: Desk) -> None:
    answer = send(desk, "POST", "/sql", json={"sql": "SELECT i, $a AS a FROM range(3) r(i)", "limit": 2, "params": {"a": "x"}}).json()
    assert answer.pop("elapsed_ms") >= 0
    assert answer == {"columns": ["i", "a"], "types": ["BIGINT", "VARCHAR"], "rows": [[0, "x"], [1, "x"]], "truncated": True}


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [("DROP TABLE calls", 403, "sql_refused"), ("SELECT * FROM duckdb_settings()", 403, "sql_refused"), ("SELECT nope", 400, "sql_error")],
)
def test_a_question_that_may_not_be_asked_is_refused_with_its_reason(desk: Desk, sql: str, status: int, code: str) -> None:
    answer = send(desk, "POST", "/sql", json={"sql": sql})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"sql": 1}', b'{"limit": 1}', b"\xff", b'{"sql": "SELECT 1", "params": {"a": [1]}}'])
def test_a_body_that_is_no_question_is_a_bad_request(desk: Desk, body: bytes) -> None:
    assert send(desk, "POST", "/sql", content=body).status_code == 400


def test_a_huge_question_is_refused(desk: Desk) -> None:
    assert send(desk, "POST", "/sql", content=b" " * (admin.MAX_BODY + 1)).status_code == 413


def test_every_answer_forbids_caching_and_sniffing(desk: Desk) -> None:
    for path in ("/livez", "/queries", "/nowhere"):
        headers = send(desk, "GET", path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"] == "application/json"


def test_unknown_paths_and_methods_are_said_in_json(desk: Desk) -> None:
    assert send(desk, "GET", "/nowhere").json()["error"]["code"] == "not_found"
    assert send(desk, "GET", "/sql").json()["error"]["code"] == "method"


def test_what_there_is_is_told_of_every_room(desk: Desk) -> None:
    told = send(desk, "GET", "/nowhere").json()["error"]["message"]
    assert {"/sql", "/approvals", "/queries", "/tea"} <= set(told.split())
    taken = {path: send(desk, "PUT", path).json()["error"]["message"] for path in ("/tea", "/tea/1/brew", "/sql")}
    assert taken == {"/tea": "this takes GET and POST", "/tea/1/brew": "this takes POST", "/sql": "this takes POST"}


def test_every_shipped_query_is_listed_shown_and_runs(desk: Desk) -> None:
    listed = send(desk, "GET", "/queries").json()["queries"]
    assert len(listed) >= 8
    for query in listed:
        shown = send(desk, "GET", f"/queries/{query['name']}?show").json()
        assert shown["sql"].startswith(f"-- title: {query['title']}")
        answer = send(desk, "GET", f"/queries/{query['name']}")
        assert answer.status_code == 200, (query, answer.text)
        assert answer.json()["columns"]


def test_a_query_takes_its_parameters_from_the_query_string(desk: Desk) -> None:
    asked: list[tuple[int, Mapping[str, Any] | None]] = []
    desk.query = lambda sql, limit, params=None: (asked.append((limit, params)), Answer([], [], [], False, 0))[1]  # type: ignore[method-assign]
    assert send(desk, "GET", "/queries/cost_by_agent_and_day?days=2&limit=5&other=1").status_code == 200
    assert send(desk, "GET", "/queries/cost_by_agent_and_day?limit=x").status_code == 200
    assert asked == [(5, {"days": "2"}), (1000, {"days": "30"})]
    assert send(desk, "GET", "/queries/nothing").status_code == 404
    assert send(desk, "GET", "/queries/..%2F..%2Fetc").status_code == 404


def line(kind: str, key: str) -> bytes:
    return msgspec.json.encode({"record": kind, "id": key}) + b"\n"


def test_a_tail_that_does_not_follow_tells_the_past_and_ends(desk: Desk) -> None:
    desk.past = [("a", line("call", "a")), ("b", line("exchange", "b"))]
    answer = send(desk, "GET", "/tail?since=2020-01-01&follow=0")
    assert answer.content == line("call", "a") + line("exchange", "b")
    assert desk.tails == []


def test_a_tail_since_no_time_is_refused_and_leaves_no_listener(desk: Desk) -> None:
    assert send(desk, "GET", "/tail?since=never").status_code == 400
    assert desk.tails == []


def test_what_is_both_past_and_live_is_told_once(desk: Desk) -> None:
    desk.past = [("a", line("call", "a"))]

    async def listen() -> bytes:
        live = desk.subscribe()
        live.put([line("call", "a"), line("call", "b"), None])
        return b"".join([each async for each in admin._lines(desk.past, live, follow=True)])

    assert asyncio.run(listen()) == line("call", "a") + line("call", "b")
    assert desk.tails == []


def test_a_quiet_tail_says_that_it_is_alive(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "HEARTBEAT_S", 0.01)

    async def listen() -> list[bytes]:
        live = desk.subscribe()
        lines = admin._lines([], live, follow=True)
        first = await anext(lines)
        live.put([line("call", "a"), None])
        return [first, *[each async for each in lines]]

    heard = asyncio.run(listen())
    assert heard[0] == b"\n"
    assert heard[-1] == line("call", "a")


def test_a_slow_question_does_not_keep_others_from_health(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slow_answer(*_: object) -> Reply:
        released.wait(PATIENCE_S)
        return Reply(b"{}", 0, truncated=False)

    async def go() -> list[int]:
        monkeypatch.setattr(desk, "ask", slow_answer)
        transport = httpx.ASGITransport(admin.create(desk, DOORS, ["127.0.0.1"], ApprovalsDesk(desk.approvals, Approvals(), lambda: 1)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HEADERS) as client:
            slow = [asyncio.create_task(client.post("/sql", json={"sql": "x"})) for _ in range(admin.QUERIES_AT_ONCE + 2)]
            await asyncio.sleep(0.05)
            live = await client.get("/livez")
            released.set()
            return [live.status_code, *[(await each).status_code for each in slow]]

    assert set(asyncio.run(go())) == {200}


def test_queries_are_read_with_title_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "plain.sql").write_text("SELECT 1")
    (tmp_path / "full.sql").write_text("-- title: Full\n-- param: days = 7\n-- param: agent = %\nSELECT 1")
    (tmp_path / "marked.sql").write_bytes(b"\xef\xbb\xbf-- title: Marked\nSELECT 1")
    (tmp_path / "notes.md").write_text("Of these queries.")
    found = {name: query for name, query in admin.queries.read_all(tmp_path).items() if query.own}
    assert list(found) == ["full", "marked", "plain"]
    assert (found["marked"].title, found["marked"].sql) == ("Marked", "-- title: Marked\nSELECT 1")
    assert (found["full"].title, found["full"].params) == ("Full", {"days": "7", "agent": "%"})
    assert (found["plain"].title, found["plain"].params) == ("plain", {})


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("cost-by-team.sql", b"SELECT 1", "name the file in small letters, digits and _"),
        ("Cost.sql", b"SELECT 1", "name the file in small letters, digits and _"),
        ("cost.SQL", b"SELECT 1", "with .sql behind them"),
        ("cost.sql", b" \n", "cost.sql is empty"),
        ("cost.sql", b"\xff", "cost.sql cannot be read: "),
    ],
)
def test_a_query_of_ones_own_that_cannot_be_asked_is_listed_and_says_why(tmp_path: Path, file: str, data: bytes, said: str) -> None:
    (tmp_path / file).write_bytes(data)
    (found,) = [query for query in admin.queries.read_all(tmp_path).values() if query.own]
    assert found.name in (file, file.removesuffix(".sql"))
    assert (said in found.title, found.sql) == (True, "")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/html, application/vnd.apache.parquet;q=0.5, text/csv;q=0.1", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("text/csv;q=nonsense, application/json;q=0.1", "application/json"),
    ],
)
def test_an_answer_comes_in_the_form_that_is_wanted(desk: Desk, accept: str, kind: str) -> None:
    answer = send(desk, "POST", "/sql", headers={**HEADERS, "accept": accept}, json={"sql": "SELECT * FROM range(3)", "limit": 2})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert (answer.headers["tollhouse-rows"], answer.headers["tollhouse-truncated"]) == ("2", "true")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("attachment" in answer.headers.get("content-disposition", "")) == (kind != "application/json")


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0"])
def test_a_form_nobody_can_make_is_said(desk: Desk, accept: str) -> None:
    answer = send(desk, "POST", "/sql", headers={**HEADERS, "accept": accept}, json={"sql": "SELECT 1"})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sql", "position", "line"),
    [
        ("SELECT agent\nFROM nowhere", 18, "LINE 2: FROM nowhere"),
        ("SELECT '🦀',\n  getenv('HOME')", 14, "LINE 2:   getenv('HOME')"),
        ("SELECT 1,\n\n 2 +", 15, "LINE 3:  2 +"),
        ("SELEC 1", 0, "LINE 1: SELEC 1"),
        ("SELECT *\nFROM calls\nWHERE nope = 1", None, "LINE 3: WHERE nope = 1"),
    ],
)
def test_an_error_points_at_its_place(desk: Desk, sql: str, position: int | None, line: str) -> None:
    error = send(desk, "POST", "/sql", json={"sql": sql}).json()["error"]
    assert error.get("position") == position
    assert line in error["message"]
    if line:
        shown, caret = error["message"].split(line)[1].split("\n")[:2]
        assert shown == ""
        at = len(caret) - 1 - len("LINE 1: ")
        assert 0 <= at <= len(sql.split("\n")[int(line[5]) - 1])


def test_what_can_be_asked_about_is_listed_with_its_columns_and_types(desk: Desk) -> None:
    views = send(desk, "GET", "/views").json()["views"]
    assert set(views) == desk.ledger._catalogue.public
    assert list(views["calls"].items())[:3] == [("exchange_id", "VARCHAR"), ("id", "VARCHAR"), ("decided_at", "TIMESTAMP")]
    assert views["cost_daily"]["cost"].startswith("DECIMAL")


def test_every_question_is_on_record_with_its_outcome(desk: Desk) -> None:
    for sql in ("SELECT * FROM range(3)", "DROP TABLE calls", "SELECT * FROM duckdb_settings()"):
        send(desk, "POST", "/sql", json={"sql": sql, "limit": 2})
    asked = [each.question for each in desk.written if isinstance(each, Asked)]
    assert [(each.outcome, each.row_count, each.truncated) for each in asked] == [
        ("answered", 2, True), ("sql_refused", None, None), ("sql_refused", None, None),
    ]  # fmt: skip
    assert asked[0].sql == "SELECT * FROM range(3)"
    assert asked[0].elapsed_us is not None
    assert asked[0].elapsed_us > 0


def test_no_answer_leaves_that_is_not_on_record(desk: Desk) -> None:
    desk.full = True
    answer = send(desk, "POST", "/sql", json={"sql": "SELECT 1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")


def test_a_snapshot_is_made_where_the_book_keeps_them(desk: Desk) -> None:
    made = send(desk, "POST", "/snapshots", json={"since": "2026-01-01"}).json()
    assert Path(made["path"]).is_file()
    assert send(desk, "POST", "/snapshots", content=b"").status_code == 200
    assert (Path(send(desk, "POST", "/snapshots", json={"parquet": True}).json()["path"]) / "calls.parquet").is_file()
    assert send(desk, "POST", "/snapshots", json={"since": "no time"}).json()["error"]["code"] == "bad_since"
    for wrong in ({"since": 1}, {"out": "/etc/passwd"}, []):
        assert send(desk, "POST", "/snapshots", json=wrong).status_code == 400
