"""Pins: with which system prompts and tools an agent was approved. What differs is a finding, or the request is refused.

A tool's description and schema are instructions to the model; whoever changes them after somebody has read them changes what the agent does
("rug pull"). Pins are a file that people review, `pins.yaml` in the folder of kept prompts; an agent that is not in it is not looked at.

    agents:
      coder:
        on_change: deny            # finding | deny
        templates: [4be1c09d…]     # system prompt and tools without what changes from request to request; a kept prompt needs none
        tools: {look_up: 9f31c2aa…}

Pure. Which requests are looked at is the pipeline's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Struct
from pydantic import Field

from gateway.documents import Section, load
from gateway.prompt.fingerprint import Fingerprint, canonical
from gateway.recent import Recent
from gateway.request import Pin, Request, Tool
from gateway.strict_json import Json

FILE: Final = "pins.yaml"
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pinned(Section):
    """What one agent was approved with. What is left out is not looked at."""

    on_change: Annotated[Literal["finding", "deny"], Field(description="finding = on record; deny = the request is refused")]
    templates: Annotated[list[Hash] | None, Field(min_length=1, description="hashes of approved templates")] = None
    tools: Annotated[dict[str, Hash] | None, Field(description="tool -> hash of its declaration; another tool is a change")] = None


class Pins(Section):
    """The file."""

    agents: Annotated[dict[str, Pinned], Field(description="by the agent's name")]


NONE: Final = Pins(agents={})


class Difference(Struct, frozen=True):
    """Something that is not as it was approved."""

    code: Literal["tool_changed", "tool_added", "prompt_changed"]
    path: str
    said: str
    """What it is, for people; names no content."""


def read(text: bytes) -> Pins:
    """Raises FileProblems."""
    return load(text, FILE, Pins)


def tool_hash(declaration: bytes) -> str:
    """Of a declaration as JSON: neither key order nor white space counts."""
    found = _HASHES.get(declaration)
    if found is None:
        found = hashlib.sha256(canonical(declaration)).hexdigest()
        _HASHES.keep(declaration, found)
    return found


_HASHES: Recent[str] = Recent(8 * 1024 * 1024)


def of_tools(approved: Mapping[str, str] | None, request: Request) -> dict[str, Pin]:
    """How each declared tool compares. Of a name that is declared twice the worse counts."""
    found: dict[str, Pin] = {}
    for tool in request.tools if approved is not None else ():
        now = _pin(approved or {}, tool)
        if found.get(tool.name, "same") == "same":
            found[tool.name] = now
    return found


def _pin(approved: Mapping[str, str], tool: Tool) -> Pin:
    """Approved under its name, or under the one that its declaration has by itself, which is all that the book knows."""
    now = tool_hash(tool.raw)
    if approved.get(tool.name) == now:
        return "same"
    by_itself = approved.get(declared_name(msgspec.json.decode(tool.raw)))
    if by_itself == now:
        return "same"
    return "added" if tool.name not in approved and by_itself is None else "changed"


def declared_name(declaration: Json) -> str:
    """Of a declaration alone: `look_up`, `web_search`, `mcp/<label>`, `googleSearch`. Empty where it has none."""
    match declaration:
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}} | {"name": str(name)}:
            return name
        case {"type": str(kind), "server_label": str(of)} | {"type": str(kind), "mcp_server_name": str(of)}:
            return f"{kind}/{of}"
        case {"type": str(kind)}:
            return kind
        case {**all_of_it} if len(all_of_it) == 1:
            return str(next(iter(all_of_it)))
    return ""


def differences(pinned: Pinned, request: Request, found: Fingerprint, *, kept: bool) -> Iterator[Difference]:
    """`kept`: the gateway filled the system prompt in from a kept prompt, so it is what was deployed."""
    yield from _tools(pinned.tools, request)
    if pinned.templates is not None and not kept and found.template not in pinned.templates:
        said = f"system prompt and tools come to a template that is not approved: {found.template}"
        yield Difference("prompt_changed", "prompt", said)


def _tools(approved: Mapping[str, str] | None, request: Request) -> Iterator[Difference]:
    if approved is None:
        return
    for tool in request.tools:
        match _pin(approved, tool):
            case "added":
                said = f"the tool is not approved: its declaration is {tool_hash(tool.raw)}"
                yield Difference("tool_added", f"tools.{tool.name}", said)
            case "changed":
                said = f"the declaration is not the approved one: {tool_hash(tool.raw)}"
                yield Difference("tool_changed", f"tools.{tool.name}", said)
