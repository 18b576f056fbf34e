"""The pages of agents over a real ledger and a real state store: what each used, and the switch that pauses it."""

from __future__ import annotations

import asyncio

import pytest

from gateway import minutes
from gateway.installation import open_sessions
from gateway.state.sessions import EVERY_SESSION, whole

DENY = {"effect": "deny", "name": "Bash", "agent": "busy"}
ASK = {"effect": "ask", "name": "pay", "agent": "busy", "released": True}


@pytest.fixture(scope="module")
def house(lived_in):
    lived_in.exchange(1, ago_s=300, agent="busy", cost="0.5", calls=[{"name": "Read", "agent": "busy"}, DENY], state="denied")
    lived_in.exchange(2, ago_s=200, agent="busy", cost=None, calls=[ASK], request_model="claude-haiku-4-5", provider="anthropic")
    lived_in.exchange(3, ago_s=100, agent="busy", cost="0.25", prompt_hash="a" * 32, calls=[{"name": "Read", "agent": "busy"}])
    lived_in.exchange(4, ago_s=3 * 86400, agent="calm")
    lived_in.exchange(5, ago_s=20 * 86400, agent="gone")
    lived_in.browse(lambda browser: browser.begin())
    return lived_in


@pytest.fixture
def store(house):
    opened = open_sessions(house.settings)
    yield opened
    for each in opened.every():
        opened.resume(each.owner, each.session, by="test", at_us=1)
    opened.close()


def seen(house, path):
    async def go(browser):
        assert (await browser.sign_in()).status_code == 303
        return await browser.get(path)

    return house.browse(go)


def send(house, *forms):
    async def go(browser):
        await browser.sign_in()
        return [await browser.post("/ui/agents/switch", fields, "/ui/account") for fields in forms]

    return house.browse(go)


def test_agents_are_listed_with_what_they_used_in_the_time(house) -> None:
    rows = {row["agent"]: row for row in seen(house, "/ui/agents.json").json()["rows"]}
    assert list(rows) == ["busy", "calm"]
    busy = rows["busy"]
    assert (busy["exchanges"], busy["tools"], busy["calls"], busy["denied"], busy["prompts"]) == (3, 3, 4, 1, 3)
    assert (busy["cost"], busy["unpriced"], busy["models"]) == ("0.750000000", 1, "claude-haiku-4-5, gpt-4o-mini")
    assert {row["agent"] for row in seen(house, "/ui/agents.json?days=30").json()["rows"]} == {"busy", "calm", "gone"}
    assert seen(house, "/ui/agents?days=0").status_code == 400


def test_agents_follow_each_other_over_pages(house, monkeypatch) -> None:
    monkeypatch.setattr("gateway.face.pages.agents.PAGE_ROWS", 1)
    monkeypatch.setattr("gateway.face.wanted.paged.__defaults__", (1, "started_at"))
    page = seen(house, "/ui/agents.json?days=30").json()
    found = [row["agent"] for row in page["rows"]]
    while page["next"]:
        page = seen(house, f"/ui/agents.json?days=30&before={page['next']}").json()
        found += [row["agent"] for row in page["rows"]]
    assert found == ["busy", "calm", "gone"]


def test_an_agents_tools_are_shown_with_what_became_of_their_calls(house) -> None:
    found = seen(house, "/ui/agents/busy.json").json()
    tools = {row["tool"]: row for row in found["rows"]}
    assert (tools["Read"]["calls"], tools["Read"]["released"]) == (2, 2)
    assert (tools["Bash"]["withheld"], tools["Bash"]["denied"]) == (1, 1)
    assert (tools["pay"]["asked"], tools["pay"]["released"]) == (1, 1)
    assert {row["model"] for row in found["models"]} == {"gpt-4o-mini", "claude-haiku-4-5"}
    assert found["prompts"][0]["prompt_hash"] == "a" * 32
    assert sum(day["exchanges"] for day in found["by_day"]) == 3
    assert len(found["by_day"]) == 7
    assert seen(house, "/ui/agents/nobody").status_code == 404


def test_an_agent_is_paused_with_a_reason_and_goes_on_with_one_and_both_are_on_record(house, store) -> None:
    fields = {"agent": "busy", "what": "pause", "why": "it loops", "sure": "yes"}
    [done, again] = send(house, fields, fields)
    assert (done.status_code, done.headers["location"], again.status_code) == (303, "/ui/agents/busy", 400)
    found = store.stopped("anybody", "any session", "busy")
    assert (found.changed_by, found.why) == ("ada", "it loops")
    assert "Paused by ada" in seen(house, "/ui/agents/busy").text
    assert 'deny">paused<' in seen(house, "/ui/agents").text
    [done] = send(house, {**fields, "what": "resume", "why": "mended"})
    assert done.status_code == 303
    assert store.stopped("anybody", "any session", "busy") is None
    told = []

    async def append(*records) -> None:
        told.extend(records)
        house.book.apply(*records)

    asyncio.run(minutes.write_sessions(store, append))
    assert [(each.session.state, each.session.changed_by, each.session.why) for each in told] == [("resumed", "ada", "mended")]
    assert [(row["state"], row["why"]) for row in seen(house, "/ui/agents/busy.json").json()["pauses"]] == [("resumed", "mended")]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"sure": ""}, "not_confirmed"), ({"why": " "}, "bad_request"), ({"why": "two\nlines"}, "bad_request"),
     ({"what": "destroy"}, "bad_request"), ({"agent": ""}, "bad_request"), ({"what": "resume"}, "done_already")],
)  # fmt: skip
def test_nothing_is_paused_that_was_not_confirmed_and_given_a_reason(house, store, wrong, code) -> None:
    [answer] = send(house, {"agent": "busy", "what": "pause", "why": "it loops", "sure": "yes"} | wrong)
    assert answer.status_code == 400
    assert f"<code>{code}</code>" in answer.text
    assert store.every() == []


def test_an_agent_that_never_came_is_listed_while_it_is_paused(house, store) -> None:
    store.pause("coming", by="eve", why="not yet", at_us=house.clock[0])
    assert "paused by eve: not yet" in seen(house, "/ui/agents").text
    assert "not seen yet" in seen(house, "/ui/agents/coming").text
    assert store.resume(whole("coming"), EVERY_SESSION, by="eve", at_us=house.clock[0])


def test_who_may_not_manage_sessions_sees_no_switch_and_has_none(house, store) -> None:
    async def go(browser):
        await browser.sign_in()
        token = await browser.invite("viewer-metadata")
        await browser.post("/ui/logout", {}, "/ui/account")
        fields = {"token": token, "name": "mia", "password": "a boat upon the river", "again": "a boat upon the river"}
        await browser.post("/ui/begin", fields, "/ui/begin")
        pages = [await browser.get(f"/ui/{path}") for path in ("agents/busy", "agents", "sessions", "sessions/s1", "violations", "cost")]
        fields = {"agent": "busy", "what": "pause", "why": "it loops", "sure": "yes"}
        return pages, await browser.post("/ui/agents/switch", fields, "/ui/account")

    pages, forbidden = house.browse(go)
    assert [page.status_code for page in pages] == [200] * 6
    assert 'id="switch"' not in pages[0].text
    assert not any("Eve" in page.text or "question 1" in page.text for page in pages)
    assert forbidden.status_code == 403
    assert store.every() == []
