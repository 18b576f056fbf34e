"""People who are bound to a team, an organisation's team or an organisation: through every route they get what the answer would be if
nobody else were there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import nanoarrow as na
import pytest

from gateway.approval_settings import Approvals
from gateway.config import Settings
from gateway.moving_labels import Labels
from gateway.people.roles import Person
from gateway.privacy import rooms
from gateway.question.office import Office
from gateway.question.wire import Question, Reply
from gateway.rollout.ruling import Rulings
from gateway.state.approvals import Approval, Bindings
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.stores import Answer, Batch, Refused, sight, sums
from gateway.stores.cursors import cursor_of
from gateway.stores.duckdb import Ledger
from gateway.stores.lending import Need
from gateway.stores.sight import Narrowed
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow, MessageRow
from gateway.trace.people_rows import ApprovalRow, FeedbackRow, SessionRow
from gateway.trace.prompt_rows import PromptRow, RenderedRow
from gateway.trace.record import ApprovalChanged, Ended, FeedbackGiven, Record, SessionChanged
from gateway.trace.segments import Segment
from gateway.verdict import Finding, Ran
from gateway.web import admin
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import Doors
from gateway.web.export import OF_TEAMS
from gateway.web.tail import Tail, past

NOW_US = 1_790_000_000_000_000
OFFICE = Office()
ID = "00000000-0000-7000-8000-00000000000{}"
RED, BLUE, NONE, ACME, ZETA, MORE, NOBODYS = 1, 2, 3, 4, 5, 6, 9
"""Numbers of exchanges and what belongs to them; nothing has the last."""
WORDS = {RED: "REDWORD", BLUE: "BLUEWORD", NONE: "NONEWORD", ACME: "ACMEWORD", ZETA: "ZETAWORD", MORE: "MOREWORD", NOBODYS: "NOBODYWORD"}
"""Each stands in every text of it, and in nothing that is packed or random."""
WHOSE = {RED: (None, "red"), BLUE: (None, "blue"), NONE: (None, None), ACME: ("acme", "red"), ZETA: ("zeta", "red"), MORE: ("acme", None)}
SEEN = {"red": (RED,), "acme/red": (ACME,), "acme/*": (ACME, MORE)}
"""What somebody sees, by what they are bound to."""


def records(n: int) -> list[Record]:
    """All that is on record of one exchange."""
    word, (org, team) = WORDS[n], WHOSE[n]
    exchange = ExchangeRow(
        ID.format(n), NOW_US + n, "openai.chat", "openai", "chat", "/v1/chat/completions", f"{word} agent", f"key{n}", team,
        f"{word} user", f"{word} session", request_model=f"{word} model", state="complete", cost="1.5", input_tokens=10, usage_raw="{}",
        input_preview=f"{word} said", output_preview=f"{word} heard", request_messages=(f"hash{word}", "hashall"),
        prompt_hash=f"prompt{word}", budgets=(f"b={word}",), org=org,
    )  # fmt: skip
    call = CallRow(
        exchange.id, f"dec_{n}", NOW_US, 0, "c", f"{word}_tool", "function", f'{{"to": "{word}"}}', "ab", "deny", False, "rule",
        f"{word} why", f"{word} agent",
    )  # fmt: skip
    heard = HeardRow(exchange.id, NOW_US, "request", "messages[0]", "bank", "mask", "redact", "enforce", message=f"{word} told")
    messages = (MessageRow(f"hash{word}", "user", f"{word} body", NOW_US), MessageRow("hashall", "user", "hello", NOW_US + n))
    prompt = PromptRow(f"prompt{word}", NOW_US, f"{word} agent", f"{word} system")
    asked = ApprovalRow(f"apr_{n}", 1, "pending", NOW_US, NOW_US + 9, f"{word} agent", team, exchange_id=exchange.id, arguments=f"{word}")
    about = {"exchange_id": exchange.id, "comment": f"{word} comment"}
    told = FeedbackRow(f"fb_{n}", NOW_US, f"{word}", "person", "helpful", f"{word} agent", team, **about)
    finding = Finding("policy", "hidden_tools", "info", "tools", f"{word} tools")
    ran = Ran(f"{word}_validator", "1", "output")
    rendered = RenderedRow(exchange.id, NOW_US, f"{word}_prompt", "v1")
    stop = SessionRow(f"{word} session", f"{word} agent", 1, "stopped", NOW_US, team, exchange_id=exchange.id)
    of_session = FeedbackRow(f"fb_s{n}", NOW_US, f"{word}", "person", "helpful", f"{word} agent", team, session=f"{word} session", org=org)
    return [
        Ended(exchange, (call,), (finding,), messages, prompt, (heard,), (ran,), rendered),
        ApprovalChanged(asked),
        FeedbackGiven(told),
        FeedbackGiven(of_session),
        SessionChanged(stop),
    ]


class House:
    """A whole admin plane over a real ledger; `send` asks as a person of all roles who is bound to what stands in the token."""

    def __init__(self, folder: Path, told: Sequence[Record]) -> None:
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate(told)), len(told), b"h" * 32)])
        self.approvals = SqliteApprovals(folder / "state.sqlite")
        self.written: list[Record] = []
        people = ApprovalsDesk(self.approvals, Approvals(), lambda: NOW_US)
        labels = Labels(None, folder, None, self.write, lambda: NOW_US, lambda: "id")
        more = rooms(Settings(), folder, self, self.approvals, labels, Rulings(None, labels, self.write, lambda: NOW_US, lambda: "id"))
        doors = Doors([self.proven])
        self.app = admin.create(self, doors, ["127.0.0.1"], people, more)  # type: ignore[arg-type]
        self.registered = [*admin.own_rooms(self, people, None), *more]  # type: ignore[arg-type]

    def proven(self, token: str) -> Person:
        return Person("ada", "Ada", frozenset({"admin"}), None if token == "all" else frozenset({token}))

    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        return OFFICE.ask(self.ledger if teams is None else Narrowed(self.ledger, teams), question)

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        return self.ledger.query(sql, limit, params)

    def views(self) -> Mapping[str, Mapping[str, str]]:
        return self.ledger.views()

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> Sequence[Mapping[str, Any]]:
        return self.ledger.fetch(sql, params, teams)

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        return self.ledger.arrow(sql, params)

    def history(self, since: str) -> Sequence[tuple[str, bytes]]:
        return past(self.ledger.query, since)

    def subscribe(self) -> Tail:
        tail = Tail(asyncio.get_running_loop(), lambda _: None)
        tail.end()
        return tail

    async def write(self, record: Record) -> None:
        self.written.append(record)

    def send(self, method: str, path: str, *, team: str = "red", **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, headers={"authorization": f"Bearer {team}"}, **more)

        return asyncio.run(go())

    def close(self) -> None:
        self.ledger.close()
        self.approvals.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    """Everybody's."""
    house = House(tmp_path_factory.mktemp("house"), [each for n in WHOSE for each in records(n)])
    for n, (org, team) in WHOSE.items():
        bound = Bindings(f"{n}", f"{n}", f"{n}")
        said_of = (f"{WORDS[n]}_tool", f'{{"to":"{WORDS[n]}"}}', "p", "r", "m", "d", "x")
        house.approvals.ask(Approval(f"apr_{n}", NOW_US - 9, NOW_US + 9**9, bound, "a", "s", *said_of, team=team, org=org), 9)
    yield house
    OFFICE.close()
    house.close()


