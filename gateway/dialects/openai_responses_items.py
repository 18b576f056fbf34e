"""How the items of a Responses answer become calls, and how calls become items again.

What a client would act on is a call: functions and custom tools under their own names (`namespace.name` where they have a namespace), the
built-in ones under OpenAI's (`openai.shell`, `openai.apply_patch`…), so that each needs a grant of its own. A call is judged by the values
it would be run with; its item is written again from exactly these.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import strict_json
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.events import Limits
from gateway.dialects.proposals import (
    MAX_ID,
    NO_ARGUMENTS,
    arguments_of,
    clipped,
    id_problem,
    name_problem,
    read_arguments,
)
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call

UNKNOWN = "unknown"
"""The name under which a proposal without a readable name is judged (and denied)."""

BUILT_IN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "local_shell_call": ("openai.local_shell", ("action",)),
    "shell_call": ("openai.shell", ("action", "environment")),
    "apply_patch_call": ("openai.apply_patch", ("operation",)),
    "computer_call": ("openai.computer", ("action", "actions", "pending_safety_checks")),
    "tool_search_call": ("openai.tool_search", ("arguments",)),
    "mcp_approval_request": ("openai.mcp_approval", ("server_label", "name", "arguments")),
}
"""Item → (the name it is judged under, the keys that say what would be done)."""

TOOL_NAMES: Mapping[str, str] = {
    "local_shell": "openai.local_shell",
    "shell": "openai.shell",
    "apply_patch": "openai.apply_patch",
    "computer": "openai.computer",
    "computer_use_preview": "openai.computer",
    "mcp": "openai.mcp_approval",
    "tool_search": "openai.tool_search",
}
"""Type of a declared tool → the name of calls to it."""

def services(request: Request) -> frozenset[str]:
    """What the provider may do by itself: the services of the tools that were admitted with the request."""
    return frozenset(tool.name.removeprefix("openai.") for tool in request.server_tools) | frozenset(
        _service(tool.type) for tool in request.tools if tool.type not in ("function", "custom")
    )


def _service(tool_type: str) -> str:
    return SERVICES.get(tool_type, "")


SERVICES: Mapping[str, str] = {
    "web_search": "web_search",
    "web_search_2025_08_26": "web_search",
    "web_search_preview": "web_search",
    "web_search_preview_2025_03_11": "web_search",
    "file_search": "file_search",
    "code_interpreter": "code_interpreter",
    "image_generation": "image_generation",
    "mcp": "mcp",
    "programmatic_tool_calling": "programmatic_tool_calling",
    "tool_search": "tool_search",
    "shell:provider": "shell",
}
"""Type of a tool that the provider runs → what policies grant it as, after `openai.`. A shell in a container is `shell:provider`."""


def is_call(item: Mapping[str, Json], allowed: frozenset[str]) -> bool:
    """Whether the item is judged as a call: what the client acts on, and what the provider did unasked, or in a form nobody knows."""
    kind = item.get("type")
    if runs_upstream(item):
        return ("tool_search" if kind == "tool_search_call" else "shell") not in allowed
    if not isinstance(kind, str) or kind in shape.CALL_ITEMS:
        return True
    service = shape.SERVICE_ITEMS.get(kind)
    return service[0] not in allowed if service else kind not in shape.PLAIN_ITEMS


def runs_upstream(item: Mapping[str, Json]) -> bool:
    """Whether a call says of itself that the provider runs it."""
    kind = item.get("type")
    return (kind == "tool_search_call" and item.get("execution") == "server") or (kind == "shell_call" and _in_container(item))


def _in_container(item: Mapping[str, Json]) -> bool:
    environment = item.get("environment")
    return isinstance(environment, dict) and str(environment.get("type")).startswith("container")


def read_call(item: Mapping[str, Json], index: int, limits: Limits, problem: tuple[str, str] | None = None) -> Call:
    """The call an item proposes. `problem`: what was found wrong with it before; the first defect counts."""
    kind = item.get("type")
    name, text, args, defect = _read(item, kind, limits)
    if kind is not None and defect is not None and defect[0] in ("executed_upstream", "unknown_type"):
        problem = defect  # says more than that it was told in two ways
    code, detail = problem or defect or _form(item, kind) or (None, "")
    return Call(
        id=clipped(_id(item, kind) or "", MAX_ID),
        name=clipped(name or UNKNOWN, 128),
        arguments=text,
        args=None if code else args,
        index=index,
        type=kind if isinstance(kind, str) and kind in shape.CALL_ITEMS else UNKNOWN,
        problem=code,
        detail=detail,
    )


_Read = tuple[str, str, Mapping[str, Json] | None, tuple[str, str] | None]
"""name, argument text, arguments, (problem, detail)."""


def _read(item: Mapping[str, Json], kind: Json, limits: Limits) -> _Read:
    match kind:
        case "function_call":
            return _function(item, limits)
        case "custom_tool_call":
            return _custom(item, limits)
        case str() if kind in BUILT_IN:
            return _built_in(item, kind, limits)
        case str() if kind in shape.SERVICE_ITEMS:
            detail = f"the provider reports a `{kind}` although the request asked for no such tool"
            return f"openai.{shape.SERVICE_ITEMS[kind][0]}", NO_ARGUMENTS, None, ("executed_upstream", detail)
    return UNKNOWN, NO_ARGUMENTS, None, ("unknown_type", f"items of type {clipped(kind)} are not known")


def _function(item: Mapping[str, Json], limits: Limits) -> _Read:
    name, text = _name(item), item.get("arguments")
    if text is None:
        text = ""
    if not isinstance(text, str):
        return name, NO_ARGUMENTS, None, ("type", f"the arguments are not a string but {type(text).__name__}")
    args, code, detail = read_arguments(text, limits)
    return name, text or NO_ARGUMENTS, args, (code, detail) if code else None


def _custom(item: Mapping[str, Json], limits: Limits) -> _Read:
    name, text = _name(item), item.get("input")
    if not isinstance(text, str):
        return name, "", None, ("type", "the input is not a string")
    args, code, detail = arguments_of("custom_tool_call", text, limits)
    return name, "" if code else text, args, (code, detail) if code else None


def _built_in(item: Mapping[str, Json], kind: str, limits: Limits) -> _Read:
    name, keys = BUILT_IN[kind]
    values = {key: item[key] for key in keys if item.get(key) is not None}
    if kind == "mcp_approval_request" and isinstance(values.get("arguments"), str):
        inner, code, detail = read_arguments(values["arguments"], limits)
        if code:
            return name, NO_ARGUMENTS, None, (code, detail)
        values["arguments"] = inner
    text = strict_json.encode(values).decode()
    args, code, detail = read_arguments(text, limits)
    if not values:
        code, detail = "type", f"the `{kind}` says nothing of what is to be done"
    return name, text, args, (code, detail) if code else None


def _name(item: Mapping[str, Json]) -> str:
    name, namespace = item.get("name"), item.get("namespace")
    if namespace is None:
        return name if isinstance(name, str) else ""
    return f"{namespace}.{name}" if isinstance(namespace, str) and isinstance(name, str) and name else ""


def _id(item: Mapping[str, Json], kind: Json) -> str | None:
    """What a result names: the call's id; a request for approval has only the item's own."""
    value = item.get("id" if kind == "mcp_approval_request" else "call_id")
    if value is None and kind in ("tool_search_call", "computer_call", "local_shell_call"):
        value = item.get("id")
    return value if isinstance(value, str) else None


def _form(item: Mapping[str, Json], kind: Json) -> tuple[str, str] | None:
    if kind in ("function_call", "custom_tool_call") and name_problem(_name(item)):
        return "bad_name", "the tool's name is missing or holds characters that no tool name has"
    if id_problem(_id(item, kind)):
        return "bad_id", "the call's id is missing or not plain ASCII"
    if item.get("status") not in (None, "completed"):
        return "truncated", "the call is not whole"
    return None


def written(item: Mapping[str, Json], call: Call) -> dict[str, Json]:
    """A released call's item: its known keys, with what was judged in the place of what was said."""
    known = {key: value for key, value in item.items() if key in shape.CALL_ITEMS[call.type]}
    if call.type == "function_call":
        known["arguments"] = call.arguments
    return known


def same_call(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    """Whether two copies of a call's item say the same, their states of progress aside."""
    return told(one) == told(other)


def told(item: Mapping[str, Json]) -> dict[str, Json]:
    """What a call's item says of the call. Its own id is left out: some servers give each copy another, and results name the call's."""
    own = () if item.get("type") == "mcp_approval_request" else ("id",)
    return {key: value for key, value in item.items() if key not in (*own, "status", "created_by") and value is not None}


def begins(begun: Json, whole: Json) -> bool:
    """Whether a value says nothing else than another one, as far as it has been told."""
    if begun in (None, "", {}, []):
        return True
    if isinstance(begun, dict) and isinstance(whole, dict):
        return all(begins(value, whole.get(key)) for key, value in begun.items())
    return bool(begun == whole)


def explanation(item_id: str, text: str) -> dict[str, Json]:
    """The message in the place of a withheld call."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": item_id, "status": "completed", "role": "assistant", "content": [part]}
