"""`validate:` at `output`, every dialect, whole and streamed, every kind of validator: what is delivered, and what is on record."""

import contextlib
import json
import re

import httpx
import pytest

from gateway.documents import Section
from gateway.validators import VALIDATORS
from gateway.validators.validator import Seen, Unjudged, Validator

NAMES = ("chat", "messages", "responses", "gemini")
GOOD = ["All is ", "well with this answer, ", "and it goes on for some ", "words more. ", "Bye."]
BAD = ["All is ", "well, but the word is FOR", "BIDDEN here, ", "and it goes on for some words more. ", "Bye."]
TOP = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\nrules:\n"


def finds(subject):
    return [Seen("forbidden", "it holds a forbidden word", start=m.start(), end=m.end()) for m in re.finditer("FORBIDDEN", subject.text)]


def fails(subject):
    raise RuntimeError("FORBIDDEN")


def cannot_tell(subject):
    raise Unjudged("nobody knows")


def says_nonsense(subject):
    return [True]


def hangs(subject):
    while True:
        pass


def kind(name, check, **more):
    return Validator(name, "7", Section, lambda options: check, **more)


PIECES = {"pieces": True, "look_back": 12, "spans": True}
KINDS = {
    one.name: one
    for one in (
        kind("in_pieces", finds, **PIECES),
        kind("in_whole", finds),
        *(kind(f"raises_{how}", fails, **more) for how, more in (("whole", {}), ("pieces", PIECES))),
        *(kind(f"unjudged_{how}", cannot_tell, **more) for how, more in (("whole", {}), ("pieces", PIECES))),
        *(kind(f"hangs_{how}", hangs, **more) for how, more in (("whole", {}), ("pieces", PIECES))),
        *(kind(f"nonsense_{how}", says_nonsense, **more) for how, more in (("whole", {}), ("pieces", PIECES))),
    )
}
FAILING = [name for name in KINDS if not name.startswith("in_")]
EFFECTS = ("warn", "deny, mode: shadow, until: 2099-01-01")
BUFFER = {name: "stream: buffer, " * (not one.pieces) for name, one in KINDS.items()}


def rule(validator, effect="deny", more=None):
    return f"- {{id: r, at: output, {BUFFER[validator] if more is None else more}effect: {effect}, validate: [{validator}]}}\n"


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    for name, one in KINDS.items():
        monkeypatch.setitem(VALIDATORS, name, one)
    monkeypatch.setattr("gateway.validators.use.MOST_S", 0.25)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


@pytest.fixture
def house(start, all_upstreams):
    return lambda rules, **more: start({"p.yaml": TOP + rules}, upstreams=all_upstreams, **more)


@pytest.fixture
def asked(wires, answer, house, name, stream):
    """`asked(rules, pieces)`: what a SDK reads of the answer, and its record."""

    def ask(rules, pieces, **more):
        wire, at = wires[name], house(rules)
        answer(wire, pieces, stream=stream, **more)
        return wire.ask(at.url, stream), at.ended()[0]

    return ask


def told(ended):
    return [(row.validator, row.version, row.rule, row.outcome, row.before) for row in ended.ran if row.rule != "default"]


def found(ended):
    return [(one.validator, one.code, one.action, one.rule) for one in ended.findings if one.validator in KINDS]


@pytest.mark.parametrize("validator", ["in_pieces", "in_whole"])
def test_an_answer_that_a_validator_passes_is_delivered(validator, asked):
    (text, *_), ended = asked(rule(validator), GOOD)
    assert text == "".join(GOOD)
    assert told(ended) == [(validator, "7", "r", "passed", True)]
    assert (found(ended), ended.exchange.state) == ([], "complete")


@pytest.mark.parametrize("validator", ["in_pieces", "in_whole"])
def test_an_answer_that_a_validator_does_not_pass_is_withheld(validator, asked):
    (text, calls, _, tokens), ended = asked(rule(validator), BAD, call=True)
    assert "FORBIDDEN" not in text
    assert "it holds a forbidden word" in text
    assert (calls, tokens, ended.exchange.state) == ([], 5, "denied")
    assert told(ended) == [(validator, "7", "r", "hit", True)]
    assert found(ended) == [(validator, "forbidden", "denied", "r")]
    assert [(heard.rule, heard.detector, heard.action) for heard in ended.heard] == [("r", validator, "denied")]
    assert validator != "in_whole" or text.startswith("[The answer was withheld")


def test_what_a_validator_sees_is_taken_out(asked):
    (text, *_), ended = asked(rule("in_pieces", "redact"), BAD)
    assert text == "".join(BAD).replace("FORBIDDEN", "[in_pieces]")
    assert told(ended) == [("in_pieces", "7", "r", "hit", True)]
    assert found(ended) == [("in_pieces", "forbidden", "redacted", "r")]
    (one,) = [each for each in ended.findings if each.validator == "in_pieces"]
    assert len(one.span_hash) == 32
    assert "FORBIDDEN" not in str(ended)


@pytest.mark.parametrize("validator", ["in_pieces", "in_whole"])
def test_a_warning_is_on_record_and_changes_nothing(validator, asked, stream):
    (text, *_), ended = asked(rule(validator, "warn", ""), BAD)
    assert text == "".join(BAD)
    assert told(ended) == [(validator, "7", "r", "hit", not stream)]
    assert found(ended) == [(validator, "forbidden", "none", "r")]
    assert ended.exchange.state == "complete"


