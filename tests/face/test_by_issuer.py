"""Signing in by an issuer, with a provider in a process of its own: the code, PKCE, state and nonce, and everything that can be wrong with
what comes back."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.errors import StartError
from gateway.installation import open_people
from gateway.state.people import PersonRecord
from tests.patience import PATIENCE_S

WORD = "a boat upon the river"


@pytest.fixture
def asked(build, issuer):
    """A face whose people sign in by an issuer, at the time that it is."""
    house = build({"issuers": [issuer.settings()]})
    house.clock[0] = time.time_ns() // 1000
    return house


async def away(browser, onward=""):
    """To the issuer; where it was sent."""
    answer = await browser.get(f"/ui/sign-in/corp{onward}")
    assert answer.status_code == 303
    return answer.headers["location"]


async def at_issuer(where, user):
    """Signs in there; the address that the browser is sent back to."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        answer = await client.post(where, data={"user": user})
    return answer.headers["location"]


async def back(browser, address):
    parts = urlsplit(address)
    return await browser.get(f"{parts.path}?{parts.query}", **{"sec-fetch-site": "cross-site"})


async def signed_in(browser, user="ada", onward=""):
    return await back(browser, await at_issuer(await away(browser, onward), user))


def test_who_the_issuer_knows_is_signed_in_with_the_roles_of_their_groups(asked) -> None:
    async def go(browser):
        login = await browser.get("/ui/login?next=/ui/people%3Fx=1")
        answer = await signed_in(browser, onward="?next=/ui/people%3Fx=1")
        return login.text, answer, (await browser.get("/ui/account.json")).json(), (await browser.get("/ui/people.json")).json()

    login, answer, account, people = asked.browse(go)
    assert 'href="/ui/sign-in/corp?next=%2Fui%2Fpeople%3Fx%3D1"' in login
    assert (answer.status_code, 'content="0; url=/ui/people?x=1"' in answer.text) == (200, True)
    assert (account["roles"], account["password"], account["token"]) == (["admin"], False, "")
    assert [(each["name"], each["issuer"]) for each in people["sessions"]] == [("ada", "corp")]
    assert people["accounts"] == []


def test_what_is_asked_of_the_issuer_is_fresh_each_time_and_gives_nothing_away(asked) -> None:
    async def go(browser):
        first, cookie = await away(browser), browser.client.cookies["tollhouse-flow"]
        return first, await away(browser), cookie

    first, second, cookie = asked.browse(go)
    one, two = (parse_qs(urlsplit(each).query) for each in (first, second))
    assert (one["code_challenge_method"], one["response_type"], one["scope"]) == (["S256"], ["code"], ["openid profile email"])
    assert one["redirect_uri"] == ["http://127.0.0.1:8485/ui/signed-in/corp"]
    assert not [name for name in ("state", "nonce", "code_challenge") if one[name] == two[name] or len(one[name][0]) < 43]
    assert "s:e%c" not in cookie
    assert one["state"][0] not in second


@pytest.mark.parametrize(("url", "secure"), [("https://tollhouse.example", True), (None, False)])
def test_cookies_of_a_sign_in_are_for_this_alone_and_the_session_is_strict(build, issuer, url, secure) -> None:
    house = build({"issuers": [issuer.settings()]}, url=url)
    house.clock[0] = time.time_ns() // 1000

    async def go(browser):
        begun = await browser.get("/ui/sign-in/corp")
        came = await at_issuer(begun.headers["location"], "ada")
        worn = begun.headers["set-cookie"].partition(";")[0]
        browser.client.cookies.clear()
        return begun, came, await browser.get("/ui/signed-in/corp?" + urlsplit(came).query, cookie=worn)

    host = "tollhouse.example" if secure else "127.0.0.1:8485"
    begun, came, ended = house.browse(go, host=host)
    assert came.startswith(f"{url or 'http://127.0.0.1:8485'}/ui/signed-in/corp?")
    assert ended.status_code == 200
    both = begun.headers.get_list("set-cookie") + ended.headers.get_list("set-cookie")
    given = {each.partition("=")[0].removeprefix("__Host-"): each for each in both}
    assert "SameSite=lax" in given["tollhouse-flow"]
    assert "Max-Age=0" in given["tollhouse-flow"]
    assert "SameSite=strict" in given["tollhouse-session"]
    for each in given.values():
        assert "HttpOnly" in each
        assert "Path=/" in each
        assert ("Secure" in each, each.startswith("__Host-")) == (secure, secure)


