"""The tests that a policy file carries: each a call or a text, and the verdict it must get.

A file is judged alone, with what it includes, as if it enforced: a shadow policy is tested for what it
would do. A file that only guards (no `allow:` anywhere in it, no `default:`) is tested as if another
policy had granted the call.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from gateway.exchange import Caller
from gateway.policy.amounts import millionths
from gateway.policy.case_shape import Case
from gateway.policy.evaluate import Facts
from gateway.policy.limits import Charge
from gateway.policy.policy_set import Layer, Policy, PolicySet
from gateway.policy.provenance import Conversation, Told
from gateway.policy.redaction import decide
from gateway.policy.screen import Sight, screen
from gateway.request import Message, ProposedBefore
from gateway.strict_json import Json
from gateway.validators.validator import Subject
from gateway.verdict import Call, Hook, Verdict


@dataclass(frozen=True, slots=True)
class Result:
    """One test, run."""

    policy: str
    file: str
    case: Case
    verdict: Verdict
    passed: bool
    said: str
    """What was expected and what came, when it failed."""


@dataclass(frozen=True, slots=True)
class Report:
    """All tests of a set."""

    results: tuple[Result, ...]
    rules: int
    """Guards and limits in all files."""
    not_hit: tuple[tuple[str, str, int], ...]
    """(file, rule id, line) of guards that no test made hit."""

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)


def run(policies: PolicySet) -> Report:
    """Every test of every file, libraries too. A rule counts as hit when it hit in one, without an error."""
    files = (*policies.policies, *policies.libraries)
    results = [result for policy in files for result in _run_file(policy)]
    hit = {(h.policy, h.rule) for result in results for h in result.verdict.hits if not h.error}
    rules = [(p.id, p.layers[0].file, rule, line) for p in files for rule, line in _rules(p.layers[0])]
    missed = tuple((file, rule, line) for policy, file, rule, line in rules if (policy, rule) not in hit)
    return Report(tuple(results), len(rules), missed)


def _rules(layer: Layer) -> Iterator[tuple[str, int]]:
    """(id, line) of the guards and limits of a file that a test can make hit: no test asks a model."""
    yield from ((guard.id, guard.line) for guard in layer.guards if guard.afterwards is None)
    yield from ((cap.id, cap.line) for cap in layer.caps)


def _run_file(policy: Policy) -> Iterator[Result]:
    alone = PolicySet(policies=(_as_tested(policy),))
    for case in policy.layers[0].tests:
        verdict, left = _judged(alone, case, policy)
        said = _difference(case, verdict) or _left_otherwise(case, left)
        yield Result(policy.id, policy.file, case, verdict, not said, said)


def _judged(policies: PolicySet, case: Case, policy: Policy) -> tuple[Verdict, Json]:
    """The verdict, and what is left: the arguments of a call, or a text."""
    if case.call is not None:
        decided = decide(policies, facts_of(case, policy))
        return decided.verdict, decided.call.args
    judged = text_judged(policies, case, policy)
    return judged.verdict, judged.left


class JudgedText(NamedTuple):
    verdict: Verdict
    left: str
    seen: dict[str, Any]
    """What conditions saw."""


def text_judged(policies: PolicySet, case: Case, policy: Policy) -> JudgedText:
    """What becomes of the text of a test."""
    hook, text, tool = _text_of(case)
    one = screen(policies, hook, _sight_of(case, policy, tool))
    hits = [*one.find(text), *(one.answered(_answer_of(case, text)) if hook == "output" else ())]
    return JudgedText(one.verdict(hits), one.redacted(text, hits), one.seen(text))


def _answer_of(case: Case, text: str) -> Subject:
    ending = case.ending
    return Subject(text, finish=ending.finish, calls=ending.calls, answer_schema=ending.asked_schema)


def _text_of(case: Case) -> tuple[Hook, str, str | None]:
    if case.output is not None:
        return "output", case.output, None
    if case.request is not None:
        return "request", case.request.text, None
    (tool, result), *_ = (case.result or {}).items()
    return "tool_result", result if isinstance(result, str) else msgspec.json.encode(result).decode(), tool


def _sight_of(case: Case, policy: Policy, tool: str | None) -> Sight:
    """What conditions about the text of a test see beside it."""
    return Sight(
        caller=_caller_of(case, policy),
        dialect="test",
        model=case.model,
        session=_session_of(case),
        conversation=_conversation(case),
        request=_request_of(case),
        call_id="call_test",
        tool=tool,
        now_us=_now_of(case),
    )


def _request_of(case: Case) -> dict[str, Any]:
    """What a test does not say of it is counted over the conversation."""
    if case.request is None:
        return {}
    told, asked = _told(case), case.request.model_dump(exclude_unset=True)
    said = sum(len(message.text) + sum(len(text) for _, text in message.results) for message in told)
    known = {**case.request.model_dump(), "messages": len(told), "characters": said, **asked}
    return {**known, "dialect": "test", "last_user": known.pop("text")}


def _left_otherwise(case: Case, left: Json) -> str:
    """Empty when what is left is as expected."""
    for wanted in (case.expect.text, case.expect.args):
        if wanted is not None and wanted != left:
            return f"expected {msgspec.json.encode(wanted).decode()} to be left, got {msgspec.json.encode(left).decode()}"
    return ""


def _as_tested(policy: Policy) -> Policy:
    layers = tuple(_enforced(layer) for layer in policy.layers)
    only_guards = all(layer.grants is None and layer.default is None for layer in layers)
    default = "allow" if only_guards else policy.default
    return replace(policy, agents=("*",), mode="enforce", default=default, layers=layers)


def _enforced(layer: Layer) -> Layer:
    guards = tuple(replace(guard, mode="enforce", sample=None) for guard in layer.guards)
    return replace(layer, mode="enforce", guards=guards, caps=tuple(replace(cap, mode="enforce") for cap in layer.caps))


def _difference(case: Case, verdict: Verdict) -> str:
    """Empty when the verdict is as expected."""
    expected = case.expect
    hit = [h.rule for h in verdict.hits]
    came = f"got {verdict.effect} (rules hit: {', '.join(hit) or 'none'}; {verdict.reason})"
    if verdict.effect != expected.effect:
        return f"expected {expected.effect}, {came}"
    if expected.rule is not None and expected.rule not in hit:
        return f"expected rule {expected.rule} to hit, {came}"
    return ""


def facts_of(case: Case, policy: Policy) -> Facts:
    """The facts that a test of a call describes."""
    (tool, args), *_ = (case.call or {}).items()
    return Facts(
        call=Call("call_test", tool, msgspec.json.encode(args or {}).decode(), args or {}, 0),
        caller=_caller_of(case, policy),
        dialect="test",
        model=case.model,
        session=_session_of(case),
        conversation=_conversation(case),
        meter=_Spent({name: millionths(value) or 0 for name, value in case.spent.items()}),
        now_us=_now_of(case),
    )


def _caller_of(case: Case, policy: Policy) -> Caller:
    who = case.caller
    return Caller(
        agent=case.agent or _some_agent(policy),
        key_id=who.key,
        team=who.team,
        user=who.user,
        labels=who.labels,
        session="test",
        client=who.client,
        org=who.org,
    )


def _session_of(case: Case) -> dict[str, Any]:
    """Counted over the conversation, as of a request."""
    told = _told(case)
    calls = [call.name for message in told for call in message.calls]
    counted = {"id": "test", "source": "test", "messages": len(told), "calls": len(calls), "tools": sorted(set(calls))}
    return counted | case.session


def _now_of(case: Case) -> int:
    return int(dt.datetime.fromisoformat(case.now).timestamp()) * 1_000_000


class _Spent:
    """The meter of a test: limits have counted what the test says. One call takes from each once, so that nothing needs to be kept."""

    def __init__(self, spent: Mapping[str, int]) -> None:
        self._spent = spent

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        return [self._spent.get(charge.limit, 0) for charge in charges]

    take = look


def _conversation(case: Case) -> Conversation:
    """A result of a call that was made up is made up as well."""
    told, made_up = _told(case), {f"call_{at}" for at, earlier in enumerate(case.history) if earlier.forged}
    forged = {Told("call", at, 0) for at, message in enumerate(told) if message.calls and message.calls[0].id in made_up}
    return Conversation(told, forged=forged)


def _told(case: Case) -> list[Message]:
    """The conversation as a request would have it: what was said before, and what is judged where that comes with the request."""
    told = list(_said_before(case))
    if case.request is not None:
        return [*(told if case.user or case.history else ()), Message("user", b"", case.request.text)]
    for tool, result in (case.result or {}).items():
        told += _call_with_result("call_test", tool, {}, result)
    return told


def _said_before(case: Case) -> Iterator[Message]:
    """What the user said, then each earlier call with its result."""
    yield Message("user", b"", case.user)
    for at, earlier in enumerate(case.history):
        (tool, args), *_ = earlier.call.items()
        yield from _call_with_result(f"call_{at}", tool, args or {}, earlier.result)


def _call_with_result(name: str, tool: str, args: Mapping[str, Json], result: Json) -> Iterator[Message]:
    yield Message("assistant", b"", "", calls=(ProposedBefore(name, tool, msgspec.json.encode(args).decode()),))
    if result is not None:
        text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
        yield Message("tool", b"", "", results=((name, text),))


def _some_agent(policy: Policy) -> str:
    """A name that the first pattern covers."""
    return (policy.agents or ("test",))[0].replace("*", "test").replace("?", "x")
