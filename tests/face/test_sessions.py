"""The pages of sessions over a real ledger and a real state store: sums, one session step by step, whose it is, how a stopped
one goes on."""

from __future__ import annotations

import html5lib
import pytest

from gateway.installation import open_sessions
from gateway.state.sessions import Denial

DENY = {"effect": "deny", "name": "Bash"}


@pytest.fixture(scope="module")
def house(lived_in):
    lived_in.exchange(1, ago_s=300, session="long", cost="0.5", calls=[{"name": "Read"}], user="ann")
    lived_in.exchange(2, ago_s=200, session="long", cost="0.25", calls=[DENY, {"name": "Read"}], state="denied", user="ann")
    lived_in.exchange(3, ago_s=100, session="long", cost=None, state="upstream_error", error_code="no_answer", user="ann")
    lived_in.exchange(4, ago_s=150, session="shared", agent="one")
    lived_in.exchange(5, ago_s=140, session="shared", agent="two", user="eve")
    lived_in.exchange(7, ago_s=130, session="twin", agent="one", team="pay")
    lived_in.exchange(8, ago_s=120, session="twin", agent="one", team="pay", org="acme", cost="0.125")
    lived_in.exchange(6, ago_s=20 * 86400, session="old")
    for n, name in enumerate(ODD):
        lived_in.exchange(20 + n, ago_s=50, session=name, agent=f"agent {n}")
    lived_in.browse(lambda browser: browser.begin())
    return lived_in


ODD = ["a.json", "../../admin", "..", "-", "a/b", "a?b#c", "50%", "ä ö", "x.csv", "live", "<b>"]


def seen(house, path):
    async def go(browser):
        assert (await browser.sign_in()).status_code == 303
        return await browser.get(path)

    return house.browse(go)


def test_a_session_is_summed_for_each_caller_and_an_unknown_cost_makes_the_sum_unknown(house) -> None:
    rows = {(row["session"], row["agent"]): row for row in seen(house, "/ui/sessions.json").json()["rows"]}
    row = rows["long", "coder"]
    assert (row["exchanges"], row["calls"], row["denied"], row["failed"], row["steps"]) == (3, 3, 1, 1, 6)
    assert (row["cost"], row["known_cost"], row["user"]) == (None, "0.750000000", "ann")
    assert {("shared", "one"), ("shared", "two")} <= rows.keys()
    assert ("old", "coder") not in rows
    assert "at least $0.75" in seen(house, "/ui/sessions?q=session:long").text


def test_the_filter_says_which_exchanges_are_summed(house) -> None:
    [row] = seen(house, "/ui/sessions.json?q=session:long denied>0").json()["rows"]
    assert (row["exchanges"], row["cost"]) == (1, "0.250000000")
    assert "did you mean" in seen(house, "/ui/sessions?q=cots:1").text


def test_a_session_is_shown_step_by_step_with_what_it_cost_so_far(house) -> None:
    found = seen(house, "/ui/sessions/long.json?agent=coder").json()
    told = [(each["what"], each["name"], each["outcome"], each["released"]) for each in found["rows"]]
    assert told == [
        ("exchange", "gpt-4o-mini", "complete", None), ("call", "Read", "allow", True),
        ("exchange", "gpt-4o-mini", "denied", None), ("call", "Bash", "deny", False), ("call", "Read", "allow", True),
        ("exchange", "gpt-4o-mini", "upstream_error", None),
    ]  # fmt: skip
    assert [each["cost"] for each in found["curve"]] == ["0.500000000", "0.750000000", "0.750000000"]
    page = seen(house, "/ui/sessions/long").text
    assert "bank known-payee" in page
    assert all(f'/ui/exchange/{each["exchange_id"]}"' in page for each in found["rows"])
    assert "Eve" not in page


def test_two_callers_sessions_of_one_name_are_told_apart(house) -> None:
    assert len(seen(house, "/ui/sessions/shared.json").json()["owners"]) == 2
    assert [each["agent"] for each in seen(house, "/ui/sessions/shared.json?agent=one").json()["owners"]] == ["one"]
    assert [each["agent"] for each in seen(house, "/ui/sessions/shared.json?user=eve").json()["owners"]] == ["two"]
    assert seen(house, "/ui/sessions/shared?agent=three").status_code == 404


