"""What signed tokens prove: the right ones what the settings say, and everything else nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from gateway.people.passes import Agent, Passes

ADA = {"team": "red"}


def b64(data: bytes | dict) -> str:
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def passes(signer) -> Passes:
    return Passes([signer.issuer()])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_signed_token_proves_an_agent_and_a_person_as_the_settings_say(signer, algorithm):
    passes = Passes([signer.issuer(algorithms=[algorithm])])
    token = signer.token(algorithm, **ADA)
    assert passes.agent(token) == Agent(passes.agent(token).key_id, "client-1", "red", "ada", None)
    assert passes.agent(token).key_id.startswith("jwt:corp:")
    who = passes.person(token)
    assert (who.id, who.roles, who.teams, who.shared) == ("ada", {"admin"}, None, False)


def test_a_token_of_several_audiences_is_for_each_of_them(passes, signer):
    assert passes.agent(signer.token(aud=["other", signer.AUDIENCE], **ADA)) is not None


BAD_CLAIMS = {
    "expired": {"exp": int(time.time()) - 31},
    "no expiry": {"exp": ...},
    "expiry in words": {"exp": "tomorrow"},
    "expiry without end": {"exp": float("inf")},
    "expiry is a list": {"exp": [99999999999]},
    "not yet": {"nbf": int(time.time()) + 86_400},
    "made in the future": {"iat": int(time.time()) + 86_400},
    "not made": {"iat": ...},
    "another audience": {"aud": "tollhouse2"},
    "the audience in capitals": {"aud": "Tollhouse"},
    "no audience": {"aud": ...},
    "empty audience": {"aud": []},
    "audience of numbers": {"aud": 7},
    "another issuer": {"iss": "https://login.example.org.evil.example/"},
    "issuer without its slash": {"iss": "https://login.example.org"},
    "no issuer": {"iss": ...},
    "issuer among others": {"iss": ["https://login.example.org/"]},
    "no subject": {"sub": ...},
    "subject is a number": {"sub": 7},
    "no team": {"team": ...},
    "team is a list": {"team": ["red", "blue"]},
    "team is empty": {"team": ""},
    "team hides something": {"team": "red\u202e"},
    "team of two lines": {"team": "red\nblue"},
    "team with a blank": {"team": "red "},
    "agent with a blank": {"azp": "client 1"},
    "no agent": {"azp": ...},
    "agent is an object": {"azp": {"name": "client-1"}},
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_claims_that_do_not_hold_prove_no_agent(passes, signer, name):
    assert passes.agent(signer.token(**{**ADA, **BAD_CLAIMS[name]})) is None


def test_a_clock_may_differ_by_the_leeway_and_no_more(signer):
    strict = Passes([signer.issuer(leeway=0)])
    late = signer.token(exp=int(time.time()) - 5, **ADA)
    assert strict.agent(late) is None
    assert Passes([signer.issuer(leeway=30)]).agent(late) is not None


BAD_HEADS = [
    {"kid": "unknown"},
    {"kid": ...},
    {"kid": ""},
    {"kid": "../../../dev/null"},
    {"kid": "RS256 key' OR '1'='1"},
    {"kid": "ES256 key"},
    {"kid": "another key"},
    {"typ": "logout+jwt"},
    {"typ": "JWE"},
    {"typ": ["JWT"]},
    {"crit": ["exp"], "exp": 1},
    {"crit": []},
    {"b64": False, "crit": ["b64"]},
    {"alg": "none"},
    {"alg": "HS256"},
    {"alg": "RS384"},
    {"alg": "rs256"},
    {"alg": ["RS256"]},
]


@pytest.mark.parametrize("head", BAD_HEADS, ids=str)
def test_a_header_that_says_something_else_proves_nobody(passes, signer, private, head):
    """Signed as it stands, by the right key."""
    said = {"alg": "RS256", "typ": "JWT", "kid": "RS256 key", **head}
    front = b64({name: value for name, value in said.items() if value is not ...}) + "." + b64(signer.claims(**ADA))
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(front.encode(), private["RS256"])
    assert passes.agent(f"{front}.{b64(signature)}") is None
    assert passes.person(f"{front}.{b64(signature)}") is None


def test_the_same_way_to_sign_makes_a_good_token(passes, signer, private):
    front = b64({"alg": "RS256", "kid": "RS256 key"}) + "." + b64(signer.claims(**ADA))
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(front.encode(), private["RS256"])
    assert passes.agent(f"{front}.{b64(signature)}") is not None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512"])
@pytest.mark.parametrize("secret", ["", "pem", "der", "jwks", "n"])
def test_no_signature_and_signatures_by_what_everybody_knows_prove_nobody(passes, signer, private, algorithm, secret):
    public = private["RS256"].public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    known = {
        "": b"",
        "pem": public.public_bytes(serialization.Encoding.PEM, info),
        "der": public.public_bytes(serialization.Encoding.DER, info),
        "jwks": signer.answer[2],
        "n": signer.jwk("RS256")["n"].encode(),
    }
    front = b64({"alg": algorithm, "typ": "JWT", "kid": "RS256 key"}) + "." + b64(signer.claims(**ADA))
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(algorithm, hashlib.sha256)
    for signature in ("", b64(hmac.digest(known[secret], front.encode(), digest))):
        assert passes.agent(f"{front}.{signature}") is None
        assert passes.person(f"{front}.{signature}") is None


@pytest.mark.parametrize("which", ["another", "short"])
def test_a_key_of_somebody_else_proves_nobody_wherever_the_header_says_it_is(passes, signer, which):
    elsewhere = {"jku": signer.url.replace("/jwks", "/evil"), "x5u": signer.url.replace("/jwks", "/evil"), "jwk": signer.jwk(which)}
    for more in ({}, elsewhere):
        token = signer.token(which, {"kid": "RS256 key", **more}, "RS256", **ADA)
        assert passes.agent(token) is None
    assert set(signer.asked) == {"/jwks"}


def test_an_algorithm_that_is_not_configured_is_not_believed_though_its_key_is_published(passes, signer):
    assert passes.agent(signer.token("ES256", **ADA)) is None
    assert passes.agent(signer.token("RS256", algorithm="PS256", **ADA)) is None


def test_no_character_of_a_token_may_be_another(steady_signer):
    passes = Passes([steady_signer.issuer()])
    token = steady_signer.token(**ADA)
    assert passes.agent(token) is not None

    @given(st.integers(0, len(token) - 1), st.sampled_from("ABCabc019-_.=+/ \n%"))
    def changed(at: int, to: str) -> None:
        other = token[:at] + to + token[at + 1 :]
        assert (passes.agent(other) is None) == (other != token)

    changed()


@given(st.text(max_size=300) | st.binary(max_size=200).map(b64) | st.lists(st.binary(max_size=60).map(b64), max_size=5).map(".".join))
def test_no_text_at_all_proves_anybody_or_breaks_anything(text):
    passes = Passes([])
    assert (passes.agent(text), passes.person(text), passes.at_hand(text)) == (None, None, False)


@pytest.mark.parametrize("form", ["{}.", ".{}", " {}", "{}\n", "{}=", "Bearer {}", "{}.x.y", "{},{}", '{{"payload":"{}"}}'])
def test_a_token_has_one_form(passes, signer, form):
    token = signer.token(**ADA)
    assert passes.agent(form.format(token, token)) is None


def test_what_is_longer_than_a_token_is_not_looked_at(passes, signer):
    assert passes.agent(signer.token(padding="x" * 20_000, **ADA)) is None
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert passes.agent(signer.token(deep=deep, **ADA)) is not None


def test_what_is_kept_for_a_key_is_one_subjects_own(passes, signer):
    """Whoever differs in subject, agent or team has another key id; a new token of the same has the same."""
    told = [{}, {"sub": "bob"}, {"azp": "client-2"}, {"team": "blue"}]
    assert len({passes.agent(signer.token(**{**ADA, **each})).key_id for each in told}) == len(told)
    assert passes.agent(signer.token(exp=int(time.time()) + 99, **ADA)).key_id == passes.agent(signer.token(**ADA)).key_id


def test_names_are_a_closed_list_where_they_are_given(signer):
    passes = Passes([signer.issuer(agents={"agent": ["app", "id"], "names": {"client-1": "bank-bot"}})])
    assert passes.agent(signer.token(app={"id": "client-1"}))[1:] == ("bank-bot", None, None, None)
    for app in ({"id": "client-2"}, {"id": "bank-bot"}, {}, [], "client-1", {"id": None}):
        assert passes.agent(signer.token(app=app)) is None


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        (["ops"], {"admin"}), ("readers", {"viewer-metadata"}), (["readers", "deciders", "x"], {"viewer-metadata", "approver"}),
        ([], None), (["Ops"], None), (["ops "], None), (["admin"], None), (None, None), ([["ops"]], None), ({"ops": 1}, None), (..., None),
        ([7], None),
    ],
)  # fmt: skip
def test_roles_are_those_of_the_groups_and_without_any_it_is_nobody(passes, signer, groups, roles):
    who = passes.person(signer.token(groups=groups))
    assert (None if who is None else set(who.roles)) == roles


@pytest.mark.parametrize("name", ["admin.token", "", " ada", "a da", "ad\u202ea", "x" * 101, "-ada", "ada\n"])
def test_a_name_that_could_be_misread_is_nobodys(passes, signer, name):
    assert passes.person(signer.token(sub=name)) is None


TEAMS = [(["red"], {"red"}), ("red", {"red"}), ([], set()), (..., set()), (None, set()), ([7, "red"], {"red"})]


@pytest.mark.parametrize(("teams", "sees"), TEAMS)
def test_where_teams_are_claimed_nobody_sees_all(signer, teams, sees):
    people = {"groups": "groups", "roles": {"ops": ["admin"]}, "teams": "teams"}
    who = Passes([signer.issuer(people=people)]).person(signer.token(teams=teams))
    assert who.teams == sees


def test_a_token_proves_only_what_its_issuer_is_believed_for(signer):
    agents = Passes([signer.issuer(people=None)])
    people = Passes([signer.issuer(agents=None)])
    token = signer.token(**ADA)
    assert (agents.person(token), people.agent(token)) == (None, None)
    assert (agents.for_agents, people.for_agents) == (True, False)


def test_an_issuer_signs_in_no_other_ones_name(signer, steady_signer):
    other = signer.issuer(name="other", issuer="https://other.example/", keys=steady_signer.url)
    passes = Passes([signer.issuer(), other])
    signer.publish(signer.jwk("RS256"))
    steady_signer_only = signer.token("ES256", {"kid": "ES256 key"}, **ADA)
    assert passes.agent(steady_signer_only) is None
    signer.publish(signer.jwk("another"))
    fresh = Passes([signer.issuer(), other])
    assert fresh.agent(signer.token("RS256", iss="https://other.example/", **ADA)).key_id.startswith("jwt:other:")
    assert fresh.agent(signer.token("RS256", **ADA)) is None


def test_a_held_token_ends_with_its_time(signer):
    now = [time.time()]
    passes = Passes([signer.issuer(leeway=0)], now=lambda: now[0])
    token = signer.token(exp=int(now[0]) + 20, **ADA)
    assert not passes.at_hand(token)
    assert passes.agent(token) is not None
    assert passes.at_hand(token)
    now[0] += 21
    assert not passes.at_hand(token)
    now[0] -= 3600
    assert not passes.at_hand(token)
