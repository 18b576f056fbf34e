"""Closed tables of the Messages wire format: which tools, blocks, deltas and keys exist, and who acts on
each.

Closed because a date or a prefix proves nothing: `bash_20991231` may run anywhere. What stands in no table
is not guessed at: a tool is reported as unjudged, a part of an answer is withheld. A test reflects over
the installed `anthropic` package and fails when it knows a type or key that these tables lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

CUSTOM = "custom"
"""The type of a tool the client defines itself; also meant when a tool has no type."""

CLIENT_TOOLS: Mapping[str, str] = {
    "bash_20241022": "bash",
    "bash_20250124": "bash",
    "text_editor_20241022": "str_replace_editor",
    "text_editor_20250124": "str_replace_editor",
    "text_editor_20250429": "str_replace_based_edit_tool",
    "text_editor_20250728": "str_replace_based_edit_tool",
    "computer_20241022": "computer",
    "computer_20250124": "computer",
    "computer_20251124": "computer",
    "memory_20250818": "memory",
}
"""Tools the provider defines and the client runs: type to the one name it may have."""

_POINTER = frozenset(
    {
        "double_click",
        "hold_key",
        "key",
        "left_click",
        "left_click_drag",
        "left_mouse_down",
        "left_mouse_up",
        "middle_click",
        "mouse_move",
        "right_click",
        "screenshot",
        "scroll",
        "triple_click",
        "type",
        "wait",
        "zoom",
    }
)
TOOLSETS: Mapping[str, tuple[str, frozenset[str]]] = {
    "computer_toolset_20260801": ("computer", _POINTER | {"cursor_position"}),
    "browser_toolset_20260801": (
        "browser",
        _POINTER
        | frozenset(
            {
                "close_tab",
                "file_upload",
                "find",
                "form_input",
                "get_page_text",
                "hover",
                "javascript_exec",
                "list_tabs",
                "navigate",
                "new_tab",
                "read_console",
                "read_network",
                "read_page",
                "scroll_to",
                "switch_tab",
            }
        ),
    ),
}
"""Nameless entries that stand for a family of client-run tools: type to (family, members). Two families
share member names and a custom tool may too, so that a member is judged under `family/member`."""

Service = Literal["web_search", "web_fetch", "code_execution", "tool_search", "advisor", "mcp"]

SERVER_TOOLS: Mapping[str, frozenset[Service]] = {
    "web_search_20250305": frozenset({"web_search"}),
    "web_search_20260209": frozenset({"web_search", "code_execution"}),
    "web_search_20260318": frozenset({"web_search", "code_execution"}),
    "web_fetch_20250910": frozenset({"web_fetch"}),
    "web_fetch_20260209": frozenset({"web_fetch", "code_execution"}),
    "web_fetch_20260309": frozenset({"web_fetch", "code_execution"}),
    "web_fetch_20260318": frozenset({"web_fetch", "code_execution"}),
    "code_execution_20250522": frozenset({"code_execution"}),
    "code_execution_20250825": frozenset({"code_execution"}),
    "code_execution_20260120": frozenset({"code_execution"}),
    "code_execution_20260521": frozenset({"code_execution"}),
    "tool_search_tool_bm25": frozenset({"tool_search"}),
    "tool_search_tool_bm25_20251119": frozenset({"tool_search"}),
    "tool_search_tool_regex": frozenset({"tool_search"}),
    "tool_search_tool_regex_20251119": frozenset({"tool_search"}),
    "advisor_20260301": frozenset({"advisor"}),
    "mcp_toolset": frozenset({"mcp"}),
}
"""Tools the provider runs itself: type to the services it may then use (searching filters its results with
code since 20260209)."""

MCP_SERVER = "mcp_server"
"""The type under which an entry of `mcp_servers` is listed among the request's tools."""

SERVICE_OF_NAME: Mapping[str, Service] = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_execution": "code_execution",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "tool_search_tool_regex": "tool_search",
    "tool_search_tool_bm25": "tool_search",
    "advisor": "advisor",
}
"""The `name` of a `server_tool_use` block to the service that ran."""

