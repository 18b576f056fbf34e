"""What a recorded call can be asked again: why the verdict came out so, where its values were first said, the same as a test of a policy
file, and what other policies would say. From records alone; pure, but for the policies that it is given.

The conversation is as the book kept it: without secrets and personal data, where it was told to take them out. So a test or another
verdict is of what is on record: limits, labels of keys, what the request declared of the tool (`call.schema_hash`, `call.pin`) and which
earlier calls were forged are not in it; nor, in a test, the id and the messages of the session.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from gateway import documents
from gateway.dialects.events import Limits
from gateway.dialects.proposals import FREE_TEXT, arguments_of, name_problem
from gateway.errors import FileProblems
from gateway.policy import PolicySet, decide, run_cases
from gateway.policy.case_shape import Case
from gateway.policy.cases import facts_of
from gateway.policy.provenance import object_of
from gateway.policy.why import Reason, reasons
from gateway.strict_json import Json
from gateway.trace.pens import only_measured
from gateway.verdict import Call, RuleHit, Verdict
from gateway.web.content import DAMAGED, ERASED
from gateway.yaml_writing import written

_AS_RECORDED = Limits(call_bytes=sys.maxsize)
"""What stands in the book was within the limits of its time."""
SHORTEST = 3
"""Characters: of a shorter value it says nothing that it stands somewhere."""
MOST_HISTORY = 20

_CALLER = {"org": "org", "team": "team", "user": "user", "key": "key_id", "client": "client"}
"""What conditions know of who asks, and in which column it lies."""

Said = Mapping[str, Any]
"""A message in OpenAI's form (`trace.openai_form`)."""


def explained(policies: PolicySet, row: Said, exchange: Said, hits: Sequence[Said]) -> list[Reason]:
    """Each rule that spoke, with its condition and the values it read."""
    known = set(RuleHit.__struct_fields__)
    spoke = [RuleHit(**{name: value for name, value in hit.items() if name in known and value is not None}) for hit in hits]
    return reasons(policies, spoke, row["name"], seen(row, exchange))


def seen(row: Said, exchange: Said) -> dict[str, Any]:
    """What the book says that conditions saw. Arguments that are cut or were never readable are left out."""
    args = arguments(row)
    return {
        "caller": {"agent": exchange["agent"]} | {name: exchange[column] for name, column in _CALLER.items()},
        "call": {"id": row["call_id"], "dialect": exchange["dialect"], **{name: row[name] for name in ("name", "type", "index")}},
        "session": {"id": row["session"], "source": exchange["session_source"]},
        "model": exchange["request_model"],
        "now": row["decided_at"],
        **({} if args is None else {"args": args}),
    }


def arguments(row: Said) -> dict[str, Json] | None:
    """As conditions saw them; None where the call could not be read in one way, or its arguments are not on record."""
    try:
        args, _, _ = _read(row)
    except ValueError:
        return None
    return None if args is None else dict(args)


def _read(row: Said) -> tuple[Mapping[str, Json] | None, str | None, str]:
    """As the gateway read them: the arguments, or why there are none. Raises ValueError where they are not on record."""
    text = row["arguments"] or ""
    if text in (ERASED, DAMAGED) or only_measured(text) or (not text and row["type"] not in FREE_TEXT):
        raise ValueError("its arguments are not on record")
    return arguments_of(row["type"], text, _AS_RECORDED)


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
    if history := _history(said)[-most:]:
        case["history"] = history
    came = row["effect"] if row["effect"] != "unevaluated" else "allow" if row["released"] else "deny"
    wanted = {"effect": effect or came, **({"rule": row["rule"]} if row["rule"] and effect is None else {})}
    return {**case, "now": f"{row['decided_at'][:19]}Z", "call": {row["name"]: arguments(row) or {}}, "expect": wanted}


def as_yaml(*cases: Mapping[str, Any]) -> str:
    """To stand under `tests:` of a policy file."""
    return written(list(cases))


def describable(case: Mapping[str, Any]) -> bool:
    """Whether a policy file can hold it: integers have an end there, and so have levels."""
    try:
        read = documents.parse(as_yaml(case).encode("utf-8", "surrogatepass"), "")
        return not read.problems and bool(read.value == [case])
    except FileProblems:
        return False


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
    session = {"id": row["session"], "source": exchange["session_source"], "messages": len(exchange["request_messages"] or ())}
    case = as_case(row, exchange, said, "allow", len(said) * MOST_HISTORY) | {"session": session}
    facts = facts_of(Case.model_validate(case), files[0])
    args, problem, detail = _read(row)
    problem = problem or name_problem(row["name"])
    told = {"index": row["index"], "type": row["type"], "problem": problem, "detail": detail}
    call = Call(row["call_id"], row["name"], row["arguments"] or "", None if problem else args, **told)
    known = {"dialect": exchange["dialect"] or "", "exchange": exchange["id"]}
    return decide(policies, msgspec.structs.replace(facts, call=call, **known)).verdict


def _history(said: Sequence[Said]) -> list[dict[str, Any]]:
    """Earlier calls with their results, which answer the first call of their id that has none yet (as `provenance.paired`)."""
    told: list[dict[str, Any]] = []
    waiting: dict[Any, deque[dict[str, Any]]] = {}
    for each in said:
        for call in each.get("tool_calls") or ():
            function = call.get("function", {})
            told.append({"call": {str(function.get("name", "")): object_of(str(function.get("arguments") or ""))}})
            waiting.setdefault(call.get("id"), deque()).append(told[-1])
        if each.get("role") == "tool" and waiting.get(each.get("tool_call_id")):
            waiting[each["tool_call_id"]].popleft()["result"] = _text(each)
    return told


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
