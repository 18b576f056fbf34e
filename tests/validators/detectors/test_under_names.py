"""A secret that only its name tells is found in JSON that is read as values as it is in the same JSON as text: by rules, by conditions, in
what is taken out of a call, and in what the book keeps."""

from __future__ import annotations

import json

import pytest

from gateway.exchange import Caller
from gateway.policy import Facts, decide, load
from gateway.policy.looked import Looked
from gateway.trace.pens import everything, pens
from gateway.trace.redact import Redactor
from gateway.validators.detectors import DETECTORS, under
from gateway.verdict import Call

LONG, SHORT = "k7Qz93LmX0aVt5RbN2WcY8eHs4Gd", "hR7#kd92!xPq"
NAMES = [
    *("password", "db_password", "PASSWD", "passphrase", "pwd", "client_secret", "token", "authorization_token", "accessToken"),
    *("credentials", "connection string", "api_key", "X-Api-Key", "apiKey", "private-key", "signing_key", "authorization", "Authorization"),
]
OTHER_NAMES = ["id", "sha", "commit", "keyboard", "file", "monkey", "tokenizer_file"]
ORDINARY = ["max_tokens", "order_id_12", "/run/secrets/db1", "src/main/java", "page 2 of 17", "changeme", "[secret]", "true", ""]
RULES = """policy: 1
id: p
agents: ['*']
allow: ['*']
rules:
- {id: looks, tools: [look], effect: warn, detect: [secret]}
- {id: asks, tools: [look], effect: warn, when: "size(detect(args, 'secret')) > 0"}
- {id: takes, tools: [send], effect: redact, detect: [secret]}
"""
PLACES = {
    "at the top": lambda name, value: {name: value},
    "deep down": lambda name, value: {"a": [{"b": {name: value}}]},
    "in a list": lambda name, value: {name: ["x", value]},
}


def called(tool, args):
    call = Call("c", tool, json.dumps(args), args, 0)
    return decide(load({"p.yaml": RULES.encode()}), Facts(call=call, caller=Caller("a"), dialect="test", model="m"))


def written(value):
    return pens(Redactor([]), everything, b"k" * 32)["redacted"].body(json.dumps(value))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [LONG, SHORT])
def test_it_is_found_under_its_name_wherever_it_stands(place, name, value):
    args = PLACES[place](name, value)
    assert {hit.rule for hit in called("look", args).verdict.hits} == {"allow", "looks", "asks"}
    assert called("send", args).call.args == PLACES[place](name, "[secret]")
    assert value not in written(args)
    assert value not in written({"function": {"arguments": json.dumps(args)}})
    assert json.loads(written(args)).keys() == args.keys()


@pytest.mark.parametrize("name", [*NAMES, *OTHER_NAMES])
@pytest.mark.parametrize("value", [LONG, SHORT, *ORDINARY])
def test_a_value_is_one_where_its_json_as_text_holds_one(name, value):
    in_text = any(True for _ in Looked(json.dumps({name: value})).spans([DETECTORS["secret"]]))
    args = {name: value}
    assert ("looks" in {hit.rule for hit in called("look", args).verdict.hits}) is in_text
    assert (written(args) != json.dumps(args)) is in_text
    if name in OTHER_NAMES or value in ORDINARY:
        assert not in_text


def test_what_is_found_in_the_value_itself_is_taken_out_as_well():
    told = called("send", {"token": f"{LONG} and AKIA7QX2MPLV4T8NWZ3C"}).call.args["token"]
    assert (LONG in told, "AKIA7QX2" in told, told.count("[secret]")) == (False, False, 2)


def test_of_a_very_long_name_the_end_is_read_and_a_short_value_is_none():
    assert under("x" * 500 + "_api_key", LONG) == ('"' + "x" * 92 + '_api_key": "' + LONG, 105)
    assert under("api_key", "short") is None
    assert under("name", LONG) is None