def test_sessions_of_one_name_of_two_organisations_are_two(house) -> None:
    listed = {row["org"]: row for row in seen(house, "/ui/sessions.json?q=session:twin").json()["rows"]}
    assert {org: (row["exchanges"], row["cost"]) for org, row in listed.items()} == {None: (1, "0.010000000"), "acme": (1, "0.125000000")}
    assert [each["org"] for each in seen(house, "/ui/sessions/twin.json?org=acme").json()["owners"]] == ["acme"]
    assert "<td>acme/pay</td>" in seen(house, "/ui/sessions/twin").text
    assert [row["org"] for row in seen(house, "/ui/sessions.json?q=session:twin org:acme").json()["rows"]] == ["acme"]


def test_that_a_session_of_one_organisation_is_stopped_is_not_said_of_the_others(house) -> None:
    sessions = open_sessions(house.settings)
    sessions.denied(Denial("of acme", "twin", "one", "pay", None, house.clock[0], "bank", "never", "x", "dec_1", "acme"), most=1)
    sessions.recorded(sessions.unrecorded(9))
    sessions.close()
    listed = {row["org"]: row["stopped"] for row in seen(house, "/ui/sessions.json?q=session:twin").json()["rows"]}
    assert listed == {None: False, "acme": True}


@pytest.mark.parametrize("name", ODD)
def test_a_session_is_reached_by_its_link_whatever_its_client_called_it(house, name) -> None:
    listed = html5lib.parse(seen(house, f"/ui/sessions?q=agent:\"agent {ODD.index(name)}\"").text, namespaceHTMLElements=False)
    [link] = [each.get("href") for each in listed.iter("a") if each.get("href", "").startswith("/ui/sessions/")]
    page = seen(house, link)
    assert page.status_code == 200
    title = html5lib.parse(page.text, namespaceHTMLElements=False).find(".//h1")
    assert "".join(title.itertext()) == f"Session {name}"


@pytest.mark.parametrize("path", ["/ui/sessions/nowhere", "/ui/sessions/-", "/ui/sessions/-?name=", "/ui/sessions/long?agent=nobody"])
def test_a_session_that_is_not_there_is_said_to_be_not_there(house, path) -> None:
    assert seen(house, path).status_code == 404


def test_the_steps_of_a_long_session_follow_each_other_over_pages(house) -> None:
    ids = house.exchanges(*(house.ended(1000 + n, ago_s=4000 - n // 3, session="endless") for n in range(120)))

    async def go(browser):
        await browser.sign_in()
        found, after = [], ""
        while after is not None:
            page = (await browser.get(f"/ui/sessions/endless.json?after={after}")).json()
            found += [each["exchange_id"] for each in page["rows"]]
            after = page["next"]
        return found, page["curve"]

    found, curve = house.browse(go)
    assert sorted(found) == sorted(ids)
    assert len(set(found)) == len(found)
    assert sum(each["exchanges"] for each in curve) == 120
    assert curve[-1]["cost"] == "1.200000000"


def test_a_stopped_session_is_marked_and_goes_on_when_somebody_with_the_right_says_why(house) -> None:
    store = open_sessions(house.settings)
    store.denied(Denial("o", "long", "coder", None, "ann", house.clock[0], "bank", "never", "x1", "d1"), most=1)
    assert 'deny">stopped<' in seen(house, "/ui/sessions?q=session:long").text
    assert "Stopped by policy bank (rule never)" in seen(house, "/ui/sessions/long").text
    assert seen(house, "/ui/sessions/long.json?user=eve").status_code == 404

    async def go(browser):
        await browser.sign_in()
        fields = {"owner": "o", "session": "long"}
        silent = await browser.post("/ui/sessions/resume", fields, "/ui/sessions/long")
        still = store.stopped("o", "long")
        done = await browser.post("/ui/sessions/resume", {**fields, "why": "mended"}, "/ui/account")
        again = await browser.post("/ui/sessions/resume", {**fields, "why": "mended"}, "/ui/account")
        return silent, still, done, again

    silent, still, done, again = house.browse(go)
    assert (silent.status_code, done.status_code, again.status_code) == (400, 303, 404)
    assert still is not None
    assert done.headers["location"] == "/ui/sessions/long"
    assert store.stopped("o", "long") is None
    assert [(each.changed_by, each.why, each.state) for each in store.unrecorded(9)] == [("ada", "mended", "resumed")]
    store.close()
