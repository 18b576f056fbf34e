"""What an issuer by which people sign in must say in the settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.people.code_flow import CodeFlow
from gateway.people.issuers import Issuer

GOOD = {"client": "c", "authorize": "https://login.example.org/authorize", "token": "https://login.example.org/token"}
PEOPLE = {"groups": "groups", "roles": {"ops": ["admin"]}}


def issuer(sign_in, **more) -> Issuer:
    given = {"name": "corp", "issuer": "i", "audience": "a", "keys": "https://login.example.org/keys", "people": PEOPLE, **more}
    return Issuer.model_validate({**given, "sign_in": sign_in})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "http://login.example.org/token"}, "must be an https:// URL"),
        ({"authorize": "https://user:pass@login.example.org/"}, "without user name"),
        ({"scopes": ["profile"]}, "'openid' among them"),
        ({"scopes": ["openid", "a b"]}, "must be words"),
        ({"scopes": []}, "at least 1"),
        ({"hours": 0}, "greater than 0"),
        ({"secret": {}}, "exactly one of 'env' and 'file'"),
        ({"client": ""}, "at least 1 character"),
        ({"pkce": False}, "Extra inputs"),
    ],
)
def test_what_would_not_be_safe_or_has_no_meaning_is_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        issuer({**GOOD, **wrong})


def test_signing_in_wants_to_know_who_people_are():
    with pytest.raises(ValidationError, match="'sign_in' wants 'people'"):
        issuer(GOOD, people=None, agents={"agent": "azp"})


NOBODY = [
    ({"agents": {"agent": ""}}, "at least 1 character"),
    ({"agents": {"agent": []}}, "at least 1 item"),
    ({"agents": {"agent": ["realm_access", ""]}}, "at least 1 character"),
    ({"agents": {"agent": "azp", "team": ""}}, "at least 1 character"),
    ({"agents": {"agent": "azp", "names": {}}}, "at least 1 item"),
    ({"agents": {"agent": "azp", "names": {"client-7": "bank bot"}}}, "use 1 to 128 letters, digits and - _ . : / @"),
    ({"agents": {"agent": "azp", "names": {"client-7": ""}}}, "use 1 to 128 letters"),
    ({"people": PEOPLE | {"name": ""}}, "at least 1 character"),
    ({"people": PEOPLE | {"groups": [""]}}, "at least 1 character"),
    ({"people": PEOPLE | {"roles": {"ops": []}}}, "at least 1 item"),
    ({"people": PEOPLE | {"roles": {"": ["admin"]}}}, "groups are named exactly"),
    ({"people": PEOPLE | {"roles": {"*": ["admin"]}}}, "groups are named exactly"),
    ({"people": PEOPLE | {"roles": {"ops-*": ["admin"]}}}, "groups are named exactly"),
    ({"issuer": ""}, "at least 1 character"),
]


@pytest.mark.parametrize(("wrong", "said"), NOBODY)
def test_claims_and_groups_that_no_token_has_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        issuer(None, **wrong)


@pytest.mark.parametrize(("authorize", "begins"), [("https://i.example/a", "https://i.example/a?"), ("https://i.example/a?p=1", "https://i.example/a?p=1&")])
def test_an_address_that_has_a_query_keeps_it(authorize, begins):
    where, _ = CodeFlow(issuer({**GOOD, "authorize": authorize}), None, b"k" * 32).begin("/ui", "http://127.0.0.1/ui/signed-in/corp", 1)
    assert where.startswith(f"{begins}response_type=code&")
    assert where.count("?") == 1


@pytest.mark.parametrize(("how", "form", "header"), [("header", False, True), ("form", True, False), (None, False, False)])
def test_the_clients_secret_is_sent_in_one_place_alone(how, form, header):
    sent = []

    def send(url, fields, headers):
        sent.append((fields, headers))
        raise OSError("away")

    flow = CodeFlow(issuer({**GOOD, "secret_in": how or "header"}), "s e" if how else None, b"k" * 32, send)
    where, cookie = flow.begin("/ui", "b", 1)
    state = where.partition("&state=")[2].partition("&")[0]
    with pytest.raises(Exception, match="cannot be asked just now"):
        flow.finish(cookie, {"state": state, "code": "c"}, "b", 1)
    fields, headers = sent[0]
    assert ("client_secret" in fields, "authorization" in headers) == (form, header)
    assert fields["client_id"] == "c"
    assert len(fields["code_verifier"]) >= 43
