"""Approvals on a page: what waits is shown with its time, whoever is signed in decides once, edited arguments are what is delivered."""

from __future__ import annotations

import pytest


def decided(house, fields, name="apr_1", role="admin"):
    async def go(browser):
        await (browser.begin() if role == "admin" else browser.as_role(role, "bob"))
        return await browser.post(f"/ui/approvals/{name}", fields, "/ui/approvals")

    return house.browse(go)


def test_what_waits_is_shown_oldest_first_with_a_form_for_each(house) -> None:
    house.ask_a_person(1)
    house.clock[0] += 60_000_000
    house.ask_a_person(2, agent="bank-2")

    async def go(browser):
        await browser.begin()
        return await browser.get("/ui/approvals"), await browser.get("/ui/approvals.json"), await browser.get("/ui/approvals.csv")

    page, data, table = house.browse(go)
    assert [each["id"] for each in data.json()["waiting"]] == ["apr_1", "apr_2"]
    assert page.text.count('<form method="post" action="/ui/approvals/apr_') == 2
    assert "in 9 min" in page.text
    assert "bank-2" in table.text


def test_an_approval_is_the_decision_of_the_account_that_is_signed_in(house) -> None:
    house.ask_a_person(1)
    answer = decided(house, {"what": "approve", "scope": "session", "reason": "looked at it", "by": "somebody else"})
    assert answer.status_code == 303
    found = house.approvals.find("apr_1")
    assert (found.state, found.decided_by, found.scope, found.reason) == ("approved", "ada", "session", "looked at it")


def test_a_denial_carries_its_reason(house) -> None:
    house.ask_a_person(1)
    assert decided(house, {"what": "deny", "reason": "not him", "scope": "agent", "arguments": "{"}).status_code == 303
    found = house.approvals.find("apr_1")
    assert (found.state, found.reason, found.scope, found.edited) == ("denied", "not him", "once", None)


UNCHANGED = ['{"to": "Eve", "amount": 1}', '{"to":"Eve","amount":1}', ' {"to": "Eve",\r\n "amount": 1}\r\n', ""]


@pytest.mark.parametrize("text", UNCHANGED)
def test_arguments_that_read_the_same_are_not_edited(house, text) -> None:
    house.ask_a_person(1)
    assert decided(house, {"what": "approve", "scope": "once", "arguments": text}).status_code == 303
    assert house.approvals.find("apr_1").edited is None


@pytest.mark.parametrize("text", ['{"to": "Ada", "amount": 1}', '{"to": "Eve", "amount": true}', '{"to": "Eve", "amount": 1.0}'])
def test_arguments_that_a_person_changed_are_delivered_in_their_place(house, text) -> None:
    house.ask_a_person(1)
    assert decided(house, {"what": "approve", "scope": "once", "arguments": text}).status_code == 303
    assert house.approvals.find("apr_1").edited == text


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_arguments_that_cannot_be_read_in_one_way_are_refused(house, text) -> None:
    house.ask_a_person(1)
    assert decided(house, {"what": "approve", "scope": "once", "arguments": text}).status_code == 400
    assert house.approvals.find("apr_1").state == "pending"


@pytest.mark.parametrize("fields", [{"what": "maybe"}, {}, {"what": "approve", "scope": "always"}, {"what": "deny", "reason": "a\nb"}])
def test_what_is_no_decision_decides_nothing(house, fields) -> None:
    house.ask_a_person(1)
    assert decided(house, fields).status_code == 400
    assert house.approvals.find("apr_1").state == "pending"


@pytest.mark.parametrize("role", ["viewer-metadata", "viewer-content", "policy-editor"])
def test_who_may_not_decide_cannot(house, role) -> None:
    house.ask_a_person(1)

    async def go(browser):
        await browser.as_role(role, "bob")
        page = await browser.get("/ui/approvals")
        return page, await browser.post("/ui/approvals/apr_1", {"what": "approve"}, "/ui/account")

    page, answer = house.browse(go)
    assert answer.status_code == 403
    assert "/ui/approvals/apr_1" not in page.text
    assert (page.status_code, "Eve" in page.text) == ((200, True) if role == "viewer-content" else (403, False))
    assert house.approvals.find("apr_1").state == "pending"


def test_an_approver_decides(house) -> None:
    house.ask_a_person(1)
    assert decided(house, {"what": "approve"}, role="approver").status_code == 303
    assert house.approvals.find("apr_1").decided_by == "bob"


def test_where_four_eyes_are_wanted_the_one_who_asks_cannot_approve(house) -> None:
    house.ask_a_person(1, user="ada", four_eyes=True)
    answer = decided(house, {"what": "approve"})
    assert answer.status_code == 400
    assert house.approvals.find("apr_1").state == "pending"


def test_what_was_decided_or_is_gone_cannot_be_decided_again(house) -> None:
    house.ask_a_person(1)

    async def go(browser):
        await browser.begin()
        first = await browser.post("/ui/approvals/apr_1", {"what": "deny"}, "/ui/approvals")
        again = await browser.post("/ui/approvals/apr_1", {"what": "approve"}, "/ui/account")
        nobody = await browser.post("/ui/approvals/apr_9", {"what": "approve"}, "/ui/account")
        return first.status_code, again.status_code, nobody.status_code, (await browser.get("/ui/approvals")).text

    first, again, nobody, page = house.browse(go)
    assert (first, again, nobody) == (303, 400, 404)
    assert "Nothing waits" in page
    assert "denied" in page


def test_what_has_expired_waits_no_longer(house) -> None:
    house.ask_a_person(1)

    async def go(browser):
        await browser.begin()
        house.clock[0] += 601_000_000
        return (await browser.get("/ui/approvals.json")).json()

    assert house.browse(go)["waiting"] == []
