"""The verdict over one proposed call: first whether it can be read in exactly one way, then whether policy allows it.

Order, and why: a call with a `problem` has no meaning that a rule could look at; a tool the request never declared is a phantom, whatever
the policy says of its name; arguments outside the client's own schema would be read by guesswork. Only then do grants and guards speak.
Pure; never raises: an error while judging denies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from msgspec import Struct, field

from gateway import strict_json
from gateway.exchange import Caller
from gateway.policy import Conversation, Facts, Meter, NoMeter, NotRedactable, PolicySet, decide, evaluate
from gateway.request import Pin, Request, ServerTool, Tool
from gateway.strict_json import Json
from gateway.validators import json_schema
from gateway.validators.validator import Subject
from gateway.verdict import Call, Finding, Hook, Verdict

PROBLEMS = {
    "dup_key": "its arguments hold one key twice",
    "trailing_data": "its arguments go on after their end",
    "depth": "its arguments are nested too deeply",
    "number": "its arguments hold a number that readers understand differently",
    "encoding": "its arguments are not valid text",
    "malformed": "its arguments are not valid JSON",
    "type": "its arguments are not a JSON object",
    "bad_name": "its tool name has characters that readers understand differently",
    "bad_id": "its id is missing, too long or holds characters that readers understand differently",
    "duplicate_id": "its id is used by another call of the same answer",
    "bad_index": "its place among the calls of the answer is not the next one",
    "ambiguous_index": "its pieces cannot be told from those of another call",
    "ambiguous": "its arguments stand in two places",
    "name_split": "its tool name or id came in pieces that readers put together differently",
    "mixed_forms": "the answer proposes calls in two forms, of which readers run one or the other",
    "copies_differ": "the answer says it twice, and not in the same words",
    "call_limit": "the answer proposes more calls than one may (limits.calls in the settings of the gateway)",
    "hold_limit": "it is longer than a call may be (limits.call_bytes and limits.hold_bytes in the settings of the gateway)",
    "unknown_type": "its type is not known to this gateway",
    "executed_upstream": "the provider ran it although the request did not ask for it",
    "undeclared_tool": "the request declared no such tool",
    "known_secret": "it holds a key of this gateway or of a provider",
    "not_redactable": "what policy takes out of it cannot be taken out",
    "not_editable": "arguments of its type cannot be changed",
    "schema": "its arguments do not fit the tool's declared schema",
}
"""Plain words for the reason codes; one that is not among them is shown as it is."""


EDITABLE = frozenset({"function", "function_call"})
"""Types of calls whose arguments can be delivered in other words; the others are free text or the provider's own forms."""


class Judged(Struct, frozen=True):
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    call: Call | None = None
    """The call that was judged in the end, where something was taken out of the one proposed."""


class Court(Struct, frozen=True):
    """What stays the same for all calls of one exchange."""

    policies: PolicySet
    caller: Caller
    request: Request
    session: Mapping[str, Json]
    holds_secret: Callable[[str], bool]
    """Whether a text holds one of the gateway's own secrets. Such a call is denied: taking the secret out would deliver another call than
    the one that was judged."""
    address: Callable[[bytes], str]
    """Content address of a tool's schema: what conditions see as `call.schema`."""
    conversation: Conversation
    meter: Meter = field(default_factory=NoMeter)
    exchange: str = ""
    """Its id."""
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """By tool, where the agent's tools are pinned: what conditions see as `call.pin`."""

    @property
    def enforcing(self) -> bool:
        return self.policies.enforces(self.caller.agent)


def session_facts(caller: Caller, request: Request) -> dict[str, Json]:
    """What conditions see as `session`: counted over the conversation as the client sent it."""
    calls = [call for message in request.messages for call in message.calls]
    return {
        "id": caller.session,
        "source": caller.session_source,
        "messages": len(request.messages),
        "calls": len(calls),
        "tools": sorted({call.name for call in calls}),
    }


def judge_server_tool(court: Court, tool: ServerTool, index: int, now_us: int) -> tuple[Call, Verdict]:
    """The verdict over a tool that the provider would run: only policy speaks, for there is no call yet, and never will be one to hold."""
    text = msgspec.json.encode(tool.args).decode()
    call = Call("", tool.name, text, tool.args, index, type="server")
    return call, evaluate(court.policies, _facts(court, call, None, now_us))


