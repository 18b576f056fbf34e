"""One account for pages and tokens: what the command line, the API and the pages know of a person is the same, on every gateway that shares
the state."""

from __future__ import annotations

import re
import sqlite3

import pytest

from gateway.errors import StartError
from gateway.face import earlier_accounts
from gateway.installation import open_people
from gateway.people import passwords
from gateway.state.people import Invitation, PersonRecord

WORD = "a boat upon the river"


def people_of(house):
    return open_people(house.settings)


def cookies(browser):
    return dict(browser.client.cookies)


def wear(browser, worn):
    browser.client.cookies.clear()
    for name, value in worn.items():
        browser.client.cookies.set(name, value)


def test_a_person_of_the_command_line_sets_a_password_and_is_the_same_person(house) -> None:
    people = people_of(house)
    api = people.add(PersonRecord("bob", ("approver", "viewer-content"), "", house.clock[0]), by="root")
    token = people.invite(Invitation((), house.clock[0] + 10, name="bob"), house.clock[0])

    async def go(browser):
        fields = {"token": token, "name": "Bob", "password": WORD, "again": WORD}
        assert (await browser.post("/ui/begin", fields, "/ui/begin")).status_code == 303
        return (await browser.get("/ui/account.json")).json(), (await browser.get("/ui/approvals")).status_code

    account, approvals = house.browse(go)
    assert (account["roles"], account["token"], approvals) == (["approver", "viewer-content"], api[-4:], 200)
    assert people.find(api, house.clock[0]).id == "bob"


def test_what_the_command_line_changes_holds_for_a_page_with_the_next_request(house) -> None:
    people = people_of(house)

    async def go(browser):
        await browser.begin()
        seen = [(await browser.get("/ui/people")).status_code]
        for change in (
            lambda: people.change("ada", ("approver",), None, house.clock[0]),
            lambda: people.change("ada", ("admin",), ("red",), house.clock[0]),
            lambda: people.change("ada", ("admin",), None, house.clock[0]),
            lambda: people.remove("ada", house.clock[0]),
        ):
            change()
            seen.append((await browser.get("/ui/people")).status_code)
        people.add(PersonRecord("ada", ("admin",), "", house.clock[0]))
        return [*seen, (await browser.get("/ui/people")).status_code]

    assert house.browse(go) == [200, 403, 403, 200, 303, 303]


def test_who_is_bound_to_teams_has_an_account_page_and_no_page_that_is_about_everybody(house) -> None:
    people = people_of(house)
    token = people.invite(Invitation(("admin",), house.clock[0] + 10, teams=("red",)), house.clock[0])

    async def go(browser):
        await browser.post("/ui/begin", {"token": token, "name": "bob", "password": WORD, "again": WORD}, "/ui/begin")
        answers = [await browser.get(f"/ui/{page}") for page in ("account", "overview", "status", "people")]
        ended = await browser.post("/ui/people/remove", {"name": "bob"}, "/ui/account")
        return [each.status_code for each in (*answers, ended)], answers[0].text

    status, text = house.browse(go)
    assert status == [200, 200, 403, 403, 403]
    assert "teams <strong>red</strong>" in text


def test_a_token_is_made_on_ones_own_page_shown_once_and_ended(house) -> None:
    people = people_of(house)

    async def go(browser):
        await browser.begin()
        told = await browser.post("/ui/account/token", {}, "/ui/account")
        token = re.search(r"thp_\w+", told.text)[0]
        found = people.find(token, house.clock[0])
        later = (await browser.get("/ui/account")).text + (await browser.get("/ui/account.json")).text
        await browser.post("/ui/account/token/end", {}, "/ui/account")
        return told, token, found, later

    told, token, found, later = house.browse(go)
    assert (told.status_code, told.headers["cache-control"], found.id) == (200, "no-store", "ada")
    assert token not in later
    assert token[-4:] in later
    assert people.find(token, house.clock[0]) is None


def test_an_administrator_gives_roles_but_leaves_an_administrator(house) -> None:
    async def go(browser):
        await browser.as_role("approver", "bob")
        await browser.post("/ui/logout", {}, "/ui/account")
        await browser.sign_in()
        lowered = await browser.post("/ui/people/roles", {"name": "ada", "role-approver": "on"}, "/ui/people")
        none = await browser.post("/ui/people/roles", {"name": "bob"}, "/ui/people")
        await browser.post("/ui/people/roles", {"name": "bob", "role-admin": "on", "role-approver": "on"}, "/ui/people")
        again = await browser.post("/ui/people/roles", {"name": "ada", "role-approver": "on"}, "/ui/people")
        return [each.status_code for each in (lowered, none, again)]

    assert house.browse(go) == [400, 400, 303]
    assert {each.id: each.roles for each in people_of(house).every()} == {"ada": ("approver",), "bob": ("approver", "admin")}


