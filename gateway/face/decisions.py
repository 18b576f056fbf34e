"""What a recorded call can be asked again: why the verdict came out so, where its values were first said, the same as a test of a policy
file, and what other policies would say. From records alone; pure, but for the policies that it is given.

The conversation is as the book kept it: without secrets and personal data, where it was told to take them out. So a test or another
verdict is of what is on record: limits, labels of keys and counts of the session are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import yaml

from gateway.dialects.events import Limits
from gateway.dialects.proposals import name_problem, read_arguments
from gateway.policy import PolicySet, decide, run_cases
from gateway.policy.case_shape import Case
from gateway.policy.cases import facts_of
from gateway.policy.why import Reason, reasons
from gateway.strict_json import Json
from gateway.verdict import Call, RuleHit, Verdict

SHORTEST = 3
"""Characters: of a shorter value it says nothing that it stands somewhere."""
MOST_HISTORY = 20

_CALLER = {"org": "org", "team": "team", "user": "user", "key": "key_id"}
"""What conditions know of who asks, and in which column it lies."""

Said = Mapping[str, Any]
"""A message in OpenAI's form (`trace.openai_form`)."""


def explained(policies: PolicySet, row: Said, exchange: Said, hits: Sequence[Said]) -> list[Reason]:
    """Each rule that spoke, with its condition and the values it read."""
    known = set(RuleHit.__struct_fields__)
    spoke = [RuleHit(**{name: value for name, value in hit.items() if name in known and value is not None}) for hit in hits]
    seen: dict[str, Any] = {
        "caller": {"agent": exchange["agent"]} | {name: exchange[column] for name, column in _CALLER.items()},
        "call": {"name": row["name"], "dialect": exchange["dialect"]},
        "session": {"id": row["session"]},
        "model": exchange["request_model"],
        "now": row["decided_at"],
    }
    args = arguments(row)
    return reasons(policies, spoke, row["name"], seen if args is None else {**seen, "args": args})


def arguments(row: Said) -> dict[str, Json] | None:
    """As the call had them; None where they are not on record as JSON."""
    try:
        found = msgspec.json.decode(row["arguments"] or "")
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def origins(args: Json, said: Sequence[Said]) -> list[dict[str, Any]]:
    """For each value of the arguments, the first message of the conversation in which it stands word for word: an aid to the eye, not what
    policies go by (`policy.provenance`)."""
    texts = [(n, str(each.get("role", "")), _text(each)) for n, each in enumerate(said)]
    found = []
    for path, value in _leaves(args, ""):
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        first = next(((n, role) for n, role, inside in texts if len(text) >= SHORTEST and text in inside), None)
        found.append({"path": path, "value": text, "role": first[1] if first else None, "message": first[0] if first else None})
    return found


def as_case(row: Said, exchange: Said, said: Sequence[Said], effect: str | None = None, most: int = MOST_HISTORY) -> dict[str, Any]:
    """The call as a test that a policy file carries, with the verdict that it got. `most`: earlier calls."""
    case: dict[str, Any] = {"name": f"{row['name'][:100]} as decided in {row['id']}", "agent": exchange["agent"]}
    caller = {name: exchange[column] for name, column in _CALLER.items() if exchange[column]}
    if caller:
        case["caller"] = caller
    if exchange["request_model"]:
        case["model"] = exchange["request_model"]
    if words := [_text(each) for each in said if each.get("role") == "user"]:
        case["user"] = "\n".join(words)
    if history := list(_history(said))[-most:]:
        case["history"] = history
    came = row["effect"] if row["effect"] != "unevaluated" else "allow" if row["released"] else "deny"
    wanted = {"effect": effect or came, **({"rule": row["rule"]} if row["rule"] and effect is None else {})}
    return {**case, "now": f"{row['decided_at'][:19]}Z", "call": {row["name"]: arguments(row) or {}}, "expect": wanted}


def as_yaml(*cases: Mapping[str, Any]) -> str:
    """To stand under `tests:` of a policy file."""
    return yaml.safe_dump(list(cases), sort_keys=False, allow_unicode=True, width=120)


def tested(policies: PolicySet, case: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(file, what `tollhouse policy test` would complain of) for the test in each file, those first in which it passes; nothing where no
    test can describe the call."""
    try:
        one = Case.model_validate(case)
    except ValueError:
        return []
    carried = [replace(each, layers=(replace(each.layers[0], tests=(one,)), *each.layers[1:])) for each in policies.policies]
    results = [result for each in carried for result in run_cases(PolicySet(policies=(each,))).results]
    return sorted(((result.file, result.said) for result in results), key=lambda found: bool(found[1]))


def again(policies: PolicySet, row: Said, exchange: Said, said: Sequence[Said]) -> Verdict | None:
    """What these policies say of the call; None where they hold nothing. Raises ValueError for a call that no test can describe."""
    files = (*policies.policies, *policies.libraries)
    if not files:
        return None
    facts = facts_of(Case.model_validate(as_case(row, exchange, said, "allow", len(said) * MOST_HISTORY)), files[0])
    args, problem, detail = read_arguments(row["arguments"] or "", Limits())
    problem = problem or name_problem(row["name"])
    call = Call(row["call_id"], row["name"], row["arguments"] or "", None if problem else args, 0, problem=problem, detail=detail)
    known = {"dialect": exchange["dialect"] or "", "exchange": exchange["id"]}
    return decide(policies, msgspec.structs.replace(facts, call=call, **known)).verdict


def _history(said: Sequence[Said]) -> Iterator[dict[str, Any]]:
    """Earlier calls with their results."""
    results = {each.get("tool_call_id"): _text(each) for each in said if each.get("role") == "tool"}
    for each in said:
        for call in each.get("tool_calls") or ():
            function = call.get("function", {})
            args = arguments({"arguments": function.get("arguments")})
            earlier: dict[str, Any] = {"call": {str(function.get("name", "")): args or {}}}
            if call.get("id") in results:
                earlier["result"] = results[call["id"]]
            yield earlier


def _text(said: Said) -> str:
    content = said.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping) and part.get("text"))


def _leaves(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from _leaves(each, f"{path}[{n}]")
    else:
        yield path, value
