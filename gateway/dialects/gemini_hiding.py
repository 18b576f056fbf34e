"""A generateContent request without some of the functions that it declares."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from gateway.dialects.hiding import mentioned
from gateway.strict_json import Json

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def without_tools(body: bytes, names: Collection[str]) -> bytes | None:
    """None where nothing is to be left out, or where the request chooses one of them."""
    fields = _fields(body)
    chosen = mentioned(fields.get("toolConfig") or fields.get("tool_config") or msgspec.Raw(b"null"))
    tools: list[Json] = msgspec.json.decode(fields.get("tools") or b"null") or []
    shown = [left for left in (_declaring(tool, names) for tool in tools) if left]
    if shown == tools or not chosen.isdisjoint(names):
        return None
    rest = {key: raw for key, raw in fields.items() if key != "tools" and (shown or key not in ("toolConfig", "tool_config"))}
    return msgspec.json.encode({**rest, **({"tools": shown} if shown else {})})


def _declaring(tool: Json, names: Collection[str]) -> Json:
    """The tool without declarations of these names; empty when nothing is left of it."""
    listed = next((key for key in ("functionDeclarations", "function_declarations") if tool.get(key)), None)
    if listed is None:
        return tool
    kept = [each for each in tool[listed] if each.get("name") not in names]
    return {**tool, listed: kept} if kept else {key: value for key, value in tool.items() if key != listed}