@pytest.fixture(scope="module", params=SEEN)
def bound_to(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, House]]:
    """What somebody is bound to, and a house where nothing but that ever was."""
    alone = House(tmp_path_factory.mktemp("alone"), [each for n in SEEN[request.param] for each in records(n)])
    yield request.param, alone
    alone.close()


def others(to: str) -> list[str]:
    """What would tell of them."""
    return [WORDS[n] for n in WHOSE if n not in SEEN[to]]


def by_id(n: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Every way to name something by its id."""
    about = [{"exchange": ID.format(n)}, {"decision": f"dec_{n}"}, {"session": f"{WORDS[n]} session"}]
    return [
        ("GET", f"/exchanges/{ID.format(n)}", {}),
        ("GET", f"/approvals/apr_{n}", {}),
        ("POST", f"/approvals/apr_{n}/approve", {"json": {"reason": "x"}}),
        ("POST", f"/approvals/apr_{n}/deny", {"json": {}}),
        ("GET", f"/feedback?exchange={ID.format(n)}", {}),
        *(("POST", "/feedback", {"json": {"feedback": {"score": 1, **one}}}) for one in about),
        ("POST", "/dataset", {"json": {"ids": [ID.format(n)]}}),
        ("GET", f"/queries/exchange?id={ID.format(n)}", {}),
        ("POST", "/sql", {"json": {"sql": f"SELECT * FROM exchanges WHERE id = '{ID.format(n)}'"}}),
    ]


def said(answer: httpx.Response) -> tuple[int, str]:
    text = re.sub(r'"elapsed_us":\d+|"(elapsed|seconds|ms)[a-z_]*":[0-9.]+', "", answer.text)
    return answer.status_code, re.sub(r"(00000000-0000-7000-8000-00000000000|apr_|dec_)\d", "ID", text)


@pytest.mark.parametrize("at", range(len(by_id(RED))))
@pytest.mark.parametrize(("to", "other"), [(to, n) for to in SEEN for n in WHOSE if n not in SEEN[to]])
def test_what_is_anothers_looks_like_what_is_not_there(house: House, at: int, to: str, other: int) -> None:
    foreign, missing = (house.send(method, path, team=to, **more) for method, path, more in (by_id(other)[at], by_id(NOBODYS)[at]))
    assert said(foreign) == said(missing)
    assert WORDS[other] not in foreign.text
    assert house.approvals.find(f"apr_{other}").state == "pending"  # type: ignore[union-attr]


@pytest.mark.parametrize("at", [at for at, (method, path, _) in enumerate(by_id(RED)) if not path.startswith("/approvals/")])
@pytest.mark.parametrize(("to", "mine"), [(to, n) for to in SEEN for n in SEEN[to]])
def test_what_is_ones_own_is_there(house: House, at: int, to: str, mine: int) -> None:
    (method, path, more), (_, missing, less) = by_id(mine)[at], by_id(NOBODYS)[at]
    own = house.send(method, path, team=to, **more)
    assert own.status_code in {200, 201}
    assert said(own) != said(house.send(method, missing, team=to, **less))


def test_every_route_that_takes_an_id_and_narrows_is_among_them(house: House) -> None:
    tried = {(method, re.sub(r"[?].*", "", path)) for method, path, _ in by_id(RED)}
    for room in house.registered:
        if room.narrows and "{" in room.path and room.path != "/export/{what}":
            pattern = re.sub(r"\{\w+\}", "[^/]+", room.path)
            assert any(method == room.method and re.fullmatch(pattern, path) for method, path in tried), room.path


@pytest.mark.parametrize("path", ["/approvals", "/approvals?limit=1", "/feedback", *(f"/export/{view}" for view in OF_TEAMS)])
@pytest.mark.parametrize("to", SEEN)
def test_lists_and_exports_hold_ones_own_and_nothing_else(house: House, path: str, to: str) -> None:
    answer = house.send("GET", path, team=to)
    assert answer.status_code == 200
    assert any(WORDS[n].encode() in answer.content for n in SEEN[to])
    assert not [word for word in others(to) if word.encode() in answer.content]
    assert b"BLUE" in house.send("GET", path.replace("limit=1", "limit=9"), team="all").content


@pytest.mark.parametrize("path", ["/export/messages", "/export/content_reads", "/export/cost_by_agent_and_day", "/budgets"])
def test_what_is_everybodys_is_refused_with_a_reason(house: House, path: str) -> None:
    answer = house.send("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "bound_to_teams")


def lent(house: House, table: str, teams: frozenset[str] | None) -> list[dict[str, Any]]:
    """What the process that answers questions is lent of a table: all that it can ever know of it."""
    loan = house.ledger.loan([Need(table, list(house.ledger.shape().tables[table]), [[]])], teams)
    try:
        return sorted((row for batch in loan.rows(table) for row in na.Array(batch).to_pylist()), key=repr)
    finally:
        loan.close()


def test_whoever_answers_questions_is_lent_ones_own_rows_as_if_nobody_else_had_ever_been_there(
    house: House, bound_to: tuple[str, House]
) -> None:
    """Every base table; of one that cannot be told apart by team, nothing. What is answered follows from what is lent."""
    (to, alone), given = bound_to, set()
    for table in house.ledger.shape().tables:
        mine = lent(house, table, frozenset({to}))
        assert mine == lent(alone, table, frozenset({to})), table
        assert not [word for word in others(to) if word in repr(mine)]
        assert lent(house, table, frozenset()) == []
        given |= {table} if mine else set()
    theirs = {"exchanges_ended", "calls", "rule_hits", "findings", "feedback_told", "approval_changes", "session_changes", "exchange_sums"}
    assert theirs <= given
    assert not given & {"message_bodies", "prompt_bodies", "questions", "call_sums", "policy_files", "boots", "erasures_told"}


@pytest.mark.parametrize("view", ["exchanges", "calls", "approvals", "cost_daily", "messages", "quality"])
def test_sql_answers_as_if_nobody_else_had_ever_been_there(house: House, bound_to: tuple[str, House], view: str) -> None:
    to, alone = bound_to
    sql = {"sql": f"SELECT * FROM {view} ORDER BY ALL"}
    one, other = (each.send("POST", "/sql", team=to, json=sql) for each in (house, alone))
    assert (one.status_code, one.json()["rows"]) == (200, other.json()["rows"])
    assert not [word for word in others(to) if word in one.text]


@pytest.mark.parametrize("name", ["latest_decisions", "cost_by_agent_and_day", "tools_seen"])
def test_saved_questions_answer_as_if_nobody_else_had_ever_been_there(house: House, bound_to: tuple[str, House], name: str) -> None:
    to, alone = bound_to
    one, other = (each.send("GET", f"/queries/{name}?days=36500", team=to) for each in (house, alone))
    assert (one.status_code, one.json()["rows"]) == (200, other.json()["rows"])
    assert not [word for word in others(to) if word in one.text]


ESCAPES = [
    "SELECT * FROM exchanges WHERE team = 'blue'",
    "SELECT * FROM exchanges WHERE org = 'acme' AND team = 'red'",
    "SELECT * FROM exchanges WHERE team = 'red' OR team = 'blue' OR true",
    "SELECT count(*) AS n FROM exchanges HAVING count(*) > 1",
    "SELECT * FROM exchanges_ended",
    "SELECT * FROM ledger.main.exchanges_ended",
    "SELECT * FROM content.main.message_bodies",
    "SELECT * FROM message_copies",
    "SELECT * FROM query_table('exchanges')",
    "SELECT * FROM calls WHERE exchange_id NOT IN (SELECT id FROM exchanges)",
    "SELECT c.* FROM exchanges AS e RIGHT JOIN calls AS c ON c.exchange_id = e.id WHERE e.id IS NULL",
    "SELECT (SELECT max(agent) FROM exchanges WHERE team <> 'red')",
    "SELECT * FROM exchanges AS teams WHERE teams.team IN (SELECT unnest($teams::VARCHAR[]))",
    "SELECT * FROM (SELECT * FROM exchanges UNION ALL SELECT * FROM open_exchanges) WHERE team IS NULL",
    "SELECT * FROM exchanges ORDER BY started_at DESC LIMIT 5",
    "SELECT * FROM exchanges /* ') OR (true */ WHERE '1' = '1'",
    "WITH exchanges AS (SELECT * FROM calls) SELECT * FROM exchanges",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_no_words_of_a_question_reach_what_is_anothers(house: House, sql: str) -> None:
    answer = house.send("POST", "/sql", json={"sql": sql, "params": {"teams": "blue"} if "$teams" in sql else {}})
    assert not [word for word in others("red") if word in answer.text]
    assert answer.status_code in {200, 400, 403}


NOBODYS_NAMES = [
    "", "Red", "red ", "r", "%", "*", "red' OR '1'='1", "blue red", "none", "null", "None", "/*", "*/red", "*/*", "acme/", "acme/RED",
    "acme", "Acme/*", "acme/red/", "//red", "acme/**",
]  # fmt: skip


@pytest.mark.parametrize("team", NOBODYS_NAMES)
def test_a_team_is_its_exact_name(house: House, team: str) -> None:
    house.proven = lambda token: Person("ada", "Ada", frozenset({"admin"}), frozenset({team}))  # type: ignore[method-assign]
    try:
        app_doors = Doors([lambda token: house.proven(token)])
        people = ApprovalsDesk(house.approvals, Approvals(), lambda: NOW_US)
        kept, house.app = house.app, admin.create(house, app_doors, ["127.0.0.1"], people)  # type: ignore[arg-type]
        assert house.send("POST", "/sql", json={"sql": "SELECT * FROM exchanges"}).json()["rows"] == []
        assert house.send("GET", "/approvals").json() == {"approvals": []}
    finally:
        house.app = kept
        del house.proven


@pytest.mark.parametrize("follow", ["0", "1"])
@pytest.mark.parametrize("to", SEEN)
def test_the_tail_tells_of_ones_own_and_nothing_else(house: House, follow: str, to: str) -> None:
    answer = house.send("GET", f"/tail?since=2026-01-01&follow={follow}", team=to)
    told = [json.loads(line) for line in answer.text.splitlines()]
    told_of = [(each["record"], each["agent"]) for each in told]
    assert sorted(told_of) == sorted((kind, f"{WORDS[n]} agent") for n in SEEN[to] for kind in ("call", "exchange"))
    assert not [word for word in others(to) if word in answer.text]
    assert len(house.send("GET", "/tail?since=2026-01-01&follow=0", team="all").text.splitlines()) == 2 * len(WHOSE)


def test_who_is_bound_decides_for_their_own_team_and_is_named(house: House) -> None:
    answer = house.send("POST", f"/approvals/apr_{RED}/deny", json={"reason": "no"})
    assert (answer.status_code, answer.json()["decided_by"]) == (200, "ada")
    assert house.send("POST", f"/approvals/apr_{RED}/deny", json={"by": "bob"}).status_code == 400


def test_when_a_text_was_first_said_is_not_told(house: House) -> None:
    assert all("first_seen" not in each for each in house.send("GET", f"/exchanges/{ID.format(RED)}").json()["messages"])
    everything = house.send("GET", f"/exchanges/{ID.format(RED)}", team="all").json()
    assert all("first_seen" in each for each in everything["messages"])


def fetched(house: House, sql: str, teams: frozenset[str] | None = frozenset({"red"}), **params: Any) -> list[dict[str, Any]]:
    """What the gateway's own question gives, as pages ask it."""
    return house.ledger.fetch(sql, params, teams)


TABLES_WITH_SUMS = {"call_sums", "rule_sums"}
"""Without a team, but added up anew from what the teams may see."""


def test_the_gateways_own_questions_see_what_is_lent_and_sums_of_it(house: House, bound_to: tuple[str, House]) -> None:
    """Every base table and every view, as if nobody else had ever been there."""
    (to, alone), shape = bound_to, house.ledger.shape()
    theirs = frozenset({to})
    for table, columns in shape.tables.items():
        named = ', '.join(f'"{name}"' for name in columns)
        sql = f"SELECT {named} FROM {table}"
        mine = sorted(fetched(house, sql, theirs), key=repr)
        assert mine == sorted(fetched(alone, sql, theirs), key=repr), table
        assert table in TABLES_WITH_SUMS or mine == lent(house, table, theirs), table
        assert fetched(house, sql, frozenset()) == []
    for view in house.ledger.views():
        rows = fetched(house, f"SELECT * FROM {view}", theirs)
        assert sorted(rows, key=repr) == sorted(fetched(alone, f"SELECT * FROM {view}", theirs), key=repr), view
        assert not [word for word in others(to) if word in repr(rows)], view
    tools = {each["name"]: each["calls"] for each in fetched(house, "SELECT * FROM call_sums", theirs)}
    assert tools == {f"{WORDS[n]}_tool": 1 for n in SEEN[to]}
    assert {each["team"] for each in fetched(house, "SELECT team FROM exchanges", None)} == {"red", "blue", None}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ledger.main.exchanges_ended",
        "SELECT * FROM ledger.exchanges",
        "SELECT * FROM content.main.message_bodies",
        "SELECT * FROM main.exchanges",
        "SELECT * FROM exchanges WHERE id IN (SELECT id FROM ledger.main.exchanges_open)",
        "WITH a AS (SELECT * FROM ledger.main.calls) SELECT * FROM a",
        "SELECT (SELECT max(agent) FROM ledger.main.calls) AS agent",
        "FROM calls UNION ALL BY NAME SELECT * FROM content.main.prompt_bodies",
        "SELECT * FROM query_table('ledger.main.exchanges_ended')",
        "SELECT * FROM query('SELECT * FROM ledger.main.exchanges_ended')",
        "SELECT * FROM duckdb_views()",
    ],
)
def test_a_question_that_would_look_past_the_teams_is_refused(house: House, sql: str) -> None:
    with pytest.raises(Refused):
        fetched(house, sql)


