"""What every dialect asks of a proposed call before anyone may judge it: a name, an id and arguments with
one meaning each.

Shared so that a call denied for its form in one dialect cannot pass in another. Not a policy: nothing here
knows which tools are wanted, and nothing here repairs. A defect comes back as a reason code for
`Call.problem`, with a detail for people that never holds the value itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from gateway import strict_json
from gateway.dialects.events import Limits
from gateway.strict_json import Json
from gateway.verdict import Call

NO_ARGUMENTS = "{}"
"""What is evaluated and delivered when a model proposes a call without any arguments."""

FREE_TEXT = frozenset({"custom", "custom_tool_call"})
"""Types of calls whose arguments are one text, and no JSON."""

MAX_ID = 64 * 1024
"""Characters. LiteLLM puts the signature of Gemini's thoughts into a call's id, which makes ids of several thousand."""
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_ID = re.compile(rf"[!-~]{{1,{MAX_ID}}}")


def name_problem(name: Json) -> str | None:
    """`bad_name` unless 1 to 128 ASCII letters, digits and `_ . : / -`: no look-alikes, no case or space
    that a client might fold away."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return None
    return "bad_name"


def id_problem(call_id: Json) -> str | None:
    """`bad_id` unless 1 to `MAX_ID` printable ASCII characters without spaces."""
    if isinstance(call_id, str) and _ID.fullmatch(call_id):
        return None
    return "bad_id"


def read_arguments(text: str, limits: Limits) -> tuple[Mapping[str, Json] | None, str | None, str]:
    """The arguments an argument text stands for, else (None, reason code, detail). Empty text is no
    arguments: `{}`."""
    if not text:
        return {}, None, ""
    if len(text) > limits.call_bytes or len(text.encode("utf-8", "surrogatepass")) > limits.call_bytes:
        return None, "hold_limit", f"arguments are longer than {limits.call_bytes} bytes"
    try:
        args = strict_json.parse(text, depth=limits.depth)
    except strict_json.Ambiguous as ambiguous:
        return None, ambiguous.code, f"arguments: {ambiguous.detail}"
    if not isinstance(args, dict):
        return None, "type", "arguments are not a JSON object"
    return args, None, ""


def arguments_of(kind: str, text: str, limits: Limits) -> tuple[Mapping[str, Json] | None, str | None, str]:
    """As `read_arguments`, for a call of this type: what a model writes to a tool of free text is its one argument `input`."""
    if kind not in FREE_TEXT:
        return read_arguments(text, limits)
    if len(text) > limits.call_bytes or len(text.encode("utf-8", "surrogatepass")) > limits.call_bytes:
        return None, "hold_limit", f"the input is longer than {limits.call_bytes} bytes"
    return {"input": text}, None, ""


def clipped(value: Json, limit: int = 60) -> str:
    """A foreign word, fit to be quoted in a message: printable ASCII, at most `limit` characters; anything
    else by its type."""
    if not isinstance(value, str):
        return type(value).__name__
    return ascii(value[:limit])[1:-1] + ("…" if len(value) > limit else "")


def with_shared_ids_failed(calls: Iterable[Call]) -> list[Call]:
    """Two calls under one id: a result or an approval could be bound to the wrong one, so that none of them passes."""
    listed = list(calls)
    times = Counter(call.id for call in listed if call.id)
    return [
        failed(call, "duplicate_id", "two calls of this answer have the same id") if times[call.id] > 1 and not call.problem else call
        for call in listed
    ]


def failed(call: Call, problem: str, detail: str) -> Call:
    return msgspec.structs.replace(call, args=None, problem=problem, detail=detail)