@pytest.mark.parametrize("how", ["raises", "unjudged", "nonsense", "hangs"])
def test_a_validator_that_cannot_judge_withholds_the_answer(how, name, stream, asked):
    pieces = (NAMES.index(name) + stream) % 2  # each dialect sees half of them whole, the other half in pieces
    validator = f"{how}_{'pieces' if pieces else 'whole'}"
    (text, *_), ended = asked(rule(validator), GOOD)
    assert "could not be evaluated" in text
    assert "All is" not in text
    assert told(ended) == [(validator, "7", "r", "unevaluated", True)]
    assert found(ended) == [(validator, "unevaluated", "denied", "r")]
    assert ended.exchange.state == "denied"


@pytest.mark.parametrize(("validator", "effect"), [(each, EFFECTS[at % 2]) for at, each in enumerate(FAILING)])
def test_a_validator_that_cannot_judge_has_not_passed_an_answer_that_left(validator, effect, wires, answer, house):
    wire = wires["chat"]
    at = house(rule(validator, effect))
    for count, stream in enumerate((False, True), 1):
        answer(wire, GOOD, stream=stream)
        assert wire.ask(at.url, stream)[0] == "".join(GOOD)
        ended = at.ended(count)[-1]
        assert told(ended) == [(validator, "7", "r", "unevaluated", not stream)]
        assert found(ended) == [(validator, "unevaluated", "none", "r")]


def test_errors_that_a_file_ignores_let_the_answer_pass_and_are_no_pass_on_record(stream, wires, answer, house):
    wire, at = wires["chat"], house(rule("raises_whole", "deny, on_error: ignore"))
    answer(wire, GOOD, stream=stream)
    assert wire.ask(at.url, stream)[0] == "".join(GOOD)
    assert told(at.ended()[0]) == [("raises_whole", "7", "r", "unevaluated", True)]


def test_an_answer_without_a_word_is_judged_too(asked):
    rules = "- {id: r, at: output, stream: buffer, validate: [{length: {min: 10}}]}\n"
    (text, calls, *_), ended = asked(rules, [""], call=True)
    assert "at least 10" in text
    assert calls == []
    assert told(ended) == [("length", "1", "r", "hit", True)]
    assert ended.exchange.state == "denied"


def test_a_rule_that_is_not_drawn_has_not_looked(wires, answer, house):
    wire = wires["chat"]
    at = house(rule("in_whole", "warn, sample: 50%", ""))
    answer(wire, BAD, stream=False)
    for _ in range(12):
        wire.ask(at.url, False)
    came = {told(ended)[0][3]: found(ended) for ended in at.ended(12)}
    assert came == {"hit": [("in_whole", "forbidden", "none", "r")], "not_drawn": []}


def test_a_rule_is_asked_only_where_its_condition_holds(wires, answer, house):
    wire = wires["chat"]
    at = house("- {id: r, at: output, effect: warn, when: \"model != 'gpt-4o-mini'\", validate: [in_whole]}\n"
               "- {id: s, at: output, effect: warn, when: \"size(prompt.hash) > 10\", validate: [in_whole]}\n")
    answer(wire, BAD, stream=True)
    wire.ask(at.url, True)
    assert [row[2:4] for row in told(at.ended()[0])] == [("s", "hit")]


@pytest.mark.parametrize("validator", ["in_pieces", "in_whole"])
def test_an_answer_that_breaks_off_was_not_passed(validator, wires, house, provider):
    wire, at = wires["chat"], house(rule(validator))
    provider.answer = provider.sse(*wire.stream(GOOD)[:3], end=False)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "go"}], "stream": True}
    with contextlib.suppress(httpx.HTTPError), at.client() as client:
        client.post(wire.path, json=body)
    assert told(at.ended()[0]) == [(validator, "7", "r", "unevaluated", True)]


def test_a_result_of_a_tool_is_validated_before_the_model_reads_it(wires, answer, house, provider):
    at = house("- {id: r, at: tool_result, validate: [in_whole]}\n- {id: w, at: tool_result, effect: warn, validate: [in_whole]}\n")
    answer(wires["chat"], GOOD, stream=False)
    call = {"id": "t", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    for text, status in (("fine", 200), ("FORBIDDEN", 400)):
        messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
        messages.append({"role": "tool", "tool_call_id": "t", "content": text})
        with at.client() as client:
            assert client.post("/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": messages}).status_code == status
    passed, refused = at.ended(2)
    rows = [[(row.hook, row.rule, row.outcome) for row in one.ran if row.rule != "default"] for one in (passed, refused)]
    assert rows == [[("tool_result", rule, outcome) for rule in "rw"] for outcome in ("passed", "hit")]
    assert found(refused) == [("in_whole", "forbidden", "refused", "r"), ("in_whole", "forbidden", "none", "w")]
    assert len(provider.received) == 1


def test_a_call_is_validated_by_its_argument(wires, house, provider):
    at = house("- {id: r, tools: [get], validate: [{in_whole: {argument: q}}]}\n")
    for arguments, calls in (({"q": "fine"}, ["get"]), ({"q": "FORBIDDEN"}, []), ({"other": "FORBIDDEN"}, [])):
        whole = wires["chat"].whole("", True)
        whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = json.dumps(arguments)
        provider.answer = provider.json(whole)
        assert wires["chat"].ask(at.url, False)[1] == calls
    rows = [(row.hook, row.outcome) for ended in at.ended(3) for row in ended.ran if row.rule == "r"]
    assert rows == [("tool_call", "passed"), ("tool_call", "hit"), ("tool_call", "unevaluated")]
    assert [found(ended) for ended in at.ended(3)] == [
        [], [("in_whole", "forbidden", "denied", "r")], [("in_whole", "unevaluated", "denied", "r")],
    ]  # fmt: skip