@pytest.mark.parametrize("catalogue", [sight.OF_TEAMS, sight.OF_ORGS])
def test_no_view_of_the_teams_catalogue_but_those_of_base_tables_reads_another(tmp_path: Path, catalogue: str) -> None:
    house = House(tmp_path, records(RED if catalogue == sight.OF_TEAMS else ACME))
    fetched(house, "SELECT 1 AS one")
    with cursor_of(house.ledger._con) as cursor:
        found = dict(cursor.execute("SELECT view_name, sql FROM duckdb_views() WHERE database_name = ?", [catalogue]).fetchall())
    assert found.keys() >= house.ledger.views().keys() | house.ledger.shape().tables.keys()
    for name, sql in found.items():
        if name not in house.ledger.shape().tables:
            assert not re.search(r"\b(ledger|content)\"?\.", sql), name
    house.close()


def test_teams_of_one_question_are_not_those_of_another(house: House) -> None:
    """Also when many are asked at once, and where nothing was said of teams nothing of them is left over."""
    every = [frozenset({"red"}), frozenset({"blue"}), frozenset({"red", "blue"}), frozenset(), None] * 20
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda teams: {row["team"] for row in fetched(house, "SELECT team FROM exchanges", teams)}, every))
    assert told == [{"red", "blue", None} if teams is None else teams for teams in every]
    with cursor_of(house.ledger._con) as cursor:
        cursor.execute("USE of_orgs")
        assert cursor.execute("SELECT * FROM exchanges").fetchall() == []


