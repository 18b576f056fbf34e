"""The traces page over a real ledger: what a filter finds, that pages neither repeat nor miss, sums of sessions, live rows, who reads."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.trace.record import ContentRead
from tests.patience import PATIENCE_S, until_meanwhile

TIDY = {"role": "user", "content": "Tidy 100%"}


@pytest.fixture(scope="module")
def book(lived_in):
    """Exchanges with ids by what they are."""
    deny = {"effect": "deny", "name": "Bash", "arguments": '{"command": "rm -rf /"}'}
    made = {
        "paid": lived_in.exchange(1, ago_s=100, calls=[{}], agent="bank-1", cost="0.5", session="a"),
        "withheld": lived_in.exchange(2, ago_s=200, calls=[deny, {"name": "Read"}], session="a", state="denied"),
        "failed": lived_in.exchange(3, ago_s=300, state="upstream_error", cost=None, session="b", request_model="claude-haiku-4-5"),
        "old": lived_in.exchange(4, ago_s=9 * 86400, session="b"),
        "slow": lived_in.exchange(5, ago_s=400, duration_us=5_000_000, overhead_us=9_000, session="", messages=[TIDY]),
    }
    lived_in.browse(lambda browser: browser.begin())
    return lived_in, made


def seen(house, path, name="ada"):
    async def go(browser):
        assert (await browser.sign_in(name)).status_code == 303
        return await browser.get(path)

    return house.browse(go)


def found(book, q, more=""):
    house, made = book
    from urllib.parse import quote

    answer = seen(house, f"/ui/traces.json?q={quote(q)}{more}")
    assert answer.status_code == 200, answer.text
    names = {key: name for name, key in made.items()}
    return {names[row["id"]] for row in answer.json()["rows"]}


FILTERS = {
    "": {"paid", "withheld", "failed", "slow"},
    "since:30d": {"paid", "withheld", "failed", "slow", "old"},
    "since:30d until:8d": {"old"},
    "agent:bank-*": {"paid"},
    "agent:bank-1,coder": {"paid", "withheld", "failed", "slow"},
    "-agent:coder": {"paid"},
    "agent:b?nk-1": {"paid"},
    "agent:bank_1": set(),
    "decision:deny": {"withheld"},
    "decision:deny tool:Bash": {"withheld"},
    "decision:deny tool:Read": set(),
    "-tool:Bash": {"paid", "failed", "slow"},
    "rule:known-payee policy:bank": {"withheld"},
    "state:upstream_*": {"failed"},
    "-state:complete": {"withheld", "failed"},
    "cost>0.1": {"paid"},
    "cost<=0.1": {"withheld", "slow"},
    "-cost>0.1": {"withheld", "failed", "slow"},
    "ms>=5000": {"slow"},
    "overhead_ms:9": {"slow"},
    "tokens=15": {"paid", "withheld", "failed", "slow"},
    "denied>0": {"withheld"},
    "model:claude-*": {"failed"},
    'text~"rm -rf"': {"withheld"},
    "100%": {"slow"},
    "TIDY": {"slow"},
    'session:"a"': {"paid", "withheld"},
    "agent:\"' OR 1=1 --\"": set(),
}


@pytest.mark.parametrize("q", FILTERS)
def test_a_filter_finds_what_it_says(book, q) -> None:
    assert found(book, q) == FILTERS[q]


def test_what_is_wrong_with_a_filter_is_shown_where_it_stands(book) -> None:
    house, _ = book
    answer = seen(house, "/ui/traces?q=agent:coder%20cots%3E1")
    assert answer.status_code == 200
    assert "did you mean &#39;cost&#39;" in answer.text
    assert "agent:coder cots&gt;1\n            ^</pre>" in answer.text


def test_counts_at_the_side_are_of_what_is_found(book) -> None:
    house, _ = book
    facets = seen(house, "/ui/traces.json?q=session:a").json()["facets"]
    assert {one["value"]: one["count"] for one in facets["agent"]} == {"bank-1": 1, "coder": 1}
    assert {one["value"]: one["count"] for one in facets["tool"]} == {"send_money": 1, "Bash": 1, "Read": 1}
    assert {one["value"]: one["count"] for one in facets["decision"]} == {"allow": 2, "deny": 1}


def test_the_twins_say_what_the_page_says(book) -> None:
    house, made = book
    page, table = seen(house, "/ui/traces?q=session:a"), seen(house, "/ui/traces.csv?q=session:a")
    assert table.headers["content-disposition"] == 'attachment; filename="traces.csv"'
    for name in ("paid", "withheld"):
        assert made[name] in page.text
        assert made[name] in table.text
    assert made["slow"] not in page.text


def test_what_was_said_is_shown_on_record_and_to_readers_alone(book) -> None:
    house, _ = book

    async def go(browser):
        await browser.sign_in()
        token = await browser.invite("viewer-metadata")
        await browser.post("/ui/logout", {}, "/ui/account")
        fields = {"token": token, "name": "mia", "password": "a boat upon the river", "again": "a boat upon the river"}
        await browser.post("/ui/begin", fields, "/ui/begin")
        return await browser.get("/ui/traces?show=text"), await browser.get("/ui/traces?q=Tidy"), await browser.get("/ui/traces.json")

    before = len(house.book.written)
    shown, searched, plain = house.browse(go)
    assert "Tidy" not in shown.text + plain.text
    assert searched.status_code == 403
    assert len(house.book.written) == before
    assert "Tidy 100%" in seen(house, "/ui/traces?show=text").text
    (record,) = house.book.written[before:]
    assert isinstance(record, ContentRead)
    assert (record.read.who, record.read.what, record.read.subject) == ("ada", "list", "traces")


@pytest.mark.parametrize("page", ["traces", "sessions"])
def test_looking_through_what_was_said_is_on_record_however_it_is_shown(book, page) -> None:
    house, _ = book
    before = len(house.book.written)
    assert seen(house, f"/ui/{page}.json?q=Tidy").status_code == 200
    assert [record.read.subject for record in house.book.written[before:]] == [f"{page} Tidy"]


def test_columns_are_those_that_the_address_asks_for_and_a_team_where_there_is_one(book) -> None:
    house, made = book
    plain = seen(house, "/ui/traces?q=session:b since:30d").text
    assert 'scope="col">Team<' not in plain
    asked = seen(house, "/ui/traces?q=session:b since:30d&c_session=1&c_overhead_us=1&c_nonsense=1")
    assert 'scope="col">Session<' in asked.text
    assert "<td>b</td>" in asked.text
    assert seen(house, "/ui/traces.json?c_session=1").json()["columns"] == ["session"]
    house.exchange(60, ago_s=500, team="red", agent="of-a-team")
    teamed = seen(house, "/ui/traces?q=agent:of-a-team").text
    assert "<td>red</td>" in teamed
    assert "/ui/traces/live?q=agent%3Aof-a-team&amp;c_team=1" in teamed
    assert made["paid"] not in teamed


def test_counts_at_the_side_end_where_the_filter_ends(book) -> None:
    house, _ = book
    facets = seen(house, "/ui/traces.json?q=since:30d until:8d").json()["facets"]
    assert "tool" not in facets
    assert {one["value"]: one["count"] for one in facets["agent"]} == {"coder": 1}


def test_what_cannot_be_put_on_record_is_not_shown(book) -> None:
    house, _ = book
    house.book.full = True
    try:
        answer = seen(house, "/ui/traces?show=text")
    finally:
        house.book.full = False
    assert answer.status_code == 503
    assert "Tidy" not in answer.text


@pytest.mark.parametrize("before", ["yesterday", "~x", "2026-13-01~x"])
def test_a_place_that_no_page_gave_is_refused(book, before) -> None:
    assert seen(book[0], f"/ui/traces?before={before}").status_code == 400


def test_the_live_tail_tells_what_the_filter_finds(book) -> None:
    house, _ = book

    async def go(browser):
        await browser.sign_in()
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        told: list[bytes] = []
        left = asyncio.Event()

        async def send(message):
            told.append(message.get("body", b""))

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        headers = [(b"host", b"127.0.0.1:8485"), (b"cookie", cookie.encode())]
        path = "/ui/traces/live"
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"q=agent:tailed",
                 "headers": headers, "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http", "server": None}  # fmt: skip
        following = asyncio.create_task(house.app(scope, receive, send))
        await until_meanwhile(lambda: told and len(house.book.listeners))
        house.exchange(70, ago_s=50, agent="untold")
        key = house.exchange(71, ago_s=40, agent="tailed")
        await until_meanwhile(lambda: any(b"data:" in each for each in told))
        left.set()
        await asyncio.wait([following], timeout=PATIENCE_S)
        return key, b"".join(told), len(house.book.listeners)

    key, told, listening = house.browse(go)
    events = [json.loads(line[6:]) for line in told.decode().splitlines() if line.startswith("data: ")]
    assert [row["id"] for event in events for row in event["rows"]] == [key]
    assert events[0]["rows"][0]["cells"][1] == ["tailed", ""]
    assert listening == 0


def test_a_live_tail_of_a_wrong_filter_is_refused(book) -> None:
    answer = seen(book[0], "/ui/traces/live?q=cots:1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_filter")


@pytest.mark.parametrize("page", ["traces", "sessions"])
def test_pages_follow_each_other_without_a_gap_or_a_row_twice(lived_in, book, page) -> None:
    many = (lived_in.ended(1000 + n, ago_s=1000 + n // 3, agent="many", session=f"s{n:03}") for n in range(120))
    ids = lived_in.exchanges(*many)

    async def go(browser):
        await browser.sign_in()
        rows, path = [], f"/ui/{page}.json?q=agent:many"
        after = ""
        while after is not None:
            found = (await browser.get(path + (f"&before={after}" if after else ""))).json()
            rows += found["rows"]
            after = found["next"]
        return rows

    rows = lived_in.browse(go)
    assert len(rows) == len({row["id"] for row in rows}) == len(ids)
    assert [row["started_at"] for row in rows] == sorted((row["started_at"] for row in rows), reverse=True)
