"""The way into the face: accounts, sessions, forms that other sites forge, addresses that guess, headers that every page has."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.face.rooms import refuse_unless
from gateway.people.roles import Person

PAGES = ["/ui/overview", "/ui/people", "/ui/account"]
EVERYTHING = [*PAGES, "/ui/login", "/ui/begin", "/ui/no-such-thing-here.json"]


def test_there_is_no_default_account(house) -> None:
    async def go(browser):
        return [(await browser.sign_in(name, word)).status_code for name, word in (("admin", "admin"), ("admin", ""), ("", ""))]

    assert house.browse(go) == [401, 401, 401]


def test_the_first_invitation_makes_an_administrator_and_is_good_once(house) -> None:
    token = house.invitation
    assert len(token) >= 32
    assert (house.folder / "first-login.token").stat().st_mode & 0o077 == 0

    async def go(browser):
        first = await browser.begin()
        inside = await browser.get("/ui/people")
        fields = {"token": token, "name": "eve", "password": "another long password", "again": "another long password"}
        return first, inside, await browser.post("/ui/begin", fields, "/ui/begin")

    first, inside, again = house.browse(go)
    assert (first.status_code, first.headers["location"]) == (303, "/ui")
    assert inside.status_code == 200
    assert again.status_code == 400
    assert house.invitation == ""


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_a_page_leads_to_the_way_in_and_back(house, path) -> None:
    async def go(browser):
        sent = await browser.get(f"{path}?hours=6")
        await browser.begin()
        await browser.post("/ui/logout", {}, "/ui/account")
        fields = {"name": "ada", "password": "a boat upon the river", "next": f"{path}?hours=6"}
        return sent, await browser.post("/ui/login", fields, sent.headers["location"])

    sent, after = house.browse(go)
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/ui/login?next=%2Fui%2F")
    assert after.headers["location"] == f"{path}?hours=6"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/ui/..\\evil", "/sql", "javascript:alert(1)", "/ui/a b"])
def test_signing_in_leads_to_no_other_place(house, wanted) -> None:
    async def go(browser):
        await browser.begin()
        await browser.post("/ui/logout", {}, "/ui/account")
        return await browser.post("/ui/login", {"name": "ada", "password": "a boat upon the river", "next": wanted}, "/ui/login")

    assert house.browse(go).headers["location"] == "/ui"


@pytest.mark.parametrize("path", ["/ui/overview.json", "/ui/overview.csv", "/ui/people.csv"])
def test_without_a_session_the_twins_say_so(house, path) -> None:
    answer = house.browse(lambda browser: browser.get(path))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signed_out")


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(house) -> None:
    given = house.browse(lambda browser: browser.begin()).headers.get_list("set-cookie")
    session = next(each for each in given if each.startswith("tollhouse-session="))
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in session.split(";")}


def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(build) -> None:
    house = build(url="https://tollhouse.example")

    async def go(browser):
        return await browser.begin()

    answer = house.browse(go, host="tollhouse.example", origin="https://tollhouse.example")
    given = answer.headers.get_list("set-cookie")
    # httpx keeps Secure cookies from http, so the form is refused; the cookie it was given is what is looked at
    assert all(each.startswith("__Host-tollhouse-") and "Secure" in each and "Domain" not in each for each in given)


def test_the_admin_token_opens_no_page_and_a_session_no_route_of_the_api(house) -> None:
    async def go(browser):
        by_token = await browser.get("/ui/overview", authorization="Bearer tha_" + "x" * 40)
        await browser.begin()
        return by_token, await browser.get("/views")

    by_token, by_cookie = house.browse(go)
    assert (by_token.status_code, by_cookie.status_code) == (303, 401)


FORGED = {
    "cross-site": {"sec-fetch-site": "cross-site"},
    "a sibling host": {"sec-fetch-site": "same-site"},
    "another origin": {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    "another port": {"sec-fetch-site": "", "origin": "http://127.0.0.1:9"},
    "a sandboxed frame": {"origin": "null"},
    "nothing said": {"sec-fetch-site": ""},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
def test_a_form_from_elsewhere_does_nothing(house, headers) -> None:
    async def go(browser):
        await browser.begin()
        page = await browser.get("/ui/people")
        token = page.text.partition('name="csrf" value="')[2][:64]
        said = {name: value for name, value in ({"sec-fetch-site": "same-origin"} | headers).items() if value}
        fields = {"csrf": token, "role-admin": "on"}
        return await browser.client.post("/ui/people/invite", data=fields, headers=said)

    answer = house.browse(go)
    assert answer.status_code == 403
    assert "begin?token=" not in answer.text


@pytest.mark.parametrize("token", ["", "0" * 64, None])
def test_a_form_without_the_sessions_token_does_nothing(house, token) -> None:
    async def go(browser):
        await browser.begin()
        fields = {"role-admin": "on"} | ({} if token is None else {"csrf": token})
        return await browser.client.post("/ui/people/invite", data=fields, headers={"sec-fetch-site": "same-origin"})

    assert house.browse(go).status_code == 403


def test_a_form_token_of_another_session_does_nothing(house) -> None:
    async def go(browser):
        await browser.begin()
        token = (await browser.get("/ui/people")).text.partition('name="csrf" value="')[2][:64]
        await browser.post("/ui/logout", {}, "/ui/account")
        await browser.sign_in()
        fields = {"csrf": token, "role-admin": "on"}
        return await browser.client.post("/ui/people/invite", data=fields, headers={"sec-fetch-site": "same-origin"})

    assert house.browse(go).status_code == 403


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_body_that_is_no_form_is_refused(house, kind) -> None:
    async def go(browser):
        await browser.begin()
        headers = {"sec-fetch-site": "same-origin", "content-type": kind}
        return await browser.client.post("/ui/people/invite", content=b"role-admin=on", headers=headers)

    assert house.browse(go).status_code == 403


def test_a_field_that_is_said_twice_is_refused(house) -> None:
    async def go(browser):
        await browser.begin()
        token = (await browser.get("/ui/people")).text.partition('name="csrf" value="')[2][:64]
        headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
        body = f"csrf={token}&role-admin=on&role-admin=off".encode()
        return await browser.client.post("/ui/people/invite", content=body, headers=headers)

    assert house.browse(go).status_code == 400


def test_ten_failures_in_a_minute_make_an_address_wait(house) -> None:
    async def go(browser):
        await browser.begin()
        tried = [(await browser.sign_in("ada", "wrong password")).status_code for _ in range(10)]
        waiting = await browser.sign_in()
        house.clock[0] += 61_000_000
        return tried, waiting, await browser.sign_in()

    tried, waiting, later = house.browse(go)
    assert tried == [401] * 10
    assert (waiting.status_code, later.status_code) == (429, 303)
    assert 1 <= int(waiting.headers["retry-after"]) <= 61


def test_guessing_invitations_makes_an_address_wait_too(house) -> None:
    async def go(browser):
        fields = {"token": "guessed", "name": "eve", "password": "another long password", "again": "another long password"}
        return [(await browser.post("/ui/begin", fields, "/ui/begin")).status_code for _ in range(11)]

    assert house.browse(go) == [400] * 10 + [429]


@pytest.mark.parametrize(("idle_s", "steps"), [(12 * 3600 + 1, 1), (3600, 24 * 7 + 1)])
def test_a_session_ends_when_idle_and_in_any_case_after_a_week(house, idle_s, steps) -> None:
    async def go(browser):
        await browser.begin()
        seen = []
        for _ in range(steps):
            house.clock[0] += idle_s * 1_000_000
            seen.append((await browser.get("/ui/account.json")).status_code)
        return seen

    seen = house.browse(go)
    assert seen[-1] == 401
    assert set(seen[:-2]) <= {200}


def test_people_see_and_end_their_sessions(house) -> None:
    async def go(browser):
        await browser.begin()
        here = dict(browser.client.cookies)
        browser.client.cookies.clear()
        await browser.sign_in()
        sessions = (await browser.get("/ui/account.json")).json()["sessions"]
        other = next(each["id"] for each in sessions if not each["this_one"])
        await browser.post("/ui/account/end", {"session": other}, "/ui/account")
        still = await browser.get("/ui/account.json")
        browser.client.cookies.clear()
        for name, value in here.items():
            browser.client.cookies.set(name, value)
        return sessions, still, await browser.get("/ui/account.json")

    sessions, still, ended = house.browse(go)
    assert len(sessions) == 2
    assert (still.status_code, ended.status_code) == (200, 401)
    assert "hash" not in sessions[0]


def test_nobody_ends_a_session_of_somebody_else_without_the_right(house) -> None:
    async def go(browser):
        await browser.as_role("approver", "bob")
        await browser.post("/ui/logout", {}, "/ui/account")
        await browser.sign_in()
        ada = (await browser.get("/ui/account.json")).json()["sessions"][0]["id"]
        kept = dict(browser.client.cookies)
        browser.client.cookies.clear()
        await browser.sign_in("bob")
        own = await browser.post("/ui/account/end", {"session": ada}, "/ui/account")
        any_ = await browser.post("/ui/people/end", {"session": ada}, "/ui/account")
        browser.client.cookies.clear()
        for name, value in kept.items():
            browser.client.cookies.set(name, value)
        return own, any_, await browser.get("/ui/account.json")

    own, any_, still = house.browse(go)
    assert (own.status_code, any_.status_code, still.status_code) == (303, 403, 200)


def test_another_password_ends_the_other_sessions(house) -> None:
    async def go(browser):
        await browser.begin()
        old = dict(browser.client.cookies)
        browser.client.cookies.clear()
        await browser.sign_in()
        fields = {"password": "a boat upon the river", "new": "a house behind the hill", "again": "a house behind the hill"}
        changed = await browser.post("/ui/account/password", fields, "/ui/account")
        here = await browser.get("/ui/account.json")
        browser.client.cookies.clear()
        for name, value in old.items():
            browser.client.cookies.set(name, value)
        there = await browser.get("/ui/account.json")
        browser.client.cookies.clear()
        return changed, here, there, await browser.sign_in(), await browser.sign_in("ada", "a house behind the hill")

    assert [each.status_code for each in house.browse(go)] == [303, 200, 401, 401, 303]


@pytest.mark.parametrize("role", ["viewer-metadata", "viewer-content", "policy-editor", "approver"])
def test_who_may_not_administer_sees_no_people(house, role) -> None:
    async def go(browser):
        await browser.as_role(role, "bob")
        return await browser.get("/ui/people"), await browser.get("/ui/overview")

    people, overview = house.browse(go)
    assert (people.status_code, overview.status_code) == (403, 200)
    assert "/ui/people" not in overview.text


def test_the_last_administrator_stays(house) -> None:
    async def go(browser):
        await browser.begin()
        return await browser.post("/ui/people/remove", {"name": "ada"}, "/ui/people"), await browser.get("/ui/people.json")

    refused, left = house.browse(go)
    assert refused.status_code == 400
    assert [each["name"] for each in left.json()["accounts"]] == ["ada"]


def test_a_session_of_a_removed_account_is_none(house) -> None:
    async def go(browser):
        await browser.as_role("admin", "bob")
        await browser.post("/ui/people/remove", {"name": "ada"}, "/ui/people")
        names = [each["name"] for each in (await browser.get("/ui/people.json")).json()["accounts"]]
        await browser.post("/ui/logout", {}, "/ui/account")
        return names, (await browser.sign_in()).status_code

    assert house.browse(go) == (["bob"], 401)


@pytest.mark.parametrize("path", EVERYTHING)
def test_every_answer_says_what_a_browser_may_load(house, path) -> None:
    async def go(browser):
        await browser.begin()
        return await browser.get(path)

    answer = house.browse(go)
    if path.startswith("/ui/no-such"):
        assert answer.status_code == 404
        return
    policy = answer.headers["content-security-policy"]
    for wanted in ("default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'",
                   "form-action 'self'", "require-trusted-types-for 'script'", "report-uri /ui/csp-report"):  # fmt: skip
        assert wanted in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"


def test_another_hosts_name_is_refused(house) -> None:
    assert house.browse(lambda browser: browser.get("/ui/login"), host="evil.example").status_code == 421


def test_a_link_from_another_site_goes_on_by_itself_where_the_cookie_is_sent(house) -> None:
    answer = house.browse(lambda browser: browser.get("/ui/overview?hours=6", **{"sec-fetch-site": "cross-site"}))
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/ui/overview?hours=6">' in answer.text


def test_reports_of_browsers_are_taken_and_bounded(house, caplog) -> None:
    async def go(browser):
        sent = [await browser.client.post("/ui/csp-report", content=b'{"csp-report":{"blocked-uri":"\x1b[2Jinline"}}') for _ in range(25)]
        return [each.status_code for each in sent]

    assert house.browse(go) == [204] * 25
    assert len(caplog.records) == 20
    assert "\x1b" not in caplog.text


@pytest.mark.parametrize("teams", [frozenset(), frozenset({"red"})])
def test_who_is_bound_to_teams_sees_no_page_that_is_about_everybody(teams) -> None:
    refuse_unless(Person("ada", "ada", frozenset({"admin"})), "see-metadata")
    with pytest.raises(GatewayError, match="your teams"):
        refuse_unless(Person("ada", "ada", frozenset({"admin"}), teams), "see-metadata")
