"""Which tools a Responses request declares, who runs each, and which one it forces.

Functions and custom tools are the client's, under their own names or `namespace.name`. Built-in ones are the client's or the provider's by
type: calls to the first come back under OpenAI's name for them, the second must be granted before the request leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.dialects.openai_reading import bad
from gateway.dialects.openai_responses_items import SERVICES, TOOL_NAMES
from gateway.dialects.proposals import clipped, name_problem
from gateway.request import ServerTool, Tool
from gateway.strict_json import Json

_CLIENT_RUN = frozenset({"local_shell", "apply_patch", "computer", "computer_use_preview"})
_CHOOSING = frozenset({"none", "auto", "required"})
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Declared:
    """Tools in the order in which they were declared."""

    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {}
        self.unknown: list[str] = []
        """Where a tool of a kind nobody knows stands."""
        self.server: list[ServerTool] = []

    def add_all(self, tools: Json, raw: Iterable[bytes], path: str) -> None:
        for at, (tool, piece) in enumerate(zip(tools or (), raw, strict=True)):
            self._add(tool, bytes(piece), f"{path}[{at}]")

    def _add(self, tool: Json, raw: bytes, path: str, namespace: str = "") -> None:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str):
            bad("invalid_tool", f"`{path}` must be an object with a `type`.", path)
        if kind in ("function", "custom"):
            self._named(tool, kind, raw, path, namespace)
        elif kind == "namespace" and not namespace:
            self._namespace(tool, raw, path)
        elif kind in _CLIENT_RUN or (kind == "shell" and not _in_container(tool)) or _client_searches(tool, kind):
            self._keep(Tool(TOOL_NAMES[kind], kind if kind != "tool_search" else "tool_search:client", raw), path)
        elif kind in SERVICES or kind == "shell":
            self._served(tool, kind, raw, path)
        else:
            self.unknown.append(f"{path}.type={clipped(kind)}")
            self._keep(Tool(clipped(tool.get("name") or kind), kind, raw), path)

    def _named(self, tool: Mapping[str, Json], kind: str, raw: bytes, path: str, namespace: str) -> None:
        name = tool.get("name")
        if name_problem(name) or (namespace and name_problem(f"{namespace}.{name}")):
            bad("invalid_tool", f"`{path}` needs a `name` of 1 to 128 ASCII letters, digits or any of _ . : / -", path)
        schema = None if kind == "custom" or tool.get("parameters") is None else bytes(_fields(raw)["parameters"])
        self._keep(Tool(f"{namespace}.{name}" if namespace else str(name), kind, raw, schema), path)

    def _namespace(self, tool: Mapping[str, Json], raw: bytes, path: str) -> None:
        name, tools = tool.get("name"), tool.get("tools")
        if name_problem(name) or not isinstance(tools, list):
            bad("invalid_tool", f"`{path}` needs a `name` and a list of `tools`.", path)
        for at, (inner, piece) in enumerate(zip(tools, _list(_fields(raw)["tools"]), strict=True)):
            self._add(inner, bytes(piece), f"{path}.tools[{at}]", str(name))

    def _served(self, tool: Mapping[str, Json], kind: str, raw: bytes, path: str) -> None:
        service = "shell" if kind == "shell" else SERVICES[kind]
        kept = "shell:provider" if kind == "shell" else kind
        where = f"{path}.type={kind}"
        self.server.append(ServerTool(f"openai.{service}", where, tool))
        label = tool.get("server_label") if service == "mcp" else None
        self.tools[f"{service}/{label or path}"] = Tool(TOOL_NAMES.get(kind, f"openai.{service}"), kept, raw)

    def _keep(self, tool: Tool, path: str) -> None:
        known = self.tools.get(tool.name)
        if known is not None and known.raw != tool.raw:
            bad("duplicate_tool", f"`{path}` declares the tool `{clipped(tool.name)}` again. Give each tool a name of its own.", path)
        self.tools[tool.name] = tool


def _in_container(tool: Mapping[str, Json]) -> bool:
    """Whether a shell runs at the provider: anywhere but on the client's own machine."""
    environment = tool.get("environment")
    return environment is not None and not (isinstance(environment, dict) and environment.get("type") == "local")


def _client_searches(tool: Mapping[str, Json], kind: str) -> bool:
    return kind == "tool_search" and tool.get("execution") == "client"


def forced(choice: Json, path: str = "tool_choice") -> tuple[list[str], str | None]:
    """(names of tools that a choice names, what in it nobody knows)."""
    if choice is None or (isinstance(choice, str) and choice in _CHOOSING):
        return [], None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("function", "custom"):
        return [_name_of(choice)], None
    if kind == "allowed_tools" and isinstance(choice.get("tools"), list):
        inner = [forced(tool, f"{path}.tools") for tool in choice["tools"]]
        unknown = next((odd for _, odd in inner if odd), None)
        return [name for names, _ in inner for name in names], unknown
    if isinstance(kind, str) and (kind in SERVICES or kind in TOOL_NAMES):
        return [TOOL_NAMES[kind] if kind in TOOL_NAMES else f"openai.{SERVICES[kind]}"], None
    return [], f"{path}.type={clipped(kind)}" if isinstance(choice, dict) else path


def _name_of(choice: Mapping[str, Json]) -> str:
    name, namespace = choice.get("name"), choice.get("namespace")
    if not isinstance(name, str):
        bad("invalid_type", "`tool_choice` must name a tool.", "tool_choice")
    return f"{namespace}.{name}" if isinstance(namespace, str) else name
