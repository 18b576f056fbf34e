"""The closed shape of the Responses API: which items, parts and events an answer may have, and the keys of each.

An item or event of a kind that stands in no table may be a call in a form nobody here can read, so that it is never passed on. Unknown
keys of known kinds are left out, each a `Finding`. A test reflects over the current `openai` package and fails when it knows a kind or
key that these tables lack (`tests/clients/test_openai_types.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.answer import Usage
from gateway.dialects.openai_chat_shape import count_of, disjoint
from gateway.strict_json import Json

RESPONSE_KEYS = frozenset({
    "background", "completed_at", "conversation", "created_at", "error", "id", "incomplete_details", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "moderation", "object", "output", "parallel_tool_calls", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "status",
    "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user", "billing",
    "content_filters", "context_management", "frequency_penalty", "presence_penalty", "access_programs", "image", "input_transformations",
    "prompt_cache_diagnostics", "tool_usage",
})  # fmt: skip

_CALLED = frozenset({"type", "id", "call_id", "status"})
_ANSWERED = _CALLED | {"output", "created_by", "caller"}
CALL_ITEMS: Mapping[str, frozenset[str]] = {
    "function_call": _CALLED | {"name", "namespace", "arguments", "caller", "async"},
    "custom_tool_call": _CALLED | {"name", "namespace", "input", "caller", "async"},
    "local_shell_call": _CALLED | {"action"},
    "shell_call": _CALLED | {"action", "environment", "caller", "created_by"},
    "apply_patch_call": _CALLED | {"operation", "caller", "created_by"},
    "computer_call": _CALLED | {"action", "actions", "pending_safety_checks"},
    "mcp_approval_request": frozenset({"type", "id", "server_label", "name", "arguments"}),
    "tool_search_call": _CALLED | {"arguments", "execution", "created_by"},
}
"""Items that the client acts on: each is a proposed call."""

SERVICE_ITEMS: Mapping[str, tuple[str, frozenset[str]]] = {
    "web_search_call": ("web_search", frozenset({"type", "id", "status", "action"})),
    "file_search_call": ("file_search", frozenset({"type", "id", "status", "queries", "results"})),
    "code_interpreter_call": ("code_interpreter", frozenset({"type", "id", "status", "code", "container_id", "outputs"})),
    "image_generation_call": ("image_generation", frozenset({
        "type", "id", "status", "result", "revised_prompt", "background", "output_format", "quality", "size", "action", "error",
        "svg_usage",
    })),
    "mcp_call": ("mcp", frozenset({
        "type", "id", "status", "approval_request_id", "arguments", "error", "name", "output", "server_label",
    })),
    "mcp_list_tools": ("mcp", frozenset({"type", "id", "error", "server_label", "tools"})),
    "shell_call_output": ("shell", _ANSWERED | {"max_output_length"}),
    "program": ("programmatic_tool_calling", frozenset({"type", "id", "call_id", "code", "fingerprint"})),
    "program_output": ("programmatic_tool_calling", frozenset({"type", "id", "call_id", "result", "status"})),
    "tool_search_output": ("tool_search", _CALLED | {"execution", "tools", "created_by"}),
    "additional_tools": ("tool_search", frozenset({"type", "id", "role", "tools"})),
}  # fmt: skip
"""Items that report what the provider did by itself, and the service that must have been asked for."""

PLAIN_ITEMS: Mapping[str, frozenset[str]] = {
    "message": frozenset({"type", "id", "status", "role", "content", "phase"}),
    "reasoning": frozenset({"type", "id", "status", "summary", "content", "encrypted_content"}),
    "compaction": frozenset({"type", "id", "encrypted_content", "created_by"}),
    "function_call_output": _ANSWERED | {"name", "namespace"},
    "custom_tool_call_output": _ANSWERED,
    "computer_call_output": _ANSWERED | {"acknowledged_safety_checks"},
    "local_shell_call_output": _ANSWERED,
    "apply_patch_call_output": _ANSWERED,
    "mcp_approval_response": frozenset({"type", "id", "approval_request_id", "approve", "reason"}),
    "configuration_update": frozenset({"type", "id", "reasoning", "text"}),
}
"""Items that nobody acts on. Results of calls are among them because a compacted conversation repeats them."""

PART_KEYS: Mapping[str, frozenset[str]] = {
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
    "reasoning_text": frozenset({"type", "text"}),
    "summary_text": frozenset({"type", "text"}),
    "input_text": frozenset({"type", "text", "prompt_cache_breakpoint"}),
    "input_image": frozenset({"type", "detail", "file_id", "image_url", "prompt_cache_breakpoint"}),
    "input_file": frozenset({"type", "detail", "file_data", "file_id", "file_url", "filename", "prompt_cache_breakpoint"}),
    "text": frozenset({"type", "text"}),
}
"""Parts of a message or of reasoning; those of the user's come back in a compacted conversation."""

