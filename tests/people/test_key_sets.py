"""Keys of issuers: fetched when they are needed, changed when the issuer changes them, good for a bounded time while it is away."""

from __future__ import annotations

import json

import pytest
from jwt.algorithms import RSAAlgorithm
from pydantic import ValidationError

from gateway.errors import GatewayError
from gateway.people.key_sets import FRESH_S, PAUSE_S, KeySet, read
from gateway.people.passes import Passes
from gateway.people.reaching import MOST_BYTES


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def keys(signer, time) -> KeySet:
    return KeySet(signer.issuer(offline=3600), clock=time)


def test_keys_are_fetched_once_and_again_when_they_are_old(keys, signer, time):
    for _ in range(5):
        assert keys.find("RS256 key", "RS256") is not None
    assert len(signer.asked) == 1
    time.now += FRESH_S
    assert keys.find("RS256 key", "RS256") is not None
    assert len(signer.asked) == 2


def test_a_new_key_works_at_once_and_an_old_one_ends_with_the_next_fetch(keys, signer, time):
    assert keys.find("RS256 key", "RS256") is not None
    signer.publish(signer.jwk("another", "second"))
    time.now += PAUSE_S
    assert keys.find("second", "RS256") is not None
    assert keys.find("RS256 key", "RS256") is None
    assert keys.generation == 2


def test_a_key_that_was_taken_back_is_believed_no_longer_than_a_set_is_fresh(keys, signer, time):
    assert keys.find("RS256 key", "RS256") is not None
    signer.publish()
    time.now += FRESH_S
    assert keys.find("RS256 key", "RS256") is None


def test_made_up_names_of_keys_cause_one_fetch_now_and_then(keys, signer, time):
    for n in range(300):
        assert keys.find(f"made up {n}", "RS256") is None
        time.now += 0.1
    assert len(signer.asked) <= 2 + 30 / PAUSE_S


def test_while_the_issuer_is_away_its_last_keys_are_good_for_a_bounded_time(keys, signer, time):
    assert keys.find("RS256 key", "RS256") is not None
    signer.close()
    time.now += 3599
    assert keys.find("RS256 key", "RS256") is not None
    time.now += 1
    with pytest.raises(GatewayError, match="The keys of the issuer 'corp' cannot be fetched") as refusal:
        keys.find("RS256 key", "RS256")
    assert (refusal.value.kind, refusal.value.code) == ("unavailable", "issuer_unavailable")


def test_an_issuer_that_was_never_reached_lets_nobody_in_and_is_asked_again(signer, time):
    signer.answer = (503, {}, b"")
    keys = KeySet(signer.issuer(offline=86_400), clock=time)
    for _ in range(3):
        with pytest.raises(GatewayError):
            keys.find("RS256 key", "RS256")
    assert len(signer.asked) == 1
    signer.publish(signer.jwk("RS256"))
    time.now += PAUSE_S
    assert keys.find("RS256 key", "RS256") is not None


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, {}, b"no keys"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys": {}}'),
        (200, {}, b'{"keys": 7}'),
        (200, {}, b'{"keys": [' + b" " * MOST_BYTES + b"]}"),
        (200, {}, b"[" * 100_000),
        (404, {}, b'{"keys": []}'),
        (500, {}, b""),
        (204, {}, b""),
    ],
    ids=range(10),
)
def test_an_answer_that_is_no_set_of_keys_leaves_the_last_one_in_its_place(keys, signer, time, answer):
    assert keys.find("RS256 key", "RS256") is not None
    signer.answer = answer
    time.now += FRESH_S
    assert keys.find("RS256 key", "RS256") is not None
    assert len(signer.asked) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(signer, time, status):
    evil = json.dumps({"keys": [signer.jwk("another")]}).encode()
    signer.answer = (status, {"location": signer.url.replace("/jwks", "/evil")}, evil)
    with pytest.raises(GatewayError):
        KeySet(signer.issuer(), clock=time).find("another key", "RS256")
    assert signer.asked == ["/jwks"]


def test_no_proxy_of_the_environment_is_asked(signer, time, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert KeySet(signer.issuer(), clock=time).find("RS256 key", "RS256") is not None


def test_what_cannot_check_a_signature_of_one_key_is_no_key(signer, private):
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}
    whole = {**RSAAlgorithm.to_jwk(private["RS256"], as_dict=True), "kid": "whole"}
    listed = [
        secret, whole, signer.jwk("RS256", "twice"), signer.jwk("another", "twice"), signer.jwk("RS256", "sealing", use="enc"),
        {name: value for name, value in signer.jwk("RS256").items() if name != "kid"}, signer.jwk("RS256", "good"), 7, None,
        {"kid": "empty"},
        {**signer.jwk("RS256"), "kid": 7}, {**signer.jwk("RS256"), "kid": ""},
    ]  # fmt: skip
    assert list(read(json.dumps({"keys": listed}).encode())) == ["good"]


def test_a_key_is_for_its_own_algorithm_and_long_enough(signer, time):
    broken = {"kty": "RSA", "kid": "broken", "n": "", "e": "?"}
    signer.publish(signer.jwk("short"), signer.jwk("RS256", "for another", alg="RS512"), signer.jwk("ES256"), broken)
    keys = KeySet(signer.issuer(), clock=time)
    for name in ("short key", "for another", "ES256 key", "broken"):
        assert keys.find(name, "RS256") is None
    assert keys.find("ES256 key", "ES256") is not None


def test_a_token_is_good_again_and_no_longer_as_keys_come_and_go(signer, time):
    sets: list[KeySet] = []

    def held(issuer) -> KeySet:
        sets.append(KeySet(issuer, clock=time))
        return sets[-1]

    passes = Passes([signer.issuer()], held)
    token = signer.token(team="red")
    assert passes.agent(token) is not None
    signer.publish(signer.jwk("another"))
    time.now += FRESH_S
    assert not passes.at_hand(token)
    assert passes.agent(token) is None
    signer.publish(signer.jwk("RS256"))
    time.now += PAUSE_S
    assert passes.agent(token) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": ["RS256", "HS512"]},
        {"keys": "http://login.example.org/jwks"},
        {"keys": "https://user:pass@login.example.org/jwks"},
        {"keys": "file:///etc/passwd"},
        {"keys": "jwks"},
        {"audience": ""},
        {"leeway": 3600},
        {"offline": 10**6},
        {"agents": None, "people": None},
        {"people": {"groups": "groups", "roles": {}}},
        {"people": {"groups": "groups", "roles": {"ops": ["root"]}}},
        {"name": "Corp"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_settings_that_would_believe_too_much_are_refused(signer, wrong):
    with pytest.raises(ValidationError):
        signer.issuer(**wrong)
