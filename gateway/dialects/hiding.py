"""A request without some of the tools that it declares: the model is not shown what it could never use."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from gateway.strict_json import Json

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_ABOUT_TOOLS = ("tool_choice", "parallel_tool_calls", "function_call")
"""What providers do not take where no tool is left."""


def without_tools(body: bytes, names: Collection[str], name_of: Callable[[Json], Json], *keys: str) -> bytes | None:
    """`keys`: the fields that list tools. None where nothing is to be left out, or where the request chooses one of them."""
    fields = _fields(body)
    kept: dict[str, msgspec.Raw] = {}
    left = gone = 0
    for key in keys:
        listed = _list(fields[key]) if key in fields and bytes(fields[key]) != b"null" else []
        shown = [raw for raw in listed if name_of(msgspec.json.decode(raw)) not in names]
        left, gone = left + len(shown), gone + len(listed) - len(shown)
        if shown:
            kept[key] = msgspec.Raw(msgspec.json.encode(shown))
    if not gone or any(name in mentioned(fields[key]) for key in _ABOUT_TOOLS if key in fields for name in names):
        return None
    dropped = {*keys, *(() if left else _ABOUT_TOOLS)}
    return msgspec.json.encode({**{k: v for k, v in fields.items() if k not in dropped}, **kept})


def mentioned(raw: msgspec.Raw) -> frozenset[str]:
    """Every text in a value."""
    found: set[str] = set()
    waiting: list[Json] = [msgspec.json.decode(raw)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return frozenset(found)