SERVICE_OF_BLOCK: Mapping[str, Service] = {
    "web_search_tool_result": "web_search",
    "web_fetch_tool_result": "web_fetch",
    "code_execution_tool_result": "code_execution",
    "bash_code_execution_tool_result": "code_execution",
    "text_editor_code_execution_tool_result": "code_execution",
    "container_upload": "code_execution",
    "tool_search_tool_result": "tool_search",
    "advisor_tool_result": "advisor",
    "mcp_tool_use": "mcp",
    "mcp_tool_result": "mcp",
    "mcp_tool_listing": "mcp",
}
"""Blocks of an answer that only a service produces."""

_RESULT = frozenset({"type", "content", "tool_use_id"})
BLOCK_KEYS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "citations"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "compaction": frozenset({"type", "content", "encrypted_content", "signature", "tool_changes"}),
    "fallback": frozenset({"type", "from", "to", "trigger"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name"}),
    "server_tool_use": frozenset({"type", "id", "name", "input", "caller"}),
    "mcp_tool_use": frozenset({"type", "id", "name", "input", "server_name"}),
    "mcp_tool_listing": frozenset({"type", "mcp_server_name", "tools"}),
    "mcp_tool_result": _RESULT | {"is_error"},
    "web_search_tool_result": _RESULT | {"caller"},
    "web_fetch_tool_result": _RESULT | {"caller"},
    "advisor_tool_result": _RESULT,
    "code_execution_tool_result": _RESULT,
    "bash_code_execution_tool_result": _RESULT,
    "text_editor_code_execution_tool_result": _RESULT,
    "tool_search_tool_result": _RESULT,
    "container_upload": frozenset({"type", "file_id"}),
}
"""Every block an answer may hold, with the keys it may have."""

DELTA_KEYS: Mapping[str, frozenset[str]] = {
    "text_delta": frozenset({"type", "text"}),
    "citations_delta": frozenset({"type", "citation"}),
    "thinking_delta": frozenset({"type", "thinking", "estimated_tokens"}),
    "signature_delta": frozenset({"type", "signature"}),
    "input_json_delta": frozenset({"type", "partial_json"}),
    "compaction_delta": frozenset({"type", "content", "encrypted_content"}),
}
DELTAS_OF_BLOCK: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "compaction": frozenset({"compaction_delta"}),
    "tool_use": frozenset({"input_json_delta"}),
    "server_tool_use": frozenset({"input_json_delta"}),
    "mcp_tool_use": frozenset({"input_json_delta"}),
}
"""Which deltas may extend which block; any other block comes whole in its start event."""

TEXT_KEYS: Mapping[str, str] = {
    "text": "text",
    "thinking": "thinking",
    "redacted_thinking": "data",
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""The key of a block or delta that must hold a string: clients add it to what they have."""

EVENT_KEYS: Mapping[str, frozenset[str]] = {
    "message_start": frozenset({"type", "message"}),
    "content_block_start": frozenset({"type", "index", "content_block"}),
    "content_block_delta": frozenset({"type", "index", "delta"}),
    "content_block_stop": frozenset({"type", "index"}),
    "message_delta": frozenset({"type", "delta", "usage", "context_management", "input_transformations"}),
    "message_stop": frozenset({"type"}),
    "ping": frozenset({"type"}),
    "error": frozenset({"type", "error", "request_id"}),
}
MESSAGE_KEYS = frozenset(
    {
        "id",
        "type",
        "role",
        "model",
        "content",
        "stop_reason",
        "stop_sequence",
        "stop_details",
        "usage",
        "container",
        "context_management",
        "diagnostics",
        "input_transformations",
    }
)
MESSAGE_DELTA_KEYS = frozenset({"stop_reason", "stop_sequence", "stop_details", "container"})

REQUEST_BLOCKS = frozenset(BLOCK_KEYS) | {
    "image",
    "document",
    "search_result",
    "tool_result",
    "tool_addition",
    "tool_removal",
}
"""Every block a message of a request may hold."""

WHOLE_CALL_REASONS = frozenset({"tool_use", "end_turn", "stop_sequence", "pause_turn"})
"""Stop reasons under which a call that ends the answer is whole. Under any other one the provider may have
cut it."""