_EVENT = frozenset({"type", "sequence_number"})
_OF_ITEM = _EVENT | {"item_id", "output_index"}
_OF_PART = _OF_ITEM | {"content_index"}
_DELTA = frozenset({"delta", "obfuscation"})
STATE_EVENTS = frozenset({"response.created", "response.queued", "response.in_progress"})
LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
LOOSE_EVENTS: Mapping[str, frozenset[str]] = {
    "response.audio.delta": _EVENT | _DELTA,
    "response.audio.done": _EVENT,
    "response.audio.transcript.delta": _EVENT | _DELTA,
    "response.audio.transcript.done": _EVENT,
    "keepalive": _EVENT,
}
"""Events that belong to no item."""


def _runs(kind: str, *ends: str) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    return {f"response.{kind}.{end}": (frozenset({kind}), _OF_ITEM) for end in ends}


_MESSAGE, _REASONING = frozenset({"message"}), frozenset({"reasoning"})
_SUMMARY = _OF_ITEM | {"summary_index"}
PLACES = ("content_index", "summary_index", "command_index")
"""Where in its item an event belongs: which part, summary or command."""
_COMMAND = _EVENT | {"output_index", "command_index"}
SHELL_OUTPUT = "response.shell_call_output_content.delta"
"""Its delta is no text but an object of two: what a command writes."""
STREAMS = ("stdout", "stderr")
ITEM_EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "response.content_part.added": (_MESSAGE | _REASONING, _OF_PART | {"part"}),
    "response.content_part.done": (_MESSAGE | _REASONING, _OF_PART | {"part"}),
    "response.output_text.delta": (_MESSAGE, _OF_PART | _DELTA | {"logprobs"}),
    "response.output_text.done": (_MESSAGE, _OF_PART | {"text", "logprobs"}),
    "response.output_text.annotation.added": (_MESSAGE, _OF_PART | {"annotation", "annotation_index"}),
    "response.refusal.delta": (_MESSAGE, _OF_PART | _DELTA),
    "response.refusal.done": (_MESSAGE, _OF_PART | {"refusal"}),
    "response.reasoning_summary_part.added": (_REASONING, _SUMMARY | {"part"}),
    "response.reasoning_summary_part.done": (_REASONING, _SUMMARY | {"part", "status"}),
    "response.reasoning_summary_text.delta": (_REASONING, _SUMMARY | _DELTA),
    "response.reasoning_summary_text.done": (_REASONING, _SUMMARY | {"text"}),
    "response.reasoning_text.delta": (_REASONING, _OF_PART | _DELTA),
    "response.reasoning_text.done": (_REASONING, _OF_PART | {"text"}),
    "response.function_call_arguments.delta": (frozenset({"function_call"}), _OF_ITEM | _DELTA),
    "response.function_call_arguments.done": (frozenset({"function_call"}), _OF_ITEM | {"arguments", "name"}),
    "response.custom_tool_call_input.delta": (frozenset({"custom_tool_call"}), _OF_ITEM | _DELTA),
    "response.custom_tool_call_input.done": (frozenset({"custom_tool_call"}), _OF_ITEM | {"input"}),
    "response.mcp_call_arguments.delta": (frozenset({"mcp_call"}), _OF_ITEM | _DELTA),
    "response.mcp_call_arguments.done": (frozenset({"mcp_call"}), _OF_ITEM | {"arguments"}),
    "response.code_interpreter_call_code.delta": (frozenset({"code_interpreter_call"}), _OF_ITEM | _DELTA),
    "response.code_interpreter_call_code.done": (frozenset({"code_interpreter_call"}), _OF_ITEM | {"code"}),
    "response.image_generation_call.partial_image": (
        frozenset({"image_generation_call"}),
        _OF_ITEM | {"partial_image_b64", "partial_image_index", "size", "quality", "background", "output_format"},
    ),
    "response.shell_call_command.added": (frozenset({"shell_call"}), _COMMAND | {"command"}),
    "response.shell_call_command.delta": (frozenset({"shell_call"}), _COMMAND | _DELTA),
    "response.shell_call_command.done": (frozenset({"shell_call"}), _COMMAND | {"command"}),
    SHELL_OUTPUT: (frozenset({"shell_call_output"}), _OF_ITEM | {"command_index", "delta"}),
    "response.shell_call_output_content.done": (frozenset({"shell_call_output"}), _OF_ITEM | {"command_index", "output"}),
    **_runs("compaction", "compacting"),
    **_runs("web_search_call", "in_progress", "searching", "completed"),
    **_runs("file_search_call", "in_progress", "searching", "completed"),
    **_runs("code_interpreter_call", "in_progress", "interpreting", "completed"),
    **_runs("image_generation_call", "in_progress", "generating", "completed"),
    **_runs("mcp_call", "in_progress", "completed", "failed"),
    **_runs("mcp_list_tools", "in_progress", "completed", "failed"),
}
"""Event → (items it may be about, its keys)."""
TEXT_KEYS = frozenset({"delta", "text", "refusal", "code", "arguments", "command", "partial_image_b64"})
"""Keys of events and parts whose values are text and nothing else: an object there could be a call to somebody."""
ADDED, DONE = "response.output_item.added", "response.output_item.done"
FRAME_KEYS: Mapping[str, frozenset[str]] = {
    ADDED: _EVENT | {"item", "output_index"},
    DONE: _EVENT | {"item", "output_index"},
    **dict.fromkeys(STATE_EVENTS | LAST_EVENTS, _EVENT | {"response"}),
}