WRONG_CLAIMS = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "for another client": {"aud": "another"},
    "for the API": {"aud": "api"},
    "for several, and not for us": {"aud": ["pages of tollhouse", "another"], "azp": "another"},
    "for several, and nobody says for whom": {"aud": ["pages of tollhouse", "another"]},
    "of another issuer": {"iss": "https://evil.example"},
    "over": {"exp": 1},
    "without an end": {"exp": None},
    "without a subject": {"sub": None},
    "without a name": {"preferred_username": None},
    "of the data folder's token": {"preferred_username": "admin.token"},
    "without a group": {"groups": []},
    "of no group of ours": {"groups": ["others"]},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_an_id_token_that_is_not_ours_proves_nobody(asked, issuer, claims) -> None:
    issuer.twist(claims=claims)

    async def go(browser):
        return await signed_in(browser), await browser.get("/ui/account.json")

    answer, inside = asked.browse(go)
    assert (answer.status_code, inside.status_code) == (401, 401)
    assert not [each for each in answer.headers.get_list("set-cookie") if each.startswith("tollhouse-session=")]


WRONG_ANSWERS = {
    "an error": [400, {"error": "invalid_grant"}],
    "hostile text": [400, {"error": "<script>alert(1)</script>"}],
    "no token": [200, {"access_token": "x"}],
    "a list": [200, []],
    "no text": [200, {"id_token": 7}],
    "no token of its form": [200, {"id_token": "x.y.z"}],
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_an_answer_that_is_none_lets_nobody_in(asked, issuer, answer) -> None:
    issuer.twist(answer=answer)
    got = asked.browse(signed_in)
    assert got.status_code == 401
    assert "<script>alert" not in got.text


def test_a_token_that_another_key_signed_lets_nobody_in(asked, issuer) -> None:
    issuer.twist(key=True)
    assert asked.browse(signed_in).status_code == 401


@pytest.mark.parametrize("said", [{"iss": "https://evil.example"}, {"error": "access_denied"}, {"state": "another"}, {"code": ""}])
def test_what_comes_back_otherwise_than_it_was_asked_lets_nobody_in(asked, issuer, said) -> None:
    issuer.twist(back=said)
    assert asked.browse(signed_in).status_code == 401


def test_a_code_is_good_once_and_in_the_browser_that_asked_for_it(asked) -> None:
    async def go(browser):
        came = await at_issuer(await away(browser), "ada")
        worn = dict(browser.client.cookies)
        browser.client.cookies.clear()
        victim = await back(browser, came)
        await away(browser)
        other = await back(browser, came)
        browser.client.cookies.clear()
        for name, value in worn.items():
            browser.client.cookies.set(name, value)
        first = await back(browser, came)
        taken = [each for each in first.headers.get_list("set-cookie") if each.startswith("tollhouse-flow=") and "Max-Age=0" in each]
        browser.client.cookies.set("tollhouse-flow", worn["tollhouse-flow"])
        return [each.status_code for each in (victim, other, first, await back(browser, came))], len(taken)

    assert asked.browse(go) == ([401, 401, 200, 401], 1)


def test_a_cookie_that_was_changed_or_is_old_begins_nothing(asked) -> None:
    async def go(browser):
        came = await at_issuer(await away(browser), "ada")
        cookie, seen = browser.client.cookies["tollhouse-flow"], []
        body, mark = cookie.split(".")
        changed = [f"{body}.", f".{mark}", f"{body}.{mark[::-1]}", f"{body[:-4]}AAAA.{mark}", f"{body}.{mark}.x"]
        for worn in ("", "x", *changed, "\u00fc.\u00fc"):
            browser.client.cookies.clear()
            address = f"{urlsplit(came).path}?{urlsplit(came).query}"
            seen.append((await browser.get(address, cookie=f"tollhouse-flow={worn}".encode())).status_code)
        asked.clock[0] += 601_000_000
        browser.client.cookies.set("tollhouse-flow", cookie)
        return set(seen), (await back(browser, came)).status_code

    assert asked.browse(go) == ({401}, 401)


ELSEWHERE = ["https://evil.example/", "//evil.example", "/ui/..\\evil", "/sql", "javascript:alert(1)", "/ui/%0d%0ax"]


@pytest.mark.parametrize("onward", ELSEWHERE)
def test_nobody_is_led_to_another_place(asked, onward) -> None:
    answer = asked.browse(lambda browser: signed_in(browser, onward=f"?next={onward}"))
    assert (answer.status_code, 'content="0; url=/ui"' in answer.text) == (200, True)


def test_a_name_that_somebody_has_here_is_theirs_alone(asked) -> None:
    people = open_people(asked.settings)

    async def go(browser):
        await signed_in(browser, "root")
        before = (await browser.get("/ui/account.json")).status_code
        people.add(PersonRecord("root", ("viewer-metadata",), "", asked.clock[0]))
        after = (await browser.get("/ui/account.json")).status_code
        return before, after, (await signed_in(browser, "root"))

    before, after, again = asked.browse(go)
    assert (before, after, again.status_code) == (200, 401, 403)
    assert "account &#39;root&#39;" in again.text


def test_what_began_at_one_gateway_of_a_fleet_ends_at_another(build_shared, issuer) -> None:
    one, other = build_shared(issuers=[issuer.settings()])
    now = time.time_ns() // 1000
    for house in (one, other):
        house.clock[0] = now

    async def first(browser):
        return await at_issuer(await away(browser), "ada"), browser.client.cookies["tollhouse-flow"]

    came, cookie = one.browse(first)

    async def second(browser):
        browser.client.cookies.set("tollhouse-flow", cookie)
        answer = await back(browser, came)
        return answer.status_code, browser.client.cookies["tollhouse-session"]

    status, session = other.browse(second)

    async def third(browser):
        browser.client.cookies.set("tollhouse-session", session)
        return (await browser.get("/ui/account.json")).json()["sessions"]

    assert status == 200
    assert [(each["name"], each["issuer"]) for each in one.browse(third)] == [("ada", "corp")]


def test_such_a_session_ends_when_the_settings_say_or_somebody_ends_it(asked) -> None:
    async def go(browser):
        await signed_in(browser)
        session = (await browser.get("/ui/account.json")).json()["sessions"][0]["id"]
        await browser.post("/ui/people/end", {"session": session}, "/ui/people")
        ended = (await browser.get("/ui/account.json")).status_code
        await signed_in(browser)
        asked.clock[0] += 2 * 3600 * 1_000_000 - 1_000_000
        still = (await browser.get("/ui/account.json")).status_code
        asked.clock[0] += 1_000_000
        return ended, still, (await browser.get("/ui/account.json")).status_code

    assert asked.browse(go) == (401, 200, 401)


def test_what_the_settings_say_now_holds_for_who_is_signed_in(asked, build, issuer) -> None:
    async def enter(browser):
        await signed_in(browser, "eve")
        return dict(browser.client.cookies)

    worn = asked.browse(enter)
    people = issuer.settings()["people"]

    async def look(browser):
        for name, value in worn.items():
            browser.client.cookies.set(name, value)
        answer = await browser.get("/ui/account.json")
        return answer.json()["roles"] if answer.status_code == 200 else answer.status_code

    seen = [asked.browse(look)]
    for more in (
        {"issuers": [issuer.settings(people={**people, "roles": {"readers": ["approver"]}})]},
        {"issuers": [issuer.settings(people={**people, "roles": {"others": ["admin"]}})]},
        {"issuers": [issuer.settings(people={**people, "teams": "teams"})]},
        {"issuers": [issuer.settings(name="renamed")]},
        {},
    ):
        now = asked.clock[0]
        house = build(more)
        house.clock[0] = now
        seen.append(house.browse(look))
    assert seen == [["viewer-metadata"], ["approver"], 401, ["viewer-metadata"], 401, 401]


def test_an_issuer_that_is_away_lets_nobody_in_and_says_so(build, issuer) -> None:
    sign_in = {**issuer.settings()["sign_in"], "token": "http://127.0.0.1:9/token"}
    house = build({"issuers": [issuer.settings(sign_in=sign_in)]})
    house.clock[0] = time.time_ns() // 1000
    answer = house.browse(signed_in)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "Try again shortly" in answer.text


def test_another_secret_of_the_client_is_the_administrators_affair(build, issuer, monkeypatch) -> None:
    monkeypatch.setenv("ISSUER_SECRET", "another")
    house = build({"issuers": [issuer.settings()]})
    house.clock[0] = time.time_ns() // 1000
    answer = house.browse(signed_in)
    assert answer.status_code == 401
    assert "invalid_client" in answer.text
    assert "administrator" in answer.text


def test_a_secret_that_is_not_there_stops_the_start(build, issuer, monkeypatch) -> None:
    monkeypatch.delenv("ISSUER_SECRET")
    with pytest.raises(StartError, match="the variable ISSUER_SECRET, and nothing is there"):
        build({"issuers": [issuer.settings()]})


def test_no_first_invitation_is_made_where_an_issuer_makes_administrators(build, issuer) -> None:
    people = issuer.settings()["people"]
    assert build({"issuers": [issuer.settings()]}).invitation == ""
    assert build({"issuers": [issuer.settings(people={**people, "roles": {"readers": ["approver"]}})]}).invitation != ""


def test_an_unknown_issuer_and_ten_failures_are_refused(asked) -> None:
    async def go(browser):
        wrong = ("sign-in/other", "signed-in/other", "sign-in/corp?next=/ui/a&next=/ui/b")
        unknown = [(await browser.get(f"/ui/{path}")).status_code for path in wrong]
        failed = [(await back(browser, "http://x/ui/signed-in/corp?code=x&state=x")).status_code for _ in range(11)]
        return unknown, failed

    assert asked.browse(go) == ([400, 400, 400], [401] * 10 + [429])
