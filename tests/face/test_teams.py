"""People who are bound to a team, an organisation's team or an organisation walk over every page, twin, live tail and form: they get what
they would get if nobody else were there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.budget_settings import Budget
from gateway.exchange import Caller
from gateway.face.page import Page
from gateway.face.pages import DEEDS, PAGES
from gateway.installation import open_people, open_sessions
from gateway.people.roles import Role
from gateway.policy import load
from gateway.spending import subject_of
from gateway.state.people import Invitation
from gateway.state.sessions import EVERY_SESSION, Denial, whole
from gateway.stores.duckdb import Ledger
from gateway.trace.people_rows import ApprovalRow, FeedbackRow, SessionRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import ApprovalChanged, FeedbackGiven, PolicyLoaded, SessionChanged
from gateway.verdict import Finding
from gateway.web import budgets
from tests.face.house import NOW_US, PASSWORD, House, identity
from tests.patience import PATIENCE_S, until_meanwhile

RULES = """policy: 1
id: bank
agents: ['*']
allow: [REDtool]
rules:
- id: known-payee
  tools: [REDtool]
  require: caller.agent != 'BLUEagent' && caller.agent != 'REDagent'
"""
POLICY = load({"all.yaml": RULES.encode()}).hash
TEAMS: Mapping[str, tuple[str | None, str | None]] = {
    "RED": (None, "red"), "BLUE": (None, "blue"), "NONE": (None, None), "ACME": ("acme", "red"), "ZETA": ("zeta", "red"),
    "MORE": ("acme", "blue"), "TEAMLESS": ("acme", None),
}  # fmt: skip
"""(organisation, team), by the word that stands in everything of theirs."""
NUMBERS = {word: n for n, word in enumerate(TEAMS, 1)}
SEEN = {"red": ("RED",), "acme/red": ("ACME",), "acme/*": ("ACME", "MORE", "TEAMLESS")}
"""Whose is what somebody sees, by what they are bound to; the first stands for all."""
NOBODYS = 99
BUDGETS = [Budget(id=f"by-{per}", per=per, of="money", max="25.00", window="day") for per in ("team", "agent", "all")]
AGO_S = 600


def exchange_of(n: int) -> str:
    return identity(n, NOW_US - AGO_S * 1_000_000)


def live(house: House, word: str) -> None:
    """A team's traffic, as everything that can be on record of it and in the state; every text of it holds the word."""
    n, (org, team) = NUMBERS[word], TEAMS[word]
    agent, session = f"{word}agent", f"{word}session"
    subject = subject_of(BUDGETS[0], Caller(agent, team=team, org=org), "")
    whose: dict[str, Any] = {"agent": agent, "org": org, "team": team, "user": f"{word}user", "session": session}
    call = {"effect": "deny", "name": f"{word}tool", "arguments": f'{{"to": "{word}payee"}}', "reason": f"{word}reason", "agent": agent,
            "session": session, "policy": f"{word}policy", "rule": f"{word}rule", "policy_hash": POLICY,
            "message": f"{word}message"}  # fmt: skip
    heard = {"hook": "request", "path": "messages[0]", "policy": f"{word}policy", "rule": f"{word}mask", "effect": "redact",
             "mode": "enforce"}  # fmt: skip
    told = {"messages": [{"role": "user", "content": f"{word}asked"}], "answered": {"role": "assistant", "content": f"{word}answered"}}
    house.exchange(
        n, ago_s=AGO_S, **whose, **told, calls=[call], heard=[heard], system=f"{word}system", key_id=f"{word}key", policy_hash=POLICY,
        request_model=f"{word}model", cost=f"0.1{n}", state="denied", output_preview=f"{word}answered", prompt_hash=f"{n:032x}",
        findings=(Finding("guard", f"{word}finding", "warn", "tools", f"{word}detail"),),
        budgets=(f"by-team={subject}", f"by-agent={agent}"),
    )  # fmt: skip
    shared, read = {**whose, "agent": "shared", "session": "shared"}, {"name": f"{word}read", "agent": "shared"}
    others = (  # so that sums differ between teams
        house.ended(n * 1000 + at, ago_s=1200 + at, **shared, request_model=f"{word}model", calls=[read]) for at in range(n * 7)
    )
    house.exchanges(*others)
    about, now = exchange_of(n), house.clock[0]
    note = {"exchange_id": about, "comment": f"{word}note"}
    asked = {"agent": agent, "session": session, "team": team, "user": f"{word}user", "tool": f"{word}tool", "policy": f"{word}policy"}
    told = {"arguments": f'{{"to": "{word}payee"}}', "message": f"{word}message", "rule": f"{word}rule", "exchange": about, "org": org}
    house.ask_a_person(n, **asked, **told)
    house.book.apply(
        ApprovalChanged(ApprovalRow(f"apr_{n}", 1, "pending", now, now + 9, agent, team, exchange_id=about, arguments=word)),
        FeedbackGiven(FeedbackRow(f"fb_{n}", now, f"{word}ann", "person", "helpful", agent, team, **note)),
        FeedbackGiven(FeedbackRow(f"fb_s_{n}", now, f"{word}eve", "person", "helpful", "shared", team, session="shared", score=n, org=org)),
        SessionChanged(SessionRow(session, agent, 1, "stopped", now, team, exchange_id=about)),
    )
    sessions = open_sessions(house.settings)
    stop = Denial(f"{word}owner", session, agent, team, f"{word}user", now, f"{word}policy", f"{word}rule", about, f"dec_{n}", org)
    sessions.denied(stop, most=1)
    sessions.pause(agent, by=f"{word}boss", why=f"{word}why", at_us=now)


