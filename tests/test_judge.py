"""The verdict over one call: strict reading first, then the request's own declarations, then policy."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gateway.exchange import Caller
from gateway.judge import PROBLEMS, Court, about, judge, judge_server_tool, session_facts
from gateway.policy import EMPTY, Conversation, PolicySet, load
from gateway.request import Message, ProposedBefore, Request, ServerTool, Tool
from gateway.verdict import Call

ENFORCING = (
    b"policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n- {id: big, tools: [pay], when: args.amount > 10}\n"
)
SAID = (Message("user", b"", "pay 11 to Ada"),)
SCHEMA = b'{"type":"object","properties":{"amount":{"type":"number"}},"required":["amount"]}'


def court(text: bytes | None = ENFORCING) -> Court:
    policies: PolicySet = EMPTY if text is None else load({"p.yaml": text})
    tools = (Tool("pay", "function", b"{}", SCHEMA), Tool("note", "custom", b"{}"))
    request = Request("openai.chat", "m", False, (), tools, b"")
    caller = Caller("bot", session="s", session_source="derived")
    facts = session_facts(caller, request)
    return Court(
        policies,
        caller,
        request,
        facts,
        holds_secret=lambda text: "sk-" in text,
        address=lambda schema: f"<{len(schema)}>",
        conversation=Conversation(SAID),
    )


def call(name: str = "pay", args: dict | None = None, **more) -> Call:
    return Call("c", name, "{}", {"amount": 5} if args is None else args, 2, **more)


def test_a_call_that_policy_grants_is_released():
    judged = judge(court(), call(), 0)
    assert (judged.verdict.effect, judged.verdict.released, judged.findings) == ("allow", True, ())


def test_a_rule_speaks_over_the_arguments():
    judged = judge(court(), call(args={"amount": 11}), 0)
    assert (judged.verdict.effect, judged.verdict.released, judged.verdict.rule) == ("deny", False, "big")


def test_every_problem_of_a_call_is_said_in_plain_words():
    files = [each for each in (Path(__file__).parent / "golden").glob("*/*.json") if each.name.endswith((".answer.json", ".events.json"))]
    codes = {code for each in files for code in re.findall(r'"problem": "([a-z_]+)"', each.read_text())}
    assert {"bad_id", "mixed_forms", "copies_differ"} <= codes
    assert codes <= PROBLEMS.keys()


@pytest.mark.parametrize("problem", [*PROBLEMS, "some_new_code"])
def test_a_call_without_one_meaning_is_denied_before_any_rule(problem):
    judged = judge(court(), call(problem=problem, detail="why"), 0)
    assert (judged.verdict.effect, judged.verdict.released, judged.verdict.code) == ("deny", False, problem)
    assert [(f.code, f.path, f.detail, f.action) for f in judged.findings] == [(problem, "calls[2]", "why", "denied")]


@pytest.mark.parametrize(
    "leaking", [Call("c", "note", '{"x":"sk-1"}', {"x": "sk-1"}, 0), Call("sk-1", "note", "{}", {}, 0)]
)
def test_a_call_that_holds_one_of_our_own_secrets_is_denied_not_rewritten(leaking):
    verdict = judge(court(), leaking, 0).verdict
    assert (verdict.code, verdict.released) == ("known_secret", False)


def test_a_tool_the_provider_runs_is_judged_by_policy_alone():
    text = b"policy: 1\nid: p\nagents: ['*']\nallow: [anthropic.web_search]\nrules:\n"
    text += b"- {id: few, tools: [anthropic.*], require: 'args.max_uses <= 3'}\n"
    for name, args, released in (
        ("anthropic.web_search", {"max_uses": 2}, True),
        ("anthropic.web_search", {"max_uses": 9}, False),
        ("anthropic.web_search", {}, False),
        ("anthropic.code_execution", {"max_uses": 1}, False),
    ):
        judged, verdict = judge_server_tool(court(text), ServerTool(name, "tools[0]", args), 0, 0)
        assert verdict.released is released
        assert (judged.name, judged.type, dict(judged.args)) == (name, "server", args)


def test_a_tool_the_request_never_declared_is_denied_whatever_policy_says():
    judged = judge(court(), call("delete_all"), 0)
    assert (judged.verdict.code, judged.verdict.released) == ("undeclared_tool", False)
    assert judged.findings[0].detail == PROBLEMS["undeclared_tool"]


@pytest.mark.parametrize("args", [{}, {"amount": "ten"}, {"amount": 1, "extra": 2}])
def test_arguments_outside_the_declared_schema_are_denied(args):
    judged = judge(court(), call(args=args), 0)
    assert (judged.verdict.code, judged.verdict.released) == ("schema", False)
    assert all(f.action == "denied" for f in judged.findings)


def test_a_tool_without_a_schema_is_judged_by_policy_alone():
    assert judge(court(), call("note", {"anything": 1}), 0).verdict.released


@pytest.mark.parametrize("case", [call(problem="dup_key"), call("delete_all"), call(args={})])
def test_observing_everything_is_delivered_and_marked_never_passed(case):
    judged = judge(court(None), case, 0)
    assert (judged.verdict.effect, judged.verdict.released, judged.verdict.would) == ("unevaluated", True, "deny")
    assert all(f.action == "none" for f in judged.findings)


def test_observing_a_proper_call_is_unevaluated():
    verdict = judge(court(None), call(), 0).verdict
    assert (verdict.effect, verdict.released, verdict.code) == ("unevaluated", True, "no_policy")


def test_a_shadow_policy_withholds_nothing():
    shadow = court(ENFORCING.replace(b"allow:", b"mode: shadow\nallow:"))
    assert judge(shadow, call(problem="dup_key"), 0).verdict.released
    assert judge(shadow, call(args={"amount": 11}), 0).verdict.would == "deny"


def test_session_facts_count_the_conversation_as_it_was_sent():
    history = (
        Message("user", b"", "go"),
        Message("assistant", b"", "", (ProposedBefore("1", "b", "{}"), ProposedBefore("2", "a", "{}"))),
        Message("assistant", b"", "", (ProposedBefore("3", "a", "{}"),)),
    )
    request = Request("openai.chat", "m", False, history, (), b"")
    facts = session_facts(Caller("bot", session="s", session_source="x"), request)
    assert facts == {"id": "s", "source": "x", "messages": 3, "calls": 3, "tools": ["a", "b"]}


def test_conditions_see_the_address_of_the_declared_schema():
    head = b"policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"
    text = head + b"- {id: pin, tools: [pay], require: \"call.schema_hash == '<%d>'\"}\n" % len(SCHEMA)
    assert judge(court(text), call(), 0).verdict.released


MASKING = b"policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n- {id: mask, detect: [email], effect: redact}\n"


def masking(schema: bytes) -> Court:
    one = court(MASKING)
    tools = (Tool("pay", "function", b"{}", schema), Tool("note", "custom", b"{}"))
    return msgspec.structs.replace(one, request=msgspec.structs.replace(one.request, tools=tools))


def test_a_call_is_judged_as_it_would_be_delivered_and_what_it_was_is_told_by_its_address():
    one = masking(b'{"type":"object","properties":{"to":{"type":"string"}}}')
    judged = judge(one, Call("c", "pay", '{"to":"a@b.com"}', {"to": "a@b.com"}, 2), 0)
    assert judged.call is not None
    assert (judged.call.arguments, judged.verdict.effect) == ('{"to":"[email]"}', "redact")
    assert [(f.code, f.path, f.detail[-4:]) for f in judged.findings] == [("redacted", "calls[2]", "<16>")]


@pytest.mark.parametrize(
    ("proposed", "why"),
    [
        (Call("c", "note", "a@b.com", {"input": "a@b.com"}, 0, type="custom"), "of its type"),
        (Call("c", "pay", "{}", {"to": "a@b.com"}, 0), "schema"),
    ],
)
def test_what_cannot_be_written_anew_is_denied(proposed, why):
    judged = judge(masking(b'{"type":"object","properties":{"to":{"enum":["a@b.com"]}}}'), proposed, 0)
    assert (judged.verdict.effect, judged.verdict.code, judged.call) == ("deny", "not_redactable", None)
    assert why in judged.verdict.reason


def test_validators_know_what_was_declared_what_was_said_and_what_tools_returned():
    result = Message("tool", b"", "", results=(("c1", "total: 4711"),))
    said = (Message("system", b"", "Be kind."), Message("user", b"", "I have 12."), result)
    subject = about(msgspec.structs.replace(court().request, messages=said), "tool_call")
    assert (subject.hook, subject.said, subject.results) == ("tool_call", ["I have 12."], ["total: 4711"])
    assert subject.tools == {"pay": b"{}", "note": b"{}"}
