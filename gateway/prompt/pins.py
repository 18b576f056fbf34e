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
from functools import lru_cache
from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import Field

from gateway.documents import Section, load
from gateway.exchange import Request
from gateway.prompt.fingerprint import Fingerprint, canonical

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


@lru_cache(maxsize=4096)
def tool_hash(declaration: bytes) -> str:
    """Of a declaration as JSON: neither key order nor white space counts."""
    return hashlib.sha256(canonical(declaration)).hexdigest()


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
        known, actual = approved.get(tool.name), tool_hash(tool.raw)
        if known is None:
            yield Difference("tool_added", f"tools.{tool.name}", f"the tool is not approved: its declaration is {actual}")
        elif known != actual:
            yield Difference("tool_changed", f"tools.{tool.name}", f"the declaration is not the approved one: {actual}")