_COOKIES: dict[tuple[int, str], Mapping[str, str]] = {}


def seen(house: House, path: str, name: str) -> httpx.Response:
    """What this person gets there; they sign in once."""

    async def go(browser: Any) -> httpx.Response:
        known = _COOKIES.get((id(house), name))
        if known is None:
            assert (await browser.sign_in(name)).status_code == 303
            known = _COOKIES[id(house), name] = dict(browser.client.cookies)
        browser.client.cookies.clear()
        browser.client.cookies.update(known)
        return await browser.get(path)

    return house.browse(go)


def joined(house: House, name: str, teams: tuple[str, ...] | None, roles: tuple[Role, ...] = ("admin",)) -> None:
    token = open_people(house.settings).invite(Invitation(roles, house.clock[0] + 10**9, teams=teams), house.clock[0])

    async def go(browser: Any) -> None:
        fields = {"token": token, "name": name, "password": PASSWORD, "again": PASSWORD}
        assert (await browser.post("/ui/begin", fields, "/ui/begin")).status_code == 303

    house.browse(go)


def called(to: str) -> str:
    """Who is bound to it."""
    return {"red": "red", "acme/red": "acmes", "acme/*": "all-acmes"}[to]


@contextlib.contextmanager
def opened(folder: Path, *words: str) -> Iterator[House]:
    """With the traffic of these teams, and people: one who is bound to each of `SEEN` (`called`), `both`, `nobodys`,
    `reader` (red's, metadata alone), `everybodys`."""
    (folder / "queries").mkdir(parents=True)
    own = "-- title: Models\nSELECT request_model, count(*) AS n FROM exchanges GROUP BY ALL ORDER BY ALL\n"
    (folder / "queries" / "models.sql").write_text(own)
    ledger = Ledger(folder / "ledger.duckdb")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("gateway.people.passwords._N", 2**4)
        house = House(folder, ledger, monkeypatch, {"queries": str(folder / "queries")})
        object.__setattr__(house.settings, "budgets", BUDGETS)
        monkeypatch.setattr("gateway.web.budgets._SUBJECTS", _SUBJECTS)
        house.book.apply(PolicyLoaded(PolicyRow(POLICY, house.clock[0], "abc", (("all.yaml", RULES),))))
        for word in words:
            live(house, word)
        bound_to_one = [(called(to), (to,)) for to in SEEN]
        for name, teams in (("everybodys", None), ("both", ("red", "blue")), ("nobodys", ()), *bound_to_one):
            joined(house, name, teams)
        joined(house, "reader", ("red",), ("viewer-metadata",))
        yield house
        house.close()
    ledger.close()