def only_texts(found: Mapping[str, Json]) -> bool:
    """Whether what should be text is, and a piece of it there."""
    if found.get("type") == SHELL_OUTPUT:
        return _are_streams(found.get("delta"))
    if str(found.get("type")).endswith(".delta") and "delta" not in found:
        return False
    return all(isinstance(found[key], str) for key in TEXT_KEYS & found.keys())


def _are_streams(delta: Json) -> bool:
    return isinstance(delta, dict) and delta.keys() <= {*STREAMS} and all(isinstance(text, str | None) for text in delta.values())


def place_of(event: Mapping[str, Json]) -> Any:
    return next((event[key] for key in PLACES if key in event), 0)


def item_keys(kind: Json) -> frozenset[str] | None:
    """The keys of an item of this kind; None when there is no such kind."""
    if not isinstance(kind, str):
        return None
    service = SERVICE_ITEMS.get(kind)
    return service[1] if service else CALL_ITEMS.get(kind) or PLAIN_ITEMS.get(kind)


def read_usage(response: Mapping[str, Json]) -> Usage | None:
    """OpenAI's counts contain each other; ours do not. A count that cannot be is None. Services are counted by the items they leave, but
    searches as the response says how many it charges for, where it does."""
    raw = response.get("usage")
    if not isinstance(raw, dict):
        return None
    used = disjoint(raw, "input", "output", response.get("service_tier"))
    output = response.get("output")
    kinds = [_service(item) for item in output] if isinstance(output, list) else []
    fees = tuple(sorted({*used.fees, *(FEES[kind] for kind in kinds if kind in FEES)}))
    told = response.get("tool_usage")
    billed = count_of(told.get("web_search"), "num_requests") if isinstance(told, dict) else None
    return msgspec.structs.replace(used, searches=(kinds.count("web_search_call") or None) if billed is None else billed, fees=fees)


FEES = {"file_search_call": "file_search", "code_interpreter_call": "code_interpreter", "image_generation_call": "image_generation"}
"""Services charged by other measures than tokens: by the call, by the container, by the picture."""


def _service(item: Json) -> str:
    """What is charged for: of web searches the search alone, not the page opened after it."""
    kind, action = (item.get("type"), item.get("action")) if isinstance(item, dict) else ("", None)
    looked = isinstance(action, dict) and action.get("type") in ("open_page", "find", "find_in_page")
    return kind if isinstance(kind, str) and not (kind == "web_search_call" and looked) else ""
