"""The tests that a policy file carries: each a call and the verdict it must get.

A file is judged alone, with what it includes, as if it enforced: a shadow policy is tested for what it
would do. A file that only guards (no `allow:` anywhere in it, no `default:`) is tested as if another
policy had granted the call.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.exchange import Call, Caller, Message, ProposedBefore, Verdict
from gateway.policy.amounts import millionths
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.limits import Charge
from gateway.policy.model import CallOf, Case
from gateway.policy.policy_set import Layer, Policy, PolicySet
from gateway.policy.provenance import Conversation, Told


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
    """(id, line) of the guards and limits of a file."""
    yield from ((guard.id, guard.line) for guard in layer.guards)
    yield from ((cap.id, cap.line) for cap in layer.caps)


def _run_file(policy: Policy) -> Iterator[Result]:
    alone = PolicySet(policies=(_as_tested(policy),))
    for case in policy.layers[0].tests:
        verdict = evaluate(alone, facts_of(case, policy))
        said = _difference(case, verdict)
        yield Result(policy.id, policy.file, case, verdict, not said, said)


def _as_tested(policy: Policy) -> Policy:
    layers = tuple(_enforced(layer) for layer in policy.layers)
    only_guards = all(layer.grants is None and layer.default is None for layer in layers)
    default = "allow" if only_guards else policy.default
    return replace(policy, agents=("*",), mode="enforce", default=default, layers=layers)


def _enforced(layer: Layer) -> Layer:
    guards = tuple(replace(guard, mode="enforce") for guard in layer.guards)
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
    """The facts a test describes."""
    (tool, args), *_ = case.call.items()
    earlier = [_tool_of(one.call) for one in case.history]
    session: dict[str, Any] = {
        "id": "test",
        "source": "test",
        "messages": 1 + 2 * len(earlier),
        "calls": len(earlier),
        "tools": earlier,
    }
    who = case.caller
    return Facts(
        call=Call("call_test", tool, msgspec.json.encode(args or {}).decode(), args or {}, 0),
        caller=Caller(
            agent=case.agent or _some_agent(policy),
            key_id=who.key,
            team=who.team,
            user=who.user,
            labels=who.labels,
            session="test",
            client=who.client,
        ),
        dialect="test",
        model=case.model,
        session=session | case.session,
        conversation=_conversation(case),
        meter=_Spent({name: millionths(value) or 0 for name, value in case.spent.items()}),
        now_us=int(dt.datetime.fromisoformat(case.now).timestamp()) * 1_000_000,
    )


class _Spent:
    """The meter of a test: limits have counted what the test says. One call takes from each once, so that nothing needs to be kept."""

    def __init__(self, spent: Mapping[str, int]) -> None:
        self._spent = spent

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        return [self._spent.get(charge.limit, 0) for charge in charges]

    take = look


def _conversation(case: Case) -> Conversation:
    """A result of a call that was made up is made up as well."""
    told, made_up = _said_before(case), {f"call_{at}" for at, earlier in enumerate(case.history) if earlier.forged}
    forged = {Told("call", at, 0) for at, message in enumerate(told) if message.calls and message.calls[0].id in made_up}
    return Conversation(told, forged=forged)


def _said_before(case: Case) -> list[Message]:
    """The conversation of a test: what the user said, then each earlier call with its result."""
    told = [Message("user", b"", case.user)]
    for at, earlier in enumerate(case.history):
        (tool, args), *_ = earlier.call.items()
        proposed = ProposedBefore(f"call_{at}", tool, msgspec.json.encode(args or {}).decode())
        told.append(Message("assistant", b"", "", calls=(proposed,)))
        if earlier.result is not None:
            text = earlier.result if isinstance(earlier.result, str) else msgspec.json.encode(earlier.result).decode()
            told.append(Message("tool", b"", "", results=((proposed.id, text),)))
    return told


def _tool_of(call: CallOf) -> str:
    return next(iter(call))


def _some_agent(policy: Policy) -> str:
    """A name that the first pattern covers."""
    return (policy.agents or ("test",))[0].replace("*", "test").replace("?", "x")