_SUBJECTS = budgets._SUBJECTS.replace(f" AND started_at > now()::TIMESTAMP - to_days({budgets.SINCE_DAYS})", "")
"""Without the bound in time: the clock of these tests stands still."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("all") / "data", *TEAMS) as made:
        yield made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Where nobody but the red team ever was."""
    with opened(tmp_path_factory.mktemp("alone") / "data", *SEEN["red"]) as made:
        yield made


@pytest.fixture(scope="module", params=SEEN)
def bound_to(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, House]]:
    """What somebody is bound to, and a house where nothing but that ever was."""
    with opened(tmp_path_factory.mktemp("alone") / "data", *SEEN[request.param]) as made:
        yield request.param, made


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Where more happens; nothing is compared with it."""
    with opened(tmp_path_factory.mktemp("busy") / "data", "RED", "BLUE") as made:
        yield made


def addresses(word: str = "RED") -> list[tuple[str, str]]:
    """(page, address) of every page that people of teams are shown, in each of its ways."""
    at, asked = exchange_of(NUMBERS[word]), "SELECT agent, team, request_model, cost FROM exchanges ORDER BY ALL"
    return [
        ("/overview", "/overview"),
        ("/overview", "/overview?hours=1"),
        ("/traces", "/traces"),
        ("/traces", "/traces?q=decision:deny"),
        ("/traces", f"/traces?q={word}asked&show=text&c_user=1&c_key_id=1&c_session=1"),
        ("/traces", "/traces?q=agent:shared&before=2026-09-21T13:00:00~z"),
        ("/exchange/{subject}", f"/exchange/{at}"),
        ("/sessions", "/sessions"),
        ("/sessions/{subject:path}", f"/sessions/{word}session"),
        ("/sessions/{subject:path}", "/sessions/shared"),
        ("/agents", "/agents"),
        ("/agents/{subject:path}", f"/agents/{word}agent"),
        ("/agents/{subject:path}", "/agents/shared"),
        ("/violations", "/violations"),
        ("/violations", "/violations?what=texts"),
        ("/violations", "/violations?what=findings"),
        *(("/cost", f"/cost?by={by}") for by in ("model", "agent", "team", "key", "user")),
        ("/approvals", "/approvals"),
        ("/sql", "/sql"),
        ("/sql", f"/sql?sql={asked}"),
        ("/sql", "/sql?saved=cost_by_agent_and_day&p.days=36500"),
        ("/sql", "/sql?saved=models"),
        ("/account", "/account"),
    ]


def twins(page: Page, address: str) -> list[str]:
    """The address, and what else it is written as."""
    path, mark, query = address.partition("?")
    forms = ["", ".json", *([".csv"] if page.rows else []), *([".yaml"] if page.text else [])]
    return [f"/ui{path}{form}{mark}{query}" for form in forms]


BY_PATH = {page.path: page for page in PAGES}


def every(word: str = "RED") -> list[str]:
    return [each for path, address in addresses(word) for each in twins(BY_PATH[path], address) if each != "/ui/sql.csv"]


EVERY = every()


def plain(answer: httpx.Response) -> tuple[int, str]:
    """Without what differs from one request to the next."""
    text = re.sub(r'name="csrf" value="[0-9a-f]+"|"elapsed_ms":[0-9.]+|"elapsed_us":\d+', "", answer.text)
    return answer.status_code, re.sub(r'"id":"[\w-]{20,}","name":"\w+","begun_at.*?\}|<tr><td>[^<]*</td><td>httpx.*?</tr>', "", text)


def others(to: str) -> list[str]:
    """What would tell of the others: their words, ids and names, where these are not one's own too."""
    mine = [TEAMS[word] for word in SEEN[to]]
    rest = [word for word in TEAMS if word not in SEEN[to]]
    found = [each for other in rest for each in (other, exchange_of(NUMBERS[other]), f"apr_{NUMBERS[other]}")]
    names = {name for other in rest for name in TEAMS[other] if name} - {name for whose in mine for name in whose}
    return [*found, *sorted(names)]