def test_an_administrator_lets_somebody_set_another_password_and_their_browsers_are_out(house) -> None:
    async def go(browser):
        await browser.as_role("viewer-content", "bob")
        bobs = cookies(browser)
        await browser.post("/ui/logout", {}, "/ui/account")
        wear(browser, {})
        await browser.sign_in()
        token = await browser.invite("admin", "bob")
        adas = cookies(browser)
        wear(browser, {})
        await browser.sign_in("bob")
        bobs = cookies(browser)
        fields = {"token": token, "name": "bob", "password": "a hill behind the house", "again": "a hill behind the house"}
        wear(browser, {})
        await browser.post("/ui/begin", fields, "/ui/begin")
        roles = (await browser.get("/ui/account.json")).json()["roles"]
        wear(browser, bobs)
        out = (await browser.get("/ui/account.json")).status_code
        wear(browser, adas)
        return roles, out, (await browser.get("/ui/account.json")).status_code

    assert house.browse(go) == (["viewer-content"], 401, 200)


def test_signing_in_gives_another_cookie_than_the_browser_came_with(house) -> None:
    """Whoever planted a cookie knows nothing of the session."""

    async def go(browser):
        await browser.begin()
        first = cookies(browser)["tollhouse-session"]
        browser.client.cookies.clear()
        browser.client.cookies.set("tollhouse-session", "planted", domain="127.0.0.1", path="/")
        await browser.sign_in()
        second = next(each.value for each in browser.client.cookies.jar if each.name == "tollhouse-session" and each.value != "planted")
        answers = []
        for worn in ("planted", second):
            wear(browser, {"tollhouse-session": worn})
            answers.append((await browser.get("/ui/account.json")).status_code)
        return first, second, answers

    first, second, answers = house.browse(go)
    assert len({first, second, "planted"}) == 3
    assert answers == [401, 200]


@pytest.fixture
def two_gateways(build_shared):
    return build_shared()


def test_two_gateways_of_a_fleet_share_who_is_signed_in_and_who_is_not_any_more(two_gateways) -> None:
    one, other = two_gateways

    async def first(browser):
        await browser.begin()
        return cookies(browser)

    worn = one.browse(first)

    async def second(browser):
        wear(browser, worn)
        sessions = (await browser.get("/ui/account.json")).json()["sessions"]
        await browser.post("/ui/logout", {}, "/ui/account")
        return sessions

    assert [each["name"] for each in other.browse(second)] == ["ada"]

    async def third(browser):
        wear(browser, worn)
        ended = (await browser.get("/ui/account.json")).status_code
        wear(browser, {})
        return ended, (await browser.sign_in()).status_code

    assert one.browse(third) == (401, 303)
    assert other.invitation != ""
    assert other.browse(lambda browser: browser.begin("eve")).status_code == 400


def earlier(folder, *accounts):
    db = sqlite3.connect(folder / "people.sqlite")
    columns = "name TEXT PRIMARY KEY, password TEXT NOT NULL, role TEXT NOT NULL, created_us INTEGER NOT NULL"
    db.execute(f"CREATE TABLE accounts ({columns}) STRICT")
    db.executemany("INSERT INTO accounts VALUES (?, ?, ?, 1)", accounts)
    db.commit()
    db.close()


def test_accounts_of_an_earlier_version_move_once_with_their_passwords(build, tmp_path) -> None:
    earlier(tmp_path, ("ada", passwords.kept(WORD), "admin"), ("bob", passwords.kept("another long password"), "approver"))
    house = build()
    assert house.invitation == ""
    assert not list(tmp_path.glob("people.sqlite*"))

    async def go(browser):
        before = (await browser.sign_in()).status_code
        return before, [(each["name"], each["roles"]) for each in (await browser.get("/ui/people.json")).json()["accounts"]]

    assert house.browse(go) == (303, [("ada", ["admin"]), ("bob", ["approver"])])


def test_an_earlier_account_whose_name_is_taken_gets_nobodys_roles(house, tmp_path, caplog) -> None:
    people = people_of(house)
    people.add(PersonRecord("root", ("admin",), "", 1))
    earlier(tmp_path, ("root", passwords.kept(WORD), "viewer-metadata"))
    earlier_accounts.move_in(tmp_path, people)
    assert people.password("root", house.clock[0]) is None
    assert "tollhouse people invite root" in caplog.text


def test_earlier_accounts_that_cannot_be_read_stop_the_start_and_stay(house, tmp_path) -> None:
    (tmp_path / "people.sqlite").write_bytes(b"not a database, whatever it is called" * 100)
    with pytest.raises(StartError, match=r"restore the file, or delete it"):
        earlier_accounts.move_in(tmp_path, people_of(house))
    assert (tmp_path / "people.sqlite").exists()
