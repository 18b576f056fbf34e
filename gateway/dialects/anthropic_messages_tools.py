"""What a Messages request declares for the model to call, and the words for finding fault with a request.

Tools stand in `tools`, in `mcp_servers` and, since conversations may change their tools midway, in
`messages`. They are sorted by who runs them: the client (then calls to them are judged by name) or the
provider (then the declaration itself must be granted).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw, Struct

from gateway import strict_json
from gateway.dialects import anthropic_messages_types as known
from gateway.dialects.proposals import clipped
from gateway.errors import GatewayError
from gateway.request import ServerTool, Tool
from gateway.strict_json import Json

MAX_DOUBTS = 64
"""Names kept in `unjudged` and in `powerful`: one is enough to refuse, a few help to understand."""

_TOOL_REFERENCES = frozenset({"tool_reference", "mcp_tool_reference", "mcp_toolset_reference"})
_CHOICES = frozenset({"auto", "any", "none", "tool"})
_index = re.compile(r"\[\d+\]")
_undated = re.compile(r"_\d{8}$")


class _ToolSlices(Struct):
    input_schema: Raw = Raw(b"")


_tool_slices = msgspec.json.Decoder(_ToolSlices).decode


class Doubts:
    """What was met on the way that must be named, unless the configuration admits it."""

    def __init__(self, allow: frozenset[str]) -> None:
        self._allow = allow
        self.unjudged: dict[str, None] = {}
        self.powerful: dict[str, None] = {}
        self.server_tools: list[ServerTool] = []
        self.met = 0
        """How many there were, admitted ones counted."""

    def unknown(self, name: str) -> None:
        self._note(self.unjudged, name)

    def acts(self, name: str) -> None:
        self._note(self.powerful, name)

    def runs(self, name: str, tool: str, args: dict[str, Json]) -> None:
        """As `acts`, and what a policy can grant it as."""
        self.acts(name)
        if name in self.powerful:
            self.server_tools.append(ServerTool(f"anthropic.{tool}", name, args))

    def _note(self, names: dict[str, None], name: str) -> None:
        self.met += 1
        if name not in self._allow and _index.sub("[]", name) not in self._allow and len(names) < MAX_DOUBTS:
            names[name] = None


def bad(code: str, message: str, param: str | None = None) -> GatewayError:
    return GatewayError("bad_request", code, message, param=param)


def object_at(value: Json, path: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise bad("invalid_type", f"`{path}` must be a JSON object.", path)
    return value


def text_at(holder: dict[str, Json], key: str, path: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise bad("invalid_type", f"`{path}.{key}` must be a string.", f"{path}.{key}")
    return value


def blocks_at(content: Json, path: str) -> Iterator[tuple[dict[str, Json], str]]:
    """Each block with its place; every block is an object with a `type`."""
    if not isinstance(content, list):
        raise bad("invalid_type", f"`{path}` must be a string or a list of content blocks.", path)
    for i, item in enumerate(content):
        place = f"{path}[{i}]"
        text_at(object_at(item, place), "type", place)
        yield item, place


def declared(
    raw_tools: Sequence[Raw], tree: dict[str, Json], raw_servers: Sequence[Raw], doubts: Doubts
) -> dict[str, Tool]:
    """The tools of `tools` and the servers of `mcp_servers`, by what makes them unique."""
    tools: dict[str, Tool] = {}
    for i, (raw, item) in enumerate(zip(raw_tools, tree.get("tools") or (), strict=True)):
        _declare(bytes(raw), item, f"tools[{i}]", tools, doubts)
    for i, (raw, item) in enumerate(zip(raw_servers, tree.get("mcp_servers") or (), strict=True)):
        name = text_at(object_at(item, f"mcp_servers[{i}]"), "name", f"mcp_servers[{i}]")
        tools[f"mcp_servers/{name}"] = Tool(name=name, type=known.MCP_SERVER, raw=bytes(raw))
    return tools


def _declare(raw: bytes, item: Json, path: str, tools: dict[str, Tool], doubts: Doubts) -> None:
    """Adds the tool or tools of one declaration; two tools of one name would be two meanings of every call
    to it."""
    for tool in _tools(raw, object_at(item, path), path, doubts):
        key = f"{tool.type}/{tool.name}" if tool.type == "mcp_toolset" else tool.name
        if key in tools and tools[key].raw != raw:
            raise bad(
                "duplicate_tool",
                f"`{path}` declares the tool {clipped(tool.name)!r} a second time. Give every tool a name of its own.",
                path,
            )
        tools[key] = tool


def _tools(raw: bytes, item: dict[str, Json], path: str, doubts: Doubts) -> Iterator[Tool]:
    kind = known.CUSTOM if item.get("type") is None else text_at(item, "type", path)
    if kind in known.TOOLSETS:
        yield from _members(raw, item, kind, path)
        return
    if kind in known.SERVER_TOOLS:
        doubts.runs(f"{path}.type={kind}", _undated.sub("", kind), item)
    elif kind != known.CUSTOM and kind not in known.CLIENT_TOOLS:
        doubts.unknown(f"{path}.type={clipped(kind)}")
    name = text_at(item, "mcp_server_name" if kind == "mcp_toolset" else "name", path)
    if name != known.CLIENT_TOOLS.get(kind, name):
        raise bad("invalid_tool", f"A tool of type {kind} must be named {known.CLIENT_TOOLS[kind]}.", f"{path}.name")
    yield Tool(name=name, type=kind, raw=raw, schema=bytes(_tool_slices(raw).input_schema) or None)


def _members(raw: bytes, item: dict[str, Json], kind: str, path: str) -> Iterator[Tool]:
    """One tool per member of a toolset that is not switched off, named as calls to it are:
    `family/member`."""
    family, members = known.TOOLSETS[kind]
    configs = object_at(item.get("configs") or {}, f"{path}.configs")
    if not members.issuperset(configs):
        raise bad("invalid_tool", f"`{path}.configs` names a member that {kind} does not have.", f"{path}.configs")
    for member in sorted(members):
        config = object_at(configs.get(member) or {}, f"{path}.configs.{member}")
        if config.get("enabled") is not False:
            yield Tool(name=f"{family}/{member}", type=kind, raw=raw)


def check_tool_choice(choice: Json, tools: dict[str, Tool], doubts: Doubts) -> None:
    if choice is None:
        return
    kind = text_at(object_at(choice, "tool_choice"), "type", "tool_choice")
    if kind not in _CHOICES:
        doubts.unknown(f"tool_choice.type={clipped(kind)}")
    name = choice.get("name")
    if name is None and kind != "tool":
        return
    if not isinstance(name, str) or name not in {tool.name for tool in tools.values()}:
        raise bad(
            "undeclared_tool",
            f"`tool_choice` names the tool {clipped(name)!r}, which `tools` does not declare. "
            "Declare it or choose another.",
            "tool_choice.name",
        )


def change_tools(block: dict[str, Json], path: str, tools: dict[str, Tool], doubts: Doubts) -> None:
    """Tools may also be declared in the middle of a conversation; they count like those of `tools`."""
    if block["type"] == "compaction":
        for change, place in blocks_at(block.get("tool_changes") or [], f"{path}.tool_changes"):
            if change["type"] not in ("tool_addition", "tool_removal"):
                doubts.unknown(f"{place}.type={clipped(change['type'])}")
            change_tools(change, place, tools, doubts)
    elif block["type"] in ("tool_addition", "tool_removal"):
        tool = object_at(block.get("tool"), f"{path}.tool")
        kind = text_at(tool, "type", f"{path}.tool")
        if kind == "tool_definition":
            definition = object_at(tool.get("definition"), f"{path}.tool.definition")
            _declare(strict_json.encode(definition), definition, f"{path}.tool.definition", tools, doubts)
        elif kind not in _TOOL_REFERENCES:
            doubts.unknown(f"{path}.tool.type={clipped(kind)}")