def test_every_page_that_is_shown_to_people_of_teams_is_walked_over() -> None:
    assert {path for path, _ in addresses()} == {page.path for page in PAGES if page.narrows}


@pytest.mark.parametrize("at", range(len(EVERY)), ids=EVERY)
def test_who_is_bound_sees_what_they_would_see_if_nobody_else_were_there(house: House, bound_to: tuple[str, House], at: int) -> None:
    to, alone = bound_to
    address, name = every(SEEN[to][0])[at], called(to)
    one, other = seen(house, address, name), seen(alone, address, name)
    assert one.status_code == 200
    for word in others(to):
        assert word.encode() not in one.content, word
    if not address.startswith("/ui/account"):
        assert plain(one) == plain(other)


NOTHING_ELSE = re.compile(r"RED|account|/exchange/|before=|/sql(\.json)?$")
"""Where there is nothing of others to see."""


@pytest.mark.parametrize("address", [each for each in EVERY if not NOTHING_ELSE.search(each)])
def test_who_is_not_bound_to_teams_sees_more_there(house: House, alone: House, address: str) -> None:
    """The comparison above can fail."""
    assert plain(seen(house, address, "everybodys")) != plain(seen(alone, address, "everybodys"))


WORDS = {
    "/overview.json": ("REDagent", "REDtool", '"waiting":1'),
    "/traces.json": ("REDagent", "REDmodel", "red", "shared"),
    "/traces.json?show=text": ("REDasked", "REDanswered"),
    f"/exchange/{exchange_of(1)}.json": ("REDasked", "REDanswered", "REDsystem", "REDpayee", "REDdetail", "REDnote", "REDkey"),
    "/sessions.json": ("REDsession", "shared", '"stopped":true'),
    "/sessions/REDsession.json": ("REDowner", "REDtool", "REDpolicy"),
    "/agents.json": ("REDagent", "shared", '"paused":true', '"tools":1'),
    "/agents/REDagent.json": ("REDtool", "REDmodel", "REDboss", "REDwhy"),
    "/violations.json": ("REDrule", "REDmask", "REDfinding"),
    "/cost.json?by=team": ("red", "REDkey", "REDuser", "by-team"),
    "/approvals.json": ("apr_1", "REDpayee", "REDuser"),
    "/sql.json?saved=models": ("REDmodel",),
}


@pytest.mark.parametrize("path", WORDS)
def test_what_is_ones_own_is_there(house: House, path: str) -> None:
    text = seen(house, f"/ui{path}", "red").text
    for word in WORDS[path]:
        assert word in text, word


def test_sums_over_everybody_are_added_up_anew_for_a_team(house: House) -> None:
    """Of one name that several teams use each sees its own part."""
    rows = {each["agent"]: each for each in seen(house, "/ui/agents.json", "red").json()["rows"]}
    counted = {name: (row["exchanges"], row["calls"], row["tools"]) for name, row in rows.items()}
    assert counted == {"REDagent": (1, 1, 1), "shared": (7, 7, 1)}
    of_all = {each["agent"]: each for each in seen(house, "/ui/agents.json", "everybodys").json()["rows"]}
    assert (of_all["shared"]["exchanges"], of_all["shared"]["tools"]) == (7 * sum(NUMBERS.values()), len(TEAMS))


def test_a_person_of_two_teams_sees_both_and_what_belongs_to_no_team_is_not_theirs(house: House) -> None:
    for address in EVERY:
        content = seen(house, address, "both").content
        assert b"NONE" not in content, address
        assert b"apr_3" not in content, address
    for path in ("overview", "traces", "sessions", "agents", "violations", "cost", "approvals"):
        text = seen(house, f"/ui/{path}.json", "both").text
        assert ("RED" in text, "BLUE" in text) == (True, True), path
    assert seen(house, "/ui/overview.json", "both").json()["totals"]["exchanges"] == 1 + 7 + 1 + 14


