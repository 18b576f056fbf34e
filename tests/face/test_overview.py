"""The overview: what happened in the last hours, nothing of before, every hour in its place; and what to do while nothing has."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def told(lived_in):
    deny = {"effect": "deny"}
    lived_in.exchange(1, ago_s=60, calls=[{}, deny], cost="0.25", agent="a", session="s1")
    lived_in.exchange(2, ago_s=2 * 3600, calls=[{"would": "deny"}], cost=None, agent="b", session="s2", state="upstream_reset")
    lived_in.exchange(3, ago_s=25 * 3600, calls=[deny], cost="9", agent="c", enforcing=False)
    lived_in.ask_a_person(1)
    lived_in.browse(lambda browser: browser.begin())
    return lived_in


def seen(house, path):
    async def go(browser):
        await browser.sign_in()
        return await browser.get(path)

    return house.browse(go)


def test_the_numbers_are_of_the_last_hours(told) -> None:
    data = seen(told, "/ui/overview.json").json()
    totals = data["totals"]
    wanted = {"exchanges": 2, "sessions": 2, "agents": 2, "errors": 1, "unpriced": 1, "observed": 0}
    wanted |= {"calls": 3, "denied": 1, "would_deny": 1}
    assert {name: totals[name] for name in wanted} == wanted
    assert totals["cost"] == "0.250000000"
    assert totals["deny_rate"] == pytest.approx(1 / 3)
    assert data["waiting"] == 1
    assert len(data["denials"]) == 1


def test_more_hours_show_more(told) -> None:
    totals = seen(told, "/ui/overview.json?hours=72").json()["totals"]
    assert (totals["exchanges"], totals["observed"], totals["cost"]) == (3, 1, "9.250000000")


def test_every_hour_has_its_place_also_where_nothing_happened(told) -> None:
    hours = seen(told, "/ui/overview.json?hours=30").json()["by_hour"]
    assert len(hours) == 30
    assert [each["hour"] for each in hours] == sorted(each["hour"] for each in hours)
    assert sum(each["exchanges"] for each in hours) == 3
    assert seen(told, "/ui/overview.csv?hours=30").text.splitlines()[0] == "hour,exchanges,denied,cost,errors"


@pytest.mark.parametrize("hours", ["0", "-1", "x", "745", "1e3", "٣"])
def test_hours_that_are_none_are_refused(told, hours) -> None:
    assert seen(told, f"/ui/overview?hours={hours}").status_code == 400


def test_a_word_of_the_address_that_is_said_twice_is_refused(told) -> None:
    assert seen(told, "/ui/overview?hours=1&hours=2").status_code == 400


def test_what_is_wrong_with_the_book_is_said_first(told) -> None:
    before, told.book.now = told.book.now, type(told.book.now)(ready=False, lag_bytes=7, records=0, ledger="v", problem="disk <full>")
    try:
        page = seen(told, "/ui/overview").text
    finally:
        told.book.now = before
    assert "disk &lt;full&gt;" in page


def test_while_nothing_has_happened_it_says_what_to_do(house) -> None:
    async def go(browser):
        await browser.begin()
        return await browser.get("/ui/overview"), await browser.get("/ui/traces")

    for page in house.browse(go):
        assert "export OPENAI_BASE_URL=http://127.0.0.1:8484/v1" in page.text