def judge(court: Court, call: Call, now_us: int, *, approved: bool = False) -> Judged:
    """The verdict over `call`, and what the strict reading and the schema found. `approved`: a person said yes to it."""
    tool = _declared(court.request, call)
    found = _unreadable(court, call, tool) or _outside_schema(court, call, tool)
    if found is not None:
        return found
    decided = decide(court.policies, _facts(court, call, tool, now_us, approved=approved), partial(_rewritten, court, tool))
    if decided.call is call:
        return Judged(decided.verdict, decided.verdict.findings)
    return Judged(decided.verdict, (_redacted(court, call), *decided.verdict.findings), decided.call)


def _rewritten(court: Court, tool: Tool | None, call: Call, args: Mapping[str, Json]) -> Call:
    """The call with other arguments, as it may be delivered."""
    if call.type not in EDITABLE:
        raise NotRedactable("arguments of its type cannot be changed")
    changed = msgspec.structs.replace(call, args=args, arguments=strict_json.encode(args).decode())
    if _outside_schema(court, changed, tool) is not None:
        raise NotRedactable("what is left does not fit the tool's declared schema")
    return changed


def _redacted(court: Court, call: Call) -> Finding:
    """That a call was changed, and what it was: the address of its arguments as they were proposed."""
    was = court.address(call.arguments.encode("utf-8", "surrogatepass"))
    return Finding("policy", "redacted", "warn", _path(call), f"something was taken out of the arguments, which were {was}")


def _facts(court: Court, call: Call, tool: Tool | None, now_us: int, *, approved: bool = False) -> Facts:
    return Facts(
        call=call,
        caller=court.caller,
        dialect=court.request.dialect,
        model=court.request.model,
        schema_hash=court.address(tool.schema) if tool and tool.schema is not None else None,
        pin=court.pins.get(call.name),
        session=court.session,
        conversation=court.conversation,
        meter=court.meter,
        now_us=now_us,
        approved=approved,
        exchange=court.exchange,
        about=partial(about, court.request, "tool_call"),
    )


def about(request: Request, hook: Hook) -> Subject:
    """What validators know of an exchange beside the text: tools, results and what users said."""
    return Subject(
        "",
        hook,
        tools={tool.name: tool.raw for tool in request.tools},
        results=[text for message in request.messages for _, text in message.results],
        said=[message.text for message in request.messages if message.role == "user"],
    )


def _unreadable(court: Court, call: Call, tool: Tool | None) -> Judged | None:
    code = call.problem or _defect(court, call, tool)
    if code is None:
        return None
    finding = Finding("strict", code, "error", _path(call), call.detail or PROBLEMS.get(code, code))
    return _refusal(court, call, code, (finding,))


def _defect(court: Court, call: Call, tool: Tool | None) -> str | None:
    if tool is None:
        return "undeclared_tool"
    return "known_secret" if court.holds_secret(f"{call.id} {call.arguments}") else None


def _outside_schema(court: Court, call: Call, tool: Tool | None) -> Judged | None:
    if tool is None or tool.schema is None:
        return None
    findings = json_schema.check(tool.schema, call.args)
    if not any(f.severity == "error" for f in findings):
        return None
    return _refusal(court, call, "schema", findings)


def _refusal(court: Court, call: Call, code: str, findings: tuple[Finding, ...]) -> Judged:
    """Denied while enforcing; while observing delivered and marked, because an observer never changes a byte."""
    words = PROBLEMS.get(code, code.replace("_", " "))
    reason = f"This call was not passed on because {words}."
    if court.enforcing:
        denied = tuple(Finding(f.validator, f.code, f.severity, f.path, f.detail, "denied") for f in findings)
        return Judged(Verdict("deny", released=False, code=code, reason=reason), denied)
    seen = f"Not judged; enforcing, it would be denied because {words}."
    return Judged(Verdict("unevaluated", released=True, code=code, reason=seen, would="deny"), findings)


def _declared(request: Request, call: Call) -> Tool | None:
    return next((tool for tool in request.tools if tool.name == call.name), None)


def _path(call: Call) -> str:
    return f"calls[{call.index}]"