def test_a_person_of_no_team_sees_nothing_and_is_told_so(house: House) -> None:
    for address in {address for word in TEAMS for _, address in addresses(word)}:
        text = seen(house, f"/ui{address}", "nobodys").text.replace(address.partition("?")[2], "")
        told = re.sub(r'(href|value|data-live)="[^"]*"', "", text)
        for word, name in itertools.product(TEAMS, ("agent", "tool", "model", "answered", "payee", "owner")):
            assert f"{word}{name}" not in told, address
    for path in ("overview", "traces", "sessions", "agents", "violations", "cost"):
        assert "You are bound to teams, and to none" in seen(house, f"/ui/{path}", "nobodys").text, path
    assert "keys of red" not in seen(house, "/ui/traces", "red").text


def test_who_may_not_read_content_sees_the_same_without_it(house: House) -> None:
    text = seen(house, f"/ui/exchange/{exchange_of(1)}.json", "reader").text
    assert "REDagent" in text
    assert not [word for word in ("REDasked", "REDanswered", "REDsystem", "REDpayee", "REDnote", "BLUE") if word in text]
    assert seen(house, "/ui/traces?q=REDasked", "reader").status_code == 403


ONES = ["/exchange/{id}", "/exchange/{id}.json", "/exchange/{id}.yaml", "/sessions/{word}session", "/sessions/{word}session.json",
        "/sessions/{word}session.csv", "/agents/{word}agent", "/agents/{word}agent.json", "/agents/{word}agent.csv"]  # fmt: skip