def test_sums_of_a_team_are_read_until_an_exchange_names_an_organisation(tmp_path: Path) -> None:
    """From then on they are added up of rows: sums do not say of which organisation a team is."""
    house = House(tmp_path, records(RED))
    house.ledger._con.execute("UPDATE ledger.exchange_sums SET exchanges = 5")
    told = [[row["exchanges"] for row in fetched(house, "SELECT * FROM exchange_sums")]]
    house.ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), list(enumerate(records(ACME), 100)), 200, b"h" * 32)])
    told.append([row["exchanges"] for row in fetched(house, "SELECT * FROM exchange_sums")])
    assert told == [[5], [1]]
    house.close()


def test_sums_are_still_there_when_they_were_made_smaller(tmp_path: Path) -> None:
    house = House(tmp_path, [*records(RED), *records(BLUE)])
    before = fetched(house, "SELECT * FROM exchange_sums")
    sums.compact(house.ledger._con)
    assert fetched(house, "SELECT * FROM exchange_sums") == before
    assert len(before) == 1
    house.close()


def test_what_could_not_be_laid_out_is_tried_again(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = House(tmp_path, records(RED))
    with monkeypatch.context() as broken:
        broken.setattr(sight, "_ADDED_UP", {**sight._ADDED_UP, "call_sums": "SELECT nothing"})
        with pytest.raises(Refused):
            fetched(new, "SELECT agent FROM exchanges")
    assert fetched(new, "SELECT agent FROM exchanges") == [{"agent": f"{WORDS[RED]} agent"}]
    new.close()
