"""A Messages request, read strictly: what it asks, whom it addresses, and what in it nobody can judge.

Raises `GatewayError` for what has no single meaning (the provider would refuse most of it too). What has
one but lies outside every table is named in `unjudged`; what makes the provider act by itself is named in
`powerful`; a line `allow_fields:` admits either, with or without the index (`tools[1].type=…` or
`tools[].type=…`). Nothing is changed: the provider gets the client's own bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import msgspec
from msgspec import Raw, Struct

from gateway import strict_json
from gateway.dialects import anthropic_messages_types as known
from gateway.dialects import fields
from gateway.dialects.anthropic_messages_beside import beside
from gateway.dialects.anthropic_messages_media import media_of
from gateway.dialects.anthropic_messages_tools import (
    Doubts,
    bad,
    blocks_at,
    change_tools,
    check_tool_choice,
    declared,
    object_at,
    text_at,
)
from gateway.dialects.proposals import clipped
from gateway.dialects.request_texts import dicts, of_slots
from gateway.errors import GatewayError
from gateway.recent import Recent
from gateway.request import Media, Message, ProposedBefore, Request, Tool
from gateway.strict_json import Json

MAX_DEPTH = 128
MAX_MODEL = 256
MAX_HINT = 256

_RESULT_PARTS = frozenset({"text", "image", "document", "search_result", "tool_reference"})
_ROLES = frozenset({"user", "assistant", "system"})
_DECLARING = frozenset({"compaction", "tool_addition", "tool_removal"})
"""Blocks that change which tools there are."""
_RECENT: Recent[Message] = Recent(16 * 1024 * 1024)


class _Slices(Struct):
    """The parts of a body that are kept as bytes."""

    messages: list[Raw]
    system: Raw = Raw(b"")
    tools: list[Raw] | None = None
    mcp_servers: list[Raw] | None = None


_slices = msgspec.json.Decoder(_Slices).decode


def decode_request(body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str]) -> Request:
    tree = _object(body)
    _refuse_threads(tree, allow_fields)
    _check_scalars(tree)
    slices = _cut(body)
    doubts = Doubts(allow_fields)
    _sort_fields(tree, allow_fields, doubts)
    tools = declared(slices.tools or (), tree, slices.mcp_servers or (), doubts)
    messages = [
        _known(raw, item, f"messages[{i}]", tools, doubts) for i, (raw, item) in enumerate(_pairs(tree, slices))
    ]
    check_tool_choice(tree.get("tool_choice"), tools, doubts)
    user, session = _hints(tree.get("metadata"))
    return Request(
        dialect="anthropic.messages",
        model=tree["model"],
        stream=tree.get("stream", False),
        messages=(*_system(tree.get("system"), slices.system, doubts), *messages),
        tools=tuple(tools.values()),
        body=body,
        unjudged=tuple(doubts.unjudged),
        powerful=tuple(doubts.powerful),
        server_tools=tuple(doubts.server_tools),
        temperature=_number(tree.get("temperature")),
        max_tokens=tree.get("max_tokens"),
        user_hint=user,
        session_hint=session,
    )


def _object(body: bytes) -> dict[str, Json]:
    try:
        tree = strict_json.parse(body, depth=MAX_DEPTH, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        raise bad(
            "invalid_json",
            f"The body is not JSON with a single meaning: {ambiguous.detail}. "
            "Send one UTF-8 JSON object without duplicate keys.",
        ) from None
    if not isinstance(tree, dict):
        raise bad("invalid_json", "The body must be a JSON object with model, max_tokens and messages.")
    return tree


def _refuse_threads(tree: dict[str, Json], allow: frozenset[str]) -> None:
    """A thread keeps history and tools at the provider, out of sight. The SDKs know this code and send the
    whole history again."""
    if tree.get("thread") is not None and "thread" not in allow:
        raise GatewayError(
            "refused",
            "thread_unsupported_request",
            "Message threads are not supported here, because history and tools held by the provider "
            "cannot be judged. Send the full conversation without `thread`.",
            param="thread",
        )


def _check_scalars(tree: dict[str, Json]) -> None:
    model = tree.get("model")
    if not isinstance(model, str) or not model or model != model.strip() or len(model) > MAX_MODEL:
        raise bad(
            "invalid_model",
            f"`model` must be a model name: 1 to {MAX_MODEL} characters without spaces around them.",
            "model",
        )
    if type(tree.get("stream", False)) is not bool:
        raise bad("invalid_type", "`stream` must be true or false.", "stream")
    if not (type(tree.get("max_tokens")) is int and tree["max_tokens"] >= 0) and "max_tokens" in tree:
        raise bad("invalid_type", "`max_tokens` must be a whole number, 0 or more.", "max_tokens")
    if not isinstance(tree.get("messages"), list) or not tree["messages"]:
        raise bad("invalid_type", "`messages` must be a list with at least one message.", "messages")


def _cut(body: bytes) -> _Slices:
    try:
        return _slices(body)
    except msgspec.ValidationError as error:
        raise bad("invalid_type", f"The body does not have the shape of a Messages request: {error}.") from None


def _pairs(tree: dict[str, Json], slices: _Slices) -> Iterator[tuple[Raw, Json]]:
    return zip(slices.messages, tree["messages"], strict=True)


def _sort_fields(tree: dict[str, Json], allow: frozenset[str], doubts: Doubts) -> None:
    for name in fields.ANTHROPIC_MESSAGES.unjudged(tuple(tree), allow):
        doubts.unknown(name)
    for name in fields.ANTHROPIC_MESSAGES.in_effect(tree, allow):
        if name == "mcp_servers":
            doubts.runs(name, name, {"servers": tree[name]})
        else:
            doubts.acts(name)


def _hints(metadata: Json) -> tuple[str | None, str | None]:
    """(user, session) from `metadata.user_id`: plain text, or the JSON object that Claude Code writes into
    that string."""
    text = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(text, str) or not text:
        return None, None
    try:
        inside = strict_json.parse(text, exact_numbers=False)
    except strict_json.Ambiguous:
        return text[:MAX_HINT], None
    if not isinstance(inside, dict):
        return text[:MAX_HINT], None
    return _label(inside.get("device_id")), _label(inside.get("session_id"))


def _label(value: Json) -> str | None:
    return value[:MAX_HINT] if isinstance(value, str) and value else None


def _number(value: Json) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _system(system: Json, raw: Raw, doubts: Doubts) -> Iterator[Message]:
    if system is None:
        return
    texts: list[str] = [system] if isinstance(system, str) else []
    more: list[tuple[str | None, str]] = []
    if not texts:
        for block, path in blocks_at(system, "system"):
            if block["type"] != "text":
                doubts.unknown(f"{path}.type={clipped(block['type'])}")
            texts += _plain(block, path)
            more += of_slots(beside(block))
    yield Message(role="system", raw=bytes(raw), text="\n".join(texts), beside=tuple(more))


def _known(raw: Raw, item: Json, path: str, tools: dict[str, Tool], doubts: Doubts) -> Message:
    """A message as it was read before, where nothing in it depends on its place or on the settings, and it declares no tools."""
    data = bytes(raw)
    found = _RECENT.get(data)
    if found is None:
        met = doubts.met
        found = _message(data, item, path, tools, doubts)
        if doubts.met == met and not found.media and not _declares(item.get("content")):
            _RECENT.keep(data, found)
    return found


def _declares(content: Json) -> bool:
    return isinstance(content, list) and any(block["type"] in _DECLARING for block in content)


def _message(raw: bytes, item: Json, path: str, tools: dict[str, Tool], doubts: Doubts) -> Message:
    message = object_at(item, path)
    role = text_at(message, "role", path)
    if role not in _ROLES:
        doubts.unknown(f"{path}.role={clipped(role)}")
    content = message.get("content", [] if role == "system" else None)
    if isinstance(content, str):
        return Message(role=role, raw=raw, text=content)
    texts: list[str] = []
    said: list[str] = []
    more: list[tuple[str | None, str]] = []
    calls: list[ProposedBefore] = []
    results: list[tuple[str, str]] = []
    media: list[Media] = []
    for block, place in blocks_at(content, f"{path}.content"):
        kind = block["type"]
        media += media_of(block, place, doubts)
        if kind == "tool_use":
            calls.append(_proposed(block, place))
        elif kind == "tool_result":
            results.append((call_id := text_at(block, "tool_use_id", place), _result_text(block, place, doubts)))
            more += of_slots(chain.from_iterable(map(beside, dicts(block.get("content")))), call_id)
        elif kind in known.REQUEST_BLOCKS:
            texts += (plain := _plain(block, place))
            said += plain if kind == "text" else []
            more += of_slots(beside(block)) if role != "assistant" else ()
            change_tools(block, place, tools, doubts)
        else:
            doubts.unknown(f"{place}.type={clipped(kind)}")
    own = None if said == texts else "\n".join(said)
    return Message(role, raw, "\n".join(texts), tuple(calls), tuple(results), tuple(media), own, tuple(more))


def _proposed(block: dict[str, Json], path: str) -> ProposedBefore:
    name = text_at(block, "name", path)
    if block.get("toolset_name") is not None:
        name = f"{text_at(block, 'toolset_name', path)}/{name}"
    arguments = strict_json.encode(block.get("input", {})).decode()
    return ProposedBefore(id=text_at(block, "id", path), name=name, arguments=arguments)


def _result_text(block: dict[str, Json], path: str, doubts: Doubts) -> str:
    content = block.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part, place in blocks_at(content, f"{path}.content"):
        if part["type"] not in _RESULT_PARTS:
            doubts.unknown(f"{place}.type={clipped(part['type'])}")
        texts += _plain(part, place)
    return "\n".join(texts)


def _plain(block: dict[str, Json], path: str) -> list[str]:
    """The text a block shows to the model as text: its own, or that of the document or search result it
    holds."""
    if block["type"] == "text":
        return [text_at(block, "text", path)]
    if block["type"] in ("search_result", "compaction"):
        return _texts_in(block.get("content"))
    if block["type"] == "document" and isinstance(source := block.get("source"), dict):
        return _texts_in(source.get("data") if source.get("type") == "text" else source.get("content"))
    return []


def _texts_in(content: Json) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