@pytest.mark.parametrize("path", ONES)
@pytest.mark.parametrize("other", ["BLUE", "NONE"])
def test_what_is_anothers_looks_like_what_is_not_there(house: House, path: str, other: str) -> None:
    """In the same words, after the same questions to the book: it takes the same time."""
    asked: list[str] = []
    fetch = house.book.ledger.fetch

    def told_of(word: str, n: int) -> tuple[int, str, list[str]]:
        asked.clear()
        address = path.format(id=exchange_of(n), word=word)
        status, text = plain(seen(house, f"/ui{address}", "red"))
        return status, text.replace(word, "X").replace(exchange_of(n), "X"), list(asked)

    def noted(sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> Any:
        asked.append(sql)
        return fetch(sql, params, teams)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(house.book.ledger, "fetch", noted)
        foreign, missing = told_of(other, NUMBERS[other]), told_of("MISSING", NOBODYS)
    assert foreign == missing
    assert foreign[0] == 404
    assert foreign[2]


@pytest.mark.parametrize("path", [page.path for page in PAGES if not page.narrows])
@pytest.mark.parametrize("form", ["", ".json"])
def test_what_is_about_everybody_is_refused(house: House, path: str, form: str) -> None:
    answer = seen(house, f"/ui{re.sub('{.*}', 'all.yaml', path)}{form}", "red")
    assert (answer.status_code, "bound_to_teams" in answer.text) == (403, True)


def test_no_link_leads_to_what_is_refused(house: House) -> None:
    closed = {re.sub("/{.*", "", page.path) for page in PAGES if not page.narrows}
    for _, address in addresses():
        links = re.findall(r'href="/ui(/\w*)', seen(house, f"/ui{address}", "red").text)
        assert "/traces" in links
        assert not closed & set(links), address


def test_policies_are_everybodys_and_a_call_is_not_asked_again(house: House) -> None:
    """Also where somebody else has just read them."""
    path = f"/ui/exchange/{exchange_of(1)}"
    pages = {name: seen(house, path, name).text for name in ("everybodys", "red")}
    words = ("Ask again", "known-payee: deny", "<dt>condition</dt>", "BLUEagent")
    said = {name: [word in page for word in words] for name, page in pages.items()}
    assert said == {"everybodys": [True, True, True, True], "red": [False, True, False, False]}
    assert seen(house, f"{path}?against=now", "red").status_code == 403
    assert house.sent(path, {"text": "policy: 1", "place": "alone"}, "red").status_code == 403


def test_budgets_of_teams_are_shown_and_it_is_said_that_others_are_not(house: House) -> None:
    found = seen(house, "/ui/cost.json", "red").json()
    assert [(each["id"], each["subject"], each["subjects"]) for each in found["budgets"]] == [("by-team", "red", 1)]
    assert "Of your teams: what others count is not shown here" in seen(house, "/ui/cost", "red").text
    assert [each["id"] for each in seen(house, "/ui/cost.json", "everybodys").json()["budgets"]] == ["by-team", "by-agent", "by-all"]


def test_how_the_installation_is_doing_is_told_in_a_word(house: House) -> None:
    before, house.book.now = house.book.now, type(house.book.now)(
        ready=False, lag_bytes=123_456, records=98_765_432, ledger="v",
        problem="BLUEdisk is full", quarantined={"BLUEsegment": "BLUEdamage"},
    )  # fmt: skip
    try:
        answers = [seen(house, f"/ui/overview{form}", "red").text for form in ("", ".json")]
    finally:
        house.book.now = before
    for text in answers:
        assert not [word for word in ("BLUE", "123456", "123,456", "98765432", "98,765,432") if word in text]
    assert "The book is not ready" in answers[0]


def tailed(house: House, path: str, do: Callable[[], None], wanted: bytes = b"", name: str = "red") -> bytes:
    """What somebody's live tail is sent while `do` happens: until what is wanted stands in it, and a little longer; or where that is
    nothing, for longer than what comes at once takes."""

    async def go(browser: Any) -> bytes:
        assert (await browser.sign_in(name)).status_code == 303
        cookie = "; ".join(f"{each}={value}" for each, value in browser.client.cookies.items())
        told: list[bytes] = []
        left, address = asyncio.Event(), path.partition("?")

        async def send(message: Any) -> None:
            told.append(message.get("body", b"") if message["type"] == "http.response.body" else b"%d\n" % message["status"])

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        headers = [(b"host", b"127.0.0.1:8485"), (b"cookie", cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": address[0], "raw_path": address[0].encode(), "query_string": address[2].encode(),
                 "headers": headers, "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http", "server": None}  # fmt: skip
        following = asyncio.create_task(house.app(scope, receive, send))
        await until_meanwhile(lambda: told and (len(house.book.listeners) or path != "/ui/traces/live"))
        do()
        if wanted:
            await until_meanwhile(lambda: wanted in b"".join(told) or following.done(), what=lambda: f"{wanted!r} in {told}")
            await asyncio.sleep(0.3)
        else:
            await asyncio.wait([following], timeout=2.5)
        left.set()
        await asyncio.wait([following], timeout=PATIENCE_S)
        return b"".join(told)

    return house.browse(go)


def events(told: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in re.findall(r"^data: .*$", told.decode(), re.MULTILINE)]


def test_the_live_tail_tells_of_ones_own_exchanges_alone(busy: House) -> None:
    def happen() -> None:
        for n in range(40):
            busy.exchange(5000 + n, ago_s=30, agent="BLUElate", team="blue", calls=[{"name": "BLUElatetool"}])
        busy.exchange(5100, ago_s=30, agent="NONElate")
        busy.exchange(5101, ago_s=30, agent="REDlate", team="red")

    told = tailed(busy, "/ui/traces/live", happen, b"REDlate")
    [event] = events(told)
    assert ([row["cells"][1][0] for row in event["rows"]], event["more"]) == (["REDlate"], 0)
    assert not [word for word in (b"BLUE", b"NONE") if word in told]


def test_what_another_team_does_makes_no_sound_in_a_live_tail(busy: House) -> None:
    happen = lambda: busy.exchange(5200, ago_s=20, agent="BLUEx", team="blue")  # noqa: E731
    assert tailed(busy, "/ui/traces/live", happen) == b"200\n"


def test_a_live_tail_ends_when_its_person_is_bound_to_other_teams(busy: House) -> None:
    joined(busy, "moved", ("blue",))

    def happen() -> None:
        open_people(busy.settings).change("moved", ("admin",), ("green",), busy.clock[0])
        busy.exchange(5300, ago_s=20, agent="BLUEx", team="blue")

    assert b"BLUE" not in tailed(busy, "/ui/traces/live", happen, name="moved")


def test_the_live_queue_tells_of_what_ones_own_teams_are_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.face.pages.approvals.LOOK_EVERY_S", 0.05)
    told = tailed(house, "/ui/approvals/live", lambda: None, b"data:")
    assert events(told) == [{"waiting": 1, "state": "apr_1.1"}]


@pytest.mark.parametrize("what", ["approve", "deny"])
@pytest.mark.parametrize("other", ["BLUE", "NONE"])
def test_what_another_team_is_asked_cannot_be_decided_and_looks_as_if_it_were_not_there(house: House, what: str, other: str) -> None:
    fields = {"what": what, "scope": "once", "arguments": "", "reason": ""}
    n = NUMBERS[other]
    foreign, missing = (house.sent(f"/ui/approvals/apr_{each}", fields, "red") for each in (n, NOBODYS))
    assert (foreign.status_code, plain(foreign)) == (404, plain(missing))
    found = house.approvals.find(f"apr_{n}")
    assert found is not None
    assert found.state == "pending"


def test_ones_own_is_decided(busy: House) -> None:
    assert busy.sent("/ui/approvals/apr_1", {"what": "deny", "scope": "once", "reason": "no"}, "red").status_code == 303
    found = busy.approvals.find("apr_1")
    assert found is not None
    assert (found.state, found.decided_by) == ("denied", "red")
    assert [each["id"] for each in seen(busy, "/ui/approvals.json", "red").json()["decided"]] == ["apr_1"]


@pytest.mark.parametrize("other", ["BLUE", "NONE"])
def test_a_stopped_session_of_another_team_does_not_go_on(house: House, other: str) -> None:
    def fields(word: str) -> dict[str, str]:
        return {"owner": f"{word}owner", "session": f"{word}session", "why": "it may"}

    foreign, missing = (house.sent("/ui/sessions/resume", fields(word), "red") for word in (other, "MISSING"))
    assert (foreign.status_code, plain(foreign)) == (404, plain(missing))
    assert open_sessions(house.settings).stopped(f"{other}owner", f"{other}session") is not None


def test_a_paused_agent_does_not_go_on_by_the_form_of_sessions(busy: House) -> None:
    fields = {"owner": whole("REDagent"), "session": EVERY_SESSION, "why": "it may"}
    assert busy.sent("/ui/sessions/resume", fields, "red").status_code == 404
    assert open_sessions(busy.settings).stopped(whole("REDagent"), EVERY_SESSION) is not None


def test_ones_own_session_goes_on(busy: House) -> None:
    fields = {"owner": "REDowner", "session": "REDsession", "why": "it may"}
    assert busy.sent("/ui/sessions/resume", fields, "red").status_code == 303
    assert open_sessions(busy.settings).stopped("REDowner", "REDsession") is None


@pytest.mark.parametrize("path", [deed.path for deed in DEEDS if not deed.narrows])
def test_a_form_about_everybody_is_refused_and_does_nothing(house: House, path: str) -> None:
    fields = {"agent": "REDagent", "what": "resume", "why": "it may", "sure": "yes", "name": "both", "role-admin": "on", "id": "x"}
    answer = house.sent(f"/ui{re.sub('{.*}', 'x', path)}", fields, "red")
    assert (answer.status_code, "bound_to_teams" in answer.text) == (403, True)
    assert seen(house, "/ui/agents.json", "red").json()["rows"][0]["paused"]
